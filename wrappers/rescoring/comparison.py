"""Where a reward and the truth disagree, and where two rewards do."""

from dataclasses import dataclass, field

import numpy as np

from rlenvs.wrappers.base import FloatArray
from rlenvs.wrappers.rescoring.statistics import (
    BoolArray,
    Separation,
    kendall,
    midranks,
    pearson,
    separation_gain,
    spearman,
)
from rlenvs.wrappers.rescoring.table import Scores


@dataclass(frozen=True)
class Disagreement:
    """A response whose reward may contradict its true grade.

    Attributes:
        row: its place among the scores.
        line: its line in the file.
        reward: shaped reward.
        component: what lifts it most above, or pulls it most below, what that component usually adds.
        contribution: of that component.
        usual: median contribution of that component.
        ties: how many of its kind, right or wrong, get the same reward.
    """

    row: int
    line: int
    reward: float
    component: str
    contribution: float
    usual: float
    ties: int


@dataclass(frozen=True)
class Comparison:
    """Two rewards for the same responses.

    Attributes:
        gain: by how much the second one tells right from wrong better, as a difference of AUC.
        spearman: correlation of the ranks of their totals.
        kendall: tau-b of their totals.
        pearson: correlation of their totals.
        apart: rows that they rank most differently, the largest difference first.
        ranks: `[2, N]` share of the responses that are paid less by each, ties counting half, in [0, 1].
    """

    gain: Separation
    spearman: float
    kendall: float
    pearson: float
    apart: list[int] = field(default_factory=list)
    ranks: FloatArray = field(default_factory=lambda: np.zeros((2, 0)))


def disagreements(scores: Scores, count: int) -> tuple[list[Disagreement], list[Disagreement]]:
    """Return the wrong responses that are paid most and the right ones that are paid least, worst first.

    Args:
        scores: of one reward.
        count: at most so many of each kind.
    """
    known = scores.known
    right, wrong = known & scores.right, known & ~scores.right
    most = [row for row in np.argsort(-scores.total, kind="stable").tolist() if wrong[row]][:count]
    least = [row for row in np.argsort(scores.total, kind="stable").tolist() if right[row]][:count]
    return [_disagreement(scores, row, 1.0, wrong) for row in most], [
        _disagreement(scores, row, -1.0, right) for row in least
    ]


def compare(first: Scores, second: Scores, count: int) -> Comparison:
    """Compare two rewards for the same responses.

    Args:
        first: scores by one reward.
        second: scores of the same responses by another one.
        count: at most so many responses that they rank most differently.
    """
    known = first.known
    ranks = np.stack([(midranks(scores.total) - 0.5) / len(scores) for scores in (first, second)])
    distance = np.abs(ranks[0] - ranks[1])
    order = np.argsort(-distance, kind="stable")[:count]
    return Comparison(
        gain=separation_gain(first.total[known], second.total[known], first.right[known]),
        spearman=spearman(first.total, second.total),
        kendall=kendall(first.total, second.total),
        pearson=pearson(first.total, second.total),
        apart=[row for row in order.tolist() if distance[row] > 0.0],
        ranks=ranks,
    )


def _disagreement(scores: Scores, row: int, sign: float, kind: BoolArray) -> Disagreement:
    usual = np.median(scores.contributions, axis=0)  # one very long response moves a mean
    added = scores.contributions[row]
    column = max(range(len(added)), key=lambda k: (sign * (added[k] - usual[k]), sign * added[k]))
    return Disagreement(
        int(row),
        int(scores.lines[row]),
        float(scores.total[row]),
        scores.names[column],
        float(scores.contributions[row, column]),
        float(usual[column]),
        int((kind & (scores.total == scores.total[row])).sum()),
    )
