"""Row streams and inverse sampling, against plain definitions."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlenvs.agents.llm.engines.sampling import from_uniform, pick, row_seeds, uniform_at

MASK = (1 << 64) - 1


def uniforms(seeds, steps):
    return uniform_at(seeds[:, None], torch.arange(steps))


def splitmix64(seed, count):
    """The published generator, with Python's unbounded integers."""
    state, numbers = seed & MASK, []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        numbers.append(((z ^ (z >> 31)) >> 11) * 2.0**-53)
    return numbers


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=4), st.integers(1, 20))
def test_streams_are_splitmix64(seeds, steps):
    assert uniforms(torch.tensor(seeds), steps).tolist() == [splitmix64(seed, steps) for seed in seeds]


def test_splitmix64_of_seed_1234567_is_as_published():
    # The first outputs that the reference implementation prints for this seed, as 53-bit fractions.
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert uniforms(torch.tensor([1234567]), 3)[0].tolist() == [(n >> 11) * 2.0**-53 for n in published]


def test_seeds_of_neighbouring_rows_give_unrelated_numbers():
    seeds = row_seeds(64, torch.Generator().manual_seed(0))
    assert len(set(seeds.tolist())) == 64
    table = uniforms(torch.cat([seeds, seeds + 1]), 2000)
    correlation = torch.corrcoef(table) - torch.eye(128)
    assert correlation.abs().max() < 0.12  # 5 standard errors of 1/sqrt(2000)
    assert abs(table.mean() - 0.5) < 0.003
    assert abs(table.var() - 1 / 12) < 0.002


@pytest.mark.parametrize("vocabulary", [1, 2, 17, 1024, 1025, 1280, 5000])
def test_the_cumulative_distribution_is_inverted(vocabulary):
    generator = torch.Generator().manual_seed(vocabulary)
    probabilities = torch.rand(40, vocabulary, generator=generator) ** 8
    probabilities[:, ::3] = 0.0
    probabilities[:, -1] += 1e-3  # at least one that can be drawn
    probabilities /= probabilities.sum(dim=1, keepdim=True)
    numbers = torch.rand(40, generator=generator, dtype=torch.float64)
    numbers[:4] = torch.tensor([0.0, 1 - 2**-53, 0.5, 1e-300], dtype=torch.float64)
    tokens = from_uniform(probabilities, numbers)
    exact = probabilities.double()
    cumulative = exact.cumsum(dim=1) / exact.sum(dim=1, keepdim=True)
    for row, (token, number) in enumerate(zip(tokens.tolist(), numbers.tolist(), strict=True)):
        assert probabilities[row, token] > 0
        before = cumulative[row, token - 1].item() if token else 0.0
        assert before <= number + 1e-9
        assert number <= cumulative[row, token].item() + 1e-9


@pytest.mark.parametrize("vocabulary", [5, 3000])
def test_frequencies_are_the_probabilities(vocabulary):
    count = 20_000
    probabilities = torch.softmax(torch.randn(vocabulary, generator=torch.Generator().manual_seed(1)) * 3, dim=0)
    numbers = uniforms(row_seeds(count, torch.Generator().manual_seed(2)), 1)[:, 0]
    drawn = torch.cat([from_uniform(probabilities.expand(1000, -1), part) for part in numbers.split(1000)])
    share = torch.bincount(drawn, minlength=vocabulary) / count
    assert ((share - probabilities).abs() <= 5 * (probabilities * (1 - probabilities) / count).sqrt() + 1e-4).all()


def test_each_row_has_its_own_temperature():
    logits = torch.tensor([[0.0, 1.0, 3.0]]).expand(3, -1)
    temperature = torch.tensor([0.0, 1.0, 2.0])
    tokens, logprobs, entropies = pick(
        logits, temperature, torch.tensor([0.0, 0.0, 0.0], dtype=torch.float64), greedy=True
    )
    assert tokens.tolist() == [2, 0, 0]
    expected = [0.0, torch.log_softmax(logits[0], 0)[0].item(), torch.log_softmax(logits[0] / 2, 0)[0].item()]
    assert logprobs.tolist() == pytest.approx(expected)
    tempered = [torch.distributions.Categorical(logits=logits[0] / t).entropy().item() for t in (1.0, 1.0, 2.0)]
    assert entropies.tolist() == pytest.approx(tempered)


def test_a_token_that_cannot_be_drawn_adds_nothing_to_the_entropy():
    logits = torch.tensor([[0.0, -torch.inf, 0.0]])
    _, _, entropies = pick(logits, torch.ones(1), torch.tensor([0.5], dtype=torch.float64), greedy=False)
    assert entropies.item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_not_numbers_show(temperature):
    logits = torch.tensor([[0.0, float("nan"), 1.0]])
    _, logprobs, _ = pick(
        logits, torch.tensor([temperature]), torch.tensor([0.5], dtype=torch.float64), temperature == 0
    )
    assert not logprobs.isfinite().all()
