"""Whether a code task is fit to be paid for: what solves nothing must not pass it, and its own solution must.

`check_task` runs, in the sandbox, programs that solve nothing (`rlenvs.graders.code.trivial`) and the reference
solution where there is one. A task that the first can pass, or that the second cannot, would teach the wrong thing.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rlenvs.errors import GraderError
from rlenvs.graders.code.jobs import Job, Report, run_jobs
from rlenvs.graders.code.questions import CodeQuestion, FunctionQuestion, question_of
from rlenvs.graders.code.trivial import Trivial, trivial_programs
from rlenvs.graders.code.verdicts import reason_of
from rlenvs.graders.tasks import policy_of

if TYPE_CHECKING:
    from rlenvs.sandbox import SandboxPool

__all__ = ["check_task", "check_tasks"]

MIN_BOOLEAN_TESTS = 10
MIN_BOOLEAN_SHARE = 0.25
"""Of the rarer answer. Ten balanced tests leave a program that guesses one chance in a thousand."""


def check_task(
    task: Mapping[str, Any],
    solution: str | None = None,
    *,
    prompt: str | None = None,
    pool: "SandboxPool | None" = None,
) -> list[str]:
    r"""What speaks against a code task; empty where it is fit.

    Args:
        task: the record; `rlenvs.graders.code` has the schema.
        solution: the code of a right solution, to be held to the tests.
        prompt: what the policy is shown; the task's own `prompt` or `question` by default.
        pool: the sandbox; the pool of this process by default.

    Example:
        >>> tests = [{"args": [n], "expected": 7} for n in range(3)]
        >>> check_task({"type": "function", "entry_point": "seven", "tests": tests})
        ['passed by a program that always returns 7']
    """
    return check_tasks([task], [solution], prompts=[prompt], pool=pool)[0]


def check_tasks(
    tasks: Sequence[Mapping[str, Any]],
    solutions: Sequence[str | None] | None = None,
    *,
    prompts: Sequence[str | None] | None = None,
    pool: "SandboxPool | None" = None,
) -> list[list[str]]:
    """`check_task` for many tasks, all of their programs in one batch."""
    solutions = [None] * len(tasks) if solutions is None else solutions
    prompts = [None] * len(tasks) if prompts is None else prompts
    problems: list[list[str]] = []
    jobs: list[Job] = []
    askers: list[tuple[int, Trivial | None, str]] = []
    for row, (task, solution, prompt) in enumerate(zip(tasks, solutions, prompts, strict=True)):
        try:
            question = question_of(task)
            policy_of(task, task["type"])
        except GraderError as error:
            problems.append([str(error)])
            continue
        problems.append(unbalanced(question))
        shown = prompt if prompt is not None else task.get("prompt", task.get("question"))
        for program in trivial_programs(question, shown if isinstance(shown, str) else ""):
            jobs.append(question.job(program.code))
            askers.append((row, program, ""))
        if solution is not None:
            jobs.append(question.job(solution))
            askers.append((row, None, ""))
            visible = question.visible_job(solution)
            if visible is not None:
                jobs.append(visible)
                askers.append((row, None, ", visible tests"))
    for (row, asked, where), report in zip(askers, run_jobs(jobs, pool), strict=True):
        problems[row].extend(problems_of(asked, report, where))
    return [list(dict.fromkeys(found)) for found in problems]


def problems_of(asked: Trivial | None, report: Report, where: str) -> list[str]:
    """What one run says against the task; `where` names the tests if they are not those that decide."""
    if report.status == "error":
        return [f"cannot be graded by{where}: {report.detail}"]
    if asked is not None:
        return [f"passed by a program that {asked.what}"] if report.is_right else []
    return [] if report.is_right else [f"refuses its own solution{where}: {reason_of(report)}"]


def unbalanced(question: CodeQuestion) -> list[str]:
    """What speaks against a task that asks yes or no, if this is one."""
    if not isinstance(question, FunctionQuestion) or not all(
        isinstance(case.expected, bool) for case in question.tests
    ):
        return []
    total, yes = len(question.tests), sum(case.expected for case in question.tests)
    if total < MIN_BOOLEAN_TESTS:
        return [f"asks yes or no with {total} tests: a guess would pass too often, give at least {MIN_BOOLEAN_TESTS}"]
    if min(yes, total - yes) < MIN_BOOLEAN_SHARE * total:
        return [f"asks yes or no with {yes} of {total} tests true: each answer must be that of a quarter or more"]
    return []
