"""Statistics of scores against brute force, numpy and closed forms."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlenvs.wrappers.rescoring.statistics import (
    constant,
    kendall,
    midranks,
    pearson,
    separation,
    separation_gain,
    shares_of_variance,
    spearman,
)

# Few different values, so that ties are common; and any values at all.
columns = st.integers(2, 14).flatmap(
    lambda n: st.tuples(
        *[
            st.lists(st.integers(-2, 2).map(float) | st.floats(-1e3, 1e3), min_size=n, max_size=n).map(np.array)
            for _ in range(2)
        ]
    )
)
graded = st.integers(2, 14).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(-2, 2).map(float), min_size=n, max_size=n).map(np.array),
        st.lists(st.integers(-2, 2).map(float), min_size=n, max_size=n).map(np.array),
        st.lists(st.booleans(), min_size=n, max_size=n).map(lambda flags: np.array(flags, dtype=np.bool_)),
    )
)


def slow_auc(scores, right):
    pairs = [(good > bad) + 0.5 * (good == bad) for good in scores[right] for bad in scores[~right]]
    return sum(pairs) / len(pairs) if pairs else math.nan


def slow_kendall(x, y):
    sign = [(np.sign(x[i] - x[j]), np.sign(y[i] - y[j])) for i, j in itertools.combinations(range(len(x)), 2)]
    untied_x, untied_y = sum(a != 0 for a, _ in sign), sum(b != 0 for _, b in sign)
    if not untied_x or not untied_y:
        return math.nan
    return sum(a * b for a, b in sign) / math.sqrt(untied_x * untied_y)


def slow_midranks(values):
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2 for value in values
    ]


def same(value, expected):
    assert value == pytest.approx(expected, abs=1e-9, nan_ok=True)


@given(graded)
def test_auc_is_the_share_of_pairs_in_the_right_order(case):
    scores, _, right = case
    same(separation(scores, right).auc, slow_auc(scores, right))


@given(graded)
def test_auc_does_not_change_under_increasing_maps_and_turns_with_the_sign(case):
    scores, _, right = case
    auc = separation(scores, right).auc
    same(separation(np.exp(scores) * 7.0 - 3.0, right).auc, auc)
    same(separation(-scores, right).auc, 1.0 - auc)
    same(separation(scores, ~right).auc, 1.0 - auc)


@given(columns)
def test_kendall_counts_pairs(case):
    x, y = case
    same(kendall(x, y), slow_kendall(x, y))


def test_kendall_of_many_rows_without_ties_is_that_of_its_pairs():
    rng = np.random.default_rng(0)
    x, y = rng.permutation(700).astype(float), rng.permutation(700).astype(float)
    concordant = np.sign(np.subtract.outer(x, x)) * np.sign(np.subtract.outer(y, y))
    same(kendall(x, y), concordant.sum() / (700 * 699))


@given(columns)
def test_ranks_share_their_mean_and_spearman_is_their_correlation(case):
    x, y = case
    assert midranks(x).tolist() == slow_midranks(x)
    ranks = np.array(slow_midranks(x)), np.array(slow_midranks(y))
    if not constant(x) and not constant(y):
        same(spearman(x, y), float(np.corrcoef(*ranks)[0, 1]))
    else:
        assert math.isnan(spearman(x, y))


@given(columns)
def test_pearson_is_numpys(case):
    x, y = case
    if constant(x) or constant(y):
        assert math.isnan(pearson(x, y))
    elif min(x.std() / abs(x).max(), y.std() / abs(y).max()) > 1e-6:  # below that, rounding is all there is
        assert pearson(x, y) == pytest.approx(float(np.corrcoef(x, y)[0, 1]), abs=1e-6)


def test_pearson_of_a_verdict_is_the_point_biserial_one():
    scores, right = np.array([0.1, 0.4, 0.35, 0.9, 0.7]), np.array([0.0, 0.0, 1.0, 1.0, 1.0])
    share = right.mean()
    gap = scores[right == 1].mean() - scores[right == 0].mean()
    same(pearson(scores, right), gap / scores.std() * math.sqrt(share * (1 - share)))


def test_pearson_survives_numbers_whose_squares_do_not():
    x = np.array([1.0, 2.0, 4.0])
    same(pearson(x * 1e300, x * 1e-300), 1.0)


@pytest.mark.parametrize("statistic", [pearson, spearman, kendall])
def test_a_constant_column_goes_together_with_nothing(statistic):
    # 0.1 + ... + 0.1 leaves a tiny spread behind where the mean is subtracted naively.
    assert math.isnan(statistic(np.full(10, 0.1), np.arange(10.0)))
    assert math.isnan(statistic(np.arange(10.0), np.full(10, 0.1)))


@pytest.mark.parametrize("right", [[True, True], [False, False], []])
def test_one_kind_alone_cannot_be_told_apart(right):
    result = separation(np.zeros(len(right)), np.array(right, dtype=np.bool_))
    assert math.isnan(result.auc)
    assert math.isnan(result.error)


def test_the_standard_error_is_that_of_delong_spelled_out():
    rng = np.random.default_rng(1)
    right = rng.random(60) < 0.4
    scores = np.round(rng.normal(size=60) + right, 1)
    good, bad = scores[right], scores[~right]
    order = (good[:, None] > bad) + 0.5 * (good[:, None] == bad)
    variance = order.mean(axis=1).var(ddof=1) / len(good) + order.mean(axis=0).var(ddof=1) / len(bad)
    same(separation(scores, right).error, math.sqrt(variance))


def test_the_standard_error_is_the_spread_of_repeated_samples():
    rng = np.random.default_rng(2)
    results = []
    for _ in range(400):
        right = np.arange(80) < 30
        results.append(separation(rng.normal(size=80) + 0.8 * right, right))
    spread = np.std([result.auc for result in results])
    assert np.mean([result.error for result in results]) == pytest.approx(spread, rel=0.12)


@given(graded)
def test_the_gain_is_the_difference_of_the_aucs(case):
    first, second, right = case
    same(
        separation_gain(first, second, right).auc,
        slow_auc(second, right) - slow_auc(first, right) if right.any() and not right.all() else math.nan,
    )


def test_the_gain_of_a_score_over_itself_is_certainly_nothing():
    rng = np.random.default_rng(3)
    scores, right = rng.normal(size=50), rng.random(50) < 0.5
    assert separation_gain(scores, scores * 3.0 + 1.0, right) == (0.0, 0.0)


@given(st.integers(2, 10), st.integers(1, 4), st.integers(0, 10**6))
def test_shares_of_a_sum_add_up_to_one(count, parts, seed):
    columns = np.random.default_rng(seed).normal(size=(count, parts))
    shares = shares_of_variance(columns, columns.sum(axis=1))
    same(float(shares.sum()), 1.0)
    for column, share in zip(columns.T, shares, strict=True):
        covariance = np.cov(column, columns.sum(axis=1))
        same(share, covariance[0, 1] / covariance[1, 1])


def test_a_constant_total_has_no_variance_to_share():
    assert np.isnan(shares_of_variance(np.array([[1.0, -1.0], [2.0, -2.0]]), np.zeros(2))).all()
