"""Held-out evaluation: by a second way of playing, and without a trace in the training."""

import random

import gymnasium as gym
import numpy as np
import pytest
import torch
from sb3_runs import SMALL, quiet, sb3_config

from rlenvs.agents.sb3 import train_sb3
from rlenvs.agents.sb3.algorithms import build_model
from rlenvs.agents.sb3.evaluation import HeldOutEvaluation
from rlenvs.agents.sb3.stack import EnvStack
from rlenvs.agents.sb3.state import own_randomness, random_state
from rlenvs.errors import ConfigError


def built(folder, name, *overrides):
    config = sb3_config(folder, name, "evaluation.problems=20", *overrides)
    stack = EnvStack(config)
    model = build_model(config, stack.env, stack.pad_id)
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter.mul_(5.0)  # so that actions depend on what is seen
    return HeldOutEvaluation(config), model


def one_by_one(evaluation, model):
    """The same problems in single environments, one after the other: returns, verdicts and all actions."""
    returns, correct, written = [], [], []
    env = gym.make("rlenvs/ArithmeticTokens-v0", digits=1, split="held_out")
    for problem in evaluation.problems:
        observation, _ = env.reset(options={"problem": problem})
        memory, start, over, paid = None, np.array([True]), False, 0.0
        written.append([])
        while not over:
            masks = {"action_masks": env.get_wrapper_attr("action_masks")()} if evaluation.masks_actions else {}
            action, memory = model.policy.predict(observation[None], memory, start, True, **masks)
            written[-1].append(int(action[0]))
            observation, reward, terminated, truncated, info = env.step(int(action[0]))
            start, over, paid = np.array([False]), terminated or truncated, paid + reward
        returns.append(paid)
        correct.append(info["correct"])
    return returns, correct, written


def side_by_side(evaluation, model, monkeypatch):
    """What the evaluation makes of them, and the actions that its environments were given."""
    written, rows = [], []
    real_reset, real_step = type(evaluation.envs).reset, type(evaluation.envs).step

    def reset(envs, *, seed=None, options=None):
        rows[:] = [len(written) + place for place in range(int(options["reset_mask"].sum()))]
        written.extend([] for _ in rows)
        return real_reset(envs, seed=seed, options=options)

    def step(envs, actions):
        for place, row in enumerate(rows):
            if not envs.over[place]:
                written[row].append(int(actions[place]))
        return real_step(envs, actions)

    monkeypatch.setattr(type(evaluation.envs), "reset", reset)
    monkeypatch.setattr(type(evaluation.envs), "step", step)
    marks = evaluation.play(model, deterministic=True)
    monkeypatch.undo()
    return marks, written


@pytest.mark.parametrize("name", SMALL)
def test_greedy_episodes_are_those_of_single_environments(tmp_path, name, monkeypatch):
    monkeypatch.setattr("rlenvs.agents.sb3.evaluation.CHUNK", 4)  # the last chunk is shorter
    evaluation, model = built(tmp_path, name)
    assert len(evaluation.problems) == 10
    marks, side_by_side_actions = side_by_side(evaluation, model, monkeypatch)
    returns, correct, actions = one_by_one(evaluation, model)
    assert side_by_side_actions == actions
    assert len({tuple(written) for written in actions}) > 1
    assert marks.returns.tolist() == returns
    assert marks.correct.tolist() == correct
    metrics = evaluation(model)
    assert metrics["accuracy/greedy"] == np.mean(correct)
    assert metrics["return/greedy"] == np.mean(returns)
    assert metrics["accuracy/problems"] == 10


class Oracle:
    """A policy that answers what the environment knows to be right."""

    def __init__(self, envs) -> None:
        self.envs = envs
        self.policy = self

    def predict(self, observations, memory, starts, deterministic):
        base = self.envs.unwrapped
        actions = []
        for row, episode in enumerate(base.episodes):
            written = len(base.messages.listed()[row])
            ids = [*base.tokenizer.encode(episode.problem.demonstration, add_special_tokens=False), base.eos_id]
            actions.append(ids[min(written, len(ids) - 1)])
        return np.array(actions), memory


def test_whoever_knows_the_answers_gets_all_marks(tmp_path):
    evaluation = HeldOutEvaluation(sb3_config(tmp_path, "ppo", "evaluation.problems=20"))
    metrics = evaluation(Oracle(evaluation.envs))
    assert (metrics["accuracy/greedy"], metrics["return/greedy"], metrics["accuracy/greedy_stderr"]) == (1.0, 1.0, 0.0)


def test_problems_are_held_out_and_the_same_every_time(tmp_path):
    evaluation, _ = built(tmp_path, "ppo")
    again, _ = built(tmp_path, "ppo")
    assert [problem.id for problem in evaluation.problems] == [problem.id for problem in again.problems]
    assert {problem.split for problem in evaluation.problems} == {"held_out"}


def test_a_training_does_not_notice_that_it_is_measured(tmp_path):
    """More evaluations change neither weights nor random streams."""
    often = train_sb3(sb3_config(tmp_path / "often", "dqn", "evaluation.every=1"), view=quiet())
    seldom = train_sb3(sb3_config(tmp_path / "seldom", "dqn", "evaluation.every=100"), view=quiet())
    assert often.after == seldom.after
    assert (often.run_dir / "rollouts.jsonl").read_text() == (seldom.run_dir / "rollouts.jsonl").read_text()


def test_own_randomness_leaves_the_generators_as_they_were():
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    expected = [random.random(), np.random.rand(), torch.rand(1).item()]
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    before = random_state()
    with own_randomness(7):
        inside = [random.random(), np.random.rand(), torch.rand(1).item(), np.random.normal()]
    with own_randomness(7):
        assert [random.random(), np.random.rand(), torch.rand(1).item(), np.random.normal()] == inside
    after = random_state()
    assert (before["python"], before["numpy"]) == (after["python"], after["numpy"])
    assert torch.equal(before["torch"], after["torch"])
    assert [random.random(), np.random.rand(), torch.rand(1).item()] == expected


def test_free_texts_have_a_return_and_no_accuracy(tmp_path):
    env = {"id": "rlenvs/TextGenerationTokens-v0", "kwargs": {"max_response_tokens": 3}, "num_envs": 4}
    rewards = {"reward_components": {"short": {"class": "LengthPenalty", "params": {"max_length": 1, "unit": "chars"}}}}
    metrics = train_sb3(sb3_config(tmp_path, "a2c", env=env, rewards=rewards), view=quiet()).after
    assert set(metrics) == {"accuracy/problems", "return/greedy", "return/sampled"}


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"id": "rlenvs/ArithmeticToken-v0"}, "env.id 'rlenvs/ArithmeticToken-v0': .*Did you mean"),
        ({"id": "CartPole-v1"}, "env.id 'CartPole-v1'"),
        ({"id": "rlenvs/ArithmeticTokens-v0", "kwargs": {"digit": 1}}, "env.kwargs.*digit"),
        ({"id": "rlenvs/ArithmeticTokens-v0", "kwargs": {"digits": 0}}, "env.kwargs: digits must be"),
    ],
)
def test_environments_that_cannot_serve_are_named_by_their_key(tmp_path, env, message):
    with pytest.raises(ConfigError, match=message):
        train_sb3(sb3_config(tmp_path, env=env | {"num_envs": 4}), view=quiet())
