"""The vector form gives the numbers of the single form, in every autoreset mode."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.vector.utils import iterate

import rlenvs  # noqa: F401
from rlenvs.errors import UserError
from rlenvs.wrappers import (
    BaseReward,
    RewardPipeline,
    ShapedReward,
    Transition,
    VectorPotentialShaping,
    VectorShapedReward,
)
from rlenvs.wrappers.infos import row_info

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
    _, rewards, _, _, infos = envs.step(["1", "22", "?"])
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


def test_abandoned_rows_are_not_paid_not_counted_and_not_scored_until_they_are_reset(scripted):
    pairs = [([1.0] * 4, [0.0, 1.0, 2.0, 3.0, 4.0])] * 3
    envs = VectorShapedReward(
        SyncVectorEnv([lambda r=r, p=p: scripted(r, p) for r, p in pairs], autoreset_mode=AutoresetMode.DISABLED),
        SCRIPTED,
    )
    envs.reset()
    kept = envs.step([0, 0, 0])[1]
    envs.abandon([0, 2])
    envs.abandon([])
    _, rewards, _, _, infos = envs.step([0, 0, 0])
    assert rewards[[0, 2]].tolist() == [0.0, 0.0]
    assert rewards[1] == pytest.approx(1.0 + 0.9 * 2.0 - 1.0)
    assert infos["_vector_reward"].tolist() == infos["_env_reward"].tolist() == [False, True, False]
    assert envs.last_batch.total.shape == (1,)
    assert envs.clock.step == 4
    envs.reset(options={"reset_mask": np.array([True, False, False])})
    rewards = envs.step([0, 0, 0])[1]
    assert rewards[0] == kept[0] == pytest.approx(1.0 + 0.9)
    assert rewards[2] == 0.0
    assert envs.clock.step == 6


@pytest.mark.parametrize("mode", ["SameStep", "NextStep"])
def test_abandoning_needs_someone_who_resets(mode):
    envs = VectorShapedReward(gym.make_vec("rlenvs/Arithmetic-v0", num_envs=2, autoreset_mode=mode), PARTS)
    envs.reset(seed=0)
    with pytest.raises(UserError, match="needs autoreset mode DISABLED"):
        envs.abandon([0])


@pytest.mark.parametrize("row", [-1, 2])
def test_abandoning_a_row_that_does_not_exist_is_refused(row):
    envs = VectorShapedReward(gym.make_vec("rlenvs/Arithmetic-v0", num_envs=2, autoreset_mode="Disabled"), PARTS)
    envs.reset(seed=0)
    with pytest.raises(UserError, match=f"no row {row}, the rows are 0 to 1"):
        envs.abandon([0, row])


class Structured(gym.Env):
    """Observations and actions of any space; the observation counts the steps."""

    def __init__(self, space: gym.Space, build) -> None:
        self.observation_space = self.action_space = space
        self.build, self.t = build, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.build(0), {}

    def step(self, action):
        self.t += 1
        return self.build(self.t), 0.0, self.t == 2, False, {"response": "x", "taken": self.t}


BOX = gym.spaces.Box(-99, 99, (2,), np.float64)
SPACES = {
    "dict": (gym.spaces.Dict({"at": BOX, "sub": gym.spaces.Dict({"n": gym.spaces.Discrete(9)})}),
             lambda t: {"at": np.full(2, float(t)), "sub": {"n": t}}),
    "tuple": (gym.spaces.Tuple((gym.spaces.Discrete(9), BOX)), lambda t: (t, np.full(2, float(t)))),
    "text": (gym.spaces.Text(5, min_length=0), lambda t: str(t)),
    "dict of texts": (gym.spaces.Dict({"say": gym.spaces.Text(5, min_length=0)}), lambda t: {"say": str(t)}),
}  # fmt: skip


class Keeps(BaseReward):
    """Keeps the transitions."""

    seen: list[Transition]

    def __call__(self, transition: Transition) -> float:
        self.seen.append(transition)
        return 1.0


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
@pytest.mark.parametrize("kind", SPACES)
def test_any_structure_of_observations_and_actions_is_taken_apart_by_rows(kind, mode):
    space, build = SPACES[kind]
    envs = VectorShapedReward(
        SyncVectorEnv([lambda: Structured(space, build)] * 3, autoreset_mode=mode),
        {"reward_components": {"env": {"class": "EnvReward"}}},
    )
    component = Keeps()
    component.seen = []
    envs.pipeline = RewardPipeline({"keeps": component})
    envs.reset(seed=0)
    taken = []
    for _ in range(2):
        actions = envs.action_space.sample()
        taken += list(iterate(envs.action_space, actions))
        assert envs.step(actions)[1].tolist() == [1.0] * 3
    for index, transition in enumerate(component.seen):
        t = index // 3
        np.testing.assert_equal(transition.observation, build(t))
        np.testing.assert_equal(transition.next_observation, build(t + 1))  # the last one before any autoreset
        np.testing.assert_equal(transition.action, taken[index])
    assert len(component.seen) == 6
    assert component.seen[-1].terminated


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_the_first_state_of_an_episode_knows_nothing_of_the_rewards_of_the_last(scripted, mode):
    seen = []

    def phi(state):
        seen.append(set(state.info))
        return 0.0

    envs = VectorPotentialShaping(SyncVectorEnv([lambda: scripted([1.0], [0.0, 0.0])] * 2, autoreset_mode=mode), phi)
    envs.reset()
    envs.step(np.zeros(2, dtype=int))
    if mode is AutoresetMode.DISABLED:
        envs.reset()
    elif mode is AutoresetMode.NEXT_STEP:
        envs.step(np.zeros(2, dtype=int))
    assert seen == [{"phi"}] * 4


def test_annotations_are_one_for_each_row():
    envs = VectorShapedReward(gym.make_vec("rlenvs/Arithmetic-v0", num_envs=2), PARTS)
    with pytest.raises(UserError, match=r"one mapping per row \(2\), got 1"):
        envs.annotate([{}])


def test_what_is_no_column_belongs_to_every_row_and_an_underscore_makes_no_mask():
    mask = np.array([True, True])
    infos = {"temperature": 0.5, "stage": "late", "_own": np.array([1, 2]), "__own": mask, 3: np.ones(2), "_3": mask}
    assert row_info(infos, 1) == {"temperature": 0.5, "stage": "late", "_own": 2, 3: 1.0}
