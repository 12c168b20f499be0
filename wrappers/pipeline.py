"""The one object that turns transitions into shaped rewards.

It is plain numpy over a batch and knows nothing of Gymnasium: the wrappers, the trainers and offline scoring all
call it, so that one configuration gives one number everywhere.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rlenvs.errors import ComponentError, ConfigError
from rlenvs.wrappers.base import (
    ERROR,
    INVALID,
    OK,
    STATUS_DTYPE,
    TIMEOUT,
    BaseReward,
    FloatArray,
    StatusArray,
)
from rlenvs.wrappers.plain import not_plain
from rlenvs.wrappers.potentials import LLMPotentialBasedReward
from rlenvs.wrappers.reducers import Reducer, WeightedSumReducer
from rlenvs.wrappers.schedules import ConstantSchedule, Schedule
from rlenvs.wrappers.scoring import ErrorPolicy, score_component
from rlenvs.wrappers.transition import RewardState, Transition

if TYPE_CHECKING:
    from rlenvs.wrappers.config import RewardConfig


@dataclass(frozen=True, slots=True)
class RewardBatch:
    """Shaped rewards of N transitions and everything they were made of.

    The K columns are the configured names in their order, potentials among them. A potential's column holds
    Phi(s') (0 after `terminated`) as raw value and F as contribution.

    Attributes:
        total: `[N]` shaped rewards.
        raw: `[N, K]` what each component returned; NaN only where an error is masked.
        normalized: `[N, K]` raw values after normalisation (potentials are never normalised).
        weights: `[K]` weights at this step of the clock.
        contributions: `[N, K]` weighted values; a masked error contributes 0.
        potential: `[N]` sum of the potential terms F.
        status: `[N, K]` `ok`, `invalid`, `timeout` or `error`.
        names: the K names.
        visited: `[N, P]` weighted potentials of the states arrived at; the next call wants them back.
    """

    total: FloatArray
    raw: FloatArray
    normalized: FloatArray
    weights: FloatArray
    contributions: FloatArray
    potential: FloatArray
    status: StatusArray
    names: tuple[str, ...]
    visited: FloatArray


class RewardPipeline:
    """Components, schedules, reducer and potentials, applied to batches of transitions.

    Args:
        components: name -> component or potential; the order is the order of the columns.
        schedules: name -> schedule; a component without one keeps weight 1.
        policies: name -> what becomes of its errors; `raise` where not given.
        reducer: how weighted components become one reward; a sum when omitted.

    Attributes:
        names: the component names, in the order of the columns.
        failures: how often each component gave another status than `ok`, under "name/status" ("judge/error"),
            counted over all calls and over resumed runs: it is part of `state_dict`.

    Raises:
        ConfigError: no components, or a schedule or policy for a name that does not exist.

    Example:
        >>> from rlenvs.wrappers import CorrectnessReward, LengthPenalty, LinearSchedule
        >>> pipeline = RewardPipeline(
        ...     {
        ...         "right": CorrectnessReward(),
        ...         "long": LengthPenalty(2, penalty_per_token=-0.5, unit="words"),
        ...     },
        ...     {"long": LinearSchedule(initial_weight=1.0, min_weight=0.0, decay_steps=100)},
        ... )
        >>> answer = Transition(response="it is 7", info={"correct": True, "grade_status": "ok"})
        >>> pipeline.compute([answer], step=0).total.tolist()
        [0.5]
        >>> pipeline.compute([answer], step=50).total.tolist()
        [0.75]
    """

    def __init__(
        self,
        components: Mapping[str, BaseReward | LLMPotentialBasedReward],
        schedules: Mapping[str, Schedule] | None = None,
        policies: Mapping[str, ErrorPolicy] | None = None,
        reducer: Reducer | None = None,
    ) -> None:
        if not components:
            raise ConfigError("a reward needs at least one component")
        for given in (schedules or {}, policies or {}):
            unknown = sorted(set(given) - set(components))
            if unknown:
                raise ConfigError(f"no reward component is called {unknown[0]!r} (known: {', '.join(components)})")
        self.names = tuple(components)
        self.reducer: Reducer = reducer or WeightedSumReducer()
        self.failures: Counter[str] = Counter()
        self._rewards = [(k, n, c) for k, (n, c) in enumerate(components.items()) if isinstance(c, BaseReward)]
        self._potentials = [
            (k, n, c) for k, (n, c) in enumerate(components.items()) if isinstance(c, LLMPotentialBasedReward)
        ]
        self._reward_columns = [k for k, _, _ in self._rewards]
        self._potential_columns = [k for k, _, _ in self._potentials]
        self._gammas = np.array([term.gamma for _, _, term in self._potentials])
        self._schedules = [(schedules or {}).get(name, ConstantSchedule(1.0)) for name in self.names]
        self._policies = [(policies or {}).get(name, ErrorPolicy()) for name in self.names]

    @classmethod
    def from_config(cls, config: "str | Path | Mapping[str, Any] | RewardConfig") -> "RewardPipeline":
        """Build the pipeline that a YAML file, a mapping or a `RewardConfig` describes.

        Raises:
            ConfigError: the configuration cannot be used; the message names file, line and key.
        """
        from rlenvs.wrappers.config import RewardConfig, build_pipeline

        return build_pipeline(RewardConfig.load(config))

    @property
    def potential_gammas(self) -> dict[str, float]:
        """Discount factor of each potential term; the learner's own must equal them all."""
        return {name: term.gamma for _, name, term in self._potentials}

    def weights(self, step: int) -> FloatArray:
        """Return the `[K]` weights at `step` of the reward clock."""
        return np.array([schedule(step) for schedule in self._schedules], dtype=np.float64)

    def visit(self, states: Sequence[RewardState], step: int) -> FloatArray:
        """Return the weighted potentials `[N, P]` of states that are visited now, as a reset does.

        Phi and its weight are taken when a state is visited and never again: evaluating them anew once the clock
        or the potential has moved on breaks the telescoping sum.
        """
        weights = self.weights(step)[self._potential_columns]
        return weights * self._phi(states)

    def compute(self, transitions: Sequence[Transition], step: int, visited: FloatArray | None = None) -> RewardBatch:
        """Shape the rewards of N transitions.

        Args:
            transitions: N transitions.
            step: the reward clock, environment steps since training began.
            visited: `[N, P]` what `visit` or the last `compute` returned for the states before; when omitted it
                is evaluated from the transitions themselves, at their `previous_step`.

        Returns:
            The shaped rewards and their parts.

        Raises:
            ComponentError: a component failed twice and its policy is `raise`.
        """
        count = len(transitions)
        weights = self.weights(step)
        raw = np.zeros((count, len(self.names)))
        status = np.full(raw.shape, OK, dtype=STATUS_DTYPE)
        for column, name, component in self._rewards:
            values, statuses = score_component(name, component, transitions, self._policies[column])
            raw[:, column], status[:, column] = values, statuses
        contributions = np.where(np.isnan(raw), 0.0, raw) * weights
        shaping, arrived, phi = self._shape(transitions, weights, visited)
        raw[:, self._potential_columns] = phi
        contributions[:, self._potential_columns] = shaping
        potential: FloatArray = shaping.sum(axis=1)
        self._count_failures(status)
        return RewardBatch(
            total=self.reducer(contributions[:, self._reward_columns]) + potential,
            raw=raw,
            normalized=raw.copy(),
            weights=weights,
            contributions=contributions,
            potential=potential,
            status=status,
            names=self.names,
            visited=arrived,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return everything that a resumed run needs, as plain data.

        Raises:
            ComponentError: the state of a component is not plain data.
        """
        states: dict[str, Any] = {}
        for _, name, component in self._rewards:
            states[name] = component.state_dict()
            found = not_plain(states[name])
            if found is None and type(states[name]) is not dict:
                found = f"state is a {type(states[name]).__name__}, not a dict"
            if found:
                raise ComponentError(
                    f"reward component {name!r} keeps state that is not plain data: {found}; "
                    "use None, bool, int, float, str, list and dict"
                )
        return {"components": states, "failures": dict(self.failures)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            ConfigError: the state belongs to other components.
        """
        names = [name for _, name, _ in self._rewards]
        if sorted(state["components"]) != sorted(names):
            raise ConfigError(
                f"saved reward state has components {sorted(state['components'])}, this configuration {sorted(names)}"
            )
        for _, name, component in self._rewards:
            component.load_state_dict(state["components"][name])
        self.failures = Counter(state["failures"])

    def _shape(
        self, transitions: Sequence[Transition], weights: FloatArray, visited: FloatArray | None
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return F `[N, P]`, the weighted potentials arrived at `[N, P]` and Phi(s') `[N, P]`."""
        if not self._potentials:
            nothing = np.zeros((len(transitions), 0))
            return nothing, nothing, nothing
        if visited is None:
            visited = self._visited_before(transitions)
        goes_on = np.array([not t.terminated for t in transitions], dtype=np.bool_)
        phi = np.zeros((len(transitions), len(self._potentials)))
        phi[goes_on] = self._phi([t.state_after() for t in transitions if not t.terminated])
        arrived = weights[self._potential_columns] * phi
        return self._gammas * arrived - visited, arrived, phi

    def _visited_before(self, transitions: Sequence[Transition]) -> FloatArray:
        """Return the weighted potentials `[N, P]` that a wrapper took when it visited the states before."""
        steps = [t.step if t.previous_step is None else t.previous_step for t in transitions]
        weights_at = {step: self.weights(step)[self._potential_columns] for step in set(steps)}
        phi = self._phi([t.state_before() for t in transitions])
        return np.array([weights_at[step] for step in steps]).reshape(phi.shape) * phi

    def _phi(self, states: Sequence[RewardState]) -> FloatArray:
        phi = np.zeros((len(states), len(self._potentials)))
        if not states:
            return phi
        for column, (_, name, term) in enumerate(self._potentials):
            try:
                phi[:, column] = term.potential.batch(states)
            except Exception as error:
                raise ComponentError(f"potential {name!r} failed: {type(error).__name__}: {error}") from error
            if not np.isfinite(phi[:, column]).all():
                raise ComponentError(f"potential {name!r} returned NaN or infinity")
        return phi

    def _count_failures(self, status: StatusArray) -> None:
        for kind in (INVALID, TIMEOUT, ERROR):
            for column, count in enumerate((status == kind).sum(axis=0)):
                if count:
                    self.failures[f"{self.names[column]}/{kind}"] += int(count)
