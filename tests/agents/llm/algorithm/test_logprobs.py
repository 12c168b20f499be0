"""Chunked log-probabilities against the full logits."""

import pytest
import torch

from rlenvs.agents.llm.algorithm.logprobs import chosen_logprobs

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
