"""Chunked log-probabilities against the full logits."""

import pytest
import torch

from rlenvs.agents.llm.algorithm.logprobs import LinearHead, chosen_logprobs

TOKENS, WIDTH, VOCABULARY = 11, 6, 17


def problem():
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(TOKENS, WIDTH, generator=generator, dtype=torch.float32)
    weight = torch.randn(VOCABULARY, WIDTH, generator=generator, dtype=torch.float32)
    return hidden, weight, torch.randint(0, VOCABULARY, (TOKENS,), generator=generator)


@pytest.mark.parametrize("chunk", [1, 3, 11, 1_000])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_values_and_gradients_equal_those_of_the_full_logits(chunk, temperature):
    hidden, weight, targets = problem()
    found_hidden, found_weight = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
    logprobs, entropies = chosen_logprobs(
        found_hidden, targets, lambda part: part @ found_weight.t(), temperature, chunk
    )
    (logprobs.sum() + 0.3 * entropies.sum()).backward()

    full_hidden, full_weight = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
    distribution = torch.distributions.Categorical(logits=full_hidden @ full_weight.t() / temperature)
    torch.testing.assert_close(logprobs, distribution.log_prob(targets), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(entropies, distribution.entropy(), atol=1e-6, rtol=1e-5)
    (distribution.log_prob(targets).sum() + 0.3 * distribution.entropy().sum()).backward()
    torch.testing.assert_close(found_hidden.grad, full_hidden.grad, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found_weight.grad, full_weight.grad, atol=1e-5, rtol=1e-5)


def test_no_more_than_a_chunk_of_logits_exists_at_a_time():
    hidden, weight, targets = problem()
    sizes = []

    def head(part):
        sizes.append(len(part))
        return part @ weight.t()

    chosen_logprobs(hidden.requires_grad_(), targets, head, 1.0, 4)[0].sum().backward()
    assert sizes == [4, 4, 3, 3, 4, 4], "each chunk once forward, and once again in the backward pass"


def test_no_tokens_give_no_numbers():
    logprobs, entropies = chosen_logprobs(
        torch.zeros(0, WIDTH), torch.zeros(0, dtype=torch.long), torch.nn.Identity(), 1.0, 4
    )
    assert logprobs.shape == entropies.shape == (0,)


def scored(hidden, weight, bias, targets, chunk, temperature=0.7, form=(1.0, None), dtype=torch.float32):
    """Outputs and gradients through a `LinearHead`, or through the full logits where chunk is None."""
    leaves = [tensor.clone().to(dtype).requires_grad_() for tensor in (hidden, weight, bias)]
    head = LinearHead(leaves[1], leaves[2], *form)
    if chunk is None:
        log_probs = torch.log_softmax(head(leaves[0]) / temperature, dim=-1)
        logprobs = log_probs.gather(1, targets[:, None])[:, 0]
        entropies = -(log_probs.exp() * log_probs).sum(dim=-1)
    else:
        logprobs, entropies = chosen_logprobs(leaves[0], targets, head, temperature, chunk)
    slopes = torch.linspace(-1, 2, len(targets))
    (logprobs @ slopes.to(logprobs.dtype) + 0.3 * (entropies @ slopes.flip(0).to(entropies.dtype))).backward()
    return logprobs.detach(), entropies.detach(), *(leaf.grad for leaf in leaves)


@pytest.mark.parametrize("chunk", [1, 3, 10, 1_000])
@pytest.mark.parametrize("form", [(1.0, None), (0.3, None), (1.0, 2.0), (4.0, 1.5)])
def test_the_derivative_of_a_linear_head_is_that_of_the_full_logits(chunk, form):
    hidden, weight, targets = problem()
    bias = torch.linspace(-1, 1, VOCABULARY)
    found = scored(hidden, weight, bias, targets, chunk, form=form)
    expected = scored(hidden, weight, bias, targets, None, form=form, dtype=torch.float64)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine.double(), theirs, atol=1e-5, rtol=1e-5)


def test_a_frozen_head_costs_no_gradient_of_its_weight():
    hidden, weight, targets = problem()
    hidden.requires_grad_()
    chosen_logprobs(hidden, targets, LinearHead(weight), 1.0, 3)[0].sum().backward()
    assert weight.grad is None
    assert hidden.grad.abs().sum() > 0


def test_only_hidden_states_and_targets_wait_for_the_backward_pass():
    hidden, weight, targets = problem()
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (saved.append(t.numel()), t)[1], lambda t: t):
        chosen_logprobs(hidden.requires_grad_(), targets, LinearHead(weight.requires_grad_()), 1.0, 3)
    assert max(saved) <= max(hidden.numel(), weight.numel()) < TOKENS * VOCABULARY


def test_gradients_of_the_head_are_summed_in_float32_under_autocast():
    """Sums in bfloat16 stop growing once they are 256 times what is added; 2,000 like tokens show it."""
    generator = torch.Generator().manual_seed(0)
    hidden = (1 + 0.1 * torch.randn(2_000, 4, generator=generator)).bfloat16().float()
    weight = torch.randn(5, 4, generator=generator).bfloat16().float()
    targets = torch.zeros(2_000, dtype=torch.long)

    def weight_gradient(head_of, chunk, mixed):
        w = weight.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            logprobs, _ = chosen_logprobs(hidden.clone().requires_grad_(), targets, head_of(w), 1.0, chunk)
        logprobs.sum().backward()
        return w.grad

    exact = weight_gradient(LinearHead, 10_000, mixed=False)
    ours = weight_gradient(LinearHead, 4, mixed=True)
    autograds = weight_gradient(lambda w: lambda part: torch.nn.functional.linear(part, w), 4, mixed=True)
    error, their_error = (((found - exact).norm() / exact.norm()).item() for found in (ours, autograds))
    assert ours.dtype == torch.float32
    assert error < 0.005
    assert their_error > 5 * error


def test_a_linear_head_without_tokens_gives_no_numbers():
    logprobs, _ = chosen_logprobs(
        torch.zeros(0, WIDTH), torch.zeros(0, dtype=torch.long), LinearHead(torch.zeros(VOCABULARY, WIDTH)), 1.0, 4
    )
    assert logprobs.shape == (0,)
