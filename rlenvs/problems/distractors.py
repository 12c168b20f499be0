"""Wrong answers that look like right ones."""

import random
from collections.abc import Sequence
from fractions import Fraction

from rlenvs.graders import parse_number


def like(value: Fraction, gold: str) -> str:
    """A number written the way the right answer is: with as many decimals, or as a fraction.

    Example:
        >>> like(Fraction(5, 2), "1.50"), like(Fraction(3), "7"), like(Fraction(3, 4), "1/2")
        ('2.50', '3', '3/4')
    """
    _, point, decimals = gold.partition(".")
    if point and decimals.isdigit() and (value * 10 ** len(decimals)).denominator == 1:
        scaled = abs(int(value * 10 ** len(decimals)))
        whole, rest = divmod(scaled, 10 ** len(decimals))
        return f"{'-' if value < 0 else ''}{whole}.{rest:0{len(decimals)}d}"
    return str(value)


def near_numbers(gold: str, value: Fraction, steps: Sequence[str], dice: random.Random, count: int) -> list[str]:
    """Wrong numbers: results on the way, slips by one or by a digit, a wrong sign or factor; then others nearby.

    Args:
        gold: the right answer as it is written.
        value: its value.
        steps: values of the working; the last may be the right one.
        dice: decides which are taken.
        count: how many.

    Returns:
        `count` texts of different values, none of them right; negative only where the right answer is.
    """
    places = len(gold.partition(".")[2])
    unit = Fraction(1, 10**places if places else value.denominator)
    candidates = [number for step in steps[:-1] if (number := parse_number(step)) is not None]
    if value.denominator > 1 and not places:
        candidates += [Fraction(value.denominator, value.numerator)] if value.numerator else []
        candidates += [value + unit, value - unit, value * 2, value / 2, 1 - value]
    else:
        candidates += [value + 1, value - 1, value + 10 * unit, value - 10 * unit, value * 2, -value]
        digits = str(abs(int(value)))
        if len(digits) > 1 and not places:
            candidates.append(Fraction(int(digits[::-1])) * (-1 if value < 0 else 1))
        # A number that cannot be written like the right one would say which option is right.
        candidates = [number for number in candidates if (number / unit).denominator == 1]
    dice.shuffle(candidates)
    found: dict[Fraction, str] = {}
    distance = 2
    while len(found) < count:
        candidate = candidates.pop() if candidates else value + unit * distance * dice.choice((-1, 1))
        distance += not candidates
        alike = places or (candidate.denominator == 1) == (value.denominator == 1)
        if candidate != value and alike and (candidate >= 0 or value < 0):
            found.setdefault(candidate, like(candidate, gold))
    return list(found.values())
