"""The known word that a misspelt one was probably meant to be."""

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest"]

# Two thirds of the letters in common and in order: catches a swapped, missing or doubled letter, not another
# word.
_SIMILAR = 0.66


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that `word` was probably meant to be, or None.

    The beginning of a long name counts as the name (`Lenght` for `LengthPenalty`). Ties go to the earlier
    one.

    Example:
        >>> nearest("learning_rte", ["clip", "learning_rate"]), nearest("Lenght", ["Clip", "LengthPenalty"])
        ('learning_rate', 'LengthPenalty')
    """
    best, best_score = None, _SIMILAR
    folded = word.casefold()
    for candidate in known:
        other = candidate.casefold()
        score = _similarity(folded, other)
        if 3 < len(folded) < len(other):
            score = max(score, 0.95 * _similarity(folded, other[: len(folded)]))
        if score > best_score:
            best, best_score = candidate, score
    return best


def _similarity(first: str, second: str) -> float:
    return difflib.SequenceMatcher(a=first[:100], b=second[:100], autojunk=False).ratio()


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the nearest known word, or nothing.

    Example:
        >>> did_you_mean("clp", ["clip", "gamma"])
        "; did you mean 'clip'?"
    """
    guess = nearest(word, known)
    return "" if guess is None else f"; did you mean {guess!r}?"
