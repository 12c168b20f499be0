"""An execution that runs one cell after the other and keeps what they define."""

import ast
import sys
import traceback

from rlenvs.sandbox import frames
from rlenvs.sandbox.codec import decode
from rlenvs.sandbox.inside.solution import as_module, compiled_tree, described, flush


def serve(channel: int) -> int:
    """Run cells until there are no more. Return the exit code."""
    limit = decode(frames.read_frame(channel))["output_bytes"]
    namespace = as_module("__main__")
    number = 0
    while cell := frames.read_frame(channel):
        number += 1
        filename = f"<cell {number}>"
        answer = frames.RETURNED
        try:
            run_cell(cell.decode("utf-8", "surrogatepass")[1:], filename, namespace, limit)
        except BaseException as error:  # noqa: BLE001 - also SystemExit: it is the cell's
            answer = frames.RAISED + described(error, filename).encode("utf-8", "backslashreplace")
            show(error)
        flush()
        frames.write_frame(channel, answer)
    return 0


def run_cell(code: str, filename: str, namespace: dict[str, object], limit: int) -> None:
    """Execute a cell; print the value of an expression at its end, as the interactive interpreter does."""
    tree = ast.parse(code, filename)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compiled_tree(tree, code, filename), namespace)  # noqa: S102 - what this process is for
    if isinstance(last, ast.Expr):
        value = eval(compiled_tree(ast.Expression(last.value), code, filename), namespace)  # noqa: S307
        if value is not None:
            print(repr(value)[:limit])  # noqa: T201
            namespace["_"] = value


def show(error: BaseException) -> None:
    """Print an exception without the frames of this module."""
    trace = error.__traceback__
    while trace is not None and not trace.tb_frame.f_code.co_filename.startswith("<cell"):
        trace = trace.tb_next
    try:
        traceback.print_exception(error.with_traceback(trace))
    except BaseException as again:  # noqa: BLE001 - the cell's own __str__ may raise anything
        sys.__stderr__.write(f"{type(again).__name__}\n")  # type: ignore[union-attr]
