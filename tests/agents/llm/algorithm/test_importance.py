"""Importance weights between engine and trainer, against a slow loop and an exact expectation."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.agents.llm.algorithm.importance import importance_weights
from rlenvs.errors import ParameterError

MODES = ("token_truncate", "token_mask", "sequence_truncate", "sequence_mask")


def slow(trainer, engine, mask, mode, cap, floor):
    weights, above, below, gaps = [], 0, 0, []
    for row in range(len(mask)):
        gap = [trainer[row][t] - engine[row][t] for t in range(len(mask[row])) if mask[row][t]]
        gaps += gap
        kept = []
        for number in gap:
            ratio = math.exp(min(max(sum(gap) if "sequence" in mode else number, -20), 20))
            above, below = above + (ratio > cap), below + (ratio < floor)
            inside = floor <= ratio <= cap
            kept.append(min(max(ratio, floor), cap) if "truncate" in mode else ratio if inside else 0.0)
        weights.append(kept + [0.0] * (len(mask[row]) - len(kept)))
    return np.array(weights), above, below, gaps


@settings(deadline=None)
@given(
    size=st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(0, 10**6)),
    mode=st.sampled_from(MODES),
    cap=st.sampled_from([1.0, 2.0, 5.0]),
    floor=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_weights_and_metrics_equal_a_slow_loop(size, mode, cap, floor):
    rows, columns, seed = size
    rng = np.random.default_rng(seed)
    mask = np.arange(columns) < rng.integers(0, columns + 1, rows)[:, None]
    trainer, engine = rng.normal(size=(2, rows, columns))
    found, metrics = importance_weights(*(torch.tensor(x) for x in (trainer, engine, mask)), mode, cap, floor)
    expected, above, below, gaps = slow(trainer, engine, mask, mode, cap, floor)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    count = max(len(gaps), 1)
    assert metrics["engine/above_cap"] == pytest.approx(above / count)
    assert metrics["engine/below_floor"] == pytest.approx(below / count)
    assert metrics["engine/logprob_gap"] == pytest.approx(sum(map(abs, gaps)) / count)
    assert metrics["engine/logprob_gap_max"] == pytest.approx(max(map(abs, gaps), default=0.0))
    assert metrics["engine/kl"] == pytest.approx(-sum(gaps) / count)
    assert metrics["engine/weight"] == pytest.approx(expected.sum() / count)
    squares = np.square(expected).sum()
    assert metrics["engine/effective_share"] == pytest.approx(expected.sum() ** 2 / squares / count if squares else 0)


@pytest.mark.parametrize("mode", MODES)
def test_equal_policies_change_nothing(mode):
    mask = torch.tensor([[True, True], [True, False]])
    logprobs = torch.randn(2, 2, generator=torch.Generator().manual_seed(0))
    weights, metrics = importance_weights(logprobs, logprobs, mask, mode)
    assert torch.equal(weights, mask.float())
    assert metrics["engine/logprob_gap_max"] == metrics["engine/kl"] == metrics["engine/above_cap"] == 0.0
    assert metrics["engine/effective_share"] == metrics["engine/weight"] == 1.0


def test_weights_turn_expectations_under_the_engine_into_those_under_the_trainer():
    logits = torch.randn(2, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    trainer, engine = logits.log_softmax(1)
    reward, mask = torch.arange(6.0, dtype=torch.float64), torch.ones(6, 1, dtype=torch.bool)
    weights, _ = importance_weights(trainer[:, None], engine[:, None], mask, cap=1e9)
    found = (engine.exp() * weights[:, 0] * reward).sum()
    assert found.item() == pytest.approx((trainer.exp() * reward).sum().item(), abs=1e-9)


def test_padding_and_impossible_tokens_leave_finite_weights_without_gradient():
    trainer = torch.tensor([[-1.0, -1.0, torch.nan]], requires_grad=True)
    engine = torch.tensor([[-torch.inf, -1.0, 0.0]])
    mask = torch.tensor([[True, True, False]])
    weights, metrics = importance_weights(trainer, engine, mask, cap=2.0)
    assert weights.tolist() == [[2.0, 1.0, 0.0]]
    assert not weights.requires_grad
    assert metrics["engine/logprob_gap_max"] == math.inf
    assert importance_weights(trainer, engine, mask, "token_mask")[0].tolist() == [[0.0, 1.0, 0.0]]
    assert importance_weights(trainer, engine, mask, "sequence_mask")[0].tolist() == [[0.0, 0.0, 0.0]]


@pytest.mark.parametrize(("cap", "floor"), [(0.5, 0.0), (2.0, 1.5), (2.0, -0.1), (math.nan, 0.0)])
def test_bounds_that_exclude_equal_policies_are_refused(cap, floor):
    token = torch.zeros(1, 1)
    with pytest.raises(ParameterError, match="cap and floor must be 0 <= floor <= 1 <= cap"):
        importance_weights(token, token, torch.ones(1, 1, dtype=torch.bool), cap=cap, floor=floor)


def test_an_unknown_mode_is_refused():
    token = torch.zeros(1, 1)
    with pytest.raises(ParameterError, match=r"mode must be 'token_truncate', .* got 'tis'"):
        importance_weights(token, token, torch.ones(1, 1, dtype=torch.bool), "tis")
