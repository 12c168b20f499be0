"""What scores say of a reward: distributions, agreement with the truth, disagreements, comparisons."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rlenvs.wrappers.rescoring.comparison import compare, disagreements
from rlenvs.wrappers.rescoring.summary import BINS, agreement, distribution, summarize
from rlenvs.wrappers.rescoring.table import Scores


def scores(contributions, truth, raw=None, codes=None, weights=None, paid=None, total=None):
    contributions = np.array(contributions, dtype=np.float64)
    count, parts = contributions.shape
    truth = np.array(truth, dtype=np.float64)
    return Scores(
        names=tuple("abcdef"[:parts]),
        lines=np.arange(10, 10 + count),
        truth=truth,
        right=truth >= 0.5,
        total=contributions.sum(axis=1) if total is None else np.array(total, dtype=np.float64),
        raw=contributions if raw is None else np.array(raw, dtype=np.float64),
        contributions=contributions,
        codes=np.zeros((count, parts), np.uint8) if codes is None else np.array(codes, np.uint8),
        weights=np.ones((2, parts)) if weights is None else np.array(weights, dtype=np.float64),
        paid=np.full(count, np.nan) if paid is None else np.array(paid, dtype=np.float64),
    )


@given(arrays(np.float64, st.integers(2, 40), elements=st.floats(-1e6, 1e6)))
def test_a_distribution_is_numpys(values):
    found = distribution(values)
    assert found.count == len(values) == sum(found.histogram)
    assert (found.minimum, found.maximum) == (values.min(), values.max())
    assert found.quartiles == pytest.approx(np.percentile(values, [25, 50, 75]))
    assert found.mean == pytest.approx(values.mean(), abs=1e-9)
    assert found.std == pytest.approx(values.std(), abs=1e-9)
    if values.min() < values.max():
        assert len(found.histogram) == BINS
        assert found.histogram[0] > 0
        assert found.histogram[-1] > 0


def test_equal_values_have_no_spread_at_all():
    found = distribution(np.full(10, 0.1))  # whose mean is 0.09999999999999999
    assert (found.mean, found.std, found.histogram) == (0.1, 0.0, (10,))


def test_no_values_have_no_distribution():
    found = distribution(np.zeros(0))
    assert found.count == 0
    assert math.isnan(found.mean)


def test_agreement_in_closed_form():
    found = agreement(
        np.array([1.0, 3.0, 0.0, 2.0]), np.array([1.0, 1.0, 0.0, 0.0]), np.array([True, True, False, False])
    )
    assert (found.right, found.wrong, found.gap) == (2.0, 1.0, 1.0)
    assert found.separation.auc == 0.75  # 3 > 2 > 1 > 0: three of the four pairs
    assert found.pearson == pytest.approx(1 / math.sqrt(5))


def test_a_column_that_never_changes_is_not_said_to_be_a_coin_flip():
    found = agreement(np.ones(4), np.array([1.0, 1.0, 0.0, 0.0]), np.array([True, True, False, False]))
    assert math.isnan(found.separation.auc)
    assert math.isnan(found.pearson)
    assert found.gap == 0.0


def test_masked_values_and_unknown_grades_are_left_out_and_counted():
    summary = summarize(
        scores(
            contributions=[[2.0, 0.0], [0.0, 1.0], [5.0, 0.0], [1.0, 1.0]],
            truth=[1.0, 0.0, math.nan, 0.0],
            raw=[[2.0, math.nan], [0.0, 1.0], [5.0, 7.0], [1.0, 1.0]],
            codes=[[0, 3], [1, 0], [0, 0], [2, 0]],
            weights=[[0.5, 1.0], [1.0, 1.0]],
        )
    )
    assert (summary.responses, summary.right, summary.wrong) == (4, 1, 2)
    first, second = summary.components
    assert first.statuses == {"ok": 2, "invalid": 1, "timeout": 1}
    assert second.statuses == {"ok": 3, "error": 1}
    assert (first.values.count, second.values.count) == (4, 3)
    assert second.values.maximum == 7.0
    assert first.weights == (0.5, 1.0)
    assert first.paid.gap == 2.0 - 0.5
    assert math.isnan(second.raw.right)  # the one right response is masked
    assert second.paid.right == 0.0  # and got nothing
    assert first.share + second.share == pytest.approx(1.0)
    assert summary.stored == 0
    assert math.isnan(summary.largest_change)


def test_wrong_responses_that_are_paid_like_right_ones_count_whatever_the_rounding():
    # The mean of 0.1, 0.1 and 0.1 is not 0.1.
    summary = summarize(scores([[0.1]] * 5 + [[0.0]], truth=[1, 1, 1, 0, 0, 0]))
    assert summary.total.overpaid == pytest.approx(2 / 3)
    assert summary.total.underpaid == 0.0
    assert summarize(scores([[1.0], [-2.0], [0.0]], [1, 1, 0])).total.underpaid == 0.5


def test_stored_rewards_are_compared():
    summary = summarize(scores([[1.0], [2.0], [3.0]], [1, 0, 0], paid=[1.0 + 1e-12, math.nan, 3.5]))
    assert (summary.stored, summary.same, summary.largest_change) == (2, 1, 0.5)


def test_disagreements_are_the_extremes_of_their_kind_with_what_made_them():
    found = scores(
        contributions=[[1.0, 0.0], [0.0, 3.0], [0.0, 0.5], [1.0, -4.0], [1.0, 0.0], [0.0, 0.5]],
        truth=[1, 0, 0, 1, 1, math.nan],
    )
    most, least = disagreements(found, 2)
    assert [(item.line, item.reward, item.component, item.contribution) for item in most] == [
        (11, 3.0, "b", 3.0),
        (12, 0.5, "b", 0.5),
    ]
    assert [(item.line, item.reward, item.component, item.contribution) for item in least] == [
        (13, -3.0, "b", -4.0),
        (10, 1.0, "b", 0.0),
    ]
    assert [item.ties for item in (*most, *least)] == [1, 1, 1, 2]
    assert most[0].usual == np.median([0.0, 3.0, 0.5, -4.0, 0.0, 0.5])
    assert disagreements(found, 0) == ([], [])


def test_where_everything_is_usual_the_largest_part_is_named():
    most, _ = disagreements(scores([[0.0, 0.3], [0.0, 0.3], [0.0, 0.3]], [0, 1, 1]), 1)
    assert most[0].component == "b"


def test_two_rewards_are_compared_by_ranks():
    first = scores([[3.0], [2.0], [1.0], [0.0]], [1, 1, 0, 0])
    second = scores([[0.0], [2.0], [1.0], [30.0]], [1, 1, 0, 0])
    found = compare(first, second, 3)
    assert found.gain.auc == 0.25 - 1.0  # of four pairs, one is still in the right order
    assert found.apart == [0, 3]  # the other two stand where they stood
    assert found.ranks.tolist() == [[0.875, 0.625, 0.375, 0.125], [0.125, 0.625, 0.375, 0.875]]
    assert found.kendall == pytest.approx(-2 / 3)
    assert compare(first, first, 3).apart == []


@given(st.integers(2, 30), st.integers(0, 10**6))
def test_scale_and_shift_of_a_reward_change_no_comparison(count, seed):
    rng = np.random.default_rng(seed)
    truth = rng.random(count) < 0.5
    values = rng.integers(0, 5, size=(count, 1)).astype(float)
    found = compare(scores(values, truth), scores(values * 3.0 - 7.0, truth), count)
    assert found.apart == []
    assert found.gain.auc == 0.0 or math.isnan(found.gain.auc)
    assert math.isnan(found.spearman) or found.spearman == pytest.approx(1.0)
