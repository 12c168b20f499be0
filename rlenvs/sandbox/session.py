"""Cells that share their state, in one execution that lasts."""

import math
import time
from types import TracebackType

from rlenvs.errors import ParameterError
from rlenvs.sandbox.codec import encode
from rlenvs.sandbox.execution import Ending, Execution, Watch
from rlenvs.sandbox.frames import RAISED, RETURNED
from rlenvs.sandbox.jobs import MISSING, crash, text
from rlenvs.sandbox.limits import Limits
from rlenvs.sandbox.result import Outcome, Result, Status
from rlenvs.sandbox.worker import Seat, Worker

UNBOUNDED = 1 << 60


class Session:
    r"""A Python session: what one cell defines, the next one can use.

    Made by `SandboxPool.session`. The value of an expression at the end of a cell is printed, as the interactive
    interpreter does. A cell that goes beyond a limit ends the session; an exception does not.

    Args:
        worker: forks it.
        limits: `wall_s` and `output_bytes` are for each cell, everything else is for the whole session.
        tier: what isolates it.
        seat: what it holds of the worker while it lives.

    Raises:
        WorkerDiedError: the worker is gone.

    Example:
        >>> with pool.session() as session:  # doctest: +SKIP
        ...     session.run("x = 20")
        ...     print(session.run("x + 1").stdout)
        21
    """

    def __init__(self, worker: Worker, limits: Limits, tier: str, seat: Seat | None = None) -> None:
        self.seat = seat
        self.limits = limits
        self.tier = tier
        self.watch = Watch()
        self.why_closed = ""
        request = encode({"output_bytes": limits.output_bytes})
        self.execution = Execution(worker, self.watch, "session", request, limits, UNBOUNDED)
        self.execution.deadline = math.inf

    @property
    def is_closed(self) -> bool:
        """Whether no more cells can be run."""
        if not self.why_closed and self.execution.lease.fileno() < 0:
            self.end("it belongs to the parent of this process")
        return bool(self.why_closed)

    def run(self, cell: str) -> Result:
        """Run a cell. After the end of the session every further cell gets a result with the status of that end.

        Raises:
            ParameterError: the cell is not a text.
        """
        if not isinstance(cell, str):
            raise ParameterError("cell", f"must be a text, got {type(cell).__name__}")
        if self.is_closed:
            return Result("crash", (MISSING,), reason=f"the session has ended: {self.why_closed}", tier=self.tier)
        execution = self.execution
        execution.stdout.clear()
        execution.stderr.clear()
        execution.started = time.monotonic()
        execution.deadline = execution.started + self.limits.wall_s
        execution.send(b"#" + cell.encode("utf-8", "surrogatepass"))
        try:
            while not execution.reader.frames and execution.ending is None and not execution.is_lost:
                self.watch.wait(execution.deadline - time.monotonic())
                execution.expire(time.monotonic())
            return self.result(execution)
        except BaseException:
            self.close()
            raise

    def result(self, execution: Execution) -> Result:
        """Return what came of a cell."""
        if execution.is_lost:
            self.end("its worker is gone")
            return Result("error", (MISSING,), reason=self.why_closed, tier=self.tier)
        if execution.ending is not None:
            return self.ended(execution, execution.ending)
        for descriptor in [each for each in execution.outputs if each in self.watch.executions]:
            while execution.take_output(descriptor):
                continue
        frame = execution.reader.frames.popleft()
        if execution.stopped is None and (frame[:1] not in (RETURNED, RAISED) or execution.reader.frames):
            execution.stop("malformed", "sent what is no answer")
        if execution.stopped is not None:
            self.wait_for_end(execution)
            return self.result(execution)
        execution.deadline = math.inf
        wall_s = time.monotonic() - execution.started
        answer = Outcome("raised", None, text(frame[1:])) if frame[:1] == RAISED else Outcome("returned")
        status: Status = "memory" if crash(answer.error) == "memory" else "ok"
        reason = answer.error if status == "memory" else ""
        return Result(status, (answer,), *self.written(execution), reason, self.tier, wall_s)

    def wait_for_end(self, execution: Execution) -> None:
        """Return when a stopped execution has ended."""
        while execution.ending is None and not execution.is_lost:
            self.watch.wait(execution.deadline - time.monotonic())
            execution.expire(time.monotonic())

    def ended(self, execution: Execution, ending: Ending) -> Result:
        """Return the result of the cell that ended the session."""
        status, reason = ending.status, ending.reason
        if status == "ok":
            status, reason = "crash", f"ended the session (exit code {ending.exit_code})"
        self.end(reason)
        written = self.written(execution)
        numbers = (ending.wall_s, ending.cpu_s, ending.max_rss_mb)
        return Result(status, (MISSING,), *written, reason, self.tier, *numbers)

    def written(self, execution: Execution) -> tuple[str, str]:
        """Return what was written to stdout and stderr."""
        return execution.stdout.decode("utf-8", "replace"), execution.stderr.decode("utf-8", "replace")

    def close(self) -> None:
        """End the session; what still runs is killed."""
        self.end("it was closed")
        self.execution.close()

    def end(self, why: str) -> None:
        """Give the seat back. The first reason counts."""
        self.why_closed = self.why_closed or why
        self.seat = None

    def __enter__(self) -> "Session":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
