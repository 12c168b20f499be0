"""Normalisation strategies against their formulas."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlenvs.errors import ConfigError, ParameterError
from rlenvs.wrappers.normalization.strategies import NORMALIZATION_STRATEGIES, Normalization, fields_used_by

numbers = st.floats(-100, 100)
streams = st.lists(numbers, min_size=1, max_size=40)
LEARNING = ("z_score", "min_max", "running", "ema")
COMPARING = ("batch", "group", "rank")


def expected(strategy: str, spec: Normalization, past: list[float], x: float) -> float:
    """The formula, from scratch."""
    past = past[-spec.window :] if strategy in ("z_score", "min_max") else past
    if len(past) < spec.warmup:
        return x
    if strategy == "min_max":
        low, high = min(past), max(past)
        return min(max((x - low) / (max(high - low, spec.floor) + spec.epsilon), 0.0), 1.0)
    weights = np.array([spec.decay ** (len(past) - 1 - i) if strategy == "ema" else 1.0 for i in range(len(past))])
    mean = float(np.average(past, weights=weights))
    std = math.sqrt(float(np.average((np.array(past) - mean) ** 2, weights=weights)))
    return (x - (mean if spec.center else 0.0)) / (max(std, spec.floor) + spec.epsilon)


@given(streams, st.integers(2, 9), st.integers(1, 2), st.booleans())
@pytest.mark.parametrize("strategy", LEARNING)
def test_one_value_at_a_time_follows_the_formula_with_statistics_from_before(strategy, stream, window, warmup, center):
    spec = Normalization(strategy, window=window, warmup=warmup, floor=0.1, center=center, decay=0.8)
    normalizer = spec.build()
    for index, x in enumerate(stream):
        assert normalizer.one(x) == pytest.approx(expected(strategy, spec, stream[:index], x), rel=1e-7, abs=1e-7)


@given(st.lists(st.lists(numbers, min_size=1, max_size=6), min_size=1, max_size=8), st.integers(2, 9))
@pytest.mark.parametrize("strategy", LEARNING)
def test_a_batch_is_normalised_by_what_came_before_the_batch(strategy, batches, window):
    spec = Normalization(strategy, window=window, warmup=1, floor=0.1, decay=0.8)
    normalizer, past = spec.build(), []
    for batch in batches:
        found = normalizer.batch(np.array(batch), np.ones(len(batch), dtype=bool), list)
        np.testing.assert_allclose(found, [expected(strategy, spec, past, x) for x in batch], rtol=1e-7, atol=1e-7)
        past += batch


@pytest.mark.parametrize("strategy", LEARNING)
@pytest.mark.parametrize("past", [[3.0] * 20, [3.0], [1e9, *[3.0] * 20]], ids=["constant", "one value", "after 1e9"])
def test_degenerate_windows_are_scaled_by_the_floor(strategy, past):
    spec = Normalization(strategy, window=20, warmup=1, floor=0.5, epsilon=0.0, decay=0.5)
    normalizer = spec.build()
    for x in past:
        normalizer.one(x)
    if 1e9 in past and strategy in ("running", "ema"):
        return  # these never forget
    assert normalizer.one(3.0) == pytest.approx(0.0, abs=1e-9)
    assert math.isfinite(normalizer.one(4.0))
    fresh = spec.build()
    for x in past:
        fresh.one(x)
    assert fresh.one(4.0) == pytest.approx(1.0 if strategy == "min_max" else 2.0)


def test_a_window_of_one_value_is_defined():
    normalizer = Normalization("z_score", window=1, warmup=1, floor=0.5, epsilon=0.0).build()
    assert [normalizer.one(x) for x in (1.0, 2.0, 2.0)] == [1.0, 2.0, 0.0]


@pytest.mark.parametrize("strategy", NORMALIZATION_STRATEGIES[1:])
def test_masked_errors_stay_nan_and_stand_ins_teach_nothing(strategy):
    spec = Normalization(strategy, window=4, warmup=1, floor=0.1)
    normalizer = spec.build()
    ones = np.ones(4, dtype=bool)
    normalizer.batch(np.array([1.0, 2.0, 3.0, 4.0]), ones, lambda: ["p"] * 4)
    before = json.dumps(normalizer.state_dict())
    values = np.array([math.nan, -50.0, 2.0, 3.0])
    learn = np.array([False, False, True, True])
    found = normalizer.batch(values, learn, lambda: ["p"] * 4)
    assert math.isnan(found[0])
    assert np.isfinite(found[1:]).all()
    other = spec.build()
    other.load_state_dict(json.loads(before))
    other.batch(np.array([2.0, 3.0]), np.ones(2, dtype=bool), lambda: ["p"] * 2)
    assert json.dumps(other.state_dict()) == json.dumps(normalizer.state_dict())


@given(st.lists(numbers, min_size=2, max_size=12))
def test_batch_is_the_z_score_of_the_batch(values):
    spec = Normalization("batch", floor=0.1)
    found = spec.build().batch(np.array(values), np.ones(len(values), dtype=bool), list)
    scale = max(float(np.std(values)), 0.1) + spec.epsilon
    np.testing.assert_allclose(found, (np.array(values) - np.mean(values)) / scale, atol=1e-9)


@given(st.lists(st.tuples(st.sampled_from("abc"), numbers), min_size=1, max_size=15))
def test_group_is_the_z_score_among_the_rows_of_one_prompt_in_any_order(rows):
    spec = Normalization("group", floor=0.1)

    def run(rows):
        values = np.array([value for _, value in rows])
        return spec.build().batch(values, np.ones(len(rows), dtype=bool), lambda: [key for key, _ in rows])

    found = run(rows)
    for key in "abc":
        members = [i for i, (other, _) in enumerate(rows) if other == key]
        sample = np.array([rows[i][1] for i in members])
        if len(members) == 1:
            assert found[members[0]] == 0.0
        elif members:
            want = (sample - sample.mean()) / (max(float(sample.std()), 0.1) + spec.epsilon)
            np.testing.assert_allclose(found[members], want, atol=1e-9)
    np.testing.assert_allclose(run(rows[::-1])[::-1], found, atol=1e-9)


@given(st.lists(st.integers(-5, 5).map(float), min_size=2, max_size=12))
def test_rank_is_the_centred_average_rank(values):
    found = Normalization("rank").build().batch(np.array(values), np.ones(len(values), dtype=bool), list)
    ranks = [sum(v < x for v in values) + (sum(v == x for v in values) - 1) / 2 for x in values]
    np.testing.assert_allclose(found, np.array(ranks) / (len(values) - 1) - 0.5, atol=1e-12)
    assert found.sum() == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("strategy", COMPARING)
def test_a_batch_of_one_says_nothing(strategy):
    assert Normalization(strategy).build().one(7.0) == 0.0


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("strategy", COMPARING)
def test_a_batch_in_which_one_row_has_a_value_says_nothing_of_any(strategy, center):
    learn = np.array([False, True, False])  # a stand-in of -1 and a masked error beside it
    found = Normalization(strategy, center=center).build().batch(np.array([-1.0, 7.0, math.nan]), learn, lambda: "aaa")
    np.testing.assert_array_equal(found, [0.0, 0.0, math.nan])


@pytest.mark.parametrize(
    ("saved", "mine", "message"),
    [
        (
            Normalization("z_score", window=4, warmup=1),
            Normalization("z_score", window=9, warmup=1),
            "other than 9 values",
        ),
        (Normalization("z_score", window=9, warmup=1), Normalization("z_score", window=4, warmup=1), "other than 4"),
        (
            Normalization("min_max", window=4, warmup=1),
            Normalization("min_max", window=12, warmup=1),
            "other than 12 values",
        ),
        (Normalization("z_score"), Normalization("running"), "saved statistics have .'current', 'finished'.*'mean'"),
        (Normalization("ema"), Normalization("min_max"), "saved statistics have .'mean'.*needs .'current'"),
    ],
)
def test_the_statistics_of_another_normalisation_are_refused(saved, mine, message):
    normalizer = saved.build()
    for value in range(11):
        normalizer.one(float(value))
    with pytest.raises(ConfigError, match=message):
        mine.build().load_state_dict(normalizer.state_dict())


@given(streams, st.floats(0.1, 3.0))
@pytest.mark.parametrize("strategy", NORMALIZATION_STRATEGIES[1:])
def test_clip_limits_both_doors(strategy, stream, limit):
    spec = Normalization(strategy, window=5, warmup=1, clip=limit)
    one, many = spec.build(), spec.build()
    assert all(abs(one.one(x)) <= limit for x in stream)
    found = many.batch(np.array(stream), np.ones(len(stream), dtype=bool), lambda: ["p"] * len(stream))
    assert (np.abs(found) <= limit).all()


@given(streams, streams)
@pytest.mark.parametrize("strategy", LEARNING)
def test_frozen_statistics_stay_and_restored_ones_go_on_to_the_same_bits(strategy, before, after):
    spec = Normalization(strategy, window=5, warmup=2)
    normalizer = spec.build()
    for x in before:
        normalizer.one(x)
    state = json.dumps(normalizer.state_dict())
    normalizer.frozen = True
    frozen = [normalizer.one(x) for x in after]
    assert frozen == [normalizer.one(x) for x in after]
    normalizer.batch(np.array(after), np.ones(len(after), dtype=bool), list)
    assert json.dumps(normalizer.state_dict()) == state
    normalizer.frozen = False
    other = spec.build()
    other.load_state_dict(json.loads(state))
    assert [normalizer.one(x) for x in after] == [other.one(x) for x in after]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "zscore"}, "strategy must be one of none, z_score"),
        ({"window": 0}, "window must be >= 1, got 0"),
        ({"epsilon": -1.0}, "epsilon must be finite and >= 0"),
        ({"epsilon": math.inf}, "epsilon must be finite"),
        ({"warmup": 0}, "warmup must be >= 1"),
        ({"window": 20.5}, "window must be a whole number >= 1, got 20.5"),
        ({"warmup": math.nan}, "warmup must be a whole number >= 1, got nan"),
        ({"warmup": 30, "window": 20}, r"warmup must be <= window \(20\), got 30"),
        ({"floor": 0.0}, "floor must be finite and > 0"),
        ({"decay": 1.0}, r"decay must lie in \(0, 1\)"),
        ({"clip": 0.0}, "clip must be finite and > 0"),
    ],
)
def test_a_value_out_of_range_is_named(changes, message):
    with pytest.raises(ParameterError, match=message):
        replace(Normalization("z_score"), **changes)


def test_every_strategy_says_which_fields_it_uses_and_uses_no_other():
    for strategy in NORMALIZATION_STRATEGIES:
        assert fields_used_by(strategy) <= set(Normalization.__dataclass_fields__)
    other = {"window": 3, "epsilon": 0.5, "warmup": 2, "floor": 50.0, "decay": 0.1, "center": False}
    stream = [5.0, 1.0, 9.0, 4.0, 5.0, 6.0]
    for strategy in NORMALIZATION_STRATEGIES[1:]:
        for field, value in other.items():

            def run(spec, grouped=("a", "a", "b", "b", "a", "b")):
                normalizer = spec.build()
                by_one = [normalizer.one(x) for x in stream]
                return [*by_one, *normalizer.batch(np.array(stream), np.ones(6, dtype=bool), lambda: grouped).tolist()]

            plain = Normalization(strategy, warmup=1, window=5)
            differs = run(plain) != run(replace(plain, **{field: value}))
            assert differs == (field in fields_used_by(strategy)), (strategy, field)
