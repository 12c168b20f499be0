"""The one implementation of an episode that the single and the vector environment share."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rlenvs.envs.protocol import Message, Protocol, SingleAnswer
from rlenvs.errors import GraderError, UserError
from rlenvs.graders import BatchGrader, Grade, grade_batch
from rlenvs.problems import Problem, ProblemSource
from rlenvs.problems.checks import check_int, check_split
from rlenvs.spaces import UnicodeText

DEFAULT_MAX_CHARS = 8192


@dataclass(slots=True)
class Episode:
    """The state of one conversation."""

    problem: Problem
    messages: list[Message]
    turns: int = 0
    """Answers so far."""
    over: bool = False

    def to_dict(self) -> dict[str, Any]:
        """A deep copy as plain JSON types."""
        return {
            "problem": self.problem.to_dict(),
            "messages": copy_messages(self.messages),
            "turns": self.turns,
            "over": self.over,
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Episode":
        """Inverse of `to_dict`."""
        return cls(
            problem=Problem.from_dict(record["problem"]),
            messages=copy_messages(record["messages"]),
            turns=record["turns"],
            over=record["over"],
        )


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one answer led to."""

    observation: str
    reward: float
    terminated: bool
    info: dict[str, Any]


def copy_record(value: Any) -> Any:
    """A deep copy of plain JSON data, several times faster than `copy.deepcopy`."""
    if isinstance(value, dict):
        return {key: copy_record(item) for key, item in value.items()}
    return [copy_record(item) for item in value] if isinstance(value, list) else value


def copy_messages(messages: Sequence[Message]) -> list[Message]:
    """New dicts in a new list, so that no caller can write into an episode."""
    return [{"role": message["role"], "content": message["content"]} for message in messages]


@dataclass(frozen=True)
class TextTask:
    """Source x grader x protocol and the limits of both spaces: an environment without its state."""

    source: ProblemSource
    grader: BatchGrader = grade_batch
    protocol: Protocol = field(default_factory=SingleAnswer)
    split: str = "train"
    max_prompt_chars: int = DEFAULT_MAX_CHARS
    max_response_chars: int = DEFAULT_MAX_CHARS

    def __post_init__(self) -> None:
        check_int("max_prompt_chars", self.max_prompt_chars, 1, 10**9)
        check_int("max_response_chars", self.max_response_chars, 1, 10**9)
        # An empty split shows now, not at some later reset.
        self.source.sample(np.random.default_rng(0), check_split(self.split))

    def observation_space(self) -> UnicodeText:
        """A new space of observations."""
        return UnicodeText(self.max_prompt_chars)

    def action_space(self) -> UnicodeText:
        """A new space of actions."""
        return UnicodeText(self.max_response_chars)

    def start(self, rng: np.random.Generator, problem: object = None) -> Episode:
        """Open an episode, on a problem drawn with `rng` or on the given one.

        Raises:
            UserError: the given problem is none, or the prompt is longer than the observation space allows.
        """
        if problem is None:
            problem = self.source.sample(rng, check_split(self.split))
        if not isinstance(problem, Problem):
            raise UserError(f"options: a problem must be a rlenvs.problems.Problem, got {type(problem).__name__}")
        messages = self.protocol.open(problem)
        length = len(messages[-1]["content"])
        if length > self.max_prompt_chars:
            raise UserError(
                f"problem {problem.id!r}: its prompt has {length} characters, "
                f"max_prompt_chars is {self.max_prompt_chars}; raise it"
            )
        return Episode(problem, messages)

    def grade(self, episodes: Sequence[Episode], responses: Sequence[str]) -> list[Grade]:
        """Grade one response per episode, all in one call of the grader.

        A response beyond `max_response_chars` is no valid action, so it is an invalid answer; the grader
        never sees it.
        """
        for response in responses:
            if not isinstance(response, str):
                raise UserError(f"an action must be a str (a whole message), got {type(response).__name__}")
        fits = [len(response) <= self.max_response_chars for response in responses]
        tasks = [episode.problem.task for episode, fit in zip(episodes, fits, strict=True) if fit]
        texts = [response for response, fit in zip(responses, fits, strict=True) if fit]
        verdicts = self.grader(tasks, texts) if tasks else []
        if len(verdicts) != len(tasks) or not all(math.isfinite(verdict.score) for verdict in verdicts):
            raise GraderError(f"the grader must return one finite score per response, got {verdicts!r:.120}")
        grades = iter(verdicts)
        reason = f"the response is longer than {self.max_response_chars} characters"
        too_long = Grade(0.0, False, "invalid", None, reason)
        return [next(grades) if fit else too_long for fit in fits]

    def submit(self, episode: Episode, response: str, grade: Grade) -> StepResult:
        """Apply one graded response to its episode."""
        response = str(response)
        episode.turns += 1
        episode.messages.append({"role": "assistant", "content": response})
        turn = self.protocol.respond(episode.problem, episode.turns, grade)
        episode.over = turn.terminated
        if not turn.terminated:
            episode.messages.append({"role": "user", "content": turn.observation})
        info = self.info(episode)
        info["response"] = response
        info["correct"] = bool(grade.correct)
        info["score"] = float(grade.score)
        info["grade_status"] = grade.status
        info["extracted"] = grade.extracted or ""
        info["reason"] = grade.reason
        info["progress"] = 1.0 if grade.correct else 0.0
        return StepResult(turn.observation, float(grade.score), turn.terminated, info)

    def info(self, episode: Episode) -> dict[str, Any]:
        """What every reset and step reports; all of it new objects."""
        problem = episode.problem
        return {
            "problem_id": problem.id,
            "task": copy_record(problem.task),
            "difficulty": float(problem.difficulty),
            "split": problem.split or "",
            "messages": copy_messages(episode.messages),
            "progress": 0.0,
        }


def transcript(messages: Sequence[Message]) -> str:
    """A conversation as readable text, one block per message."""
    blocks = []
    for message in messages:
        content = message["content"].replace("\n", "\n    ")
        blocks.append(f"{message['role']}:\n    {content}")
    return "\n".join(blocks)
