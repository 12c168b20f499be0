"""What the grader makes of executions: from a program to its result."""

import marshal
from typing import Protocol

from rlenvs.errors import ParameterError
from rlenvs.sandbox.codec import CodecError, decode, encode
from rlenvs.sandbox.execution import Ending, Execution, Watch, most_bytes
from rlenvs.sandbox.frames import LOAD_FAILED, OPAQUE, RAISED, RETURNED
from rlenvs.sandbox.limits import Limits
from rlenvs.sandbox.program import MAX_CODE, MAX_INPUT_BYTES, PLAIN, TOO_LONG, Program, encoded_call, encoded_stdin
from rlenvs.sandbox.result import Outcome, Result, Status
from rlenvs.sandbox.worker import Worker

MISSING = Outcome("missing")
ERROR_BYTES = 4096
BYTES_AT_A_TIME = 1 << 16
"""Of the answers of one program, before others have their turn: reading many small values takes time."""


class Job(Protocol):
    """Something that executions are made for. It can be begun again on another worker."""

    @property
    def executions(self) -> list[Execution]:
        """Those that run."""

    def begin(self, worker: Worker, watch: Watch) -> None:
        """Start from the beginning, forgetting what came before.

        Raises:
            WorkerDiedError: the worker is gone.
        """

    def step(self) -> bool:
        """Go on with what came, for a moment; True when it is finished."""

    @property
    def wants_to_go_on(self) -> bool:
        """Whether another step has something to do although nothing new came."""

    def fail(self, status: Status, reason: str) -> None:
        """Finish without the executions."""


def make_job(program: Program, limits: Limits, tier: str) -> "CallsJob | ScriptJob":
    """Return the job of a program.

    Raises:
        ParameterError: an input is not of the right form.
    """
    kind = ScriptJob if program.entry_point is None else CallsJob
    return kind(program, program.limits or limits, tier)


class CallsJob:
    """Calls of one function, all in one process."""

    def __init__(self, program: Program, limits: Limits, tier: str) -> None:
        self.limits = limits
        self.tier = tier
        self.inputs = len(program.inputs)
        inputs = [encoded_call(given, position) for position, given in enumerate(program.inputs)]
        request = (program.code[:MAX_CODE], program.entry_point, inputs, limits.result_bytes)
        self.request = marshal.dumps(request, PLAIN)
        if len(self.request) > MAX_INPUT_BYTES:
            raise ParameterError("inputs", f"must have at most {MAX_INPUT_BYTES} bytes with the code")
        self.outcomes: list[Outcome] = []
        self.load_error: str | None = None
        self.executions: list[Execution] = []
        self.result: Result | None = None
        if len(program.code) > MAX_CODE:
            self.fail("crash", TOO_LONG)

    def begin(self, worker: Worker, watch: Watch) -> None:
        """See `Job`."""
        self.outcomes.clear()
        self.load_error = None
        self.executions = [
            Execution(
                worker,
                watch,
                "calls",
                self.request,
                self.limits,
                most_bytes(self.inputs, self.limits),
                is_quiet=True,
            )
        ]

    def step(self) -> bool:
        """See `Job`."""
        execution = self.executions[0]
        read = 0
        while execution.reader.frames and execution.stopped is None:
            if read > BYTES_AT_A_TIME:
                return False
            frame = execution.reader.frames.popleft()
            read += len(frame)
            self.receive(execution, frame)
        if execution.ending is None:
            return False
        self.finish(execution, execution.ending)
        return True

    @property
    def wants_to_go_on(self) -> bool:
        """See `Job`."""
        return any(each.reader.frames and each.stopped is None for each in self.executions)

    def receive(self, execution: Execution, frame: bytes) -> None:
        """Take one answer, or stop an execution that sends anything else."""
        if len(self.outcomes) >= self.inputs or self.load_error is not None:
            if frame[:1] == LOAD_FAILED and not self.outcomes and self.load_error is None:
                self.load_error = text(frame[1:])
            else:
                execution.stop("malformed", "sent more answers than there are inputs")
            return
        if frame[:1] == LOAD_FAILED and not self.outcomes:
            self.load_error = text(frame[1:])
            return
        try:
            self.outcomes.append(outcome(frame, self.limits.result_bytes))
        except CodecError as error:
            execution.stop("malformed", f"sent what is no answer: {error}")

    def finish(self, execution: Execution, ending: Ending) -> None:
        """Make the result."""
        status, reason = ending.status, ending.reason
        outcomes = self.outcomes
        if self.load_error is not None:
            outcomes = [Outcome("raised", None, self.load_error)] * self.inputs
            if status == "ok":
                status, reason = crash(self.load_error), self.load_error
        elif status == "ok":
            status, reason = self.completed(ending)
        rest = [MISSING] * (self.inputs - len(outcomes))
        self.result = make_result(status, reason, (*outcomes, *rest), execution, ending, self.tier)

    def completed(self, ending: Ending) -> tuple[Status, str]:
        """Return the status of a process that nobody had to stop."""
        if len(self.outcomes) < self.inputs or ending.exit_code != 0:
            return "crash", f"ended before it had answered (exit code {ending.exit_code})"
        for each in self.outcomes:
            if each.status == "raised" and crash(each.error) == "memory":
                return "memory", each.error
        return "ok", ""

    def fail(self, status: Status, reason: str) -> None:
        """See `Job`."""
        self.result = Result(status, (MISSING,) * self.inputs, reason=reason, tier=self.tier)


class ScriptJob:
    """Runs of one script, each in a process of its own. After one that does not end by itself there are no more."""

    wants_to_go_on = False

    def __init__(self, program: Program, limits: Limits, tier: str) -> None:
        self.limits = limits
        self.tier = tier
        self.stdins = [encoded_stdin(given, position) for position, given in enumerate(program.inputs)]
        self.request = encode({"code": program.code[:MAX_CODE]}, max_bytes=MAX_INPUT_BYTES)
        self.results: list[Result] = []
        self.executions: list[Execution] = []
        self.result: Result | None = None
        self.place: tuple[Worker, Watch] | None = None
        if len(program.code) > MAX_CODE:
            self.fail("crash", TOO_LONG)

    def begin(self, worker: Worker, watch: Watch) -> None:
        """See `Job`."""
        self.place = (worker, watch)
        self.results.clear()
        self.executions = []
        if self.stdins:
            self.begin_next()
        else:
            self.result = Result("ok", tier=self.tier)

    def begin_next(self) -> None:
        """Start the process of the next input."""
        assert self.place is not None
        worker, watch = self.place
        stdin = self.stdins[len(self.results)]
        self.executions = [
            Execution(
                worker, watch, "script", self.request, self.limits, most_bytes(1, self.limits), stdin, is_quiet=True
            )
        ]

    def step(self) -> bool:
        """See `Job`."""
        if self.result is not None:
            return True
        execution = self.executions[0]
        if len(execution.reader.frames) > 1:
            execution.stop("malformed", "sent more than one answer")
        if execution.ending is None:
            return False
        self.results.append(self.one(execution, execution.ending))
        if self.results[-1].status == "ok" and len(self.results) < len(self.stdins):
            self.begin_next()
            return False
        self.finish()
        return True

    def one(self, execution: Execution, ending: Ending) -> Result:
        """Return the result of one process."""
        frames = execution.reader.frames
        error = text(frames[0][1:]) if frames and frames[0][:1] == RAISED else f"exit code {ending.exit_code}"
        status, reason = ending.status, ending.reason
        if status == "ok" and ending.exit_code != 0 and crash(error) == "memory":
            status, reason = "memory", error
        if status != "ok":
            answer = MISSING
        elif ending.exit_code == 0:
            answer = Outcome("returned", execution.stdout.decode("utf-8", "replace"))
        else:
            answer = Outcome("raised", None, error)
        return make_result(status, reason, (answer,), execution, ending, self.tier)

    def finish(self) -> None:
        """Make the result."""
        last, rest = self.results[-1], len(self.stdins) - len(self.results)
        self.result = Result(
            status=last.status,
            outcomes=(*(each.outcomes[0] for each in self.results), *[MISSING] * rest),
            stdout="".join(each.stdout for each in self.results),
            stderr="".join(each.stderr for each in self.results),
            reason=last.reason,
            tier=self.tier,
            wall_s=sum(each.wall_s for each in self.results),
            cpu_s=sum(each.cpu_s for each in self.results),
            max_rss_mb=max(each.max_rss_mb for each in self.results),
        )

    def fail(self, status: Status, reason: str) -> None:
        """See `Job`."""
        self.result = Result(status, (MISSING,) * len(self.stdins), reason=reason, tier=self.tier)


def outcome(frame: bytes, result_bytes: int) -> Outcome:
    """Return what a message says about one input.

    Raises:
        CodecError: it says nothing.
    """
    kind, body = frame[:1], frame[1:]
    if kind == RETURNED:
        return Outcome("returned", decode(body, result_bytes))
    if kind == RAISED:
        return Outcome("raised", None, text(body))
    if kind == OPAQUE:
        return Outcome("opaque", None, text(body))
    raise CodecError(f"no message starts with {kind!r}")


def text(body: bytes) -> str:
    """Return what the other side says in words, cut to a length that can be shown."""
    return body[:ERROR_BYTES].decode("utf-8", "replace")


def crash(error: str) -> Status:
    """Return the status of code that ended with an exception."""
    return "memory" if error.startswith("MemoryError") else "crash"


def make_result(
    status: Status, reason: str, outcomes: tuple[Outcome, ...], execution: Execution, ending: Ending, tier: str
) -> Result:
    """Put a result together."""
    return Result(
        status,
        outcomes,
        execution.stdout.decode("utf-8", "replace"),
        execution.stderr.decode("utf-8", "replace"),
        reason,
        tier,
        ending.wall_s,
        ending.cpu_s,
        ending.max_rss_mb,
    )
