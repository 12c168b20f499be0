"""Programs that are run, shown where they fail, and written again."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from rlenvs.envs.messages import Message
from rlenvs.envs.protocols.base import Episode, Protocol, Turn, opening
from rlenvs.envs.protocols.texts import check_text, checked_texts
from rlenvs.errors import DataError, ParameterError
from rlenvs.graders import Grade, compile_task
from rlenvs.graders.code import CodeQuestion, VisibleReport, run_visible
from rlenvs.graders.extraction import Extraction, extract_answer
from rlenvs.problems import Problem
from rlenvs.problems.checks import check_int
from rlenvs.sandbox import default_pool

MORE = "... and {count} more"
"""Stands for failures that are left out."""


class WriteRunFix(Protocol):
    """Up to `attempts` programs; one that fails visible tests is answered with what failed, never with a hidden test.

    The program of a message is its last Python block. It is run on the task's `visible_tests`, or held to the asserts
    of its `visible_test_code`, which are one test. If all of them pass, it is the answer: the hidden tests decide, and
    the episode terminates. So does the last attempt, whatever it is: the policy is told how many are left, so running
    out of them is a result and not an interruption. A task without visible tests gives one attempt to a program.

    The reward is the score on the hidden tests, times `discount` for each attempt before. `info["progress"]` is the
    share of visible tests that the newest program passes, made to be a potential.

    Args:
        attempts: most messages, 1..1000.
        discount: factor on the reward per attempt before it, in [0, 1].
        instructions: said after the prompt; "" for nothing.
        max_feedback_chars: of the failures, at most so much is shown, 80..1000000.
        feedback: replaces texts: "failed" after a program that fails visible tests, fields {passed}, {total},
            {failures}, {left}, {attempt}; "unreadable" after a message without a program, fields {reason}, {left},
            {attempt}.

    Raises:
        ParameterError: a value out of range, an unknown text or field.

    Example:
        >>> from rlenvs.envs.suite import SuiteEnv
        >>> env = SuiteEnv("code", WriteRunFix(attempts=2))
        >>> prompt, info = env.reset(seed=0)
        >>> info["attempts_left"], info["visible_passed"], info["visible_total"]
        (2, 0, 3)
    """

    follows_demonstration = False

    TEXTS = {  # noqa: RUF012
        "failed": "{passed} of {total} tests passed.\n{failures}\nAttempts left: {left}.",
        "unreadable": "There is no program to run: {reason}. Attempts left: {left}.",
    }
    FIELDS = {  # noqa: RUF012
        "failed": ("passed", "total", "failures", "left", "attempt"),
        "unreadable": ("reason", "left", "attempt"),
    }
    INSTRUCTIONS = "The program will be run. Where it fails, you will be shown how, and can send a better one."

    def __init__(
        self,
        attempts: int = 4,
        discount: float = 1.0,
        instructions: str = INSTRUCTIONS,
        max_feedback_chars: int = 2000,
        feedback: Mapping[str, str] | None = None,
    ) -> None:
        self.attempts = check_int("attempts", attempts, 1, 1000)
        if isinstance(discount, bool) or not isinstance(discount, int | float) or not 0 <= discount <= 1:
            raise ParameterError("discount", f"must be a number in [0, 1], got {discount!r}")
        self.discount = float(discount)
        self.instructions = check_text("instructions", instructions)
        self.max_feedback_chars = check_int("max_feedback_chars", max_feedback_chars, 80, 10**6)
        self.feedback = checked_texts("feedback", feedback, self.TEXTS, self.FIELDS)

    def open(self, problem: Problem) -> list[Message]:
        """The prompt and the instructions."""
        return opening(problem, self.instructions)

    def begin(self, problem: Problem) -> dict[str, Any]:
        """No visible test has passed yet.

        Raises:
            DataError: the task is not one that a program answers.
            SandboxError: programs cannot be isolated on this machine; says what is missing and what to do.
        """
        job = question_of(problem).visible_job("")
        default_pool()
        # Asserts are one test, calls and runs are many.
        return {"passed": 0, "total": 0 if job is None else len(getattr(job, "cases", [job]))}

    def examine(self, episodes: Sequence[Episode], responses: Sequence[str]) -> None:
        """Run the program of each message on the visible tests, all in one batch."""
        questions = [question_of(episode.problem) for episode in episodes]
        programs = [program_in(*pair).answer for pair in zip(questions, responses, strict=True)]
        places = [place for place, program in enumerate(programs) if program is not None]
        reports = run_visible([questions[place] for place in places], [programs[place] or "" for place in places])
        found = dict(zip(places, reports, strict=True))
        for place, episode in enumerate(episodes):
            episode.memory["report"] = noted(found.get(place))

    def answer(self, episode: Episode, response: str) -> str | None:
        """A program that passes all visible tests, the last attempt, or what is no program."""
        report = episode.memory["report"]
        is_ready = report is None or report["passed"] == report["total"]
        return response if is_ready or episode.turns + 1 >= self.attempts else None

    def reply(self, episode: Episode, response: str, grade: Grade) -> Turn:
        """What failed, or the end."""
        memory, left = episode.memory, self.attempts - episode.turns
        report = memory.pop("report", None)
        if grade.status == "invalid" and grade.extracted is None:  # too long, or without a program
            text = self.feedback["unreadable"].format(reason=grade.reason, left=left, attempt=episode.turns)
            progress = self._share(memory)
            return (
                Turn("", True, reward=0.0, progress=progress) if left <= 0 else Turn(text, False, False, 0.0, progress)
            )
        memory["passed"], memory["total"] = report["passed"], report["total"]
        if left <= 0 or memory["passed"] == memory["total"]:
            progress = self._share(memory) if memory["total"] else float(grade.correct)
            return Turn("", True, reward=grade.score * self.discount ** (episode.turns - 1), progress=progress)
        text = self.feedback["failed"].format(
            passed=memory["passed"],
            total=memory["total"],
            failures=shortened(report["lines"], self.max_feedback_chars),
            left=left,
            attempt=episode.turns,
        )
        return Turn(text, False, reward=0.0, progress=self._share(memory))

    def info(self, episode: Episode) -> dict[str, Any]:
        """`attempts_left`; `visible_passed` of `visible_total` tests by the newest program."""
        return {
            "attempts_left": max(0, self.attempts - episode.turns),
            "visible_passed": episode.memory["passed"],
            "visible_total": episode.memory["total"],
        }

    def _share(self, memory: Mapping[str, Any]) -> float:
        return memory["passed"] / memory["total"] if memory["total"] else 0.0


def question_of(problem: Problem) -> CodeQuestion:
    """The task of a problem, checked.

    Raises:
        DataError: it is not one that a program answers.
        GraderError: nothing could be graded by it; says which key.
    """
    question = compile_task(problem.task)
    if not isinstance(question, CodeQuestion):
        kind = problem.task.get("type")
        raise DataError(
            f"problem {problem.id!r}: protocol 'code' needs a task that a program answers, got type {kind!r}"
        )
    return question


def program_in(question: CodeQuestion, response: str) -> Extraction:
    """The program of a message, as the grader finds it."""
    policy = question.policy
    return extract_answer(
        response,
        policy.extract,
        policy.markers,
        after_think=policy.after_think,
        max_chars=question.max_answer_chars,
    )


def noted(report: VisibleReport | None) -> dict[str, Any] | None:
    """A report as plain JSON."""
    if report is None:
        return None
    return {"passed": report.passed, "total": report.total, "lines": list(report.lines)}


def shortened(lines: Sequence[str], most: int) -> str:
    r"""As many lines as fit, and how many do not.

    Example:
        >>> shortened(["f(1) returned 2", "f(2) returned 3", "f(3) returned 4"], 36)
        'f(1) returned 2\n... and 2 more'
    """
    text = "\n".join(lines)
    if len(text) <= most:
        return text
    room = most - len(MORE.format(count=len(lines))) - 1
    ends = itertools.accumulate(len(line) + 1 for line in lines)
    kept = list(lines[: sum(1 for _ in itertools.takewhile(lambda end: end - 1 <= room, ends))])
    if not kept:
        kept = [lines[0][: room - 3] + "..."]
    left = len(lines) - len(kept)
    return "\n".join([*kept, MORE.format(count=left)] if left else kept)
