"""Attention within packs on a CPU."""

import pytest
import torch
from tiny_models import tiny_model

from rlenvs.agents.llm.policy import beside
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.policy.options import ForwardOptions

LENGTHS = [3, 1, 5, 2]


def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, window: int | None = None) -> torch.Tensor:
    boundaries = torch.tensor([0, *LENGTHS]).cumsum(0).int()
    found, weights = beside.attend(
        torch.nn.Module(),
        query,
        key,
        value,
        None,
        scaling=0.3,
        sliding_window=window,
        cu_seq_lens_q=boundaries,
        max_length_q=max(LENGTHS),
    )
    assert weights is None
    return found


def heads(kv_heads: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(1, count, sum(LENGTHS), 4) for count in (4, kv_heads, kv_heads)]
    return [torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True) for shape in shapes]


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
@pytest.mark.parametrize("window", [None, 2, 100])
def test_each_token_attends_to_its_own_sequence_alone(kv_heads: int, window: int | None) -> None:
    query, key, value = heads(kv_heads)
    found = attend(query, key, value, window)
    assert found.shape == (1, sum(LENGTHS), 4, 4)
    start = 0
    for length in LENGTHS:
        for place in range(start, start + length):
            first = start if window is None else max(start, place + 1 - window)
            for head in range(4):
                shared = head // (4 // kv_heads)
                scores = 0.3 * key[0, shared, first : place + 1] @ query[0, head, place]
                expected = scores.softmax(0) @ value[0, shared, first : place + 1]
                torch.testing.assert_close(found[0, place, head], expected)
        start += length


def test_gradients_are_those_of_finite_differences() -> None:
    assert torch.autograd.gradcheck(attend, heads(2))


def test_rows_without_tokens_take_no_part() -> None:
    """An episode may be empty: its boundaries are equal."""
    query, key, value = heads(4)
    boundaries = torch.tensor([0, 0, 3, 3, 4, 9, 11, 11], dtype=torch.int32)
    found, _ = beside.attend(
        torch.nn.Module(), query, key, value, None, scaling=0.3, cu_seq_lens_q=boundaries, max_length_q=5
    )
    torch.testing.assert_close(found, attend(query, key, value))


def test_packs_are_attended_so_where_the_model_takes_the_usual_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    original = beside.attend

    def counting(*args: object, **kwargs: object) -> object:
        calls.append(1)
        return original(*args, **kwargs)

    monkeypatch.setattr(beside, "attend", counting)
    policy = Policy(*tiny_model("llama"), options=ForwardOptions(packing=True))
    calls.clear()
    ids = torch.tensor([[4, 5, 6], [7, 8, 0]])
    action = torch.tensor([[False, True, True], [False, True, False]])
    with torch.no_grad():
        policy.evaluate(ids, ids != 0, action, 1.0)
    assert len(calls) == policy.model.config.num_hidden_layers
    assert policy.model.config._attn_implementation == "sdpa", "and only for the pass"
    policy.model.config._attn_implementation = "eager"
    assert not beside.fits(policy.model, torch.device("cpu"))
