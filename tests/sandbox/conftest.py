"""Pools of every tier that this machine can enter."""

from collections.abc import Iterator

import pytest

from rlenvs.sandbox import SandboxPool, kernel

TIERS = {"A": ("A", "B"), "B": ("B",), "C": ()}[kernel.probe().tier]


@pytest.fixture(scope="module", params=TIERS or [pytest.param("A", marks=pytest.mark.skip("no tier can be entered"))])
def pool(request: pytest.FixtureRequest) -> Iterator[SandboxPool]:
    with SandboxPool(2, tier=request.param) as made:
        yield made
