"""Everything in the registries passes the conformance checks, and each check catches what it is there for."""

import importlib
import itertools
import json
import math
import pkgutil
import subprocess
import sys
import threading
import time
import unittest
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import numpy as np
import pytest

from rlenvs.wrappers import (
    BaseReward,
    LengthPenalty,
    LinearSchedule,
    Potential,
    RewardState,
    Score,
    StepPenalty,
    Transition,
    components,
    potentials,
)
from rlenvs.wrappers import config as _registers_everything  # noqa: F401
from rlenvs.wrappers.component_registry import component_registry
from rlenvs.wrappers.potentials import fit_state_value, hash_embedding
from rlenvs.wrappers.schedules.base import Schedule
from rlenvs.wrappers.schedules.registry import SCHEDULES
from rlenvs.wrappers.testing import (
    ComponentConformance,
    Conformance,
    PotentialConformance,
    ScheduleConformance,
    hostile_texts,
)

for module in pkgutil.walk_packages(components.__path__, f"{components.__name__}."):
    importlib.import_module(module.name)  # one that the package forgets to import would not be checked


def checks_of(cls: type[Conformance]) -> list[str]:
    return sorted(name for name in dir(cls) if name.startswith("test_"))


def own(registry: Any) -> set[str]:
    """Names that the library itself registers; other tests and examples may have registered theirs in this process."""
    return {name for name in registry.names() if lives_in_the_library(registry.get(name))}


def lives_in_the_library(cls: type) -> bool:
    return cls.__module__.startswith("rlenvs.") and getattr(sys.modules[cls.__module__], cls.__name__, None) is cls


# --- components --------------------------------------------------------------------------------------------------


class Case(NamedTuple):
    """One component with parameters; `flags` are attributes of its conformance class."""

    name: str
    params: dict[str, Any]
    info: dict[str, Any]
    flags: dict[str, Any]
    keeps_parameters: bool = True


def case(name: str, params: dict[str, Any] | None = None, info: dict[str, Any] | None = None, **flags: Any) -> Case:
    return Case(name, params or {}, info or {}, flags, flags.pop("keeps_parameters", True))


JUDGE, REWARD_MODEL, STORED_VALUE = "<address of a judge>", "<folder of a reward model>", "<file of a stored value>"
EVERY_STEP = {"reads_messages": False}
GRADED = {"correct": True, "grade_status": "ok", "score": 1.0}
COMPONENTS = [
    case("CorrectnessReward", {"incorrect": -0.5}, GRADED, **EVERY_STEP),
    case("EnvReward", **EVERY_STEP),
    case("StepPenalty", {"penalty": -0.25}, **EVERY_STEP),
    case("GoalReward", {}, {"goal_reached": True}, **EVERY_STEP),
    case("InfoValueReward", {"info_key": "score", "scale": 2.0}, GRADED, **EVERY_STEP),
    case("PreferenceScoreReward", {}, {"preference_score": 0.25}, **EVERY_STEP),
    case("ReasoningScoreReward", {}, {"reasoning_eval_score": 0.75}, **EVERY_STEP),
    case("FormattingReward", {"penalty_value": -1.0}, keeps_parameters=False),
    case("FormattingReward", {"format": "json_schema", "schema": {"type": "object"}}, keeps_parameters=False),
    case("FormattingReward", {"format": "regex", "pattern": "[0-9]+"}, keeps_parameters=False),
    case("FormattingReward", {"format": "markdown", "elements": ["list"]}, keeps_parameters=False),
    case("FormattingReward", {"format": "tags", "tags": ["think", "answer"]}, keeps_parameters=False),
    case("FormattingReward", {"format": "code_block", "language": "python"}, keeps_parameters=False),
    case("LengthPenalty", {"max_length": 2}),
    case("LengthPenalty", {"max_length": 2, "unit": "tokens"}, {"response_tokens": 5}),
    case("LengthRangePenalty", {"min": 2, "max": 4, "unit": "words"}),
    case("SoftOverlongPenalty", {"max_length": 8, "cache_length": 4, "unit": "words"}),
    case("RepetitionPenalty"),
    case("RepetitionPenalty", {"form": "unique_ratio", "unit": "chars"}),
    case("DiversityReward", compares_rows=True),
    case("DiversityReward", {"metric": "distinct", "within": "prompt"}, compares_rows=True),
    case("KeywordOverlapReward", {"keywords": ["answer", "sum"], "metric": "f1"}),
    case("LanguageReward", {"language": "en"}),
    case("ReadabilityReward", {"min_words": 2}),
    case("ReadabilityReward", {"metric": "flesch_kincaid_grade", "min_words": 2}),
    case("SimilarityReward", {"reference": "the answer is 42"}),
    case("SimilarityReward", {"metric": "rouge_l", "info_key": "gold"}, {"gold": "the answer is 42"}),
    case("StructureReward", {"max_words": 50}),
    case("ToxicityPenalty"),
    case("ToxicityPenalty", {"scaled": True, "words": {"idiot": 0.9}}),
    case("InstructionReward", {"instructions": [{"type": "number_of_words", "count": 4}, {"type": "title"}]}),
    case("HuggingFaceRewardModel", {"model_id": REWARD_MODEL, "max_length": 32, "device": "cpu"}, tolerance=1e-5),
    case("JudgeReward", {"base_url": JUDGE, "model": "judge", "retries": 0}, keeps_parameters=False),
]
ANSWERS = (
    "the answer is 42",
    "",
    "1. First add.\n2. Then carry the one. So the sum is 42.",
    '{"answer": 42}',
    "<think>no idea</think><answer>42</answer>\n```python\nprint(42)\n```",
    "no no no no no no no, you idiot",
)


class JudgeHandler(BaseHTTPRequestHandler):
    """A judge on this machine: its score is a function of the length of the question."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        said = json.dumps({"score": len(json.loads(body)["messages"][-1]["content"]) % 11})
        message = {"role": "assistant", "content": said}
        reply = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def judge() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), JudgeHandler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def reward_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    pytest.importorskip("transformers")
    from tiny_judges import save_classifier

    folder = tmp_path_factory.mktemp("reward_model")
    save_classifier(folder, ["reward"])
    return str(folder)


FIXTURES = {JUDGE: "judge", REWARD_MODEL: "reward_model"}


def answers(info: dict[str, Any]) -> list[Transition]:
    prompt = "What is 6 * 7?"
    return [
        Transition(
            prompt=prompt,
            response=text,
            messages=[{"role": "user", "content": prompt}, {"role": "assistant", "content": text}],
            observation=prompt,
            action=text,
            next_observation="",
            env_reward=0.25 * place,
            terminated=place % 3 != 2,
            truncated=place % 3 == 2,
            info={"response": text, "messages": [], **info},
            previous_info={"messages": []},
            step=place,
        )
        for place, text in enumerate(ANSWERS)
    ]


def component_conformance(checked: Case, places: dict[str, str]) -> ComponentConformance:
    params = {
        key: places.get(value, value) if isinstance(value, str) else value for key, value in checked.params.items()
    }

    class Checked(ComponentConformance):
        hostile_chars = 30_000
        hostile_seconds = 3.0

        def component(self) -> BaseReward:
            return component_registry.get(checked.name)(**params)

        def parameters(self) -> dict[str, Any]:
            return super().parameters() if checked.keeps_parameters else params

        def transitions(self) -> list[Transition]:
            return answers(checked.info)

    for flag, value in checked.flags.items():
        assert hasattr(ComponentConformance, flag)
        setattr(Checked, flag, value)
    return Checked()


@pytest.mark.parametrize("check", checks_of(ComponentConformance))
@pytest.mark.parametrize("checked", COMPONENTS, ids=lambda c: f"{c.name}-{json.dumps(c.params)[:60]}")
def test_component(checked: Case, check: str, request: pytest.FixtureRequest) -> None:
    places = {value: request.getfixturevalue(FIXTURES[value]) for value in FIXTURES if value in checked.params.values()}
    getattr(component_conformance(checked, places), check)()


def test_every_registered_component_is_checked() -> None:
    missing = own(component_registry) - {checked.name for checked in COMPONENTS}
    assert not missing, f"add a case for {sorted(missing)}"


@pytest.mark.parametrize("name", sorted(own(component_registry)))
def test_every_component_says_what_it_makes_a_policy_prefer(name: str) -> None:
    effect = component_registry.get(name).effect
    assert effect != BaseReward.effect
    assert effect == effect.strip()
    assert not effect.endswith(".")


# --- schedules ---------------------------------------------------------------------------------------------------

SCHEDULE_CASES: list[tuple[str, dict[str, Any]]] = [
    ("none", {"initial_weight": 0.5}),
    ("constant", {}),
    ("linear", {"initial_weight": 1.0, "min_weight": 0.1, "decay_steps": 70, "start_step": 30}),
    ("linear_increase", {"initial_weight": 0.5, "max_weight": 2.0, "decay_steps": 70, "start_step": 30}),
    ("exponential", {"initial_weight": 1.0, "min_weight": 0.1, "decay_rate": 0.5, "decay_steps": 20, "start_step": 7}),
    ("cosine", {"initial_weight": 1.0, "min_weight": 0.1, "decay_steps": 70, "start_step": 30}),
    ("polynomial", {"initial_weight": 1.0, "min_weight": -0.1, "decay_steps": 70, "power": 0.3}),
    ("step", {"initial_weight": 1.0, "boundaries": [10, 20], "values": [3.0, 0.0]}),
    ("warmup", {"initial_weight": 1.0, "min_weight": 0.1, "decay_steps": 70, "start_step": 30}),
    ("cyclic", {"initial_weight": 1.0, "min_weight": 0.1, "decay_steps": 7, "start_step": 30}),
    ("gated", {"initial_weight": 1.0, "metric": "right", "threshold": 0.8, "decay_steps": 50, "window": 4}),
    ("gated", {"initial_weight": 0.2, "metric": "right", "threshold": 0.8, "direction": "below", "min_weight": 1.0}),
    ("lagrangian", {"initial_weight": 1.0, "target": 0.5, "learning_rate": 0.1, "start_step": 3}),
]


@pytest.mark.parametrize("check", checks_of(ScheduleConformance))
@pytest.mark.parametrize(("kind", "params"), SCHEDULE_CASES)
def test_schedule(kind: str, params: dict[str, Any], check: str) -> None:
    class Checked(ScheduleConformance):
        def schedule(self) -> Schedule:
            made: Schedule = SCHEDULES[kind](**params)
            return made

    getattr(Checked(), check)()


def test_every_kind_of_schedule_is_checked() -> None:
    missing = set(SCHEDULES) - {kind for kind, _ in SCHEDULE_CASES}
    assert not missing, f"add a case for {sorted(missing)}"


# --- potentials --------------------------------------------------------------------------------------------------

POTENTIAL_CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("info", {"info_key": "difficulty", "scale": -2.0}, {"difficulty": 0.25}),
    ("progress", {"scale": 0.5}, {"progress": 0.25}),
    ("embedding_similarity", {"target_text": "so the sum is 42"}, {}),
    ("embedding_similarity", {"target_embedding": hash_embedding(["42"], 16)[0].tolist()}, {}),
    ("embedding_similarity", {"target_embedding": [1.0, -2.0]}, {"embedding": [0.5, 0.25]}),
    ("keyword_coverage", {"keywords": ["first", "sum"]}, {}),
    ("keyword_coverage", {"keywords": ["First", "42"], "case_sensitive": True, "whole_words": False}, {}),
    ("target_length", {"target": 4}, {}),
    ("target_length", {"target": 9, "unit": "chars", "scale": 20.0}, {}),
    ("target_length", {"target": 4, "unit": "tokens"}, {"response_tokens": 3}),
    ("state_value", {"path": STORED_VALUE, "scale": 2.0}, {"difficulty": 0.5}),
    ("derivation", {"scale": 2.0}, {"task": {"gold": "42", "steps": [{"expression": "6*7", "value": "42"}]}}),
]


def visited_states(info: dict[str, Any]) -> list[RewardState]:
    asked = [{"role": "user", "content": "What is 6 * 7?"}]
    said = [*asked, {"role": "assistant", "content": "41"}, {"role": "user", "content": "Try again."}]
    return [
        RewardState("What is 6 * 7?", asked, "What is 6 * 7?", info),
        RewardState("What is 6 * 7?", asked, None, {**info, "response_so_far": "4"}),
        RewardState("What is 6 * 7?", said, "Try again.", {**info, "response_so_far": ""}),
        RewardState("What is 6 * 7?", said, "Try again.", {**info, "response_so_far": "First add, so the sum is 42"}),
    ]


@pytest.fixture(scope="module")
def stored_value(tmp_path_factory: pytest.TempPathFactory) -> str:
    states = visited_states({"difficulty": 0.5}) + visited_states({"difficulty": 0.75})
    path = tmp_path_factory.mktemp("value") / "value.json"
    fit_state_value(states, [0.0, 0.1, 0.2, 1.0, 0.5, 0.5, 0.0, 0.7], dimension=32, info_keys=["difficulty"]).save(path)
    return str(path)


@pytest.mark.parametrize("check", checks_of(PotentialConformance))
@pytest.mark.parametrize(("name", "params", "info"), POTENTIAL_CASES)
def test_potential(name: str, params: dict[str, Any], info: dict[str, Any], check: str, stored_value: str) -> None:
    given = {key: stored_value if value == STORED_VALUE else value for key, value in params.items()}

    class Checked(PotentialConformance):
        registered_as = name
        empty_info = info
        hostile_chars = 30_000
        hostile_seconds = 3.0

        def potential(self) -> Potential:
            return potentials.potential_class(name)(**given)

        def states(self) -> list[RewardState]:
            return visited_states(info)

    getattr(Checked(), check)()


def test_every_registered_potential_is_checked() -> None:
    missing = own(potentials.potential_registry) - {name for name, _, _ in POTENTIAL_CASES}
    assert not missing, f"add a case for {sorted(missing)}"


# --- each check catches what it is there for ---------------------------------------------------------------------


class Broken(BaseReward):
    """Base of components with one fault each."""

    def __init__(self, factor: float = 2.0) -> None:
        self.factor = factor

    def __call__(self, transition: Transition) -> float | Score:
        return self.factor * len(transition.response) if transition.message_ended else 0.0


class NotFinite(Broken):
    def __call__(self, transition: Transition) -> float:
        return math.inf if transition.response else 0.0


class SaysError(Broken):
    def __call__(self, transition: Transition) -> Score:
        return Score(0.0, "error" if not transition.response else "ok")


class UnknownStatus(Broken):
    def __call__(self, transition: Transition) -> Score:
        return Score(0.0, "fine")


class NoNumber(Broken):
    def __call__(self, transition: Transition) -> Any:
        return transition.response


class BatchIsOther(Broken):
    def batch(self, transitions):
        return [self(transition) + 1e-6 for transition in transitions]


class BatchIsShort(Broken):
    def batch(self, transitions):
        return [self(transition) for transition in transitions[1:]]


class ComparesRows(Broken):
    def batch(self, transitions):
        return [float(place) for place, _ in enumerate(transitions)]


class Writes(Broken):
    def __call__(self, transition: Transition) -> float:
        transition.info["seen"] = True
        return 0.0


class ForgetsItsState(Broken):
    def __init__(self, factor: float = 2.0) -> None:
        super().__init__(factor)
        self.count = 0

    def __call__(self, transition: Transition) -> float:
        self.count += transition.message_ended
        return float(self.count) if transition.message_ended else 0.0


class StateIsNotPlain(Broken):
    def state_dict(self):
        return {"seen": deque([1.0])}

    def load_state_dict(self, state):
        pass


class HidesItsParameter(Broken):
    def __init__(self, factor: float = 2.0) -> None:
        self._factor = factor

    def __call__(self, transition: Transition) -> float:
        return self._factor * len(transition.response) if transition.message_ended else 0.0


class ChangesItsParameter(Broken):
    def __init__(self, factor: float = 2.0) -> None:
        super().__init__(factor * factor)


class ParameterIsNotPlain(Broken):
    def __init__(self, factor: float = 2.0) -> None:
        super().__init__(np.float64(factor))  # type: ignore[arg-type]


class ParsesJson(Broken):
    def __call__(self, transition: Transition) -> float:
        if transition.response in ANSWERS or not transition.message_ended:
            return 0.0
        return float(isinstance(json.loads(transition.response), list))


class CountsToInfinity(Broken):
    def __call__(self, transition: Transition) -> float:
        return math.inf if transition.message_ended and "Infinity" in transition.response else 0.0


class IsSlow(Broken):
    def __call__(self, transition: Transition) -> float:
        time.sleep(0.6 if transition.message_ended and len(transition.response) > 10_000 else 0.0)
        return 0.0


class ScoresEveryStep(Broken):
    def __call__(self, transition: Transition) -> float:
        return self.factor * len(transition.response)


BROKEN_COMPONENTS = [
    (NotFinite, "test_every_value_is_finite_and_has_a_status", "value 0 is inf"),
    (SaysError, "test_every_value_is_finite_and_has_a_status", "value 1 has status 'error'"),
    (UnknownStatus, "test_every_value_is_finite_and_has_a_status", "status must be one of .* got 'fine'"),
    (NoNumber, "test_every_value_is_finite_and_has_a_status", "must be a number or a Score, got 'the answer"),
    (BatchIsOther, "test_a_batch_equals_its_rows", "batch against single calls: value 0"),
    (BatchIsShort, "test_a_batch_equals_its_rows", "5 values instead of 6"),
    (ComparesRows, "test_the_order_of_the_rows_does_not_matter", "in reversed order: value 0"),
    (Writes, "test_scoring_changes_no_transition", "transition 0 was changed"),
    (ForgetsItsState, "test_the_state_is_plain_and_resumes_to_the_same_values", "resumed component: value 0 is 1.0"),
    (StateIsNotPlain, "test_the_state_is_plain_and_resumes_to_the_same_values", r"state_dict\(\)\['seen'\] is a deque"),
    (HidesItsParameter, "test_the_parameters_are_plain_and_build_the_same_component", "has no attribute 'factor'"),
    (ChangesItsParameter, "test_the_parameters_are_plain_and_build_the_same_component", "built from its parameters"),
    (ParameterIsNotPlain, "test_the_parameters_are_plain_and_build_the_same_component", "is a float64"),
    (ParsesJson, "test_no_text_makes_it_fail", "makes it raise JSONDecodeError|makes it raise RecursionError"),
    (CountsToInfinity, "test_no_text_makes_it_fail", "'not a number' gets inf"),
    (IsSlow, "test_no_text_makes_it_fail", r"takes 0\.[6-9] s|takes [1-9]"),
    (ScoresEveryStep, "test_a_message_is_scored_once", "before its message ends"),
]


def broken_conformance(cls: type[BaseReward]) -> type[ComponentConformance]:
    class Checked(ComponentConformance):
        hostile_chars = 20_000
        hostile_seconds = 0.5

        def component(self) -> BaseReward:
            return cls()

        def transitions(self) -> list[Transition]:
            return answers({})

    return Checked


@pytest.mark.parametrize(("cls", "check", "message"), BROKEN_COMPONENTS)
def test_a_broken_component_is_caught(cls, check, message):
    with pytest.raises(AssertionError, match=message):
        getattr(broken_conformance(cls)(), check)()


def test_the_unbroken_one_passes_and_every_check_has_a_broken_one():
    assert broken_conformance(Broken).run() == checks_of(ComponentConformance)
    assert {check for _, check, _ in BROKEN_COMPONENTS} == set(checks_of(ComponentConformance))


def test_a_run_stops_at_the_first_failure_and_names_it():
    with pytest.raises(AssertionError, match=r"Checked.test_a_batch_equals_its_rows: batch against"):
        broken_conformance(BatchIsOther).run()


class Straight:
    """A schedule without a fault, whose faulty variants each replace one thing."""

    def __init__(self, initial_weight: float = 1.0, start_step: int = 0) -> None:
        self.initial_weight, self.start_step = initial_weight, start_step

    def __call__(self, step: int) -> float:
        return self.initial_weight

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    __hash__ = None  # type: ignore[assignment]


class Counting(Straight):
    def __call__(self, step: int) -> float:
        self.calls = getattr(self, "calls", 0) + 1
        return 1.0 / self.calls


class LeavesBounds(Straight):
    def __call__(self, step: int) -> float:
        return self.initial_weight + 1e-6 * step


class TurnsNan(Straight):
    def __call__(self, step: int) -> float:
        return math.nan if step > 10**9 else 1.0


class StartsEarly(Straight):
    def __init__(self, initial_weight: float = 1.0, start_step: int = 50) -> None:
        super().__init__(initial_weight, start_step)

    def __call__(self, step: int) -> float:
        return self.initial_weight if step < 40 else 0.5


class WithoutEquality(Straight):
    __eq__ = object.__eq__
    __hash__ = object.__hash__


class LosesItsParameter(Straight):
    def __init__(self, initial_weight: float = 1.0, slope: float = 2.0) -> None:
        super().__init__(initial_weight)
        self._slope = slope


@dataclass
class Gate:
    """Base of reactive schedules with one fault each."""

    initial_weight: float = 1.0
    min_weight: float = 0.0


def reactive(**methods: Any) -> type[Any]:
    from rlenvs.wrappers.schedules.base import ReactiveSchedule

    def observe(self: Any, values: Any, step: int) -> None:
        self.__dict__["_seen"] = self.__dict__.get("_seen", 0) + len(values)

    sound = {
        "__call__": lambda self, step: min(1.0, 0.001 * self.__dict__.get("_seen", 0)),
        "watches": lambda self, own: own,
        "observe": observe,
        "rule": lambda self: "rises with what is seen",
        "state_dict": lambda self: {"seen": self.__dict__.get("_seen", 0)},
        "load_state_dict": lambda self, state: self.__dict__.update(_seen=state["seen"]),
    }
    return type("Reactive", (Gate, ReactiveSchedule), sound | methods)


def multiplies(self: Any, values: Any, step: int) -> None:
    self.__dict__["_seen"] = self.__dict__.get("_seen", 0.0) + sum(values)


BROKEN_SCHEDULES = [
    (Counting, "test_it_is_a_function_of_the_clock", "was 1.0 and then"),
    (LeavesBounds, "test_every_weight_is_finite_and_between_its_bounds", r"outside \[1.0, 1.0\]"),
    (TurnsNan, "test_every_weight_is_finite_and_between_its_bounds", "is nan"),
    (StartsEarly, "test_it_starts_when_it_says", "moves before start_step 50"),
    (WithoutEquality, "test_it_survives_pickling_and_equals_its_like", "use a dataclass"),
    (LosesItsParameter, "test_its_parameters_are_plain_and_build_it_again", "has no attribute 'slope'"),
    (reactive(watches=lambda self, own: None), "test_what_it_watches_is_a_name", "must return a name, got None"),
    (reactive(rule=lambda self: " "), "test_what_it_watches_is_a_name", "must say in a sentence"),
    (
        reactive(observe=multiplies, __call__=lambda self, step: self.__dict__.get("_seen", 0.0)),
        "test_what_it_sees_keeps_the_weight_between_its_bounds",
        "outside|is nan",
    ),
    (reactive(load_state_dict=lambda self, state: None), "test_its_state_is_plain_and_resumes_to_the_same_weights", "another weight"),
    (reactive(state_dict=lambda self: {"seen": np.float64(0)}), "test_its_state_is_plain_and_resumes_to_the_same_weights", "float64"),
]  # fmt: skip


@pytest.mark.parametrize(("cls", "check", "message"), BROKEN_SCHEDULES)
def test_a_broken_schedule_is_caught(cls, check, message):
    class Checked(ScheduleConformance):
        def schedule(self) -> Schedule:
            return cls()

    with pytest.raises(AssertionError, match=message):
        getattr(Checked(), check)()


def test_every_check_of_schedules_has_a_broken_one():
    assert {check for _, check, _ in BROKEN_SCHEDULES} == set(checks_of(ScheduleConformance))


def test_a_schedule_without_named_ends_says_what_to_override():
    class Nameless(ScheduleConformance):
        def schedule(self) -> Schedule:
            return lambda step: 1.0

    with pytest.raises(AssertionError, match=r"override bounds\(\)"):
        Nameless().bounds()


class Sound(Potential):
    """Base of potentials with one fault each."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def __call__(self, state: RewardState) -> float:
        return self.scale * len(state.messages) + 0.01 * len(state.info.get("response_so_far", ""))


class CountsCalls(Sound):
    calls = itertools.count()

    def __call__(self, state: RewardState) -> float:
        return float(next(self.calls))


class WritesState(Sound):
    def __call__(self, state: RewardState) -> float:
        state.info["seen"] = True
        return 0.0


class NeedsText(Sound):
    def __call__(self, state: RewardState) -> float:
        return math.nan if len(state.messages) < 2 else 0.0


class OtherBatch(Sound):
    def batch(self, states):
        return np.arange(len(states), dtype=np.float64)


class WrongShape(Sound):
    def batch(self, states):
        return np.zeros((len(states), 1))


class RemembersItsVisit(Sound):
    """Phi that depends on how often it was asked within one object: each episode of a pipeline then differs."""

    def __call__(self, state: RewardState) -> float:
        self.__dict__["_asked"] = self.__dict__.get("_asked", 0) + 1
        return super().__call__(state) + 0.1 * self.__dict__["_asked"]

    def batch(self, states):
        return np.array([super(RemembersItsVisit, self).__call__(state) for state in states])


class LosesScale(Sound):
    def __init__(self, scale: float = 1.0) -> None:
        super().__init__(scale + 1.0)


class ParsesText(Sound):
    def __call__(self, state: RewardState) -> float:
        text = state.info.get("response_so_far", "")
        return 0.0 if text in ("", "4", "First add, so the sum is 42") else float(text)


class InfiniteText(Sound):
    def __call__(self, state: RewardState) -> float:
        return math.inf if "Infinity" in state.prompt else 0.0


class SlowText(Sound):
    def __call__(self, state: RewardState) -> float:
        time.sleep(0.6 if len(state.prompt) > 10_000 else 0.0)
        return 0.0


BROKEN_POTENTIALS = [
    (CountsCalls, "test_it_depends_on_the_state_alone", "in reversed order"),
    (WritesState, "test_it_depends_on_the_state_alone", "state 0 was changed"),
    (NeedsText, "test_every_value_is_finite_from_the_very_first_state_on", r"state 0 \(empty\) has nan"),
    (OtherBatch, "test_a_batch_equals_its_rows", "batch against single calls"),
    (WrongShape, "test_a_batch_equals_its_rows", r"returned shape \(4, 1\) for 4 states"),
    (RemembersItsVisit, "test_shaping_telescopes_for_both_endings", "terminated, gamma 1.0: the sum is"),
    (LosesScale, "test_its_parameters_are_plain_and_build_it_again", "built from its parameters"),
    (ParsesText, "test_no_text_makes_it_fail", "makes it raise ValueError"),
    (InfiniteText, "test_no_text_makes_it_fail", "'not a number' has inf"),
    (SlowText, "test_no_text_makes_it_fail", r"takes 0\.[6-9] s|takes [1-9]"),
]


def potential_conformance(cls: type[Potential]) -> type[PotentialConformance]:
    class Checked(PotentialConformance):
        hostile_chars = 20_000
        hostile_seconds = 0.5

        def potential(self) -> Potential:
            return cls()

        def states(self) -> list[RewardState]:
            return visited_states({})

    return Checked


@pytest.mark.parametrize(("cls", "check", "message"), BROKEN_POTENTIALS)
def test_a_broken_potential_is_caught(cls, check, message):
    with pytest.raises(AssertionError, match=message):
        getattr(potential_conformance(cls)(), check)()


def test_the_sound_potential_passes_and_every_check_has_a_broken_one():
    assert potential_conformance(Sound).run() == checks_of(PotentialConformance)
    assert {check for _, check, _ in BROKEN_POTENTIALS} == set(checks_of(PotentialConformance))


def test_a_name_of_another_potential_is_caught():
    class Misnamed(PotentialConformance):
        registered_as = "progress"

        def potential(self) -> Potential:
            return Sound()

        def states(self) -> list[RewardState]:
            return visited_states({})

    with pytest.raises(AssertionError, match="'progress' is registered for ProgressPotential"):
        Misnamed().test_its_parameters_are_plain_and_build_it_again()


# --- the texts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chars", [100, 5_000])
def test_hostile_texts_have_the_length_that_was_asked_for(chars):
    texts = hostile_texts(chars)
    assert sum(len(text) == chars for text in texts.values()) >= 20
    assert max(map(len, texts.values())) <= max(chars, 500)
    assert {"", "lone surrogate"} <= {*texts.values(), *texts}
    assert len(set(texts.values())) == len(texts)


def test_a_schedule_of_ones_own_passes():
    class Checked(ScheduleConformance):
        def schedule(self) -> Schedule:
            return LinearSchedule(1.0, 0.0, 10)

    assert Checked.run() == checks_of(ScheduleConformance)


def test_the_checks_need_no_test_framework():
    script = "import sys, rlenvs.wrappers.testing; print(sorted({'pytest', 'hypothesis', 'torch'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.strip() == "[]"


def test_they_are_test_cases_of_unittest_too_whichever_base_comes_first():
    class Given:
        def component(self) -> BaseReward:
            return LengthPenalty(max_length=2, unit="words")

        def transitions(self) -> list[Transition]:
            return [Transition(response=text) for text in ("short", "a longer answer")]

    class First(Given, ComponentConformance, unittest.TestCase):
        hostile_chars = 1000

    class Last(Given, unittest.TestCase, ComponentConformance):
        hostile_chars = 1000

    class Failing(First):
        def component(self) -> BaseReward:
            return StepPenalty()

    for cls, failures in ((First, 0), (Last, 0), (Failing, 1)):
        result = unittest.TestResult()
        unittest.defaultTestLoader.loadTestsFromTestCase(cls).run(result)
        assert result.testsRun == len(checks_of(ComponentConformance))
        assert (len(result.failures), result.errors) == (failures, []), result
