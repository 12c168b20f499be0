"""What a run stores is enough to score it again: the same transitions, and so the same rewards, to the last bit."""

import copy
import io
import json
from dataclasses import asdict
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch

from rlenvs.agents.llm import TrainConfig, train
from rlenvs.agents.llm.config import RolloutConfig
from rlenvs.agents.llm.engines import GenerateEngine
from rlenvs.agents.llm.rollout.chat import ChatFormat
from rlenvs.agents.llm.rollout.collect import RolloutCollector
from rlenvs.agents.llm.rollout.records import MAX_VALUE_CHARS, storable
from rlenvs.agents.reporting import make_view
from rlenvs.cli import main
from rlenvs.envs.protocol import Protocol, SingleAnswer, Turn
from rlenvs.envs.text_vector_env import TextVectorEnv
from rlenvs.problems import ArithmeticSource
from rlenvs.wrappers import VectorShapedReward
from rlenvs.wrappers.base import BaseReward
from rlenvs.wrappers.config.rewards import build_pipeline
from rlenvs.wrappers.layers.single_purpose import VectorComposedReward
from rlenvs.wrappers.pipeline import RewardPipeline
from rlenvs.wrappers.rescoring.rescore import rescore
from rlenvs.wrappers.rescoring.stored_steps import StoredFields


class ThreeTries(SingleAnswer, Protocol):
    """A word of advice first; a wrong answer is answered by "-1+" and another try, up to three."""

    def open(self, problem):
        return [{"role": "user", "content": "1-1"}, *super().open(problem)]

    def respond(self, problem, turn, grade):
        over = grade.correct or turn == 3
        return Turn(observation="" if over else "-1+", terminated=over)


class Spy(BaseReward):
    """Remembers every transition as it was when it was scored."""

    def __init__(self):
        self.seen = []

    def __call__(self, transition):
        return self.batch([transition])[0]

    def batch(self, transitions):
        self.seen.append([copy.deepcopy(transition) for transition in transitions])
        return [float(len(transition.response)) for transition in transitions]


ENDINGS = {
    "by the environment": {},
    "by the turn limit": {"max_episode_steps": 2},
    "for want of context": {"context": 12},
}


def play(policy, wrap, iterations=3, max_episode_steps=None, context=60):
    """Play as the trainer does; returns the records after a trip through the file."""
    envs = wrap(TextVectorEnv(ArithmeticSource(digits=1), 6, max_episode_steps, "Disabled", protocol=ThreeTries()))
    config, generator = (
        RolloutConfig(episodes=6, max_new_tokens=3, context_tokens=context),
        torch.Generator().manual_seed(0),
    )
    collector = RolloutCollector(envs, policy, GenerateEngine(policy), ChatFormat(policy.tokenizer), config, generator)
    stored, clock = [], 0
    for iteration in range(1, iterations + 1):
        envs.set_global_step(clock)
        _, records = collector.collect(seed=0 if iteration == 1 else None)
        stored += [record | {"iteration": iteration, "step": clock} for record in records]
        clock += len(records)
    return [json.loads(json.dumps(record)) for record in stored]


def steps(rows):
    return [StoredFields().read(row, f"line {number}", number) for number, row in enumerate(rows, start=1)]


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_transition_is_rebuilt(policy, ending):
    trained, rescored = Spy(), Spy()
    rows = play(policy, lambda envs: VectorComposedReward(envs, {"spy": trained}), **ENDINGS[ending])
    for _ in rescore(steps(rows), RewardPipeline({"spy": rescored})):
        pass
    assert [len(call) for call in trained.seen] == [len(call) for call in rescored.seen]
    assert max(row["turn"] for row in rows) >= (ending != "for want of context")
    for then, now in zip(chain(*trained.seen), chain(*rescored.seen), strict=True):
        assert asdict(then) == asdict(now)


REWARDS = {
    "reward_components": {
        "right": {"class": "CorrectnessReward", "normalization": {"strategy": "z_score", "window": 9, "warmup": 3}},
        "env": {"class": "EnvReward", "normalization": "group"},
        "long": {"class": "LengthPenalty", "max_length": 1, "penalty_per_token": -0.3, "normalization": "rank"},
        "form": {"class": "FormattingReward", "format": "regex", "pattern": "[0-9]+"},
        "guide": {
            "class": "LLMPotentialBasedReward",
            "potential_function": "target_length",
            "potential_params": {"target": 2, "scale": 3.0, "unit": "chars"},
        },
        "hard": {
            "class": "LLMPotentialBasedReward",
            "potential_function": "info",
            "potential_params": {"info_key": "difficulty"},
        },
    },
    "reward_shaping": {
        "form": {"initial_weight": 1.0, "decay_schedule": "linear", "decay_steps": 40},
        "guide": {"initial_weight": 1.0, "decay_schedule": "exponential", "decay_rate": 0.9, "decay_steps": 5},
    },
    "composer_settings": {"output_normalization_strategy": "batch"},
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_reward_and_each_of_its_parts_comes_out_the_same(policy, ending):
    rows = play(policy, lambda envs: VectorShapedReward(envs, REWARDS), **ENDINGS[ending])
    pipeline = RewardPipeline.from_config(REWARDS)
    place = 0
    for batch in rescore(steps(rows), pipeline):
        for row, total in enumerate(batch.result.total.tolist()):
            stored = rows[place]
            assert total == stored["reward"]
            for column, name in enumerate(pipeline.names):
                part = stored["components"][name]
                assert part["raw"] == batch.result.raw[row, column]
                assert part["weight"] == batch.result.weights[column]
                assert part["contribution"] == batch.result.contributions[row, column]
                assert part["status"] == batch.result.status[row, column]
            place += 1
    assert place == len(rows)
    assert len({row["reward"] for row in rows}) > 5, "an example in which rewards are all alike shows nothing"


def test_what_a_record_needs_for_that_is_stored_once(policy):
    rows = play(policy, lambda envs: VectorShapedReward(envs, REWARDS))
    later = [row for row in rows if row["turn"]]
    assert later
    assert not any("start" in row or "opening" in row for row in later)
    for row in rows:
        assert not set(row["info"]) & {"messages", "response", "problem_id", "correct", "grade_status", "env_reward"}
        assert "task" not in row["info"]  # the first state has it
        assert "next_prompt" not in row or not row["terminated"]


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, "x" * MAX_VALUE_CHARS, np.zeros(3), [float("inf")]])
def test_what_no_line_of_json_holds_is_left_out(value):
    assert storable({"odd": value, "score": 1.0}) == {"score": 1.0}


def test_a_run_scored_again_with_its_own_configuration_pays_what_it_paid(
    tiny_run: TrainConfig, capsys: pytest.CaptureFixture[str]
):
    run: Path = train(tiny_run, view=make_view(plain=True, stream=io.StringIO())).run_dir
    rows = [json.loads(line) for line in (run / "rollouts.jsonl").read_text().splitlines()]
    totals = np.concatenate([batch.result.total for batch in rescore(steps(rows), build_pipeline(tiny_run.rewards))])
    assert totals == pytest.approx([row["reward"] for row in rows], abs=1e-9)
    capsys.readouterr()
    assert main(["score", str(run), "--json"]) == 0
    [reward] = json.loads(capsys.readouterr().out)["rewards"]
    assert (reward["stored"], reward["same"]) == (len(rows), len(rows)) == (144, 144)
    assert reward["largest_change"] <= 1e-9
