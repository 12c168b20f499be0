"""`VectorShapedReward`: a whole reward configuration around a vector environment, one pipeline call per step."""

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import iterate

from rlenvs.envs.deferred import DeferredInfos
from rlenvs.errors import ConfigError, UserError
from rlenvs.wrappers.config.rewards import RewardConfig, build_pipeline
from rlenvs.wrappers.infos import BoolArray
from rlenvs.wrappers.layers.arrivals import Arrivals, RestoredArrival, first_message, own_copy, with_parts
from rlenvs.wrappers.layers.clock import RewardClock, refuse_second_clock
from rlenvs.wrappers.layers.described import described
from rlenvs.wrappers.layers.facts import RewardFacts
from rlenvs.wrappers.layers.shaped import make_transition
from rlenvs.wrappers.parts import RewardParts
from rlenvs.wrappers.pipeline import RewardPipeline
from rlenvs.wrappers.plain import from_plain, to_plain
from rlenvs.wrappers.reward_batch import RewardBatch
from rlenvs.wrappers.transition import Transition
from rlenvs.wrappers.transition_batch import TransitionBatch


class VectorRewardLayer(gym.vector.VectorWrapper):
    """What every reward wrapper of a vector environment does, as `RewardLayer` does for a single one.

    Args:
        env: the vector environment, or the layer next inside.
        parts: what the reward is made of, the layers inside included.

    Attributes:
        last_batch: the pipeline's answer to the last step, for trainers.
        last_env_rewards: `[N]` what the environment gave in the last step.
        env_seconds: time that resets and steps of the environment took so far.
        reward_seconds: time that the rewards took so far.
    """

    def __init__(self, env: gym.vector.VectorEnv[Any, Any, Any], parts: RewardParts) -> None:
        super().__init__(env)
        self.source: gym.vector.VectorEnv[Any, Any, Any] = env.source if isinstance(env, VectorRewardLayer) else env
        self.pipeline = RewardPipeline.from_parts(parts)
        self.clock: RewardClock = env.clock if isinstance(env, VectorRewardLayer) else RewardClock()
        self.last_batch: RewardBatch | None = None
        self.last_env_rewards = np.zeros(self.num_envs)
        self._autoreset = AutoresetMode(env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP))
        self._visited = np.zeros((self.num_envs, len(self.pipeline.potential_gammas), 2))
        self._visited_steps = np.zeros(self.num_envs, dtype=np.int64)
        self._begun = np.zeros(self.num_envs, dtype=np.bool_)
        self._over = np.ones(self.num_envs, dtype=np.bool_)
        self._prompts = np.full(self.num_envs, "", dtype=object)  # None: the infos say it
        self._current = np.full(self.num_envs, RestoredArrival(None, {}), dtype=object)
        self._action_info: Sequence[Mapping[str, Any]] | None = None
        self.env_seconds = self.reward_seconds = 0.0

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start episodes, all of them or those of `options["reset_mask"]`; the reward clock goes on."""
        mask = (options or {}).get("reset_mask")  # read first: Gymnasium's vector environments pop it
        started = time.perf_counter()
        observations, infos = self.source.reset(seed=seed, options=options)  # type: ignore[arg-type]  # lists are fine
        begun = time.perf_counter()
        rows = np.arange(self.num_envs) if mask is None else np.flatnonzero(mask)
        self._begin(rows, observations, infos)
        self._count_time(started, begun)
        return observations, own_copy(infos)

    def annotate(self, action_info: Sequence[Mapping[str, Any]]) -> None:
        """Add what only the agent knows (`response_tokens`, ...) to the infos of the next step, one mapping per row.

        Raises:
            UserError: another number of mappings than rows.
        """
        if len(action_info) != self.num_envs:
            raise UserError(f"annotate needs one mapping per row ({self.num_envs}), got {len(action_info)}")
        self._action_info = action_info

    def abandon(self, rows: Sequence[int]) -> None:
        """Give episodes up before the environment ends them, as an agent does that has run out of context.

        Until they are reset, the rows make no transition: their reward is 0, the clock does not count them, and the
        reward's masks in `infos` leave them out. An environment with a method `abandon` is told, and need not play
        them on; any other still wants an action for them.

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
        below = getattr(self.unwrapped, "abandon", None)
        if below is not None and len(rows):
            below(rows)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Take one step in each sub-environment; the rewards are the shaped ones.

        Raises:
            ResetNeeded: a row that neither `reset` nor `load_state_dict` began, or whose last reward failed.
            ComponentError: a component failed twice and its policy is `raise`.
        """
        if not self._begun.all():
            idle = ", ".join(map(str, np.flatnonzero(~self._begun)))
            raise ResetNeeded(
                f"no episode has begun in row{'s' if ',' in idle else ''} {idle}: "
                "call reset() or load_state_dict() before step()"
            )
        started = time.perf_counter()
        observations, env_rewards, terminations, truncations, infos = self.source.step(actions)
        stepped = time.perf_counter()
        # Copies: they end in `infos`, and the environment may write into its own.
        env_rewards, terminations = np.array(env_rewards, np.float64), np.array(terminations, np.bool_)
        truncations = np.asarray(truncations, np.bool_)
        ended = terminations | truncations
        extra, self._action_info = self._action_info, None
        arrivals = Arrivals(
            self.observation_space,
            observations,
            infos,
            ended if self._autoreset is AutoresetMode.SAME_STEP else None,
            extra,
        )
        rows = np.flatnonzero(~self._over) if self._over.any() else None
        batch = self._transitions(rows, actions, env_rewards, terminations, truncations, arrivals)
        picked: Any = slice(None) if rows is None else rows
        try:
            result = self.pipeline.compute(batch, self.clock.step, self._visited[picked])
        except BaseException:
            self._begun[picked] = False  # the environments went on and the rewards did not
            raise
        self.last_batch = result
        self._current[picked] = arrivals
        self._visited[picked], self._visited_steps[picked] = result.visited, self.clock.step
        self.clock.advance(len(batch))
        rewards = np.zeros(self.num_envs)
        rewards[picked] = result.total
        self._follow_autoreset(ended, observations, infos)
        self.last_env_rewards = env_rewards
        shown = with_parts(infos, lambda: described(result, rows, env_rewards))
        self._count_time(started, stepped)
        return observations, rewards, terminations, truncations, shown

    def close(self, **kwargs: Any) -> None:
        """Close the environments, and release what the components hold."""
        try:
            self.pipeline.close()
        finally:
            super().close(**kwargs)

    def set_global_step(self, step: int) -> None:
        """Set the reward clock; from then on the caller keeps it and the wrapper no longer counts."""
        self.clock.set(step)

    def reward_facts(self) -> RewardFacts:
        """Return what a trainer has to know of this reward."""
        return RewardFacts.of(self.pipeline, self.clock)

    def rewind_point(self) -> Callable[[], None]:
        """Remember what the next episodes depend on, much cheaper than `state_dict`.

        Returns:
            A function that goes back there, with no episode begun: the next reset and all after it are what they would
            have been. The environments are not part of it.
        """
        pipeline, clock = copy.deepcopy(self.pipeline.state_dict()), self.clock.state_dict()

        def rewind() -> None:
            self.pipeline.load_state_dict(copy.deepcopy(pipeline))
            self.clock.load_state_dict(clock)
            self._begun[:], self._over[:] = False, True
            self._action_info = None

        return rewind

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the reward layer (not of the environments), as plain data.

        With the environments' own state it is enough for a fresh wrapper to go on in the middle of episodes. It is
        plain where the environments' observations and infos are plain data or NumPy arrays.
        """
        current = list(enumerate(self._current))
        return {
            "pipeline": self.pipeline.state_dict(),
            "clock": self.clock.state_dict(),
            "begun": self._begun.tolist(),
            "over": self._over.tolist(),
            "visited": self._visited.tolist(),
            "visited_steps": self._visited_steps.tolist(),
            "prompts": [self._prompt(row, arrival) for row, arrival in current],
            "observations": [to_plain(arrival.observation(row)) for row, arrival in current],
            "infos": [to_plain(arrival.info(row)) for row, arrival in current],
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
        self._visited_steps = np.array(state["visited_steps"], dtype=np.int64)
        self._begun = np.array(state["begun"], dtype=np.bool_)
        self._over = np.array(state["over"], dtype=np.bool_)
        self._prompts[:] = [str(prompt) for prompt in state["prompts"]]
        for row, (observation, info) in enumerate(zip(state["observations"], state["infos"], strict=True)):
            self._current[row] = RestoredArrival(from_plain(observation), from_plain(info))

    def _prompt(self, row: int, arrival: Arrivals | RestoredArrival) -> str:
        """Return the prompt of the episode of a row that is at `arrival`."""
        if self._prompts[row] is None:
            return first_message(arrival.observation(row), arrival.info(row))
        return str(self._prompts[row])

    def _count_time(self, started: float, env_done: float) -> None:
        self.env_seconds += env_done - started
        self.reward_seconds += time.perf_counter() - env_done

    def _transitions(
        self,
        rows: "npt.NDArray[np.intp] | None",
        actions: Any,
        env_rewards: npt.NDArray[np.float64],
        terminated: BoolArray,
        truncated: BoolArray,
        arrivals: Arrivals,
    ) -> TransitionBatch:
        """Return the transitions of the rows that took a step; each is made when a component asks for it."""
        count = self.num_envs if rows is None else len(rows)
        before, prompts, steps = self._current.copy(), self._prompts.copy(), self._visited_steps.copy()
        clock = self.clock.step
        by_row: list[Any] = []

        def make(index: int) -> Transition:
            row = index if rows is None else int(rows[index])
            if not by_row:
                by_row.extend(iterate(self.action_space, actions))
            seen, known = before[row].observation(row), before[row].info(row)
            return make_transition(
                first_message(seen, known) if prompts[row] is None else prompts[row],
                seen,
                known,
                by_row[row],
                arrivals.observation(row),
                float(env_rewards[row]),
                bool(terminated[row]),
                bool(truncated[row]),
                arrivals.info(row),
                clock,
                int(steps[row]),
            )

        picked: Any = slice(None) if rows is None else rows
        return TransitionBatch(arrivals.infos(rows, count), env_rewards[picked], terminated[picked], make)

    def _begin(self, rows: npt.NDArray[np.intp], observations: Any, infos: Mapping[str, Any]) -> None:
        """Note the first states of new episodes and what their potentials are worth now."""
        if not len(rows):
            return
        arrivals = Arrivals(self.observation_space, observations, infos)
        states = arrivals.openings(rows)
        self._prompts[rows] = None if isinstance(infos, DeferredInfos) else [state.prompt for state in states]
        self._current[rows] = arrivals
        self._visited_steps[rows] = self.clock.step
        self._over[rows], self._begun[rows] = False, True
        self._visited[rows] = self.pipeline.visit(states, self.clock.step)

    def _follow_autoreset(self, ended: BoolArray, observations: Any, infos: Mapping[str, Any]) -> None:
        """Begin the episodes that the vector environment has begun."""
        if self._autoreset is AutoresetMode.SAME_STEP:
            self._begin(np.flatnonzero(ended), observations, infos)
        elif self._autoreset is AutoresetMode.NEXT_STEP:
            self._begin(np.flatnonzero(self._over), observations, infos)
            self._over = ended.copy()
        else:
            self._over |= ended


class VectorShapedReward(VectorRewardLayer, gym.utils.RecordConstructorArgs):
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
        VectorRewardLayer.__init__(self, env, build_pipeline(self.config).parts)
