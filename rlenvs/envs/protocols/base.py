"""What a step is: how a conversation opens, and what follows a message of the policy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from rlenvs.envs.messages import Message, MessageLog, copy_messages
from rlenvs.graders import Grade
from rlenvs.problems import Problem

UNGRADED = Grade(0.0, False, "ok", None, "nothing to grade in this message")
"""The verdict on a message that is no answer: a tool call, a step, a turn of a conversation."""


@dataclass(slots=True)
class Episode:
    """The state of one conversation, all of it plain data."""

    problem: Problem
    messages: list[Message]
    turns: int = 0
    """Messages of the policy so far."""
    over: bool = False
    memory: dict[str, Any] = field(default_factory=dict)
    """What the protocol has to remember, as plain JSON."""
    progress: float = 0.0
    """Share of the task that is done, in [0, 1]."""
    rewards: list[float] = field(default_factory=list)
    """The reward of each message of the policy."""
    log: MessageLog = field(default_factory=MessageLog, compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """A deep copy as plain JSON types."""
        return {
            "problem": self.problem.to_dict(),
            "messages": copy_messages(self.messages),
            "turns": self.turns,
            "over": self.over,
            "memory": copy_record(self.memory),
            "progress": self.progress,
            "rewards": list(self.rewards),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Episode":
        """Inverse of `to_dict`."""
        return cls(
            problem=Problem.from_dict(record["problem"]),
            messages=copy_messages(record["messages"]),
            turns=record["turns"],
            over=record["over"],
            memory=copy_record(record.get("memory", {})),
            progress=record.get("progress", 0.0),
            rewards=list(record.get("rewards", ())),
        )


def copy_record(value: Any) -> Any:
    """A deep copy of plain JSON data, several times faster than `copy.deepcopy`."""
    if isinstance(value, dict):
        return {key: copy_record(item) for key, item in value.items()}
    return [copy_record(item) for item in value] if isinstance(value, list) else value


def opening(problem: Problem, instructions: str = "") -> list[Message]:
    """The task's `system` message, if it has one, and the prompt with what else is to be said."""
    content = f"{problem.prompt}\n\n{instructions}" if instructions else problem.prompt
    system = problem.task.get("system")
    if system:
        return [{"role": "system", "content": str(system)}, {"role": "user", "content": content}]
    return [{"role": "user", "content": content}]


@dataclass(frozen=True, slots=True)
class Turn:
    """What an environment says after a message of the policy."""

    observation: str
    """The newest message to the policy; "" if the message terminated the episode."""
    terminated: bool
    """True if the message ended the episode: the task is over."""
    truncated: bool = False
    """True if a limit on the number of turns ended it: the task is not over. Never together with `terminated`."""
    reward: float | None = None
    """The reward; None for the score of the answer."""
    progress: float | None = None
    """Share of the task that is done, in [0, 1]; None for 1.0 after a right answer and 0.0 otherwise."""


class Protocol:
    """The rules of a conversation: how it opens, what in a message is to be graded, what follows.

    A protocol holds parameters only, and they are plain JSON. What an episode has to remember is in `Episode.memory`,
    plain JSON too, so that a saved environment resumes exactly.

    As it stands this is the rule "one answer ends the episode". Where every message is an answer, override `respond`.
    Where some are not, override `answer` (which text is graded, if any) and `reply`, which sees the whole episode.

    Example:
        >>> class UntilRight(Protocol):
        ...     def respond(self, problem, turn, grade):
        ...         return Turn("" if grade.correct else f"Wrong. This is attempt {turn + 1}.", grade.correct)
    """

    follows_demonstration: ClassVar[bool] = True
    """Whether a message is to read like the problem's demonstration: `info["progress"]` at token level is then the
    share of it that is matched. False keeps the protocol's own progress there too."""

    def open(self, problem: Problem) -> list[Message]:
        """The messages that the policy sees first; the last one is the first observation.

        Here: the task's `system` message, if it has one, and the prompt.
        """
        return opening(problem)

    def begin(self, problem: Problem) -> dict[str, Any]:
        """The memory of a new episode.

        Raises:
            DataError: the problem lacks what the protocol needs.
        """
        return {}

    def examine(self, episodes: Sequence[Episode], responses: Sequence[str]) -> None:
        """Find out, for many episodes in one call, what `answer` and `reply` will need.

        Called before the messages become part of their episodes, and not for those that are longer than the environment
        allows. It may leave notes in the memories; where it raises, the episodes are to be what they were.
        """

    def answer(self, episode: Episode, response: str) -> str | None:
        """The text to grade, or None if the message holds nothing to grade.

        Called before the message becomes part of the episode.
        """
        return response

    def prepare(self, episodes: Sequence[Episode], responses: Sequence[str]) -> None:
        """Look up, for many episodes in one call, what `reply` will need; it may leave notes in their memories."""

    def respond(self, problem: Problem, turn: int, grade: Grade) -> Turn:
        """What follows an answer.

        Args:
            problem: the problem of the episode.
            turn: answers so far, this one included; 1 for the first.
            grade: the verdict on this answer.
        """
        return Turn(observation="", terminated=True)

    def reply(self, episode: Episode, response: str, grade: Grade) -> Turn:
        """What follows a message.

        Args:
            episode: the episode; its messages end with this one, and its turns count it. `memory` may be changed.
            response: the message.
            grade: the verdict on what `answer` returned; "ok" with score 0.0 if that was None, "invalid" if the message
                is longer than the environment allows.
        """
        return self.respond(episode.problem, episode.turns, grade)

    def demonstration(self, problem: Problem) -> list[str]:
        """The messages of a policy that does it right, in order; none where nothing shows how.

        Here: the problem's demonstration in one message.
        """
        return [problem.demonstration] if problem.demonstration else []

    def info(self, episode: Episode) -> dict[str, Any]:
        """What the protocol adds to the info of every reset and step: the same keys each time, new objects."""
        return {}

    def __repr__(self) -> str:
        parameters = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({parameters})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash(repr(self))


class SingleAnswer(Protocol):
    """One answer ends the episode.

    Example:
        >>> SingleAnswer()
        SingleAnswer()
    """
