"""Arguments that cannot be meant are named when they are given, not when something breaks on them."""

import pickle
from collections.abc import Callable

import pytest

from rlenvs.errors import ParameterError
from rlenvs.sandbox import Duel, Limits, Outcome, Program, Result, SandboxPool, kernel, set_default_pool
from rlenvs.sandbox.program import MAX_CODE

pytestmark = pytest.mark.skipif(kernel.probe().tier == "C", reason="no tier can be entered")
PATIENT = Limits(wall_s=60.0)
TESTS, CODE = "def check(c): assert c(1) == 1", "def f(x): return x"


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: SandboxPool(limits="x"), "limits"),
        (lambda: SandboxPool(modules=5), "modules"),
        (lambda: SandboxPool(modules=[1]), "modules"),
        (lambda: SandboxPool(modules="numpy"), "modules"),
        (lambda: SandboxPool(modules=["nope"]), "modules"),
        (lambda: SandboxPool(scratch_mb="x"), "scratch_mb"),
        (lambda: SandboxPool(scratch_mb=-1), "scratch_mb"),
        (lambda: SandboxPool(scratch_mb=1.5), "scratch_mb"),
        (lambda: SandboxPool(scratch_mb=True), "scratch_mb"),
        (lambda: SandboxPool(workers=0), "workers"),
        (lambda: SandboxPool(tier=["A"]), "tier"),
        (lambda: set_default_pool("x"), "pool"),
        (lambda: Duel(None, CODE, "f"), "test_code"),
        (lambda: Duel(TESTS, b"", "f"), "candidate_code"),
        (lambda: Duel(TESTS, CODE, "f", 3), "setup_code"),
        (lambda: Duel(TESTS, CODE, "a b"), "entry_point"),
        (lambda: Duel(TESTS, CODE, "f", limits=2), "limits"),
    ],
)
def test_mistakes_are_named_at_once(make: Callable[[], object], name: str) -> None:
    with pytest.raises(ParameterError, match=f"^{name} "):
        make()


@pytest.mark.parametrize(
    ("use", "name"),
    [
        (lambda pool: pool.run_batch([Program("", []), "x"]), r"programs\[1\]"),
        (lambda pool: pool.duel_batch([("a", "b")]), r"duels\[0\]"),
        (lambda pool: pool.session(limits=3), "limits"),
        (lambda pool: pool.run("", [[bytes(8 << 20)]] * 9), "inputs"),
        (lambda pool: pool.run("", [["a"], [{"b": [object()]}]]), r"inputs\[1\]"),
    ],
)
def test_a_pool_names_them_too(pool: SandboxPool, use: Callable[[SandboxPool], object], name: str) -> None:
    with pytest.raises(ParameterError, match=f"^{name} "):
        use(pool)


@pytest.mark.slow
@pytest.mark.ci
def test_there_may_be_very_many_inputs(pool: SandboxPool) -> None:
    result = pool.run("def solve():\n    return 1", [[]] * 300_000, limits=PATIENT)
    assert result.status == "ok", result.reason
    assert len(result.outcomes) == 300_000


def test_code_without_end_is_the_doing_of_who_wrote_it(pool: SandboxPool) -> None:
    long = CODE + "\n" + "#" * MAX_CODE
    for entry_point, given in (("f", [1]), (None, "1")):
        result = pool.run(long, [given], entry_point=entry_point, limits=PATIENT)
        assert (result.status, [each.status for each in result.outcomes]) == ("crash", ["missing"])
        assert "characters" in result.reason
    assert pool.duel(TESTS, long, "f", limits=PATIENT).status == "crash"
    assert pool.run(long[:MAX_CODE], [[1]], entry_point="f", limits=PATIENT).status == "ok"


def test_programs_and_results_can_be_pickled() -> None:
    program, result = Program(CODE, [[1]], "f", PATIENT), Result("ok", (Outcome("returned", 1),), tier="A")
    assert pickle.loads(pickle.dumps((program, result))) == (program, result)  # noqa: S301
