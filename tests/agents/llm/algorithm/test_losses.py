"""The losses by hand, and the invariances that accumulation needs."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.agents.llm.algorithm.losses import explained_variance, loss_scale, mean_loss, policy_loss, value_loss
from rlenvs.errors import ParameterError

tokens_strategy = st.lists(st.tuples(*[st.floats(-2, 2)] * 3), min_size=1, max_size=12)


def textbook(new, old, advantage, low, high, dual):
    """Loss of one token, its slope in the new log-probability, and which bound holds."""
    ratio = math.exp(min(max(new - old, -20), 20))
    plain, bounded = ratio * advantage, min(max(ratio, 1 - low), 1 + high) * advantage
    surrogate, slope, bound = (plain, plain, "") if plain <= bounded else (bounded, 0.0, "clip")
    if dual is not None and advantage < 0 and surrogate < dual * advantage:
        surrogate, slope, bound = dual * advantage, 0.0, "dual"
    return -surrogate, -slope, bound


@settings(deadline=None)
@given(
    tokens=tokens_strategy,
    low=st.sampled_from([0.1, 0.2, 0.5]),
    high=st.sampled_from([None, 0.28, 1.0]),
    dual=st.sampled_from([None, 1.5, 3.0]),
)
def test_policy_loss_and_gradient_equal_the_formula(tokens, low, high, dual):
    new, old, advantage = (torch.tensor(column, dtype=torch.float64) for column in zip(*tokens, strict=True))
    new.requires_grad_()
    loss, sums = policy_loss(new, old, advantage, low, len(tokens), clip_range_high=high, dual_clip=dual)
    loss.backward()
    upper = low if high is None else high
    expected = [textbook(n, o, a, low, upper, dual) for n, o, a in tokens]
    assert loss.item() == pytest.approx(sum(part[0] for part in expected) / len(tokens), abs=1e-9)
    for (n, o, a), slope, (_, right, _) in zip(tokens, new.grad.tolist(), expected, strict=True):
        ratio = math.exp(n - o)
        kink = min(abs(ratio - 1 + low), abs(ratio - 1 - upper), abs(ratio - (dual or 9e9)), abs(a))
        if kink > 1e-9:  # on a kink either side is a subgradient
            assert slope == pytest.approx(right / len(tokens), abs=1e-9)
    ratios = [math.exp(n - o) for n, o, _ in tokens]
    assert sums["clipped"].item() == sum(not 1 - low <= ratio <= 1 + upper for ratio in ratios)
    assert sums["clipped_low"].item() == sum(r < 1 - low and a < 0 for r, (_, _, a) in zip(ratios, tokens, strict=True))
    assert sums["clipped_high"].item() == sum(
        r > 1 + upper and a > 0 for r, (_, _, a) in zip(ratios, tokens, strict=True)
    )
    assert sums["dual_clipped"].item() == sum(bound == "dual" for _, _, bound in expected)
    assert sums["approx_kl"].item() == pytest.approx(sum(r - 1 - math.log(r) for r in ratios), abs=1e-9)
    assert sums["approx_kl"].item() >= -1e-12


def test_clip_higher_lets_only_likelier_tokens_move_further():
    old, up, down = torch.zeros(1), torch.tensor([math.log(1.25)]), torch.tensor([math.log(0.75)])
    for new, advantage, moves in ((up, 1.0, True), (down, -1.0, False)):
        new = new.clone().requires_grad_()
        policy_loss(new, old, torch.tensor([advantage]), 0.2, 1, clip_range_high=0.28)[0].backward()
        assert bool(new.grad.abs() > 0) is moves


def ragged(seed):
    """Lengths (some 0), per-token losses and the mask of a minibatch."""
    rng = np.random.default_rng(seed)
    mask = np.arange(6) < rng.integers(0, 7, 5)[:, None]
    return torch.tensor(rng.normal(size=(5, 6))), torch.tensor(mask)


@settings(deadline=None)
@given(seed=st.integers(0, 10**6))
def test_normalisations_equal_slow_means(seed):
    losses, mask = ragged(seed)
    rows = [[float(loss) for loss, keep in zip(*pair, strict=True) if keep] for pair in zip(losses, mask, strict=True)]
    rows = [row for row in rows if row]
    every = [loss for row in rows for loss in row]
    expected = {
        "token": sum(every) / max(len(every), 1),
        "sequence": sum(sum(row) / len(row) for row in rows) / max(len(rows), 1),
        "constant": sum(every) / max(8 * len(rows), 1),
    }
    for name, number in expected.items():
        weights, denominator = loss_scale(mask, name, max_tokens=8)
        found = mean_loss(losses[mask], denominator, None if weights is None else weights[mask])
        assert found.item() == pytest.approx(number, abs=1e-6), name


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), name=st.sampled_from(["token", "sequence", "constant"]), micro=st.integers(1, 5))
def test_micro_batches_and_processes_change_nothing(seed, name, micro):
    """The gradient of a minibatch, however it is dealt to two processes and to micro-batches of each."""
    losses, mask = ragged(seed)
    whole = torch.zeros(5, 6, dtype=torch.float64, requires_grad=True)
    weights, denominator = loss_scale(mask, name, max_tokens=8)
    mean_loss((whole * losses)[mask], denominator, None if weights is None else weights[mask]).backward()

    split = torch.zeros(5, 6, dtype=torch.float64, requires_grad=True)
    ranks = [torch.arange(5)[::2], torch.arange(5)[1::2]]
    scales = [loss_scale(mask[rank], name, max_tokens=8) for rank in ranks]
    total = sum(denominator for _, denominator in scales)  # what an all-reduce gives
    assert total == denominator
    for rank, (weights, _) in zip(ranks, scales, strict=True):
        for part in torch.arange(len(rank)).split(micro):
            keep = mask[rank[part]]
            weight = None if weights is None else weights[part][keep]
            mean_loss((split[rank[part]] * losses[rank[part]])[keep], total, weight).backward()
    torch.testing.assert_close(split.grad, whole.grad, atol=1e-12, rtol=0)


def test_a_minibatch_without_tokens_has_no_loss():
    nothing, mask = torch.zeros(0, requires_grad=True), torch.zeros(2, 3, dtype=torch.bool)
    for name in ("token", "sequence", "constant"):
        weights, denominator = loss_scale(mask, name, max_tokens=4)
        loss, _ = policy_loss(
            nothing, nothing, nothing, 0.2, denominator, weights_M=None if weights is None else weights[mask]
        )
        assert (loss + value_loss(nothing, nothing, nothing, 0.2, denominator)).item() == 0.0


def test_normalisations_that_cannot_work_are_refused():
    mask = torch.ones(1, 1, dtype=torch.bool)
    with pytest.raises(ParameterError, match="max_tokens must be >= 1 for the 'constant' normalisation, got None"):
        loss_scale(mask, "constant")
    with pytest.raises(ParameterError, match="normalization must be 'token', 'sequence' or 'constant', got 'mean'"):
        loss_scale(mask, "mean")


def test_weights_multiply_the_loss_of_each_token():
    new, old, advantage, weight = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    apart = [
        policy_loss(n[None], o[None], a[None], 0.2, 1)[0] * w
        for n, o, a, w in zip(new, old, advantage, weight, strict=True)
    ]
    together, _ = policy_loss(new, old, advantage, 0.2, 6, weights_M=weight)
    torch.testing.assert_close(together, torch.stack(apart).mean())
    apart = [
        value_loss(n[None], o[None], a[None], 0.2, 1) * w
        for n, o, a, w in zip(new, old, advantage, weight, strict=True)
    ]
    torch.testing.assert_close(value_loss(new, old, advantage, 0.2, 6, weights_M=weight), torch.stack(apart).mean())


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
    assert math.isnan(explained_variance(returns[:1], returns[:1]))
    assert math.isnan(explained_variance(returns[:0], returns[:0]))
