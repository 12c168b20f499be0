"""Is the answer right, by the environment's own grader."""

from collections.abc import Sequence
from typing import ClassVar, Final

import numpy as np

from rlenvs.wrappers.base import OK, BaseReward, FloatArray, Score
from rlenvs.wrappers.component_registry import register_reward
from rlenvs.wrappers.parameters import finite_number
from rlenvs.wrappers.transition import Transition
from rlenvs.wrappers.transition_batch import TransitionBatch

UNJUDGED: Final = object()
"""In place of the verdict of a step that has none."""


@register_reward()
class CorrectnessReward(BaseReward):
    """`correct` where the environment's grader accepts the response, else `incorrect`.

    The grade's status is passed on: a response without a readable answer is `invalid` and counts as `incorrect`.
    On a step without a verdict (token level, before the message ends) the reward is 0.

    Args:
        correct: reward of a right answer.
        incorrect: reward of a wrong one.

    Range: {incorrect, 0, correct}.

    Raises:
        ParameterError: a reward that is not finite.

    Example:
        >>> graded = {"correct": True, "grade_status": "ok"}
        >>> CorrectnessReward()(Transition(terminated=True, info=graded))
        Score(value=1.0, status='ok')
    """

    is_task: ClassVar[bool] = True
    effect: ClassVar[str] = "answering right, as the grader sees it"

    def __init__(self, correct: float = 1.0, incorrect: float = 0.0) -> None:
        self.correct = finite_number("correct", correct)
        self.incorrect = finite_number("incorrect", incorrect)

    def __call__(self, transition: Transition) -> Score:
        """Score one transition.

        Raises:
            KeyError: an episode ended and the environment gave no verdict.
        """
        info = transition.info
        if "correct" not in info:
            if transition.terminated:
                raise KeyError("info has no 'correct': this environment does not grade its answers")
            return Score(0.0)
        value = self.correct if info["correct"] else self.incorrect
        return Score(value, str(info.get("grade_status", "ok")))

    def batch(self, transitions: Sequence[Transition]) -> FloatArray | list[Score]:
        """Score N transitions, by columns where there are some.

        Raises:
            KeyError: an episode ended and the environment gave no verdict.
        """
        batch = TransitionBatch.of(transitions)
        verdicts = batch.infos.column("correct", UNJUDGED)
        judged = np.array([verdict is not UNJUDGED for verdict in verdicts], dtype=np.bool_)
        if (batch.terminated & ~judged).any():
            raise KeyError("info has no 'correct': this environment does not grade its answers")
        right = np.array([verdict is not UNJUDGED and bool(verdict) for verdict in verdicts], dtype=np.bool_)
        values: FloatArray = np.where(judged, np.where(right, self.correct, self.incorrect), 0.0)
        statuses = batch.infos.column("grade_status", OK) if judged.any() else []
        if set(statuses) <= {OK}:
            return values
        return [
            Score(value, str(status) if known else OK)
            for value, status, known in zip(values.tolist(), statuses, judged.tolist(), strict=True)
        ]
