"""Assertions against a solution in another process: honest ones pass, and nothing that a solution is can pass instead."""

import json
import os
from pathlib import Path

import pytest

from rlenvs.sandbox import Duel, DuelResult, Limits, SandboxPool
from rlenvs.sandbox.codec import encode
from rlenvs.sandbox.duel import is_message
from rlenvs.sandbox.inside.wire import ANSWER, REQUEST

LONG = Limits(wall_s=60.0)


def duel(pool: SandboxPool, checks: str, solution: str, limits: Limits = LONG) -> DuelResult:
    body = "\n".join("    " + line for line in checks.splitlines())
    return pool.duel(f"def check(c):\n{body}", solution, "f", limits=limits)


STACK = """class f:
    size = 0
    def __init__(self, items=()): self.items = list(items)
    def push(self, x): self.items.append(x); return self
    def pop(self): return self.items.pop()
    def __len__(self): return len(self.items)
    def __iter__(self): return iter(self.items)
    def __contains__(self, x): return x in self.items
    def __getitem__(self, i): return self.items[i]
    def __setitem__(self, i, x): self.items[i] = x
    def __delitem__(self, i): del self.items[i]
    def __add__(self, o): return f(self.items + o.items)
    def __lt__(self, o): return len(self) < len(o)
    def __str__(self): return 'stack'
    def __repr__(self): return f'f({self.items})'
    def __enter__(self): self.push('in'); return self
    def __exit__(self, kind, error, trace): self.push(kind and kind.__name__); return kind is KeyError
    @property
    def top(self): return self.items[-1]
    @classmethod
    def of(cls, *items): return cls(items)
    def __round__(self, n=None): return 5
    def __neg__(self): return f(self.items[::-1])
    def __call__(self, x): return x * 2
"""


@pytest.mark.parametrize(
    ("checks", "solution"),
    [
        ("assert c(2) == 3 and c(x=2) == 3", "def f(x): return x + 1"),
        ("assert c([1, (2, {3: {4}})]) == [1, (2, {3: {4}})]", "def f(x): return x"),
        ("assert abs(c(2) - 0.5) < 1e-9", "def f(x): return 1 / x"),
        ("try: c(0)\nexcept ZeroDivisionError as e: assert 'zero' in str(e)\nelse: assert False", "def f(x): return 1 / x"),
        ("try: c(0)\nexcept ValueError: pass\nelse: assert False", "class E(ValueError): pass\ndef f(x): raise E('x')"),
        ("try: c(0)\nexcept UnicodeDecodeError: pass\nelse: assert False", "def f(x): return b'\\xff'.decode()"),
        ("s = c(); s.push(1); s.push(2)\nassert s.pop() == 2 and len(s) == 1 and list(s) == [1]", STACK),
        ("s = c()\ntry: s.pop()\nexcept IndexError: pass\nelse: assert False", STACK),
        ("assert not c() and c([1])\nassert 1 in c([1]) and 2 not in c([1])", STACK),
        ("s = c([1, 2]); s[0] = 5; del s[1]\nassert s[0] == 5 and s.top == 5 and len(s) == 1", STACK),
        ("a, b = c([1]), c([1, 2])\nassert a < b and list(a + b) == [1, 1, 2] and a == a and a != b", STACK),
        ("assert str(c()) == 'stack' and repr(c([1])) == 'f([1])' and f'{c()}' == 'stack'", STACK),
        ("s = c()\nwith s as t: assert t is not None\nassert list(s) == ['in', None]", STACK),
        ("s = c()\nwith s: raise KeyError(1)\nassert list(s) == ['in', 'KeyError']", STACK),
        ("s = c()\ntry:\n    with s: raise ValueError(1)\nexcept ValueError: pass\nelse: assert False", STACK),
        ("s = c.of(1, 2)\nassert isinstance(s, c) and list(-s) == [2, 1] and round(s) == 5 and s(4) == 8", STACK),
        ("s = c(); s.size = 4\nassert s.size == 4 and c.size == 0 and s.push(1) == s and hash(s) == hash(s)", STACK),
        ("assert sorted([c([1, 2]), c([1])])[0].top == 1", STACK),
        ("assert list(c(3)) == [0, 1, 2]", "def f(n):\n    yield from range(n)"),
        ("g = c()\nassert [next(g) for _ in range(3)] == [0, 1, 2]", "import itertools\ndef f(): return itertools.count()"),
        ("assert c(lambda v: v * 2, [1, 2]) == [2, 4] and c(str, [1]) == ['1']", "def f(g, xs): return [g(x) for x in xs]"),
        ("assert c(lambda v: c(lambda w: w + 1, v - 1) if v else 0, 3) == 3", "def f(g, x): return g(x)"),
        ("h = c(lambda v: v + 1)\nassert h(h(1)) == 5", "def f(g): return lambda x: g(x) * 2 if x < 3 else x + 1"),
        ("def bad(x): raise KeyError('mine')\ntry: c(bad)\nexcept KeyError: pass\nelse: assert False", "def f(g): return g(1)"),
        ("a, b = c(2)\nassert a(1) == 3 and b.__name__ == 'k'", "def f(n):\n    def k(x): return x + n\n    return [k, k]"),
        ("assert helper(c(1)) == 20", "def f(x): return x * 2"),
    ],
)  # fmt: skip
def test_honest_solutions_pass(pool: SandboxPool, checks: str, solution: str) -> None:
    body = "\n".join("    " + line for line in checks.splitlines())
    result = pool.duel(
        f"def check(c):\n{body}", solution, "f", setup_code="def helper(x):\n    return x * 10", limits=LONG
    )
    assert (result.status, result.reason) == ("passed", "")
    assert result.calls > 0
    assert result.tier == pool.tier


ALL_TESTS = (
    "assert c(2) == 3", "assert abs(c(2) - 3) < 1e-6", "assert 3 == c(2)", "assert c(2) in [3]", "assert [c(2)] == [3]",
    "assert round(c(2) - 2.5, 1) == 0.5", "assert 2.9 < c(2) < 3.1", "assert max(c(2), 3) == 3 == min(c(2), 3)",
    "assert {c(2)} == {3}", "import math\nassert math.isclose(c(2), 3)", "assert c(2) is not None and c(2) - 3 == 0",
    "assert type(c(2)) is int and c(2) == 3", "assert not c(2) != 3", "assert (c(2), 1) == (3, 1)", "assert {1: c(2)} == {1: 3}",
)  # fmt: skip
LIAR = """class T:
    def yes(self, *a): return True
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __contains__ = yes
    def __hash__(self): return hash(3)
    def me(self, *a): return self
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __abs__ = __round__ = __neg__ = me
    def __float__(self): return 0.0
    def __len__(self): return 1
    def __iter__(self): return self
    def __next__(self): raise StopIteration
"""
CHEATS = {
    "liar": LIAR + "def f(x): return T()",
    "liar_class": LIAR + "class f(T):\n    def __init__(self, x): pass",
    "difference": "class T(float):\n    def __sub__(s, o): return 0.0\n    def __rsub__(s, o): return 0.0\ndef f(x): return T()",
    "int_subclass": "class T(int):\n    def __eq__(s, o): return True\n    def __hash__(s): return hash(3)\ndef f(x): return T()",
    "list_subclass": "class L(list):\n    def __eq__(s, o): return True\ndef f(x): return L()",
    "exit": "import sys\ndef f(x): sys.exit(0)",
    "exit_now": "import os\ndef f(x): os._exit(0)",
    "exit_early": "raise SystemExit(0)\ndef f(x): return 3",
    "generator_exit": "def f(x): raise GeneratorExit",
    "skip": "import unittest\ndef f(x): raise unittest.SkipTest('x')",
    "none": "def f(x): pass",
    "async": "async def f(x): return 3",
    "patch": "import builtins\nbuiltins.AssertionError = KeyError\nbuiltins.abs = lambda x: 0\ndef f(x): return 0",
    "frames": "import sys, gc\ndef f(x):\n    fr = sys._getframe()\n    while fr:\n        for v in list(fr.f_locals.values()): pass\n        fr = fr.f_back\n    return 0",
    "any": "from unittest.mock import ANY, MagicMock\ndef f(x): return ANY",
    "magic": "from unittest.mock import MagicMock\ndef f(x): return MagicMock()",
    "nan": "def f(x): return float('nan')",
}


@pytest.mark.parametrize("name", CHEATS)
def test_no_object_stands_for_the_expected_value(pool: SandboxPool, name: str) -> None:
    duels = [
        Duel(
            "def check(c):\n" + "\n".join("    " + line for line in checks.splitlines()), CHEATS[name], "f", limits=LONG
        )
        for checks in ALL_TESTS
    ]
    for checks, result in zip(ALL_TESTS, pool.duel_batch(duels), strict=True):
        assert result.status in ("failed", "crash"), (checks, result)


def forging(frame: bytes) -> str:
    return (
        f"import os, struct\nframe = {frame!r}\nframe = struct.pack('>I', len(frame)) + frame\n"
        "for fd in range(3, 40):\n    for _ in range(5):\n        try: os.write(fd, frame)\n        except OSError: break\n"
        "def f(x): return 0"
    )


@pytest.mark.parametrize(
    "frame",
    [
        b"v" + encode(["passed", ""]), ANSWER + encode(["passed", ""]), ANSWER + encode(["returned", 3]), b"", b"v", b"a",
        REQUEST + encode(["call", 0, (), {}]), REQUEST + encode(["getattr", 1 << 31, "__globals__"]),
        ANSWER + encode(["raised", "SystemExit", "0"]), b"x" + b"\xff" * 50, ANSWER + encode([["returned"], 3]), ANSWER + b"\x08" * 90,
    ],
)  # fmt: skip
def test_forged_messages_pass_nothing(pool: SandboxPool, frame: bytes) -> None:
    result = duel(pool, "assert c(2) == 4\nassert c(3) == 3", forging(frame))
    assert result.status in ("malformed", "failed", "crash"), result


def test_what_a_candidate_may_say_is_checked() -> None:
    assert is_message(ANSWER + encode(["returned", [1]]), 1000)
    assert is_message(ANSWER + encode(["raised", "KeyError", "x"]), 1000)
    assert is_message(REQUEST + encode(["call", 1, (1,), {"a": 2}]), 1000)
    for content in (
        1,
        [],
        ["returned"],
        ["raised", "KeyError", 1],
        ["raised", "os.system", "x"],
        ["raised", [], []],
        ["passed", 1],
        [{}, 1],
    ):
        assert not is_message(ANSWER + encode(content), 1000), content
    for content in (
        ["getattr", 1, "x"],
        ["getattr", 1, (), {}],
        ["call", 1, [], {}],
        ["call", 1, (), {1: 2}],
        [[], 1, (), {}],
    ):
        assert not is_message(REQUEST + encode(content), 1000), content
    assert not is_message(b"v" + encode(["passed", ""]), 1000)
    assert not is_message(ANSWER + encode(["returned", "x" * 2000]), 1000)
    rng = os.urandom(4000)
    assert not any(is_message(ANSWER + rng[at : at + 20], 1000) for at in range(0, 4000, 20))


def test_functions_of_the_tests_give_nothing_away(pool: SandboxPool) -> None:
    peek = "def f(g):\n    out = []\n    for name in ('__globals__', '__code__', '__closure__', '__self__'):\n        try: out.append(getattr(g, name))\n        except AttributeError: pass\n    return len(out)"
    assert duel(pool, "secret = 41\nassert c(lambda: secret) == 0", peek).status == "passed"


@pytest.mark.parametrize(
    ("solution", "status"),
    [
        ("def f(x):\n    while True: pass", "timeout"), ("while True: pass", "timeout"), ("import time\ndef f(x): time.sleep(3600)", "timeout"),
        ("def f(x):\n    while True: yield 1", "timeout"),
    ],
)  # fmt: skip
def test_a_solution_that_hangs_is_stopped(pool: SandboxPool, solution: str, status: str) -> None:
    result = duel(pool, "assert sum(c(2)) == 4", solution, Limits(wall_s=1.0))
    assert result.status == status
    assert result.reason == "took more than 1 s"


@pytest.mark.parametrize(
    ("solution", "status"),
    [
        ("def f(x):\n    while True: print('x' * 1000)", "output"), ("import os\ndef f(x):\n    while True: os.write(3, b'\\0' * 4096)", "malformed"),
        ("import os, signal\ndef f(x): os.kill(os.getpid(), signal.SIGSEGV)", "crash"), ("def f(:", "crash"), ("g = 1", "crash"),
    ],
)  # fmt: skip
def test_a_solution_that_floods_or_breaks_has_a_status(pool: SandboxPool, solution: str, status: str) -> None:
    assert duel(pool, "assert c(2) == 4", solution).status == status


def test_a_solution_out_of_memory_fails(pool: SandboxPool) -> None:
    result = duel(pool, "assert c(2) == 4", "def f(x): return bytearray(10**10)")
    assert result.status == "failed"
    assert "MemoryError" in result.reason


def test_tests_that_never_use_the_solution_are_told(pool: SandboxPool) -> None:
    assert duel(pool, "assert True", "def f(x): return 1").calls == 0
    assert duel(pool, "c(1)", "def f(x): return 1").calls == 1


@pytest.mark.parametrize("tests", ["def check(c:", "x = 1", "1 / 0\ndef check(c): pass"])
def test_broken_tests_are_an_error_and_no_verdict(pool: SandboxPool, tests: str) -> None:
    result = pool.duel(tests, "def f(x): return 1", "f", limits=LONG)
    assert result.status == "error"
    assert "the tests cannot be used" in result.reason


def test_tests_can_use_the_entry_point_by_its_name(pool: SandboxPool) -> None:
    tests = "def check(candidate):\n    assert f(2) == candidate(2) == 4"
    assert (
        pool.duel(tests, "def f(x): return x * 2", "f", setup_code="def f(x): return 0", limits=LONG).status == "passed"
    )


def test_arguments_are_copies(pool: SandboxPool) -> None:
    cheat = "def f(xs):\n    xs.clear()\n    return []"
    assert duel(pool, "xs = [3, 1]\nassert c(xs) == sorted(xs)", cheat).status == "failed"


RECORDS = Path(__file__).parents[3] / "shared" / "data" / "humaneval_even.jsonl"


@pytest.mark.skipif(not RECORDS.exists(), reason="the records are not beside this checkout")
def test_canonical_solutions_pass() -> None:
    records = [json.loads(line) for line in RECORDS.read_text(encoding="utf-8").splitlines()]
    duels = [
        Duel(r["test"], r["prompt"] + r["canonical_solution"], r["entry_point"], r["prompt"] + "    pass\n", LONG)
        for r in records
    ]
    with SandboxPool(2) as pool:
        results = pool.duel_batch(duels)
    assert [
        record["task_id"] for record, result in zip(records, results, strict=True) if result.status != "passed"
    ] == []
    assert len(results) == 82
    assert all(result.calls for result in results)
