"""The potential of a derivation that is being written: closed forms, and shaping that telescopes in its environment."""

import itertools

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rlenvs  # noqa: F401 - registers the ids
from rlenvs.wrappers import RewardState, ShapedReward, VectorShapedReward
from rlenvs.wrappers.potentials import DerivationPotential

GAMMA = 0.9
SMALL = {
    "source": {"name": "arithmetic", "digits": 1, "operands": 3, "working": True},
    "instructions": "",
    "feedback": dict.fromkeys(("reached", "wrong", "known", "early", "other", "unreadable"), "+"),
    "context_tokens": 24,
    "max_response_tokens": 8,
}
GUIDE = {"potential_function": "derivation", "gamma": GAMMA}
REWARDS = {
    "reward_components": {
        "correct": {"class": "CorrectnessReward"},
        "guide": {"class": "LLMPotentialBasedReward", "params": GUIDE},
    }
}
TASK = {
    "type": "math",
    "gold": "14",
    "extract": "whole",
    "steps": [{"expression": "2+7", "value": "9"}, {"expression": "9+5", "value": "14"}],
}


@pytest.mark.parametrize(
    ("info", "value"),
    [
        ({"steps_done": 0, "response_so_far": ""}, 0.0),
        ({"steps_done": 0, "response_so_far": "2+"}, 2 / 5 / 3),
        ({"steps_done": 0, "response_so_far": "2 + 7 ="}, 4 / 5 / 3),
        ({"steps_done": 0, "response_so_far": "2+9=9"}, 0.0),
        ({"steps_done": 0, "response_so_far": "2+7=9"}, 1 / 3),
        ({"steps_done": 0, "response_so_far": "2+7=91"}, 0.0),
        ({"steps_done": 1, "response_so_far": "9+4"}, 1 / 3),
        ({"steps_done": 1, "response_so_far": "2+7=9", "response": "2+7=9"}, 1 / 3),
        ({"steps_done": 1, "response_so_far": "9+5=1"}, (1 + 5 / 6) / 3),
        ({"steps_done": 2, "response_so_far": "1"}, (2 + 1 / 2) / 3),
        ({"steps_done": 2, "response_so_far": "14"}, 1.0),
        ({"steps_done": 2, "response_so_far": "9+5=14", "response": "9+5=14"}, 2 / 3),
    ],
)
def test_the_share_of_a_derivation(info, value):
    state = RewardState(info={"task": TASK, **info})
    assert DerivationPotential()(state) == pytest.approx(value)
    assert DerivationPotential(scale=-3.0)(state) == pytest.approx(-3.0 * value)


@pytest.mark.parametrize("info", [{}, {"task": {}}, {"task": {"gold": "3", "steps": []}}, {"task": None}])
def test_without_a_derivation_there_is_nothing_to_pay(info):
    assert DerivationPotential()(RewardState(info={"response_so_far": "3", **info})) == 0.0


@given(text=st.text(max_size=40), done=st.integers(0, 9))
def test_any_text_stays_in_the_stated_range(text, done):
    value = DerivationPotential()(RewardState(info={"task": TASK, "steps_done": done, "response_so_far": text}))
    assert 0.0 <= value <= 1.0


def derivation(task):
    return [f"{step['expression']}={step['value']}" for step in task["steps"]] + [task["gold"]]


def test_shaping_telescopes_over_a_derivation_and_grows_with_every_token():
    env = ShapedReward(gym.make("rlenvs/MathStepsTokens-v0", **SMALL), REWARDS)
    _, info = env.reset(seed=0)
    base, rewards, terms, raw = env.unwrapped, [], [], []
    for message in derivation(info["task"]):
        for token in [*base.tokenizer.encode(message), base.eos_id]:
            _, reward, terminated, truncated, info = env.step(token)
            rewards.append(reward)
            terms.append(info["reward_potential"])
            raw.append(info["reward_components"]["guide"]["raw"])
    assert terminated
    assert not truncated
    assert info["env_reward"] == 1.0
    assert sum(GAMMA**t * term for t, term in enumerate(terms)) == pytest.approx(0.0, abs=1e-12)
    assert raw[-2] == pytest.approx(1.0)
    assert raw[-1] == 0.0, "a terminal state has no potential"
    assert all(after >= before for before, after in itertools.pairwise(raw[:-1]))
    assert rewards == pytest.approx([term + (place == len(terms) - 1) for place, term in enumerate(terms)])


def test_the_vector_form_pays_what_single_environments_pay():
    singles = [ShapedReward(gym.make("rlenvs/MathStepsTokens-v0", **SMALL), REWARDS) for _ in range(3)]
    envs = VectorShapedReward(gym.make_vec("rlenvs/MathStepsTokens-v0", num_envs=3, **SMALL), REWARDS)
    envs.reset(seed=5)
    texts = []
    for row, env in enumerate(singles):
        _, info = env.reset(seed=5 + row)
        texts.append(derivation(info["task"]))
    tokenizer = singles[0].unwrapped.tokenizer
    tokens = [[token for text in row for token in [*tokenizer.encode(text), 1]] for row in texts]
    for place in range(min(map(len, tokens)) - 1):
        actions = [row[place] for row in tokens]
        alone = [env.step(action)[1] for env, action in zip(singles, actions, strict=True)]
        np.testing.assert_allclose(envs.step(np.array(actions))[1], alone, atol=1e-12)
