"""Texts as vectors without a model: signed feature hashing of character n-grams.

Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask Learning" (arXiv 0902.2206): each n-gram adds +1 or
-1 to one coordinate, so that inner products are those of the n-gram counts in expectation. Linear time, the same
vector on every machine, and nothing to install.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from rlenvs.errors import ParameterError
from rlenvs.wrappers.base import FloatArray

NGRAM_SIZES = (2, 3, 4)
MAX_DIMENSION = 1 << 20
CHUNK_CHARS = 1 << 18  # texts hashed at once: what bounds the memory, about 100 bytes per character
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
MIX_1, MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def hash_embedding(texts: Sequence[str], dimension: int = 256) -> FloatArray:
    """Return one unit vector per text: hashed character 2-, 3- and 4-grams, signed counts, length 1.

    Case is folded, runs of white space count as one space, and the text stands between two spaces, so that the ends of
    words are features. A text without anything but white space is the zero vector.

    Args:
        texts: N texts of any content; lone surrogates and NUL are characters like others.
        dimension: D, coordinates of a vector, 1 to 2**20.

    Returns:
        `[N, D]` rows of length 1, or 0 for blank texts.

    Raises:
        ParameterError: the dimension is out of range.

    Example:
        >>> near, far = hash_embedding(["the answer is 42", "the answer is 43", "no idea"])[[1, 2]]
        >>> target = hash_embedding(["The  answer is 42"])[0]
        >>> bool(near @ target > 0.7 > far @ target)
        True
    """
    check_dimension(dimension)
    vectors = np.zeros((len(texts), dimension))
    for start, chunk in _chunks([_normal_form(text) for text in texts]):
        vectors[start : start + len(chunk)] = _signed_counts(chunk, dimension)
    # Counts are whole numbers: their sum of squares is exact, so a text has one vector whatever it is batched with.
    norms = np.sqrt(np.square(vectors).sum(axis=1, keepdims=True))
    units: FloatArray = np.divide(vectors, norms, out=vectors, where=norms > 0)
    return units


def check_dimension(dimension: int) -> None:
    """Refuse a number of coordinates outside 1 to 2**20.

    Raises:
        ParameterError: it is.
    """
    if not 1 <= dimension <= MAX_DIMENSION:
        raise ParameterError("dimension", f"must lie in 1..{MAX_DIMENSION}, got {dimension}")


def _normal_form(text: str) -> str:
    words = " ".join(text.casefold().split())
    return f" {words} " if words else ""


def _chunks(texts: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of the first text, texts) with about CHUNK_CHARS characters each, one text at least."""
    start = size = 0
    for index, text in enumerate(texts):
        if index > start and size + len(text) > CHUNK_CHARS:
            yield start, texts[start:index]
            start, size = index, 0
        size += len(text)
    if texts:
        yield start, texts[start:]


def _signed_counts(texts: list[str], dimension: int) -> FloatArray:
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    rows = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    counts = np.zeros(len(texts) * dimension)
    for size in NGRAM_SIZES:
        windows = len(codes) - size + 1
        if windows <= 0:
            continue
        hashes = np.full(windows, size, dtype=np.uint64)
        for offset in range(size):
            hashes = hashes * MULTIPLIER + codes[offset : offset + windows]
        inside = rows[:windows] == rows[size - 1 :]
        hashes, owners = _mixed(hashes[inside]), rows[:windows][inside]
        cells = owners * dimension + (hashes >> np.uint64(1)).astype(np.int64) % dimension
        signs = 1.0 - 2.0 * (hashes & np.uint64(1)).astype(np.float64)
        counts += np.bincount(cells, weights=signs, minlength=len(counts))
    return counts.reshape(len(texts), dimension)


def _mixed(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Spread every bit over all others (the finaliser of splitmix64), so that sign and cell are independent."""
    hashes = (hashes ^ (hashes >> np.uint64(30))) * MIX_1
    hashes = (hashes ^ (hashes >> np.uint64(27))) * MIX_2
    return hashes ^ (hashes >> np.uint64(31))
