"""Each step of confinement from inside, on this machine and on simulated ones."""

from pathlib import Path

import kernel_attacks
import pytest
from inmates import run_inmates
from machine_like import can_simulate

from rlenvs.sandbox import kernel

ATTACKS = Path(kernel_attacks.__file__)
PLACES = [
    ("A",),
    ("B",),
    ("B", "docker"),
    ("A", "default-caps"),
    ("A", "user"),
    ("B", "user", "no-userns"),
]
CANARIES = [Path("/tmp/sandbox_kernel_canary"), Path("/dev/shm/sandbox_kernel_canary")]


def skip_unless_possible(tier: str, conditions: tuple[str, ...]) -> None:
    if not can_simulate(*conditions):
        pytest.skip("this process cannot take away what the simulation takes away")
    if not conditions and tier not in {"A": "AB", "B": "B", "C": ""}[kernel.probe().tier]:
        pytest.skip(f"this machine cannot enter tier {tier}")


@pytest.fixture(scope="module", params=PLACES, ids="-".join)
def ended(request: pytest.FixtureRequest) -> dict[str, list[object]]:
    tier, *conditions = request.param
    skip_unless_possible(tier, tuple(conditions))
    for canary in CANARIES:
        canary.unlink(missing_ok=True)
    return run_inmates(ATTACKS, list(kernel_attacks.EXPECTED), tier=tier, conditions=tuple(conditions))


@pytest.mark.parametrize("attack", kernel_attacks.EXPECTED)
def test_an_attack_ends_as_it_must(ended: dict[str, list[object]], attack: str) -> None:
    assert tuple(ended[attack]) in kernel_attacks.EXPECTED[attack]


def test_nothing_is_left_behind(ended: dict[str, list[object]]) -> None:
    assert ended
    assert not [path for path in CANARIES if path.exists()]
