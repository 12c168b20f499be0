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
        if other == folded:
            return candidate
        score = _similarity(folded, other)
        if 3 < len(folded) < len(other):
            score = max(score, 0.95 * _similarity(folded, other[: len(folded)]))
        if score > best_score:
            best, best_score = candidate, score
    return best


def _similarity(first: str, second: str) -> float:
    first, second = first[:100], second[:100]
    common = difflib.SequenceMatcher(a=first, b=second, autojunk=False).ratio()
    # Letters in common and in order say little about two that are swapped ("gmama").
    edited = 1.0 - _edits(first, second) / max(len(first), len(second), 1)
    return max(common, edited)


def _edits(first: str, second: str) -> int:
    """Return how many insertions, deletions, replacements and swaps of neighbours lead from one word to the other.

    Example:
        >>> _edits("gmama", "gamma"), _edits("clp", "clip"), _edits("min", "max")
        (1, 1, 2)
    """
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, letter in enumerate(first):
        older, before, row = before, row, [i + 1]
        for j, other in enumerate(second):
            cost = min(before[j + 1] + 1, row[j] + 1, before[j] + (letter != other))
            if i and j and letter == second[j - 1] and first[i - 1] == other:
                cost = min(cost, older[j - 1] + 1)
            row.append(cost)
    return row[-1]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the nearest known word, or nothing.

    Example:
        >>> did_you_mean("clp", ["clip", "gamma"])
        "; did you mean 'clip'?"
    """
    guess = nearest(word, known)
    return "" if guess is None else f"; did you mean {guess!r}?"
