"""What a step is: how a conversation opens, and what follows an answer."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TypedDict

from rlenvs.graders import Grade
from rlenvs.problems import Problem


class Message(TypedDict):
    """One message of a conversation."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Turn:
    """What an environment says after an answer."""

    observation: str
    """The newest message to the policy; "" when the episode is over."""
    terminated: bool
    """True if the answer ended the episode."""


class Protocol(ABC):
    """The rules of a conversation. A protocol holds parameters only; the conversation is the episode's."""

    @abstractmethod
    def open(self, problem: Problem) -> list[Message]:
        """The messages that the policy sees first; the last one is the first observation."""

    @abstractmethod
    def respond(self, problem: Problem, turn: int, grade: Grade) -> Turn:
        """What follows an answer.

        Args:
            problem: the problem of the episode.
            turn: answers so far, this one included; 1 for the first.
            grade: the verdict on this answer.
        """


class SingleAnswer(Protocol):
    """One answer ends the episode."""

    def open(self, problem: Problem) -> list[Message]:
        """The prompt, as the user's message."""
        return [{"role": "user", "content": problem.prompt}]

    def respond(self, problem: Problem, turn: int, grade: Grade) -> Turn:
        """Nothing follows."""
        return Turn(observation="", terminated=True)

    def __repr__(self) -> str:
        return "SingleAnswer()"
