"""Saving and restoring the state of environments as JSON-serialisable dicts."""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.utils import seeding

from rlenvs.errors import UserError

STATE_VERSION = 1


def generator_state(generator: np.random.Generator) -> dict[str, Any]:
    """The state of a random generator as plain Python numbers and texts."""
    state: dict[str, Any] = copy.deepcopy(dict(generator.bit_generator.state))
    return state


def restored_generator(state: Mapping[str, Any]) -> np.random.Generator:
    """A new generator that goes on where the saved one stood.

    Raises:
        UserError: the state is not that of the generator that Gymnasium uses.
    """
    generator, _ = seeding.np_random(0)
    name = generator.bit_generator.state["bit_generator"]
    if state.get("bit_generator") != name:
        raise UserError(f"state: expected a {name} generator, got {state.get('bit_generator')!r}")
    generator.bit_generator.state = dict(state)
    return generator


def check_state(state: Mapping[str, Any], kind: str) -> None:
    """Refuse a state that another kind of environment or another version wrote.

    Raises:
        UserError: it did.
    """
    found = (state.get("kind"), state.get("version"))
    if found != (kind, STATE_VERSION):
        raise UserError(f"state: expected kind {kind!r} version {STATE_VERSION}, got {found[0]!r} {found[1]!r}")
