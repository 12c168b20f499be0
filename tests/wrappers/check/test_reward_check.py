"""What a check says is true: for claims that small decision problems can decide, they are asked."""

import itertools
from pathlib import Path

import pytest

from rlenvs.wrappers.base import BaseReward
from rlenvs.wrappers.check.rewards import Finding, check_rewards, worst_verdict
from rlenvs.wrappers.check.weights import WeightPath
from rlenvs.wrappers.component_registry import component_registry
from rlenvs.wrappers.config.component import component_class, component_names
from rlenvs.wrappers.config.rewards import RewardConfig, build_pipeline
from rlenvs.wrappers.schedules.fixed import ConstantSchedule, ExponentialSchedule, LinearIncreaseSchedule, StepSchedule
from rlenvs.wrappers.schedules.ramps import CosineSchedule, CyclicSchedule, LinearSchedule
from rlenvs.wrappers.schedules.registry import SCHEDULES
from rlenvs.wrappers.transition import Transition

RECIPES = sorted((Path(__file__).parents[3] / "configs" / "rewards").glob("*.yaml"))
SHIPPED = [
    cls
    for cls in map(component_class, component_names())
    if cls.__module__.startswith("rlenvs.wrappers.components") and issubclass(cls, BaseReward)
]
TASK = {"class": "EnvReward"}
LONG = {"class": "LengthPenalty", "max_length": 8}
POTENTIAL = {"class": "LLMPotentialBasedReward", "potential_function": "progress", "gamma": 0.9}


def check(components, shaping=None, settings=None) -> list[Finding]:
    return check_rewards(
        {
            "composer_settings": settings or {},
            "reward_components": components,
            "reward_shaping": shaping or {},
        }
    )


def verdicts(findings, name=None, part=None) -> list[str]:
    return [f.verdict for f in findings if (name is None or f.name == name) and (part is None or f.part == part)]


def the(findings, name, part="component") -> Finding:
    (found,) = [finding for finding in findings if (finding.name, finding.part) == (name, part)]
    return found


class TestComponents:
    def test_the_task_and_a_potential_keep_the_optimum(self):
        findings = check({"task": TASK, "guide": POTENTIAL})
        assert [finding.verdict for finding in findings] == ["keeps", "keeps"]
        assert "gamma (0.9)" in the(findings, "guide").reason
        assert worst_verdict(findings) == "keeps"

    def test_a_moving_weight_sits_inside_the_potential(self):
        findings = check({"task": TASK, "guide": POTENTIAL}, {"guide": {"decay_schedule": "linear", "decay_steps": 9}})
        assert the(findings, "guide").verdict == "keeps"
        assert "inside the potential" in the(findings, "guide").reason

    def test_anything_else_says_what_a_policy_can_gain_by(self):
        finding = the(check({"task": TASK, "long": LONG}), "long")
        assert (finding.verdict, finding.reason) == ("changes", "a policy can gain by writing shorter messages")

    @pytest.mark.parametrize("cls", SHIPPED, ids=lambda cls: cls.__name__)
    def test_every_component_that_ships_says_it_in_a_sentence_of_its_own(self, cls):
        assert cls.effect != BaseReward.effect
        assert cls.effect[0].islower()
        assert not cls.effect.endswith(".")

    def test_a_reward_of_somebody_who_says_nothing(self, monkeypatch):
        class Silent(BaseReward):
            def __call__(self, transition):
                return 0.0

        monkeypatch.setitem(component_registry._classes, "Silent", Silent)
        assert the(check({"a": {"class": "Silent"}}), "a").reason == "a policy can gain by whatever it rewards"

    def test_nothing_stands_for_the_task(self):
        findings = check({"long": LONG})
        assert the(findings, "reward").verdict == "note"
        zero = check({"task": TASK, "long": LONG}, {"task": {"initial_weight": 0.0}})
        assert "no component is the task's own" in the(zero, "reward").reason
        assert not verdicts(check({"task": TASK, "long": LONG}), "reward")

    def test_failures_and_deadlines(self):
        findings = check({"task": TASK, "long": {**LONG, "on_error": "penalty", "error_value": -2, "timeout_s": 1.5}})
        stand_in, deadline = [finding for finding in findings if finding.part == "errors"]
        assert "counts as -2" in stand_in.reason
        assert "longer than 1.5 s to judge gets 0" in deadline.reason
        assert "mask" in the(check({"a": {**TASK, "on_error": "mask"}}), "a", "errors").reason

    def test_potentials_for_different_learners(self):
        findings = check({"a": POTENTIAL, "b": {**POTENTIAL, "gamma": 1.0}})
        assert the(findings, "reward", "gamma").verdict == "changes"
        assert "a 0.9, b 1" in the(findings, "reward", "gamma").reason
        assert not verdicts(check({"a": POTENTIAL, "b": POTENTIAL}), "reward", "gamma")
        silent = check({"a": POTENTIAL, "b": {**POTENTIAL, "gamma": 1.0}}, {"b": {"initial_weight": 0.0}})
        assert not verdicts(silent, "reward", "gamma")

    def test_potentials_alone_reward_nothing(self):
        finding = the(check({"guide": POTENTIAL}), "reward")
        assert (finding.verdict, "every policy is optimal" in finding.reason) == ("changes", True)
        zero = check({"guide": POTENTIAL, "task": TASK}, {"task": {"initial_weight": 0.0}})
        assert "every policy is optimal" in the(zero, "reward").reason


class TestWeights:
    @pytest.mark.parametrize(
        ("shaping", "verdict", "words"),
        [
            ({"decay_schedule": "linear", "decay_steps": 500, "start_step": 100}, "fades", "0 from step 600 on"),
            ({"decay_schedule": "exponential", "decay_rate": 0.5, "decay_steps": 100}, "fades", "1 % of the weight is left at step 665"),
            ({"decay_schedule": "linear", "decay_steps": 500, "min_weight": 0.1}, "changes", "shorter"),
            ({"decay_schedule": "cyclic", "decay_steps": 500}, "changes", "shorter"),
            ({"initial_weight": 0.0, "decay_schedule": "linear_increase", "max_weight": 1.0, "decay_steps": 5}, "changes", "shorter"),
            ({"decay_schedule": "step", "boundaries": [7], "values": [0.0]}, "fades", "0 from step 7 on"),
        ],
    )  # fmt: skip
    def test_a_weight_that_comes_to_zero_fades(self, shaping, verdict, words):
        finding = the(check({"task": TASK, "long": LONG}, {"long": shaping}), "long")
        assert finding.verdict == verdict
        assert words in finding.reason

    def test_a_weight_of_zero_throughout(self):
        findings = check({"task": TASK, "long": LONG}, {"long": {"initial_weight": 0.0}})
        assert verdicts(findings, "long") == ["note"]
        assert "never counts" in the(findings, "long", "weight").reason

    def test_a_task_that_fades_or_is_fined_changes(self):
        fading = check({"task": TASK, "long": LONG}, {"task": {"decay_schedule": "linear", "decay_steps": 5}})
        assert the(fading, "task").verdict == "changes"
        fined = check({"task": TASK}, {"task": {"initial_weight": -1.0}})
        assert the(fined, "task", "weight").verdict == "changes"

    def test_a_multiplier_bounds(self):
        shaping = {"long": {"decay_schedule": "lagrangian", "target": -0.5, "learning_rate": 0.1}}
        finding = the(check({"task": TASK, "long": LONG}, shaping), "long", "weight")
        assert finding.verdict == "changes"
        assert "holds its mean at -0.5" in finding.reason

    def test_a_gate_says_what_it_waits_for(self):
        shaping = {"long": {"decay_schedule": "gated", "metric": "task", "threshold": 0.5}}
        assert (
            "waits for component 'task'" in the(check({"task": TASK, "long": LONG}, shaping), "long", "weight").reason
        )
        shaping["long"]["metric"] = "tsak"
        reason = the(check({"task": TASK, "long": LONG}, shaping), "long", "weight").reason
        assert "no component; did you mean 'task'? A trainer has to report" in reason

    @pytest.mark.parametrize(
        ("schedule", "expected", "text"),
        [
            (ConstantSchedule(0.5), (0.5, 0.5, 0.5, 0.5), "0.5"),
            (LinearSchedule(1.0, -1.0, 10), (1.0, -1.0, -1.0, 1.0), "1 -> -1"),
            (LinearIncreaseSchedule(0.0, 3.0, 10), (0.0, 3.0, 0.0, 3.0), "0 -> 3"),
            (CosineSchedule(1.0, 0.0, 10), (1.0, 0.0, 0.0, 1.0), "1 -> 0"),
            (CyclicSchedule(1.0, 0.25, 10), (1.0, None, 0.25, 1.0), "1 in [0.25, 1]"),
            (ExponentialSchedule(1.0, -2.0, 0.5, 10), (1.0, 0.0, 0.0, 1.0), "1 -> 0"),
            (ExponentialSchedule(1.0, 0.1, 1.0, 10), (1.0, 1.0, 1.0, 1.0), "1"),
            (StepSchedule(1.0, [5, 9], [-4.0, 0.0]), (1.0, 0.0, -4.0, 1.0), "1 -> 0"),
        ],
    )  # fmt: skip
    def test_the_weights_of_a_schedule(self, schedule, expected, text):
        path = WeightPath.of(schedule)
        assert (path.start, path.end, path.lowest, path.highest) == expected
        assert str(path) == text
        seen = [schedule(step) for step in range(200)]
        assert path.lowest <= min(seen)
        assert max(seen) <= path.highest

    def test_every_schedule_has_a_weight_path(self):
        keys = {"initial_weight": 1.0, "min_weight": 0.5, "max_weight": 2.0, "decay_steps": 10, "decay_rate": 0.5, "boundaries": [1], "values": [0.5], "metric": "a", "threshold": 0.5, "target": 0.5, "learning_rate": 0.1}  # fmt: skip
        for cls in SCHEDULES.values():
            schedule = cls(**{key: value for key, value in keys.items() if key in cls.__dataclass_fields__})
            path = WeightPath.of(schedule)
            assert path.lowest <= path.start <= path.highest
            assert path.end is None or path.end == schedule(10**9)


class TestComposition:
    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            ({}, []),
            ({"normalization_strategy": "z_score"}, ["changes"]),
            ({"normalization_strategy": "min_max"}, ["changes"]),
            ({"normalization_strategy": "ema", "norm_center": False}, ["keeps"]),
            ({"normalization_strategy": "ema", "norm_center": False, "norm_clip": 3}, ["changes", "keeps"]),
            ({"normalization_strategy": "batch"}, ["changes", "note"]),
            ({"normalization_strategy": "group"}, ["changes", "note", "note"]),
            ({"normalization_strategy": "rank"}, ["changes", "note"]),
        ],
    )
    def test_normalisation_of_the_only_component(self, settings, expected):
        assert verdicts(check({"task": TASK}, settings=settings), "task", "normalization") == expected

    def test_scaling_one_of_several_moves_the_mix(self):
        settings = {"normalization_strategy": "running", "norm_center": False}
        findings = check({"task": TASK, "long": LONG, "guide": POTENTIAL}, settings=settings)
        assert verdicts(findings, "task", "normalization") == ["note"]
        assert not verdicts(findings, "guide", "normalization")

    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            ({"output_normalization_strategy": "running"}, ["changes"]),
            ({"output_normalization_strategy": "min_max", "output_clip": 0.5}, ["changes", "changes"]),
            ({"output_normalization_strategy": "group"}, ["changes", "note", "note"]),
        ],
    )
    def test_normalisation_of_the_whole(self, settings, expected):
        findings = check({"task": TASK}, settings=settings)
        assert verdicts(findings, "composer_settings", "output") == expected
        assert not any("norm_center" in finding.reason for finding in findings)  # which is no setting of the whole

    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            ({"reducer": "weighted_sum"}, []),
            ({"reducer": "hybrid", "reducer_params": {"model": ["long"]}}, []),
            ({"reducer": "product"}, ["changes"]),
            ({"reducer": "minimum"}, ["changes"]),
            ({"reducer": "gate", "reducer_params": {"gate": "task"}}, ["changes"]),
        ],
    )
    def test_reducers(self, settings, expected):
        findings = check({"task": TASK, "long": LONG}, settings=settings)
        assert verdicts(findings, "composer_settings", "reducer") == expected

    def test_a_product_with_a_weight_of_zero_is_nothing(self):
        findings = check({"task": TASK, "long": LONG}, {"long": {"initial_weight": 0.0}}, {"reducer": "product"})
        assert "every reward 0" in the(findings, "long", "reducer").reason
        assert "product still looks at it" in the(findings, "long", "weight").reason

    def test_a_minimum_with_a_weight_that_comes_to_zero_is_capped(self):
        shaping = {"long": {"decay_schedule": "linear", "decay_steps": 5}}
        findings = check({"task": TASK, "long": LONG}, shaping, {"reducer": "minimum"})
        assert "caps the reward at 0" in the(findings, "long", "reducer").reason

    @pytest.mark.parametrize("reducer", ["product", "minimum", "gate"])
    def test_of_one_component_every_reducer_is_that_component(self, reducer):
        params = {"reducer_params": {"gate": "task"}} if reducer == "gate" else {}
        settings = {"reducer": reducer, **params}
        config = {"composer_settings": settings, "reward_components": {"task": TASK}}
        assert worst_verdict(check_rewards(config)) == "keeps"
        pipeline = build_pipeline(RewardConfig.load(config))
        rewards = [-1.0, 0.0, 2.0]
        assert pipeline.compute([Transition(env_reward=r) for r in rewards], 0).total.tolist() == rewards

    def test_a_gate_of_weight_zero_still_gates(self):
        gate = {"reducer": "gate", "reducer_params": {"gate": "task"}}
        weights = {"task": {"initial_weight": 0.0}, "long": {"initial_weight": 0.0}}
        findings = check({"task": TASK, "long": LONG}, weights, gate)
        assert "gate still looks at it" in the(findings, "task", "weight").reason
        assert "never counts" in the(findings, "long", "weight").reason

    @pytest.mark.parametrize(
        ("settings", "task", "long"),
        [
            ({"reducer_params": {"weights": {"task": 0.0}}}, ["note"], ["changes"]),
            ({"reducer_params": {"weights": {"task": -1.0}, "default_weight": 0.0}}, ["keeps", "changes"], ["note"]),
            ({"reducer_params": {"weights": {"long": -1.0}}}, ["keeps"], ["changes", "note"]),
            ({"reducer": "hybrid", "reducer_params": {"model": ["long"], "alpha": 0.0}}, ["note"], ["changes"]),
            ({"reducer": "hybrid", "reducer_params": {"model": ["long"], "alpha": 1.0}}, ["keeps"], ["note"]),
        ],
    )
    def test_a_factor_of_the_reducer_is_part_of_the_weight(self, settings, task, long):
        findings = check({"task": TASK, "guide": POTENTIAL, "long": LONG}, settings=settings)
        assert verdicts(findings, "task") == task
        assert verdicts(findings, "long") == long

    def test_what_is_done_to_a_component_that_fades_fades_with_it(self):
        shaping = {"long": {"decay_schedule": "linear", "decay_steps": 5}}
        shifted = {**LONG, "normalization": {"strategy": "z_score", "clip": 3.0}}
        findings = check({"task": TASK, "long": shifted}, shaping)
        assert verdicts(findings, "long") == ["fades"] * 3
        assert worst_verdict(findings) == "fades"
        never = check({"task": TASK, "long": shifted}, {"long": {"initial_weight": 0.0}})
        assert verdicts(never, "long") == ["note"]


class TestTruth:
    """A policy that ends at once against one that goes on for three steps: who earns more?"""

    def returns(self, config) -> dict[str, float]:
        """Undiscounted return of each policy, once the statistics have seen both."""
        pipeline = build_pipeline(RewardConfig.load(config))
        policies = {"short": [1.0], "long": [0.4, 0.4, 0.4]}
        rows = [Transition(env_reward=reward) for rewards in policies.values() for reward in rewards] * 50
        for row in rows:
            pipeline.compute([row], 0)
        pipeline.freeze_statistics()
        return {
            name: sum(float(pipeline.compute([Transition(env_reward=reward)], 0).total[0]) for reward in rewards)
            for name, rewards in policies.items()
        }

    @pytest.mark.parametrize("where", ["normalization_strategy", "output_normalization_strategy"])
    @pytest.mark.parametrize("strategy", ["z_score", "running", "min_max"])
    def test_what_is_said_to_change_the_optimum_does(self, strategy, where):
        plain = self.returns({"reward_components": {"task": TASK}})
        assert plain["long"] > plain["short"]
        config = {"composer_settings": {where: strategy}, "reward_components": {"task": TASK}}
        shifted = self.returns(config)
        assert shifted["long"] < shifted["short"]
        assert worst_verdict(check_rewards(config)) == "changes"

    def test_what_is_said_to_keep_it_does(self):
        for strategy in ("z_score", "running", "ema"):
            settings = {"normalization_strategy": strategy, "norm_center": False}
            config = {"composer_settings": settings, "reward_components": {"task": TASK}}
            scaled = self.returns(config)
            assert scaled["long"] / scaled["short"] == pytest.approx(1.2)
            assert worst_verdict(check_rewards(config)) == "keeps"

    def test_reducers_prefer_what_they_are_said_to(self):
        """Two answers: one right and long, one wrong and short; the sum prefers the first."""
        parts = {"a": {"class": "InfoValueReward", "info_key": "a"}, "b": {"class": "InfoValueReward", "info_key": "b"}}
        answers = [{"a": 1.0, "b": -0.5}, {"a": 0.1, "b": 0.1}, {"a": -1.0, "b": -1.0}]

        def best(reducer):
            config = {"composer_settings": {"reducer": reducer}, "reward_components": parts}
            pipeline = build_pipeline(RewardConfig.load(config))
            totals = pipeline.compute([Transition(info=info) for info in answers], 0).total.tolist()
            return totals.index(max(totals))

        assert [best(reducer) for reducer in ("weighted_sum", "minimum", "product")] == [0, 1, 2]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_shipped_recipe_is_checked_part_by_part(path):
    config = RewardConfig.load(path)
    findings = check_rewards(config)
    assert {finding.name for finding in findings} >= set(config.reward_components)
    for finding in findings:
        assert "\n" not in finding.reason
        assert set(finding.to_dict()) == {"name", "part", "verdict", "reason"}


def test_the_worst_verdict_is_the_worst():
    order = ("note", "keeps", "fades", "changes")
    for first, second in itertools.product(order, repeat=2):
        findings = [Finding("a", "component", verdict, "") for verdict in (first, second)]
        assert worst_verdict(findings) == max(first, second, key=order.index)
    assert worst_verdict([]) == "keeps"
