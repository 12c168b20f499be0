"""Infos that nobody has read stay unread inside a reward layer, and change nothing of what it pays or says."""

import gymnasium as gym
import numpy as np
import pytest
from collated_results import equal
from gymnasium.vector import VectorWrapper

import rlenvs  # noqa: F401 - registers the ids
from rlenvs.envs.deferred import DeferredInfos
from rlenvs.wrappers import VectorShapedReward

GUIDE = {"class": "LLMPotentialBasedReward", "params": {"potential_function": "progress", "gamma": 0.9}}
BY_TURNS = {**GUIDE, "params": {**GUIDE["params"], "level": "turn"}}
COLUMNS = {"env": {"class": "EnvReward"}, "guide": GUIDE}
EVERYTHING = {
    **COLUMNS,
    "right": {"class": "CorrectnessReward", "params": {"incorrect": -0.5}},
    "length": {"class": "LengthPenalty", "params": {"max_length": 1, "unit": "chars"}},
    "turns": BY_TURNS,
}
IDS = {
    "rlenvs/ArithmeticTokens-v0": {"digits": 1},
    "rlenvs/MathRetryTokens-v0": {"max_response_tokens": 4},
    "rlenvs/ConversationTokens-v0": {"max_turns": 2, "max_response_tokens": 3},
}


class Read(VectorWrapper):
    """Reads all infos at once, so that they are what any other environment gives."""

    def reset(self, *, seed=None, options=None):
        observations, infos = self.env.reset(seed=seed, options=options)
        return observations, dict(infos)

    def step(self, actions):
        *rest, infos = self.env.step(actions)
        return *rest, dict(infos)


def layered(env_id, components, mode, wrap):
    envs = gym.make_vec(env_id, num_envs=4, autoreset_mode=mode, max_episode_steps=9, **IDS[env_id])
    return VectorShapedReward(wrap(envs), {"reward_components": components})


@pytest.mark.parametrize("mode", ["SameStep", "NextStep", "Disabled"])
@pytest.mark.parametrize("components", [COLUMNS, EVERYTHING], ids=["by columns", "by rows"])
@pytest.mark.parametrize("env_id", IDS)
def test_unread_infos_pay_and_say_what_read_ones_do(env_id, components, mode):
    unread = layered(env_id, components, mode, lambda envs: envs)
    read = layered(env_id, components, mode, Read)
    for first, second in zip(unread.reset(seed=1), read.reset(seed=1), strict=True):
        assert equal(first, second) or (first == second)
    rng, over = np.random.default_rng(0), np.zeros(4, dtype=bool)
    for step in range(40):
        if mode == "Disabled" and over.any():
            unread.reset(options={"reset_mask": over}), read.reset(options={"reset_mask": over})
        tokens = rng.integers(1, unread.single_action_space.n, 4)
        tokens[rng.random(4) < 0.3] = unread.unwrapped.eos_id
        mine, yours = unread.step(tokens), read.step(tokens)
        assert all(equal(a, b) for a, b in zip(mine[:4], yours[:4], strict=True))
        np.testing.assert_array_equal(unread.last_env_rewards, read.last_env_rewards)
        if step % 4 == 0:
            assert equal(dict(mine[4]), dict(yours[4]))
        over = mine[2] | mine[3]
    assert unread.state_dict() == read.state_dict()


def test_a_reward_of_columns_reads_none_of_them():
    envs = layered("rlenvs/ArithmeticTokens-v0", COLUMNS, "SameStep", lambda envs: envs)
    rng = np.random.default_rng(0)
    _, infos = envs.reset(seed=0)
    ended = 0
    for _ in range(30):
        assert isinstance(infos, DeferredInfos)
        assert infos.pending
        assert all(arrival.infos(None, 4)._infos.pending for arrival in envs._current)
        *_, terminated, _, infos = envs.step(rng.integers(1, 17, 4))
        ended += terminated.sum()
    assert ended > 5


def test_what_a_caller_writes_into_infos_does_not_reach_the_layer():
    first, second = (layered("rlenvs/MathRetryTokens-v0", EVERYTHING, "SameStep", lambda envs: envs) for _ in range(2))
    rng = np.random.default_rng(2)
    (_, infos), _ = first.reset(seed=3), second.reset(seed=3)
    for _ in range(30):
        for key, value in list(infos.items()):
            if isinstance(value, np.ndarray) and value.dtype != object:
                value[...] = 1
            infos[key] = None
        tokens = rng.integers(1, first.single_action_space.n, 4)
        _, rewards, _, _, infos = first.step(tokens)
        np.testing.assert_array_equal(rewards, second.step(tokens)[1])
