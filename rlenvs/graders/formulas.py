r"""What may be put before Math-Verify: formulas of the same form, without words.

Math-Verify is made to find an answer in a text, so it forgives much: sets for tuples, words, several values, subscripts
of digits. A reward is paid for the verdict here, so that what it would forgive is refused first.
"""

import re
import unicodedata

from rlenvs.graders.numbers import MINUS_SIGNS, undelimited
from rlenvs.graders.polynomials import BeyondError
from rlenvs.graders.reading import ASSIGNED, COMMA, CONJUNCTION, SPACES, STYLES, TEXT, THOUSANDS, pieces
from rlenvs.graders.units import is_unit

FUNCTION_NAMES = (
    "sin cos tan cot sec csc sinh cosh tanh arcsin arccos arctan ln lg log exp lim max min gcd lcm mod det pi sqrt "
    "dx dy dz dt du dr"
)
FUNCTIONS = frozenset(FUNCTION_NAMES.split())
WORK_COMMAND_NAMES = (
    "\\int \\iint \\sum \\prod \\lim \\binom \\dbinom \\tbinom \\det \\gcd \\lcm \\max \\min \\bmod \\pmod "
    "\\lfloor \\lceil \\log \\lg \\ln \\sin \\cos \\tan \\cot \\sec \\csc \\arcsin \\arccos \\arctan \\times "
    "\\cdot "
    "\\div"
)
WORK_COMMANDS = frozenset(WORK_COMMAND_NAMES.split())
"""Commands that leave something to do; `require_evaluated` allows only those that the gold has."""
RELATION_NAMES = (
    "\\approx \\sim \\simeq \\cong \\equiv \\ne \\neq \\lor \\vee \\land \\wedge \\pm \\mp \\to \\rightarrow "
    "\\Rightarrow \\implies \\iff \\Leftrightarrow \\mid \\ldots \\dots \\cdots \\vdots \\dotsc \\dotsb"
)
RELATIONS = frozenset(RELATION_NAMES.split())
"""Commands that make several values or statements of one, or leave open which."""
COMMAND = re.compile(r"\\[A-Za-z]+")
WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
ENVIRONMENT = re.compile(r"\\(?:begin|end)\{[a-z]+\}(?:\{[clr|]+\})?")
LOOSE = re.compile(r"(?<![A-Za-z0-9]) | (?![A-Za-z0-9])")
BASE = re.compile(r"[0-9]\s*_")
UNICODE = {
    "\u00d7": "\\times ",
    "·": "\\cdot ",
    "÷": "\\div ",
    "π": "\\pi ",
    "∞": "\\infty ",
    "≤": "\\le ",
    "≥": "\\ge ",
    "≠": "\\ne ",
    "°": "^\\circ ",
    "²": "^2",
    "³": "^3",
    "\u222a": "\\cup ",
    "∩": "\\cap ",
    "∈": "\\in ",
    "±": "\\pm ",
    "θ": "\\theta ",
    "\u03b1": "\\alpha ",
    "β": "\\beta ",
}
ASCII_RELATIONS = (("<=", "\\le "), (">=", "\\ge "), ("!=", "\\ne "))
ONE_NAME = {"leq": "\\le", "geq": "\\ge", "neq": "\\ne", "lt": "<", "gt": ">"}
RELATION = re.compile(r"\\(leq|geq|neq|lt|gt)(?![A-Za-z])")
TRANSLATION = str.maketrans(UNICODE)
OPENINGS = (("\\{", "set"), ("\\lbrace", "set"), ("(", "tuple"), ("[", "tuple"), ("\\langle", "tuple"))


def formula_of(text: str) -> str:
    """A text without delimiters and spacing commands."""
    text = undelimited(text.translate(MINUS_SIGNS))
    text = THOUSANDS.sub("", STYLES.sub("", text)).translate(TRANSLATION)
    for written, command in ASCII_RELATIONS:
        text = text.replace(written, command)
    text = RELATION.sub(lambda match: ONE_NAME[match[1]], text)
    return " ".join(SPACES.sub(" ", text).split()).removesuffix(".").rstrip()


def same_text(gold: str, answer: str) -> bool:
    r"""True if two formulas differ in nothing but spacing; `4 2` is not `42`, nor `\pi r` a command `\pir`."""
    return gold == answer or tight(gold) == tight(answer) != ""


def tight(text: str) -> str:
    """A formula with spaces only where they part two names or numbers."""
    return LOOSE.sub("", unicodedata.normalize("NFC", formula_of(text)))


def shape(formula: str) -> tuple[str, int]:
    """What brackets surround a formula, and how many items it lists."""
    items = pieces(CONJUNCTION.sub(",", formula), COMMA)
    assigned = ASSIGNED.match(formula)
    body = (formula[assigned.end() :] if assigned else formula).strip()
    if len(items) > 1:
        return "list", len(items)
    for opening, kind in OPENINGS:
        if body.startswith(opening) and body[-1:] in ")]}" and len(pieces(inner(body, opening), COMMA)) > 1:
            return kind, 1
    return "plain", 1


def inner(text: str, opening: str) -> str:
    """What is inside the outer brackets; "" if the first one closes before the end."""
    closing = 2 if text.endswith("\\}") else 1
    inside = text[len(opening) : -closing]
    try:
        pieces(inside, COMMA)
    except BeyondError:
        return ""
    return inside


def words_of(formula: str) -> set[str]:
    r"""Words in a formula: plain ones and those in `\text{...}` that are no units."""
    formula = ENVIRONMENT.sub(" ", formula)
    inside = [text.strip().strip(",").strip() for text in TEXT.findall(formula)]
    words = {text.casefold() for text in inside if text and not is_unit(text)}
    return words | {
        word for word in WORD.findall(TEXT.sub(" ", formula)) if len(word) > 2 or word in ("or", "if", "no")
    }


def comparable_formulas(gold: str, answer: str, *, strict: bool) -> tuple[str, str] | str:
    """Both formulas for Math-Verify, or what rules the answer out.

    Args:
        gold: the gold answer.
        answer: the answer.
        strict: whether the answer may leave no work that the gold does not leave.
    """
    right, left = formula_of(gold), formula_of(answer)
    if not left.isascii() or not left.isprintable():
        return "characters that no formula has"
    if not right.isascii() or not right.isprintable() or BASE.search(right) or BASE.search(left):
        return "not the text of the gold answer"
    if "..." in left and "..." not in right:
        return "more than one value"
    if "$" in left or "\\boxed" in left or "#" in left:
        return "not one formula"
    if words_of(left) - words_of(right) - FUNCTIONS:
        return "words in the formula"
    gold_commands, commands = set(COMMAND.findall(right)), set(COMMAND.findall(left))
    if (commands & RELATIONS) - gold_commands:
        return "more than one value"
    if strict and ((commands & WORK_COMMANDS) - gold_commands or ("!" in left) > ("!" in right)):
        return "not evaluated"
    if left.count("=") > right.count("=") and not (left.count("=") == 1 and ASSIGNED.match(left)):
        return "more than one value"
    try:
        shapes = shape(right), shape(left)
    except BeyondError:
        return "brackets that do not match"
    if shapes[0] != shapes[1] and ("set" in (shapes[0][0], shapes[1][0]) or shapes[0][1] != shapes[1][1]):
        kinds = {shapes[0][0], shapes[1][0]}
        if kinds != {"set", "list"}:
            return "another kind of answer than the gold one"
    return right, left
