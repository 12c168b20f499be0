"""`ShapedReward`: a whole reward configuration around one environment, and the layer that does the work."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, SupportsFloat

import gymnasium as gym
from gymnasium.error import ResetNeeded

from rlenvs.errors import ConfigError, WrapperOrderError
from rlenvs.wrappers.config.rewards import RewardConfig, build_pipeline
from rlenvs.wrappers.layers.arrivals import first_message, kept
from rlenvs.wrappers.layers.clock import RewardClock, refuse_second_clock
from rlenvs.wrappers.layers.facts import RewardFacts
from rlenvs.wrappers.parts import RewardParts
from rlenvs.wrappers.pipeline import RewardPipeline
from rlenvs.wrappers.plain import from_plain, to_plain
from rlenvs.wrappers.reward_batch import Visited
from rlenvs.wrappers.transition import RewardState, Transition


class RewardLayer(gym.Wrapper[Any, Any, Any, Any]):
    """What every reward wrapper of one environment does: step it, and let one pipeline make the reward.

    Layers that are stacked are merged: the outermost holds the pipeline of them all and steps the environment
    inside directly, so that a stack and its YAML twin are one and the same. They share one clock, so that
    `set_global_step` may be called on any of them; everything else is asked of the outermost.

    Args:
        env: the environment, or the layer next inside.
        parts: what the reward is made of, the layers inside included.

    Raises:
        ConfigError: the parts do not fit each other, or a normalisation compares the rows of a batch.
        WrapperOrderError: the environment is a vector environment.
    """

    def __init__(self, env: gym.Env[Any, Any], parts: RewardParts) -> None:
        given: object = env  # a type checker knows that it cannot be a vector environment; a user may not
        if isinstance(given, gym.vector.VectorEnv):
            raise WrapperOrderError(
                f"{type(self).__name__} wraps one environment, this is a vector environment: use "
                f"Vector{type(self).__name__}"
            )
        super().__init__(env)
        if parts.compares_rows:
            raise ConfigError(
                f"the normalization of {parts.compares_rows[0]!r} compares the rows of a batch, and one environment "
                "has one row: use z_score, or a vector environment"
            )
        self.source: gym.Env[Any, Any] = env.source if isinstance(env, RewardLayer) else env
        self.pipeline = RewardPipeline.from_parts(parts)
        self.clock: RewardClock = env.clock if isinstance(env, RewardLayer) else RewardClock()
        self._visited: list[Visited] = []
        self._visited_step = 0
        self._begun = False
        self._prompt = ""
        self._observation: Any = None
        self._info: dict[str, Any] = {}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode; the reward clock goes on."""
        observation, info = self.source.reset(seed=seed, options=options)
        self._prompt = first_message(observation, info)
        state = RewardState(self._prompt, info.get("messages", ()), observation, info)
        self._visited = [(weighted, phi) for weighted, phi in self.pipeline.visit([state], self.clock.step)[0].tolist()]
        self._visited_step, self._observation, self._info = self.clock.step, kept(observation), dict(info)
        self._begun = True
        return observation, info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Take one step; the reward is the shaped one.

        Raises:
            ResetNeeded: neither `reset` nor `load_state_dict` began an episode, or its reward failed in the last step.
            ComponentError: a component failed twice and its policy is `raise`.
        """
        if not self._begun:
            raise ResetNeeded("no episode has begun: call reset() or load_state_dict() before step()")
        observation, env_reward, terminated, truncated, info = self.source.step(action)
        env_reward, now = float(env_reward), self.clock.step
        transition = make_transition(
            self._prompt,
            self._observation,
            self._info,
            action,
            observation,
            env_reward,
            bool(terminated),
            bool(truncated),
            info,
            now,
            self._visited_step,
        )
        try:
            row = self.pipeline.compute_one(transition, now, self._visited)
        except BaseException:
            self._begun = False  # the environment went on and the reward did not: no next step fits to this one
            raise
        self.clock.advance(1)
        self._visited, self._visited_step = row.visited, now
        self._observation, self._info = kept(observation), dict(info)
        return observation, row.total, terminated, truncated, info | row.as_info(env_reward)

    def close(self) -> None:
        """Close the environment, and release what the components hold."""
        try:
            self.pipeline.close()
        finally:
            super().close()

    def set_global_step(self, step: int) -> None:
        """Set the reward clock; from then on the caller keeps it and the wrapper no longer counts."""
        self.clock.set(step)

    def reward_facts(self) -> RewardFacts:
        """Return what a trainer has to know of this reward."""
        return RewardFacts.of(self.pipeline, self.clock)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the reward layer (not of the environment), as plain data.

        With the environment's own state it is enough for a fresh wrapper to go on in the middle of an episode. It is
        plain where the environment's observations and infos are plain data or NumPy arrays.
        """
        return {
            "pipeline": self.pipeline.state_dict(),
            "clock": self.clock.state_dict(),
            "begun": self._begun,
            "visited": [list(pair) for pair in self._visited],
            "visited_step": self._visited_step,
            "prompt": self._prompt,
            "observation": to_plain(self._observation),
            "info": to_plain(self._info),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            ConfigError: the state belongs to another configuration.
        """
        self.pipeline.load_state_dict(state["pipeline"])
        self.clock.load_state_dict(state["clock"])
        self._begun = bool(state["begun"])
        self._visited = [(float(weighted), float(phi)) for weighted, phi in state["visited"]]
        self._visited_step, self._prompt = int(state["visited_step"]), str(state["prompt"])
        self._observation, self._info = from_plain(state["observation"]), from_plain(state["info"])


class ShapedReward(RewardLayer, gym.utils.RecordConstructorArgs):
    """Replace the reward of an environment by a composed, scheduled and potential-shaped one.

    Works at turn level (text) and token level, and around any other Gymnasium environment whose `info` feeds the
    components. Every step's `info` says what the reward was made of:

    * `vector_reward` `[K]` raw component values and `reward_weights` `[K]` (MO-Gymnasium's names),
    * `reward_components`: name -> raw, normalized, weight, contribution,
    * `reward_status`: name -> `ok | invalid | timeout | error`,
    * `reward_potential`: sum of the shaping terms, `env_reward`: what the environment gave.

    Alone, the wrapper's clock counts environment steps and never restarts at reset. A trainer that runs several
    copies sets it: `env.set_wrapper_attr` does not reach through vector environments, `set_global_step` called by
    Stable-Baselines3's `env_method` or by a trainer does.

    Args:
        env: the environment.
        config: path of a YAML file, a mapping, or a `RewardConfig`.

    Raises:
        ConfigError: the configuration cannot be used.
        WrapperOrderError: the environment is inside a `ShapedReward` already.

    Example:
        >>> import gymnasium as gym
        >>> import rlenvs
        >>> env = ShapedReward(
        ...     gym.make("rlenvs/Arithmetic-v0"),
        ...     {
        ...         "reward_components": {
        ...             "right": {"class": "CorrectnessReward"},
        ...             "short": {"class": "LengthPenalty", "params": {"max_length": 3, "unit": "chars"}},
        ...         },
        ...         "reward_shaping": {"short": {"initial_weight": 2.0}},
        ...     },
        ... )
        >>> _ = env.reset(seed=0)
        >>> observation, reward, terminated, truncated, info = env.step("no idea")
        >>> round(reward, 6), info["reward_status"]["right"]
        (-0.08, 'invalid')
    """

    def __init__(self, env: gym.Env[Any, Any], config: "str | Path | Mapping[str, Any] | RewardConfig") -> None:
        refuse_second_clock(env)
        self.config = RewardConfig.load(config)
        gym.utils.RecordConstructorArgs.__init__(self, config=self.config.to_dict())
        RewardLayer.__init__(self, env, build_pipeline(self.config).parts)


def make_transition(
    prompt: str,
    observation: Any,
    previous_info: Mapping[str, Any],
    action: Any,
    next_observation: Any,
    env_reward: float,
    terminated: bool,
    truncated: bool,
    info: Mapping[str, Any],
    step: int,
    previous_step: int,
) -> Transition:
    """Return the transition of one environment step, at turn or token level.

    Args:
        prompt: first message of the episode.
        observation: what the agent saw.
        previous_info: the info that came with it.
        action: what it did.
        next_observation: what `env.step` returned, as the next four.
        env_reward: the environment's reward.
        terminated: the task reached an end.
        truncated: the episode was cut.
        info: the info of the step.
        step: the reward clock.
        previous_step: the reward clock when `observation` was visited.
    """
    response = action if isinstance(action, str) else info.get("response", info.get("response_so_far", ""))
    return Transition(
        prompt,
        response,
        info.get("messages", ()),
        observation,
        action,
        next_observation,
        env_reward,
        terminated,
        truncated,
        info,
        previous_info,
        step,
        previous_step,
    )
