"""Hashed n-grams: a slow second implementation, what must not matter, and what must."""

import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlenvs.errors import ParameterError
from rlenvs.wrappers.potentials import hash_embedding, hashing

texts = st.text(alphabet=st.characters(), max_size=40)
MASK = (1 << 64) - 1


def slow_embedding(text: str, dimension: int) -> np.ndarray:
    """The definition with Python integers, one n-gram at a time."""
    words = " ".join(text.casefold().split())
    padded = f" {words} " if words else ""
    counts: Counter[int] = Counter()
    for size in (2, 3, 4):
        for start in range(len(padded) - size + 1):
            h = size
            for character in padded[start : start + size]:
                h = (h * 0x9E3779B97F4A7C15 + ord(character)) & MASK
            h = ((h ^ (h >> 30)) * 0xBF58476D1CE4E5B9) & MASK
            h = ((h ^ (h >> 27)) * 0x94D049BB133111EB) & MASK
            h ^= h >> 31
            counts[(h >> 1) % dimension] += 1 - 2 * (h & 1)
    vector = np.array([counts[cell] for cell in range(dimension)], dtype=float)
    return vector / np.linalg.norm(vector) if vector.any() else vector


@given(batch=st.lists(texts, max_size=6), dimension=st.sampled_from([1, 2, 7, 64]))
def test_the_definition(batch, dimension):
    found = hash_embedding(batch, dimension)
    assert found.shape == (len(batch), dimension)
    for row, text in zip(found, batch, strict=True):
        np.testing.assert_allclose(row, slow_embedding(text, dimension), atol=1e-12)


@given(batch=st.lists(texts, min_size=1, max_size=6))
def test_a_text_has_one_vector_whatever_it_is_batched_with(batch):
    together = hash_embedding(batch, 32)
    for row, text in zip(together, batch, strict=True):
        np.testing.assert_array_equal(row, hash_embedding([text], 32)[0])


def test_chunks_do_not_show(monkeypatch):
    batch = ["one", "", "a longer text than the chunk", "x", "two words"] * 3
    whole = hash_embedding(batch, 64)
    monkeypatch.setattr(hashing, "CHUNK_CHARS", 10)
    np.testing.assert_array_equal(hash_embedding(batch, 64), whole)


def test_case_and_spacing_do_not_matter_but_order_and_word_ends_do():
    same = hash_embedding(["The  answer\nIS 42 ", "the answer is 42"])
    np.testing.assert_array_equal(same[0], same[1])
    for other in ("42 is the answer", "theanswer is 42", "the answer is 421"):
        assert same[0] @ hash_embedding([other])[0] < 0.98


def test_vectors_stay_what_they_were_for_stored_targets():
    """A change of the hash would silently move every stored target and value."""
    counts = np.array([-2, 4, -4, -1, 2, -5, -6, -1])
    np.testing.assert_allclose(hash_embedding(["The answer is 42."], 8)[0], counts / np.linalg.norm(counts), atol=1e-12)


def test_unrelated_texts_are_nearly_orthogonal_and_edits_are_near():
    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz     "))
    words = ["".join(rng.choice(letters, size=60)) for _ in range(200)]
    vectors = hash_embedding(words, 512)
    cosines = (vectors @ vectors.T)[np.triu_indices(200, 1)]
    assert abs(cosines.mean()) < 0.1
    edited = hash_embedding([word[:-3] + "xyz" for word in words], 512)
    assert (edited * vectors).sum(axis=1).min() > 0.7


@pytest.mark.parametrize("text", ["\x00" * 1_000_000, "\ud800" * 1_000_000, "a " * 500_000, "ﬃ" * 300_000])
def test_a_megabyte_of_anything_takes_linear_time(text):
    started = time.process_time()
    assert np.linalg.norm(hash_embedding([text])[0]) == pytest.approx(1.0)
    assert time.process_time() - started < 20.0


@pytest.mark.parametrize("blank", ["", " ", "\n\t\u2003"])
def test_blank_texts_are_zero(blank):
    assert not hash_embedding([blank]).any()


@pytest.mark.parametrize("dimension", [0, -1, 2**20 + 1])
def test_the_dimension_is_checked(dimension):
    with pytest.raises(ParameterError, match="dimension must lie in"):
        hash_embedding(["x"], dimension)
