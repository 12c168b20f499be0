"""Executions that one worker holds at the same time: sessions, and the two sides of a duel."""

import time
from collections.abc import Iterator

import host_attacks
import pytest

from rlenvs.sandbox import Limits, SandboxPool, Session, kernel
from rlenvs.sandbox.kernel.syscalls import this_architecture

TIERS = {"A": ("A", "B"), "B": ("B",), "C": ()}[kernel.probe().tier]
LIMITS = Limits(wall_s=30.0)
NUMBERS = dict(this_architecture().numbers) if TIERS else {}
SECRET = "only the neighbour knows this"
START = f"{host_attacks.PRELUDE}\nhost, won = Host({{'calls': {NUMBERS!r}}}), []"
REACH = """
for pid in NEIGHBOURS:
    for number in (0, 9, 15, 19):
        with wins(f"signal {number} to {pid}"):
            os.kill(pid, number)
    for name, arguments in (
        ("ptrace", (16, pid, 0, 0)), ("process_vm_readv", (pid, 0, 0, 0, 0, 0)), ("pidfd_open", (pid, 0)),
        ("kcmp", (os.getpid(), pid, 0, 0, 0)), ("tgkill", (pid, pid, 9)), ("prlimit64", (pid, 7, 0, 0)),
        ("rt_sigqueueinfo", (pid, 9, 0)), ("getpgid", (pid,)), ("getsid", (pid,)), ("sched_getaffinity", (pid, 8, 0)),
        ("sched_setaffinity", (pid, 8, 0)), ("sched_getscheduler", (pid,)), ("getpriority", (0, pid)),
        ("setpriority", (0, pid, 19)), ("ioprio_get", (1, pid)), ("get_robust_list", (pid, 0, 0)),
        ("move_pages", (pid, 0, 0, 0, 0, 0)), ("perf_event_open", (0, pid, -1, -1, 0)), ("wait4", (pid, 0, 1, 0)),
    ):
        with wins(f"{name} of {pid}"):
            call(name, *arguments)
    for name in ("mem", "environ", "maps", "fd", "root", "cmdline", "status"):
        with wins(f"{name} of {pid}"):
            os.close(os.open(f"/proc/{pid}/{name}", os.O_RDONLY))
print(won)
"""


@pytest.fixture(params=TIERS or [pytest.param("A", marks=pytest.mark.skip("no tier can be entered"))])
def pool(request: pytest.FixtureRequest) -> Iterator[SandboxPool]:
    with SandboxPool(1, LIMITS, tier=request.param) as made:
        yield made


def said(session: Session, cell: str) -> str:
    result = session.run(cell)
    assert result.status == "ok", result
    assert result.outcomes[0].status == "returned", result.stderr
    return result.stdout.strip()


def test_neighbours_are_out_of_reach(pool: SandboxPool) -> None:
    with pool.session() as one, pool.session() as other:
        assert len(pool.workers) == 1
        said(other, f"import os; secret = {SECRET!r}")
        pid = int(said(other, "os.getpid()"))
        said(one, START)
        assert int(said(one, "os.getpid()")) != pid
        neighbours = [pid, int(said(one, "os.getppid()"))]
        assert said(one, REACH.replace("NEIGHBOURS", str(neighbours))) == "[]"
        assert said(other, "secret") == repr(SECRET)


def test_nothing_of_a_neighbour_is_in_memory(pool: SandboxPool) -> None:
    look = "import gc; [each for each in gc.get_objects() if isinstance(each, dict) and 'secret' in each]"
    with pool.session() as one:
        said(one, f"secret = {SECRET!r}")
        with pool.session() as later:
            assert said(later, look) == "[]"
        assert pool.run("def solve():\n    return 'secret' in globals()", [[]]).outcomes[0].value is False


def test_the_end_of_one_is_not_the_end_of_the_other(pool: SandboxPool) -> None:
    with pool.session() as one, pool.session(Limits(wall_s=0.3)) as other:
        said(one, "kept = 41")
        assert other.run("while True: pass").status == "timeout"
        assert other.is_closed
        assert said(one, "kept + 1") == "42"
        assert pool.run("import os\nos.abort()", [[]], entry_point="solve").status == "crash"
        assert said(one, "kept + 1") == "42"


def test_a_neighbour_that_floods_or_takes_memory_does_not_stop_another(pool: SandboxPool) -> None:
    with pool.session() as one, pool.session() as other:
        assert other.run("kept = []\nwhile True: kept.append(bytearray(1 << 22))").status == "memory"
        assert other.run("kept.clear(); print('x' * 10_000_000)").status == "output"
        started = time.monotonic()
        assert said(one, "1 + 1") == "2"
        assert time.monotonic() - started < 10.0


CHECK = """
expected = 'known to the tests alone'
def check(solve):
    assert solve(lambda: expected[:0]) == expected
"""


@pytest.mark.parametrize(
    "code",
    [
        "import os\ndef solve(call):\n    for pid in range(os.getpid() - 5, os.getpid() + 6):\n        try:\n"
        "            pid != os.getpid() and os.kill(pid, 9)\n        except OSError:\n            pass\n    return ''",
        "def solve(call):\n    return call._wire.ask('getattr', call._number, '__globals__')['expected']",
        "def solve(call):\n    return call._wire.ask('call', call._number + 1, (), {})",
        "def solve(call):\n    return call.__globals__['expected']",
        "def solve(call):\n    call._wire.objects.clear()\n    return call()",
        "import os\ndef solve(call):\n    os.write(3, b'\\0\\0\\0\\x11v' + b'\\x08\\0\\0\\0\\x02\\x06\\0\\0\\0\\x06passed')",
        "import os\ndef solve(call):\n    for fd in range(3, 64):\n        try:\n            os.write(fd, b'\\0\\0\\0\\x07vpassed')\n"
        "        except OSError:\n            pass",
        "class Equal(str):\n    __eq__ = lambda self, other: True\n    __hash__ = None\ndef solve(call):\n    return Equal()",
        "def solve(call):\n    raise AssertionError",
        "import os\ndef solve(call):\n    os._exit(0)",
        "import gc\ndef solve(call):\n    return next((x for x in gc.get_objects() if 'known' in repr(x)), '')",
    ],
)
def test_a_solution_does_not_reach_its_tests(pool: SandboxPool, code: str) -> None:
    result = pool.duel(CHECK, code, "solve")
    assert result.status in {"failed", "crash", "malformed", "output"}
    assert (
        pool.duel(CHECK, "def solve(call):\n    return 'known to the tests alone' + call()", "solve").status == "passed"
    )
