"""The wrapper: what it reports, its clock, its spec, its state."""

import json

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import rlenvs
from rlenvs.errors import WrapperOrderError
from rlenvs.wrappers import LinearSchedule, RewardPipeline, ShapedReward, VectorShapedReward

CONFIG = {
    "reward_components": {
        "right": {"class": "CorrectnessReward"},
        "short": {"class": "LengthPenalty", "params": {"max_length": 1, "penalty_per_token": -0.5, "unit": "chars"}},
        "guide": {
            "class": "LLMPotentialBasedReward",
            "params": {"potential_function": "info", "potential_params": {"info_key": "difficulty", "scale": -1.0}},
        },
    },
    "reward_shaping": {
        "short": {"initial_weight": 1.0, "decay_schedule": "linear", "decay_steps": 4},
        "guide": {"initial_weight": 0.5},
    },
}
SCRIPTED = {
    "reward_components": {
        "env": {"class": "EnvReward"},
        "guide": {
            "class": "LLMPotentialBasedReward",
            "params": {"potential_function": "info", "gamma": 0.9, "potential_params": {"info_key": "phi"}},
        },
    },
    "reward_shaping": {
        "guide": {"initial_weight": 1.0, "decay_schedule": "linear", "decay_steps": 6, "min_weight": 0.2}
    },
}


def arithmetic() -> ShapedReward:
    return ShapedReward(gym.make("rlenvs/Arithmetic-v0"), CONFIG)


def test_the_reward_and_every_part_of_it():
    env = arithmetic()
    _, info = env.reset(seed=1)
    _, reward, terminated, _, after = env.step(info["task"]["gold"])
    digits = len(info["task"]["gold"])
    length, potential = -0.5 * (digits - 1), 0.5 * info["difficulty"]
    assert terminated
    assert reward == pytest.approx(1.0 + length + potential)
    assert after["vector_reward"].tolist() == [1.0, length, 0.0]
    assert after["reward_weights"].tolist() == [1.0, 1.0, 0.5]
    assert after["reward_components"]["short"] == {
        "raw": length,
        "normalized": length,
        "weight": 1.0,
        "contribution": length,
    }
    assert after["reward_components"]["guide"]["contribution"] == after["reward_potential"] == pytest.approx(potential)
    assert after["reward_status"] == {"right": "ok", "short": "ok", "guide": "ok"}
    assert after["env_reward"] == 1.0
    assert isinstance(reward, float)


def test_a_bad_answer_is_a_verdict():
    env = arithmetic()
    env.reset(seed=1)
    assert env.step("??")[4]["reward_status"] == {"right": "invalid", "short": "ok", "guide": "ok"}


@pytest.mark.parametrize("env_id", ["rlenvs/Arithmetic-v0", "rlenvs/ArithmeticTokens-v0"])
@pytest.mark.filterwarnings("ignore:.*The environment .* is different from the unwrapped version.*")
def test_gymnasium_accepts_the_wrapped_environment(env_id):
    # The checker plays the same step twice and wants the same reward: no schedule, whose clock has moved on by then.
    config = {"reward_components": CONFIG["reward_components"]}
    check_env(ShapedReward(gym.make(env_id), config), skip_render_check=True)


def test_the_clock_counts_steps_and_never_restarts_at_reset():
    env = arithmetic()
    weights = []
    for episode in range(6):
        env.reset(seed=episode)
        weights.append(env.step("12")[4]["reward_components"]["short"]["weight"])
    schedule = LinearSchedule(1.0, 0.0, 4)
    assert weights == [schedule(t) for t in range(6)]
    assert env.clock.step == 6


def test_whoever_trains_sets_the_clock():
    env = arithmetic()
    env.set_global_step(2)
    for episode in range(3):
        env.reset(seed=episode)
        assert env.step("12")[4]["reward_components"]["short"]["weight"] == 0.5
    with pytest.raises(ValueError, match="negative"):
        env.set_global_step(-1)


def test_the_spec_rebuilds_the_stack():
    env = arithmetic()
    text = env.spec.to_json()
    assert json.loads(text)
    again = gym.make(gym.envs.registration.EnvSpec.from_json(text))
    outcomes = []
    for candidate in (env, again):
        candidate.reset(seed=3)
        outcomes.append(candidate.step("77")[1])
    assert outcomes[0] == outcomes[1]
    assert again.get_wrapper_attr("config") == env.config


@pytest.mark.parametrize("ending", ["terminated", "truncated"])
def test_around_any_gymnasium_environment_shaping_telescopes(scripted, ending):
    rewards, phi, gamma = [0.5, -1.0, 2.0, 0.0], [1.0, 3.0, -2.0, 0.5, 4.0], 0.9
    env = ShapedReward(scripted(rewards, phi, ending), SCRIPTED)
    schedule = LinearSchedule(1.0, 0.2, 6)
    for episode in range(3):
        env.reset()
        first = env.clock.step
        shaping = []
        for reward in rewards:
            _, shaped, _, _, info = env.step(0)
            shaping.append(shaped - reward)
            assert info["env_reward"] == reward
        kept = gamma**4 * schedule(first + 3) * phi[4] if ending == "truncated" else 0.0
        total = sum(gamma**t * f for t, f in enumerate(shaping))
        assert total == pytest.approx(kept - schedule(first) * phi[0], abs=1e-12), episode


def test_state_round_trip_in_mid_episode_gives_identical_rewards(scripted):
    rewards, phi = [0.5, -1.0, 2.0, 0.0], [1.0, 3.0, -2.0, 0.5, 4.0]
    straight, resumed = (ShapedReward(scripted(rewards, phi), SCRIPTED) for _ in range(2))
    straight.reset()
    straight.step(0), straight.step(0)
    state = json.loads(json.dumps(straight.state_dict()))
    resumed.reset()
    resumed.env.step(0), resumed.env.step(0)
    resumed.load_state_dict(state)
    assert [straight.step(0)[1] for _ in range(2)] == [resumed.step(0)[1] for _ in range(2)]
    assert resumed.clock.step == straight.clock.step == 4


def test_the_token_level_gets_progress_for_every_right_character():
    config = {
        "reward_components": {
            "right": {"class": "CorrectnessReward"},
            "guide": {"class": "LLMPotentialBasedReward", "params": {"potential_function": "progress"}},
        }
    }
    env = ShapedReward(gym.make("rlenvs/ArithmeticTokens-v0"), config)
    _, info = env.reset(seed=0)
    tokenizer = env.unwrapped.tokenizer
    gold = info["task"]["gold"]
    rewards = [env.step(token)[1] for token in [*tokenizer.encode(gold), tokenizer.eos_token_id]]
    # Each right character is paid at once; at the end the answer's own 1.0 comes and the advance is taken back.
    np.testing.assert_allclose(rewards, [1 / len(gold)] * len(gold) + [0.0], atol=1e-12)
    assert sum(rewards) == pytest.approx(1.0)


def test_one_pipeline_gives_the_wrappers_numbers_offline():
    env = arithmetic()
    pipeline = RewardPipeline.from_config(CONFIG)
    for seed in range(5):
        observation, before = env.reset(seed=seed)
        step = env.clock.step
        action = "12" * (seed % 3 + 1)
        after_observation, reward, terminated, truncated, info = env.step(action)
        stored = rlenvs.wrappers.Transition(
            prompt=observation, response=action, action=action, observation=observation,
            next_observation=after_observation, messages=info["messages"], env_reward=info["env_reward"],
            terminated=terminated, truncated=truncated, info=info, previous_info=before, step=step,
        )  # fmt: skip
        assert pipeline.compute([stored], step).total[0] == pytest.approx(reward, abs=1e-12)


def test_two_clocks_are_refused_however_deep_the_first_one_lies():
    env = gym.wrappers.RecordEpisodeStatistics(arithmetic())
    with pytest.raises(WrapperOrderError, match=r"inside a ShapedReward already.*one configuration"):
        ShapedReward(env, CONFIG)
    envs = VectorShapedReward(gym.make_vec("rlenvs/Arithmetic-v0", num_envs=2), CONFIG)
    with pytest.raises(WrapperOrderError, match="inside a VectorShapedReward already"):
        VectorShapedReward(envs, CONFIG)
