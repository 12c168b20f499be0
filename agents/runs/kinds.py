"""The kinds of training runs, and how a configuration file says of which one it is."""

from collections.abc import Mapping
from enum import Enum
from typing import Any


class Kind(Enum):
    """A kind of run; the value says what it trains."""

    PPO = "a language model by reinforcement learning"
    SUPERVISED = "a language model on demonstrations"
    SB3 = "an agent of Stable-Baselines3"

    @property
    def command(self) -> str:
        """The command that starts such a run and goes on with it."""
        return "rlenvs sft" if self is Kind.SUPERVISED else "rlenvs train"


def kind_of(data: Mapping[str, Any]) -> Kind:
    """Return the kind of run that plain data of a configuration describes, by the section that only one kind has.

    Example:
        >>> kind_of({"algorithm": {"name": "dqn"}}).name, kind_of({"sft": {}}).name, kind_of({"ppo": {}}).name
        ('SB3', 'SUPERVISED', 'PPO')
    """
    if "sft" in data:
        return Kind.SUPERVISED
    return Kind.SB3 if "algorithm" in data else Kind.PPO
