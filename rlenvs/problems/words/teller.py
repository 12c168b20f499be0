"""What a story is told with: dice that know people and things, and a record of the working."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from rlenvs.problems.exact_text import Number, Step, plain
from rlenvs.problems.words.grammar import DAYS, ITEMS, PEOPLE, PETS, RELATIVES, Noun, Person, count

CENTS = 100


def written(value: Number, money: bool = False) -> str:
    """A number as the story has it: amounts of money in dollars and cents, all others as integers or fractions.

    Example:
        >>> written(12, True), written(Fraction(5, 2), True), written(Fraction(5, 2))
        ('12', '2.50', '5/2')
    """
    value = Fraction(value)
    if money and value.denominator != 1:
        assert CENTS % value.denominator == 0, "amounts are whole cents"
        cents = abs(int(value * CENTS))
        return f"{'-' if value < 0 else ''}{cents // CENTS}.{cents % CENTS:02d}"
    return plain(value)


def dollars(value: Number) -> str:
    """An amount of money: "$12", "$2.50"."""
    return f"${written(value, money=True)}"


@dataclass(slots=True)
class Working:
    """The steps of a solution, carried out exactly as they are written down."""

    money: bool = False
    steps: list[Step] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    numbers: list[Number] = field(default_factory=list)

    def do(self, label: str, left: Number, sign: str, right: Number) -> Number:
        """Carry out one operation and note it.

        Returns:
            The result; an int where it is whole.
        """
        a, b = Fraction(left), Fraction(right)
        result = {"+": a + b, "-": a - b, "*": a * b}[sign] if sign != "/" else a / b
        value = int(result) if result.denominator == 1 else result
        first, second = self.operand(a), self.operand(b)
        self.steps.append(Step(f"{first}{sign}{second}", written(value, self.money), f"{label}: "))
        self.keys.append(sign.join(sorted((first, second)) if sign in "+*" else (first, second)))
        self.numbers += (left, right, value)
        return value

    def whole(self, label: str, left: Number, sign: str, right: Number) -> int:
        """Carry out one operation whose result is a whole number."""
        value = self.do(label, left, sign, right)
        assert isinstance(value, int), f"{left}{sign}{right} is not whole"
        return value

    def operand(self, value: Fraction) -> str:
        """A number inside an expression."""
        text = written(value, self.money)
        return f"({text})" if "/" in text or text.startswith("-") else text


@dataclass(frozen=True, slots=True)
class Story:
    """A word problem that has been told."""

    facts: Sequence[str]
    question: str
    working: Working
    gold: Number
    free_order: bool = False
    """True if the facts make the same story in any order."""


class Teller:
    """Draws everything a story is made of; people and things are never drawn twice for one story.

    Args:
        dice: where the choices come from.
        limit: largest number of a story's facts.
        steps: how many steps the story is to have.
    """

    def __init__(self, dice: random.Random, limit: int, steps: int) -> None:
        self.dice = dice
        self.limit = limit
        self.steps = steps
        self.used: set[str] = set()

    def pick(self, *forms: str) -> str:
        """One of several ways to say something."""
        return self.dice.choice(forms)

    def fresh(self, things: Sequence[Noun]) -> Noun:
        """A thing that is not in the story yet."""
        while True:
            thing = self.dice.choice(things)
            if thing.one not in self.used:
                self.used.add(thing.one)
                return thing

    def item(self) -> Noun:
        """Something small that people collect."""
        return self.fresh(ITEMS)

    def person(self) -> Person:
        """Somebody new."""
        while True:
            person = self.dice.choice(PEOPLE)
            if person.name not in self.used:
                self.used.add(person.name)
                return person

    def day(self) -> str:
        """A day of the week that is not in the story yet."""
        left = [day for day in DAYS if day not in self.used]
        day = self.dice.choice(left)
        self.used.add(day)
        return day

    def number(self, low: int, high: int) -> int:
        """A number within low..high, and within the limit as far as `low` allows."""
        return self.dice.randint(low, max(low, min(high, self.limit)))

    def divisor(self, total: int, low: int = 2, high: int = 12) -> int | None:
        """A divisor of a total within low..high and below the total, or None if it has none."""
        fits = [n for n in range(low, min(high, total - 1) + 1) if total % n == 0]
        return self.dice.choice(fits) if fits else None

    def distractor(self) -> str:
        """A sentence with a number that has nothing to do with the question."""
        person, pet, other = self.person(), self.fresh(PETS), self.item()
        number = self.number(2, 40)
        forms = {
            "pets": f"The {self.pick(*RELATIVES)} of {person.name} keeps {count(number, pet)}.",
            "neighbour": f"{person.name}, who lives next door, owns {count(number, other)}.",
            "street": f"A street nearby has {number} houses.",
            "town": f"{person.name} has lived in the same town for {number} years.",
            "weather": f"The temperature outside is {number} degrees.",
            "library": f"The nearest library is {number} minutes away on foot.",
            "novel": f"{person.name} has come to page {number} of a novel.",
        }
        # A street has one number of houses, so a story says each of these once.
        form = self.dice.choice([form for form in forms if form not in self.used])
        self.used.add(form)
        return forms[form]


@dataclass(frozen=True, slots=True)
class Template:
    """A kind of story."""

    name: str
    kind: str
    """The numbers it needs: integer, fraction, percent or money."""
    steps: Sequence[int]
    """How many steps it can have."""
    tell: Callable[[Teller], Story]


TEMPLATES: dict[str, Template] = {}
"""Every kind of story by its name; the `stories_*` modules fill it when `rlenvs.problems.words.source` imports them."""


def template(*steps: int, kind: str = "integer") -> Callable[[Callable[[Teller], Story]], Callable[[Teller], Story]]:
    """Make a function that tells a story a template, named as the function is."""

    def add(tell: Callable[[Teller], Story]) -> Callable[[Teller], Story]:
        TEMPLATES[tell.__name__] = Template(tell.__name__, kind, steps, tell)
        return tell

    return add
