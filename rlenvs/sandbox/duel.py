"""Assertions against a solution, each in an execution of its own.

The tests hold stand-ins for the objects of the solution. The grader relays what both sides say to each other, one
message at a time, and takes the verdict from the connection of the tests alone.
"""

from dataclasses import dataclass
from typing import Literal

from rlenvs.errors import ParameterError
from rlenvs.sandbox.codec import CodecError, decode, encode
from rlenvs.sandbox.execution import Execution, Watch
from rlenvs.sandbox.frames import LOAD_FAILED
from rlenvs.sandbox.inside.tester import VERDICT
from rlenvs.sandbox.inside.wire import ANSWER, EXCEPTIONS, REQUEST
from rlenvs.sandbox.jobs import crash, text
from rlenvs.sandbox.limits import Limits, check_limits
from rlenvs.sandbox.program import MAX_CODE, MAX_INPUT_BYTES, TOO_LONG, check_text
from rlenvs.sandbox.result import Status
from rlenvs.sandbox.worker import Worker

DuelStatus = Literal["passed", "failed", "timeout", "memory", "output", "crash", "malformed", "error"]
UNBOUNDED = 1 << 60
"""Messages of a duel are bounded one by one, and all of them by the clock."""


@dataclass(frozen=True, slots=True)
class Duel:
    """Tests and a solution.

    Args:
        test_code: Python source that defines `check(candidate)`, which raises unless the candidate is right.
        candidate_code: Python source that defines the entry point.
        entry_point: name of a function or class. The tests can also use it by this name.
        setup_code: executed before the tests, beside them: helpers that they use.
        limits: None takes the limits of the pool. Of each side, and the wall limit of both together.

    Raises:
        ParameterError: one of these is not of this form.
    """

    test_code: str
    candidate_code: str
    entry_point: str
    setup_code: str = ""
    limits: Limits | None = None

    def __post_init__(self) -> None:
        for name in ("test_code", "candidate_code", "setup_code"):
            check_text(name, getattr(self, name))
        if not (isinstance(self.entry_point, str) and self.entry_point.isidentifier()):
            raise ParameterError("entry_point", f"must be the name of a function or class, got {self.entry_point!r}")
        check_limits(self.limits)


@dataclass(frozen=True, slots=True)
class DuelResult:
    """What came of a duel.

    Args:
        status: "passed"; "failed" where the tests raised; "timeout", "memory", "output", "crash" and "malformed" are
            the doing of the solution; "error" is nothing that it can provoke: also tests that cannot be used.
        reason: why it has not passed, in one line. It may quote the tests: keep it from whoever wrote the solution.
        tier: what isolated it.
        calls: requests that the tests made to the solution. Tests that make none test nothing.
        stdout: what the solution wrote there, up to the limit.
        stderr: what the solution wrote there, up to the limit.
        wall_s: seconds from start to end.
        cpu_s: seconds of processor time of the solution.
        max_rss_mb: most MiB of memory held by the solution at a time.
    """

    status: DuelStatus
    reason: str = ""
    tier: str = ""
    calls: int = 0
    stdout: str = ""
    stderr: str = ""
    wall_s: float = 0.0
    cpu_s: float = 0.0
    max_rss_mb: float = 0.0


class DuelJob:
    """A duel as a job of the engine."""

    wants_to_go_on = False

    def __init__(self, duel: Duel, limits: Limits, tier: str) -> None:
        self.limits = duel.limits or limits
        self.tier = tier
        common = {"entry_point": duel.entry_point, "result_bytes": self.limits.result_bytes}
        tests = {**common, "test_code": duel.test_code, "setup_code": duel.setup_code}
        self.tests = encode(tests, max_bytes=MAX_INPUT_BYTES)
        self.code = encode({**common, "code": duel.candidate_code[:MAX_CODE]}, max_bytes=MAX_INPUT_BYTES)
        self.executions: list[Execution] = []
        self.result: DuelResult | None = None
        self.verdict: tuple[DuelStatus, str] | None = None
        self.calls = 0
        self.tester_moves = True
        if len(duel.candidate_code) > MAX_CODE:
            self.fail("crash", TOO_LONG)

    def begin(self, worker: Worker, watch: Watch) -> None:
        """See `Job`."""
        self.verdict, self.calls, self.tester_moves = None, 0, True
        self.executions = []
        for mode, request in (("candidate", self.code), ("tester", self.tests)):
            self.executions.append(Execution(worker, watch, mode, request, self.limits, UNBOUNDED))

    def step(self) -> bool:
        """See `Job`."""
        candidate, tester = self.executions
        while self.verdict is None and self.relay(candidate, tester):
            continue
        if self.verdict is None:
            self.verdict = self.ended(candidate, tester)
        if self.verdict is None:
            return False
        for execution in self.executions:
            execution.stop("ok", "")
        if any(execution.ending is None for execution in self.executions):
            return False
        self.finish(candidate)
        return True

    def relay(self, candidate: Execution, tester: Execution) -> bool:
        """Pass one message on; False where there is none."""
        if candidate.reader.frames:
            frame = candidate.reader.frames.popleft()
            if frame[:1] == LOAD_FAILED:
                error = text(frame[1:])
                self.verdict = (crash_status(error), error)
            elif self.tester_moves or not is_message(frame, self.limits.result_bytes):
                self.verdict = ("malformed", "the solution sent what is no answer")
            else:
                self.tester_moves = True
                tester.send(frame)
            return True
        if tester.reader.frames:
            self.hear_tester(candidate, tester.reader.frames.popleft())
            return True
        return False

    def hear_tester(self, candidate: Execution, frame: bytes) -> None:
        """Pass a message of the tests on, or take their verdict."""
        if frame[:1] == VERDICT:
            status, reason = decode(frame[1:])
            if status == "unready":  # the tests themselves are broken, unless the solution had a part in it
                status = "failed" if self.calls else "error"
                reason = reason if self.calls else f"the tests cannot be used: {reason}"
            self.verdict = (status, reason)
            return
        self.calls += frame[:1] == REQUEST
        self.tester_moves = False
        candidate.send(frame)

    def ended(self, candidate: Execution, tester: Execution) -> tuple[DuelStatus, str] | None:
        """Return what an end without a verdict means."""
        for execution, name in ((candidate, "the solution"), (tester, "the tests")):
            if execution.ending is not None:
                status: Status = execution.ending.status
                reason = execution.ending.reason or f"ended early (exit code {execution.ending.exit_code})"
                if status == "timeout":  # the clock runs for both: which of them it caught says nothing
                    return status, reason
                return "crash" if status == "ok" else status, f"{name} {reason}"
        return None

    def finish(self, candidate: Execution) -> None:
        """Make the result."""
        assert self.verdict is not None
        assert candidate.ending is not None
        ending = candidate.ending
        self.result = DuelResult(
            *self.verdict,
            self.tier,
            self.calls,
            candidate.stdout.decode("utf-8", "replace"),
            candidate.stderr.decode("utf-8", "replace"),
            ending.wall_s,
            ending.cpu_s,
            ending.max_rss_mb,
        )

    def fail(self, status: Status, reason: str) -> None:
        """See `Job`."""
        self.result = DuelResult("crash" if status == "ok" else status, reason, self.tier)


def crash_status(error: str) -> DuelStatus:
    """Return the status of a solution that cannot be loaded."""
    return "memory" if crash(error) == "memory" else "crash"


def is_message(frame: bytes, limit: int) -> bool:
    """Whether this is something that a candidate may say."""
    try:
        content = decode(frame[1:], limit, handle=lambda number: number)
    except CodecError:
        return False
    if type(content) is not list:
        return False
    if frame[:1] == ANSWER and len(content) == 2:
        return type(content[0]) is str and content[0] == "returned"
    if frame[:1] == ANSWER and len(content) == 3:
        return content[0] == "raised" and all(type(each) is str for each in content) and content[1] in EXCEPTIONS
    if frame[:1] == REQUEST and len(content) == 4:
        operation, _, args, kwargs = content
        named = type(kwargs) is dict and all(type(name) is str for name in kwargs)
        return type(operation) is str and operation == "call" and type(args) is tuple and named
    return False
