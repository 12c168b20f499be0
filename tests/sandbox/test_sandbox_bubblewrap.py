"""The same programs in containers of bubblewrap, where it is installed and can make them."""

import shutil
from collections.abc import Iterator

import pytest

from rlenvs.errors import SandboxError
from rlenvs.sandbox import Backend, BubblewrapBackend, Limits, Outcome

LONG = Limits(wall_s=60.0)


@pytest.fixture(scope="module")
def backend() -> Iterator[BubblewrapBackend]:
    try:
        made = BubblewrapBackend(2, LONG)
    except SandboxError as error:
        pytest.skip(str(error))
    with made:
        yield made


def test_programs_run_as_in_a_pool(backend: BubblewrapBackend) -> None:
    assert isinstance(backend, Backend)
    result = backend.run("def solve(x):\n    return [x + 1, (None,)]", [[1], ["a"]])
    assert result.outcomes[0] == Outcome("returned", [2, (None,)])
    assert result.outcomes[1].error.startswith("TypeError")
    assert (result.status, result.tier) == ("ok", "bubblewrap")
    assert backend.run("print(input() * 2)", ["ab"], entry_point=None).outcomes[0].value == "abab\n"
    assert backend.duel("def check(c):\n    assert c(1) == 2", "def f(x): return x + 1", "f").status == "passed"
    with backend.session() as session:
        session.run("x = 1")
        assert session.run("x + 1").stdout == "2\n"


def test_hostile_programs_are_contained(backend: BubblewrapBackend) -> None:
    assert backend.run("while True: pass", [[]], limits=Limits(wall_s=1.0)).status == "timeout"
    assert backend.run("while True: print('x' * 999)", [[]]).status == "output"
    code = "import os\ndef solve(path):\n    return os.listdir(path)"
    outcomes = backend.run(code, [["/"], ["/root"], ["/home"], ["/proc/1"]]).outcomes
    assert [each.status for each in outcomes] == ["raised"] * 4
    code = "def solve(path):\n    open(path, 'w').write('x')"
    assert backend.run(code, [["/tmp/x"], ["/dev/shm/x"]]).outcomes[0].status == "raised"


def test_a_machine_without_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SandboxError, match="bwrap is not installed"):
        BubblewrapBackend()
