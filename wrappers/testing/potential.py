"""What every potential must be, so that shaping with it leaves the optimal policies alone."""

import copy
import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from rlenvs.wrappers.pipeline import RewardPipeline
from rlenvs.wrappers.potentials.base import Potential, PotentialTerm, potential_class
from rlenvs.wrappers.schedules.ramps import LinearSchedule
from rlenvs.wrappers.testing.checks import Conformance, expect, parameters_of, photograph
from rlenvs.wrappers.testing.hostile import hostile_texts
from rlenvs.wrappers.transition import RewardState, Transition


class PotentialConformance(Conformance, ABC):
    """Checks of one potential; subclasses say which and on what.

    Attributes:
        registered_as: the name in configurations; "" leaves the configuration out.
        empty_info: what `info` has before the policy wrote anything, for a potential that reads numbers of it.
        hostile_chars: length of the long hostile texts.
        hostile_seconds: how long a single one may take.

    Example:
        >>> from rlenvs.wrappers import ProgressPotential
        >>> class Checked(PotentialConformance):
        ...     registered_as = "progress"
        ...     empty_info = {"progress": 0.0}
        ...
        ...     def potential(self) -> Potential:
        ...         return ProgressPotential()
        ...
        ...     def states(self) -> list[RewardState]:
        ...         return [RewardState(info={"progress": share}) for share in (0.0, 0.25, 1.0)]
        >>> "test_shaping_telescopes_for_both_endings" in Checked.run()
        True
    """

    registered_as: str = ""
    empty_info: Mapping[str, Any] = {}
    hostile_chars: int = 100_000
    hostile_seconds: float = 5.0

    @abstractmethod
    def potential(self) -> Potential:
        """Return a new potential; every call returns one with the same values."""

    @abstractmethod
    def states(self) -> Sequence[RewardState]:
        """Return at least two states, in the order in which an episode might visit them; new ones at each call."""

    def test_it_depends_on_the_state_alone(self) -> None:
        """A state has one value: before and after others, alone, and in a copy; and it is not changed."""
        potential, states = self.potential(), list(self.states())
        before = copy.deepcopy([photograph(state) for state in states])
        first = [float(potential(state)) for state in states]
        again = [float(potential(state)) for state in reversed(states)][::-1]
        copied = [float(self.potential()(copy.deepcopy(state))) for state in states]
        self.expect_same(again, first, "the same states in reversed order")
        self.expect_same(copied, first, "copies of the states, each with a new potential")
        for place, (state, then) in enumerate(zip(states, before, strict=True)):
            expect(photograph(state) == then, f"state {place} was changed")

    def test_every_value_is_finite_from_the_very_first_state_on(self) -> None:
        """A state in which nothing was written yet has a value too: an episode begins there."""
        info = dict(self.empty_info)
        empty = [
            RewardState(info=info),
            RewardState("2+2=", info=info),
            RewardState("2+2=", [{"role": "user", "content": "2+2="}], "2+2=", info),
            RewardState("2+2=", [{"role": "user", "content": "2+2="}], None, {**info, "response_so_far": ""}),
        ]
        potential = self.potential()
        for place, state in enumerate([*empty, *self.states()]):
            value = float(potential(state))
            expect(math.isfinite(value), f"state {place} ({'empty' if place < len(empty) else 'given'}) has {value}")

    def test_a_batch_equals_its_rows(self) -> None:
        """`batch` gives what `__call__` gives state by state."""
        states, one = list(self.states()), self.potential()
        found = np.asarray(self.potential().batch(states), dtype=np.float64)
        expect(found.shape == (len(states),), f"batch returned shape {found.shape} for {len(states)} states")
        self.expect_same(found.tolist(), [float(one(state)) for state in states], "batch against single calls")

    def test_shaping_telescopes_for_both_endings(self) -> None:
        """sum_t gamma^t F_t = gamma^T w_T Phi(s_T) - w_0 Phi(s_0), with Phi(s_T) = 0 iff terminated."""
        phi = [float(value) for value in self.potential().batch(list(self.states()))]
        schedule = LinearSchedule(2.0, 0.5, decay_steps=len(phi))
        for terminated in (True, False):
            for gamma in (1.0, 0.9):
                terms = self._shaping(gamma, schedule, terminated)
                total = sum(gamma**t * term for t, term in enumerate(terms))
                kept = 0.0 if terminated else gamma ** len(terms) * schedule(len(terms) - 1) * phi[-1]
                ending = "terminated" if terminated else "truncated"
                expected = kept - schedule(0) * phi[0]
                expect(self.same(total, expected), f"{ending}, gamma {gamma}: the sum is {total}, not {expected}")

    def test_its_parameters_are_plain_and_build_it_again(self) -> None:
        """Its attributes hold what a configuration needs, and the registry finds it."""
        potential = self.potential()
        params = json.loads(json.dumps(parameters_of(potential)))
        cls = potential_class(self.registered_as) if self.registered_as else type(potential)
        expect(cls is type(potential), f"{self.registered_as!r} is registered for {cls.__name__}")
        states = list(self.states())
        expected = potential.batch(states).tolist()
        self.expect_same(cls(**params).batch(states).tolist(), expected, "potential built from its parameters")
        if self.registered_as:
            configured = self._configured(params)
            found = configured.visit(states, 0)[:, 0].reshape(len(states), -1)[:, 0].tolist()
            self.expect_same(found, expected, "potential built from a configuration")

    def test_no_text_makes_it_fail(self) -> None:
        """Every hostile text has a finite value, in time."""
        potential = self.potential()
        for name, text in hostile_texts(self.hostile_chars).items():
            chat = [{"role": "user", "content": text}, {"role": "assistant", "content": text}]
            for info in ({**self.empty_info}, {**self.empty_info, "response_so_far": text}):
                started = time.perf_counter()
                try:
                    value = float(potential(RewardState(text, chat, text, info)))
                except Exception as error:
                    raise AssertionError(
                        f"the text {name!r} makes it raise {type(error).__name__}: {error!s:.200}"
                    ) from error
                seconds = time.perf_counter() - started
                expect(math.isfinite(value), f"the text {name!r} has {value}")
                expect(
                    seconds <= self.hostile_seconds, f"the text {name!r} takes {seconds:.1f} s; time must grow linearly"
                )

    def _shaping(self, gamma: float, schedule: LinearSchedule, terminated: bool) -> list[float]:
        """Return F of an episode that visits the states in their order."""
        states = list(self.states())
        pipeline = RewardPipeline({"it": PotentialTerm(self.potential(), gamma)}, {"it": schedule})
        visited, terms = pipeline.visit(states[:1], 0), []
        for t, (state, following) in enumerate(pairwise(states)):
            last = t == len(states) - 2
            step = Transition(
                prompt=following.prompt,
                messages=following.messages,
                observation=state.observation,
                next_observation=following.observation,
                terminated=last and terminated,
                truncated=last and not terminated,
                info=following.info,
                previous_info=state.info,
            )
            batch = pipeline.compute([step], t, visited)
            visited = batch.visited
            terms.append(float(batch.potential[0]))
        return terms

    def _configured(self, params: dict[str, Any]) -> RewardPipeline:
        from rlenvs.wrappers.config.rewards import RewardConfig

        term = {"potential_function": self.registered_as, "potential_params": params}
        config = RewardConfig.load({"reward_components": {"it": {"class": "LLMPotentialBasedReward", "params": term}}})
        return RewardPipeline.from_config(RewardConfig.load(json.loads(json.dumps(config.to_dict()))))
