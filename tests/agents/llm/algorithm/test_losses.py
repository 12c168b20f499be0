"""The losses by hand, and the invariances that accumulation needs."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.agents.llm.algorithm.losses import explained_variance, policy_loss, value_loss


@settings(deadline=None)
@given(
    tokens=st.lists(st.tuples(*[st.floats(-2, 2)] * 3), min_size=1, max_size=12), clip=st.sampled_from([0.1, 0.2, 0.5])
)
def test_policy_loss_equals_the_formula(tokens, clip):
    new, old, advantage = (torch.tensor(column, dtype=torch.float64) for column in zip(*tokens, strict=True))
    loss, sums = policy_loss(new, old, advantage, clip, len(tokens))
    expected, clipped = 0.0, 0
    for n, o, a in tokens:
        ratio = math.exp(n - o)
        bounded = min(max(ratio, 1 - clip), 1 + clip)
        expected -= min(ratio * a, bounded * a) / len(tokens)
        clipped += bounded != ratio
    assert loss.item() == pytest.approx(expected, abs=1e-9)
    assert sums["clipped"].item() == clipped
    assert sums["approx_kl"].item() >= -1e-12


@settings(deadline=None)
@given(tokens=st.lists(st.tuples(*[st.floats(-2, 2)] * 3), min_size=1, max_size=12))
def test_value_loss_equals_the_formula(tokens):
    new, old, target = (torch.tensor(column, dtype=torch.float64) for column in zip(*tokens, strict=True))
    for clip in (None, 0.2):
        expected = 0.0
        for n, o, t in tokens:
            bounded = n if clip is None else o + min(max(n - o, -clip), clip)
            expected += 0.5 * max((n - t) ** 2, (bounded - t) ** 2) / len(tokens)
        assert value_loss(new, old, target, clip, len(tokens)).item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("sizes", [(7,), (1, 6), (3, 4), (1,) * 7])
def test_accumulated_gradients_equal_one_big_batch(sizes):
    generator = torch.Generator().manual_seed(0)
    old, advantage, target = torch.randn(3, 7, generator=generator, dtype=torch.float64)
    start = torch.randn(7, generator=generator, dtype=torch.float64)

    def gradient(parts):
        parameter = start.clone().requires_grad_()
        for part in torch.arange(7).split(parts):
            loss, _ = policy_loss(parameter[part], old[part], advantage[part], 0.2, 7)
            (loss + value_loss(parameter[part], old[part], target[part], 0.2, 7)).backward()
        return parameter.grad

    torch.testing.assert_close(gradient(list(sizes)), gradient([7]), atol=1e-12, rtol=0)


def test_a_far_away_policy_gives_a_finite_loss():
    loss, _ = policy_loss(torch.tensor([0.0]), torch.tensor([-1e4]), torch.tensor([-1.0]), 0.2, 1)
    assert torch.isfinite(loss)


def test_explained_variance_of_a_perfect_a_constant_and_a_wrong_critic():
    returns = torch.tensor([1.0, 2.0, 4.0])
    assert explained_variance(returns, returns) == 1.0
    assert explained_variance(torch.full((3,), 7.0), returns) == pytest.approx(0.0, abs=1e-6)
    assert explained_variance(-returns, returns) == pytest.approx(-3.0, abs=1e-6)
    assert math.isnan(explained_variance(returns, torch.ones(3)))
