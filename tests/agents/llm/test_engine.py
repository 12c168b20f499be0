"""Sampling: the tokens and log-probabilities of a plain forward pass, however prompts are batched."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import tiny_policy

from rlenvs.agents.llm.engine import SamplingParams, generate

prompts = st.lists(st.lists(st.integers(3, 13), min_size=1, max_size=6), min_size=1, max_size=5)


def sample(policy, batch, temperature=1.0, seed=0, limit=6, batch_size=64):
    generator = torch.Generator().manual_seed(seed)
    return generate(policy, batch, SamplingParams(limit, temperature), generator, batch_size)


POLICY = tiny_policy()


@settings(max_examples=25, deadline=None)
@given(batch=prompts)
def test_greedy_equals_the_models_own_generate(batch):
    for prompt, completion in zip(batch, sample(POLICY, batch, temperature=0.0), strict=True):
        theirs = POLICY.model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            max_new_tokens=6,
            do_sample=False,
        )
        assert completion.ids == theirs[0, len(prompt) :].tolist()


@settings(max_examples=25, deadline=None)
@given(batch=prompts, temperature=st.sampled_from([0.5, 1.0, 2.0]))
def test_reported_log_probabilities_are_those_of_a_full_forward_pass(batch, temperature):
    for prompt, completion in zip(batch, sample(POLICY, batch, temperature), strict=True):
        ids = torch.tensor([[*prompt, *completion.ids]])
        with torch.no_grad():
            log_probs = torch.log_softmax(POLICY.model(ids).logits[0].float() / temperature, dim=-1)
        expected = [log_probs[len(prompt) + t - 1, token].item() for t, token in enumerate(completion.ids)]
        assert completion.logprobs == pytest.approx(expected, abs=1e-4)


def test_same_seed_same_tokens_and_another_seed_others():
    batch = [[5, 6, 7]] * 8
    assert sample(POLICY, batch, seed=1) == sample(POLICY, batch, seed=1)
    assert sample(POLICY, batch, seed=1) != sample(POLICY, batch, seed=2)


def test_nothing_touches_the_global_stream():
    before = torch.random.get_rng_state()
    sample(POLICY, [[5, 6]])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_sampled_frequencies_match_the_distribution():
    count = 4_000
    with torch.no_grad():
        probabilities = torch.softmax(POLICY.model(torch.tensor([[5, 6, 7]])).logits[0, -1], dim=-1)
    first = [completion.ids[0] for completion in sample(POLICY, [[5, 6, 7]] * count, limit=1, batch_size=count)]
    frequencies = torch.bincount(torch.tensor(first), minlength=len(probabilities)) / count
    # Five standard errors of a binomial share.
    assert (
        (frequencies - probabilities).abs() <= 5 * (probabilities * (1 - probabilities) / count).sqrt() + 1e-4
    ).all()


def test_the_end_token_stops_and_the_limit_cuts():
    finished = sample(POLICY, [[4, 5]] * 200, limit=4)
    assert {c.finish for c in finished} == {"stop", "length"}
    for completion in finished:
        ended = completion.ids[-1] == POLICY.eos_id
        assert completion.finish == ("stop" if ended else "length")
        assert POLICY.eos_id not in completion.ids[:-1]
        assert len(completion.ids) == len(completion.logprobs) <= 4
        assert ended or len(completion.ids) == 4


def test_batch_size_changes_no_greedy_answer():
    batch = [[4], [5, 6, 7, 8, 9], [10, 11], [4, 5, 6]]
    assert (
        sample(POLICY, batch, 0.0, batch_size=1)
        == sample(POLICY, batch, 0.0, batch_size=3)
        == sample(POLICY, batch, 0.0)
    )
