"""Plays episodes: policy against vector environment, token ids on one side, text on the other."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from rlenvs.agents.llm.engines.protocol import Completion, Engine, SamplingParams
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.rollout.batch import Episode
from rlenvs.agents.llm.rollout.chat import ChatFormat
from rlenvs.agents.llm.rollout.records import EpisodeStarts, component_parts, env_infos
from rlenvs.errors import DataError
from rlenvs.wrappers.layers.vector_shaped import VectorShapedReward
from rlenvs.wrappers.transition_batch import row_info


class RolloutCollector:
    """Plays one episode in every sub-environment, over as many turns as it takes.

    Args:
        envs: shaped turn-level vector environment with autoreset mode DISABLED.
        policy: what plays; it says how ids become text.
        engine: samples from the policy.
        chat: how messages become ids.
        params: how it samples.
        context_tokens: longer episodes are cut (and keep the value of their last state).
        generator: source of the sampling randomness.
    """

    def __init__(
        self,
        envs: VectorShapedReward,
        policy: Policy,
        engine: Engine,
        chat: ChatFormat,
        params: SamplingParams,
        context_tokens: int,
        generator: torch.Generator,
    ) -> None:
        self.envs = envs
        self.policy = policy
        self.engine = engine
        self.chat = chat
        self.params = params
        self.context_tokens = context_tokens
        self.generator = generator

    def collect(self, seed: int | None = None) -> tuple[list[Episode], list[dict[str, Any]]]:
        """Play one episode per sub-environment.

        Args:
            seed: reseeds the sub-environments; None lets their streams go on.

        Returns:
            The episodes, and one record per turn with everything that a rollout file wants to know.

        Raises:
            DataError: a prompt leaves no room for an answer.
        """
        observations, infos = self.envs.reset(seed=seed)
        starts = EpisodeStarts(infos, self.envs.num_envs)
        episodes = [self._begin(row_info(infos, row)) for row in range(self.envs.num_envs)]
        active = list(range(self.envs.num_envs))
        records: list[dict[str, Any]] = []
        turn = 0
        while active:
            completions = self.engine.generate([episodes[row].ids for row in active], self.params, self.generator)
            actions = [""] * self.envs.num_envs
            counts: list[dict[str, Any]] = [{} for _ in range(self.envs.num_envs)]
            for row, completion in zip(active, completions, strict=True):
                episodes[row].add_message(completion.ids, completion.logprobs)
                actions[row] = self.policy.message_text(completion.ids)
                counts[row] = {"response_tokens": len(completion.ids)}
            prompts = {row: observations[row] for row in active}
            self.envs.annotate(counts)
            stepped = self.envs.step(actions)
            observations = stepped[0]
            played = dict(zip(active, completions, strict=True))
            active = self._continue(episodes, played, *stepped[:4])
            records.extend(self._records(turn, played, prompts, actions, stepped, set(active), starts))
            turn += 1
        return episodes, records

    def _begin(self, info: Mapping[str, Any]) -> Episode:
        ids = self.chat.prompt_ids(info["messages"])
        check_room(ids, str(info.get("problem_id", "?")), self.params.max_new_tokens, self.context_tokens)
        return Episode(ids=list(ids), action=[False] * len(ids))

    def _continue(
        self,
        episodes: list[Episode],
        played: Mapping[int, Completion],
        observations: Any,
        rewards: Any,
        terminated: Any,
        truncated: Any,
    ) -> list[int]:
        """Credit the turn and return the rows whose episode goes on."""
        active, cut = [], []
        for row, completion in played.items():
            episode = episodes[row]
            episode.credit(float(rewards[row]))
            episode.terminated = bool(terminated[row])
            if terminated[row] or truncated[row]:
                continue
            closing = completion.ids[-1] if completion.finish == "stop" else None
            feedback = self.chat.feedback_ids(observations[row], closing)
            if len(episode.ids) + len(feedback) + self.params.max_new_tokens > self.context_tokens:
                cut.append(row)  # out of context: the state keeps its value, the row plays on no more
                continue
            episode.add_feedback(feedback)
            active.append(row)
        self.envs.abandon(cut)
        return active

    def _records(
        self,
        turn: int,
        played: Mapping[int, Completion],
        prompts: Mapping[int, str],
        actions: list[str],
        stepped: tuple[Any, Any, Any, Any, dict[str, Any]],
        going_on: set[int],
        starts: EpisodeStarts,
    ) -> Iterator[dict[str, Any]]:
        batch = self.envs.last_batch
        assert batch is not None
        observations, rewards, terminated, truncated, infos = stepped
        others = env_infos(infos)
        position = {row: index for index, row in enumerate(np.flatnonzero(infos["_env_reward"]).tolist())}
        for row, completion in played.items():
            info = {key: infos[key][row] for key in ("problem_id", "correct", "grade_status") if key in infos}
            record = {
                "env": row,
                "turn": turn,
                "problem_id": info.get("problem_id", ""),
                "prompt": prompts[row],
                "response": actions[row],
                "tokens": len(completion.ids),
                "finish": completion.finish,
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
            if not terminated[row] and row not in going_on:  # no later turn says what the policy was told
                record["next_prompt"] = observations[row]
            yield record


def check_room(prompt: Sequence[int], problem_id: str, max_new_tokens: int, context_tokens: int) -> None:
    """Refuse a prompt that is empty or leaves no room for an answer.

    Raises:
        DataError: the message names the problem and the limits.
    """
    room = context_tokens - max_new_tokens
    if not 1 <= len(prompt) <= room:
        raise DataError(
            f"the prompt of problem {problem_id!r} has {len(prompt)} tokens, it must have 1 to {room} "
            f"(rollout.context_tokens={context_tokens} less rollout.max_new_tokens={max_new_tokens})"
        )
