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


def restored_generator(state: object) -> np.random.Generator:
    """A new generator that goes on where the saved one stood.

    Raises:
        UserError: the state is not that of the generator that Gymnasium uses.
    """
    generator, _ = seeding.np_random(0)
    name = generator.bit_generator.state["bit_generator"]
    found = state.get("bit_generator") if isinstance(state, Mapping) else state
    if not isinstance(state, Mapping) or found != name:
        raise UserError(f"state: expected a {name} generator, got {found!r:.80}")
    generator.bit_generator.state = dict(state)
    return generator


def check_state(state: object, kind: str) -> None:
    """Refuse a state that another kind of environment or another version wrote.

    Raises:
        UserError: it did.
    """
    if not isinstance(state, Mapping):
        raise UserError(f"state: expected what state_dict() returned, got {state!r:.80}")
    found = (state.get("kind"), state.get("version"))
    if found != (kind, STATE_VERSION):
        raise UserError(f"state: expected kind {kind!r} version {STATE_VERSION}, got {found[0]!r} {found[1]!r}")
