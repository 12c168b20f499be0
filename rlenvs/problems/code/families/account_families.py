"""Code problems whose solution is a class with a state; a test is a script of calls."""

from rlenvs.problems.code.family import Recipe, family
from rlenvs.problems.code.inputs import (
    number,
    script,
)


@family(
    "accounts",
    0.35,
    ("Account", "BankAccount", "Wallet"),
    kind="asserts",
    limit=range(0, 60, 10),
    fee=range(1, 4),
    error=["ValueError", "refusal"],
)
def account_class(limit: int, fee: int, error: str) -> Recipe:
    """A bank account with an overdraft limit."""
    words = "raises ValueError" if error == "ValueError" else "returns False"
    action = "raise ValueError" if error == "ValueError" else "return False"
    return Recipe(
        says=(
            f"The constructor takes the first balance. `deposit(x)` adds x and returns the new balance; it {words} "
            f"and does nothing if x is not positive. `withdraw(x)` takes x and a fee of {fee}, and returns the new "
            f"balance; if that would be below {-limit}, it {words} and does nothing. `history()` returns the list of "
            "all balances so far, the first one included.",
            f"An account with a given first balance that may go down to {-limit}: `deposit(x)`, `withdraw(x)` (costs "
            f"{fee} on top of x), `history()` (every balance since the start, in order). The first two return the new "
            f"balance. A deposit of 0 or less, or a withdrawal beyond the limit, changes nothing and {words}.",
        ),
        code=f"""
class Solution:
    def __init__(self, balance):
        self.balances = [balance]

    def change(self, amount):
        self.balances.append(self.balances[-1] + amount)
        return self.balances[-1]

    def deposit(self, x):
        if x <= 0:
            {action}
        return self.change(x)

    def withdraw(self, x):
        if self.balances[-1] - x - FEE < 0 - LIMIT:
            {action}
        return self.change(-x - FEE)

    def history(self):
        return list(self.balances)
""".replace("0 - LIMIT", str(-limit)),
        mutants=(
            ("if x <= 0", "if x < 0"),
            (f"- x - FEE < {-limit}", f"- x < {-limit}"),
            ("self.change(-x - FEE)", "self.change(-x)"),
            (f"- x - FEE < {-limit}", f"- x - FEE <= {-limit}"),
        ),
        edges=[
            [[0], [["history"]]],
            [[10], [["deposit", 0], ["history"]]],
            [[10], [["withdraw", 10 + limit - fee], ["history"]]],
            [[10], [["withdraw", 10 + limit - fee + 1], ["history"]]],
            [[5], [["deposit", -3], ["deposit", 3], ["withdraw", 1], ["history"]]],
        ],
        inputs=lambda dice: [
            [number(dice, 0, 30)],
            [
                *script(
                    dice,
                    [lambda d: ["deposit", number(d, -2, 15)], lambda d: ["withdraw", number(d, 1, limit // 2 + 15)]],
                    8,
                    3,
                ),
                ["history"],
            ],
        ],
    )


@family(
    "queues",
    0.4,
    ("Ring", "RingBuffer", "Window"),
    kind="asserts",
    size=range(2, 7),
    what=["total", "largest", "oldest"],
    scale=range(1, 4),
)
def ring_class(size: int, what: str, scale: int) -> Recipe:
    """The last few values, and something about them."""
    body = {"total": "sum(self.last)", "largest": "max(self.last)", "oldest": "self.last[0]"}[what]
    wrong = {"total": "max(self.last, default=0)", "largest": "self.last[-1]", "oldest": "self.last[-1]"}[what]
    words = {"total": "their sum", "largest": "the largest of them", "oldest": "the oldest of them"}[what]
    none = "0 if there are none" if what == "total" else "ValueError if there are none"
    guard = "" if what == "total" else "\n        if not self.last:\n            raise ValueError"
    return Recipe(
        says=(
            f"Remembers the last {size} values. `add(x)` adds {scale} * x as the newest value and returns the value "
            f"that was forgotten for it, or None. `{what}()` returns {words} ({none}). `clear()` forgets all and "
            "`len()` of the object is the number of values it has.",
            f"Keeps up to {size} values, the newest ones. Methods: `add(x)` stores {scale} * x and returns the value "
            f"that drops out (None if none does), `{what}()`: {words}, {none}; `clear()`; and `len(...)` gives how "
            "many are kept.",
        ),
        code=f"""
class Solution:
    def __init__(self):
        self.last = []

    def add(self, x):
        self.last.append(SCALE * x)
        if len(self.last) > SIZE:
            return self.last.pop(0)
        return None

    def {what}(self):{guard}
        return {body}

    def clear(self):
        self.last = []

    def __len__(self):
        return len(self.last)
""",
        mutants=(
            ("> SIZE", ">= SIZE"),
            (body, wrong),
            ("self.last.pop(0)", "self.last.pop()"),
            ("    def clear(self):\n        self.last = []", "    def clear(self):\n        self.last = self.last[1:]"),
        ),
        edges=[
            [[], [["__len__"], [what]]],
            [[], [["add", 4], [what], ["__len__"]]],
            [[], [*(["add", x] for x in (3, 9, 1, 4, 7, 2, 8, 5)), [what], ["__len__"]]],
            [[], [["add", 2], ["add", 6], ["clear"], ["__len__"], [what]]],
        ],
        inputs=lambda dice: [
            [],
            [
                *script(
                    dice,
                    [lambda d: ["add", number(d, -9, 20)]] * 5
                    + [lambda d: [what], lambda d: ["__len__"], lambda d: ["clear"]],
                    size + 8,
                    size,
                ),
                [what],
            ],
        ],
    )


@family(
    "sets",
    0.35,
    ("Seats", "SeatPlan", "Hall"),
    kind="asserts",
    first=range(1, 13),
    error=["KeyError", "ValueError"],
    pick_=["lowest", "highest"],
)
def seats_class(first: int, error: str, pick_: str) -> Recipe:
    """Free numbers handed out and given back."""
    chosen, other = ("min", "max") if pick_ == "lowest" else ("max", "min")
    return Recipe(
        says=(
            f"The constructor takes n >= 1; there are the seats {first} to n + {first - 1}, all free. `take()` "
            f"reserves the {pick_} free seat and returns it; it raises {error} if no seat is free. `give(seat)` makes "
            f"a seat free again and raises {error} if it was not reserved. `free()` returns the number of free seats.",
            f"Manages n seats (n is given to the constructor) with the numbers from {first} on. Methods: `take()` "
            f"returns the {pick_} free number, which is then reserved; `give(seat)` frees a reserved number; `free()` "
            f"says how many are free. {error} where there is nothing to take, or the number to give back is not a "
            "reserved one.",
        ),
        code=f"""
class Solution:
    def __init__(self, n):
        self.left = set(range(FIRST, FIRST + n))
        self.taken = set()

    def take(self):
        if not self.left:
            raise {error}
        seat = {chosen}(self.left)
        self.left.remove(seat)
        self.taken.add(seat)
        return seat

    def give(self, seat):
        if seat not in self.taken:
            raise {error}
        self.taken.remove(seat)
        self.left.add(seat)

    def free(self):
        return len(self.left)
""",
        mutants=(
            (f"{chosen}(self.left)", f"{other}(self.left)"),
            ("range(FIRST, FIRST + n)", "range(FIRST, n)" if first > 1 else "range(FIRST, FIRST + n + 1)"),
            ("        self.left.add(seat)\n", "        pass\n"),
            (f"if seat not in self.taken:\n            raise {error}", "self.taken.add(seat)"),
        ),
        edges=[
            [[1], [["take"], ["take"]]],
            [[2], [["give", 1]]],
            [[3], [["free"], ["take"], ["free"]]],
            [[3], [["take"], ["take"], ["give", first], ["take"], ["free"]]],
            [[2], [["take"], ["take"], ["give", first + 1], ["take"], ["free"]]],
        ],
        inputs=lambda dice: [
            [number(dice, 1, 5)],
            [
                *script(
                    dice,
                    [lambda d: ["take"]] * 3
                    + [lambda d: ["give", number(d, first - 1, first + 4)], lambda d: ["free"]],
                    10,
                    5,
                ),
                ["free"],
            ],
        ],
    )
