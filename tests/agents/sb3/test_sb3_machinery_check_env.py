"""Stable-Baselines3's `check_env` finds nothing wrong, on any id of the token level, bare or inside any wrapper."""

import json

import gymnasium as gym
import pytest
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.monitor import Monitor

import rlenvs  # noqa: F401 - registers the environments
from rlenvs.registration import ENVIRONMENTS
from rlenvs.wrappers import ComposedReward, NormalizedReward, PotentialShaping, ScheduledReward, ShapedReward

ROWS = [row for row in ENVIRONMENTS if row.level == "token"]
SHORT = {
    "rlenvs/MathStepsTokens-v0": {"max_turns": 2},
    "rlenvs/CodeTokens-v0": {"attempts": 2},
    "rlenvs/CodeRepairTokens-v0": {"attempts": 2},
    "rlenvs/ConversationTokens-v0": {"max_turns": 2},
}
PARTS = {"env": {"class": "EnvReward"}, "step": {"class": "StepPenalty"}}
DECAY = {"decay_schedule": "linear", "decay_steps": 10}
GUIDE = {"class": "LLMPotentialBasedReward", "params": {"potential_function": "progress", "gamma": 0.9}}
CONFIG = {
    "composer_settings": {"normalization_strategy": "z_score"},
    "reward_components": {**PARTS, "guide": GUIDE},
    "reward_shaping": {"step": DECAY, "guide": DECAY},
}
WRAPPERS = {
    "bare": lambda env: env,
    "ShapedReward": lambda env: ShapedReward(env, CONFIG),
    "ComposedReward": lambda env: ComposedReward(env, PARTS),
    "NormalizedReward": lambda env: NormalizedReward(env, "running"),
    "ScheduledReward": lambda env: ScheduledReward(env, {"env_reward": 0.5}),
    "PotentialShaping": lambda env: PotentialShaping(env, "progress", gamma=0.9),
    "stack": lambda env: PotentialShaping(
        ScheduledReward(NormalizedReward(ComposedReward(env, PARTS), "ema"), {"step": DECAY}), "progress", gamma=0.9
    ),
    "Monitor inside": lambda env: ShapedReward(Monitor(env), CONFIG),
    "Monitor outside": lambda env: Monitor(ShapedReward(env, CONFIG)),
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "sums.jsonl"
    path.write_text("".join(json.dumps({"question": f"{n} plus {n}?", "answer": str(2 * n)}) + "\n" for n in range(40)))
    return str(path)


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_check_env_finds_nothing_wrong(row, wrapper, dataset):
    if row.source == "reasoning_gym":
        pytest.importorskip("reasoning_gym")
    path = {"path": dataset} if row.source == "jsonl" else {}
    env = gym.make(row.id, max_response_tokens=3, **path, **SHORT.get(row.id, {}))
    check_env(WRAPPERS[wrapper](env))
    env.close()
