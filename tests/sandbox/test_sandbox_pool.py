"""What a program may do, what it may not, and what its result says, in every tier that this machine can enter."""

import math
import signal
from collections import Counter, OrderedDict, defaultdict, deque
from types import SimpleNamespace

import pytest

from rlenvs.errors import ParameterError, SandboxError
from rlenvs.sandbox import Limits, Outcome, Program, Result, SandboxPool, frames
from rlenvs.sandbox.backend import Backend
from rlenvs.sandbox.codec import encode
from rlenvs.sandbox.jobs import make_job

LONG = Limits(wall_s=60.0)
"""Where something else than the clock is tested: the machine may be loaded."""
SOLVE = "def solve(x):\n    "


def values(result: Result) -> list[object]:
    assert result.status == "ok", result
    return [each.value for each in result.outcomes]


def test_a_function_is_called_once_per_input(pool: SandboxPool) -> None:
    result = pool.run("calls = []\ndef add(a, b=1):\n    calls.append(a)\n    print(a)\n    return (a + b, len(calls))", [[1], {"args": [2], "kwargs": {"b": 5}}, ("x", "y")], entry_point="add", limits=LONG)  # fmt: skip
    assert values(result) == [(2, 1), (7, 2), ("xy", 3)]
    assert result.stdout == "1\n2\nx\n"
    assert result.tier == pool.tier
    assert 0 < result.cpu_s < 30
    assert 0 < result.wall_s < 60
    assert 1 < result.max_rss_mb < 500


def test_each_call_gets_arguments_of_its_own(pool: SandboxPool) -> None:
    shared = [3, 1]
    result = pool.run("def solve(xs):\n    xs.append(9)\n    return xs", [[shared], [shared]], limits=LONG)
    assert values(result) == [[3, 1, 9], [3, 1, 9]]
    assert shared == [3, 1]


def test_arguments_cross_as_what_they_are(pool: SandboxPool) -> None:
    row = [0]
    code = (
        "def solve(rows, *rest):\n    rows[0].append(1)\n    return rows, [type(each).__name__ for each in rest], rest"
    )
    plain = [-0.0, 1 << 200, "\udc80", b"\xff", frozenset({(1,)}), {2: {3}}, 1j, None, True, ...]
    dicts = [OrderedDict(a=[row]), defaultdict(int, {1: 2}), Counter("aa")]
    result = pool.run(code, [[[row, row], *plain[:-1], *dicts]], limits=LONG)
    rows, kinds, rest = values(result)[0]  # type: ignore[misc]
    assert rows == [[0, 1], [0]]
    assert kinds == [type(each).__name__ for each in plain[:-1]] + ["dict"] * 3
    assert rest == (*plain[:-1], {"a": [[0]]}, {1: 2}, {"a": 2})
    assert math.copysign(1, rest[0]) == -1
    with pytest.raises(ParameterError, match="ellipsis"):
        pool.run(code, [[[row], plain[-1]]], limits=LONG)


def test_executions_share_nothing(pool: SandboxPool) -> None:
    code = "import builtins, math\nseen = getattr(builtins, 'mark', 0)\nbuiltins.mark = 1\nmath.pi = 3\ndef solve():\n    return seen"
    results = pool.run_batch([Program(code, [[]], limits=LONG)] * 6)
    assert [values(each) for each in results] == [[0]] * 6


def test_a_batch_keeps_its_order(pool: SandboxPool) -> None:
    programs = [Program(f"def solve():\n    return {n}", [[]], limits=LONG) for n in range(30)]
    assert [values(each) for each in pool.run_batch(programs)] == [[n] for n in range(30)]


def test_same_seed_same_numbers(pool: SandboxPool) -> None:
    code = "import random\ndef solve():\n    return (random.random(), hash('word'), list({'a', 'b', 'c'}))"
    first, second = (values(pool.run(code, [[]], limits=LONG)) for _ in range(2))
    assert first == second


def test_what_is_not_plain_data_is_opaque(pool: SandboxPool) -> None:
    code = (
        "class A(list):\n    def __eq__(s, o): return True\ndef solve(x):\n    return [A(), iter([]), lambda: 0, x][x]"
    )
    outcomes = pool.run(code, [[0], [1], [2], [3]], limits=LONG).outcomes
    assert [each.status for each in outcomes] == ["opaque", "opaque", "opaque", "returned"]
    assert outcomes[0].value is None
    assert "A" in outcomes[0].error


def test_exceptions_are_outcomes(pool: SandboxPool) -> None:
    code = (
        SOLVE
        + "if x == 0: return 1 / x\n    if x == 1: raise SystemExit(0)\n    if x == 2: raise KeyboardInterrupt\n    return x"
    )
    result = pool.run(code, [[0], [1], [2], [3]], limits=LONG)
    assert result.status == "ok"
    assert [each.status for each in result.outcomes] == ["raised", "raised", "raised", "returned"]
    assert result.outcomes[0].error == "ZeroDivisionError: division by zero (line 2)"


def test_an_exception_that_cannot_be_shown_is_an_outcome(pool: SandboxPool) -> None:
    code = "class E(Exception):\n    def __str__(self): raise SystemExit(0)\ndef solve():\n    raise E"
    assert pool.run(code, [[]], limits=LONG).outcomes == (Outcome("raised", None, "an exception that cannot be shown"),)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("1 / 0", "ZeroDivisionError"), ("def solve(:", "SyntaxError"), ("x = 1", "there is no solve"),
        ("raise SystemExit(0)", "SystemExit"), ("import os\nos._exit(0)", "exit code 0"), ("\0", "null bytes"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        (SOLVE + "import os\n    os._exit(3)", "exit code 3"),
        ("import os\nfor fd in range(64):\n    try: os.close(fd)\n    except OSError: pass\ndef solve(x): return x", "exit code"),
    ],
)  # fmt: skip
def test_code_that_ends_early_is_a_crash(pool: SandboxPool, code: str, reason: str) -> None:
    result = pool.run(code, [[1], [2]], limits=LONG)
    assert result.status == "crash"
    assert reason in result.reason
    assert len(result.outcomes) == 2
    assert not any(each.status == "returned" for each in result.outcomes)


def test_any_signal_is_the_end_of_the_code_alone(pool: SandboxPool) -> None:
    code = "import os, signal\ndef solve(number):\n    if number not in (9, 19, 32, 33):\n        signal.signal(number, signal.SIG_DFL)\n    os.kill(os.getpid(), number)\n    return number"
    results = pool.run_batch([Program(code, [[number]], limits=Limits(wall_s=2.0)) for number in range(1, 65)])
    assert {result.status for result in results} == {"ok", "crash", "timeout", "memory"}
    assert results[signal.SIGABRT - 1].reason == "was ended by SIGABRT"
    assert results[40 - 1].reason == "was ended by signal 40"


def test_answers_before_a_crash_are_kept(pool: SandboxPool) -> None:
    result = pool.run(SOLVE + "if x == 2:\n        import os; os._exit(0)\n    return x", [[1], [2], [3]], limits=LONG)
    assert result.outcomes == (Outcome("returned", 1), Outcome("missing"), Outcome("missing"))


@pytest.mark.parametrize(
    "body", ["while True: pass", "import time; time.sleep(3600)", "str(9 ** 10**8)", "import signal\n    for s in (2, 14, 15): signal.signal(s, signal.SIG_IGN)\n    while True: pass"]
)  # fmt: skip
def test_the_wall_limit(pool: SandboxPool, body: str) -> None:
    result = pool.run(SOLVE + body, [[1]], limits=Limits(wall_s=0.5))
    assert result.status == "timeout"
    assert result.reason == "took more than 0.5 s"
    assert 0.4 < result.wall_s < 30


def test_the_processor_limit(pool: SandboxPool) -> None:
    result = pool.run(SOLVE + "while True: pass", [[1]], limits=Limits(wall_s=60.0, cpu_s=1.0))
    assert result.status == "timeout"
    assert "processor" in result.reason
    assert result.cpu_s < 20
    sleeps = pool.run(
        "import time\n" + SOLVE + "time.sleep(1.2)\n    return x", [[1]], limits=Limits(wall_s=60.0, cpu_s=1.0)
    )
    assert values(sleeps) == [1]


def test_the_memory_limit(pool: SandboxPool) -> None:
    for body in ("return len(bytearray(10**9))", "y = [0]\n    while True: y = y + y"):
        result = pool.run(SOLVE + body, [[1]], limits=Limits(wall_s=60.0, memory_mb=64))
        assert result.status == "memory", result
    assert values(pool.run(SOLVE + "return len(bytearray(3 * 10**7))", [[1]], limits=Limits(wall_s=60.0, memory_mb=64)))


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_the_output_limit(pool: SandboxPool, stream: str) -> None:
    limits = Limits(wall_s=60.0, output_bytes=1000)
    flood = pool.run(f"import sys\nwhile True: sys.{stream}.write('x' * 999)", [[1]], limits=limits)
    assert flood.status == "output"
    assert stream in flood.reason
    assert getattr(flood, stream) == "x" * 1000
    exact = pool.run(f"import sys\nsys.{stream}.write('x' * 1000)\ndef solve(x): return x", [[1]], limits=limits)
    assert values(exact) == [1]


def test_the_result_limit(pool: SandboxPool) -> None:
    limits = Limits(wall_s=60.0, result_bytes=1000)
    result = pool.run("def solve(n): return 'x' * n", [[900], [2000], [5]], limits=limits)
    assert [each.status for each in result.outcomes] == ["returned", "opaque", "returned"]
    flood = pool.run("import os\nwhile True: os.write(3, b'\\0\\0\\0\\1z' * 1000)", [[1]], limits=limits)
    assert flood.status in ("output", "malformed")


def test_the_thread_limit(pool: SandboxPool) -> None:
    code = (
        "import threading\ndef solve(n):\n    stop = threading.Event()\n    made = 0\n    try:\n        while made < n:\n"
        "            threading.Thread(target=stop.wait, daemon=True).start()\n            made += 1\n"
        "    except RuntimeError:\n        pass\n    stop.set()\n    return made"
    )  # fmt: skip
    (made,) = values(pool.run(code, [[200]], limits=Limits(wall_s=60.0, threads=8)))
    assert isinstance(made, int)
    assert 1 <= made <= 8


def test_the_limit_of_open_files(pool: SandboxPool) -> None:
    code = "import os\ndef solve():\n    n = 0\n    try:\n        while n < 500:\n            os.dup(0); n += 1\n    except OSError: pass\n    return n"
    (opened,) = values(pool.run(code, [[]], limits=Limits(wall_s=60.0, open_files=20)))
    assert opened == 16  # 0, 1, 2 and the channel are there already


def test_the_file_limit() -> None:
    code = "def solve(n):\n    with open('/box/f', 'wb') as f: f.write(b'x' * n)\n    return n"
    try:
        pool = SandboxPool(1, tier="A", scratch_mb=16)
    except SandboxError:
        pytest.skip("tier A alone has a scratch folder")
    with pool:
        result = pool.run(code, [[1000], [100_000]], limits=Limits(wall_s=60.0, file_bytes=10_000))
        assert result.outcomes[0] == Outcome("returned", 1000)
        assert "File too large" in result.outcomes[1].error


def test_nothing_can_be_written(pool: SandboxPool) -> None:
    code = "import os\ndef solve(path):\n    open(path, 'w').write('x')"
    paths = ["/tmp/x", "x", "/dev/shm/x", "/box/x", "/var/tmp/x"]
    result = pool.run(code, [[path] for path in paths], limits=LONG)
    assert [each.status for each in result.outcomes] == ["raised"] * len(paths)


def test_processes_cannot_be_started(pool: SandboxPool) -> None:
    code = "import os\ndef solve(how):\n    return os.fork() if how == 'fork' else os.execv('/bin/true', ['true'])"
    result = pool.run(code, [["fork"], ["exec"]], limits=LONG)
    assert [each.status for each in result.outcomes] == ["raised", "raised"]


def test_the_environment_says_nothing(pool: SandboxPool) -> None:
    code = "import os, sys\ndef solve():\n    return (dict(os.environ), sys.argv, sorted(m for m in sys.modules if 'rlenvs' in m))"
    assert values(pool.run(code, [[]], limits=LONG)) == [({}, [""], [])]


def test_a_script_reads_stdin_and_writes_stdout(pool: SandboxPool) -> None:
    code = "import sys\nif __name__ == '__main__':\n    print(sum(map(int, sys.stdin)))\n    sys.exit(0)"
    result = pool.run(code, ["1\n2\n", "", "x"], entry_point=None, limits=LONG)
    assert result.outcomes[:2] == (Outcome("returned", "3\n"), Outcome("returned", "0\n"))
    assert result.outcomes[2].status == "raised"
    assert "ValueError" in result.outcomes[2].error
    assert "rlenvs" not in result.stderr


@pytest.mark.parametrize(
    "code",
    ["with open(0) as f: print(len(f.read()))", "print(len(input()))", "import os; print(len(os.read(0, 1 << 22)))", "import sys; print(len(sys.stdin.buffer.read()))", "import fileinput; print(sum(map(len, fileinput.input())))"],
)  # fmt: skip
def test_stdin_can_be_large_and_read_in_any_way(pool: SandboxPool, code: str) -> None:
    result = pool.run(code, ["x" * 3_000_000], entry_point=None, limits=LONG)
    assert values(result) == ["3000000\n"]


@pytest.mark.parametrize("name", ["exit", "quit", "sys.exit"])
def test_a_script_may_leave_by_any_door(pool: SandboxPool, name: str) -> None:
    result = pool.run(f"import sys\nprint(input())\n{name}()\nprint('not reached')", ["7\n"], entry_point=None)
    assert (result.status, result.outcomes[0].value) == ("ok", "7\n")


def test_a_script_ends_as_an_interpreter_does(pool: SandboxPool) -> None:
    code = "import atexit, threading, time\natexit.register(print, 'last')\nthreading.Thread(target=lambda: (time.sleep(.05), print('thread'))).start()\nprint('first')"
    assert values(pool.run(code, [""], entry_point=None, limits=LONG)) == ["first\nthread\nlast\n"]
    for ending, status in (
        ("sys.exit(3)", "raised"),
        ("os._exit(3)", "raised"),
        ("os._exit(0)", "returned"),
        ("sys.exit('no')", "raised"),
    ):
        result = pool.run(f"import os, sys\nprint(1, flush=True)\n{ending}", [""], entry_point=None, limits=LONG)
        assert result.outcomes[0].status == status
        assert result.stdout == "1\n"


def test_a_script_that_hangs_is_not_tried_on_more_inputs(pool: SandboxPool) -> None:
    result = pool.run(
        "n = input()\nwhile n == 'b': pass\nprint(n)", ["a", "b", "c"], entry_point=None, limits=Limits(wall_s=0.7)
    )
    assert result.status == "timeout"
    assert result.outcomes == (Outcome("returned", "a\n"), Outcome("missing"), Outcome("missing"))


def test_modules_that_are_not_allowed_say_so(pool: SandboxPool) -> None:
    code = "def solve(name):\n    __import__(name)"
    names = ["ctypes", "socket", "subprocess", "numpy", "rlenvs", "pytest", "multiprocessing.connection"]
    for each in pool.run(code, [[name] for name in names], limits=LONG).outcomes:
        assert "not allowed here" in each.error
    sneaky = pool.run(
        "import importlib\ndef solve(name):\n    importlib.import_module(name)", [["socket"]], limits=LONG
    )
    assert "not allowed here" in sneaky.outcomes[0].error


def test_modules_that_are_allowed_can_be_imported(pool: SandboxPool) -> None:
    code = "import importlib\ndef solve(name):\n    return importlib.import_module(name).__name__"
    names = [
        "math",
        "asyncio",
        "unittest.mock",
        "statistics",
        "tomllib",
        "zoneinfo",
        "logging",
        "concurrent.futures",
        "wave",
        "xml.etree.ElementTree",
    ]
    assert values(pool.run(code, [[name] for name in names], limits=LONG)) == names


def test_dataclasses_and_threads_with_large_stacks_work(pool: SandboxPool) -> None:
    code = (
        "import sys, threading\nfrom dataclasses import dataclass\nsys.setrecursionlimit(10**6)\nthreading.stack_size(64 << 20)\n"
        "@dataclass\nclass P:\n    x: int\ndef deep(n): return 0 if n == 0 else 1 + deep(n - 1)\n"
        "def solve(n):\n    out = []\n    t = threading.Thread(target=lambda: out.append(deep(n)))\n    t.start(); t.join()\n    return out[0] + P(1).x"
    )  # fmt: skip
    assert values(pool.run(code, [[20_000]], limits=LONG)) == [20_001]


def test_a_named_package_can_be_imported() -> None:
    with SandboxPool(1, modules=["numpy"]) as pool:
        code = "import numpy as np\ndef solve():\n    a = np.arange(4.0).reshape(2, 2)\n    return ((a @ a).tolist(), float(np.linalg.det(a)), np.random.default_rng(0).random() < 1)"
        ((product, determinant, below),) = values(pool.run(code, [[]], limits=LONG))  # type: ignore[misc]
    assert product == [[2.0, 3.0], [6.0, 11.0]]
    assert determinant == pytest.approx(-2)
    assert below is True


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (lambda: Program(1, []), "code must be a text"), (lambda: Program("", "ab"), "inputs must be a list"),
        (lambda: Program("", [], "a.b"), "entry_point must be the name"), (lambda: Program("", [], limits={}), "limits must be"),
        (lambda: Limits(wall_s=0), "wall_s must be a number > 0, got 0"), (lambda: Limits(memory_mb=1.5), "memory_mb must be a whole"),
        (lambda: Limits(threads=0), "threads must be a whole number >= 1"), (lambda: Limits(wall_s=float("nan")), "wall_s"),
        (lambda: Limits(cpu_s=True), "cpu_s"), (lambda: SandboxPool(0), "workers"), (lambda: SandboxPool(tier="C"), "tier"),
        (lambda: SandboxPool(modules="numpy"), "modules"), (lambda: SandboxPool(modules=["no_such_package"]), "must be installed"),
    ],
)  # fmt: skip
def test_mistakes_are_named(program: object, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        program()  # type: ignore[operator]


@pytest.mark.parametrize(
    "given", [[5], ["x"], [{"args": [1], "more": 2}], [{}], [[object()]], [{"args": 3}], [{"kwargs": {1: 2}}]]
)
def test_inputs_that_are_no_arguments_are_named(pool: SandboxPool, given: list[object]) -> None:
    with pytest.raises(ParameterError, match=r"inputs\[0\]"):
        pool.run("", given)


def test_no_inputs_is_no_mistake_and_no_answer(pool: SandboxPool) -> None:
    assert pool.run("def solve(): pass", [], limits=LONG).outcomes == ()
    assert pool.run("1", [], entry_point=None).outcomes == ()
    assert pool.run_batch([]) == []


def test_the_pool_is_a_backend(pool: SandboxPool) -> None:
    assert isinstance(pool, Backend)


def test_a_flood_of_small_values_is_read_in_parts() -> None:
    job = make_job(Program("", [[n] for n in range(3)]), LONG, "A")
    answer = frames.RETURNED + encode([0] * 60_000)
    job.executions = [SimpleNamespace(reader=SimpleNamespace(frames=deque([answer] * 3)), stopped=None, ending=None)]
    steps = 0
    while not steps or job.wants_to_go_on:
        assert not job.step()
        steps += 1
        assert len(job.outcomes) == steps  # others have their turn after each
    assert steps == 3
