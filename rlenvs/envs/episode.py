"""The one implementation of an episode that the single and the vector environment share."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rlenvs.envs.messages import copy_messages
from rlenvs.envs.protocols.base import UNGRADED, Episode, Protocol, SingleAnswer, copy_record
from rlenvs.envs.rendering import transcript
from rlenvs.errors import GraderError, UserError
from rlenvs.graders import BatchGrader, Grade, grade_batch
from rlenvs.problems import Problem, ProblemSource
from rlenvs.problems.checks import check_int, check_split
from rlenvs.spaces import UnicodeText

__all__ = ["DEFAULT_MAX_CHARS", "Episode", "StepResult", "TextTask", "copy_messages", "copy_record", "transcript"]

DEFAULT_MAX_CHARS = 8192


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one answer led to."""

    observation: str
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]


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
        return self.begin(problem)

    def begin(self, problem: object) -> Episode:
        """Open an episode on a problem; see `start`."""
        if not isinstance(problem, Problem):
            raise UserError(f"options: a problem must be a rlenvs.problems.Problem, got {type(problem).__name__}")
        messages = self.protocol.open(problem)
        self._check_length(messages[-1]["content"], problem)
        return Episode(problem, messages, memory=self.protocol.begin(problem))

    def grade(self, episodes: Sequence[Episode], responses: Sequence[str]) -> list[Grade]:
        """Grade one response per episode, all in one call of the grader.

        A response beyond `max_response_chars` is no valid action, so it is an invalid answer; the grader never sees it.
        Nor does it see a message that the protocol says is no answer.
        """
        for response in responses:
            if not isinstance(response, str):
                raise UserError(f"an action must be a str (a whole message), got {type(response).__name__}")
        fitting = [place for place, response in enumerate(responses) if len(response) <= self.max_response_chars]
        self.protocol.examine([episodes[place] for place in fitting], [responses[place] for place in fitting])
        answers: list[str | None] = []
        verdicts: list[Grade] = []
        for episode, response in zip(episodes, responses, strict=True):
            fits = len(response) <= self.max_response_chars
            answers.append(self.protocol.answer(episode, response) if fits else None)
            verdicts.append(UNGRADED if fits else self._too_long())
        asked = [place for place, answer in enumerate(answers) if answer is not None]
        if asked:
            tasks = [episodes[place].problem.task for place in asked]
            grades = self.verdicts(tasks, [answer for answer in answers if answer is not None])
            for place, grade in zip(asked, grades, strict=True):
                verdicts[place] = grade
        self.protocol.prepare(episodes, responses)
        return verdicts

    def verdicts(self, tasks: Sequence[Mapping[str, Any]], texts: Sequence[str]) -> list[Grade]:
        """Ask the grader, and refuse what is no verdict."""
        grades = self.grader(tasks, texts)
        if len(grades) != len(tasks) or not all(map(math.isfinite, [grade.score for grade in grades])):
            raise GraderError(f"the grader must return one finite score per response, got {grades!r:.120}")
        return grades

    def submit(self, episode: Episode, response: str, grade: Grade) -> StepResult:
        """Apply one graded response to its episode."""
        response = str(response)
        episode.turns += 1
        episode.messages.append({"role": "assistant", "content": response})
        turn = self.protocol.reply(episode, response, grade)
        assert not (turn.terminated and turn.truncated), "a protocol ends an episode in one way"
        reward = float(grade.score if turn.reward is None else turn.reward)
        episode.over = turn.terminated or turn.truncated
        episode.progress = float(grade.correct) if turn.progress is None else turn.progress
        episode.rewards.append(reward)
        if not turn.terminated:
            self._check_length(turn.observation, episode.problem)
            episode.messages.append({"role": "user", "content": turn.observation})
        info = self.info(episode)
        info["response"] = response
        info["correct"] = bool(grade.correct)
        info["score"] = float(grade.score)
        info["grade_status"] = grade.status
        info["extracted"] = grade.extracted or ""
        info["reason"] = grade.reason
        return StepResult(turn.observation, reward, turn.terminated, turn.truncated, info)

    def info(self, episode: Episode) -> dict[str, Any]:
        """What every reset and step reports; all of it the caller's own."""
        problem = episode.problem
        info = {
            "problem_id": problem.id,
            "task": copy_record(problem.task),
            "difficulty": float(problem.difficulty),
            "split": problem.split or "",
            "messages": episode.log.shown(episode.messages),
            "progress": episode.progress,
        }
        info.update(self.protocol.info(episode))
        return info

    def _check_length(self, text: str, problem: Problem) -> None:
        if len(text) > self.max_prompt_chars:
            raise UserError(
                f"problem {problem.id!r}: its prompt has {len(text)} characters, "
                f"max_prompt_chars is {self.max_prompt_chars}; raise it"
            )

    def _too_long(self) -> Grade:
        reason = f"the response is longer than {self.max_response_chars} characters"
        return Grade(0.0, False, "invalid", None, reason)
