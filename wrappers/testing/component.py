"""What every reward component must be, so that pipelines, checkpoints and configurations can rely on it."""

import copy
import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from rlenvs.wrappers.base import ERROR, STATUSES, BaseReward, Score
from rlenvs.wrappers.component_registry import component_registry
from rlenvs.wrappers.pipeline import RewardPipeline
from rlenvs.wrappers.testing.checks import Conformance, expect, parameters_of, photograph, through_a_file
from rlenvs.wrappers.testing.hostile import hostile_texts
from rlenvs.wrappers.transition import Transition

Scored = tuple[float, str]


class ComponentConformance(Conformance, ABC):
    """Checks of one reward component; subclasses say which and on what.

    Attributes:
        compares_rows: set it where the value of a row depends on the other rows of its batch: then neither singles
            nor another order have to give the same values.
        order_matters: set it where a value depends on what was scored before (a history).
        reads_messages: clear it where every step is scored, not only the one that ends a message.
        hostile_chars: length of the long hostile texts.
        hostile_seconds: how long a single one may take.

    Example:
        >>> from rlenvs.wrappers import LengthPenalty
        >>> class Checked(ComponentConformance):
        ...     def component(self) -> BaseReward:
        ...         return LengthPenalty(max_length=2, unit="words")
        ...
        ...     def transitions(self) -> list[Transition]:
        ...         return [Transition(response=text) for text in ("short", "a longer answer", "one two three four")]
        >>> "test_a_batch_equals_its_rows" in Checked.run()
        True
    """

    compares_rows: bool = False
    order_matters: bool = False
    reads_messages: bool = True
    hostile_chars: int = 100_000
    hostile_seconds: float = 5.0

    @abstractmethod
    def component(self) -> BaseReward:
        """Return a new component; every call returns an equal one in its initial state."""

    @abstractmethod
    def transitions(self) -> Sequence[Transition]:
        """Return at least two transitions that it can score without an error, new ones at each call."""

    def parameters(self) -> dict[str, Any]:
        """Return the constructor's parameters as plain data; by default the attributes of the same names."""
        return parameters_of(self.component())

    def test_every_value_is_finite_and_has_a_status(self) -> None:
        """Values are finite numbers; what a text provokes is `invalid` or `timeout`, never `error`."""
        for place, (value, status) in enumerate(scored(self.component().batch(self.transitions()))):
            expect(math.isfinite(value), f"value {place} is {value}; a component that cannot score raises")
            expect(status != ERROR, f"value {place} has status 'error' on a transition that it ought to score")

    def test_a_batch_equals_its_rows(self) -> None:
        """`batch` gives what `__call__` gives row by row."""
        if self.compares_rows:
            return
        transitions, one = self.transitions(), self.component()
        rows = scored([one(transition) for transition in transitions])
        self._expect_scores(scored(self.component().batch(transitions)), rows, "batch against single calls")

    def test_the_order_of_the_rows_does_not_matter(self) -> None:
        """Rows keep their values when the batch is turned around."""
        if self.compares_rows or self.order_matters:
            return
        transitions = list(self.transitions())
        forth = scored(self.component().batch(transitions))
        back = scored(self.component().batch(transitions[::-1]))
        self._expect_scores(back[::-1], forth, "batch in reversed order")

    def test_scoring_changes_no_transition(self) -> None:
        """Transitions are the same after scoring as before."""
        transitions = list(self.transitions())
        before = copy.deepcopy([photograph(transition) for transition in transitions])
        component = self.component()
        scored(component.batch(transitions))
        scored([component(transition) for transition in transitions])
        for place, (transition, then) in enumerate(zip(transitions, before, strict=True)):
            expect(photograph(transition) == then, f"transition {place} was changed; copy what you want to change")

    def test_the_state_is_plain_and_resumes_to_the_same_values(self) -> None:
        """A fresh component with the saved state goes on as the saved one does."""
        transitions, component = list(self.transitions()), self.component()
        half = max(1, len(transitions) // 2)
        scored(component.batch(transitions[:half]))
        state = through_a_file(component.state_dict(), "state_dict()")
        resumed = self.component()
        resumed.load_state_dict(state)
        rest = transitions[half:] or transitions
        self._expect_scores(scored(resumed.batch(rest)), scored(component.batch(rest)), "resumed component")
        expect(resumed.state_dict() == component.state_dict(), "the resumed component ends in another state")

    def test_the_parameters_are_plain_and_build_the_same_component(self) -> None:
        """Its attributes hold what a configuration needs to build it again, through the registry where it is in it."""
        component = self.component()
        params = json.loads(json.dumps(self.parameters()))
        name = registered_name(component)
        again = type(component)(**params) if name is None else component_registry.get(name)(**params)
        transitions = self.transitions()
        expected = scored(component.batch(transitions))
        self._expect_scores(scored(again.batch(transitions)), expected, "component built from its parameters")
        if name is not None:
            self._expect_scores(self._configured(name, params), expected, "component built from a configuration")

    def test_no_text_makes_it_fail(self) -> None:
        """Every hostile text gets a finite value and no `error`, in time."""
        basis = next((t for t in self.transitions() if t.message_ended), None)
        if basis is None:
            return
        component = self.component()
        for name, text in hostile_texts(self.hostile_chars).items():
            started = time.perf_counter()
            try:
                ((value, status),) = scored(component.batch([saying(basis, text)]))
            except Exception as error:
                raise AssertionError(
                    f"the text {name!r} makes it raise {type(error).__name__}: {error!s:.200}; "
                    "what a text provokes is a value or a Score with status 'invalid'"
                ) from error
            seconds = time.perf_counter() - started
            expect(math.isfinite(value), f"the text {name!r} gets {value}")
            expect(status != ERROR, f"the text {name!r} gets status 'error', which no text may provoke")
            expect(seconds <= self.hostile_seconds, f"the text {name!r} takes {seconds:.1f} s; time must grow linearly")

    def test_a_message_is_scored_once(self) -> None:
        """At token level, before the message ends, the value is 0."""
        if not self.reads_messages:
            return
        for place, transition in enumerate(self.transitions()):
            info = {key: value for key, value in transition.info.items() if key != "response"}
            within = replace(transition, action=7, terminated=False, truncated=False, info=info)
            ((value, _),) = scored(self.component().batch([within]))
            expect(value == 0.0, f"transition {place} gets {value} before its message ends: check `message_ended`")

    def _configured(self, name: str, params: dict[str, Any]) -> list[Scored]:
        from rlenvs.wrappers.config.rewards import RewardConfig

        config = RewardConfig.load({"reward_components": {"it": {"class": name, "params": params}}})
        again = RewardConfig.load(json.loads(json.dumps(config.to_dict())))
        batch = RewardPipeline.from_config(again).compute(list(self.transitions()), step=0)
        return list(zip(batch.raw[:, 0].tolist(), batch.status[:, 0].tolist(), strict=True))

    def _expect_scores(self, found: Sequence[Scored], expected: Sequence[Scored], what: str) -> None:
        self.expect_same([value for value, _ in found], [value for value, _ in expected], what)
        for place, ((_, one), (_, other)) in enumerate(zip(found, expected, strict=True)):
            expect(one == other, f"{what}: status {place} is {one!r} instead of {other!r}")


def scored(items: Iterable[float | Score]) -> list[Scored]:
    """Split what a component returned into values and statuses.

    Raises:
        AssertionError: an item is neither a number nor a `Score`, or has a status that does not exist.
    """
    found = []
    for item in items:
        value, status = item if isinstance(item, Score) else (item, "ok")
        expect(status in STATUSES, f"status must be one of {', '.join(STATUSES)}, got {status!r}")
        try:
            found.append((float(value), status))
        except (TypeError, ValueError):
            raise AssertionError(f"a value must be a number or a Score, got {value!r:.60}") from None
    return found


def saying(transition: Transition, text: str) -> Transition:
    """Return a transition in which the policy said something else."""
    messages = [dict(message) for message in transition.messages]
    if messages and messages[-1].get("role") == "assistant":
        messages[-1]["content"] = text
    info = dict(transition.info)
    for key in ("response", "response_so_far"):
        if key in info:
            info[key] = text
    action = text if isinstance(transition.action, str) else transition.action
    return replace(transition, response=text, messages=messages, action=action, info=info)


def registered_name(component: BaseReward) -> str | None:
    """Return the name under which configurations find the component's class; None where they do not."""
    names = (name for name in component_registry.names() if component_registry.get(name) is type(component))
    return next(names, None)
