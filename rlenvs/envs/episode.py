"""The one implementation of an episode that the single and the vector environment share."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np

from rlenvs.envs.messages import Message, copy_messages
from rlenvs.envs.protocols.base import UNGRADED, Episode, Protocol, SingleAnswer, Turn, copy_record
from rlenvs.envs.rendering import transcript
from rlenvs.errors import GraderError, UserError
from rlenvs.graders import BatchGrader, Grade
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
    grader: BatchGrader | None = None
    """None for that of the source."""
    protocol: Protocol = field(default_factory=SingleAnswer)
    split: str = "train"
    max_prompt_chars: int = DEFAULT_MAX_CHARS
    max_response_chars: int = DEFAULT_MAX_CHARS

    def __post_init__(self) -> None:
        for name, value, kind in (("source", self.source, ProblemSource), ("protocol", self.protocol, Protocol)):
            if not isinstance(value, kind):
                raise UserError(f"{name} must be a {kind.__name__}, got {value!r:.80}; make_{name}() makes one by name")
        check_int("max_prompt_chars", self.max_prompt_chars, 1, 10**9)
        check_int("max_response_chars", self.max_response_chars, 1, 10**9)
        # An empty split shows now, not at some later reset.
        self.source.sample(np.random.default_rng(0), check_split(self.split))

    @property
    def judge(self) -> BatchGrader:
        """What judges answers."""
        return self.source.grader if self.grader is None else self.grader

    @property
    def teaches(self) -> bool:
        """True if the source wants to know how episodes end; what is held out teaches nothing."""
        return self.split == "train" and self.source.adapts

    def ended(self, problem: Problem, solved: bool) -> None:
        """Tell the source how an episode ended."""
        if self.teaches:
            self.source.episode_ended(problem, solved)

    def leave(self, episode: Episode | None) -> None:
        """Close an episode that another one follows: cut off after an answer, it counts as not solved."""
        if episode is not None and not episode.over:
            episode.over = True
            if episode.turns:
                self.ended(episode.problem, solved=False)

    def source_state(self) -> dict[str, Any]:
        """The state of a source that learns from these episodes."""
        return self.source.state_dict() if self.teaches else {}

    def load_source_state(self, state: Mapping[str, Any]) -> None:
        """Let a source that learns from these episodes go on where `source_state` was called.

        Raises:
            UserError: the state is not of such a source.
        """
        if self.teaches:
            self.source.load_state_dict(state)

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
        grades = self.judge(tasks, texts)
        if len(grades) != len(tasks) or not all(map(math.isfinite, [grade.score for grade in grades])):
            raise GraderError(f"the grader must return one finite score per response, got {grades!r:.120}")
        return grades

    def submit(self, episode: Episode, response: str, grade: Grade) -> StepResult:
        """Apply one graded response to its episode, and tell the source if that is how it ended."""
        response = str(response)
        turn = self.move(episode, response, grade)
        if episode.over:
            self.ended(episode.problem, bool(grade.correct))
        info = self.info(episode)
        info["response"] = response
        info["correct"] = bool(grade.correct)
        info["score"] = float(grade.score)
        info["grade_status"] = grade.status
        info["extracted"] = grade.extracted or ""
        info["reason"] = grade.reason
        return StepResult(turn.observation, episode.rewards[-1], turn.terminated, turn.truncated, info)

    def move(self, episode: Episode, response: str, grade: Grade) -> Turn:
        """Apply one graded response to its episode, and nothing else.

        Raises:
            UserError: the protocol does not return a turn, or one that both terminates and truncates.
        """
        episode.turns += 1
        episode.messages.append({"role": "assistant", "content": response})
        turn = self.protocol.reply(episode, response, grade)
        name = type(self.protocol).__name__
        if not isinstance(turn, Turn):
            raise UserError(f"protocol {name}: it must return a Turn after each message, got {turn!r:.80}")
        if turn.terminated and turn.truncated:
            raise UserError(f"protocol {name}: a Turn is terminated or truncated, never both")
        # Cut and not refused: how long it is may depend on what the policy wrote, which never makes a step fail.
        turn = replace(turn, observation=turn.observation[: self.max_prompt_chars])
        episode.over = turn.terminated or turn.truncated
        episode.progress = float(grade.correct) if turn.progress is None else turn.progress
        episode.rewards.append(float(grade.score if turn.reward is None else turn.reward))
        if not turn.terminated:
            episode.messages.append({"role": "user", "content": turn.observation})
        return turn

    def restored(self, record: object) -> Episode:
        """An episode that was saved by `Episode.to_dict`.

        Raises:
            UserError: the record is none, or of an episode with another protocol.
        """
        try:
            episode = Episode.from_dict(cast(Mapping[str, Any], record))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"state: an episode in it cannot be read ({type(error).__name__}: {error})") from None
        missing = self.protocol.begin(episode.problem).keys() - episode.memory.keys()
        if missing:
            name = type(self.protocol).__name__
            raise UserError(f"state: an episode in it is not of protocol {name}: its memory lacks {sorted(missing)}")
        return episode

    def demonstrate(self, problem: Problem) -> list[Message]:
        """The conversation of an episode that is done right, played through: what a warm start imitates.

        Raises:
            UserError: the problem or the protocol does not show how, or what it shows does not end the episode.
        """
        episode = self.begin(problem)
        for message in self.protocol.demonstration(problem):
            if not episode.over:
                (grade,) = self.grade([episode], [message])
                self.move(episode, message, grade)
        if not episode.over:
            name = type(self.protocol).__name__
            raise UserError(f"problem {problem.id!r}: {name}.demonstration() shows no episode from start to end")
        return copy_messages(episode.messages)

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
