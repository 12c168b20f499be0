"""The adapter gives what `DummyVecEnv` over single environments gives, for everything that an algorithm reads."""

import json

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st
from sb3_contrib import MaskablePPO, RecurrentPPO
from sb3_contrib.common.maskable.utils import get_action_masks
from sb3_twins import CASES, REWARDS, SUMS, Scribe, dummy
from stable_baselines3 import A2C, DQN, PPO

from rlenvs.agents.sb3.extractors import TokenEmbedding
from rlenvs.agents.sb3.vec_env import VectorEnvAdapter, make_vec_env

OF_THE_ADAPTER = {"is_success"}
OF_MONITOR = {"episode", "terminal_observation", "TimeLimit.truncated"}


def same(ours, theirs):
    """Equality of infos; shaped numbers may differ in the last place, as columns are not added row by row."""
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for key in theirs:
            same(ours[key], theirs[key])
    elif isinstance(theirs, np.ndarray | float):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
    else:
        assert ours == theirs


def check_ends(ours, theirs, adapter, dones, shaped):
    """The infos of one step."""
    for row, (mine, yours) in enumerate(zip(ours, theirs, strict=True)):
        assert mine["TimeLimit.truncated"] == yours["TimeLimit.truncated"]
        if not dones[row]:
            assert mine == {"TimeLimit.truncated": False}
            continue
        np.testing.assert_array_equal(mine["terminal_observation"], yours["terminal_observation"])
        assert mine["terminal_observation"].dtype == yours["terminal_observation"].dtype
        assert {key: mine["episode"][key] for key in "rl"} == {key: yours["episode"][key] for key in "rl"}
        assert mine["episode"]["shaped"] == pytest.approx(shaped[row], abs=2e-6)
        assert mine.get("is_success", False) == yours.get("correct", False)
        same(adapter.final_info(row), {key: value for key, value in yours.items() if key not in OF_MONITOR})


@pytest.mark.slow
@pytest.mark.ci
@settings(deadline=None, max_examples=25)
@given(
    case=st.sampled_from(sorted(CASES)),
    num_envs=st.integers(1, 5),
    limit=st.sampled_from([None, 1, 4, 15]),
    rewards=st.sampled_from([None, REWARDS]),
    seed=st.integers(0, 2**31),
)
def test_the_numbers_are_those_of_single_environments(case, num_envs, limit, rewards, seed):
    env_id, kwargs = CASES[case]
    theirs = dummy(env_id, num_envs, kwargs, rewards, limit)
    ours = make_vec_env(env_id, num_envs, kwargs, rewards, max_episode_steps=limit)
    assert (ours.observation_space, ours.action_space) == (theirs.observation_space, theirs.action_space)
    assert ours.seed(seed) == theirs.seed(seed)
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    same(ours.reset_infos, theirs.reset_infos)
    scribe, shaped = Scribe(theirs, seed), np.zeros(num_envs)
    for step in range(60):
        if step % 3 == 0:
            for envs in (ours, theirs):
                envs.env_method("set_global_step", step) if rewards else None
        np.testing.assert_array_equal(get_action_masks(ours), get_action_masks(theirs))
        tokens = scribe.tokens()
        mine, yours = ours.step(tokens), theirs.step(tokens)
        for place in (0, 2):
            np.testing.assert_array_equal(mine[place], yours[place])
        np.testing.assert_allclose(mine[1], yours[1], rtol=1e-6, atol=1e-6)
        assert [array.dtype for array in mine[:3]] == [array.dtype for array in yours[:3]]
        shaped += yours[1]
        check_ends(mine[3], yours[3], ours, yours[2], shaped)
        shaped[yours[2]] = 0.0
        if rewards is None:
            np.testing.assert_array_equal(ours.last_env_rewards, mine[1])
    for row in range(num_envs):
        same(ours.reset_infos[row], theirs.reset_infos[row])


ALGORITHMS = {
    "ppo": (PPO, {"n_steps": 16, "batch_size": 32, "n_epochs": 2}),
    "a2c": (A2C, {"n_steps": 8}),
    "dqn": (DQN, {"learning_starts": 32, "buffer_size": 200, "batch_size": 16, "train_freq": 2}),
    "maskable_ppo": (MaskablePPO, {"n_steps": 16, "batch_size": 32, "n_epochs": 2}),
    "recurrent_ppo": (RecurrentPPO, {"n_steps": 16, "batch_size": 32, "n_epochs": 2}),
}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_algorithm_learns_the_same_from_both(name):
    """To the bit: a truncation that got lost, or a buffer that changed behind an algorithm, would show."""
    algorithm, parameters = ALGORITHMS[name]
    learned = []
    for make in (dummy, lambda *args: make_vec_env(args[0], args[1], args[2], max_episode_steps=args[4])):
        envs = make(SUMS, 4, {"digits": 1}, None, 2)  # two tokens, so that most episodes are truncated
        policy = "MlpLstmPolicy" if name == "recurrent_ppo" else "MlpPolicy"
        extractor = {"features_extractor_class": TokenEmbedding, "features_extractor_kwargs": {"features_dim": 16}}
        model = algorithm(policy, envs, seed=3, gamma=0.9, device="cpu", policy_kwargs=extractor, **parameters)
        model.learn(192)
        learned.append((torch.cat([p.detach().flatten() for p in model.policy.parameters()]), model.ep_info_buffer))
    assert torch.equal(learned[0][0], learned[1][0])
    returns = [[(entry["r"], entry["l"]) for entry in entries] for _, entries in learned]
    assert returns[0] == returns[1]
    assert len(returns[0]) > 30


@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize("case", ["sums", "retries"])
def test_vector_environments_of_gymnasium_serve_too(case, copy):
    """Without copies they write into the arrays that they returned before, which algorithms still hold."""
    env_id, kwargs = CASES[case]
    foreign = SyncVectorEnv(
        [lambda: gym.make(env_id, max_episode_steps=8, **kwargs)] * 3, copy=copy, autoreset_mode=AutoresetMode.SAME_STEP
    )
    adapters = [VectorEnvAdapter(foreign), make_vec_env(env_id, 3, kwargs, max_episode_steps=8)]
    scribe_env = dummy(env_id, 3, kwargs, None, 8)
    for envs in (*adapters, scribe_env):
        envs.seed(5)
    kept = [[envs.reset()] for envs in adapters]
    scribe_env.reset()
    scribe = Scribe(scribe_env, 0)
    for _ in range(50):
        tokens = scribe.tokens()
        scribe_env.step(tokens)
        (theirs, ours) = (envs.step(tokens) for envs in adapters)
        for place in range(3):
            np.testing.assert_array_equal(theirs[place], ours[place])
        for row in np.flatnonzero(ours[2]):
            assert theirs[3][row]["episode"]["r"] == ours[3][row]["episode"]["r"]
            assert theirs[3][row].get("is_success", False) == ours[3][row]["is_success"]
            np.testing.assert_array_equal(theirs[3][row]["terminal_observation"], ours[3][row]["terminal_observation"])
        for observations, step in zip(kept, (theirs, ours), strict=True):
            observations.append(step[0])
    np.testing.assert_array_equal(np.stack(kept[0]), np.stack(kept[1]))


@pytest.mark.parametrize("rewards", [None, REWARDS])
@pytest.mark.parametrize("case", ["sums", "steps", "retries"])
def test_a_run_goes_on_exactly_from_its_state(case, rewards):
    env_id, kwargs = CASES[case]
    scribe_env = dummy(env_id, 3, kwargs, None, 20)
    first, second = (make_vec_env(env_id, 3, kwargs, rewards, max_episode_steps=20) for _ in range(2))
    first.seed(1), scribe_env.seed(1)
    first.reset(), scribe_env.reset()
    scribe = Scribe(scribe_env, 2)

    def play(envs, tokens):
        return [envs.step(row) for row in tokens]

    tokens = []
    for _ in range(70):
        tokens.append(scribe.tokens())
        scribe_env.step(tokens[-1])
    play(first, tokens[:33])
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    np.testing.assert_array_equal(second.last_observations, first.last_observations)
    np.testing.assert_array_equal(second.episode_starts, first.episode_starts)
    ended = 0
    for mine, yours in zip(play(first, tokens[33:]), play(second, tokens[33:]), strict=True):
        for place in range(3):
            np.testing.assert_array_equal(mine[place], yours[place])
        for ours, theirs in zip(mine[3], yours[3], strict=True):
            assert ours.keys() == theirs.keys()
            if "episode" in ours:
                ended += 1
                assert [ours["episode"][key] for key in ("r", "l", "shaped")] == [
                    theirs["episode"][key] for key in ("r", "l", "shaped")
                ]
    assert ended > 3
    assert first.state_dict() == second.state_dict()
