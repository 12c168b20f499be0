r"""Numbers as people and models write them, read into exact fractions.

Accepted: integers, decimals (`0.5`, `.5`, `5.`), fractions of integers (`7/14`, `\frac{7}{14}`, `\frac12`), mixed
numbers (`1 1/2`, `1\frac{1}{2}`), powers of ten (`1e3`), a sign (also the Unicode minus), thousands separated by commas
or thin spaces in groups of three (also LaTeX `1{,}234` and `1\,234`), a currency sign, `%`, a unit of up to three words
(`5 cm`, `24 square meters`, `\text{ cm}^2`, degrees), math delimiters (`$...$`, `\(...\)`), a full stop at the end, and
one assignment (`x = 3`).

Not accepted, so that guesses do not pass: expressions (`6*7`), several numbers, words that change or hedge a value
(`5 million`, `42 or so`), wrong grouping (`1,23`), digits of other scripts, invisible characters, exponents beyond
`MAX_EXPONENT`.
"""

import re
from fractions import Fraction

from rlenvs.graders.extraction import MAX_ANSWER_CHARS
from rlenvs.graders.units import HEDGES, MEASURE_OF, is_unit

MAX_EXPONENT = 1000
"""Largest power of ten: 10^999999999 would take memory and minutes."""

VULGAR_FRACTIONS = str.maketrans(
    {
        chr(code): f" {above}/{below}"
        for code, above, below in (
            (0xBC, 1, 4),
            (0xBD, 1, 2),
            (0xBE, 3, 4),
            (0x2153, 1, 3),
            (0x2154, 2, 3),
            (0x2155, 1, 5),
            (0x2156, 2, 5),
            (0x2157, 3, 5),
            (0x2158, 4, 5),
            (0x2159, 1, 6),
            (0x215A, 5, 6),
            (0x215B, 1, 8),
            (0x215C, 3, 8),
            (0x215D, 5, 8),
            (0x215E, 7, 8),
        )
    }
)
SUPERSCRIPTS = str.maketrans("²³", "23")
MINUS_SIGNS = str.maketrans(dict.fromkeys("\u2212\u2013\ufe63\uff0d", "-"))
LONG_BLANKS = re.compile(r"\s{9,}")
"""Cut, or patterns that begin with blanks would try every part of a long run."""
LATEX_TEXT = re.compile(r"\\(?:text(?:rm|bf|it|normal)?|math(?:rm|bf|it)|mbox|fbox|bold(?:symbol)?)\s?\{([^{}\\]*)\}")
INTEGER_GROUP = r"(?:\{\s*([+-]?\d{1,4000})\s*\}|(\d))"
LATEX_FRACTION = re.compile(rf"\\[dtc]?frac\s?{INTEGER_GROUP}\s?{INTEGER_GROUP}", re.ASCII)
UNIT_POWER = re.compile(r"\s*\^\s*\{?\s*([23])\s*\}?(?=[\s.]*$)")
DEGREES = re.compile(r"\s*(?:\^\s*(?:\{\s*\\circ\s*\}|\\circ)|\\degree)(?![A-Za-z])")
MIXED = re.compile(r"(-?)[ ]?(\d{1,15})[ ]{1,2}(\d{1,15})/(\d{1,15})(?!\d)", re.ASCII)
LEAD = re.compile(r"(?:the )?(?:(?:final )?answer|result)(?: is)?\s?(?::\s{0,4}|\s{1,4})", re.IGNORECASE)
"""Words before a number that say what it is."""
LATEX_SPACE = re.compile(r"\\[;:! ]|\\q?quad\b|~")
DELIMITERS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"), ("*", "*"), ("`", "`"))
"""What may surround a whole answer: math delimiters and the emphasis of Markdown."""
ASSIGNMENT = re.compile(r"[A-Za-z](?:_?[A-Za-z0-9]|_\{[A-Za-z0-9]{1,8}\})?\s{0,4}=\s{0,4}(?=[^=])")
DIGITS = r"(?:[1-9][0-9]{0,2}(?P<separator>[,\u2009\u202f\u00a0])[0-9]{3}(?:(?P=separator)[0-9]{3})*|[0-9]+)"
NUMBER = re.compile(
    rf"""(?P<sign>[+-]?)[ ]?(?P<currency>[$€£¥]?)[ ]?(?P<inner_sign>[+-]?)
    (?:(?P<whole>{DIGITS})(?:\.(?P<decimals>[0-9]*))?|\.(?P<bare>[0-9]+))
    (?:[eE](?P<exponent>[+-]?[0-9]{{1,20}}))?
    (?:[ ]?/[ ]?(?P<denominator>[0-9]+))?
    (?:[ ]{{0,3}}(?P<percent>%|(?:percent(?:age)?|per[ ]cent|pct)\b))?""",
    re.VERBOSE | re.ASCII,
)


def is_approximate(text: str) -> bool:
    """True for an answer that starts with a tilde: about so much. Between things it is a space of LaTeX."""
    return text.lstrip(" $").startswith("~")


def undelimited(text: str) -> str:
    """A text without the math delimiters or the emphasis around all of it."""
    text = text.strip()
    for left, right in DELIMITERS:
        if len(text) > len(left) + len(right) and text.startswith(left) and text.endswith(right):
            return text[len(left) : -len(right)].strip()
    return text


def plain(text: str) -> str:
    """Take LaTeX dressing off a number."""
    text = undelimited(text)
    text = LONG_BLANKS.sub(" " * 8, text.translate(MINUS_SIGNS))
    if not text.isascii():
        text = text.translate(VULGAR_FRACTIONS).strip()
    if "\\" in text or "{" in text or "~" in text:
        text = text.replace("{,}", ",").replace("\\,", "\u2009").replace("\\$", "$").replace("\\%", "%")
        text = text.replace("\\left", "").replace("\\right", "")
        text = LATEX_FRACTION.sub(frac_to_slash, text)
        text = DEGREES.sub("°", text)
        text = UNIT_POWER.sub(r"^\1", LATEX_TEXT.sub(r" \1 ", text))
        text = LATEX_SPACE.sub(" ", text)
    text = text.strip()
    assigned = ASSIGNMENT.match(text)
    if assigned and assigned[0].rstrip("= ").lower() not in HEDGES:
        text = text[assigned.end() :].strip()
    return text


def frac_to_slash(match: re.Match[str]) -> str:
    r"""`\frac{a}{b}` as `a/b`, apart from what stands beside it."""
    return f" {match[1] or match[2]}/{match[3] or match[4]} "


def improper(text: str) -> str:
    """A mixed number as one fraction: `1 1/2` as `3/2`. What is none stays."""
    match = MIXED.match(text)
    if match is None:
        return text
    whole, above, below = int(match[2]), int(match[3]), int(match[4])
    if not whole or not 0 < above < below:
        return text
    return f"{match[1]}{whole * below + above}/{below}{text[match.end() :]}"


def parse_number(text: str, *, percent_is_unit: bool = False) -> Fraction | None:
    r"""Read a text that is one number and nothing else.

    Args:
        text: an answer of at most `MAX_ANSWER_CHARS` characters.
        percent_is_unit: True reads `50%` as 50 (the convention of word problems), False as 1/2.

    Returns:
        The exact value, or None when the text is not one number.

    Example:
        >>> parse_number("$1,234.50"), parse_number("\\frac{7}{14}"), parse_number("6*7")
        (Fraction(2469, 2), Fraction(1, 2), None)
    """
    if len(text) > MAX_ANSWER_CHARS:
        return None
    if is_approximate(text):
        return None
    text = improper(plain(text))
    match = NUMBER.match(text)
    if match is None:
        lead = LEAD.match(text)
        text = improper(text[lead.end() :]) if lead else ""
        match = NUMBER.match(text)
    if match is None or (match["sign"] and match["inner_sign"]):
        return None
    if not is_unit(text[match.end() :]):
        return None
    return value_of(match, percent_is_unit)


def fraction_parts(text: str) -> tuple[int, int] | None:
    r"""Numerator and denominator of a text that is written as a fraction of integers.

    Example:
        >>> fraction_parts("\\frac{6}{14}"), fraction_parts("0.5")
        ((6, 14), None)
    """
    match = NUMBER.match(plain(text))
    if match is None or not match["denominator"] or match["decimals"] or not match["whole"] or match["exponent"]:
        return None
    return int(match["whole"].replace(match["separator"] or ",", "")), int(match["denominator"])


def measure_of(text: str) -> str:
    """The unit of a number with its power, if it is one whose size is known; else "".

    Example:
        >>> measure_of("5 km"), measure_of("12 inches"), measure_of("18 eggs"), measure_of("$5")
        ('kilometer', 'inch', '', 'dollar')
    """
    text = improper(plain(text))
    match = NUMBER.match(text)
    if match is None:
        return ""
    unit = text[match.end() :].strip().removesuffix(".").lower() or (match["currency"] or "")
    base, power = (unit[:-1].removesuffix("^"), unit[-1]) if unit[-1:] in ("2", "3", "²", "³") else (unit, "")
    return MEASURE_OF[base] + power.translate(SUPERSCRIPTS) if base in MEASURE_OF else ""


def value_of(match: re.Match[str], percent_is_unit: bool) -> Fraction | None:
    """The value of a match of `NUMBER`; None for a zero denominator or an exponent out of bounds."""
    whole = match["whole"] or "0"
    if match["separator"]:
        whole = whole.replace(match["separator"], "")
    decimals = match["bare"] or match["decimals"] or ""
    value = Fraction(int(whole + decimals), 10 ** len(decimals))
    if match["exponent"]:
        exponent = int(match["exponent"])
        if abs(exponent) > MAX_EXPONENT:
            return None
        value *= Fraction(10) ** exponent
    if match["denominator"]:
        denominator = int(match["denominator"])
        if denominator == 0:
            return None
        value /= denominator
    if match["percent"] and not percent_is_unit:
        value /= 100
    return -value if "-" in (match["sign"], match["inner_sign"]) else value
