r"""Exact numbers and polynomials: sums of fractions times square roots times powers of symbols.

`{(radicand, symbols): coefficient}` with square-free radicands is a canonical form: two such sums are equal exactly if
their dicts are. Pi and e are symbols like x (no algebraic relation between them is known); i is one whose square is -1.

Every operation is bounded (`MAX_TERMS`, `MAX_BITS`, `MAX_POWER`); what would grow beyond raises `BeyondError`.
"""

from fractions import Fraction
from math import gcd, isqrt

Symbols = tuple[tuple[str, int], ...]
Polynomial = dict[tuple[int, Symbols], Fraction]

MAX_TERMS = 100
MAX_PRODUCTS = 1000
"""Of two terms, in one multiplication."""
MAX_BITS = 4096
"""Of a numerator or denominator."""
MAX_POWER = 64
MAX_FACTORIAL = 100
MAX_RADICAND = 10**12
"""Square factors are searched up to its cube root."""
MAX_RADICALS = 4
"""Different primes under the roots of a denominator; each costs one multiplication that doubles the terms."""
IMAGINARY = "i"


class BeyondError(Exception):
    """Not a number or polynomial that these exact forms hold."""


def constant(value: Fraction | int) -> Polynomial:
    """A rational number."""
    return {(1, ()): Fraction(value)} if value else {}


def symbol(name: str) -> Polynomial:
    """A variable, or a constant with a name."""
    return {(1, ((name, 1),)): Fraction(1)}


def rational(p: Polynomial) -> Fraction | None:
    """The value of a polynomial that is a rational number."""
    if not p:
        return Fraction(0)
    return p.get((1, ())) if len(p) == 1 else None


def checked(p: Polynomial) -> Polynomial:
    """Without zero terms, and within the bounds."""
    if len(p) > MAX_TERMS:
        raise BeyondError
    for value in p.values():
        if value.numerator.bit_length() > MAX_BITS or value.denominator.bit_length() > MAX_BITS:
            raise BeyondError
    return {key: value for key, value in p.items() if value}


def add(a: Polynomial, b: Polynomial, sign: int = 1) -> Polynomial:
    """Return a + sign * b."""
    total = dict(a)
    for key, value in b.items():
        total[key] = total.get(key, Fraction(0)) + sign * value
    return checked(total)


def multiply_keys(a: tuple[int, Symbols], b: tuple[int, Symbols]) -> tuple[tuple[int, Symbols], int]:
    """The product of two monomials without coefficients, and the integer factor that comes out."""
    # With r = g * a, s = g * b, where r and s are square-free: sqrt(r s) = g sqrt(a b), and a b is square-free.
    common = gcd(a[0], b[0])
    factor, radicand = common, (a[0] // common) * (b[0] // common)
    if radicand > MAX_RADICAND:
        raise BeyondError
    if not b[1]:
        return (radicand, a[1]), factor
    powers = dict(a[1])
    for name, power in b[1]:
        powers[name] = powers.get(name, 0) + power
    if IMAGINARY in powers:
        turns = powers[IMAGINARY] % 4
        factor = -factor if turns >= 2 else factor
        powers[IMAGINARY] = turns % 2
    return (radicand, tuple(sorted((name, power) for name, power in powers.items() if power))), factor


def multiply(a: Polynomial, b: Polynomial) -> Polynomial:
    """Return a * b."""
    if len(a) * len(b) > MAX_PRODUCTS:
        raise BeyondError
    product: Polynomial = {}
    for key_a, value_a in a.items():
        for key_b, value_b in b.items():
            key, factor = multiply_keys(key_a, key_b)
            product[key] = product.get(key, Fraction(0)) + factor * value_a * value_b
    return checked(product)


def prime_of(p: Polynomial) -> int:
    """A prime under one of the roots, 1 if there is none."""
    for radicand, _ in p:
        if radicand > 1:
            return next((d for d in range(2, isqrt(radicand) + 1) if radicand % d == 0), radicand)
    return 1


def inverse(p: Polynomial) -> Polynomial:
    """Return 1 / p, for a single term or a sum of roots."""
    if not p:
        raise BeyondError
    if len(p) == 1:
        (((radicand, symbols), value),) = p.items()
        inverted = tuple((name, -power) for name, power in symbols if name != IMAGINARY)
        sign = 1
        if any(name == IMAGINARY for name, _ in symbols):  # 1/i = -i
            inverted, sign = tuple(sorted((*inverted, (IMAGINARY, 1)))), -1
        return {(radicand, inverted): sign / (value * radicand)}
    if any(name != IMAGINARY for _, symbols in p for name, _ in symbols):
        raise BeyondError
    numerator, denominator = constant(1), p
    for _ in range(MAX_RADICALS):
        if len(denominator) == 1:
            break
        conjugate = conjugate_of(denominator)
        numerator, denominator = multiply(numerator, conjugate), multiply(denominator, conjugate)
    if len(denominator) != 1:
        raise BeyondError
    return multiply(numerator, inverse(denominator))


def conjugate_of(p: Polynomial) -> Polynomial:
    """With another sign at i, or else at the roots of one prime: the product with it has neither."""
    if any(symbols for _, symbols in p):
        return {key: -value if key[1] else value for key, value in p.items()}
    if max(radicand for radicand, _ in p) > 10**8:
        raise BeyondError
    prime = prime_of(p)
    return {key: -value if key[0] % prime == 0 else value for key, value in p.items()}


def divide(a: Polynomial, b: Polynomial) -> Polynomial:
    """Return a / b."""
    return multiply(a, inverse(b))


def power(base: Polynomial, exponent: int) -> Polynomial:
    """Return base ** exponent."""
    if abs(exponent) > MAX_POWER:
        value = rational(base)
        if value is None or abs(exponent) > MAX_BITS:
            raise BeyondError
        size = max(value.numerator.bit_length(), value.denominator.bit_length())
        if size * abs(exponent) > MAX_BITS or (value == 0 and exponent < 0):
            raise BeyondError
        return constant(value**exponent)
    if exponent < 0:
        base, exponent = inverse(base), -exponent
    result = constant(1)
    while exponent:
        if exponent & 1:
            result = multiply(result, base)
        exponent >>= 1
        if exponent:
            base = multiply(base, base)
    return result


def square_root(p: Polynomial) -> Polynomial:
    """The square root of a rational number."""
    value = rational(p)
    if value is None:
        raise BeyondError
    # sqrt(a/b) = sqrt(a b)/b
    outside, radicand = square_split(abs(value.numerator * value.denominator))
    result: Polynomial = {(radicand, ()): Fraction(outside, value.denominator)} if value else {}
    return multiply(result, symbol(IMAGINARY)) if value < 0 else result


def square_split(n: int) -> tuple[int, int]:
    """Return (s, r) with n = s^2 r, r square-free."""
    whole = isqrt(n)
    if whole * whole == n:
        return whole, 1
    if n > MAX_RADICAND:
        raise BeyondError
    outside, inside, divisor = 1, 1, 2
    while divisor * divisor * divisor <= n:
        count = 0
        while n % divisor == 0:
            n //= divisor
            count += 1
        outside *= divisor ** (count // 2)
        inside *= divisor ** (count % 2)
        divisor += 1
    # No prime up to its cube root divides what is left: it is 1, a prime, the square of one or a product of two.
    whole = isqrt(n)
    return (outside * whole, inside) if whole * whole == n else (outside, inside * n)


def root(p: Polynomial, degree: int) -> Polynomial:
    """The root of a rational number; beyond a square root it has to be rational."""
    if degree == 2:
        return square_root(p)
    value = rational(p)
    if value is None or not 3 <= degree <= MAX_POWER or (value < 0 and degree % 2 == 0):
        raise BeyondError
    sign = -1 if value < 0 else 1
    above, below = whole_root(abs(value.numerator), degree), whole_root(value.denominator, degree)
    return constant(Fraction(sign * above, below))


def whole_root(n: int, degree: int) -> int:
    """The integer root of a perfect power, by bisection."""
    low, high = 0, 1 << (n.bit_length() // degree + 1)
    while low < high:
        middle = (low + high + 1) // 2
        if middle**degree <= n:
            low = middle
        else:
            high = middle - 1
    if low**degree != n:
        raise BeyondError
    return low


def factorial(p: Polynomial) -> Polynomial:
    """Return n! of a small integer."""
    value = rational(p)
    if value is None or value.denominator != 1 or not 0 <= value <= MAX_FACTORIAL:
        raise BeyondError
    product = 1
    for factor in range(2, int(value) + 1):
        product *= factor
    return constant(product)


PI_DIGITS = "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803"
E_DIGITS = "2.71828182845904523536028747135266249775724709369995957496696762772407663035354759457138"
SCALE = 10**80


def approximate(p: Polynomial) -> Fraction | None:
    """The value of a real constant, to 70 digits or so; None if it has variables or i."""
    known = {"\\pi": Fraction(PI_DIGITS), "e": Fraction(E_DIGITS)}
    total = Fraction(0)
    for (radicand, symbols), value in p.items():
        term = value * Fraction(isqrt(radicand * SCALE * SCALE), SCALE)
        for name, exponent in symbols:
            if name not in known:
                return None
            term *= known[name] ** exponent
        total += term
    return total
