"""Plays episodes: policy against vector environment, token ids on one side, text on the other."""

import copy
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from rlenvs.agents.llm.config.rollout import RolloutConfig
from rlenvs.agents.llm.engines.protocol import Engine, SamplingParams
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.rollout.batch import Episode
from rlenvs.agents.llm.rollout.chat import ChatFormat
from rlenvs.agents.llm.rollout.groups import Groups
from rlenvs.agents.llm.rollout.limits import Cut, Limits
from rlenvs.agents.llm.rollout.records import EpisodeStarts, component_parts, env_infos
from rlenvs.agents.llm.rollout.requests import Temperatures
from rlenvs.agents.llm.rollout.turns import Said, Speaker, answers, problem_id
from rlenvs.errors import GraderError
from rlenvs.wrappers.infos import row_info
from rlenvs.wrappers.layers.vector_shaped import VectorRewardLayer

Records = list[dict[str, Any]]
Metrics = dict[str, float]


class RolloutCollector:
    """Plays one episode in every sub-environment, over as many turns as it takes.

    Args:
        envs: shaped turn-level vector environment with autoreset mode DISABLED.
        policy: what plays; it says how ids become text.
        engine: samples from the policy.
        chat: how messages become ids.
        config: limits, stop texts, temperature, groups.
        generator: source of the sampling randomness.
        temperatures: which ones the environment may ask for.

    Attributes:
        metrics: of the last rollout: shares of episodes that a limit cut, turns per episode, seconds in engine,
            environment and reward, and what became of uniform groups.

    Raises:
        ConfigError: the environments cannot be dealt to groups.
    """

    def __init__(
        self,
        envs: VectorRewardLayer,
        policy: Policy,
        engine: Engine,
        chat: ChatFormat,
        config: RolloutConfig,
        generator: torch.Generator,
        temperatures: Temperatures = "usual",
    ) -> None:
        self.envs = envs
        self.chat = chat
        self.config = config
        self.generator = generator
        self.groups = Groups(envs.num_envs, config.samples_per_prompt)
        params = SamplingParams(config.max_new_tokens, config.temperature, tuple(config.stop))
        self.speaker = Speaker(policy, engine, chat, params, Limits.of(config), temperatures)
        self.metrics: Metrics = {}

    def collect(self, seed: int | None = None) -> tuple[list[Episode], Records]:
        """Play one episode per sub-environment.

        It happens as a whole or not at all: where it fails, environments, rewards and random streams go back to where
        they were, with no episode begun, so that it can be tried again.

        With `drop_uniform_groups`, groups whose samples all score the same are left out and their rows play again, up
        to `max_refills` times. What they played stays in the records, and whatever keeps statistics of rewards has
        seen it.

        Args:
            seed: reseeds the sub-environments; None lets their streams go on.

        Returns:
            The episodes by row, and one record per turn with everything that a rollout file wants to know.

        Raises:
            ConfigError: the environment gives no chat, or other ones to the samples of one problem.
            DataError: a prompt leaves no room for an answer.
            EngineError: the engine could not finish.
            ComponentError: a reward component failed.
        """
        back = [_rewind_point(self.envs.unwrapped), self.envs.rewind_point()]
        drawn = self.generator.get_state()
        try:
            return self._collect(seed)
        except Exception:
            self.generator.set_state(drawn)
            for rewind in back:
                rewind()
            raise

    def _collect(self, seed: int | None) -> tuple[list[Episode], Records]:
        rows = list(range(self.envs.num_envs))
        spent = _Stopwatch(self)
        played: list[Episode] = []
        kept: dict[int, Episode] = {}
        records: Records = []
        dropped = refills = 0
        while True:
            episodes, added = self._play(rows, seed)
            played.extend(episodes.values())
            uniform = self.groups.uniform(episodes) if self.config.drop_uniform_groups else []
            _mark(added, set(uniform), refills)
            records.extend(added)
            kept |= {row: episode for row, episode in episodes.items() if row not in set(uniform)}
            dropped += len(uniform) // self.groups.size
            if not uniform or refills == self.config.max_refills:
                break
            rows, seed, refills = uniform, None, refills + 1
        self.metrics = _metrics(played, records) | spent.seconds()
        if self.config.drop_uniform_groups:
            self.metrics |= {"rollout/dropped_groups": float(dropped), "rollout/refills": float(refills)}
        return [kept[row] for row in sorted(kept)], records

    def _play(self, rows: list[int], seed: int | None) -> tuple[dict[int, Episode], Records]:
        """Play one episode in each of some rows, from reset to the last one's end."""
        observations, infos = self.envs.reset(seed=seed, options=self._options(rows))
        starts = EpisodeStarts(infos, self.envs.num_envs)
        episodes = self.speaker.open(infos, rows)
        self.groups.check(infos, rows)
        for row, episode in episodes.items():
            episode.group = self.groups.of(row)
        active = rows
        records: Records = []
        turn = 0
        while active:
            said = self.speaker.speak({row: episodes[row] for row in active}, infos, self.generator)
            prompts = {row: observations[row] for row in active}
            stepped = self._step(said)
            observations, infos = stepped[0], stepped[4]
            turn += 1
            cuts = self._hear(episodes, said, turn, stepped)
            ended = stepped[2] | stepped[3]
            active = [row for row in active if not ended[row] and row not in cuts]
            records.extend(self._records(turn - 1, said, prompts, stepped, cuts, starts))
        return episodes, records

    def _options(self, rows: Sequence[int]) -> dict[str, Any] | None:
        options: dict[str, Any] = {}
        if self.groups.size > 1:
            options["group_size"] = self.groups.size
        if len(rows) < self.envs.num_envs:
            options["reset_mask"] = np.isin(np.arange(self.envs.num_envs), rows)
        return options or None

    def _step(self, said: Mapping[int, Said]) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        actions = [""] * self.envs.num_envs
        counts: list[dict[str, Any]] = [{} for _ in range(self.envs.num_envs)]
        for row, message in said.items():
            actions[row] = message.text
            counts[row] = {"response_tokens": len(message.completion.ids)}
        self.envs.annotate(counts)
        return self.envs.step(actions)

    def _hear(
        self,
        episodes: Mapping[int, Episode],
        said: Mapping[int, Said],
        turns: int,
        stepped: tuple[Any, Any, Any, Any, dict[str, Any]],
    ) -> dict[int, Cut]:
        """Credit the turn, append the feedback, and return the rows that are cut, with the reason."""
        observations, rewards, terminated, truncated, infos = stepped
        paid = infos["env_reward"]
        cuts: dict[int, Cut] = {}
        for row, message in said.items():
            episode = episodes[row]
            if not np.isfinite(paid[row]):
                raise GraderError(f"the environment paid {paid[row]} for problem {problem_id(infos, row)!r}, no number")
            episode.score += float(paid[row])
            episode.credit(float(rewards[row]))
            episode.terminated = bool(terminated[row])
            if terminated[row] or truncated[row]:
                continue
            cut = self.speaker.listen(episode, message, turns, answers(infos, observations, row))
            if cut is not None:
                cuts[row] = cut
        self.envs.abandon(list(cuts))
        return cuts

    def _records(
        self,
        turn: int,
        said: Mapping[int, Said],
        prompts: Mapping[int, str],
        stepped: tuple[Any, Any, Any, Any, dict[str, Any]],
        cuts: Mapping[int, Cut],
        starts: EpisodeStarts,
    ) -> Iterator[dict[str, Any]]:
        batch = self.envs.last_batch
        assert batch is not None
        observations, rewards, terminated, truncated, infos = stepped
        others = env_infos(infos)
        position = {row: index for index, row in enumerate(np.flatnonzero(infos["_env_reward"]).tolist())}
        for row, message in said.items():
            info = {key: infos[key][row] for key in ("problem_id", "correct", "grade_status") if key in infos}
            record = {
                "env": row,
                "turn": turn,
                "problem_id": info.get("problem_id", ""),
                "prompt": prompts[row],
                "response": message.text,
                "tokens": len(message.completion.ids),
                "finish": message.completion.finish,
                "correct": bool(info.get("correct", False)),
                "grade_status": info.get("grade_status", "ok"),
                "reward": float(rewards[row]),
                "env_reward": float(infos["env_reward"][row]),
                "potential": float(batch.potential[position[row]]),
                "terminated": bool(terminated[row]),
                "truncated": bool(truncated[row]),
                "components": component_parts(batch, position[row]),
                "info": starts.changes(row, row_info(others, row)),
                **starts.fields(row, turn, prompts[row]),
            }
            if row in cuts:
                record["cut"] = cuts[row]
            if not terminated[row] and (truncated[row] or row in cuts):  # no later turn says what the policy was told
                record["next_prompt"] = observations[row]
            yield record


def _rewind_point(envs: Any) -> Callable[[], None]:
    """Return what brings a vector environment back to where it is; one without any such means stays where it gets."""
    if hasattr(envs, "rewind_point"):
        back: Callable[[], None] = envs.rewind_point()
        return back
    if not (hasattr(envs, "state_dict") and hasattr(envs, "load_state_dict")):
        return lambda: None
    state = copy.deepcopy(envs.state_dict())
    return lambda: envs.load_state_dict(state)


class _Stopwatch:
    """Tells where the time of a rollout went."""

    def __init__(self, collector: RolloutCollector) -> None:
        self._collector = collector
        self._started = time.perf_counter()
        self._before = self._counters()

    def seconds(self) -> Metrics:
        """Return seconds in the engine, the environment and the reward layer since this object was made."""
        now = self._counters()
        return {f"time/{name}": now[name] - self._before[name] for name in now}

    def _counters(self) -> Metrics:
        envs = self._collector.envs
        return {"generate": self._collector.speaker.seconds, "env": envs.env_seconds, "reward": envs.reward_seconds}


def _mark(records: Records, uniform: set[int], refill: int) -> None:
    """Say in the records which round of refills they belong to, and which groups were left out."""
    for record in records:
        if refill:
            record["refill"] = refill
        if record["env"] in uniform:
            record["dropped"] = True


def _metrics(episodes: Sequence[Episode], records: Records) -> Metrics:
    count = len(episodes)
    cuts = Counter(record["cut"] for record in records if "cut" in record)
    return {
        "rollout/episodes": float(count),
        "rollout/turns": len(records) / count,
        "rollout/cut": sum(episode.cut for episode in episodes) / count,
        "rollout/cut_by_context": cuts["context"] / count,
        "rollout/cut_by_turns": cuts["turns"] / count,
    }
