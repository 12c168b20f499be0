"""Reducers: closed forms, one row against a batch, and what every reducer keeps whatever it computes."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rlenvs.errors import ConfigError, ParameterError
from rlenvs.wrappers.reducers import (
    GateReducer,
    HybridReducer,
    MinimumReducer,
    ProductReducer,
    Reducer,
    WeightedSumReducer,
    reducer_registry,
    register_reducer,
)

NAMES = ["right", "short", "style", "judge"]
NAN = math.nan


def every_reducer():
    return [
        WeightedSumReducer(),
        WeightedSumReducer({"short": 2.0, "judge": 0.0}, default_weight=-0.5),
        ProductReducer(),
        MinimumReducer(),
        GateReducer("style", threshold=0.25),
        HybridReducer(["judge", "short"], alpha=0.3),
    ]


KINDS = [f"{type(reducer).__name__}-{number}" for number, reducer in enumerate(every_reducer())]


@st.composite
def batches(draw):
    """Weighted and raw values and which of them count, as a pipeline hands them over."""
    shape = (draw(st.integers(0, 6)), len(NAMES))
    numbers = st.floats(-10.0, 10.0)
    counted = draw(hnp.arrays(np.bool_, shape))
    raw = np.where(counted, draw(hnp.arrays(np.float64, shape, elements=numbers)), NAN)
    weighted = np.where(counted, draw(hnp.arrays(np.float64, shape, elements=numbers)), 0.0)
    return weighted, raw, counted


def bound(reducer, names=NAMES):
    reducer.bind(names)
    return reducer


@pytest.mark.parametrize("index", range(len(KINDS)), ids=KINDS)
@given(batch=batches())
def test_one_row_gives_the_numbers_of_a_batch(index, batch):
    reducer = bound(every_reducer()[index])
    total, contributions = reducer(*batch)
    assert total.shape == batch[0].shape[:1]
    assert contributions.shape == batch[0].shape
    for row, (weighted, raw, counted) in enumerate(zip(*(part.tolist() for part in batch), strict=True)):
        single, parts = reducer.one(weighted, raw, counted)
        assert (type(single), len(parts)) == (float, len(NAMES))
        assert single == pytest.approx(total[row], rel=1e-12, abs=1e-12)
        assert parts == pytest.approx(contributions[row].tolist(), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("index", range(len(KINDS)), ids=KINDS)
@given(batch=batches())
def test_contributions_sum_to_the_total_and_masked_ones_are_zero(index, batch):
    total, contributions = bound(every_reducer()[index])(*batch)
    assert contributions.sum(axis=1) == pytest.approx(total, rel=1e-9, abs=1e-9)
    assert not contributions[~batch[2]].any()


@pytest.mark.parametrize("index", range(len(KINDS)), ids=KINDS)
@given(batch=batches(), order=st.permutations(range(len(NAMES))))
def test_the_order_of_the_components_does_not_matter(index, batch, order):
    order = list(order)
    total, _ = bound(every_reducer()[index])(*batch)
    permuted = bound(every_reducer()[index], [NAMES[k] for k in order])
    assert permuted(*(part[:, order] for part in batch))[0] == pytest.approx(total, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("index", range(len(KINDS)), ids=KINDS)
def test_a_row_in_which_nothing_counts_is_worth_nothing(index):
    reducer = bound(every_reducer()[index])
    nothing = [0.0] * 4, [NAN] * 4, [False] * 4
    total, contributions = reducer(*(np.array([part]) for part in nothing))
    assert (total.tolist(), contributions.tolist()) == ([0.0], [[0.0] * 4])
    assert reducer.one(*nothing) == (0.0, [0.0] * 4)


@pytest.mark.parametrize("index", [0, 1, 2, 3], ids=KINDS[:4])
def test_no_components_at_all_are_worth_nothing(index):
    """A reward of potentials alone has no columns to reduce."""
    reducer = every_reducer()[index]
    if index != 1:
        reducer.bind([])
    empty = np.zeros((3, 0))
    assert reducer(empty, empty, empty.astype(bool))[0].tolist() == [0.0, 0.0, 0.0]
    assert repr(reducer.one([], [], [])[0]) == "0.0"


@given(batches())
def test_a_sum_is_the_plain_sum(batch):
    weighted, raw, counted = batch
    expected = [math.fsum(row) for row in weighted.tolist()]
    assert WeightedSumReducer()(weighted, raw, counted)[0] == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_factors_by_name_multiply_the_contributions():
    reducer = bound(WeightedSumReducer({"short": 2.0}, default_weight=0.5))
    row = [1.0, 1.0, -1.0, 4.0]
    assert reducer.one(row, row, [True] * 4) == (4.0, [0.5, 2.0, -0.5, 2.0])


@given(st.dictionaries(st.sampled_from([*NAMES, "new"]), st.floats(-10, 10)))
def test_rewards_can_be_reduced_by_name_without_a_pipeline(rewards):
    weights = {"short": 2.0, "judge": 0.0}
    expected = math.fsum(weights.get(name, -0.5) * value for name, value in rewards.items())
    reduced = WeightedSumReducer(weights, default_weight=-0.5).reduce(rewards)
    assert type(reduced) is float
    assert reduced == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(batches())
def test_a_product_leaves_masked_ones_out(batch):
    total = ProductReducer()(*batch)[0]
    for row, (weighted, counted) in enumerate(zip(batch[0].tolist(), batch[2].tolist(), strict=True)):
        factors = [value for value, counts in zip(weighted, counted, strict=True) if counts]
        expected = math.prod(factors) if factors else 0.0
        assert total[row] == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(batches())
def test_the_minimum_is_that_of_those_that_count(batch):
    total, contributions = MinimumReducer()(*batch)
    for row, (weighted, counted) in enumerate(zip(batch[0].tolist(), batch[2].tolist(), strict=True)):
        kept = [value for value, counts in zip(weighted, counted, strict=True) if counts]
        assert total[row] == (min(kept) if kept else 0.0)
        assert np.count_nonzero(contributions[row]) <= 1


def test_a_masked_zero_is_not_the_minimum_nor_takes_its_place():
    assert MinimumReducer().one([0.0, 0.5, 0.0], [NAN, 0.5, NAN], [False, True, False]) == (0.5, [0.0, 0.5, 0.0])
    assert MinimumReducer().one([0.0, 0.0, -1.0], [NAN, 0.0, NAN], [False, True, False])[0] == 0.0
    total, parts = MinimumReducer().one([7.0, 2.0, 2.0], [7.0, 2.0, 2.0], [True, False, True])
    assert (total, parts) == (2.0, [0.0, 0.0, 2.0])


@pytest.mark.parametrize(
    ("raw", "counted", "total", "contributions"),
    [
        ([1.0, -3.0], [True, True], 4.0, [5.0, -1.0]),
        ([0.5, -3.0], [True, True], 5.0, [5.0, 0.0]),  # at the threshold is not above it
        ([0.4, -3.0], [True, True], 5.0, [5.0, 0.0]),
        ([NAN, -3.0], [False, True], 0.0, [0.0, 0.0]),  # nobody knows whether it is open
        ([1.0, NAN], [True, False], 5.0, [5.0, 0.0]),
    ],
)
def test_the_gate_looks_at_the_raw_value_and_counts_itself(raw, counted, total, contributions):
    reducer = bound(GateReducer("right", threshold=0.5), ["right", "short"])
    weighted = [value if counts else 0.0 for value, counts in zip([5.0, -1.0], counted, strict=True)]
    assert reducer.one(weighted, raw, counted) == (total, contributions)
    assert reducer(*(np.array([part]) for part in (weighted, raw, counted)))[0].tolist() == [total]


def test_a_hybrid_is_a_convex_mix_of_two_sums():
    reducer = bound(HybridReducer(["judge"], alpha=0.25))
    row = [1.0, 2.0, 3.0, 8.0]
    assert reducer.beta == 0.75
    assert reducer.one(row, row, [True] * 4) == (0.25 * 6.0 + 0.75 * 8.0, [0.25, 0.5, 0.75, 6.0])


@given(st.floats(0.0, 1.0))
def test_shares_that_sum_to_one_up_to_rounding_are_taken(alpha):
    assert HybridReducer(["judge"], alpha).beta == 1.0 - alpha
    assert HybridReducer(["judge"], alpha, min(1.0 - alpha + 5e-10, 1.0)).alpha == alpha


@pytest.mark.parametrize(
    "reducer", [WeightedSumReducer({"short": 2.0}), HybridReducer(["short"]), GateReducer("short")]
)
def test_names_that_were_never_bound_are_a_bug_that_shows(reducer):
    with pytest.raises(AssertionError, match="bind"):
        reducer.one([1.0, 2.0], [1.0, 2.0], [True, True])
    with pytest.raises(AssertionError, match="bind"):
        reducer(*(np.array([part]) for part in ([1.0, 2.0], [1.0, 2.0], [True, True])))


def test_binding_again_forgets_the_first_names():
    reducer = bound(GateReducer("right"), ["right", "short"])
    reducer.bind(["short", "right"])
    assert reducer.one([1.0, 0.0], [1.0, 0.0], [True, True]) == (0.0, [0.0, 0.0])


@pytest.mark.parametrize(
    ("build", "parameter", "message"),
    [
        (lambda: WeightedSumReducer({"right": NAN}), "weights", "must be a finite number, got nan"),
        (lambda: WeightedSumReducer(default_weight=math.inf), "default_weight", "must be a finite number, got inf"),
        (lambda: bound(WeightedSumReducer({"shrt": 1.0})), "weights", "names no .*: 'shrt'; did you mean 'short'"),
        (lambda: GateReducer("right", NAN), "threshold", "must be a finite number, got nan"),
        (lambda: GateReducer(""), "gate", "must be the name of a component, got ''"),
        (lambda: bound(GateReducer("rigt")), "gate", r"names no reward component: 'rigt'; did you mean 'right'\?"),
        (lambda: bound(GateReducer("right"), []), "gate", r"names no .* \(known: none\)"),
        (lambda: HybridReducer([]), "model", r"must be a list of at least one component name, got \[\]"),
        (lambda: HybridReducer("judge"), "model", "must be a list of at least one component name, got 'judge'"),
        (lambda: HybridReducer(["judge", "judge"]), "model", "must name each component once"),
        (lambda: HybridReducer([3]), "model", "must be the name of a component, got 3"),
        (lambda: HybridReducer(["judge"], 1.5), "alpha", r"must be in \[0, 1\], got 1.5"),
        (lambda: HybridReducer(["judge"], 0.5, -0.5), "beta", r"must be in \[0, 1\], got -0.5"),
        (lambda: HybridReducer(["judge"], 0.5, 0.6), "beta", r"must be 1 - alpha \(0.5\), got 0.6"),
        (lambda: HybridReducer(["judge"], 0.5, 0.5 + 2e-9), "beta", "must be 1 - alpha"),
        (lambda: bound(HybridReducer(["style", "jury"])), "model", "names no reward component: 'jury'"),
    ],
)
def test_parameters_outside_their_range_are_refused_by_name(build, parameter, message):
    with pytest.raises(ParameterError, match=f"^{parameter} {message}") as caught:
        build()
    assert caught.value.parameter == parameter


def test_reducers_have_names_in_configurations():
    assert {name: reducer_registry.get(name) for name in reducer_registry.names()} == {
        "weighted_sum": WeightedSumReducer,
        "product": ProductReducer,
        "minimum": MinimumReducer,
        "gate": GateReducer,
        "hybrid": HybridReducer,
    }
    with pytest.raises(ConfigError, match="unknown reducer 'minimun'; did you mean 'minimum'"):
        reducer_registry.get("minimun")
    with pytest.raises(ConfigError, match="reducer 'product' is already"):
        register_reducer("product")(MinimumReducer)


@pytest.mark.parametrize("index", range(len(KINDS)), ids=KINDS)
def test_reducers_travel_to_other_processes(index):
    reducer = bound(every_reducer()[index])
    copy = pickle.loads(pickle.dumps(reducer))  # noqa: S301 - our own bytes
    row = [0.5, 1.0, 2.0, -1.0], [0.5, 1.0, 2.0, -1.0], [True] * 4
    assert isinstance(copy, Reducer)
    assert copy.one(*row) == reducer.one(*row)
