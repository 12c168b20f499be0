"""Several attempts at one problem."""

from collections.abc import Mapping
from typing import Any

from rlenvs.envs.protocols.base import Episode, Protocol, Turn
from rlenvs.envs.protocols.texts import checked_texts, extraction_of, quoted
from rlenvs.errors import ParameterError
from rlenvs.graders import Grade
from rlenvs.problems.checks import check_int

WHERE = {
    "whole": "Write the answer and nothing else.",
    "last_boxed": "Write the answer as \\boxed{...}.",
    "last_hash": "End with #### and the answer.",
    "last_answer_tag": "Write the answer as <answer>...</answer>.",
    "last_answer_line": "End with a line: Answer: and the answer.",
}
"""How to write an answer, by the task's `extract`."""


def how_to_answer(task: Mapping[str, Any]) -> str:
    """How the task wants its answer written; "" if there is no telling."""
    extract = extraction_of(task)
    if extract == "last_marker" and task.get("markers"):
        return f"End with a line: {task['markers'][0]} and the answer."
    return WHERE.get(extract, "")


class Retry(Protocol):
    """Up to `attempts` answers; each wrong one is answered with what is known about it, never with the gold answer.

    A right answer terminates the episode, and so does the last attempt: the policy is told how many are left, so
    running out of them is a result and not an interruption.

    The reward of an attempt is what it adds to the best score so far, times `discount` for each attempt before it. So a
    right answer at the first attempt gives 1.0, and no row of half-right attempts gives more than the best of them.

    Args:
        attempts: most answers, 1..1000.
        discount: factor on the reward per attempt before it, in [0, 1].
        feedback: replaces texts: "wrong" after an answer that is not right, fields {answer}, {left}, {attempt};
            "unreadable" after a message without a readable answer, fields {how}, {left}, {attempt}.

    Raises:
        ParameterError: a value out of range, an unknown text or field.

    Example:
        >>> from rlenvs.envs import TextEnv
        >>> from rlenvs.problems import ArithmeticSource
        >>> env = TextEnv(ArithmeticSource(digits=1), protocol=Retry(attempts=2, discount=0.5))
        >>> env.reset(seed=0)[0]
        '8+6='
        >>> env.step("15")[:4]
        ('15 is not right. Attempts left: 1.', 0.0, False, False)
        >>> env.step("14")[:4]
        ('', 0.5, True, False)
    """

    TEXTS = {  # noqa: RUF012
        "wrong": "{answer} is not right. Attempts left: {left}.",
        "unreadable": "There is no readable answer in this. {how} Attempts left: {left}.",
    }
    FIELDS = {"wrong": ("answer", "left", "attempt"), "unreadable": ("how", "left", "attempt")}  # noqa: RUF012

    def __init__(self, attempts: int = 3, discount: float = 1.0, feedback: Mapping[str, str] | None = None) -> None:
        self.attempts = check_int("attempts", attempts, 1, 1000)
        if isinstance(discount, bool) or not isinstance(discount, int | float) or not 0 <= discount <= 1:
            raise ParameterError("discount", f"must be a number in [0, 1], got {discount!r}")
        self.discount = float(discount)
        self.feedback = checked_texts("feedback", feedback, self.TEXTS, self.FIELDS)

    def begin(self, problem: object) -> dict[str, Any]:
        """The best score so far."""
        return {"best": 0.0}

    def reply(self, episode: Episode, response: str, grade: Grade) -> Turn:
        """Feedback, or the end."""
        gain = grade.score if self.attempts == 1 else max(0.0, grade.score - episode.memory["best"])
        episode.memory["best"] = max(episode.memory["best"], grade.score)
        reward = gain * self.discount ** (episode.turns - 1)
        left = self.attempts - episode.turns
        if grade.correct or left <= 0:
            return Turn("", True, reward=reward)
        return Turn(self._say(episode, grade, left), False, reward=reward)

    def info(self, episode: Episode) -> dict[str, Any]:
        """`attempts_left`."""
        return {"attempts_left": max(0, self.attempts - episode.turns)}

    def _say(self, episode: Episode, grade: Grade, left: int) -> str:
        if grade.status == "invalid" or grade.extracted is None:
            how = how_to_answer(episode.problem.task)
            text = self.feedback["unreadable"].format(how=how, left=left, attempt=episode.turns)
            return text if how else text.replace("  ", " ")
        answer = quoted(grade.extracted)
        return self.feedback["wrong"].format(answer=answer, left=left, attempt=episode.turns)
