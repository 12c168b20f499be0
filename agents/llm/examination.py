"""Whole episodes on given problems, graded by the environment itself: what evaluations are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import torch

from rlenvs.agents.llm.config import SamplingConfig
from rlenvs.agents.llm.engines import Engine, SamplingParams
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.rollout.chat import ChatFormat
from rlenvs.agents.llm.rollout.limits import Limits
from rlenvs.agents.llm.rollout.turns import Said, Speaker, answers, opening, problem_id
from rlenvs.agents.runs.environments import are_graded, make_vector_env
from rlenvs.problems import Problem
from rlenvs.wrappers.config.rewards import RewardConfig
from rlenvs.wrappers.layers.vector_shaped import VectorShapedReward

CHUNK = 512  # episodes side by side: conversations, sessions and sandboxes of all problems at once need not fit


@dataclass(frozen=True, slots=True)
class Marks:
    """What came of N episodes, in the order of the problems.

    Attributes:
        correct: `[N]` bool, whether the last message of the episode was right; None where the environment does not say.
        first: `[N]` bool, the same of the first message.
        rewards: `[N]` sum of what the environment itself paid.
        turns: `[N]` messages of the policy.
        cut: `[N]` bool, whether a limit of the run ended a message or the episode.
        components: name -> `[N]` raw value of the last message of the episode; NaN where the component gave none.
    """

    correct: npt.NDArray[np.bool_] | None
    first: npt.NDArray[np.bool_] | None
    rewards: npt.NDArray[np.float64]
    turns: npt.NDArray[np.int64]
    cut: npt.NDArray[np.bool_]
    components: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)


class Examination:
    """Asks a policy problems of a turn-level environment and lets the environment's own grader judge the answers.

    Episodes are played to their end, turn by turn, as in training. What an environment asks of sampling is obeyed, its
    temperature excepted: an evaluation has its own.

    Args:
        env_id: the environment.
        env_kwargs: its parameters.
        problems: what is asked, at least one.
        chunk: episodes side by side, >= 1.
        rewards: components that are asked about every message too; they judge, and nothing learns from them.

    Raises:
        ConfigError: no such environment, or parameters it refuses.
    """

    def __init__(
        self,
        env_id: str,
        env_kwargs: Mapping[str, Any],
        problems: Sequence[Problem],
        chunk: int = CHUNK,
        rewards: RewardConfig | None = None,
    ) -> None:
        self.problems = problems
        self.envs: gym.vector.VectorEnv[Any, Any, Any] = make_vector_env(env_id, env_kwargs, min(len(problems), chunk))
        if rewards is not None:
            self.envs = VectorShapedReward(self.envs, rewards)

    def accuracy(
        self,
        policy: Policy,
        engine: Engine,
        chat: ChatFormat,
        params: SamplingParams,
        generator: torch.Generator,
        limits: Limits | None = None,
    ) -> float:
        """Return the share of problems whose last answer is right; see `mark`."""
        correct = self.mark(policy, engine, chat, params, generator, limits).correct
        return 0.0 if correct is None else float(correct.mean())

    def mark(
        self,
        policy: Policy,
        engine: Engine,
        chat: ChatFormat,
        params: SamplingParams,
        generator: torch.Generator,
        limits: Limits | None = None,
    ) -> Marks:
        """Play one episode on each problem.

        Args:
            policy: what answers.
            engine: samples from it; it has the policy's present weights.
            chat: how messages become ids.
            params: temperature 0 for greedy answers.
            generator: source of randomness.
            limits: of the run; that of `params` on messages, the model's context and the usual number of turns when
                None.

        Raises:
            ConfigError: the environment gives no chat.
            DataError: a prompt leaves no room for an answer.
            EngineError: the engine could not finish.
        """
        speaker = Speaker(policy, engine, chat, params, limits or _limits_of(policy, params), "ignored")
        names = self.envs.pipeline.names if isinstance(self.envs, VectorShapedReward) else ()
        sheet = _Sheet(len(self.problems), names)
        for start in range(0, len(self.problems), self.envs.num_envs):
            self._play(speaker, start, sheet, generator)
        sheet.graded = sheet.graded and are_graded(self.problems)
        return sheet.marks()

    def check_prompts(self, chat: ChatFormat, limits: Limits) -> None:
        """See that every problem can be asked, before anything is loaded onto a device or written to a disk.

        Raises:
            ConfigError: the environment gives no chat, or the chat template refuses it.
            DataError: a prompt leaves no room for an answer; the message names the problem.
        """
        for start in range(0, len(self.problems), self.envs.num_envs):
            rows, infos = self._open(start)
            for row in rows:
                limits.check_prompt(chat.prompt_ids(opening(infos, row)), problem_id(infos, row))

    def _open(self, start: int) -> tuple[list[int], dict[str, Any]]:
        """Begin the episodes of one chunk of problems: their rows and infos."""
        chunk = list(self.problems[start : start + self.envs.num_envs])
        rows, count = list(range(len(chunk))), self.envs.num_envs
        padding = [None] * (count - len(chunk))  # the last chunk may be shorter: the other rows stay over
        options = {"problems": [*chunk, *padding], "reset_mask": np.arange(count) < len(chunk)}
        return rows, self.envs.reset(seed=0, options=options)[1]

    def _play(self, speaker: Speaker, start: int, sheet: "_Sheet", generator: torch.Generator) -> None:
        rows, infos = self._open(start)
        episodes = speaker.open(infos, rows)
        active, turn = rows, 0
        while active:
            said = speaker.speak({row: episodes[row] for row in active}, infos, generator)
            observations, rewards, terminated, truncated, infos = self._step(said)
            turn += 1
            going_on: list[int] = []
            given_up: list[int] = []
            for row in active:
                sheet.note(start + row, turn, float(rewards[row]), infos, row)
                if terminated[row] or truncated[row]:
                    continue
                cut = speaker.listen(episodes[row], said[row], turn, answers(infos, observations, row))
                (going_on if cut is None else given_up).append(row)
            if given_up and hasattr(self.envs, "abandon"):
                self.envs.abandon(given_up)
            active = going_on
        for row in rows:
            sheet.cut[start + row] = episodes[row].cut

    def _step(self, said: Mapping[int, Said]) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step every row; the rewards are those of the environment, whatever components say beside them."""
        actions = [said[row].text if row in said else "" for row in range(self.envs.num_envs)]
        if not isinstance(self.envs, VectorShapedReward):
            return self.envs.step(actions)
        counts = [
            {"response_tokens": len(said[row].completion.ids)} if row in said else {} for row in range(len(actions))
        ]
        self.envs.annotate(counts)
        observations, _, terminated, truncated, infos = self.envs.step(actions)
        return observations, infos["env_reward"], terminated, truncated, infos


def _limits_of(policy: Policy, params: SamplingParams) -> Limits:
    positions = getattr(policy.model.config.get_text_config(), "max_position_embeddings", None)
    return Limits(params.max_new_tokens, positions, SamplingConfig().max_turns)


class _Sheet:
    """What is noted of N episodes while they are played."""

    def __init__(self, count: int, components: Sequence[str] = ()) -> None:
        self.correct, self.first, self.cut = (np.zeros(count, dtype=np.bool_) for _ in range(3))
        self.rewards, self.turns = np.zeros(count), np.zeros(count, dtype=np.int64)
        self.components = {name: np.full(count, np.nan) for name in components}
        self.graded = True

    def note(self, place: int, turn: int, reward: float, infos: Mapping[str, Any], row: int) -> None:
        """Note one step of one episode."""
        self.rewards[place] += reward
        self.turns[place] = turn
        for name, values in self.components.items():
            values[place] = infos["reward_components"][name]["raw"][row]
        if "correct" not in infos:
            self.graded = False
            return
        self.correct[place] = infos["correct"][row]
        if turn == 1:
            self.first[place] = infos["correct"][row]

    def marks(self) -> Marks:
        """Return the result."""
        correct, first = (self.correct, self.first) if self.graded else (None, None)
        return Marks(correct, first, self.rewards, self.turns, self.cut, self.components)
