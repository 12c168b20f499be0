"""The vector form gives the numbers of the single form, in every autoreset mode."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import rlenvs  # noqa: F401
from rlenvs.wrappers import ShapedReward, VectorShapedReward
from rlenvs.wrappers.vector_shaped import row_info

SCRIPTED = {
    "reward_components": {
        "env": {"class": "EnvReward"},
        "guide": {
            "class": "LLMPotentialBasedReward",
            "params": {"potential_function": "info", "gamma": 0.9, "potential_params": {"info_key": "phi"}},
        },
    },
}
SCRIPTS = [([1.0, 2.0], [0.5, 1.0, 4.0]), ([0.0, -1.0, 3.0], [2.0, 0.0, 1.0, 5.0]), ([7.0], [3.0, -1.0])]
PARTS = {
    "reward_components": {
        "right": {"class": "CorrectnessReward"},
        "long": {"class": "LengthPenalty", "params": {"max_length": 1, "unit": "chars"}},
        "guide": {
            "class": "LLMPotentialBasedReward",
            "params": {"potential_function": "info", "potential_params": {"info_key": "difficulty"}},
        },
    },
    "reward_shaping": {"long": {"decay_schedule": "linear", "decay_steps": 20}},
}


def expected_rewards(scripted, ending: str, steps: int) -> list[list[float]]:
    """Play each script alone, over and over; one list of rewards per script."""
    played = []
    for rewards, phi in SCRIPTS:
        env = ShapedReward(scripted(rewards, phi, ending), SCRIPTED)
        env.reset()
        sequence = []
        for _ in range(steps):
            _, reward, terminated, truncated, _ = env.step(0)
            sequence.append(reward)
            if terminated or truncated:
                env.reset()
        played.append(sequence)
    return played


@pytest.mark.parametrize("ending", ["terminated", "truncated"])
@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_every_autoreset_mode_pays_what_the_single_form_pays(scripted, mode, ending):
    alone = expected_rewards(scripted, ending, 12)
    envs = VectorShapedReward(
        SyncVectorEnv([lambda r=r, p=p: scripted(r, p, ending) for r, p in SCRIPTS], autoreset_mode=mode), SCRIPTED
    )
    envs.reset()
    paid: list[list[float]] = [[] for _ in SCRIPTS]
    over = np.zeros(3, dtype=bool)
    for _ in range(12):
        if mode is AutoresetMode.DISABLED and over.any():
            envs.reset(options={"reset_mask": over})
        _, rewards, terminated, truncated, _ = envs.step(np.zeros(3, dtype=int))
        for row in range(3):
            if mode is AutoresetMode.NEXT_STEP and over[row]:
                assert rewards[row] == 0.0  # a reset, not a step
            else:
                paid[row].append(rewards[row])
        over = terminated | truncated
    for row in range(3):
        assert len(paid[row]) >= 5
        np.testing.assert_allclose(paid[row], alone[row][: len(paid[row])], atol=1e-12)


def answers(prompts: tuple[str, ...], rng: np.random.Generator) -> list[str]:
    return ["" if not prompt else "1" * int(rng.integers(1, 4)) for prompt in prompts]


@pytest.mark.parametrize("mode", ["SameStep", "NextStep"])
def test_the_own_vector_form_and_gymnasiums_agree_on_rewards_and_parts(mode):
    def wrapped(source):
        envs = VectorShapedReward(source, PARTS)
        observations, _ = envs.reset(seed=5)
        rng, history = np.random.default_rng(0), []
        for _ in range(6):
            actions = answers(observations, rng)
            observations, rewards, _, _, infos = envs.step(actions)
            history.append((rewards, infos["vector_reward"], infos["reward_components"]["long"]["contribution"]))
        return history

    own = wrapped(gym.make_vec("rlenvs/Arithmetic-v0", num_envs=4, autoreset_mode=mode))
    theirs = wrapped(SyncVectorEnv([lambda: gym.make("rlenvs/Arithmetic-v0")] * 4, autoreset_mode=AutoresetMode(mode)))
    for ours, other in zip(own, theirs, strict=True):
        for mine, yours in zip(ours, other, strict=True):
            np.testing.assert_allclose(mine, yours, atol=1e-12)


def test_infos_are_collated_as_gymnasium_does():
    envs = VectorShapedReward(gym.make_vec("rlenvs/Arithmetic-v0", num_envs=3), PARTS)
    envs.reset(seed=0)
    _, rewards, _, _, infos = envs.step(["1", "22", "x"])
    single = row_info(infos, 2)
    assert single["reward_status"] == {"right": "invalid", "long": "ok", "guide": "ok"}
    parts = single["reward_components"]
    assert sum(part["contribution"] for part in parts.values()) == pytest.approx(rewards[2])
    assert single["reward_potential"] == parts["guide"]["contribution"]
    assert infos["vector_reward"].shape == (3, 3)
    assert infos["_vector_reward"].all()


def test_idle_rows_are_not_paid_and_not_counted(scripted):
    envs = VectorShapedReward(gym.make_vec("rlenvs/Arithmetic-v0", num_envs=2, autoreset_mode="Disabled"), PARTS)
    envs.reset(seed=0)
    envs.step(["1", "2"])
    assert envs.clock.step == 2
    _, rewards, terminated, _, infos = envs.step(["", ""])
    assert rewards.tolist() == [0.0, 0.0]
    assert not terminated.any()
    assert not infos["_env_reward"].any()
    assert envs.clock.step == 2


def test_annotations_reach_the_components_of_one_step_only():
    config = {
        "reward_components": {"long": {"class": "LengthPenalty", "params": {"max_length": 0, "penalty_per_token": -1}}}
    }
    envs = VectorShapedReward(gym.make_vec("rlenvs/Arithmetic-v0", num_envs=2), config)
    envs.reset(seed=0)
    envs.annotate([{"response_tokens": 7}, {"response_tokens": 3}])
    assert envs.step(["12", "12"])[1].tolist() == [-7.0, -3.0]
    assert envs.step(["12", "12"])[1].tolist() == [-1.0, -1.0]


def test_the_clock_counts_all_rows_and_state_resumes_it():
    envs, again = (
        VectorShapedReward(gym.make_vec("rlenvs/Arithmetic-v0", num_envs=4, autoreset_mode="Disabled"), PARTS)
        for _ in range(2)
    )
    envs.reset(seed=0), again.reset(seed=0)
    envs.step(["1"] * 4)
    again.unwrapped.load_state_dict(envs.unwrapped.state_dict())
    again.load_state_dict(envs.state_dict())
    assert again.clock.step == 4
    envs.reset(), again.reset()
    first, second = envs.step(["12"] * 4), again.step(["12"] * 4)
    np.testing.assert_array_equal(first[1], second[1])
