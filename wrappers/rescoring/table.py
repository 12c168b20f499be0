"""The scores of stored responses as columns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rlenvs.wrappers.base import FloatArray
from rlenvs.wrappers.rescoring.rescore import ScoredBatch
from rlenvs.wrappers.rescoring.statistics import BoolArray
from rlenvs.wrappers.reward_batch import CodeArray


@dataclass(frozen=True)
class Scores:
    """The scores of N responses by one reward of K components, without the texts.

    Attributes:
        names: K component names.
        lines: `[N]` line numbers.
        truth: `[N]` true grades, NaN where nobody knows.
        right: `[N]` whether the response is right; False where nobody knows.
        total: `[N]` shaped rewards.
        raw: `[N, K]` values, NaN where an error is masked.
        contributions: `[N, K]` what each component added.
        codes: `[N, K]` statuses, as numbers of `STATUSES`.
        weights: `[2, K]` lowest and highest weight.
        paid: `[N]` rewards that were stored with the responses, NaN where none was.
    """

    names: tuple[str, ...]
    lines: npt.NDArray[np.int64]
    truth: FloatArray
    right: BoolArray
    total: FloatArray
    raw: FloatArray
    contributions: FloatArray
    codes: CodeArray
    weights: FloatArray
    paid: FloatArray

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def known(self) -> BoolArray:
        """`[N]` whether the true grade is known."""
        return ~np.isnan(self.truth)


class ScoreTable:
    """Gathers scored batches into `Scores`.

    Args:
        names: the component names.

    Example:
        >>> from rlenvs.wrappers.pipeline import RewardPipeline
        >>> from rlenvs.wrappers.rescoring.rescore import rescore
        >>> from rlenvs.wrappers.rescoring.stored_steps import StoredFields
        >>> pipeline = RewardPipeline.from_config({"reward_components": {"right": {"class": "CorrectnessReward"}}})
        >>> rows = [{"response": "4", "correct": True}, {"response": "5", "correct": False}]
        >>> table = ScoreTable(pipeline.names)
        >>> for batch in rescore(map(StoredFields().read, rows), pipeline):
        ...     table.add(batch)
        >>> table.scores().total.tolist(), table.scores().truth.tolist()
        ([1.0, 0.0], [1.0, 0.0])
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.batches: list[tuple[FloatArray, FloatArray, FloatArray, CodeArray]] = []
        self.weights: list[FloatArray] = []
        self.rows: list[tuple[int, float, bool, float]] = []

    def add(self, batch: ScoredBatch) -> None:
        """Take in what one call of the pipeline said."""
        result = batch.result
        self.batches.append((result.total, result.raw, result.contributions, result.codes))
        self.weights.append(result.weights)
        self.rows += [(step.line, step.truth, bool(step.right), step.paid) for step in batch.steps]

    def scores(self) -> Scores:
        """Return everything so far; at least one response."""
        lines, truth, right, paid = (np.array(column) for column in zip(*self.rows, strict=True))
        total, raw, contributions, codes = (np.concatenate(parts) for parts in zip(*self.batches, strict=True))
        weights = np.stack([np.min(self.weights, axis=0), np.max(self.weights, axis=0)])
        return Scores(self.names, lines, truth, right, total, raw, contributions, codes, weights, paid)
