"""Words behind a number: those that leave its value alone, and those that do not."""

import re

HEDGE_WORDS = (
    "or and not no is was are if to maybe perhaps possibly probably either about around approximately approx nearly "
    "roughly circa ish vs versus nor neither xor then else otherwise alternatively unless except but wrong wrongly "
    "false incorrect never cannot nope nah unsure unknown guess guessing kidding least most max maximum minimum upto"
)
HEDGES = frozenset(HEDGE_WORDS.split())
"""Words that take back what they stand beside, or leave it open."""
OPERATIONS = (
    "plus minus plusminus times over under more less than between percent half halves quarter quarters double doubled "
    "twice thrice triple tripled inverse reciprocal negative negated mod modulo base"
)
SCALES = (
    "hundred hundreds thousand thousands thou million millions billion billions trillion trillions zillion mill mil "
    "mio mrd mn bn tn lakh lakhs crore crores grand googol dozen dozens gross score ones tens third thirds fourth "
    "fourths fifth fifths tenth tenths hundredth hundredths"
)
NUMERALS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety"
)
MATHEMATICS = (
    "pi tau phi psi chi rho theta alpha beta gamma delta epsilon lambda sigma omega sqrt root sin cos tan cot csc sinh "
    "cosh tanh arcsin arccos arctan log ln lg exp abs floor ceil gcd lcm inf infinity infinite nan null none undefined "
    "prime xyz abc"
)
NOT_UNITS = frozenset(f"{HEDGE_WORDS} {OPERATIONS} {SCALES} {NUMERALS} {MATHEMATICS}".split())
"""Words that change or hedge the number before them, other numbers, and names of formulas."""
NOT_FIRST = frozenset({"of", "squared", "cubed", "factorial"})
"""Words that change the number when they follow it directly: "5 squared" is 25, "5 meters squared" is not."""
ONE_LETTER_UNITS = frozenset("mghslLVWNJAKCF")
"""Metre, gram, hour and so on; any other single letter is a variable or a factor, as in 5x or 5k."""
SHORT_WORDS = (
    "mm cm dm km nm um mi ft in yd mg kg oz lb ml cl dl kl qt pt cc sq cu ha ac ms ns us hr kb mb gb tb hz kw mw gw kj "
    "mj ev pa db am pm ad bc kn st nd rd th tv cd cs ps of by on at an my it"
)
TWO_LETTERS = frozenset(SHORT_WORDS.split())
"""Units and words of two letters; any other two are a product of variables, as in 5xy."""

MEASURES = {
    "millimeter": "mm millimeter millimetre",
    "centimeter": "cm centimeter centimetre",
    "meter": "m meter metre",
    "kilometer": "km kilometer kilometre",
    "inch": "in inch inches",
    "foot": "ft foot feet",
    "yard": "yd yard",
    "mile": "mi mile",
    "milligram": "mg milligram",
    "gram": "g gram",
    "kilogram": "kg kilogram kilo",
    "pound": "lb pound",
    "ounce": "oz ounce",
    "second": "s sec second",
    "minute": "min minute",
    "hour": "h hr hour",
    "day": "day",
    "week": "week",
    "month": "month",
    "year": "yr year",
    "milliliter": "ml milliliter millilitre",
    "liter": "l liter litre",
    "cent": "\u00a2 cent",
    "dollar": "$ dollar",
    "euro": "\u20ac euro",
}
"""Units that differ in size: a number of one is none of another."""
MEASURE_OF = {name: unit for unit, names in MEASURES.items() for word in names.split() for name in (word, f"{word}s")}

WORD = r"[^\W\d_]{1,32}\.?"
UNIT = re.compile(rf"{WORD}(?:(?:/|[ ]{{1,2}}|-){WORD}){{0,2}}(?:\^?[23²³])?|°[ ]{{0,2}}[CF]?|[$¢€£¥]")
LETTERS = re.compile(r"[^\W\d_]+")


def is_unit(rest: str) -> bool:
    """True if what follows a number leaves its value alone: nothing, a full stop, a unit.

    Example:
        >>> is_unit(" km/h"), is_unit(" or so"), is_unit("xy"), is_unit("\u00bd")
        (True, False, False, False)
    """
    if rest.startswith("K"):
        return False  # 42K is forty-two thousand; 42 K are kelvins
    rest = rest.strip().removesuffix(".").rstrip()
    if not rest:
        return True
    rest = rest[1:] if rest.startswith("/") and len(rest) > 1 else rest  # $5/month
    if UNIT.fullmatch(rest) is None or (len(rest) == 1 and rest.isalpha() and rest not in ONE_LETTER_UNITS):
        return False
    words = LETTERS.findall(rest.lower())
    if not rest.isascii():
        # Python holds a half and a square for letters too.
        words = LETTERS.findall(rest.lower().rstrip("23\u00b2\u00b3"))
        if (not words and LETTERS.search(rest)) or not all(map(str.isalpha, words)):
            return False
    return not words or (words[0] not in NOT_FIRST and NOT_UNITS.isdisjoint(words) and all(map(is_word, words)))


def is_word(word: str) -> bool:
    """False for what is rather a product of two variables, or a factor such as "tenfold"."""
    if len(word) == 2 and word.isascii():
        return word in TWO_LETTERS
    return not word.endswith(("fold", "illion", "illions"))
