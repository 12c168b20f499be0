"""Code problems whose solution is a class that holds things; a test is a script of calls."""

from rlenvs.problems.code.family import Recipe, family
from rlenvs.problems.code.inputs import (
    ITEMS,
    number,
    pick,
    script,
)


@family(
    "stack",
    0.3,
    ("Stack", "LimitedStack", "Pile"),
    kind="asserts",
    cap=range(2, 10),
    full=["raises", "drops"],
    extra=["size", "smallest"],
)
def stack_class(cap: int, full: str, extra: str) -> Recipe:
    """A stack with a limit."""
    rule = (
        "raises ValueError if the stack is full"
        if full == "raises"
        else "on a full stack first removes the element at the bottom"
    )
    action = "raise ValueError" if full == "raises" else "del self.items[0]"
    wrong = "return None" if full == "raises" else "self.items.pop()"
    method = (
        "`size()` returns the number of elements"
        if extra == "size"
        else "`smallest()` returns the smallest element (IndexError if there is none)"
    )
    body = "return len(self.items)" if extra == "size" else "return sorted(self.items)[0]"
    other = "return len(set(self.items))" if extra == "size" else "return self.items[0]"
    return Recipe(
        says=(
            f"It is a stack of integers with room for {cap}. `push(x)` {rule}. `pop()` removes and returns the newest "
            f"element, `peek()` returns it without removing; both raise IndexError on an empty stack. {method}.",
            f"A stack that holds at most {cap} integers: `push(x)` (which {rule}), `pop()` and `peek()` for the "
            f"element pushed last, with IndexError when there is none, and {extra}: {method}.",
        ),
        code=f"""
class Solution:
    def __init__(self):
        self.items = []

    def push(self, x):
        if len(self.items) == CAP:
            {action}
        self.items.append(x)

    def pop(self):
        return self.items.pop(-1)

    def peek(self):
        return self.items[-1]

    def {extra}(self):
        {body}
""",
        mutants=(
            (action, wrong),
            ("return self.items.pop(-1)", "return self.items.pop(0)"),
            (body, other),
            ("return self.items[-1]", "return self.items[-1] if self.items else None"),
        ),
        edges=[
            [[], [["pop"]]],
            [[], [["peek"]]],
            [[], [["push", 1], ["peek"], ["pop"]]],
            [[], [*(["push", x] for x in range(cap + 2)), ["pop"], ["pop"], [extra]]],
            [[], [["push", 5], ["push", 5], ["push", 2], [extra], ["pop"], [extra]]],
        ],
        inputs=lambda dice: [
            [],
            script(
                dice,
                [lambda d: ["push", number(d, 0, 9)]] * 4 + [lambda d: ["pop"], lambda d: ["peek"], lambda d: [extra]],
                cap + 8,
                cap,
            ),
        ],
    )


@family(
    "cache",
    0.55,
    ("Cache", "RecentCache", "Store"),
    kind="asserts",
    drop=["least recently used", "oldest"],
    d=range(-3, 1),
    extra=range(3),
)
def cache_class(drop: str, d: int, extra: int) -> Recipe:
    """A cache that forgets."""
    touch = "\n        self.data[key] = self.data.pop(key)" if drop == "least recently used" else ""
    again = "self.data.pop(key, None)" if drop == "least recently used" else "pass"
    words = (
        "least recently used (a `get` that finds it and a `put` use a key)"
        if drop == "least recently used"
        else "that came in first (a `put` of a key that is there only changes its value)"
    )
    return Recipe(
        says=(
            f"`capacity` >= 1 is given to the constructor; the cache holds that many keys and {extra} more. `put(key, "
            f"value)` stores a value; if there is no room for a new key, the key {words} is removed. `get(key)` "
            f"returns the value, or {d} if the key is not there. `keys()` returns the keys in alphabetical order as a "
            "list.",
            f"A cache for up to capacity + {extra} keys, capacity being the constructor's argument. Methods: "
            f"`get(key)` ({d} for an unknown key), `put(key, value)`, and `keys()`, a sorted list. When a new key "
            f"does not fit, the one {words} goes.",
        ),
        code=f"""
class Solution:
    def __init__(self, capacity):
        self.room = capacity + EXTRA
        self.data = {{}}

    def get(self, key):
        if key not in self.data:
            return D{touch}
        return self.data[key]

    def put(self, key, value):
        {again}
        if key not in self.data and len(self.data) >= self.room:
            del self.data[next(iter(self.data))]
        self.data[key] = value

    def keys(self):
        return sorted(self.data)
""",
        mutants=(
            ("capacity + EXTRA", "capacity + EXTRA + 1"),
            (again, "pass" if drop == "least recently used" else "self.data.pop(key, None)"),
            ("return D", "return D - 1"),
            ("next(iter(self.data))", "list(self.data)[-1]"),
        ),
        edges=[
            [[1], [["get", "a"]]],
            [[2], [["put", "a", 1], ["get", "a"]]],
            [[1], [*(["put", c, i] for i, c in enumerate("abcdef")), ["keys"]]],
            [
                [2],
                [
                    ["put", "a", 1],
                    ["put", "b", 2],
                    ["get", "a"],
                    ["put", "c", 3],
                    ["put", "d", 4],
                    ["put", "e", 5],
                    ["keys"],
                ],
            ],
        ],
        inputs=lambda dice: [
            [number(dice, 1, 3)],
            [
                *script(
                    dice,
                    [lambda d: ["put", pick(d, "abcdef"), number(d, 0, 9)]] * 3
                    + [lambda d: ["get", pick(d, "abcdef")]] * 2,
                    14,
                    8,
                ),
                ["keys"],
            ],
        ],
    )


@family(
    "counting",
    0.3,
    ("Counter", "Tally", "Votes"),
    kind="asserts",
    step=range(1, 5),
    low=range(0, 3),
    order=["name", "reverse name"],
)
def counter_class(step: int, low: int, order: str) -> Recipe:
    """A counter of names."""
    more = "" if order == "name" else ", reverse=True"
    less = ", reverse=True" if order == "name" else ""
    which = "alphabetically first" if order == "name" else "alphabetically last"
    return Recipe(
        says=(
            f"`add(name)` adds {step} to the count of a name (0 at first), `remove(name)` subtracts 1 but never goes "
            "below 0, and raises KeyError for a name that was never added. `count(name)` returns the count (0 for "
            f"unknown names). `leader()` returns the name with the highest count above {low}, of several the {which}, "
            "and an empty text if there is none.",
            f"Counts names. Methods: `add(name)`: plus {step}; `remove(name)`: minus 1, not below zero, KeyError if "
            "the name was never added; `count(name)`: current count, 0 if unknown; `leader()`: the name with the "
            f"largest count if that is more than {low} (the {which} of equal ones), else ''.",
        ),
        code=f"""
class Solution:
    def __init__(self):
        self.counts = {{}}

    def add(self, name):
        self.counts[name] = self.counts.get(name, 0) + STEP

    def remove(self, name):
        self.counts[name] = max(0, self.counts[name] - 1)

    def count(self, name):
        return self.counts.get(name, 0)

    def leader(self):
        best = LOW
        found = ""
        for name in sorted(self.counts{more}):
            if self.counts[name] > best:
                best, found = self.counts[name], name
        return found
""",
        mutants=(
            ("max(0, self.counts[name] - 1)", "self.counts[name] - 1"),
            (f"sorted(self.counts{more})", f"sorted(self.counts{less})"),
            ("self.counts[name] - 1", "self.counts.get(name, 0) - 1"),
            ("best = LOW", "best = LOW + 1"),
        ),
        edges=[
            [[], [["leader"]]],
            [[], [["remove", "cup"]]],
            [[], [["add", "egg"], ["count", "egg"], ["leader"]]],
            [[], [["add", "egg"], ["add", "cup"], ["leader"], ["remove", "cup"], ["leader"]]],
            [
                [],
                [
                    ["add", "fig"],
                    *([["remove", "fig"]] * (step + 1)),
                    ["count", "fig"],
                    ["add", "fig"],
                    ["count", "fig"],
                ],
            ],
            [[], [["add", "egg"], *([["remove", "egg"]] * max(0, step - low - 1)), ["leader"]]],
        ],
        inputs=lambda dice: [
            [],
            [
                *script(
                    dice,
                    [lambda d: ["add", pick(d, ITEMS[:3])]] * 3
                    + [
                        lambda d: ["remove", pick(d, ITEMS[:3])],
                        lambda d: ["count", pick(d, ITEMS[:4])],
                        lambda d: ["leader"],
                    ],
                    10,
                    6,
                ),
                ["leader"],
            ],
        ],
    )
