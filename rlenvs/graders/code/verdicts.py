"""From what the sandbox found to grades."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rlenvs.graders.code.jobs import Report, Verdict, definite, run_jobs
from rlenvs.graders.question import Grade, GradeStatus, PendingCode

if TYPE_CHECKING:
    from rlenvs.sandbox import SandboxPool

__all__ = ["grade_of", "settle_code"]

STATUS: dict[str, GradeStatus] = {
    "ok": "ok",
    "crash": "ok",
    "unreadable": "invalid",
    "timeout": "timeout",
    "memory": "timeout",
    "output": "invalid",
    "malformed": "invalid",
}
"""The status of a grade by that of the execution."""


def settle_code(pending: Sequence[PendingCode], pool: "SandboxPool | None" = None) -> list[Grade]:
    """Run programs, as many at a time as there are workers, and grade them.

    Raises:
        GraderError: the sandbox failed for a reason that no program can provoke.
        SandboxError: there can be no sandbox on this machine; says what is missing.
    """
    reports = definite(run_jobs([item.question.job(item.code) for item in pending], pool))
    return [grade_of(report, item) for report, item in zip(reports, pending, strict=True)]


def grade_of(report: Report, item: PendingCode) -> Grade:
    """The grade of one program.

    The reason tells which test failed and how, never with a value: a policy that reads it learns no hidden test.
    """
    total = len(report.verdicts)
    if report.is_right:
        tests = "the tests" if total == 1 else f"all {total} tests"
        return Grade(1.0, True, "ok", item.code, f"passes {tests}")
    score = report.passed / total if item.question.shares else 0.0
    return Grade(score, False, STATUS[report.status], item.code, reason_of(report))


def reason_of(report: Report) -> str:
    """Why a program failed, in one line."""
    total = len(report.verdicts)
    failed: list[tuple[int, Verdict]] = [
        (number, verdict) for number, verdict in enumerate(report.verdicts, start=1) if not verdict.passed
    ]
    parts = [f"the program {report.reason}"] if report.reason else []
    if total > 1:
        parts.append(f"{report.passed} of {total} tests passed")
    if failed and (not report.reason or report.passed):
        number, verdict = failed[0]
        parts.append(f"test {number} {verdict.why}" if total > 1 else verdict.why)
    return "; ".join(parts)
