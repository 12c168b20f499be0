"""The table of environment ids, and their registration with Gymnasium."""

from dataclasses import asdict, dataclass

import gymnasium as gym


@dataclass(frozen=True, slots=True)
class EnvironmentRow:
    """One environment id. Entry points are texts: registering imports nothing, and specs become JSON."""

    id: str
    entry_point: str
    vector_entry_point: str | None
    level: str
    """"turn" (whole messages) or "token" (ids)."""
    description: str


ENVIRONMENTS = (
    EnvironmentRow(
        id="rlenvs/Arithmetic-v0",
        entry_point="rlenvs.envs.arithmetic:ArithmeticEnv",
        vector_entry_point="rlenvs.envs.arithmetic:ArithmeticVectorEnv",
        level="turn",
        description="Integer arithmetic, one answer per problem; action and observation are texts.",
    ),
    EnvironmentRow(
        id="rlenvs/ArithmeticTokens-v0",
        entry_point="rlenvs.envs.arithmetic:ArithmeticTokenEnv",
        vector_entry_point=None,
        level="token",
        description="The same arithmetic, one character token per step, with action masks.",
    ),
)


def register_all() -> None:
    """Register every id of the table with Gymnasium; a second call changes nothing."""
    for row in ENVIRONMENTS:
        if row.id not in gym.registry:
            gym.register(row.id, entry_point=row.entry_point, vector_entry_point=row.vector_entry_point)


def environment_table() -> list[dict[str, str | None]]:
    """The rows of the table as plain dicts: id, entry_point, vector_entry_point, level, description.

    Example:
        >>> environment_table()[0]["id"]
        'rlenvs/Arithmetic-v0'
    """
    return [asdict(row) for row in ENVIRONMENTS]
