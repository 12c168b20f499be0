"""Executions that are started instead of forked: another program isolates each of them, an interpreter and all."""

import os
from collections.abc import Callable
from typing import Any, NoReturn

from rlenvs.sandbox.codec import decode, encode
from rlenvs.sandbox.inside import child
from rlenvs.sandbox.limits import Limits

SIGNALLED = 128
"""Added to the number of a signal, as shells do."""


def hand_over(settings: dict[str, Any]) -> child.Confine:
    """Return what turns a child of a worker into the program that isolates an execution and runs `main` inside.

    Args:
        settings: what the worker was told. `command` is that program with its arguments up to the script.
    """
    command = settings["command"]
    inner = encode({name: settings[name] for name in ("plan", "allowed", "extras", "preload_all")}).hex()

    def becoming(mode: str, limits: Limits, siblings: int) -> Callable[[], None]:
        chosen = encode({name: getattr(limits, name) for name in Limits.__slots__}).hex()
        return lambda: os.execv(command[0], [*command, "single", inner, mode, chosen])

    return becoming


def main(settings: str, mode: str, limits: str) -> NoReturn:
    """Lock this process as a worker, fork one child, and end as it ends."""
    from rlenvs.sandbox.inside import zygote  # which needs this module

    chosen = Limits(**decode(bytes.fromhex(limits)))
    confine = zygote.prepare(decode(bytes.fromhex(settings)))
    pid = zygote.fork()
    if pid == 0:
        try:
            confine(mode, chosen, 0)()
            child.serve(mode)
        finally:
            os._exit(child.EXIT_BROKEN)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os._exit(code if code >= 0 else SIGNALLED - code)
