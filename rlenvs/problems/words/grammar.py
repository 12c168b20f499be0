"""Nouns, names and numbers, so that a sentence comes out right whatever is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Noun:
    """Something that can be counted."""

    one: str
    many: str

    @property
    def a(self) -> str:
        """With its indefinite article: "an apple"."""
        return f"{'an' if self.one[0] in 'aeiou' else 'a'} {self.one}"

    def of(self, number: int) -> str:
        """The form for a number: "apple" for one, "apples" for any other."""
        return self.one if number == 1 else self.many


@dataclass(frozen=True, slots=True)
class Person:
    """A character, with the words that stand for the name."""

    name: str
    he: str
    his: str

    @property
    def s(self) -> str:
        """The possessive: "Ann's", "James'"."""
        return f"{self.name}'" if self.name.endswith("s") else f"{self.name}'s"


def noun(word: str) -> Noun:
    """A noun of which the plural follows the rules of spelling; "child/children" gives both forms.

    Example:
        >>> noun("box").many, noun("berry").many, noun("toy").many, noun("loaf/loaves").many
        ('boxes', 'berries', 'toys', 'loaves')
    """
    one, _, many = word.partition("/")
    if many:
        return Noun(one, many)
    if one.endswith(("s", "x", "ch", "sh")):
        return Noun(one, one + "es")
    if one.endswith("y") and one[-2] not in "aeiou":
        return Noun(one, one[:-1] + "ies")
    return Noun(one, one + "s")


def nouns(words: str) -> tuple[Noun, ...]:
    """Nouns from a list with commas."""
    return tuple(noun(word.strip()) for word in words.split(","))


def count(number: int, thing: Noun) -> str:
    """A number and its noun: "1 apple", "3 apples"."""
    return f"{number} {thing.of(number)}"


def are(number: int) -> str:
    """The verb for a number of things: "is" for one."""
    return "is" if number == 1 else "are"


def listed(words: Sequence[str]) -> str:
    """A list in words: "Ann, Ben and Cy"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _names(names: str) -> tuple[str, ...]:
    return tuple(names.split())


WOMEN = _names(
    "Amara Beatriz Chloe Daria Elena Fatima Greta Hana Ingrid Jasmin Keiko Lucia Maya Nadia Olga Priya Rosa Sofia "
    "Tamar Ulla Vera Wanda Yara Zoe Agnes Iris"
)
MEN = _names(
    "Anton Bilal Carlos Dmitri Emil Farid Goran Hugo Ivan Jonas Kofi Lukas Mateo Nils Omar Pavel Quentin Rafael Samir "
    "Theo Umar Viktor Wei Yusuf Zoltan James"
)
PEOPLE = (*(Person(name, "she", "her") for name in WOMEN), *(Person(name, "he", "his") for name in MEN))

ITEMS = nouns(
    "marble, sticker, pencil, shell, button, bead, stamp, postcard, eraser, crayon, balloon, ribbon, badge, coin, "
    "peach, apple, orange, plum, cherry, walnut, candy, cookie, muffin, brush, key, toy car, notebook, "
    "feather, leaf/leaves, paper clip"
)
CONTAINERS = nouns("bag, box, jar, basket, tin, pouch, drawer, bucket")
PLANTS = nouns("tulip, rose bush, apple tree, tomato plant, cabbage, sunflower, strawberry plant")
BAKED = nouns("loaf/loaves, muffin, bun, pie, pretzel, cake, tart")
GOODS = nouns("scarf/scarves, candle, basket, vase, wooden toy, bracelet, lantern, clay pot, kite")
SHOP_ITEMS = nouns("notebook, pen, mug, poster, puzzle, ball, lamp, cap, book, umbrella, brush, watch")
BIG_ITEMS = nouns("bicycle, guitar, tent, telescope, skateboard, camera, keyboard, game console")
PETS = nouns("cat, rabbit, goldfish/goldfish, hamster, parrot, turtle")
COLOURS = ("red", "blue", "green", "yellow", "white", "black", "purple")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
RELATIVES = ("sister", "brother", "cousin", "neighbour", "aunt", "uncle", "classmate", "grandmother")
