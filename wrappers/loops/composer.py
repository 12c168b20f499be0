"""`RewardComposer`: score and combine by hand, through the one pipeline, with the numbers that the wrappers give.

`shaper` has what moves the weights while a run goes on and adds potential terms.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rlenvs.config_file import did_you_mean
from rlenvs.errors import ConfigError
from rlenvs.wrappers.base import BaseReward, Score
from rlenvs.wrappers.config.composer import build_normalization
from rlenvs.wrappers.layers.clock import RewardClock
from rlenvs.wrappers.normalization.strategies import Strategy
from rlenvs.wrappers.pipeline import RewardPipeline
from rlenvs.wrappers.potentials.base import PotentialTerm
from rlenvs.wrappers.reducers import Reducer, reducer_registry
from rlenvs.wrappers.reward_batch import RewardRow, Visited
from rlenvs.wrappers.schedules.base import Schedule
from rlenvs.wrappers.scoring import ErrorPolicy, score_batch
from rlenvs.wrappers.transition import Transition

__all__ = ["RewardComposer", "response_of"]


class RewardComposer:
    """Components, how their values are normalised, and how they become one number.

    Args:
        components: name -> component or potential term; or components alone, which are then named after their
            classes (`LengthPenalty`, a second one `LengthPenalty_2`).
        normalization_strategy: how values are normalised before they are weighted (see `Normalization`); None: not
            at all. Potentials never are.
        norm_window: values that `z_score` and `min_max` look back on.
        norm_epsilon: added to every scale.
        norm_warmup_steps: values of a component that must have been seen before its statistics are used;
            10, or the window if that is smaller, when omitted.
        reducer: a reducer, or the name of one that needs no parameters; a weighted sum when omitted.

    Attributes:
        pipeline: what does the work.
        clock: the step at which weights are read.

    Raises:
        ConfigError: the parts do not fit each other.

    Example:
        >>> from rlenvs.wrappers import CorrectnessReward, LengthPenalty
        >>> composer = RewardComposer({"right": CorrectnessReward(), "long": LengthPenalty(2, -0.5, unit="words")})
        >>> raw = composer.compute_rewards("2+5=", "it is 7", "", {"correct": True})
        >>> raw, composer.combine_rewards(raw, {"right": 1.0, "long": 0.5})
        ({'right': 1.0, 'long': -0.5}, 0.75)
    """

    def __init__(
        self,
        components: Mapping[str, BaseReward | PotentialTerm] | Sequence[BaseReward | PotentialTerm],
        normalization_strategy: Strategy | None = None,
        norm_window: int = 1000,
        norm_epsilon: float = 1e-8,
        norm_warmup_steps: int | None = None,
        reducer: Reducer | str | None = None,
    ) -> None:
        parts = dict(components) if isinstance(components, Mapping) else _named(components)
        warmup = {} if norm_warmup_steps is None else {"warmup": norm_warmup_steps}
        spec = build_normalization(
            {"strategy": normalization_strategy or "none", "window": norm_window, "epsilon": norm_epsilon, **warmup}
        )
        self._doors = {name: _Door(part) for name, part in parts.items() if isinstance(part, BaseReward)}
        self.pipeline = RewardPipeline(
            {**parts, **self._doors},
            reducer=reducer_registry.get(reducer)() if isinstance(reducer, str) else reducer,
            normalizations={} if spec.strategy == "none" else dict.fromkeys(self._doors, spec),
        )
        self.clock = RewardClock()
        self._scheduled = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of components and potential terms."""
        return self.pipeline.names

    def compute_rewards(
        self, state: Any, action: Any, next_state: Any, info: Mapping[str, Any], **more: Any
    ) -> dict[str, float]:
        """Score one step; statistics are left alone.

        Args:
            state: observation before the step.
            action: what the agent did; where it is text, it is the response.
            next_state: observation after the step.
            info: the info of the step.
            **more: other fields of `Transition` (`prompt`, `response`, `terminated`, `env_reward`, ...).

        Returns:
            name -> raw value. Potential terms are no part of it: they are worth nothing outside an episode.

        Raises:
            ComponentError: a component failed twice.
        """
        transition = _transition(state, action, next_state, info, more)
        return {
            name: float(score_batch(name, door, [transition], ErrorPolicy())[0][0])
            for name, door in self._doors.items()
        }

    def combine_rewards(self, raw_rewards: Mapping[str, float], weights: Mapping[str, float] | None = None) -> float:
        """Normalise, weigh and reduce raw values; statistics learn from them.

        Args:
            raw_rewards: name -> raw value, as `compute_rewards` returned them.
            weights: name -> weight of every component; those of the schedules when omitted.

        Raises:
            ConfigError: a name that is missing or unknown.
            ComponentError: a value that is NaN or infinite.
        """
        self._check_names("raw_rewards", raw_rewards)
        row = self._replay(raw_rewards)
        given = dict(zip(row.names, row.weights, strict=True)) if weights is None else weights
        return self._reduce(row, given)

    def get_reward(
        self,
        state: Any,
        action: Any,
        next_state: Any,
        info: Mapping[str, Any],
        weights: Mapping[str, float] | None = None,
        **more: Any,
    ) -> float:
        """Score one step and combine: `combine_rewards` of `compute_rewards`."""
        return self.combine_rewards(self.compute_rewards(state, action, next_state, info, **more), weights)

    def compose(self, prompt: str, response: str, info: Mapping[str, Any] | None = None) -> float:
        """Return the reward of one whole answer, with the weights of now.

        Args:
            prompt: what was asked.
            response: what was answered.
            info: what the components need besides (`correct`, a score, ...).
        """
        return self.compose_batch([prompt], [response], None if info is None else [info])[0][0]

    def compose_batch(
        self,
        prompts: Sequence[str],
        responses: Sequence[str],
        infos: Sequence[Mapping[str, Any]] | None = None,
    ) -> tuple[list[float], dict[str, list[float]]]:
        """Return the rewards of N whole answers, scored in one batch.

        Args:
            prompts: N texts.
            responses: N texts.
            infos: N mappings of what the components need besides.

        Returns:
            N rewards, and name -> N raw values.

        Raises:
            ConfigError: the lists differ in length.
            ComponentError: a component failed twice.
        """
        given: Sequence[Mapping[str, Any]] = [{}] * len(prompts) if infos is None else infos
        if not len(prompts) == len(responses) == len(given):
            raise ConfigError(
                f"as many responses and infos as prompts are needed, got {len(prompts)} prompts, "
                f"{len(responses)} responses and {len(given)} infos"
            )
        answers = [_answer(*parts) for parts in zip(prompts, responses, given, strict=True)]
        batch = self.pipeline.compute(answers, self.clock.step)
        return batch.total.tolist(), dict(zip(batch.names, batch.raw.T.tolist(), strict=True))

    def get_reward_breakdown(
        self, prompt: str, response: str, info: Mapping[str, Any] | None = None
    ) -> dict[str, float]:
        """Return the raw value of each component for one whole answer; statistics are left alone."""
        answer = _answer(prompt, response, {} if info is None else info)
        return {
            name: float(score_batch(name, door, [answer], ErrorPolicy())[0][0]) for name, door in self._doors.items()
        }

    def schedule(self, schedules: Mapping[str, Schedule]) -> None:
        """Give the weights schedules, once.

        Args:
            schedules: name -> schedule; a component without one keeps weight 1.

        Raises:
            ConfigError: there are schedules already, or a name is unknown.
        """
        if self._scheduled:
            raise ConfigError("this composer has schedules already, and two clocks cannot agree: make another composer")
        for name in schedules:
            if name not in self.names:
                raise ConfigError(self._unknown("reward_shaping", name))
        learned = self.pipeline.state_dict()
        self.pipeline = RewardPipeline.from_parts(replace(self.pipeline.parts, schedules=dict(schedules)))
        self.pipeline.load_state_dict({**learned, "schedules": self.pipeline.state_dict()["schedules"]})
        self._scheduled = True

    def close(self) -> None:
        """Release what the components hold: processes and connections. They take them anew where they are needed."""
        self.pipeline.close()

    def state_dict(self) -> dict[str, Any]:
        """Return statistics, component states and clock as plain data."""
        return {"pipeline": self.pipeline.state_dict(), "clock": self.clock.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.pipeline.load_state_dict(state["pipeline"])
        self.clock.load_state_dict(state["clock"])

    def _replay(self, raw_rewards: Mapping[str, float]) -> RewardRow:
        """Send values through the pipeline as if the components had returned them now."""
        for name, door in self._doors.items():
            door.given = float(raw_rewards[name])
        try:
            # After `terminated` and from nowhere: potential terms are worth 0 and are not evaluated.
            nowhere: list[Visited] = [(0.0, 0.0)] * len(self.pipeline.potential_gammas)
            end = Transition(terminated=True, info={"response_tokens": 1})
            return self.pipeline.compute_one(end, self.clock.step, nowhere)
        finally:
            for door in self._doors.values():
                door.given = None

    def _reduce(self, row: RewardRow, weights: Mapping[str, float]) -> float:
        self._check_names(
            "weights", {name: weights[name] for name in weights if name in self._doors or name not in row.names}
        )
        columns = {name: row.names.index(name) for name in self._doors}
        weighted = [weights[name] * row.normalized[column] for name, column in columns.items()]
        raw = [row.raw[column] for column in columns.values()]
        return float(self.pipeline.reducer.one(weighted, raw, [True] * len(raw))[0])

    def _check_names(self, what: str, given: Mapping[str, Any]) -> None:
        for name in given:
            if name not in self._doors:
                raise ConfigError(self._unknown(what, name))
        for name in self._doors:
            if name not in given:
                raise ConfigError(f"{what}: missing key {name!r}; a component that is left out needs weight 0")

    def _unknown(self, what: str, name: str) -> str:
        known = ", ".join(self.names)
        return f"{what}.{name}: no component has this name{did_you_mean(name, self.names)} (known: {known})"


class _Door(BaseReward):
    """A component that can be told what to return, so that values from elsewhere take the way of its own."""

    def __init__(self, component: BaseReward) -> None:
        self.component = component
        self.given: float | None = None

    def __call__(self, transition: Transition) -> float | Score:
        return self.component(transition) if self.given is None else self.given

    def batch(self, transitions: Sequence[Transition]) -> Iterable[float | Score]:
        return self.component.batch(transitions)

    def state_dict(self) -> dict[str, Any]:
        return self.component.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.component.load_state_dict(state)

    def close(self) -> None:
        self.component.close()


def _named(components: Sequence[BaseReward | PotentialTerm]) -> dict[str, BaseReward | PotentialTerm]:
    seen: Counter[str] = Counter()
    named = {}
    for component in components:
        name = type(component).__name__
        seen[name] += 1
        named[name if seen[name] == 1 else f"{name}_{seen[name]}"] = component
    return named


def response_of(given: Mapping[str, Any], action: Any, info: Mapping[str, Any]) -> str:
    """Return the text that a step added: what was given, the action itself, or what the environment says."""
    if "response" in given:
        return str(given["response"])
    return action if isinstance(action, str) else str(info.get("response", info.get("response_so_far", "")))


def _transition(
    state: Any, action: Any, next_state: Any, info: Mapping[str, Any], more: Mapping[str, Any]
) -> Transition:
    prompt = state if isinstance(state, str) else ""
    rest = {"prompt": prompt, "messages": info.get("messages", ()), "response": response_of(more, action, info), **more}
    return Transition(observation=state, action=action, next_observation=next_state, info=info, **rest)


def _answer(prompt: str, response: str, info: Mapping[str, Any]) -> Transition:
    """Return the transition of an episode that is one question and one answer."""
    question = {"role": "user", "content": prompt}
    return Transition(
        prompt=prompt,
        response=response,
        messages=[question, {"role": "assistant", "content": response}],
        observation=prompt,
        action=response,
        next_observation="",
        terminated=True,
        info=info,
        previous_info={"messages": [question], **info},
    )
