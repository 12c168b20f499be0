"""What came of an execution."""

from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["ok", "timeout", "memory", "output", "crash", "malformed", "error"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one input.

    Args:
        status: "returned"; "raised" where the code raised an exception; "opaque" where it returned what is not plain
            data; "missing" where no answer came.
        value: what was returned: fresh plain data of built-in types. Of a script: its stdout.
        error: the exception, or the type of an opaque value. The code chooses this text: show it, decide nothing by it.
    """

    status: Literal["returned", "raised", "missing", "opaque"]
    value: Any = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of an execution.

    Args:
        status: "ok" if the code ended by itself after it was given every input. "timeout", "memory", "output", "crash"
            and "malformed" are the doing of the code: it went beyond a limit, ended early or wrote what is no answer.
            "error" is nothing that the code can provoke.
        outcomes: one for each input, in the order of the inputs. They hold what came before the end, whatever the
            status.
        stdout: what the code wrote there, up to the limit.
        stderr: what the code wrote there, up to the limit.
        reason: why the status is not "ok", in one line.
        tier: what isolated it: "A", "B" or "unsafe".
        wall_s: seconds from start to end.
        cpu_s: seconds of processor time, as the kernel counted them.
        max_rss_mb: most MiB of memory held at a time, the interpreter's share included.
    """

    status: Status
    outcomes: tuple[Outcome, ...] = ()
    stdout: str = ""
    stderr: str = ""
    reason: str = ""
    tier: str = ""
    wall_s: float = 0.0
    cpu_s: float = 0.0
    max_rss_mb: float = 0.0
