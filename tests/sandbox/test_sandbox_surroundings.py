"""The process that uses a pool: what it does about signals, forks, threads and descriptors is its own affair."""

import signal
from collections.abc import Callable, Iterator

import pytest

from rlenvs.sandbox import Limits, SandboxPool, kernel

pytestmark = pytest.mark.skipif(kernel.probe().tier == "C", reason="no tier can be entered")
CODE = "def solve(x):\n    return x + 1"
PATIENT = Limits(wall_s=60.0)


def block() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def ignore() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


@pytest.fixture
def signals() -> Iterator[None]:
    mask, handler = signal.pthread_sigmask(signal.SIG_BLOCK, ()), signal.getsignal(signal.SIGCHLD)
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    signal.signal(signal.SIGCHLD, handler)


@pytest.mark.parametrize("arrange", [block, ignore])
@pytest.mark.parametrize("tier", {"A": ["A", "B"], "B": ["B"], "C": []}[kernel.probe().tier])
def test_signals_that_the_grader_does_not_hear(signals: None, tier: str, arrange: Callable[[], None]) -> None:
    arrange()
    with SandboxPool(1, PATIENT, tier=tier) as pool:
        result = pool.run(CODE, [[1]])
    assert (result.status, result.outcomes[0].value) == ("ok", 2)
    assert result.wall_s < 30
