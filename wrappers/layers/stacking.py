"""The arguments of the single-purpose reward wrappers, as parts of one pipeline, and the order they stack in.

From the inside out: `ComposedReward`, `NormalizedReward`, `ScheduledReward`, `PotentialShaping`. Every other order
would mean something else than it seems to: normalising what is scheduled undoes the schedule, and whatever works on
a potential from outside breaks it.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from rlenvs.errors import ConfigError, WrapperOrderError
from rlenvs.wrappers.base import BaseReward
from rlenvs.wrappers.components.environment import EnvReward
from rlenvs.wrappers.config.rewards import RewardConfig, build_pipeline
from rlenvs.wrappers.functions.decorators import component_of
from rlenvs.wrappers.layers.clock import refuse_second_clock
from rlenvs.wrappers.layers.shaped import RewardLayer
from rlenvs.wrappers.layers.vector_shaped import VectorRewardLayer
from rlenvs.wrappers.normalization.strategies import Normalization
from rlenvs.wrappers.parts import RewardParts
from rlenvs.wrappers.potentials.base import LLMPotentialBasedReward, Potential, PotentialTerm
from rlenvs.wrappers.reducers import Reducer
from rlenvs.wrappers.schedules.base import ReactiveSchedule, Schedule
from rlenvs.wrappers.schedules.fixed import ConstantSchedule
from rlenvs.wrappers.scoring import ErrorPolicy
from rlenvs.wrappers.transition import RewardState

ENV_REWARD = "env_reward"
"""Name of the only component where nothing was composed: the environment's own reward."""

ORDER = "ComposedReward, NormalizedReward, ScheduledReward, PotentialShaping (from the inside out)"

ComponentSpec = BaseReward | Callable[..., Any] | Mapping[str, Any]
ScheduleSpec = Schedule | Mapping[str, Any] | float


class CallablePotential(Potential):
    """Phi as a function of the state.

    Args:
        function: takes a `RewardState`, returns a number.
    """

    def __init__(self, function: Callable[[RewardState], float]) -> None:
        self.function = function

    def __call__(self, state: RewardState) -> float:
        """Return Phi(state)."""
        return self.function(state)


def parts_inside(env: Any, around: str, refused: Mapping[str, str]) -> RewardParts:
    """Return the parts of the layer that `env` is, or those that leave the environment's reward alone.

    Args:
        env: what the new layer is put around.
        around: name of the new layer.
        refused: attribute of the inner parts -> why nothing of that kind may be inside.

    Raises:
        WrapperOrderError: the layers cannot stack like this; the message says which order can.
    """
    if not isinstance(env, RewardLayer | VectorRewardLayer):
        refuse_second_clock(env)
        return RewardParts({ENV_REWARD: EnvReward()})
    parts = env.pipeline.parts
    for kind, why in refused.items():
        if _holds(parts, kind):
            raise WrapperOrderError(f"{around} around {type(env).__name__}: {why}; the order is {ORDER}")
    return parts


def composed(components: Mapping[str, ComponentSpec], reducer: Reducer | None) -> RewardParts:
    """Return the parts of components given as objects or as a configuration would give them.

    Raises:
        ConfigError: there are none, or one cannot be used.
    """
    built: dict[str, BaseReward | PotentialTerm] = {}
    policies: dict[str, ErrorPolicy] = {}
    for name, spec in components.items():
        if isinstance(spec, BaseReward | PotentialTerm):
            built[name] = spec
            continue
        if callable(spec):
            built[name] = component_of(spec)
            continue
        if not isinstance(spec, Mapping):
            raise ConfigError(
                f"component {name!r} must be a BaseReward, a function or a mapping with 'class', got {spec!r:.60}"
            )
        parts = build_pipeline(RewardConfig.load({"reward_components": {name: dict(spec)}})).parts
        built[name] = parts.components[name]
        policies.update(parts.policies)
    potentials = [name for name, part in built.items() if isinstance(part, PotentialTerm)]
    if potentials:
        raise ConfigError(f"{potentials[0]!r} is a potential: put it into PotentialShaping, outside the rest")
    return RewardParts(built, policies=policies, reducer=reducer)


def normalized(parts: RewardParts, spec: Normalization, components: Sequence[str] | None, output: bool) -> RewardParts:
    """Return `parts` with components (all without a normalisation, or those named) or the sum normalised.

    Raises:
        ConfigError: a component does not exist, or is normalised already.
    """
    if output:
        if components is not None:
            raise ConfigError("output=True normalises the sum: it takes no components")
        if parts.output_normalization is not None:
            raise ConfigError("the sum is normalised already")
        return replace(parts, output_normalization=spec)
    names = [n for n in parts.components if n not in parts.normalizations] if components is None else list(components)
    twice = sorted(set(names) & set(parts.normalizations))
    if twice or not names:
        raise ConfigError(f"{twice[0]!r} is normalised already" if twice else "every component is normalised already")
    return replace(parts, normalizations={**parts.normalizations, **dict.fromkeys(names, spec)})


def scheduled(parts: RewardParts, schedules: Mapping[str, ScheduleSpec]) -> RewardParts:
    """Return `parts` with the weights of some components scheduled.

    Raises:
        ConfigError: a component does not exist, or a schedule cannot be used.
    """
    built = {name: schedule_of(name, spec) for name, spec in schedules.items()}
    return replace(parts, schedules={**parts.schedules, **built})


def shaped(
    parts: RewardParts,
    name: str,
    potential: "str | Potential | Callable[[RewardState], float]",
    potential_params: Mapping[str, Any] | None,
    gamma: float,
    weight: ScheduleSpec,
    level: Literal["step", "turn"],
    gamma_unit: Literal["step", "token"],
) -> RewardParts:
    """Return `parts` with one more potential.

    Raises:
        ConfigError: the name is taken, another potential has another gamma, or the potential cannot be used.
    """
    if name in parts.components:
        raise ConfigError(f"there is a component called {name!r} already: give the potential another name")
    for other, part in parts.components.items():
        if isinstance(part, PotentialTerm) and part.gamma != gamma:
            raise ConfigError(f"{other!r} has gamma {part.gamma}, {name!r} {gamma}: the learner has only one")
    if isinstance(potential, str):
        term: PotentialTerm = LLMPotentialBasedReward(potential, gamma, potential_params, level, gamma_unit)
    elif potential_params is not None:
        raise ConfigError("potential_params belong to the name of a potential; this one is an object")
    else:
        phi = potential if isinstance(potential, Potential) else CallablePotential(potential)
        term = PotentialTerm(phi, gamma, level, gamma_unit)
    return replace(
        parts,
        components={**parts.components, name: term},
        schedules={**parts.schedules, name: schedule_of(name, weight)},
    )


def schedule_of(name: str, spec: ScheduleSpec) -> Schedule:
    """Return a schedule given as an object (reactive ones are copied), a number, or as `reward_shaping` would give it.

    Raises:
        ConfigError: it cannot be used.
    """
    if isinstance(spec, bool | str) or spec is None:
        raise ConfigError(f"the weight of {name!r} must be a number, a schedule or a mapping, got {spec!r}")
    if isinstance(spec, int | float):
        return ConstantSchedule(float(spec))
    if isinstance(spec, Mapping):
        config = {"reward_components": {name: {"class": "EnvReward"}}, "reward_shaping": {name: dict(spec)}}
        return build_pipeline(RewardConfig.load(config)).parts.schedules[name]
    # A reactive schedule has state, and every environment that a spec makes needs its own.
    return copy.deepcopy(spec) if isinstance(spec, ReactiveSchedule) else spec


def _holds(parts: RewardParts, kind: str) -> bool:
    if kind == "potentials":
        return any(isinstance(part, PotentialTerm) for part in parts.components.values())
    return bool(getattr(parts, kind)) or kind == "components"
