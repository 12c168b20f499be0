"""Saved reward state is plain data and enough for a fresh wrapper to go on in mid-episode."""

import io
import json
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import rlenvs  # noqa: F401
from rlenvs.errors import ComponentError, ConfigError
from rlenvs.wrappers import BaseReward, RewardPipeline, ShapedReward, Transition, VectorShapedReward, register_reward
from rlenvs.wrappers.plain import from_plain, to_plain

CONFIG = {
    "reward_components": {
        "memory": {"class": "ReadsTheStateBefore"},
        "guide": {
            "class": "LLMPotentialBasedReward",
            "params": {"potential_function": "progress", "gamma": 0.9},
        },
    },
    "reward_shaping": {"guide": {"decay_schedule": "linear", "decay_steps": 9}},
}


@register_reward()
class ReadsTheStateBefore(BaseReward):
    """Depends on everything that only the wrapper remembers."""

    def __call__(self, transition: Transition) -> float:
        before = transition.previous_info["progress"] + len(transition.prompt) + 7 * (transition.previous_step or 0)
        return float(before + np.sum(np.asarray(leaves(transition.observation)) * 0.1))


def leaves(observation: Any) -> list[Any]:
    """Every number of an observation; an array must have come back as an array of its own type."""
    if isinstance(observation, dict):
        return [leaf for value in observation.values() for leaf in leaves(value)]
    if isinstance(observation, str):
        return [len(observation)]
    return [np.float32(observation.sum(dtype=observation.dtype))]


class Walk(gym.Env[Any, int]):
    """A state that a test can put back: a position in a nested observation."""

    observation_space = gym.spaces.Dict(
        {"at": gym.spaces.Box(-9, 9, (2,), np.float32), "map": gym.spaces.Dict({"id": gym.spaces.Box(0, 9, (1,), int)})}
    )
    action_space = gym.spaces.Discrete(2)

    def __init__(self, offset: int = 0) -> None:
        self.offset, self.t = offset, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.t = 0
        return self.state()

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.t += 1
        observation, info = self.state()
        return observation, 1.0, self.t == 3 + self.offset, False, info

    def state(self) -> tuple[Any, dict[str, Any]]:
        observation = {
            "at": np.array([self.t / 3, self.offset], dtype=np.float32),
            "map": {"id": np.array([self.t])},
        }
        return observation, {"progress": np.float32(self.t / 7), "trail": np.arange(3) + self.t, "tags": ("a", None)}


def through_torch(state: dict[str, Any]) -> dict[str, Any]:
    """Write and read as checkpoints do, and as JSON does."""
    torch = pytest.importorskip("torch")
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    assert json.loads(json.dumps(loaded)) == loaded
    return loaded


def test_a_fresh_single_wrapper_goes_on_in_mid_episode():
    straight, resumed = ShapedReward(Walk(2), CONFIG), ShapedReward(Walk(2), CONFIG)
    straight.reset(seed=0)
    straight.step(0), straight.step(0)
    resumed.unwrapped.t = straight.unwrapped.t
    resumed.load_state_dict(through_torch(straight.state_dict()))
    assert [straight.step(0)[1] for _ in range(3)] == [resumed.step(0)[1] for _ in range(3)]


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("steps", [1, 3])
def test_a_fresh_vector_wrapper_goes_on_in_mid_episode(mode, steps):
    def wrapped() -> VectorShapedReward:
        return VectorShapedReward(SyncVectorEnv([lambda i=i: Walk(i) for i in range(3)], autoreset_mode=mode), CONFIG)

    straight, resumed = wrapped(), wrapped()
    straight.reset(seed=0), resumed.env.reset(seed=0)
    for _ in range(steps):
        straight.step([0, 0, 0]), resumed.env.step([0, 0, 0])
    resumed.load_state_dict(through_torch(straight.state_dict()))
    for _ in range(1 if mode is AutoresetMode.DISABLED else 6):
        if mode is AutoresetMode.DISABLED and steps == 3:
            over = {"reset_mask": np.array([True, False, False])}
            straight.reset(options=dict(over)), resumed.reset(options=dict(over))
        paid, again = straight.step([0, 0, 0]), resumed.step([0, 0, 0])
        assert paid[1].any()
        np.testing.assert_array_equal(paid[1], again[1])
        np.testing.assert_array_equal(paid[4]["_env_reward"], again[4]["_env_reward"])
    assert straight.clock.step == resumed.clock.step


@pytest.mark.parametrize("mode", ["SameStep", "NextStep", "Disabled"])
def test_the_text_environments_go_on_without_a_reset(mode):
    straight, resumed = (
        VectorShapedReward(gym.make_vec("rlenvs/Arithmetic-v0", num_envs=2, autoreset_mode=mode), CONFIG)
        for _ in range(2)
    )
    straight.reset(seed=3)
    resumed.unwrapped.load_state_dict(through_torch(straight.unwrapped.state_dict()))
    resumed.load_state_dict(through_torch(straight.state_dict()))
    paid, again = straight.step(["1", "2"]), resumed.step(["1", "2"])
    assert paid[1].all()
    assert paid[1].tolist() == again[1].tolist()


def test_the_token_level_goes_on_without_a_reset():
    straight, resumed = (ShapedReward(gym.make("rlenvs/ArithmeticTokens-v0"), CONFIG) for _ in range(2))
    straight.reset(seed=3)
    straight.step(5)
    resumed.reset(seed=8)
    resumed.unwrapped.load_state_dict(through_torch(straight.unwrapped.state_dict()))
    resumed.load_state_dict(through_torch(straight.state_dict()))
    assert [straight.step(5)[1] for _ in range(2)] == [resumed.step(5)[1] for _ in range(2)]


def test_a_step_needs_a_reset_or_a_restored_state():
    single = ShapedReward(Walk(), CONFIG)
    with pytest.raises(ResetNeeded, match="reset"):
        single.step(0)
    single.load_state_dict(ShapedReward(Walk(), CONFIG).state_dict())  # of a wrapper that never began
    with pytest.raises(ResetNeeded, match="reset"):
        single.step(0)

    envs = VectorShapedReward(SyncVectorEnv([Walk] * 2), CONFIG)
    with pytest.raises(ResetNeeded, match="rows 0, 1:"):
        envs.step([0, 0])
    texts = VectorShapedReward(gym.make_vec("rlenvs/Arithmetic-v0", num_envs=2, autoreset_mode="Disabled"), CONFIG)
    texts.reset(options={"reset_mask": np.array([True, False])})
    with pytest.raises(ResetNeeded, match="row 1: call reset"):
        texts.step(["1", "1"])


def test_a_state_of_another_number_of_rows_is_refused():
    one, two = (VectorShapedReward(SyncVectorEnv([Walk] * n), CONFIG) for n in (1, 2))
    one.reset()
    with pytest.raises(ConfigError, match="1 rows, this environment 2"):
        two.load_state_dict(one.state_dict())


@pytest.mark.parametrize(
    "value",
    [
        None, True, 3, 0.5, "x", [1, [2]], {"a": {"b": 1}}, (1, ("x", None)), np.float32(0.1), np.int64(3),
        np.arange(6, dtype=np.int16).reshape(2, 3), np.zeros((0, 3)), np.array(["ä", "bc"]), np.bool_(True),
        np.array([{"a": np.ones(2)}, None], dtype=object), {"__tuple__": 1},
    ],
)  # fmt: skip
def test_plain_data_comes_back_as_it_was(value):
    again = from_plain(through_torch({"x": to_plain(value)})["x"])
    assert type(again) is type(value)
    assert repr(again) == repr(value)
    assert getattr(again, "dtype", None) == getattr(value, "dtype", None)


class Stateful(BaseReward):
    """Returns whatever it is told to as its state."""

    def __init__(self, state: Any) -> None:
        self.state = state

    def __call__(self, transition: Transition) -> float:
        return 0.0

    def state_dict(self) -> dict[str, Any]:
        return self.state


@pytest.mark.parametrize(
    ("state", "found"),
    [
        ({"mean": np.float64(1.0)}, r"'judge'.*state\['mean'\] is a float64"),
        ({"seen": [1, {"rows": np.zeros(2)}]}, r"'judge'.*state\['seen'\]\[1\]\['rows'\] is a ndarray"),
        ({"pair": (1, 2)}, r"'judge'.*is a tuple"),
        ({1: 2}, r"'judge'.*key 1 that is a int"),
        ([1], r"'judge'.*state is a list, not a dict"),
    ],
)
def test_the_state_of_a_component_must_be_plain(state, found):
    with pytest.raises(ComponentError, match=found):
        RewardPipeline({"judge": Stateful(state)}).state_dict()


def test_a_plain_state_of_a_component_passes():
    state = {"a": [None, True, 1, 0.5, "x", {"b": []}]}
    assert RewardPipeline({"judge": Stateful(state)}).state_dict()["components"] == {"judge": state}
