"""Reward wrappers with one purpose each, for stacks that are built by hand.

```python
env = ComposedReward(env, {"right": {"class": "CorrectnessReward"}, "short": LengthPenalty(64)})
env = NormalizedReward(env, "z_score", window=500)
env = ScheduledReward(env, {"short": {"decay_schedule": "linear", "decay_steps": 10_000}})
env = PotentialShaping(env, "progress", gamma=0.99, weight=0.5)
```

A stack is merged into one pipeline with one clock, so it pays exactly what `ShapedReward` pays for the YAML that says
the same. Other wrappers go inside or outside the stack, not in between.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import gymnasium as gym
from gymnasium.utils import RecordConstructorArgs

from rlenvs.wrappers.layers import stacking
from rlenvs.wrappers.layers.shaped import RewardLayer
from rlenvs.wrappers.layers.stacking import ComponentSpec, ScheduleSpec
from rlenvs.wrappers.layers.vector_shaped import VectorRewardLayer
from rlenvs.wrappers.normalization.strategies import Normalization, Strategy
from rlenvs.wrappers.parts import RewardParts
from rlenvs.wrappers.potentials.base import Potential
from rlenvs.wrappers.reducers import Reducer
from rlenvs.wrappers.transition import RewardState

Env = gym.Env[Any, Any]
VectorEnv = gym.vector.VectorEnv[Any, Any, Any]
PotentialSpec = str | Potential | Callable[[RewardState], float]


class ComposedReward(RewardLayer, RecordConstructorArgs):
    """Replace the environment's reward by the sum of named components; the innermost layer of a stack.

    Args:
        env: the environment; no reward wrapper of this package may be inside.
        components: name -> component, as an object or as a configuration gives it ({"class": ..., "params": ...}).
            The environment's own reward is lost unless `EnvReward` is among them.
        reducer: how they become one reward; a sum when omitted.

    Raises:
        ConfigError: a component cannot be used.
        WrapperOrderError: a reward wrapper is inside already.

    Example:
        >>> import gymnasium as gym
        >>> import rlenvs
        >>> env = ComposedReward(
        ...     gym.make("rlenvs/Arithmetic-v0"),
        ...     {"right": {"class": "CorrectnessReward"}, "step": {"class": "StepPenalty"}},
        ... )
        >>> _ = env.reset(seed=0)
        >>> env.step("no idea")[1]
        -0.01
    """

    def __init__(self, env: Env, components: Mapping[str, ComponentSpec], reducer: Reducer | None = None) -> None:
        RecordConstructorArgs.__init__(self, components=components, reducer=reducer)
        RewardLayer.__init__(self, env, _composed(env, components, reducer))


class NormalizedReward(RewardLayer, RecordConstructorArgs):
    """Normalise each component by itself, or their sum, with statistics of the past.

    Args:
        env: the environment, or a `ComposedReward` or `NormalizedReward`; around anything else than a stack the
            environment's reward is the one component.
        strategy: `z_score`, `min_max`, `running` or `ema`; one environment has no rows to compare.
        window: see `Normalization`, like the rest up to `center`.
        epsilon: added to every scale.
        warmup: values seen before it begins.
        floor: smallest scale.
        decay: of `ema`.
        clip: limit of the normalised values.
        center: whether the mean is subtracted.
        components: names of those to normalise; all without a normalisation when omitted.
        output: normalise the sum instead.

    Raises:
        ConfigError: a parameter out of range, or a component that does not exist or is normalised already.
        WrapperOrderError: a schedule or a potential is inside: normalising would undo it.

    Example:
        >>> import gymnasium as gym
        >>> import rlenvs
        >>> env = NormalizedReward(gym.make("rlenvs/Arithmetic-v0"), "running", warmup=1, floor=1.0)
        >>> _ = env.reset(seed=0)
        >>> info = env.step("no idea")[4]
        >>> info["reward_components"]["env_reward"]["normalized"]
        0.0
    """

    def __init__(
        self,
        env: Env,
        strategy: Strategy = "z_score",
        window: int = 1000,
        epsilon: float = 1e-8,
        warmup: int = 10,
        floor: float = 0.01,
        decay: float = 0.99,
        clip: float | None = None,
        center: bool = True,
        components: Sequence[str] | None = None,
        output: bool = False,
    ) -> None:
        spec = Normalization(strategy, window, epsilon, warmup, floor, decay, clip, center)
        RecordConstructorArgs.__init__(self, **_fields(spec), components=components, output=output)
        RewardLayer.__init__(self, env, _normalized(env, spec, components, output))


class ScheduledReward(RewardLayer, RecordConstructorArgs):
    """Move the weights of components with the reward clock.

    Args:
        env: the environment, or a `ComposedReward` or `NormalizedReward`.
        schedules: name -> a number, a schedule, or what `reward_shaping` says of it in a configuration. Around
            anything else than a stack the one name is `env_reward`.

    Raises:
        ConfigError: a component that does not exist, or a schedule that cannot be used.
        WrapperOrderError: a schedule is inside (two clocks), or a potential (its weight belongs inside it).

    Example:
        >>> import gymnasium as gym
        >>> import rlenvs
        >>> env = ScheduledReward(gym.make("rlenvs/Arithmetic-v0", digits=1), {"env_reward": 0.5})
        >>> env.reset(seed=0)[0]
        '8+6='
        >>> env.step("14")[1]
        0.5
    """

    def __init__(self, env: Env, schedules: Mapping[str, ScheduleSpec]) -> None:
        RecordConstructorArgs.__init__(self, schedules=schedules)
        RewardLayer.__init__(self, env, _scheduled(env, schedules))


class PotentialShaping(RewardLayer, RecordConstructorArgs):
    """Add F = gamma * w(t') * Phi(s') - w(t) * Phi(s): guidance that leaves the optimal policy alone.

    Phi(s') is 0 after `terminated` and kept after `truncated`; see `rlenvs.wrappers.potentials.base`.

    Args:
        env: any environment or stack, another `PotentialShaping` too.
        potential: registered name, a `Potential`, or a function of a `RewardState`.
        gamma: the agent's own discount factor, in [0, 1].
        weight: a number, or a schedule: it is part of the potential.
        potential_params: parameters of a potential given by name.
        level: `step`, or `turn` for a potential of turns at token level; see `PotentialTerm`.
        gamma_unit: `step`, or `token` for an agent that discounts tokens; see `PotentialTerm`.
        name: what the term is called in `info`.

    Raises:
        ConfigError: the potential or its weight cannot be used, the name is taken, or another potential inside has
            another gamma.
        WrapperOrderError: there is a reward wrapper inside, but not directly.

    Example:
        >>> import gymnasium as gym
        >>> import rlenvs
        >>> env = PotentialShaping(gym.make("rlenvs/Arithmetic-v0"), lambda state: -2.0, gamma=0.9)
        >>> _ = env.reset(seed=0)
        >>> env.step("no idea")[1]  # 0 - (-2): the episode is over
        2.0
    """

    def __init__(
        self,
        env: Env,
        potential: PotentialSpec,
        gamma: float = 1.0,
        weight: ScheduleSpec = 1.0,
        potential_params: Mapping[str, Any] | None = None,
        level: Literal["step", "turn"] = "step",
        gamma_unit: Literal["step", "token"] = "step",
        name: str = "potential",
    ) -> None:
        arguments = (name, potential, potential_params, gamma, weight, level, gamma_unit)
        RecordConstructorArgs.__init__(self, **_shaping_fields(arguments))
        RewardLayer.__init__(self, env, _shaped(env, arguments))


class VectorComposedReward(VectorRewardLayer, RecordConstructorArgs):
    """`ComposedReward` for vector environments; same arguments, same numbers."""

    def __init__(self, env: VectorEnv, components: Mapping[str, ComponentSpec], reducer: Reducer | None = None) -> None:
        RecordConstructorArgs.__init__(self, components=components, reducer=reducer)
        VectorRewardLayer.__init__(self, env, _composed(env, components, reducer))


class VectorNormalizedReward(VectorRewardLayer, RecordConstructorArgs):
    """`NormalizedReward` for vector environments, with `batch`, `group` and `rank` besides."""

    def __init__(
        self,
        env: VectorEnv,
        strategy: Strategy = "z_score",
        window: int = 1000,
        epsilon: float = 1e-8,
        warmup: int = 10,
        floor: float = 0.01,
        decay: float = 0.99,
        clip: float | None = None,
        center: bool = True,
        components: Sequence[str] | None = None,
        output: bool = False,
    ) -> None:
        spec = Normalization(strategy, window, epsilon, warmup, floor, decay, clip, center)
        RecordConstructorArgs.__init__(self, **_fields(spec), components=components, output=output)
        VectorRewardLayer.__init__(self, env, _normalized(env, spec, components, output))


class VectorScheduledReward(VectorRewardLayer, RecordConstructorArgs):
    """`ScheduledReward` for vector environments; one clock for all rows."""

    def __init__(self, env: VectorEnv, schedules: Mapping[str, ScheduleSpec]) -> None:
        RecordConstructorArgs.__init__(self, schedules=schedules)
        VectorRewardLayer.__init__(self, env, _scheduled(env, schedules))


class VectorPotentialShaping(VectorRewardLayer, RecordConstructorArgs):
    """`PotentialShaping` for vector environments, in every autoreset mode."""

    def __init__(
        self,
        env: VectorEnv,
        potential: PotentialSpec,
        gamma: float = 1.0,
        weight: ScheduleSpec = 1.0,
        potential_params: Mapping[str, Any] | None = None,
        level: Literal["step", "turn"] = "step",
        gamma_unit: Literal["step", "token"] = "step",
        name: str = "potential",
    ) -> None:
        arguments = (name, potential, potential_params, gamma, weight, level, gamma_unit)
        RecordConstructorArgs.__init__(self, **_shaping_fields(arguments))
        VectorRewardLayer.__init__(self, env, _shaped(env, arguments))


def _composed(env: Any, components: Mapping[str, ComponentSpec], reducer: Reducer | None) -> RewardParts:
    stacking.parts_inside(env, "ComposedReward", {"components": "components go to the very inside"})
    return stacking.composed(components, reducer)


def _normalized(env: Any, spec: Normalization, components: Sequence[str] | None, output: bool) -> RewardParts:
    refused = {
        "potentials": "a normalised potential is none any more",
        "schedules": "normalising what is scheduled undoes the schedule",
    }
    return stacking.normalized(stacking.parts_inside(env, "NormalizedReward", refused), spec, components, output)


def _scheduled(env: Any, schedules: Mapping[str, ScheduleSpec]) -> RewardParts:
    refused = {
        "potentials": "a weight outside a potential changes the optimal policy, give it to PotentialShaping",
        "schedules": "two reward clocks cannot agree, put all schedules into one",
    }
    return stacking.scheduled(stacking.parts_inside(env, "ScheduledReward", refused), schedules)


def _shaped(env: Any, arguments: tuple[Any, ...]) -> RewardParts:
    return stacking.shaped(stacking.parts_inside(env, "PotentialShaping", {}), *arguments)


def _fields(spec: Normalization) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in spec.__dataclass_fields__}


def _shaping_fields(arguments: tuple[Any, ...]) -> dict[str, Any]:
    names = ("name", "potential", "potential_params", "gamma", "weight", "level", "gamma_unit")
    return dict(zip(names, arguments, strict=True))
