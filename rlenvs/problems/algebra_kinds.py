"""The kinds of problem of `AlgebraSource`: one function for each, from dice to an exercise with exact working."""

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from rlenvs.problems.exact_text import Number, Step, bracketed, plain, term

MODULI = 9
"""Powers and inverses need a modulus of at least two digits to be worth asking; below it they are a table look-up."""
MOST_STEPS = 7


@dataclass(frozen=True, slots=True)
class Exercise:
    """A problem and its working."""

    key: str
    """The same for every way of writing the problem down."""
    question: str
    gold: Number
    steps: Sequence[Step]
    numbers: Sequence[Number]
    """What the size is judged by."""


def nonzero(dice: random.Random, limit: int) -> int:
    """An integer in -limit..limit other than 0."""
    value = dice.randint(1, limit)
    return -value if dice.random() < 0.5 else value


def step(expression: str, value: Number, text: str = "") -> Step:
    """A step with its value written out."""
    return Step(expression, plain(value), text)


def less(left: Number, right: Number) -> str:
    """The difference of two numbers as an expression."""
    return f"{bracketed(left)}-{bracketed(right)}"


def linear(dice: random.Random, limit: int, rational: bool) -> Exercise:
    """One linear equation in one unknown, which may stand on both sides."""
    name = dice.choice("xyznkt")
    a, b = nonzero(dice, limit), nonzero(dice, limit)
    c = 0 if dice.random() < 0.5 else nonzero(dice, limit)
    while c == a:
        c = nonzero(dice, limit)
    # A whole solution is drawn, and the right side follows from it.
    d = nonzero(dice, limit) if rational else (a - c) * dice.randint(-limit, limit) + b
    left = f"{term(a, name, first=True)}{term(b, '')}"
    right = f"{term(c, name, first=True)}{term(d, '')}" if c and d else term(c, name, first=True) if c else str(d)
    sides = (left, right) if dice.random() < 0.8 else (right, left)
    equation = f"{sides[0]} = {sides[1]}"
    solution = Fraction(d - b, a - c)
    steps = []
    if c:
        steps.append(step(less(a, c), a - c, f"Collect {name}: "))
    steps.append(step(less(d, b), d - b, "Collect the numbers: "))
    steps.append(step(f"{bracketed(d - b)}/{bracketed(a - c)}", solution, f"So {name} is "))
    question = dice.choice(
        [f"Solve for {name}: {equation}", f"If {equation}, what is {name}?", f"Find the number {name} with {equation}."]
    )
    # Both sides swapped, or all signs turned, it is the same equation.
    forms = [(a, b, c, d), (c, d, a, b), (-a, -b, -c, -d), (-c, -d, -a, -b)]
    return Exercise(f"linear:{max(forms)}", question, solution, steps, (a, b, c, d, solution))


def system(dice: random.Random, limit: int, rational: bool) -> Exercise:
    """Two linear equations in two unknowns, solved by Cramer's rule."""
    names = dice.choice(["xy", "ab", "pq", "uv"])
    a, b, d, e = (nonzero(dice, limit) for _ in range(4))
    while a * e == b * d:
        e = nonzero(dice, limit)
    if rational:
        c, f = nonzero(dice, limit), nonzero(dice, limit)
    else:
        x, y = dice.randint(-limit, limit), dice.randint(-limit, limit)
        c, f = a * x + b * y, d * x + e * y
    determinant = a * e - b * d
    first, second = Fraction(c * e - b * f, determinant), Fraction(a * f - c * d, determinant)
    rows = [f"{term(p, names[0], first=True)}{term(q, names[1])} = {r}" for p, q, r in ((a, b, c), (d, e, f))]
    products = [
        step(f"{bracketed(p)}*{bracketed(q)}-{bracketed(r)}*{bracketed(s)}", p * q - r * s, text)
        for p, q, r, s, text in (
            (a, e, b, d, "The determinant: "),
            (c, e, b, f, f"For {names[0]}: "),
            (a, f, c, d, f"For {names[1]}: "),
        )
    ]
    quotients = [
        step(f"{bracketed(c * e - b * f)}/{bracketed(determinant)}", first, f"{names[0]} is "),
        step(f"{bracketed(a * f - c * d)}/{bracketed(determinant)}", second, f"{names[1]} is "),
    ]
    asked = dice.choice(["first", "second", "sum"])
    both = "\n".join(rows)
    if asked == "sum":
        gold = first + second
        total = step(f"{bracketed(first)}+{bracketed(second)}", gold, f"{names[0]} + {names[1]} is ")
        steps, what = [*products, *quotients, total], f"{names[0]} + {names[1]}"
    else:
        pick = int(asked == "second")
        gold, what = (first, second)[pick], names[pick]
        steps = [products[0], products[1 + pick], quotients[pick]]
    opening = dice.choice(["Solve this system of equations:", "Two numbers fulfil both equations:", "Given:"])
    question = f"{opening}\n{both}\nWhat is {what}?"
    key = sorted(max((p, q, r), (-p, -q, -r)) for p, q, r in ((a, b, c), (d, e, f)))
    return Exercise(f"system:{key}", question, gold, steps, (a, b, c, d, e, f))


def remainder_steps(number: int, modulus: int, text: str) -> list[Step]:
    """Taking a number modulo another, in operations that a calculator has."""
    quotient = number // modulus
    return [step(f"{bracketed(number)}-{bracketed(quotient)}*{modulus}", number % modulus, text)]


def modular(dice: random.Random, limit: int, rational: bool) -> Exercise:
    """A remainder, a power modulo a number, or a linear congruence."""
    modulus = dice.randint(3, max(MODULI, limit))
    form = dice.choice(["combination", "power", "congruence"])
    if form == "combination":
        a, b, c = (dice.randint(2, max(MODULI, limit)) for _ in range(3))
        value = a * b + c
        question = dice.choice(
            [f"What is ({a} * {b} + {c}) mod {modulus}?", f"What remains when {a} * {b} + {c} is divided by {modulus}?"]
        )
        steps = [step(f"{a}*{b}+{c}", value, "First "), *remainder_steps(value, modulus, "The remainder is ")]
        return Exercise(f"combination:{sorted((a, b))}{c}%{modulus}", question, value % modulus, steps, (a, b, modulus))
    if form == "power":
        base, exponent = dice.randint(2, max(MODULI, limit)), dice.randint(2, 6)
        value, steps = base % modulus, remainder_steps(base, modulus, f"{base} leaves ")
        for power in range(2, exponent + 1):
            product = value * (base % modulus)
            text = f"Power {power}: "
            steps.append(step(f"{value}*{base % modulus}-{product // modulus}*{modulus}", product % modulus, text))
            value = product % modulus
        question = dice.choice(
            [f"What is {base}^{exponent} mod {modulus}?", f"Compute {base} to the power {exponent}, modulo {modulus}."]
        )
        return Exercise(f"power:{base}^{exponent}%{modulus}", question, value, steps, (base, modulus))
    prime = dice.choice([p for p in (5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47) if p <= max(MODULI, limit)])
    a, b = dice.randint(2, prime - 1), dice.randint(1, prime - 1)
    inverse = pow(a, -1, prime)
    solution = inverse * b % prime
    question = f"What is the smallest non-negative integer x with {a}x congruent to {b} modulo {prime}?"
    steps = [
        step(f"{a}*{inverse}-{a * inverse // prime}*{prime}", 1, f"{inverse} is the inverse of {a}: "),
        step(f"{inverse}*{b}-{inverse * b // prime}*{prime}", solution, "So x is "),
    ]
    return Exercise(f"congruence:{a}x={b}%{prime}", question, solution, steps, (a, b, prime))


def sequence(dice: random.Random, limit: int, rational: bool) -> Exercise:
    """A later term of a sequence whose rule is named."""
    form = dice.choice(["arithmetic", "geometric", "quadratic", "sum of two"])
    start = dice.randint(-limit, limit) if form != "geometric" else nonzero(dice, limit)
    shown = 4
    steps: list[Step] = []
    if form == "arithmetic":
        gap, place = nonzero(dice, limit), dice.randint(6, 30)
        terms = [start + gap * i for i in range(shown)]
        gold = start + gap * (place - 1)
        steps = [
            step(less(terms[1], terms[0]), gap, "The difference is "),
            step(
                f"{place - 1}*{bracketed(gap)}", (place - 1) * gap, f"To term {place} it is added {place - 1} times: "
            ),
            step(f"{bracketed(start)}+{bracketed((place - 1) * gap)}", gold, "So the term is "),
        ]
        return _sequence(dice, "arithmetic sequence", terms, place, gold, steps)
    if form == "geometric":
        ratio = dice.choice([-3, -2, 2, 3, 4, 5])
        place = dice.randint(5, 7)
        terms = [start * ratio**i for i in range(shown)]
        steps = [step(f"{bracketed(terms[1])}/{bracketed(terms[0])}", ratio, "The ratio is ")]
        value = terms[-1]
        for number in range(shown + 1, place + 1):
            steps.append(step(f"{bracketed(value)}*{bracketed(ratio)}", value * ratio, f"Term {number}: "))
            value *= ratio
        return _sequence(dice, "geometric sequence", terms, place, value, steps)
    if form == "quadratic":
        gap, change, place = dice.randint(-limit, limit), nonzero(dice, 9), dice.randint(5, 7)
        terms = [start + gap * i + change * i * (i - 1) // 2 for i in range(shown)]
        value, growth = terms[-1], gap + change * (shown - 2)
        for number in range(shown + 1, place + 1):
            growth += change
            steps.append(step(f"{bracketed(value)}+{bracketed(growth)}", value + growth, f"Term {number}: "))
            value += growth
        name = f"sequence whose differences change by {change} from term to term"
        return _sequence(dice, name, terms, place, value, steps)
    terms, place = [start, dice.randint(-limit, limit)], dice.randint(5, 8)
    while len(terms) < place:
        terms.append(terms[-1] + terms[-2])
    for number in range(shown, place):
        expression = f"{bracketed(terms[number - 2])}+{bracketed(terms[number - 1])}"
        steps.append(step(expression, terms[number], f"Term {number + 1}: "))
    name = "sequence in which every term is the sum of the two before it"
    return _sequence(dice, name, terms[:shown], place, terms[place - 1], steps)


def _sequence(
    dice: random.Random, name: str, terms: Sequence[int], place: int, gold: int, steps: Sequence[Step]
) -> Exercise:
    """The exercise of a sequence."""
    article = "an" if name[0] in "aeiou" else "a"
    listed = ", ".join(map(str, terms))
    question = dice.choice(
        [
            f"{listed}, ... is {article} {name}. What is term {place}?",
            f"What is term {place} of this {name}: {listed}, ...?",
        ]
    )
    return Exercise(f"sequence:{name}:{listed}", question, gold, steps, (*terms, gold))


def fraction(dice: random.Random, limit: int, rational: bool) -> Exercise:
    """A sum, difference, product or quotient of two or three fractions, from left to right."""
    count = dice.choice([2, 2, 3])
    parts = [Fraction(dice.randint(1, limit), dice.randint(2, max(3, limit))) for _ in range(count)]
    # One operator throughout needs no rule of precedence; "+-" is read from left to right by everyone.
    family = dice.choice(["+-", "*", "/"])
    signs = [dice.choice(family) for _ in parts[1:]]
    value, steps = parts[0], []
    for sign, part in zip(signs, parts[1:], strict=True):
        before = value
        if sign in "+-":
            value = value + part if sign == "+" else value - part
        else:
            value = value * part if sign == "*" else value / part
        steps.append(step(f"{bracketed(before)}{sign}{bracketed(part)}", value))
    written = bracketed(parts[0]) + "".join(
        f" {sign} {bracketed(part)}" for sign, part in zip(signs, parts[1:], strict=True)
    )
    question = dice.choice([f"Compute {written} as a fraction in lowest terms.", f"What is {written} in lowest terms?"])
    terms = sorted(f"{sign}{part}" for sign, part in zip(["+" if family == "+-" else "*", *signs], parts, strict=True))
    return Exercise(f"fraction:{family}{terms}", question, value, steps, (*parts, value))


def chain(dice: random.Random, limit: int, rational: bool) -> Exercise:
    """Assignments, each of which uses the one before."""
    names = dice.sample("abcdefghkmnpqrstuvwxyz", dice.randint(2, 5))
    value = dice.randint(1, limit)
    lines, steps, key = [f"{names[0]} = {value}"], [], [str(value)]
    for before, name in itertools.pairwise(names):
        factor, shift = dice.randint(2, 9), nonzero(dice, limit)
        lines.append(f"{name} = {term(factor, before, first=True)}{term(shift, '')}")
        result = factor * value + shift
        steps.append(step(f"{factor}*{bracketed(value)}+{bracketed(shift)}", result, f"{name} is "))
        key.append(f"{factor},{shift}")
        value = result
    question = "\n".join(lines) + f"\nWhat is {names[-1]}?"
    return Exercise(f"chain:{';'.join(key)}", question, value, steps, (value,))


KINDS: dict[str, Callable[[random.Random, int, bool], Exercise]] = {
    "linear": linear,
    "system": system,
    "modular": modular,
    "sequence": sequence,
    "fraction": fraction,
    "chain": chain,
}
"""Every kind by its name. Arguments: dice, the largest coefficient, whether solutions may be fractions."""
