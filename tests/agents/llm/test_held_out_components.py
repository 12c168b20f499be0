"""Where no answer is right, reward components say on held-out problems what a policy is worth."""

import numpy as np
import pytest
from scripted_policy import scripted
from tiny import TINY_RUN

from rlenvs.agents.llm import TrainConfig, train
from rlenvs.agents.llm.callbacks import BestModel, TargetStop
from rlenvs.agents.llm.config import SamplingConfig
from rlenvs.agents.llm.evaluation import Examination, HeldOutEvaluation, evaluate_model, held_out_problems
from rlenvs.agents.llm.rollout.chat import ChatFormat
from rlenvs.errors import ConfigError

INSTRUCTION = {"id": "rlenvs/Instruction-v0", "kwargs": {"groups": ["case"], "max_instructions": 1}}
REWARDS = {
    "reward_components": {
        "follows": {"class": "InstructionReward", "params": {"info_key": "task.instructions"}},
        "short": {"class": "LengthPenalty", "params": {"max_length": 2, "penalty_per_token": -1.0, "unit": "tokens"}},
        "guide": {
            "class": "LLMPotentialBasedReward",
            "params": {"potential_function": "info", "potential_params": {"info_key": "difficulty"}},
        },
    },
    # Weights of training say nothing about what is measured.
    "reward_shaping": {"follows": {"initial_weight": 7.0}, "short": {"initial_weight": 0.0}},
}
SIZES = {"hidden_size": 32, "layers": 1, "heads": 2}
RUN = TINY_RUN | {
    "env": INSTRUCTION,
    "rewards": REWARDS,
    "policy": {"embedded": SIZES | {"warm_start": {"target_accuracy": None, "max_steps": 2, "batch_size": 4}}},
    "rollout": {"episodes": 6, "max_new_tokens": 4, "context_tokens": 256},
    "ppo": {"iterations": 2, "minibatches": 2, "warmup_steps": 0},
    "evaluation": {"every": 1, "problems": 8, "components": ["short", "follows"]},
}


def evaluate(env, say, components, chunk=512, count=7):
    problems = held_out_problems(env["id"], env["kwargs"], count, seed=0)
    run = TrainConfig.load(RUN | {"env": env, "evaluation": {"components": components}})
    found = Examination(env["id"], env["kwargs"], problems, chunk, run.evaluated_rewards())
    policy, engine = scripted(say)
    config = SamplingConfig(max_new_tokens=8, context_tokens=400)
    return HeldOutEvaluation(found, ChatFormat(policy.tokenizer), config, seed=0)(policy, engine)


@pytest.mark.parametrize("chunk", [512, 3])
def test_the_mean_raw_value_of_each_component(chunk):
    metrics = evaluate(INSTRUCTION, lambda text: "+-", ["follows", "short"], chunk)
    assert "accuracy/greedy" not in metrics, "no text of these problems is right or wrong"
    assert metrics["accuracy/problems"] == 7
    assert metrics["return/greedy"] == 0.0, "what the environment pays, not the components"
    assert metrics["held_out/follows/greedy"] == 0.0, "no letters: neither in capitals nor without"
    assert metrics["held_out/short/sampled"] == pytest.approx(-1.0), "two characters and the end, two are allowed"
    assert not any("guide" in key for key in metrics)


def test_the_instruction_of_each_problem_is_the_one_that_counts():
    asked = held_out_problems(INSTRUCTION["id"], INSTRUCTION["kwargs"], 40, seed=0)
    loud = np.mean([problem.task["instructions"][0]["type"] == "all_uppercase" for problem in asked])
    found = Examination(
        INSTRUCTION["id"], INSTRUCTION["kwargs"], asked, rewards=TrainConfig.load(RUN).evaluated_rewards()
    )
    found.envs.reset(seed=0, options={"problems": list(asked)})
    found.envs.annotate([{"response_tokens": 1}] * 40)
    *_, infos = found.envs.step(["LOUD"] * 40)
    assert infos["reward_components"]["follows"]["raw"].mean() == pytest.approx(loud)
    assert 0.2 < loud < 0.8


def test_where_answers_are_right_or_wrong_both_are_measured():
    env = {"id": "rlenvs/Arithmetic-v0", "kwargs": {"digits": 1, "operators": "+"}}
    right = lambda text: str(sum(map(int, text.rstrip("=").split("+"))))  # noqa: E731
    metrics = evaluate(env, right, ["short"], count=5)
    assert metrics["accuracy/greedy"] == metrics["return/greedy"] == 1.0
    assert metrics["held_out/short/greedy"] <= 0.0


def test_a_run_measures_them_and_callbacks_read_them(tmp_path):
    callbacks = [BestModel("held_out/short/greedy"), TargetStop(-100.0, "held_out/short/greedy")]
    config = TrainConfig.load(RUN, [f"output.dir={tmp_path / 'run'}"])
    result = train(config, callbacks=callbacks)
    assert "held_out/short/greedy" in result.before
    assert 0.0 <= result.after["held_out/follows/sampled"] <= 1.0
    assert result.stop_reason.startswith("held_out/short/greedy reached -100")
    assert (tmp_path / "run" / "best" / "best.json").is_file()
    again = evaluate_model(tmp_path / "run" / "model")
    assert {key: again[key] for key in result.after} == pytest.approx(result.after)
    elsewhere = evaluate_model(tmp_path / "run" / "model", "rlenvs/Arithmetic-v0", limit=3)
    assert "accuracy/greedy" in elsewhere
    assert not any(key.startswith("held_out/") for key in elsewhere), "those rewards are of another environment"


@pytest.mark.parametrize(("name", "message"), [("folows", "did you mean 'follows'"), ("guide", "no reward component")])
def test_only_components_with_a_value_of_their_own_can_be_asked(name, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig.load(RUN | {"evaluation": {"components": [name]}})


def test_a_warm_start_with_a_target_needs_answers_that_can_be_right(tmp_path):
    goal = ["policy.embedded.warm_start.target_accuracy=0.5", f"output.dir={tmp_path / 'run'}"]
    with pytest.raises(
        ConfigError, match=r"target_accuracy: env.id 'rlenvs/Instruction-v0' does not say what is correct"
    ):
        train(TrainConfig.load(RUN, goal))
    assert not (tmp_path / "run").exists()
