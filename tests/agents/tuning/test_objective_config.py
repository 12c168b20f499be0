"""Objectives in configurations: what is refused before anything runs, and that YAML and Python call the same."""

import os
import subprocess
import sys
from pathlib import Path

import cloudpickle
import pytest
from pydantic import TypeAdapter

from rlenvs.agents.runs.section import Section
from rlenvs.agents.tuning.objectives import ObjectiveConfig, llm_objective, sb3_objective
from rlenvs.agents.tuning.space import SearchSpace
from rlenvs.config_file import parse_config
from rlenvs.errors import ConfigError


class Study(Section):
    objective: ObjectiveConfig


def objective_of(**settings):
    return parse_config(Study, {"objective": settings}).objective


def space_at(*paths):
    return SearchSpace.parse({path: {"type": "float", "low": 0.0, "high": 1.0} for path in paths})


SB3 = {
    "env": {"id": "rlenvs/ArithmeticTokens-v0"},
    "rewards": {"reward_components": {"right": {"class": "CorrectnessReward"}}},
    "algorithm": {"name": "ppo", "total_timesteps": 4096},
}
LLM = {
    "env": {"id": "rlenvs/Arithmetic-v0"},
    "rewards": {
        "reward_components": {
            "right": {"class": "CorrectnessReward"},
            "polite": {"class": "KeywordOverlapReward", "params": {"keywords": ["please"]}},
        }
    },
    "evaluation": {"components": ["polite"]},
}
WEIGHT = "rewards.reward_shaping.right.initial_weight"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "sb4"}, "objective.kind: unknown 'kind' 'sb4'|did you mean 'sb3'"),
        ({"kind": "sb3", "metrics": [{"name": "return/shaped"}]}, r"objective.metrics.0.name: 'return/shaped' is paid"),
        ({"kind": "llm", "metrics": [{"name": "length/mean", "direction": "minimize"}]}, "says what a run costs"),
        ({"kind": "sb3", "metrics": []}, "objective.metrics: expected at least one"),
        ({"kind": "sb3", "metrics": [{"name": "return/greedy"}] * 2}, "'return/greedy' is given twice"),
        ({"kind": "sb3", "seeds": [1, 1]}, "objective.seeds: expected at least one, all different"),
        (
            {"kind": "sb3", "constraints": [{"metric": "kl"}]},
            "objective.constraints.0.at_most: give at_most or at_least",
        ),
        ({"kind": "offline", "rollouts": "r.jsonl", "metrics": [{"name": "auk"}]}, "objective.metrics.0.name"),
        ({"kind": "offline", "rollouts": "r.jsonl", "held_out": 1.0}, "objective.held_out: must be < 1"),
        ({"kind": "offline"}, "objective: missing key 'rollouts'"),
    ],
)
def test_mistakes_are_named_at_their_place(settings, message):
    with pytest.raises(ConfigError, match=message):
        objective_of(**settings)


def test_what_misleads_can_be_forced():
    forced = objective_of(kind="sb3", force=True, metrics=[{"name": "return/shaped"}])
    forced.check(SB3, space_at("env.kwargs.digits", "evaluation.problems"))


def test_cost_may_stand_beside_what_was_learned():
    two = objective_of(
        kind="llm", metrics=[{"name": "accuracy/greedy"}, {"name": "length/mean", "direction": "minimize"}]
    )
    call = two.build(Path("study"))
    assert call.func is llm_objective
    assert call.keywords["metric"] == ["accuracy/greedy", "length/mean"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("env.kwargs.digits", "an easier task looks like a better reward; leave it out, or set objective.force: true"),
        ("env.id", "another task is another measure"),
        ("evaluation.problems", "it decides what is measured"),
        ("seed", "every trial trains with the objective's seeds; leave it out$"),
        ("output.log_every", "it is set by the study"),
    ],
)
def test_a_space_cannot_tune_what_measures(path, message):
    with pytest.raises(ConfigError, match=f"search space at '{path}': {message}"):
        objective_of(kind="sb3").check(SB3, space_at(path))


def test_a_space_may_tune_the_rest():
    objective_of(kind="sb3").check(SB3, space_at(WEIGHT, "env.num_envs", "algorithm.learning_rate"))


@pytest.mark.parametrize(
    ("kind", "base"), [("sb3", LLM), ("llm", SB3), ("sb3", {"reward_components": {}}), ("llm", {"env": {}, "sft": {}})]
)
def test_a_base_of_another_kind_is_refused(kind, base):
    with pytest.raises(ConfigError, match=f"objective.kind: {kind!r} trains .* which the base is not"):
        objective_of(kind=kind).check(base, space_at(WEIGHT))


POLITE = {"kind": "llm", "metrics": [{"name": "held_out/polite/greedy"}]}


def test_a_component_measures_as_long_as_only_its_weight_is_tuned():
    objective = objective_of(**POLITE)
    objective.check(LLM, space_at("rewards.reward_shaping.polite.initial_weight", WEIGHT))
    with pytest.raises(ConfigError, match=r"polite.params.x': it changes what 'held_out/polite/greedy' means"):
        objective.check(LLM, space_at("rewards.reward_components.polite.params.x"))
    with pytest.raises(ConfigError, match=r"add 'polite' to evaluation\.components of the base"):
        objective.check(LLM | {"evaluation": {}}, space_at(WEIGHT))


def test_the_same_in_the_guides_dialect():
    guide = LLM | {"rewards": {"reward_shaping": {"polite": {"class": "KeywordOverlapReward", "params": {}}}}}
    objective = objective_of(**POLITE)
    objective.check(guide, space_at("rewards.reward_shaping.polite.weight_schedule.initial_weight"))
    with pytest.raises(ConfigError, match="it changes what 'held_out/polite/greedy' means"):
        objective.check(guide, space_at("rewards.reward_shaping.polite.params.x"))


def test_fresh_seeds_are_used_by_no_trial():
    assert objective_of(kind="sb3", seeds=3).fresh_seeds(3) == (1000, 1001, 1002)
    assert objective_of(kind="sb3", seeds=[1001, 5]).fresh_seeds(3) == (1000, 1002, 1003)
    assert objective_of(kind="sb3").fresh_seeds(0) == ()


def test_what_a_worker_is_sent_is_what_was_built():
    built = objective_of(
        kind="sb3", seeds=[4], keep="all", constraints=[{"metric": "length/mean", "at_most": 3}]
    ).build(Path("study"))
    sent = cloudpickle.loads(cloudpickle.dumps(built))
    assert sent.func is sb3_objective
    assert sent.keywords == built.keywords
    assert sent.keywords["seeds"] == [4]
    assert sent.keywords["folder"] == Path("study")
    assert sent.keywords["constraints"][0].name == "length/mean <= 3"


def test_editors_get_a_schema():
    kinds = TypeAdapter(ObjectiveConfig).json_schema()["discriminator"]["mapping"]
    assert set(kinds) == {"sb3", "llm", "offline"}


def test_reading_a_configuration_needs_neither_torch_nor_optuna():
    script = (
        "import sys, rlenvs.agents.tuning.objectives.config\n"
        "print([name for name in ('torch', 'optuna', 'stable_baselines3', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=os.environ, check=True)
    assert done.stdout.strip() == "[]"
