"""`VectorShapedReward`: a whole reward configuration around a vector environment, one pipeline call per step."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import iterate

from rlenvs.errors import ConfigError, UserError
from rlenvs.wrappers.base import FloatArray
from rlenvs.wrappers.clock import RewardClock, refuse_second_clock
from rlenvs.wrappers.config import RewardConfig, build_pipeline
from rlenvs.wrappers.pipeline import RewardBatch
from rlenvs.wrappers.plain import from_plain, to_plain
from rlenvs.wrappers.shaped import first_message, make_transition
from rlenvs.wrappers.transition import RewardState, Transition

BoolArray = npt.NDArray[np.bool_]


class VectorShapedReward(gym.vector.VectorWrapper, gym.utils.RecordConstructorArgs):
    """The vector twin of `ShapedReward`: same configuration, same numbers, components called once per step.

    All three autoreset modes work. The reward's parts are in `infos` as arrays over the N sub-environments:
    `vector_reward` `[N, K]`, `reward_weights` `[N, K]`, `reward_components` (name -> raw, normalized, weight,
    contribution, each `[N]`), `reward_status` (name -> `[N]`), `reward_potential` `[N]`, `env_reward` `[N]`, each
    with Gymnasium's `_key` mask. With `SAME_STEP` they belong to the step that was taken, not to the observation
    after the reset.

    Args:
        env: the vector environment.
        config: path of a YAML file, a mapping, or a `RewardConfig`.

    Raises:
        ConfigError: the configuration cannot be used.
        WrapperOrderError: the environment is inside a `VectorShapedReward` already.

    Example:
        >>> import gymnasium as gym
        >>> import rlenvs
        >>> envs = VectorShapedReward(
        ...     gym.make_vec("rlenvs/Arithmetic-v0", num_envs=2),
        ...     {"reward_components": {"short": {"class": "LengthPenalty", "params": {"max_length": 1}}}},
        ... )
        >>> _ = envs.reset(seed=0)
        >>> envs.step(["4 2", "7"])[1].tolist()
        [-0.01, 0.0]
    """

    def __init__(
        self,
        env: gym.vector.VectorEnv[Any, Any, Any],
        config: "str | Path | Mapping[str, Any] | RewardConfig",
    ) -> None:
        refuse_second_clock(env)
        self.config = RewardConfig.load(config)
        gym.utils.RecordConstructorArgs.__init__(self, config=self.config.to_dict())
        gym.vector.VectorWrapper.__init__(self, env)
        self.pipeline = build_pipeline(self.config)
        self.clock = RewardClock()
        self.last_batch: RewardBatch | None = None
        self._autoreset = AutoresetMode(env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP))
        self._visited = np.zeros((self.num_envs, len(self.pipeline.potential_gammas)))
        self._visited_steps = [0] * self.num_envs
        self._begun = np.zeros(self.num_envs, dtype=np.bool_)
        self._over = np.ones(self.num_envs, dtype=np.bool_)
        self._prompts = [""] * self.num_envs
        self._observations: list[Any] = [None] * self.num_envs
        self._infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        self._action_info: Sequence[Mapping[str, Any]] | None = None

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start episodes, all of them or those of `options["reset_mask"]`; the reward clock goes on."""
        mask = (options or {}).get("reset_mask")  # read first: Gymnasium's vector environments pop it
        observations, infos = self.env.reset(seed=seed, options=options)  # type: ignore[arg-type]  # lists of seeds are fine
        rows = range(self.num_envs) if mask is None else np.flatnonzero(mask).tolist()
        self._begin(rows, observations, infos)
        return observations, infos

    def annotate(self, action_info: Sequence[Mapping[str, Any]]) -> None:
        """Add what only the agent knows (`response_tokens`, ...) to the infos of the next step, one mapping per row."""
        self._action_info = action_info

    def abandon(self, rows: Sequence[int]) -> None:
        """Give episodes up before the environment ends them, as an agent does that has run out of context.

        Until they are reset, the rows make no transition: their reward is 0, the clock does not count them, and the
        reward's masks in `infos` leave them out. The environment still wants an action for them.

        Args:
            rows: numbers of sub-environments, 0 to N - 1; rows that are over already stay so.

        Raises:
            UserError: an autoreset mode other than DISABLED, or a row that does not exist.
        """
        if self._autoreset is not AutoresetMode.DISABLED:
            raise UserError(
                f"abandon needs autoreset mode DISABLED, this environment has {self._autoreset.name}: it would never "
                "reset an episode that did not end"
            )
        unknown = [row for row in rows if not 0 <= row < self.num_envs]
        if unknown:
            raise UserError(f"abandon: there is no row {unknown[0]}, the rows are 0 to {self.num_envs - 1}")
        self._over[list(rows)] = True

    def step(self, actions: Any) -> tuple[Any, FloatArray, BoolArray, BoolArray, dict[str, Any]]:
        """Take one step in every sub-environment; the rewards are the shaped ones.

        Raises:
            ResetNeeded: a row that neither `reset` nor `load_state_dict` began.
        """
        if not self._begun.all():
            idle = ", ".join(map(str, np.flatnonzero(~self._begun).tolist()))
            raise ResetNeeded(
                f"no episode has begun in row{'s' if ',' in idle else ''} {idle}: "
                "call reset() or load_state_dict() before step()"
            )
        observations, env_rewards, terminations, truncations, infos = self.env.step(actions)
        rows = np.flatnonzero(~self._over).tolist()
        ended = np.asarray(terminations) | np.asarray(truncations)
        extra, self._action_info = self._action_info, None
        transitions: list[Transition] = []
        row_observations = self._per_row(observations)
        row_actions = list(iterate(self.action_space, actions))
        for row in rows:
            next_observation, info = self._arrived(row, bool(ended[row]), row_observations, infos)
            if extra is not None:
                info = {**info, **extra[row]}
            outcome = (
                next_observation,
                float(env_rewards[row]),
                bool(terminations[row]),
                bool(truncations[row]),
                info,
            )
            transitions.append(
                make_transition(
                    self._prompts[row],
                    self._observations[row],
                    self._infos[row],
                    row_actions[row],
                    outcome,
                    self.clock.step,
                    self._visited_steps[row],
                )
            )
            self._observations[row], self._infos[row] = next_observation, info
            self._visited_steps[row] = self.clock.step
        batch = self.pipeline.compute(transitions, self.clock.step, self._visited[rows])
        self.last_batch = batch
        self.clock.advance(len(rows))
        self._visited[rows] = batch.visited
        rewards = np.zeros(self.num_envs)
        rewards[rows] = batch.total
        infos = infos | self._describe(batch, rows, env_rewards)
        self._follow_autoreset(ended, observations, infos)
        return observations, rewards, terminations, truncations, infos

    def set_global_step(self, step: int) -> None:
        """Set the reward clock; from then on the caller keeps it and the wrapper no longer counts."""
        self.clock.set(step)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the reward layer (not of the environments), as plain data.

        With the environments' own state it is enough for a fresh wrapper to go on in the middle of episodes. It is
        plain where the environments' observations and infos are plain data or NumPy arrays.
        """
        return {
            "pipeline": self.pipeline.state_dict(),
            "clock": self.clock.state_dict(),
            "begun": self._begun.tolist(),
            "over": self._over.tolist(),
            "visited": self._visited.tolist(),
            "visited_steps": list(self._visited_steps),
            "prompts": list(self._prompts),
            "observations": [to_plain(observation) for observation in self._observations],
            "infos": [to_plain(info) for info in self._infos],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            ConfigError: the state belongs to another configuration or another number of rows.
        """
        if len(state["over"]) != self.num_envs:
            raise ConfigError(f"saved reward state has {len(state['over'])} rows, this environment {self.num_envs}")
        self.pipeline.load_state_dict(state["pipeline"])
        self.clock.load_state_dict(state["clock"])
        self._visited = np.array(state["visited"], dtype=np.float64).reshape(self._visited.shape)
        self._visited_steps = [int(step) for step in state["visited_steps"]]
        self._begun = np.array(state["begun"], dtype=np.bool_)
        self._over = np.array(state["over"], dtype=np.bool_)
        self._prompts = [str(prompt) for prompt in state["prompts"]]
        self._observations = [from_plain(observation) for observation in state["observations"]]
        self._infos = [from_plain(info) for info in state["infos"]]

    def _begin(self, rows: Sequence[int], observations: Any, infos: Mapping[str, Any]) -> None:
        """Note the first states of new episodes and what their potentials are worth now."""
        states = []
        per_row = self._per_row(observations) if rows else []
        for row in rows:
            info = row_info(infos, row)
            self._observations[row], self._infos[row] = per_row[row], info
            self._prompts[row] = first_message(per_row[row], info)
            states.append(RewardState(self._prompts[row], info.get("messages", ()), per_row[row], info))
            self._visited_steps[row] = self.clock.step
            self._over[row], self._begun[row] = False, True
        if states:
            self._visited[list(rows)] = self.pipeline.visit(states, self.clock.step)

    def _per_row(self, observations: Any) -> list[Any]:
        """Return the observation of each sub-environment; a batch of a Dict or Tuple space is not indexed by rows."""
        return list(iterate(self.observation_space, observations))

    def _arrived(
        self, row: int, ended: bool, observations: Sequence[Any], infos: Mapping[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        """Return the observation and info of the state that the step led to, before any autoreset."""
        if ended and self._autoreset is AutoresetMode.SAME_STEP:
            return infos["final_obs"][row], row_info(infos["final_info"], row)
        return observations[row], row_info(infos, row)

    def _follow_autoreset(self, ended: BoolArray, observations: Any, infos: Mapping[str, Any]) -> None:
        """Begin the episodes that the vector environment has begun."""
        if self._autoreset is AutoresetMode.SAME_STEP:
            self._begin(np.flatnonzero(ended).tolist(), observations, infos)
        elif self._autoreset is AutoresetMode.NEXT_STEP:
            self._begin(np.flatnonzero(self._over).tolist(), observations, infos)
            self._over = ended.copy()
        else:
            self._over |= ended

    def _describe(self, batch: RewardBatch, rows: list[int], env_rewards: Any) -> dict[str, Any]:
        """Return the info entries that say what the rewards were made of, as Gymnasium collates them."""
        mask = np.zeros(self.num_envs, dtype=np.bool_)
        mask[rows] = True

        def spread(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
            wide = np.zeros((self.num_envs, *values.shape[1:]), dtype=values.dtype)
            wide[rows] = values
            return wide

        def masked(entries: dict[str, Any]) -> dict[str, Any]:
            return entries | {f"_{key}": mask.copy() for key in entries}

        weights = np.broadcast_to(batch.weights, batch.raw.shape)
        columns = {
            "raw": batch.raw,
            "normalized": batch.normalized,
            "weight": weights,
            "contribution": batch.contributions,
        }
        return masked(
            {
                "vector_reward": spread(batch.raw),
                "reward_weights": spread(weights),
                "reward_components": masked(
                    {
                        name: masked({key: spread(values[:, k]) for key, values in columns.items()})
                        for k, name in enumerate(batch.names)
                    }
                ),
                "reward_status": masked(
                    {name: spread(batch.status[:, k]).astype(object) for k, name in enumerate(batch.names)}
                ),
                "reward_potential": spread(batch.potential),
                "env_reward": spread(np.asarray(env_rewards, dtype=np.float64)[rows]),
            }
        )


def row_info(infos: Mapping[str, Any], row: int) -> dict[str, Any]:
    """Return the info of one sub-environment from Gymnasium's collated infos.

    Example:
        >>> import numpy as np
        >>> infos = {"score": np.array([0.0, 1.0]), "_score": np.array([False, True])}
        >>> row_info(infos, 0), row_info(infos, 1)
        ({}, {'score': 1.0})
    """
    info: dict[str, Any] = {}
    for key, value in infos.items():
        if key.startswith("_") or key in ("final_obs", "final_info"):
            continue
        present = infos.get(f"_{key}")
        if present is not None and not present[row]:
            continue
        if isinstance(value, Mapping):
            info[key] = row_info(value, row)
        else:
            item = value[row]
            info[key] = item.item() if isinstance(item, np.generic) else item
    return info
