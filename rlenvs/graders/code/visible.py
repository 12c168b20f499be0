"""What a program does on the tests that a policy may see: the feedback of environments."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlenvs.errors import UserError
from rlenvs.graders.code.jobs import CallsJob, DuelJob, Job, Report, ScriptsJob, Verdict, definite, run_jobs
from rlenvs.graders.code.questions import CodeQuestion, question_of

if TYPE_CHECKING:
    from rlenvs.sandbox import SandboxPool

__all__ = ["VisibleReport", "run_visible"]

MAX_SHOWN_CHARS = 200
"""Characters of one value in a line."""


@dataclass(frozen=True, slots=True)
class VisibleReport:
    """How a program did on visible tests."""

    passed: int
    total: int
    """0 where the task shows no tests."""
    lines: tuple[str, ...]
    """For the policy: one line for each failing test, or for what kept the program from its tests."""

    @property
    def share(self) -> float:
        """The share of visible tests that passed, in [0, 1]; 0 where there are none."""
        return self.passed / self.total if self.total else 0.0


def run_visible(
    tasks: Sequence[Mapping[str, Any] | CodeQuestion], codes: Sequence[str], pool: "SandboxPool | None" = None
) -> list[VisibleReport]:
    """Run programs on the visible tests of their tasks, in one batch. Hidden tests are not touched.

    Args:
        tasks: records of code tasks, or what `compile_task` made of them.
        codes: one program for each: the text of the code, without its fence.
        pool: the sandbox; the pool of this process by default.

    Raises:
        GraderError: a record cannot be graded by, or the sandbox failed.
        UserError: the lengths differ, or a program is not a text.
    """
    if len(tasks) != len(codes):
        raise UserError(f"run_visible needs one program per task, got {len(tasks)} tasks and {len(codes)} programs")
    for code in codes:
        if not isinstance(code, str):
            raise UserError(f"run_visible: a program must be a str, got {type(code).__name__}")
    questions = list(map(question_of, tasks))
    jobs = [question.visible_job(code) for question, code in zip(questions, codes, strict=True)]
    waiting = [job for job in jobs if job is not None]
    reports = iter(definite(run_jobs(waiting, pool)))
    return [VisibleReport(0, 0, ()) if job is None else visible_report(job, next(reports)) for job in jobs]


def visible_report(job: Job, report: Report) -> VisibleReport:
    """The report as the policy reads it."""
    if isinstance(job, DuelJob):
        lines = [] if report.is_right else [failed_assert(job, report.detail)]
    else:
        assert isinstance(job, CallsJob | ScriptsJob)
        lines = [
            f"{asked} {did(verdict, verb)}, expected {expected}"
            for (asked, verb, expected), verdict in zip(questions_of(job), report.verdicts, strict=True)
            if not verdict.passed
        ]
    if report.reason:
        lines = [f"The program {report.reason}{detail_of(report)}.", *(lines if report.passed else [])]
    return VisibleReport(report.passed, len(report.verdicts), tuple(lines))


def failed_assert(job: DuelJob, detail: str) -> str:
    """The line of visible asserts that failed, and how; only how where that line may be one of the set-up code."""
    place = LINE_NUMBER.search(detail)
    lines = job.test_code.splitlines()
    if place is None or job.setup_code or not 1 <= int(place[1]) <= len(lines):
        return f"{job.entry_point} failed its test: {said(detail)}"
    line = re.sub(r"\bcandidate\b", job.entry_point, lines[int(place[1]) - 1].strip())
    return f"{clipped(line)} failed: {said(detail[: place.start()])}"


LINE_NUMBER = re.compile(r" \(line (\d{1,9})\)\Z")


def questions_of(job: CallsJob | ScriptsJob) -> list[tuple[str, str, str]]:
    """Of each test what was asked, the verb for its answer, and what was expected."""
    if isinstance(job, ScriptsJob):
        return [
            (f"input {shown_value(case.stdin)}", "printed", f"output {shown_value(case.stdout)}") for case in job.cases
        ]
    asked = []
    for case in job.cases:
        named = [f"{name}={shown_value(value)}" for name, value in case.kwargs.items()]
        arguments = ", ".join([*map(shown_value, case.args), *named])
        asked.append((f"{job.entry_point}({arguments})", "returned", shown_value(case.expected)))
    return asked


def did(verdict: Verdict, verb: str) -> str:
    """What came of one failing test."""
    outcome = verdict.outcome
    if outcome is not None and outcome.status == "returned":
        return f"{verb} {shown_value(outcome.value)}"
    if outcome is not None and outcome.status == "raised":
        return f"raised {said(outcome.error)}"
    return verdict.why


def detail_of(report: Report) -> str:
    """What the program itself said of its end."""
    return f" ({said(report.detail)})" if report.status in ("crash", "unreadable") and report.detail else ""


def shown_value(value: object) -> str:
    """A value as one line of bounded length."""
    try:
        return clipped(repr(value))
    except (ValueError, RecursionError):  # integers of more digits than Python converts, nesting
        return f"{type(value).__name__} too long to show"


def said(text: str) -> str:
    """What an exception says, without addresses: they differ from run to run, and an episode has to be repeatable."""
    return clipped(ADDRESS.sub(" at 0x...", text))


ADDRESS = re.compile(r" at 0x[0-9a-f]{4,16}\b")


def clipped(text: str) -> str:
    """A text as one printable line of bounded length."""
    text = text if len(text) <= MAX_SHOWN_CHARS else text[:MAX_SHOWN_CHARS] + "..."
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
