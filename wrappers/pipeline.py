"""The one object that turns transitions into shaped rewards.

It is plain numpy over a batch and knows nothing of Gymnasium: the wrappers, the trainers and offline scoring all
call it, so that one configuration gives one number everywhere. A single step takes a path of plain numbers (numpy
costs more than it gains on one row); a property test holds both paths to the same rewards.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rlenvs.errors import ComponentError, ConfigError
from rlenvs.wrappers.base import ERROR, OK, BaseReward, FloatArray
from rlenvs.wrappers.functions.decorators import component_of
from rlenvs.wrappers.normalization.strategies import Normalization, Normalizer
from rlenvs.wrappers.parts import OUTPUT, RewardParts
from rlenvs.wrappers.plain import not_plain
from rlenvs.wrappers.potentials.base import PotentialTerm
from rlenvs.wrappers.potentials.shaping import PotentialTerms
from rlenvs.wrappers.reducers import Reducer, WeightedSumReducer
from rlenvs.wrappers.reward_batch import ERROR_CODE, STATUS_TEXTS, CodeArray, RewardBatch, RewardRow, Visited
from rlenvs.wrappers.schedules.base import ReactiveSchedule, Schedule
from rlenvs.wrappers.schedules.fixed import ConstantSchedule
from rlenvs.wrappers.scoring import ErrorPolicy, score_batch, settle_one
from rlenvs.wrappers.transition import RewardState, Transition
from rlenvs.wrappers.transition_batch import TransitionBatch

if TYPE_CHECKING:
    from rlenvs.wrappers.config.rewards import RewardConfig

__all__ = ["RewardPipeline"]


class RewardPipeline:
    """Components, normalisers, schedules, reducer and potentials, applied to batches of transitions.

    Args:
        components: as in `RewardParts`, like the rest; a function is a component too.
        schedules: name -> schedule.
        policies: name -> error policy.
        reducer: how weighted components become one reward.
        normalizations: name -> normalisation.
        output_normalization: normalisation of the reduced reward.

    Attributes:
        names: the component names, in the order of the columns.
        parts: what the pipeline is made of.
        failures: how often each component gave another status than `ok`, under "name/status" ("judge/error"),
            counted over all calls and over resumed runs: it is part of `state_dict`.

    Raises:
        ConfigError: the parts do not fit each other.

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
        components: Mapping[str, BaseReward | PotentialTerm | Callable[..., Any]],
        schedules: Mapping[str, Schedule] | None = None,
        policies: Mapping[str, ErrorPolicy] | None = None,
        reducer: Reducer | None = None,
        normalizations: Mapping[str, Normalization] | None = None,
        output_normalization: Normalization | None = None,
    ) -> None:
        built: dict[str, BaseReward | PotentialTerm] = {
            name: part if isinstance(part, PotentialTerm) else component_of(part) for name, part in components.items()
        }
        self.parts = RewardParts(
            built, schedules or {}, policies or {}, reducer, normalizations or {}, output_normalization
        )
        self.names = tuple(built)
        self.failures: Counter[str] = Counter()
        self._rewards = [
            (column, name, part, self.parts.policies.get(name, ErrorPolicy()), self._normalizer(name))
            for column, (name, part) in enumerate(built.items())
            if isinstance(part, BaseReward)
        ]
        self._columns = [column for column, *_ in self._rewards]
        self._only_rewards = len(self._columns) == len(self.names)
        self.reducer: Reducer = reducer or WeightedSumReducer()
        self.reducer.bind([name for _, name, *_ in self._rewards])
        self._output = output_normalization.build() if output_normalization else None
        self._plain_sum = (  # the usual case, which a single step adds up on its way
            self._output is None
            and type(self.reducer) is WeightedSumReducer
            and not self.reducer.weights
            and self.reducer.default_weight == 1.0
        )
        self._terms = PotentialTerms(
            [(k, name, term) for k, (name, term) in enumerate(built.items()) if isinstance(term, PotentialTerm)]
        )
        self._arrange_schedules()

    @classmethod
    def from_parts(cls, parts: RewardParts) -> "RewardPipeline":
        """Return a pipeline of these parts."""
        return cls(**{name: getattr(parts, name) for name in RewardParts.__dataclass_fields__})

    @classmethod
    def from_config(cls, config: "str | Path | Mapping[str, Any] | RewardConfig") -> "RewardPipeline":
        """Build the pipeline that a YAML file, a mapping or a `RewardConfig` describes.

        Raises:
            ConfigError: the configuration cannot be used; the message names file, line and key.
        """
        from rlenvs.wrappers.config.rewards import RewardConfig, build_pipeline

        return build_pipeline(RewardConfig.load(config))

    @property
    def potentials(self) -> dict[str, PotentialTerm]:
        """Potential terms by name."""
        return {name: term for _, name, term in self._terms.terms}

    @property
    def potential_gammas(self) -> dict[str, float]:
        """Discount factor of each potential term; the learner's own must equal them all."""
        return {name: term.gamma for name, term in self.potentials.items()}

    def weights(self, step: int) -> FloatArray:
        """Return the `[K]` weights at `step` of the reward clock."""
        return np.array(self._weights(step), dtype=np.float64)

    def visit(self, states: Sequence[RewardState], step: int) -> FloatArray:
        """Return the potentials `[N, P, 2]`, weighted and bare, of states that are visited now, as a reset does.

        Phi and its weight are taken when a state is visited and never again: evaluating them anew once the clock
        or the potential has moved on breaks the telescoping sum.
        """
        return self._terms.visit(states, self._weights(step))

    def compute(self, transitions: Sequence[Transition], step: int, visited: FloatArray | None = None) -> RewardBatch:
        """Shape the rewards of N transitions.

        Args:
            transitions: N transitions.
            step: the reward clock, environment steps since training began.
            visited: `[N, P, 2]` what `visit` or the last `compute` returned for the states before; when omitted it
                is evaluated from the transitions themselves, at their `previous_step`.

        Returns:
            The shaped rewards and their parts.

        Raises:
            ComponentError: a component failed twice and its policy is `raise`, or values too large for a float make a
                reward that is not finite.
        """
        batch = TransitionBatch.of(transitions)
        if visited is None:
            visited = self._visited_before(batch)
        if len(batch) == 1:
            pairs: list[Visited] = [(float(weighted), float(phi)) for weighted, phi in visited[0]]
            return self.compute_one(batch[0], step, pairs).as_batch()
        return self._compute_many(batch, step, visited)

    def compute_one(self, transition: Transition, step: int, visited: Sequence[Visited]) -> RewardRow:
        """Shape the reward of one transition, as `compute` does, in plain numbers.

        Args:
            transition: one step of one environment.
            step: the reward clock.
            visited: P pairs, weighted and bare potential of the state before.

        Raises:
            ComponentError: a component failed twice and its policy is `raise`.
        """
        weights = self._weights(step)
        width = len(weights)
        raw, normalized, contributions, status = [0.0] * width, [0.0] * width, [0.0] * width, [OK] * width
        total = 0.0
        for column, name, component, policy, normalizer in self._rewards:
            try:
                value = component(transition)
            except Exception:  # noqa: BLE001 - scored again below, where failures are told apart
                value = np.nan
            learn = True
            if type(value) is not float or value - value != 0.0:  # a Score, an integer, NaN or infinity
                value, status[column] = self._settle(name, component, transition, policy, value)
                learn = status[column] != ERROR
                if value != value:  # a masked error: NaN, and nothing of it in the reward
                    raw[column] = normalized[column] = value
                    continue
            raw[column] = value
            if normalizer is not None:
                value = normalizer.one(value, learn)
            normalized[column] = value
            contributions[column] = value = weights[column] * value
            total += value
        if not self._plain_sum:
            total = self._reduce_one(raw, contributions)
        potential = 0.0
        arrived: list[Visited] = []
        if self._terms.columns:
            potential, arrived = self._terms.shape_one(transition, weights, visited, raw, contributions)
            for column in self._terms.columns:
                normalized[column] = raw[column]
        total += potential
        if total - total != 0.0:
            raise self._overflow(0, weights, raw)
        if self._reactive:
            self._observe([raw], [status], step)
        return RewardRow(total, raw, normalized, weights, contributions, potential, status, self.names, arrived)

    def report_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Tell reactive schedules what the trainer measured.

        Args:
            metrics: name -> value ("eval/accuracy" -> 0.8); those that no schedule waits for are ignored.
            step: the reward clock.
        """
        for _, schedule, watched in self._reactive:
            if watched not in self.names and watched in metrics:
                schedule.observe([float(metrics[watched])], step)

    def freeze_statistics(self, frozen: bool = True) -> None:
        """Keep normalisers and reactive schedules from learning from what is scored, or let them learn again.

        An evaluation wants it; what it measures still reaches the schedules through `report_metrics`.
        """
        self._frozen = frozen
        for normalizer in self._normalizers().values():
            normalizer.frozen = frozen

    def close(self) -> None:
        """Release what the components hold: processes and connections. They take them anew where they are needed."""
        for _, _, component, *_ in self._rewards:
            component.close()

    def state_dict(self) -> dict[str, Any]:
        """Return everything that a resumed run needs, as plain data.

        Raises:
            ComponentError: the state of a component is not plain data.
        """
        return {
            "components": {name: self._component_state(name, part) for _, name, part, *_ in self._rewards},
            "normalizers": {name: normalizer.state_dict() for name, normalizer in self._normalizers().items()},
            "schedules": {self.names[column]: schedule.state_dict() for column, schedule, _ in self._reactive},
            "failures": dict(self.failures),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            ConfigError: the state belongs to other components, normalisers or schedules.
        """
        normalizers = self._normalizers()
        schedules = {self.names[column]: schedule for column, schedule, _ in self._reactive}
        for kind, known in (
            ("components", {name: part for _, name, part, *_ in self._rewards}),
            ("normalizers", normalizers),
            ("schedules", schedules),
        ):
            if sorted(state[kind]) != sorted(known):
                raise ConfigError(
                    f"saved reward state has {kind} {sorted(state[kind])}, this configuration {sorted(known)}"
                )
        for _, name, part, *_ in self._rewards:
            part.load_state_dict(state["components"][name])
        for name, normalizer in normalizers.items():
            normalizer.load_state_dict(state["normalizers"][name])
        for name, schedule in schedules.items():
            schedule.load_state_dict(state["schedules"][name])
        self.failures = Counter(state["failures"])

    def _compute_many(self, batch: TransitionBatch, step: int, visited: FloatArray) -> RewardBatch:
        weights = self._weights(step)
        raw = np.zeros((len(batch), len(self.names)))
        codes: CodeArray = np.zeros(raw.shape, dtype=np.uint8)
        normalized = np.zeros_like(raw)
        groups: list[list[Hashable]] = []

        def prompts() -> list[Hashable]:
            if not groups:
                groups.append(batch.groups())
            return groups[0]

        for column, name, component, policy, normalizer in self._rewards:
            values, column_codes = score_batch(name, component, batch, policy)
            raw[:, column] = values
            if column_codes.any():
                codes[:, column] = column_codes
            if normalizer is not None:
                with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is looked at below
                    values = normalizer.batch(values, column_codes != ERROR_CODE, prompts)
            normalized[:, column] = values
        counted = ~np.isnan(raw)
        with np.errstate(over="ignore", invalid="ignore"):
            contributions = np.where(counted, normalized, 0.0) * weights
            total = self._reduce(raw, contributions, counted, prompts)
        potential, arrived = self._terms.shape(batch, weights, visited, raw, contributions)
        total = total + potential
        if not np.isfinite(total).all():
            row = int(np.flatnonzero(~np.isfinite(total))[0])
            raise self._overflow(row, weights, raw[row].tolist())
        normalized[:, self._terms.columns] = raw[:, self._terms.columns]
        if codes.any():
            self._count_failures(codes)
        if self._reactive:
            self._observe(raw, STATUS_TEXTS[codes], step)
        return RewardBatch(
            total=total,
            raw=raw,
            normalized=normalized,
            weights=np.array(weights),
            contributions=contributions,
            potential=potential,
            codes=codes,
            names=self.names,
            visited=arrived,
        )

    def _reduce_one(self, raw: list[float], contributions: list[float]) -> float:
        """Reduce one row; `contributions` are replaced by what the reducer made of them."""
        if not self._columns:
            return 0.0
        if self._only_rewards:
            kept, kept_raw = contributions, raw
        else:
            kept = [contributions[column] for column in self._columns]
            kept_raw = [raw[column] for column in self._columns]
        total, effective = self.reducer.one(kept, kept_raw, [value == value for value in kept_raw])
        for column, value in zip(self._columns, effective, strict=True):
            contributions[column] = value
        return total if self._output is None else self._output.one(total)

    def _reduce(self, raw: FloatArray, contributions: FloatArray, counted: Any, prompts: Any) -> FloatArray:
        if not self._columns:
            return np.zeros(len(raw))
        columns: Any = slice(None) if self._only_rewards else self._columns
        total, effective = self.reducer(contributions[:, columns], raw[:, columns], counted[:, columns])
        contributions[:, columns] = effective
        if self._output is None:
            return total
        return self._output.batch(total, np.ones(len(total), dtype=np.bool_), prompts)

    def _settle(
        self, name: str, component: BaseReward, transition: Transition, policy: ErrorPolicy, value: Any
    ) -> tuple[float, str]:
        """Return value and status of what is not simply a finite float."""
        number, status = settle_one(name, component, transition, policy, value)
        if status != OK:
            self.failures[f"{name}/{status}"] += 1
        return number, status

    def _visited_before(self, batch: TransitionBatch) -> FloatArray:
        """Return what a wrapper took when it visited the states before."""
        if not self._terms:
            return np.zeros((len(batch), 0, 2))
        steps = [t.step if t.previous_step is None else t.previous_step for t in batch]
        visited = self._terms.visit([t.state_before() for t in batch], [1.0] * len(self.names))
        weights = {step: self._weights(step) for step in set(steps)}
        for place, column in enumerate(self._terms.columns):
            visited[:, place, 0] *= [weights[step][column] for step in steps]
        return visited

    def _arrange_schedules(self) -> None:
        """Sort schedules by what they need: nothing, the clock, or what happens."""
        schedules = [self.parts.schedules.get(name, ConstantSchedule(1.0)) for name in self.names]
        self._fixed = [s.initial_weight if isinstance(s, ConstantSchedule) else 0.0 for s in schedules]
        self._moving = [(k, s) for k, s in enumerate(schedules) if not isinstance(s, ConstantSchedule)]
        self._reactive = [
            (k, s, s.watches(self.names[k])) for k, s in enumerate(schedules) if isinstance(s, ReactiveSchedule)
        ]
        self._frozen = False

    def _weights(self, step: int) -> list[float]:
        weights = self._fixed.copy()
        for column, schedule in self._moving:
            weights[column] = schedule(step)
        return weights

    def _observe(self, raw: Any, status: Any, step: int) -> None:
        """Show reactive schedules the raw values of what they watch."""
        if self._frozen:
            return
        for _, schedule, watched in self._reactive:
            if watched in self.names:
                column = self.names.index(watched)
                values = [float(row[column]) for row, kinds in zip(raw, status, strict=True) if kinds[column] != ERROR]
                if values:
                    schedule.observe(values, step)

    def _overflow(self, row: int, weights: Sequence[float], raw: Sequence[float]) -> ComponentError:
        """Return the error of a reward that is not finite although each raw value is."""
        parts = ", ".join(f"{name} = {x:g} * {w:g}" for name, x, w in zip(self.names, raw, weights, strict=True))
        error = ComponentError(f"the reward of transition {row} of the batch is NaN or infinite: {parts}")
        error.row = row
        return error

    def _count_failures(self, codes: CodeArray) -> None:
        for column, name in enumerate(self.names):
            for code, count in enumerate(np.bincount(codes[:, column]).tolist()):
                if code and count:
                    self.failures[f"{name}/{STATUS_TEXTS[code]}"] += count

    def _normalizer(self, name: str) -> Normalizer | None:
        spec = self.parts.normalizations.get(name)
        return None if spec is None else spec.build()

    def _normalizers(self) -> dict[str, Normalizer]:
        """Return what keeps statistics, by the name of its component; the one of the sum comes last."""
        found = {name: normalizer for _, name, _, _, normalizer in self._rewards if normalizer is not None}
        return found if self._output is None else {**found, f"/{OUTPUT}": self._output}

    @staticmethod
    def _component_state(name: str, component: BaseReward) -> dict[str, Any]:
        state = component.state_dict()
        found = not_plain(state)
        if found is None and type(state) is not dict:
            found = f"state is a {type(state).__name__}, not a dict"
        if found:
            raise ComponentError(
                f"reward component {name!r} keeps state that is not plain data: {found}; "
                "use None, bool, int, float, str, list and dict"
            )
        return state
