"""Tracing: what is counted, against sums done by hand and against real tensors."""

import pytest
import torch
from tiny_models import MODELS
from torch import nn
from transformers import AutoModelForCausalLM

from rlenvs.agents.llm.memory.tracing import fake_tensors, give_gradients, make_fake, nbytes, peak_bytes

KIB = 1_024


def vector(kibibytes: int = 1) -> torch.Tensor:
    return torch.ones(kibibytes * KIB // 4)


@pytest.mark.parametrize("fake", [True, False])
def test_the_peak_is_what_is_alive_at_once(fake):
    def work():
        first = vector(4) * 2  # 4 while `vector` lives beside its double: 8
        del first
        kept = [vector(1) for _ in range(3)]
        view = kept[0].view(2, -1)  # no memory of its own
        kept[1].add_(1)
        return torch.cat([view.flatten(), *kept[1:]])  # 3 + 3

    if fake:
        with fake_tensors():
            assert peak_bytes(work, []) == 8 * KIB
    else:
        assert peak_bytes(work, []) == 8 * KIB


def test_what_was_there_before_is_not_counted_nor_are_its_views():
    held = vector(64)
    assert peak_bytes(lambda: held.view(2, -1)[0], [held]) == 0
    assert peak_bytes(lambda: held.add_(1), [held]) == 0
    assert peak_bytes(lambda: held[: KIB // 4] * 2, [held]) == KIB


def test_what_autograd_keeps_for_the_backward_pass_is_alive():
    weight = nn.Parameter(vector(1))
    give_gradients([weight])

    def work():
        first = weight.exp()  # kept: the derivative of exp is its result
        second = first.sin()  # keeps its input, which is that result
        del first
        return second

    with torch.no_grad():
        assert peak_bytes(work, [weight, weight.grad]) == 2 * KIB
    assert peak_bytes(lambda: torch.autograd.backward(work().sum()), [weight, weight.grad]) >= 3 * KIB


@pytest.mark.parametrize("kind", MODELS)
def test_a_traced_pass_holds_what_a_real_one_holds(kind):
    config_class, _, shape = MODELS[kind]
    model = AutoModelForCausalLM.from_config(config_class(vocab_size=50, **shape))

    def pass_of(trunk):
        def work():
            ids_BL = torch.zeros(3, 40, dtype=torch.long)
            attention_BL = torch.ones_like(ids_BL)
            attention_BL[0, -1] = 0  # without padding, models leave out the mask where they may look at numbers
            found = trunk(input_ids=ids_BL, attention_mask=attention_BL, use_cache=False)
            torch.autograd.backward(found.last_hidden_state.sum())

        return work

    def held(trunk):
        give_gradients(trunk.parameters())
        return [*trunk.parameters(), *trunk.buffers(), *(p.grad for p in trunk.parameters())]

    real = peak_bytes(pass_of(model.base_model), held(model.base_model))
    with fake_tensors():
        make_fake(model)
        traced = peak_bytes(pass_of(model.base_model), held(model.base_model))
    assert traced == pytest.approx(real, rel=0.02)


def test_tied_weights_stay_tied_and_count_once():
    config_class, _, shape = MODELS["qwen2"]
    model = AutoModelForCausalLM.from_config(config_class(vocab_size=50, **shape))
    expected = nbytes(model.parameters())
    with fake_tensors():
        make_fake(model)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert nbytes([*model.parameters(), model.lm_head.weight]) == expected
