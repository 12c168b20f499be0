"""What a task asks the sandbox to run, and what the results say, test by test.

Golds stay here: a job sends inputs only, in an order that the program cannot foresee, and compares what comes back.
"""

import builtins
import hashlib
import marshal
import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rlenvs.errors import GraderError
from rlenvs.graders.code.cases import CallCase, ScriptCase
from rlenvs.graders.code.comparison import Closeness, same_output, same_value
from rlenvs.sandbox.limits import Limits
from rlenvs.sandbox.program import Program
from rlenvs.sandbox.result import Outcome, Result

if TYPE_CHECKING:
    from rlenvs.sandbox import Duel, DuelResult, SandboxPool

__all__ = ["CallsJob", "DuelJob", "Job", "Report", "ScriptsJob", "Verdict", "run_jobs"]

BUILTIN_ERRORS = frozenset(
    name for name, item in vars(builtins).items() if isinstance(item, type) and issubclass(item, BaseException)
)
"""Names that a log may repeat. Any other name is the program's own choice, and may spell out a hidden input."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one test."""

    passed: bool
    why: str
    """Why it failed, without any value or text of the program; empty where it passed."""
    outcome: Outcome | None = None
    """What came back. It may repeat inputs: show it for visible tests only."""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of all tests of a task."""

    status: str
    """The status of the execution, as `rlenvs.sandbox.Result` has it; or "unreadable": there was nothing to execute."""
    verdicts: tuple[Verdict, ...]
    """In the order of the task."""
    reason: str
    """Why the execution came to a bad end, in words that hold nothing of the program."""
    detail: str = ""
    """The same with what the program said. It may repeat inputs: show it for visible tests only."""

    @property
    def passed(self) -> int:
        """How many tests passed."""
        return sum(verdict.passed for verdict in self.verdicts)

    @property
    def is_right(self) -> bool:
        """Whether the execution came to a good end and all tests passed."""
        return self.status == "ok" and bool(self.verdicts) and self.passed == len(self.verdicts)


class ProgramJob(ABC):
    """A job that runs a program by itself."""

    @abstractmethod
    def program(self) -> Program:
        """What to run."""

    @abstractmethod
    def read(self, result: Result) -> Report:
        """What the result says."""


def shuffled(count: int, code: str, salt: bytes) -> list[int]:
    """An order of the tests that is the same for the same program and task, and tells a program nothing."""
    digest = hashlib.blake2b(code.encode("utf-8", "surrogatepass") + b"\0" + salt, digest_size=8).digest()
    order = list(range(count))
    random.Random(int.from_bytes(digest, "big")).shuffle(order)
    return order


@dataclass(frozen=True, slots=True)
class CallsJob(ProgramJob):
    """Calls of one function, all in one process."""

    code: str
    entry_point: str
    cases: tuple[CallCase, ...]
    closeness: Closeness | None
    limits: Limits

    def order(self) -> list[int]:
        """Indices of the tests in the order of the calls: what counts calls cannot know which one comes when."""
        # Version 2 of the format writes the same bytes for equal values, whoever else holds references to them.
        salt = marshal.dumps([(case.args, case.kwargs, case.expected) for case in self.cases], 2)
        return shuffled(len(self.cases), self.code, salt)

    def program(self) -> Program:
        """The calls, shuffled."""
        inputs = [self.cases[index].input for index in self.order()]
        return Program(self.code, inputs, entry_point=self.entry_point, limits=self.limits)

    def read(self, result: Result) -> Report:
        """Compare what came back."""
        verdicts = [missing() for _ in self.cases]
        for index, outcome in zip(self.order(), result.outcomes, strict=False):
            is_right = same_value(outcome.value, self.cases[index].expected, self.closeness)
            verdicts[index] = judged(outcome, is_right)
        return ended(result.status, tuple(verdicts), result.reason, self.entry_point)


@dataclass(frozen=True, slots=True)
class ScriptsJob(ProgramJob):
    """Runs of one program, each in a process of its own."""

    code: str
    cases: tuple[ScriptCase, ...]
    closeness: Closeness | None
    limits: Limits

    def program(self) -> Program:
        """The runs."""
        return Program(self.code, [case.stdin for case in self.cases], entry_point=None, limits=self.limits)

    def read(self, result: Result) -> Report:
        """Compare what was printed."""
        verdicts = [missing() for _ in self.cases]
        for index, (case, outcome) in enumerate(zip(self.cases, result.outcomes, strict=False)):
            is_right = type(outcome.value) is str and same_output(outcome.value, case.stdout, self.closeness)
            verdicts[index] = judged(outcome, is_right)
        return ended(result.status, tuple(verdicts), result.reason, None)


@dataclass(frozen=True, slots=True)
class DuelJob:
    """Asserts that call the program: the two in separate sandboxes. The whole counts as one test."""

    code: str
    entry_point: str
    test_code: str
    setup_code: str
    limits: Limits

    def duel(self) -> "Duel":
        """What to run."""
        from rlenvs.sandbox import Duel

        return Duel(self.test_code, self.code, self.entry_point, self.setup_code, self.limits)

    def read(self, result: "DuelResult") -> Report:
        """What the asserts found."""
        if result.status == "passed" and result.calls == 0:
            return Report("error", (missing(),), UNUSED, UNUSED)
        if result.status == "passed":
            return Report("ok", (Verdict(True, ""),), "")
        if result.status == "failed":
            return Report("ok", (Verdict(False, "an assertion failed"),), "", result.reason)
        return ended(result.status, (missing(),), result.reason, self.entry_point)


UNUSED = "the asserts never use what the program defines"
Job = ProgramJob | DuelJob
"""A program and its tests."""


def missing() -> Verdict:
    """The verdict on a test without an outcome."""
    return Verdict(False, "gave nothing")


def judged(outcome: Outcome, is_right: bool) -> Verdict:
    """The verdict on one outcome, given whether its value is the right one."""
    if outcome.status == "returned":
        return Verdict(is_right, "" if is_right else "gave a wrong answer", outcome)
    if outcome.status == "raised":
        return Verdict(False, f"raised {error_name(outcome.error)}", outcome)
    if outcome.status == "opaque":
        return Verdict(False, "gave something other than plain data", outcome)
    return missing()


def error_name(error: str) -> str:
    """The name of a builtin exception, or a word for any other."""
    name = error.partition(":")[0].strip()
    return name if name in BUILTIN_ERRORS else ANY_ERROR


ANY_ERROR = "an exception"
UNREADABLE = ("SyntaxError", "IndentationError", "TabError")
ENDS = {
    "timeout": "ran out of time",
    "memory": "ran out of memory",
    "output": "printed or returned more than is allowed",
    "crash": "ended before its tests",
    "malformed": "sent what cannot be read",
}


def ended(status: str, verdicts: tuple[Verdict, ...], detail: str, entry_point: str | None) -> Report:
    """The report on an execution that came to an end of this status, good or bad."""
    if status != "crash":
        return Report(status, verdicts, ENDS.get(status, ""), detail)
    name = error_name(detail)
    if name in UNREADABLE:
        return Report("unreadable", verdicts, "is no Python", detail)
    if entry_point is not None and detail.removeprefix("NameError: ") == f"there is no {entry_point}":
        return Report("unreadable", verdicts, f"does not define {entry_point}", detail)
    return Report(status, verdicts, ENDS[status] if name == ANY_ERROR else f"raised {name} before its tests", detail)


def run_jobs(jobs: Sequence[Job], pool: "SandboxPool | None" = None) -> list[Report]:
    """Run jobs in the sandbox, as many at a time as it has workers.

    Args:
        jobs: what to run.
        pool: where; the pool of this process by default.

    Returns:
        One report per job, in their order. The status "error" is one that no program can provoke: see `definite`.

    Raises:
        SandboxError: there can be no sandbox on this machine; says what is missing.
    """
    from rlenvs.sandbox import default_pool

    if not jobs:
        return []
    pool = default_pool() if pool is None else pool
    programs = [(index, job) for index, job in enumerate(jobs) if isinstance(job, ProgramJob)]
    duels = [(index, job) for index, job in enumerate(jobs) if isinstance(job, DuelJob)]
    reports: dict[int, Report] = {}
    if programs:
        results = pool.run_batch([job.program() for _, job in programs])
        reports |= {index: job.read(result) for (index, job), result in zip(programs, results, strict=True)}
    if duels:
        found = pool.duel_batch([job.duel() for _, job in duels])
        reports |= {index: job.read(result) for (index, job), result in zip(duels, found, strict=True)}
    return [reports[index] for index in range(len(jobs))]


def definite(reports: Sequence[Report]) -> Sequence[Report]:
    """The same reports.

    Raises:
        GraderError: one of them tells of a failure that no program can provoke.
    """
    for report in reports:
        if report.status == "error":
            raise GraderError(f"a program could not be judged: {report.detail}")
    return reports
