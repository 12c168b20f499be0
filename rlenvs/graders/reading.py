r"""Reads answers into exact values: numbers, lists, sets, tuples, intervals, matrices, words.

`read_value` never calls a CAS and never raises: a text beyond
these forms has no value here.

| kind | written | order counts |
|---|---|---|
| number | a formula that `rlenvs.graders.expressions` reads | |
| list | `1, 2`, `1 and 2`, `x=1 or x=2`, `1 \pm \sqrt2` | no |
| set | `\{1, 2\}` | no, and repeats do not count |
| tuple | `(1, 2, 3)`, `[1, 2, 3]`, `\langle 1, 2, 3\rangle` | yes |
| interval | `[0, 1)`; `(1, 2)` is a pair and an open interval | yes |
| union | `[0, 1) \cup (2, \infty)` | no |
| based | `204_5`, a number in another base | |
| inequality | `0 \le x < 1`, `x < 0 \text{ or } x > 1`: the same as the interval or union it says | |
| matrix | `\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}` | yes |
| text | `\text{odd}`, a word | |
"""

import re
from fractions import Fraction

from rlenvs.graders import polynomials as exact
from rlenvs.graders.expressions import LITERAL, read_formula
from rlenvs.graders.extraction import MAX_ANSWER_CHARS
from rlenvs.graders.inequalities import RELATION, read_inequality
from rlenvs.graders.numbers import MINUS_SIGNS, is_approximate, undelimited
from rlenvs.graders.polynomials import BeyondError
from rlenvs.graders.units import HEDGES, is_unit
from rlenvs.graders.values import Value, entry_of, listed, union, unnamed

MAX_NESTING = 20
MAX_ITEMS = 500

NAME = r"[A-Za-z](?:_(?:[A-Za-z0-9]|\{[A-Za-z0-9]{1,8}\}))?"
ASSIGNED = re.compile(
    rf"""\s*(?P<name>{NAME}(?:\(\s*[A-Za-z0-9]{{1,3}}\s*\))?|\\[a-z]{{2,8}}|[A-Z]{{2,3}}|\\angle\s?[A-Z]{{1,3}}
    |\|\s?[A-Z]{{2}}\s?\||\\overline\s?\{{[A-Z]{{2}}\}}|\\text\s?\{{[A-Za-z ]{{1,30}}\}}
    |\(\s*{NAME}(?:\s*,\s*{NAME}){{1,5}}\s*\))
    \s*(?:=(?!=)|\\in\b)""",
    re.VERBOSE | re.ASCII,
)
STYLES = re.compile(r"\\(?:displaystyle|textstyle|left|right|bigl?|bigr?|Bigl?|Bigr?|limits)(?![A-Za-z])")
SPACES = re.compile(r"(?<!\\)\\[;:,! ]|\\q?quad(?![A-Za-z])|~")
THOUSANDS = re.compile(r"(?<=\d)(?:\{,\}|,\\!\s?|\\,|\\!,)(?=\d{3}(?!\d))")
DEGREES = re.compile(r"\s*(?:\^\s*\{?\s*\\circ\s*\}?|\\degree|°)\s*$")
TEXT = re.compile(r"\\(?:text|textrm|textbf|textit|textnormal|mathrm|mathbf|mbox)\s*\{([^{}\\$]*)\}")
TRAILING_UNIT = re.compile(
    r"(?:\\,|~|\s)*\\(?:text|textrm|textbf|textnormal|mathrm|mbox)\s*\{([^{}\\$]+)\}(\^\{?[23]\}?)?\.?\s*$"
)
DRESSED = re.compile(r"\\(?:text(?:rm|bf|it|normal)?|math(?:rm|bf)|mbox|fbox)\s?\{([^{}\\$]*)\}")
CONJUNCTION = re.compile(r"\s*,?\s*(?:\\text\s*\{\s*(?:,?\s*(?:and|or)|,)\s*\}|\b(?:and|or)\b)\s*")
MATRIX = re.compile(r"\\begin\{([pb]matrix)\}(.*)\\end\{\1\}", re.DOTALL)
ARRAY = re.compile(r"(?:\[|\()\s*\\begin\{(array)\}\{[clr]+\}(.*)\\end\{array\}\s*(?:\]|\))", re.DOTALL)
ROW_END = re.compile(r"\\\\(?:\[-?[0-9.]{1,6}(?:pt|em|ex|mm|cm|in)\])?")
"""With the extra space between rows, if any."""
WORDS = re.compile(r"[^\W\d_]+(?:[ '-][^\W\d_]+)*\.?")
CLOSING = {"(": ")", "[": "]", "{": "}", "\\{": "\\}", "\\langle": "\\rangle", "\\lbrace": "\\rbrace"}
OPENINGS = ("\\{", "\\lbrace", "\\langle", "(", "[", "{")
CLOSINGS = ("\\}", "\\rbrace", "\\rangle", ")", "]", "}")
SET_MARKS = frozenset({"\\{", "\\}", "\\lbrace", "\\rbrace"})
BRACKET = re.compile(r"\\(?:[{}]|langle|rangle|lbrace|rbrace|cup|bigcup|pm|mp)(?![A-Za-z])|\\.|[()\[\]{},;]", re.DOTALL)
BASED = re.compile(r"([0-9A-Z]{1,200})_\{?([0-9]{1,2})\}?", re.ASCII)
REPEATING = re.compile(r"(-?)(\d*)\.(\d*)\\(?:overline|bar)\s*\{(\d{1,50})\}", re.ASCII)
INFINITY = {"\\infty": 1, "+\\infty": 1, "-\\infty": -1, "∞": 1, "+∞": 1, "-∞": -1}
EMPTY_SETS = frozenset({"\\emptyset", "\\varnothing", "∅"})


def cleaned(text: str) -> str:
    """Take off what changes only the look of a formula."""
    text = undelimited(text.translate(MINUS_SIGNS))
    dressed = DRESSED.fullmatch(text)
    if dressed and WORDS.fullmatch(dressed[1].strip()) is None:
        text = dressed[1]
    text = STYLES.sub("", text)
    text = THOUSANDS.sub("", text).replace("\\%", "%").replace("\\$", "")
    if "$" in text and text.count("$") % 2 == 0:
        text = text.replace("$", " ")  # $1$, $2$: each item in delimiters of its own
    # One space at most, or patterns that begin with blanks would try every part of a long run.
    return " ".join(SPACES.sub(" ", text).split()).removesuffix(".").rstrip()


def read_value(text: str) -> Value | None:
    r"""Read an answer exactly; None if it is beyond these forms.

    Example:
        >>> read_value("\\{2, 1\\}") == read_value("\\left\\{1,\\,2\\right\\}")
        True
        >>> read_value("\\sin x") is None
        True
    """
    if len(text) > MAX_ANSWER_CHARS or is_approximate(text):
        return None
    try:
        formula = cleaned(text)
        return read_inequality(formula, read_number) if RELATION.search(formula) else read_list(formula, 0)
    except (BeyondError, RecursionError):
        return None


def pieces(text: str, separators: frozenset[str]) -> list[str]:
    """Cut at separators outside of any bracket.

    Raises:
        BeyondError: brackets that do not close each other.
    """
    depth, start, parts = 0, 0, []
    for match in BRACKET.finditer(text):
        token = match[0]
        if token in CLOSING:
            depth += 1
        elif token in CLOSINGS:
            depth -= 1
            if depth < 0:
                raise BeyondError
        elif depth == 0 and token in separators:
            parts.append(text[start : match.start()])
            start = match.end()
    if depth or len(parts) >= MAX_ITEMS:
        raise BeyondError
    return [*parts, text[start:]]


COMMA = frozenset({",", ";"})
CUP = frozenset({"\\cup", "\\bigcup"})


def read_list(text: str, nesting: int) -> Value:
    """Items with commas, `and` or `or` between them; a single one is itself."""
    if nesting > MAX_NESTING:
        raise BeyondError
    assigned = ASSIGNED.match(text)
    if CONJUNCTION.search(text) and not MATRIX.search(text):
        text = CONJUNCTION.sub(",", text)
    parts = pieces(text, COMMA)
    if len(parts) == 1:
        return read_item(text, nesting)
    items = [read_item(part, nesting) for part in parts]
    # a = 4, -8, -10: one name for all of them
    if assigned and items[0].name and not any(item.name for item in items[1:]):
        return listed([unnamed(item) for item in items], items[0].name)
    return listed(items)


def read_item(text: str, nesting: int) -> Value:
    """One item, perhaps with a name, perhaps with a plus-minus."""
    text = text.strip()
    if not text:
        raise BeyondError
    assigned = ASSIGNED.match(text)
    if assigned:
        name = re.sub(r"\\text|[\s{}]", "", assigned["name"])
        said = assigned["name"].removeprefix("\\text").strip("{} ").lower().split()
        if assigned["name"].startswith("\\text") and not HEDGES.isdisjoint(said):
            raise BeyondError
        item = read_item(text[assigned.end() :], nesting + 1)
        if nesting > MAX_NESTING or item.name:
            raise BeyondError
        return Value(item.kind, item.body, item.level, name, item.words, item.items)
    bracketed = read_bracketed(text, nesting) if text[-1] in ")]}" or text.endswith("\\rangle") else None
    if bracketed is not None:
        return bracketed
    if "\\pm" in text or "\\mp" in text or "±" in text:
        text = text.replace("±", "\\pm ")
        if text.count("\\pm") + text.count("\\mp") > 1:
            raise BeyondError
        signs = ("+", "-") if "\\pm" in text else ("-", "+")
        return listed([read_single(re.sub(r"\\[pm][pm](?![A-Za-z])", sign, text), nesting) for sign in signs])
    return read_single(text, nesting)


def read_single(text: str, nesting: int) -> Value:
    """One value: words, a bracketed one, a matrix, a union, or a number."""
    text = text.strip()
    words = read_words(text)
    if words is not None:
        return words
    matrix = MATRIX.fullmatch(text) or ARRAY.fullmatch(text)
    if matrix:
        return read_matrix(matrix[2])
    parts = pieces(text, CUP)
    if len(parts) > 1:
        return union([read_single(part, nesting + 1) for part in parts])
    bracketed = read_bracketed(text, nesting)
    return bracketed if bracketed is not None else read_number(text)


def read_words(text: str) -> Value | None:
    r"""Words, plain or in `\text{...}`; a single letter is a symbol, and two may be a product."""
    inside = TEXT.fullmatch(text)
    plain = (inside[1] if inside else text).strip()
    if inside and plain.startswith("(") and plain.endswith(")"):
        plain = plain[1:-1].strip()
    if WORDS.fullmatch(plain) is None:
        return None
    words = " ".join(plain.casefold().removesuffix(".").split())
    if len(words) == 1 and plain.isascii():
        return Value("number", frozenset(exact.symbol(plain[0]).items()), LITERAL, "", "")
    if len(words) == 2 and not inside and plain.isascii() and words not in ("pi", "ln", "lg", "no"):
        number = read_formula(plain)
        return Value("number", frozenset(number.value.items()), LITERAL, "", words)
    if words == "pi":
        return None
    return Value("text", words, LITERAL, "", words)


def read_number(text: str) -> Value:
    """A formula, perhaps with a unit or degrees behind it."""
    if text in INFINITY:
        return Value("infinity", INFINITY[text])
    text = DEGREES.sub("", text)
    based = BASED.fullmatch(text)
    if based:
        return read_based(based[1], int(based[2]))
    repeating = REPEATING.fullmatch(text)
    if repeating:
        return Value("number", frozenset(exact.constant(repeated(repeating)).items()))
    unit = TRAILING_UNIT.search(text)
    if unit and unit.start() and is_unit(unit[1].strip() + (unit[2] or "").replace("{", "").replace("}", "")):
        text = text[: unit.start()]
    term = read_formula(text)
    return Value("number", frozenset(term.value.items()), term.level)


def read_based(digits: str, base: int) -> Value:
    """A number in another base, which is no decimal number."""
    if not 2 <= base <= 36:
        raise BeyondError
    try:
        return Value("based", (int(digits, base), base))
    except ValueError:
        raise BeyondError from None


def repeated(match: re.Match[str]) -> Fraction:
    r"""The value of `0.1\overline{6}`."""
    sign, whole, fixed, period = match.groups()
    shift = 10 ** len(fixed)
    value = Fraction(int((whole or "0") + fixed), shift) + Fraction(int(period), shift * (10 ** len(period) - 1))
    return -value if sign else value


def brackets_of(text: str) -> tuple[str, str] | None:
    """The brackets that surround a whole text."""
    opening = next((mark for mark in OPENINGS if text.startswith(mark)), None)
    closing = next((mark for mark in CLOSINGS if text.endswith(mark)), None)
    if opening is None or closing is None or not closes_at_end(text):
        return None
    return opening, closing


def read_bracketed(text: str, nesting: int) -> Value | None:
    """A set, a tuple or an interval; None for brackets around less than two items, which only group."""
    if text in EMPTY_SETS:
        return Value("set", frozenset())
    brackets = brackets_of(text)
    if brackets is None:
        return None
    if nesting > MAX_NESTING:
        raise BeyondError
    opening, closing = brackets
    inside = text[len(opening) : -len(closing)].strip()
    if opening in SET_MARKS or closing in SET_MARKS or "{" in brackets or "}" in brackets:
        if CLOSING[opening] != closing:
            raise BeyondError
        return read_list(inside, nesting + 1) if opening == "{" else read_set(inside, nesting)
    parts = pieces(inside, COMMA)
    if len(parts) == 1:
        return None
    items = [read_item(part, nesting + 1) for part in parts]
    level = max(item.level for item in items)
    entries_read = tuple(entry_of(item) for item in items)
    if len(parts) == 2 and opening in ("(", "["):
        return Value("interval", (entries_read[0], entries_read[1], opening == "[", closing == "]"), level)
    if CLOSING[opening] != closing:
        raise BeyondError
    return Value("tuple", entries_read, level)


def read_set(inside: str, nesting: int) -> Value:
    """The items between the braces of a set."""
    if not inside:
        return Value("set", frozenset())
    items = read_list(inside, nesting + 1)
    counted = items.body if items.kind == "list" and isinstance(items.body, frozenset) else {(entry_of(items), 1)}
    return Value("set", frozenset(entry for entry, _ in counted), items.level)


def closes_at_end(text: str) -> bool:
    """True if the first bracket is closed by the last one."""
    depth = 0
    for match in BRACKET.finditer(text):
        token = match[0]
        if token in CLOSING:
            depth += 1
        elif token in CLOSINGS:
            depth -= 1
            if depth == 0:
                return match.end() == len(text)
    return False


def read_matrix(inside: str) -> Value:
    """Rows of numbers."""
    rows = [row for row in ROW_END.split(inside) if row.strip()]
    cells = [[read_formula(cell) for cell in row.split("&")] for row in rows]
    if not cells or len({len(row) for row in cells}) != 1:
        raise BeyondError
    level = max(term.level for row in cells for term in row)
    return Value("matrix", tuple(tuple(frozenset(term.value.items()) for term in row) for row in cells), level)
