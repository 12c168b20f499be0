"""Executions that run the code as a script: stdin, stdout and an exit code."""

import atexit
import sys
import threading
import traceback

from rlenvs.sandbox import frames
from rlenvs.sandbox.codec import decode
from rlenvs.sandbox.inside.calls import REQUEST_BYTES
from rlenvs.sandbox.inside.solution import as_module, compiled, described, flush


def serve(channel: int) -> int:
    """Execute the code as `python FILE` would. Return the exit code."""
    request = decode(frames.read_frame(channel), REQUEST_BYTES)
    code = 0
    try:
        namespace = as_module("__main__")
        exec(compiled(request["code"]), namespace)  # noqa: S102 - what this process is for
    except SystemExit as exit:
        code = exit_code(exit)
        if code:
            frames.write_frame(channel, frames.RAISED + described(exit).encode("utf-8", "backslashreplace"))
    except BaseException as error:  # noqa: BLE001 - it is the code's
        code = 1
        error = error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)  # without this module's frame
        frames.write_frame(channel, frames.RAISED + described(error).encode("utf-8", "backslashreplace"))
        traceback.print_exception(error)
    threading._shutdown()  # type: ignore[attr-defined] # waits for threads, as the end of an interpreter does
    atexit._run_exitfuncs()
    flush()
    return code


def exit_code(exit: SystemExit) -> int:
    """Return what `sys.exit` was called with as the number that a shell would see."""
    if exit.code is None or isinstance(exit.code, int):
        return int(exit.code or 0) & 0xFF
    print(exit.code, file=sys.stderr)  # noqa: T201 - as the interpreter does
    return 1
