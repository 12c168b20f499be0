"""The host under attack from inside of pools, on this machine and on simulated ones."""

import json
import subprocess
import sys
from pathlib import Path

import host_attacks
import pytest
from machine_like import can_simulate, command_on

from rlenvs.sandbox import kernel

ATTACKS = host_attacks.corpus()
FREE = [attack.key for attack in ATTACKS if attack.wins_free]
PLACES = [("A",)]
SLOW_PLACES = [("B",), ("B", "docker")]
RARER_PLACES = [("A", "default-caps"), ("A", "user"), ("B", "user", "no-userns")]
DEADLINE_SECONDS = 300


def skip_unless_possible(tier: str, conditions: tuple[str, ...]) -> None:
    if not can_simulate(*conditions):
        pytest.skip("only root can take things away from a process")
    if not conditions and tier not in {"A": "AB", "B": "B", "C": ""}[kernel.probe().tier]:
        pytest.skip(f"this machine cannot enter tier {tier}")


@pytest.fixture(
    scope="module",
    params=[
        *PLACES,
        *(pytest.param(place, marks=[pytest.mark.slow, pytest.mark.ci]) for place in SLOW_PLACES),
        *(pytest.param(place, marks=pytest.mark.slow) for place in RARER_PLACES),
    ],
    ids="-".join,
)
def problems(request: pytest.FixtureRequest) -> dict[str, list[str]]:
    tier, *conditions = request.param
    skip_unless_possible(tier, tuple(conditions))
    command = [*command_on(*conditions), sys.executable, host_attacks.__file__, tier]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def test_every_attack_is_contained(problems: dict[str, list[str]]) -> None:
    assert {name: wrong for name, wrong in problems.items() if wrong} == {}
    assert len(problems) > 150


def test_the_corpus_covers_every_class() -> None:
    keys = [attack.key for attack in ATTACKS]
    assert len(set(keys)) == len(keys)
    groups = {path.stem for path in Path(host_attacks.CORPUS).glob("*.toml")}
    assert {attack.group for attack in ATTACKS} == groups
    assert groups >= {"processes", "memory", "processor", "signals", "floods", "network", "files", "privileges"}


@pytest.mark.parametrize("name", FREE)
def test_an_attack_wins_where_nothing_confines_it(name: str) -> None:
    """Otherwise its failure in a pool would say nothing about the pool."""
    (attack,) = [each for each in ATTACKS if each.key == name]
    assert host_attacks.free(attack) != []
