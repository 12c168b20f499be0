import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.envs import CharTokenizer
from rlenvs.envs.char_tokenizer import UNKNOWN_CHARACTER
from rlenvs.errors import UserError

ALPHABET = "0123456789+-=é中\n"
TOKENIZER = CharTokenizer(ALPHABET)


@settings(deadline=None)
@given(st.text(ALPHABET))
def test_texts_of_the_alphabet_round_trip(text):
    ids = TOKENIZER.encode(text)
    assert TOKENIZER.decode(ids) == text
    assert len(ids) == len(text)
    assert all(3 <= token < TOKENIZER.vocab_size for token in ids)


@settings(deadline=None)
@given(st.text())
def test_unknown_characters_become_the_unknown_token(text):
    decoded = TOKENIZER.decode(TOKENIZER.encode(text))
    assert decoded == "".join(c if c in ALPHABET else UNKNOWN_CHARACTER for c in text)


def test_special_ids():
    assert (TOKENIZER.pad_token_id, TOKENIZER.eos_token_id, TOKENIZER.bos_token_id, TOKENIZER.unk_token_id) == (
        0,
        1,
        2,
        2,
    )
    assert TOKENIZER.encode("0", add_special_tokens=True) == [2, 3]
    assert TOKENIZER.decode([2, 3, 1, 0]) == UNKNOWN_CHARACTER + "0"
    assert TOKENIZER.decode([2, 3, 1, 0], skip_special_tokens=True) == "0"
    assert len(TOKENIZER) == TOKENIZER.vocab_size == 3 + len(ALPHABET)


def test_equality_follows_the_alphabet():
    assert CharTokenizer("ab") == CharTokenizer("ab")
    assert CharTokenizer("ab") != CharTokenizer("ba")
    assert len({CharTokenizer("ab"), CharTokenizer("ab")}) == 1


@pytest.mark.parametrize("alphabet", ["", "aa", None, UNKNOWN_CHARACTER])
def test_an_alphabet_that_cannot_serve_is_refused(alphabet):
    with pytest.raises(UserError, match="alphabet must"):
        CharTokenizer(alphabet)


@pytest.mark.parametrize("token", [-1, 19])
def test_ids_out_of_range_are_refused(token):
    with pytest.raises(UserError, match=rf"token id must be in 0\.\.18, got {token}"):
        TOKENIZER.decode([token])
