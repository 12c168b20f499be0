"""KL estimators: values and gradients by exact enumeration, and the controller by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.agents.llm.algorithm.kl import (
    AdaptiveKLCoefficient,
    FixedKLCoefficient,
    kl_estimate,
    kl_loss,
    kl_metrics,
)
from rlenvs.errors import ParameterError

KINDS = ("k1", "k2", "k3")


def distributions(seed):
    """Logits of the trained, the sampling and the reference policy over five tokens."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, 5, generator=generator, dtype=torch.float64)


def divergence(logits, other):
    left, right = logits.log_softmax(0), other.log_softmax(0)
    return (left.exp() * (left - right)).sum()


def gradient(function, logits):
    parameter = logits.clone().requires_grad_()
    function(parameter).backward()
    return parameter.grad


def expected_loss_gradient(logits, sampling, reference, kind, corrected):
    """Gradient of the loss, averaged over the token that the sampling policy draws."""
    probabilities = sampling.softmax(0)

    def loss(parameter):
        total = 0.0
        for token, probability in enumerate(probabilities):
            new, ref = parameter.log_softmax(0)[token][None], reference.log_softmax(0)[token][None]
            old = sampling.log_softmax(0)[token][None] if corrected else None
            total = total + probability * kl_loss(new, ref, old, kind, 1)
        return total

    return gradient(loss, logits)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", KINDS)
def test_with_the_importance_ratio_every_loss_has_the_gradient_of_the_divergence(seed, kind):
    logits, sampling, reference = distributions(seed)
    found = expected_loss_gradient(logits, sampling, reference, kind, corrected=True)
    torch.testing.assert_close(found, gradient(lambda p: divergence(p, reference), logits), atol=1e-9, rtol=0)


@pytest.mark.parametrize("seed", range(5))
def test_without_the_ratio_k2_is_right_on_policy_and_k3_is_the_reverse(seed):
    logits, sampling, reference = distributions(seed)
    forward = gradient(lambda p: divergence(p, reference), logits)
    reverse = gradient(lambda p: divergence(reference, p), logits)
    on_policy = lambda kind: expected_loss_gradient(logits, logits, reference, kind, corrected=False)  # noqa: E731
    torch.testing.assert_close(on_policy("k2"), forward, atol=1e-9, rtol=0)
    torch.testing.assert_close(on_policy("k3"), reverse, atol=1e-9, rtol=0)
    off_policy = expected_loss_gradient(logits, sampling, reference, "k2", corrected=False)
    assert (off_policy - forward).abs().max() > 1e-2
    assert (reverse - forward).abs().max() > 1e-2


@pytest.mark.parametrize("seed", range(5))
def test_as_a_reward_only_k1_has_the_gradient_of_the_divergence(seed):
    logits, _, reference = distributions(seed)
    forward = gradient(lambda p: divergence(p, reference), logits)

    def as_reward(kind):
        def surrogate(parameter):
            log_probs = parameter.log_softmax(0)
            penalty = kl_estimate(log_probs, reference.log_softmax(0), kind).detach()
            return (log_probs.detach().exp() * penalty * log_probs).sum()

        return gradient(surrogate, logits)

    torch.testing.assert_close(as_reward("k1"), forward, atol=1e-9, rtol=0)
    for kind in ("k2", "k3"):
        assert (as_reward(kind) - forward).abs().max() > 1e-3


@pytest.mark.parametrize("seed", range(5))
def test_values_k1_and_k3_are_unbiased_and_k2_is_close(seed):
    logits, _, reference = distributions(seed)
    left, right = logits.log_softmax(0), reference.log_softmax(0)
    mean = {kind: float((left.exp() * kl_estimate(left, right, kind)).sum()) for kind in KINDS}
    exact = float(divergence(logits, reference))
    assert mean["k1"] == pytest.approx(exact, abs=1e-12)
    assert mean["k3"] == pytest.approx(exact, abs=1e-12)
    near = logits + 1e-3 * reference
    left, right = near.log_softmax(0), logits.log_softmax(0)
    close = float((left.exp() * kl_estimate(left, right, "k2")).sum())
    assert close == pytest.approx(float(divergence(near, logits)), rel=1e-2)


@settings(deadline=None)
@given(tokens=st.lists(st.tuples(st.floats(-30, 0), st.floats(-30, 0), st.floats(0, 1)), min_size=1, max_size=8))
def test_estimates_and_loss_equal_a_slow_loop(tokens):
    new, ref, weight = (torch.tensor(column, dtype=torch.float64) for column in zip(*tokens, strict=True))
    slow = {
        "k1": lambda d: d,
        "k2": lambda d: d * d / 2,
        "k3": lambda d: math.exp(-min(max(d, -20), 20)) - 1 + min(max(d, -20), 20),
    }
    for kind, formula in slow.items():
        expected = [formula(n - r) for n, r, _ in tokens]
        torch.testing.assert_close(
            kl_estimate(new, ref, kind), torch.tensor(expected, dtype=torch.float64), atol=1e-6, rtol=1e-9
        )
        if kind != "k1":
            total = sum(w * e for e, (_, _, w) in zip(expected, tokens, strict=True)) / 7
            assert kl_loss(new, ref, None, kind, 7, weight).item() == pytest.approx(total, rel=1e-9, abs=1e-9)
    assert (kl_estimate(new, ref, "k3") >= 0).all()


def test_a_token_that_the_reference_excludes_stays_finite_and_pushes_no_wrong_way():
    new = torch.tensor([-2.0], requires_grad=True)
    for old in (None, torch.tensor([-2.0])):
        for ref in (-1e4, -100.0):
            loss = kl_loss(new, torch.tensor([ref]), old, "k3", 1)
            assert torch.isfinite(loss)
            (slope,) = torch.autograd.grad(loss, new)
            assert slope >= 0, "descent must not make the excluded token likelier"


def test_k1_as_a_loss_is_refused_and_so_are_unknown_names():
    token = torch.zeros(1)
    with pytest.raises(ParameterError, match="must be 'k2' or 'k3' in a loss without importance ratio, got 'k1'"):
        kl_loss(token, token, None, "k1", 1)
    with pytest.raises(ParameterError, match="must be 'k1', 'k2' or 'k3', got 'k4'"):
        kl_estimate(token, token, "k4")


def test_metrics_are_cut_and_ignore_padding():
    mask = torch.tensor([[True, True], [True, False], [False, False]])
    new = torch.tensor([[-1.0, -1.0], [0.0, torch.nan], [torch.inf, 5.0]])
    ref = torch.tensor([[-2.0, -1.5], [-1e6, 0.0], [0.0, 0.0]])
    found = kl_metrics(new, ref, mask)
    assert found["kl"] == pytest.approx((1.0 + 0.5 + 10.0) / 3)
    assert found["kl_episode"] == pytest.approx((1.0 + 0.5 + 10.0) / 2)
    assert found["kl_k3"] == pytest.approx((math.exp(-1) + math.exp(-0.5) - 0.5 + 10.0) / 3)
    assert kl_metrics(new, ref, torch.zeros_like(mask)) == {"kl": 0.0, "kl_k3": 0.0, "kl_episode": 0.0}


def test_the_controller_follows_its_formula():
    coefficient, expected = AdaptiveKLCoefficient(0.2, target=6.0, horizon=10_000), 0.2
    for kl in (6.0, 6.6, 100.0, 0.0, -3.0, 5.4):
        coefficient.update(kl, episodes=512)
        expected *= 1 + min(max((kl - 6.0) / 6.0, -0.2), 0.2) * 512 / 10_000
        assert coefficient.value == pytest.approx(expected)


def test_the_controller_holds_a_target():
    """A policy whose KL falls as the coefficient rises is brought to the target, from above and from below."""
    for start in (0.01, 1.0):
        coefficient = AdaptiveKLCoefficient(start, target=0.05, horizon=1_000)
        for _ in range(400):
            coefficient.update(0.01 / coefficient.value, episodes=200)
        assert 0.01 / coefficient.value == pytest.approx(0.05, rel=1e-3)


@pytest.mark.parametrize("kl", [math.nan, math.inf, -math.inf])
def test_the_controller_ignores_what_is_not_finite(kl):
    coefficient = AdaptiveKLCoefficient(0.2, target=1.0)
    coefficient.update(kl, episodes=10)
    assert coefficient.value == 0.2


def test_a_batch_beyond_the_horizon_keeps_the_coefficient_positive():
    coefficient = AdaptiveKLCoefficient(0.2, target=1.0, horizon=1)
    coefficient.update(0.0, episodes=10_000)
    assert coefficient.value == pytest.approx(0.16)


def test_the_controller_goes_on_from_its_state():
    first, second = (AdaptiveKLCoefficient(0.2, target=1.0, horizon=100) for _ in range(2))
    first.update(3.0, episodes=50)
    second.load_state_dict(first.state_dict())
    for coefficient in (first, second):
        coefficient.update(0.7, episodes=50)
    assert first.value == second.value != 0.2
    fixed = FixedKLCoefficient(0.3)
    fixed.update(1e9, episodes=1)
    fixed.load_state_dict(fixed.state_dict())
    assert fixed.value == 0.3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FixedKLCoefficient(-0.1), "value must be >= 0, got -0.1"),
        (lambda: AdaptiveKLCoefficient(0.0, 1.0), "value must be > 0, got 0.0"),
        (lambda: AdaptiveKLCoefficient(0.1, math.nan), "target must be > 0, got nan"),
        (lambda: AdaptiveKLCoefficient(0.1, 1.0, 0), "horizon must be >= 1, got 0"),
    ],
)
def test_coefficients_that_cannot_work_are_refused(make, message):
    with pytest.raises(ParameterError, match=message):
        make()
