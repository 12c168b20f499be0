"""Where completions end: end tokens, limits, texts that lie across tokens."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny_policy

from rlenvs.agents.llm.engines import GenerateEngine, SamplingParams, StaticEngine
from rlenvs.agents.llm.engines.stopping import ends_in_stop_text, finish_of
from rlenvs.errors import ParameterError

POLICY = tiny_policy()
ENGINES = [StaticEngine(POLICY, 4), GenerateEngine(POLICY, 4)]
every_engine = pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)


class PieceTokenizer:
    """Tokens are byte strings, some of them parts of a letter."""

    def __init__(self, pieces):
        self.pieces = pieces

    def decode(self, ids, **_):
        return b"".join(self.pieces[token] for token in ids).decode("utf-8", errors="replace")


PIECES = [b"a", b"b", b"</", b"ans", b"wer>", b"\n", b"", b"\xe2", b"\x82\xac", b"STOP", b"S", b"TO", b"P P"]
TOKENIZER = PieceTokenizer(PIECES)
STOPS = ("</answer>", "\n\n", "€b", "STOP", "ab")


@given(st.lists(st.integers(0, len(PIECES) - 1), min_size=1, max_size=40), st.sets(st.sampled_from(STOPS), min_size=1))
def test_the_first_token_that_completes_a_stop_text_is_found(ids, stops):
    """Against a search of the whole text after every token."""
    stop = tuple(sorted(stops))

    def first(found):
        return next((end for end in range(1, len(ids) + 1) if found(ids[:end])), None)

    expected = first(lambda part: any(one in TOKENIZER.decode(part) for one in stop))
    assert first(lambda part: ends_in_stop_text(part, stop, TOKENIZER)) == expected


def test_invisible_tokens_do_not_hide_the_beginning():
    assert ends_in_stop_text([2, *[6] * 50, 3, *[6] * 50, 4], ("</answer>",), TOKENIZER)


@pytest.mark.parametrize(
    ("ids", "params", "finish"),
    [
        ([1, 2], SamplingParams(5), None),
        ([1, 9], SamplingParams(5), "stop"),
        ([1, 2], SamplingParams(5, stop_token_ids=(2,)), "stop"),
        ([2, 1], SamplingParams(5, stop_token_ids=(2,)), None),
        ([1, 2], SamplingParams(2), "length"),
        ([1, 9], SamplingParams(2), "stop"),
    ],
)
def test_what_ends_a_completion(ids, params, finish):
    assert finish_of(ids, params, (9,), TOKENIZER) == finish


@every_engine
def test_engines_stop_at_texts_and_keep_the_token(engine):
    params = SamplingParams(30, stop=("12", "7"))
    completions = engine.generate([[4, 5]] * 60, params, torch.Generator().manual_seed(0))
    texts = [POLICY.tokenizer.decode(c.ids) for c in completions]
    ended_by_text = [
        text
        for text, c in zip(texts, completions, strict=True)
        if c.finish == "stop" and c.ids[-1] not in POLICY.eos_ids
    ]
    assert ended_by_text
    assert all(text.endswith(("12", "7")) for text in ended_by_text)
    for completion in completions:
        before = POLICY.tokenizer.decode(completion.ids[:-1])
        assert "12" not in before
        assert "7" not in before


@every_engine
def test_each_prompt_has_its_own_limits(engine):
    params = [
        SamplingParams(1),
        SamplingParams(9),
        SamplingParams(9, stop_token_ids=tuple(range(16))),
        SamplingParams(4),
    ]
    completions = engine.generate([[4, 5]] * 4, params, torch.Generator().manual_seed(3))
    assert len(completions[0].ids) == 1
    assert len(completions[2].ids) == 1
    assert completions[2].finish == "stop"
    for completion, one in zip(completions, params, strict=True):
        assert len(completion.ids) == len(completion.logprobs) <= one.max_new_tokens
        if completion.finish == "length":
            assert len(completion.ids) == one.max_new_tokens


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens must be >= 1, got 0"),
        ({"max_new_tokens": 1, "temperature": -1.0}, "temperature must be >= 0 and finite"),
        ({"max_new_tokens": 1, "temperature": float("nan")}, "temperature must be >= 0 and finite"),
        ({"max_new_tokens": 1, "stop": "abc"}, "stop must be a tuple"),
        ({"max_new_tokens": 1, "stop": ("",)}, "stop must be a tuple of texts that are not empty"),
    ],
)
def test_parameters_out_of_range_are_refused(arguments, message):
    with pytest.raises(ParameterError, match=message):
        SamplingParams(**arguments)
