"""Code problems about whole numbers and bits."""

from rlenvs.problems.code.family import Recipe, family
from rlenvs.problems.code.inputs import ints, number


@family("numbers", 0.2, ("digit_power_sum", "sum_of_digit_powers"), base=range(2, 17), power=range(1, 5))
def digit_powers(base: int, power: int) -> Recipe:
    """Sum of powers of the digits of a number in some base."""
    what = "digits" if power == 1 else f"digits, each raised to the power {power}"
    return Recipe(
        takes="n: int",
        gives="int",
        says=(
            f"Write |n| (the absolute value of `n`) in base {base} and return the sum of its {what}.",
            f"Ignore the sign of `n`. Return the sum of the base-{base} {what}. For 0 the result is 0.",
        ),
        code="""
def solve(n):
    n = abs(n)
    total = 0
    while n > 0:
        total += (n % BASE) ** POWER
        n //= BASE
    return total
""",
        mutants=(
            ("n = abs(n)", "n = max(n, 0)"),
            ("n > 0", "n >= BASE"),
            ("(n % BASE) ** POWER", "(n % (BASE + 1)) ** POWER"),
        ),
        edges=[[0], [1], [-1], [base], [base - 1], [-base * base - 1], [10**15 + 7]],
        inputs=lambda dice: [number(dice, -(10 ** number(dice, 2, 9)), 10 ** number(dice, 2, 9))],
    )


@family("numbers", 0.2, ("matching_divisors", "count_divisors"), k=range(2, 21), sense=["multiple", "other"])
def divisors(k: int, sense: str) -> Recipe:
    """Number of divisors that are, or are not, multiples of a number."""
    are = "are multiples of" if sense == "multiple" else "are not divisible by"
    test = "d % K == 0" if sense == "multiple" else "d % K != 0"
    return Recipe(
        takes="n: int",
        gives="int",
        says=(
            f"Return how many positive divisors of `n` (1 <= n <= 5000) {are} {k}. Both 1 and `n` are divisors of `n`.",
            f"`n` is at least 1 and at most 5000. Count the positive divisors of `n`, 1 and `n` included, that {are} "
            f"{k}.",
        ),
        code=f"""
def solve(n):
    count = 0
    for d in range(1, n + 1):
        if n % d == 0 and {test}:
            count += 1
    return count
""",
        mutants=(
            (f"and {test}", ""),
            ("range(1, n + 1)", "range(1, n)"),
            ("range(1, n + 1)", "range(2, n)"),
            ("count += 1", "count += d"),
        ),
        edges=[[1], [k], [2 * k], [k * k], [7], [720], [840]],
        inputs=lambda dice: [min(5000, number(dice, 1, 60) * number(dice, 1, 12) * (k if dice.random() < 0.6 else 1))],
    )


@family("numbers", 0.25, ("steps_to_one", "chain_length"), a=[3, 5, 7], b=[1, 3, 5, 7], limit=range(20, 120, 10))
def halving_chain(a: int, b: int, limit: int) -> Recipe:
    """Steps of a rule like that of Collatz until 1, with a limit."""
    return Recipe(
        takes="n: int",
        gives="int",
        says=(
            f"Start with `n` >= 1. In one step an even number is halved and an odd number x becomes {a}*x + {b}. "
            f"Return the number of steps until the value is 1, or -1 if it is not 1 after {limit} steps. For n = 1 "
            "return 0.",
            f"Repeat: x -> x // 2 if x is even, else x -> {a}*x + {b}, beginning with x = n (n >= 1). How many steps "
            f"does it take to reach 1? Return 0 for n = 1, and -1 if {limit} steps are not enough.",
        ),
        code="""
def solve(n):
    for steps in range(LIMIT + 1):
        if n == 1:
            return steps
        n = n // 2 if n % 2 == 0 else A * n + B
    return -1
""",
        mutants=(
            ("return -1", "return LIMIT"),
            ("return steps", "return steps + 1"),
            ("n % 2 == 0", "n % 2 == 0 or n % 3 == 0"),
            ("n % 2 == 0", "n % 4 == 0"),
        ),
        edges=[[1], [2], [3], [5], [8], [1024], [2**18]],
        inputs=lambda dice: (
            [2 ** number(dice, 1, 18)] if dice.random() < 0.4 else [number(dice, 1, 64) * 2 ** number(dice, 0, 6)]
        ),
    )


@family(
    "numbers",
    0.35,
    ("recurrence", "term_mod"),
    a=range(6),
    b=range(1, 6),
    p=range(1, 5),
    q=range(1, 5),
    m=[11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97],
)
def linear_recurrence(a: int, b: int, p: int, q: int, m: int) -> Recipe:
    """A term of a linear recurrence of order two modulo a number."""
    return Recipe(
        takes="n: int",
        gives="int",
        says=(
            f"A sequence has f(0) = {a}, f(1) = {b} and f(i) = ({p}*f(i-1) + {q}*f(i-2)) mod {m} for i >= 2. Return "
            "f(n).",
            f"Return term number `n` (n >= 0) of the sequence that starts {a}, {b}, ... in which each further term is "
            f"{p} times the one before plus {q} times the one before that, reduced modulo {m}.",
        ),
        code="""
def solve(n):
    first, second = A, B
    for _ in range(n):
        first, second = second, (P * second + Q * first) % M
    return first
""",
        mutants=(
            ("return first", "return second"),
            ("range(n)", "range(1, n)"),
            ("P * second + Q * first", "Q * second + P * first + 1"),
        ),
        edges=[[0], [1], [2], [3], [500]],
        inputs=lambda dice: [number(dice, 4, 40 if dice.random() < 0.7 else 400)],
    )


@family("numbers", 0.3, ("is_divisible_by_digit_sum", "digit_sum_test"), base=range(2, 17), r=range(4))
def digit_sum_remainder(base: int, r: int) -> Recipe:
    """Whether a number has a given remainder by its digit sum."""
    return Recipe(
        takes="n: int",
        gives="bool",
        says=(
            f"Let s be the sum of the digits of `n` (n >= 1) in base {base}. Return True if n % s equals {r}, else "
            "False.",
            f"Return whether the positive integer `n` leaves the remainder {r} when it is divided by the sum of its "
            f"base-{base} digits.",
        ),
        code="""
def solve(n):
    total, rest = 0, n
    while rest:
        total += rest % BASE
        rest //= BASE
    return n % total == R
""",
        mutants=(
            ("n % total == R", "n % total != R"),
            ("rest % BASE", "rest % (BASE + 1)"),
            ("total, rest = 0, n", "total, rest = 1, n"),
            ("n % total == R", "total % n == R"),
        ),
        edges=[[1], [base], [base + 1], [base * base], [999], [1000]],
        inputs=lambda dice: [number(dice, 1, 1200)],
    )


@family("numbers", 0.25, ("round_to_multiple", "nearest_multiple"), k=range(4, 62, 2), ties=["up", "down"])
def nearest_multiple(k: int, ties: str) -> Recipe:
    """The nearest multiple of a number, with a rule for ties."""
    rule = "the larger one" if ties == "up" else "the smaller one"
    up = "2 * rest >= K" if ties == "up" else "2 * rest > K"
    other = "2 * rest > K" if ties == "up" else "2 * rest >= K"
    return Recipe(
        takes="n: int",
        gives="int",
        says=(
            f"Return the multiple of {k} that is nearest to `n`, which may be negative. If two are equally near, "
            f"return {rule} of the two.",
            f"Round the integer `n` to a multiple of {k}. Of two multiples at the same distance take {rule}.",
        ),
        code=f"""
def solve(n):
    rest = n % K
    if {up}:
        return n - rest + K
    return n - rest
""",
        mutants=((up, other), ("n - rest + K", "n - rest"), ("rest = n % K", "rest = abs(n) % K")),
        edges=[[0], [k], [-k], [k // 2], [-(k // 2)], [k * 3 + k // 2], [-1], [10**12 + 1]],
        inputs=lambda dice: [
            number(dice, -20 * k, 20 * k) if dice.random() < 0.7 else number(dice, -9, 9) * k + k // 2
        ],
    )


@family("bits", 0.3, ("rotate_bits", "rotate_left"), width=range(9, 25), k=range(1, 5), side=["left", "right"])
def rotated_bits(width: int, k: int, side: str) -> Recipe:
    """Rotation of the bits of a number of fixed width."""
    a, b = ("<<", ">>") if side == "left" else (">>", "<<")
    return Recipe(
        takes="n: int",
        gives="int",
        says=(
            f"`n` is an unsigned {width}-bit number (0 <= n < 2**{width}). Return it with its bits rotated by {k} "
            f"places to the {side}: bits that fall off one end come in at the other.",
            f"Rotate the {width} bits of `n` (0 <= n < 2**{width}) by {k} to the {side} and return the resulting "
            "number.",
        ),
        code=f"""
def solve(n):
    mask = (1 << WIDTH) - 1
    return ((n {a} K) | (n {b} (WIDTH - K))) & mask
""",
        mutants=(
            (f"(n {a} K) | (n {b} (WIDTH - K))", f"(n {b} K) | (n {a} (WIDTH - K))"),
            (f"| (n {b} (WIDTH - K))", ""),
            ("(1 << WIDTH) - 1", "(1 << WIDTH + 1) - 1"),
            ("(WIDTH - K)", "(WIDTH - K - 1)"),
        ),
        edges=[[0], [1], [2**width - 1], [2 ** (width - 1)], [2 ** (width - 1) + 1]],
        inputs=lambda dice: [number(dice, 0, 2**width - 1)],
    )


@family("bits", 0.3, ("longest_run", "longest_bit_run"), width=range(6, 31), bit=[0, 1])
def bit_runs(width: int, bit: int) -> Recipe:
    """Longest run of equal bits in a number of fixed width."""
    return Recipe(
        takes="n: int",
        gives="int",
        says=(
            f"Write `n` (0 <= n < 2**{width}) with exactly {width} binary digits, leading zeros included. Return the "
            f"length of the longest run of consecutive {bit}s, 0 if there is none.",
            f"Return how many {bit}s stand next to each other at most in the {width}-bit binary form of `n` (0 <= n < "
            f"2**{width}; leading zeros count as digits).",
        ),
        code="""
def solve(n):
    best = run = 0
    for place in range(WIDTH):
        if (n >> place) & 1 == BIT:
            run += 1
            best = max(best, run)
        else:
            run = 0
    return best
""",
        mutants=(
            ("            run = 0", "            pass"),
            ("range(WIDTH)", "range(WIDTH - 1)"),
            ("return best", "return run"),
            ("& 1 == BIT", "& 1 != BIT"),
        ),
        edges=[[0], [2**width - 1], [1], [2 ** (width - 1)], [2**width // 3]],
        inputs=lambda dice: [number(dice, 0, 2**width - 1) & number(dice, 0, 2**width - 1)],
    )


@family(
    "numbers", 0.35, ("tax", "total_fee"), first=range(50, 500, 50), width=range(100, 900, 100), low=[5, 10, 15, 20]
)
def brackets(first: int, width: int, low: int) -> Recipe:
    """A fee in brackets, in whole units rounded down."""
    second = first + width
    return Recipe(
        takes="amount: int",
        gives="int",
        says=(
            f"A fee is charged in brackets: nothing on the first {first}, {low}% on the part from {first} up to "
            f"{second}, and {2 * low}% on the part above {second}. Return the fee for `amount`, rounded down to an "
            "integer once at the end. A negative amount has a fee of 0.",
            f"The part of `amount` above {first} and up to {second} is taxed at {low} percent, the part above "
            f"{second} at {2 * low} percent, the rest is free. Return the tax as an integer, the fraction of the "
            "total dropped; 0 for amounts below zero.",
        ),
        code="""
def solve(amount):
    middle = max(0, min(amount, FIRST + WIDTH) - FIRST)
    upper = max(0, amount - FIRST - WIDTH)
    return (middle * LOW + upper * 2 * LOW) // 100
""",
        mutants=(
            ("max(0, amount - FIRST - WIDTH)", "max(0, amount - WIDTH)"),
            ("upper * 2 * LOW", "upper * LOW"),
            ("min(amount, FIRST + WIDTH) - FIRST", "amount - FIRST"),
        ),
        edges=[[0], [first], [first + 1], [second], [second + 13], [-40], [100_000]],
        inputs=lambda dice: [number(dice, 0, 3 * second)],
    )


@family("numbers", 0.3, ("fold_gcd", "common_measure"), op=["gcd", "lcm"], k=range(1, 21))
def gcd_fold(op: str, k: int) -> Recipe:
    """Greatest common divisor or least common multiple of a list and a number."""
    name = "greatest common divisor" if op == "gcd" else "least common multiple"
    step = "math.gcd(value, x)" if op == "gcd" else "value * x // math.gcd(value, x)"
    factor = 12 if op == "gcd" else 1
    return Recipe(
        takes="nums: list[int]",
        gives="int",
        says=(
            f"Return the {name} of {factor * k} and all the numbers in `nums` (positive integers). For an empty list "
            f"that is {factor * k}.",
            f"`nums` holds positive integers. Put {factor * k} beside them and return the {name} of all of these "
            "numbers.",
        ),
        code=f"""
import math

def solve(nums):
    value = {factor} * K
    for x in nums:
        value = {step}
    return value
""".replace("12 * K", str(12 * k)).replace("1 * K", str(k)),
        mutants=(
            ("for x in nums:", "for x in nums[1:]:"),
            (step, "min(value, x)" if op == "gcd" else "value * x"),
            ("    return value", "    return value if nums else 0"),
            (step, "value % x or x" if op == "gcd" else "max(value, x)"),
        ),
        edges=[[[]], [[1]], [[factor * k]], [[7, 7]], [[6, 10, 15]]],
        inputs=lambda dice: [
            [x * pick_factor for x in ints(dice, 1, 12, 5, 1)]
            for pick_factor in [number(dice, 1, 6) * (k if op == "gcd" else 1)]
        ],
    )
