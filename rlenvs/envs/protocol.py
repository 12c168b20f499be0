"""What a protocol is made of; the protocols that ship are in `rlenvs.envs.protocols`."""

from rlenvs.envs.messages import Message
from rlenvs.envs.protocols.base import Protocol, SingleAnswer, Turn

__all__ = ["Message", "Protocol", "SingleAnswer", "Turn"]
