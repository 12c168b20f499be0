"""What must not matter: batch order, batch size, when others end, what an engine did before."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from tiny_models import tiny_model_policy

from rlenvs.agents.llm.engines import GenerateEngine, SamplingParams, StaticEngine

POLICY = tiny_model_policy("qwen2", scale=2.0)
ragged = st.lists(st.lists(st.integers(0, 13), min_size=1, max_size=30), min_size=1, max_size=12)


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def ids(completions):
    return [completion.ids for completion in completions]


@settings(max_examples=15, deadline=None)
@given(
    batch=ragged,
    sizes=st.tuples(st.integers(1, 5), st.integers(6, 20)),
    temperature=st.sampled_from([0.0, 1.0]),
    lookahead=st.booleans(),
)
def test_batch_size_compaction_and_looking_ahead_change_no_row(batch, sizes, temperature, lookahead):
    params = [SamplingParams(1 + 7 * row % 19, temperature) for row in range(len(batch))]
    small = StaticEngine(POLICY, sizes[0], lookahead=lookahead).generate(batch, params, stream())
    large = StaticEngine(POLICY, sizes[1]).generate(batch, params, stream())
    assert [(c.ids, c.finish) for c in small] == [(c.ids, c.finish) for c in large]
    for one, other in zip(small, large, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-5)


@pytest.mark.parametrize("lookahead", [False, True])
def test_a_row_that_has_ended_stays_where_it_is_until_others_follow(lookahead):
    # One of many ends: too few to move the others together. It must not run beyond the memory that they need.
    prompts, limits = [[5] * 28, *[[4, row % 14] for row in range(23)]], [2, *[24] * 23]
    params = [SamplingParams(limit, 0.0) for limit in limits]
    policy = tiny_model_policy("qwen2", scale=2.0)
    policy.eos_ids = ()
    completions = StaticEngine(policy, 24, lookahead=lookahead).generate(prompts, params, stream())
    assert ids(completions) == ids(StaticEngine(policy, 1).generate(prompts, params, stream()))


@settings(max_examples=6, deadline=None)
@given(batch=ragged, order=st.randoms(use_true_random=False))
def test_batch_order_changes_no_greedy_answer(batch, order):
    places = list(range(len(batch)))
    order.shuffle(places)
    engine = StaticEngine(POLICY, 4)
    plain = engine.generate(batch, SamplingParams(15, 0.0), stream())
    shuffled = engine.generate([batch[place] for place in places], SamplingParams(15, 0.0), stream())
    assert ids(shuffled) == [plain[place].ids for place in places]


@pytest.mark.parametrize("make", [StaticEngine, GenerateEngine])
def test_the_generator_moves_by_the_number_of_prompts_alone(make):
    short, long = stream(), stream()
    make(POLICY, 2).generate([[4], [5, 6], [7]], SamplingParams(1), short)
    make(POLICY, 3).generate([[4] * 9] * 3, SamplingParams(30), long)
    assert torch.equal(short.get_state(), long.get_state())
    assert not torch.equal(short.get_state(), stream().get_state())


@pytest.mark.parametrize("make", [StaticEngine, GenerateEngine])
def test_nothing_touches_the_global_stream(make):
    before = torch.random.get_rng_state()
    make(POLICY).generate([[4, 5]], SamplingParams(5), stream())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_equal_prompts_are_read_once_and_sampled_apart(monkeypatch):
    engine = StaticEngine(POLICY, 16)
    read = []
    extend = engine.decoder.extend
    monkeypatch.setattr(engine.decoder, "extend", lambda new, *rest: read.extend(new) or extend(new, *rest))
    prompts = [[4, 5, 6]] * 8 + [[7, 8]] * 3
    completions = engine.generate(prompts, SamplingParams(12), stream())
    assert sorted(map(len, read)) == [2, 3]
    apart = StaticEngine(POLICY, 1, reuse_prefixes=False).generate(prompts, SamplingParams(12), stream())
    assert ids(completions) == ids(apart)
    assert len({tuple(c.ids) for c in completions[:8]}) > 1


def second_turn(prompts, completions):
    return [
        [*prompt, *c.ids, 5, 6, 7 + row % 3] for row, (prompt, c) in enumerate(zip(prompts, completions, strict=True))
    ]


@pytest.mark.slow
@pytest.mark.ci
@settings(max_examples=10, deadline=None)
@given(batch=ragged, batch_size=st.integers(1, 14), drop=st.integers(1, 3), lookahead=st.booleans())
def test_later_turns_read_only_what_is_new_and_sample_the_same(batch, batch_size, drop, lookahead):
    engine = StaticEngine(POLICY, batch_size, lookahead=lookahead)
    prompts = batch
    for turn in range(3):
        completions = engine.generate(prompts, SamplingParams(10), stream(turn))
        fresh = StaticEngine(POLICY, 16).generate(prompts, SamplingParams(10), stream(turn))
        assert ids(completions) == ids(fresh)
        for one, other in zip(completions, fresh, strict=True):
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-5)
        prompts = second_turn(prompts, completions)[::-1][::drop]


def test_a_slot_that_moves_to_the_front_keeps_all_it_holds():
    engine = StaticEngine(POLICY, 4)
    prompts = [[4], [5], [6], [7, 8, 9, 10]]
    longer = second_turn(prompts, engine.generate(prompts, SamplingParams(10), stream()))[3:]
    moved = engine.generate(longer, SamplingParams(1), stream())[0]
    fresh = StaticEngine(POLICY, 4).generate(longer, SamplingParams(1), stream())[0]
    assert moved.logprobs == pytest.approx(fresh.logprobs, abs=1e-5)


def test_reading_grows_with_new_tokens_not_with_the_conversation(monkeypatch):
    engine = StaticEngine(POLICY, 8)
    prompts = [[4, 5, 6, row] for row in range(8)]
    completions = engine.generate(prompts, SamplingParams(10), stream())
    read = []
    extend = engine.decoder.extend
    monkeypatch.setattr(engine.decoder, "extend", lambda new, *rest: read.extend(new) or extend(new, *rest))
    engine.generate(second_turn(prompts, completions), SamplingParams(10), stream(1))
    assert [len(new) for new in read] == [4] * 8  # the newest token of the first turn, and three of feedback


@pytest.mark.parametrize("announced", [True, False])
def test_changed_weights_are_used_and_nothing_of_the_old_ones_is_kept(announced):
    policy = tiny_model_policy("llama", scale=2.0)
    engine = StaticEngine(policy, 8)
    prompts = [[4, 5, 6, row] for row in range(5)]
    prompts = second_turn(prompts, engine.generate(prompts, SamplingParams(10), stream()))
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.mul_(1.1)
    if announced:
        engine.sync(policy)
    assert engine.generate(prompts, SamplingParams(10), stream()) == StaticEngine(policy, 8).generate(
        prompts, SamplingParams(10), stream()
    )


def lora_policy():
    policy = tiny_model_policy("llama", scale=2.0)
    config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        policy.model = get_peft_model(policy.model, config)
    return policy


# peft asks for a property that transformers has renamed.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_adapters_are_applied_and_switched_off_like_in_the_model():
    policy = lora_policy()
    prompts = [[4, 5, 6], [7, 8, 9, 10]]
    static, plain = StaticEngine(policy), GenerateEngine(policy)
    adapted = static.generate(prompts, SamplingParams(20), stream())
    assert ids(adapted) == ids(plain.generate(prompts, SamplingParams(20), stream()))
    longer = second_turn(prompts, adapted)
    with policy.model.disable_adapter():
        # Keys and values of the first turn were made with the adapter on: they must not be used.
        bare = static.generate(longer, SamplingParams(20), stream())
        assert ids(bare) == ids(plain.generate(longer, SamplingParams(20), stream()))
    assert ids(static.generate(longer, SamplingParams(20), stream())) != ids(bare)


def test_a_closed_engine_starts_anew():
    engine = StaticEngine(POLICY)
    before = engine.generate([[4, 5]], SamplingParams(5), stream())
    engine.close()
    assert engine.cache.slots == 0
    assert engine.generate([[4, 5]], SamplingParams(5), stream()) == before


def test_no_prompts_no_completions():
    assert StaticEngine(POLICY).generate([], SamplingParams(5), stream()) == []
    assert GenerateEngine(POLICY).generate([], SamplingParams(5), stream()) == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inside torch's compiler
def test_compiled_layers_sample_the_same():
    compiled, plain = StaticEngine(POLICY, 4, compiled=True), StaticEngine(POLICY, 4)
    for turn in range(2):
        prompts = [[4, 5, 6 + row] for row in range(4)]
        ours = compiled.generate(prompts, SamplingParams(6), stream(turn))
        theirs = plain.generate(prompts, SamplingParams(6), stream(turn))
        assert ids(ours) == ids(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-5)
