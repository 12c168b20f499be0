"""Cells share their state, and end with their session."""

import pytest

from rlenvs.errors import ParameterError
from rlenvs.sandbox import Limits, SandboxPool

LONG = Limits(wall_s=60.0)


def test_state_is_kept_and_last_values_are_shown(pool: SandboxPool) -> None:
    with pool.session(LONG) as session:
        assert session.run("x = 20").stdout == ""
        assert session.run("def double(n):\n    return 2 * n\ndouble(x)").stdout == "40\n"
        assert session.run("print('a'); _ + 1").stdout == "a\n41\n"
        assert session.run("None").stdout == ""
        assert session.run("'text'").stdout == "'text'\n"
        assert session.run("").status == "ok"


def test_an_exception_does_not_end_it(pool: SandboxPool) -> None:
    with pool.session(LONG) as session:
        session.run("x = 1")
        failed = session.run("y = 2\n1 / 0")
        assert failed.status == "ok"
        assert failed.outcomes[0].error == "ZeroDivisionError: division by zero (line 2)"
        assert "line 2" in failed.stderr
        assert "rlenvs" not in failed.stderr
        assert session.run("raise SystemExit(0)").outcomes[0].status == "raised"
        assert session.run("def broken(:").outcomes[0].error.startswith("SyntaxError")
        assert session.run("x + y").stdout == "3\n"


@pytest.mark.parametrize(
    ("cell", "status"),
    [
        ("while True: pass", "timeout"), ("import os; os._exit(0)", "crash"), ("while True: print('x' * 1000)", "output"),
        ("import os; os.write(3, b'\\0\\0\\0\\1z'); 1", "malformed"), ("import os; os.close(3)", "crash"),
    ],
)  # fmt: skip
def test_going_beyond_a_limit_ends_it(pool: SandboxPool, cell: str, status: str) -> None:
    with pool.session(Limits(wall_s=1.5 if status == "timeout" else 60.0)) as session:
        session.run("print('before')")
        result = session.run(cell)
        assert result.status == status
        assert "before" not in result.stdout
        assert session.is_closed
        assert "the session has ended" in session.run("1").reason
        assert session.run("1").stdout == ""


def test_the_wall_limit_is_for_each_cell(pool: SandboxPool) -> None:
    with pool.session(Limits(wall_s=3.0)) as session:
        session.run("import time")
        for _ in range(4):
            assert session.run("time.sleep(0.8)").status == "ok"


def test_sessions_do_not_see_each_other(pool: SandboxPool) -> None:
    with pool.session(LONG) as one, pool.session(LONG) as two, pool.session(LONG) as three:
        for number, session in enumerate((one, two, three)):
            session.run(f"x = {number}")
        assert [each.run("x").stdout for each in (one, two, three)] == ["0\n", "1\n", "2\n"]
        assert pool.run("def solve(): return 1", [[]], limits=LONG).outcomes[0].value == 1
        kill = "import os, signal\nfor pid in [-1, 0, os.getppid(), *range(1, 50)]:\n    if pid == os.getpid(): continue\n    try: os.kill(pid, signal.SIGKILL)\n    except OSError: pass"
        one.run(kill)
        assert two.run("x").stdout == "1\n"


def test_a_closed_session_says_so(pool: SandboxPool) -> None:
    session = pool.session(LONG)
    session.close()
    assert session.run("1").reason == "the session has ended: it was closed"
    with pytest.raises(ParameterError, match="cell must be a text"):
        session.run(1)  # type: ignore[arg-type]


def test_sessions_spread_over_the_workers_by_those_that_live() -> None:
    with SandboxPool(2) as pool:
        for _ in range(6):
            pool.session(LONG).close()
        first = [pool.session(LONG) for _ in range(4)]
        assert sorted(len(worker.seats) for worker in pool.workers) == [2, 2]
        lost = first[0].execution.worker
        lost.kill()
        for session in first:
            if session.execution.worker is lost:
                assert session.run("1").status == "error"
        assert len(lost.seats) == 0
        others = [pool.session(LONG) for _ in range(2)]
        assert sorted(len(worker.seats) for worker in pool.workers) == [2, 2]
        others[0].run("import os\nos._exit(1)")
        assert sorted(len(worker.seats) for worker in pool.workers) == [1, 2]
        for session in (*first, *others):
            session.close()
        assert [len(worker.seats) for worker in pool.workers] == [0, 0]
