"""The comparison on fresh seeds against SciPy's own paired interval."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rlenvs.agents.tuning.comparison import compare_on_fresh_seeds, paired_comparison
from rlenvs.errors import ConfigError

values = st.floats(-1e3, 1e3, allow_nan=False)


@given(st.lists(st.tuples(values, values), min_size=2, max_size=12), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_the_interval_is_that_of_a_paired_t_test(pairs, confidence):
    base, best = zip(*pairs, strict=True)
    gains = np.subtract(best, base)
    found = paired_comparison("return/greedy", range(len(base)), base, best, confidence)
    assert found.mean == pytest.approx(gains.mean(), abs=1e-9)
    if np.ptp(gains) > 1e-6:
        expected = stats.ttest_rel(best, base).confidence_interval(confidence)
        assert (found.low, found.high) == (
            pytest.approx(expected.low, abs=1e-6),
            pytest.approx(expected.high, abs=1e-6),
        )
    else:
        assert found.high - found.low == pytest.approx(0.0, abs=1e-4)


def test_both_are_measured_on_the_same_seeds():
    asked = []

    def measure(config, seed):
        asked.append((config["name"], seed))
        return {"return/greedy": {"base": 1.0, "best": 2.0}[config["name"]] + seed, "other": 0.0}

    found = compare_on_fresh_seeds({"name": "base"}, {"name": "best"}, measure, "return/greedy", [7, 9, 11])
    assert sorted(asked) == [(name, seed) for name in ("base", "best") for seed in (7, 9, 11)]
    assert (found.base, found.best) == ((8.0, 10.0, 12.0), (9.0, 11.0, 13.0))
    assert (found.mean, found.low, found.high, found.decided) == (1.0, 1.0, 1.0, True)


def test_a_gain_within_the_noise_is_not_decided():
    assert not paired_comparison("m", (1, 2, 3), (0.1, 0.5, 0.9), (0.4, 0.4, 0.9)).decided


def test_one_seed_has_no_interval():
    found = paired_comparison("m", (1,), (0.0,), (1.0,))
    assert (found.mean, found.low, found.high, found.decided) == (1.0, None, None, False)
    assert json.loads(json.dumps(found.to_dict()))["low"] is None


@pytest.mark.parametrize(
    ("seeds", "metric", "message"),
    [([], "m", "expected at least one"), ([1], "los", "'los' was not measured; did you mean 'loss'")],
)
def test_what_cannot_be_compared_is_refused(seeds, metric, message):
    with pytest.raises(ConfigError, match=message):
        compare_on_fresh_seeds({}, {}, lambda config, seed: {"loss": 1.0}, metric, seeds)


def test_a_confidence_out_of_range_is_refused():
    with pytest.raises(ConfigError, match=r"confidence must be in \(0, 1\), got 95"):
        paired_comparison("m", (1, 2), (0.0, 1.0), (1.0, 2.0), 95)
