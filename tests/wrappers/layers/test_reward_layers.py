"""Single-purpose wrappers: a stack equals its YAML twin, and an order that cannot work is refused."""

import json
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rlenvs  # noqa: F401 - registers the ids
from rlenvs.errors import ComponentError, ConfigError, WrapperOrderError
from rlenvs.wrappers import (
    BaseReward,
    EnvReward,
    LagrangianSchedule,
    LengthPenalty,
    LinearSchedule,
    RewardState,
    ShapedReward,
    VectorShapedReward,
)
from rlenvs.wrappers.deadline.component import DeadlineReward
from rlenvs.wrappers.layers.single_purpose import (
    ComposedReward,
    NormalizedReward,
    PotentialShaping,
    ScheduledReward,
    VectorComposedReward,
    VectorNormalizedReward,
    VectorPotentialShaping,
    VectorScheduledReward,
)

COMPONENTS = {
    "env": {"class": "EnvReward"},
    "step": {"class": "StepPenalty", "params": {"penalty": -0.25}},
    "phi": {"class": "InfoValueReward", "params": {"info_key": "phi"}},
}
DECAY = {"initial_weight": 2.0, "decay_schedule": "linear", "decay_steps": 7, "min_weight": 0.5}
RISE = {"initial_weight": 0.5, "decay_schedule": "linear", "decay_steps": 5, "min_weight": 0.0}
TWIN = {
    "composer_settings": {"normalization_strategy": "z_score", "norm_window": 5, "norm_warmup": 2, "norm_floor": 0.1},
    "reward_components": {
        **COMPONENTS,
        "guide": {
            "class": "LLMPotentialBasedReward",
            "params": {"potential_function": "info", "gamma": 0.9, "potential_params": {"info_key": "phi"}},
        },
    },
    "reward_shaping": {"env": DECAY, "guide": RISE},
}


def stack(
    env, composed=ComposedReward, normalized=NormalizedReward, scheduled=ScheduledReward, shaping=PotentialShaping
):
    env = composed(env, COMPONENTS)
    env = normalized(env, "z_score", window=5, warmup=2, floor=0.1)
    env = scheduled(env, {"env": DECAY})
    return shaping(env, "info", gamma=0.9, potential_params={"info_key": "phi"}, weight=RISE, name="guide")


VECTOR_LAYERS = (VectorComposedReward, VectorNormalizedReward, VectorScheduledReward, VectorPotentialShaping)


def play(env, episodes: int) -> list[float]:
    paid = []
    for _ in range(episodes):
        env.reset()
        over = False
        while not over:
            _, reward, terminated, truncated, _ = env.step(0)
            paid.append(float(reward))
            over = terminated or truncated
    return paid


scripts = st.lists(st.floats(-3, 3), min_size=1, max_size=5).flatmap(
    lambda rewards: st.tuples(
        st.just(rewards), st.lists(st.floats(-5, 5), min_size=len(rewards) + 1, max_size=len(rewards) + 1)
    )
)


# `scripted` is a class, which no input can leave its mark on.
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=scripts, ending=st.sampled_from(["terminated", "truncated"]))
def test_a_stack_its_twin_and_the_vector_forms_pay_the_same(scripted, script, ending):
    single = play(stack(scripted(*script, ending)), 4)
    np.testing.assert_allclose(play(ShapedReward(scripted(*script, ending), TWIN), 4), single, atol=1e-9)
    for wrap in (lambda envs: VectorShapedReward(envs, TWIN), lambda envs: stack(envs, *VECTOR_LAYERS)):
        envs = wrap(SyncVectorEnv([lambda: scripted(*script, ending)], autoreset_mode=AutoresetMode.SAME_STEP))
        envs.reset()
        paid = [float(envs.step([0])[1][0]) for _ in single]
        np.testing.assert_allclose(paid, single, atol=1e-9)


def test_every_layer_adds_its_part_to_info(scripted):
    env = stack(scripted([1.0, 0.5, 2.0], [0.0, 1.0, 2.0, 3.0]))
    env.reset()
    for _ in range(3):
        info = env.step(0)[4]
    assert list(info["reward_components"]) == ["env", "step", "phi", "guide"]
    part = info["reward_components"]["env"]
    assert part["raw"] == 2.0
    assert part["normalized"] == pytest.approx((2.0 - 0.75) / (0.25 + 1e-8))
    assert part["weight"] == pytest.approx(2.0 - 1.5 * 2 / 7)
    assert part["contribution"] == pytest.approx(part["weight"] * part["normalized"])
    assert info["env_reward"] == 2.0


def test_layers_work_on_the_reward_of_any_environment(scripted):
    env = ScheduledReward(scripted([1.0, 1.0, 1.0], [0.0] * 4), {"env_reward": LinearSchedule(1.0, 0.0, 2)})
    assert play(env, 2) == [1.0, 0.5, 0.0, 0.0, 0.0, 0.0]
    env = PotentialShaping(scripted([1.0, 1.0], [3.0, 5.0, 7.0]), lambda state: state.info["phi"], gamma=0.5)
    assert play(env, 1) == [1.0 + 0.5 * 5.0 - 3.0, 1.0 - 5.0]


def test_components_may_be_objects(scripted):
    env = ComposedReward(scripted([1.0], [0.0, 0.0]), {"env": EnvReward(), "length": LengthPenalty(3, unit="chars")})
    assert play(env, 1) == [1.0]


def test_two_potentials_add_up_and_share_the_gamma(scripted):
    env = scripted([0.0, 0.0], [1.0, 2.0, 4.0], "truncated")
    one = PotentialShaping(env, "info", potential_params={"info_key": "phi"})
    two = PotentialShaping(one, lambda state: 10.0 * state.info["phi"], name="more")
    assert play(two, 1) == [11.0, 22.0]
    with pytest.raises(ConfigError, match=r"'potential' has gamma 1.0, 'more' 0.5: the learner has only one"):
        PotentialShaping(one, lambda state: 0.0, gamma=0.5, name="more")
    with pytest.raises(ConfigError, match="there is a component called 'potential' already"):
        PotentialShaping(one, "progress")


SCHEDULE = {"env_reward": 0.5}
ILLEGAL = {
    "normalising outside a potential": lambda env: NormalizedReward(PotentialShaping(env, "progress")),
    "normalising outside a schedule": lambda env: NormalizedReward(ScheduledReward(env, SCHEDULE)),
    "a schedule outside a potential": lambda env: ScheduledReward(PotentialShaping(env, "progress"), SCHEDULE),
    "two clocks": lambda env: ScheduledReward(ScheduledReward(env, SCHEDULE), SCHEDULE),
    "components outside": lambda env: ComposedReward(ScheduledReward(env, SCHEDULE), COMPONENTS),
    "components twice": lambda env: ComposedReward(ComposedReward(env, COMPONENTS), COMPONENTS),
}


@pytest.mark.parametrize("build", ILLEGAL.values(), ids=ILLEGAL)
def test_an_order_that_cannot_work_is_refused_and_the_right_one_said(scripted, build):
    with pytest.raises(WrapperOrderError, match="ComposedReward, NormalizedReward, ScheduledReward, PotentialShaping"):
        build(scripted([0.0], [0.0, 0.0]))


def test_other_wrappers_do_not_go_between_layers_nor_a_whole_configuration_around_them(scripted):
    inside = ScheduledReward(scripted([0.0], [0.0, 0.0]), SCHEDULE)
    with pytest.raises(WrapperOrderError, match="two reward clocks"):
        PotentialShaping(gym.wrappers.TimeLimit(inside, 5), "progress")
    with pytest.raises(WrapperOrderError, match="two reward clocks"):
        ShapedReward(inside, {"reward_components": {"env": {"class": "EnvReward"}}})


def test_a_vector_environment_is_told_its_own_wrapper(scripted):
    envs = SyncVectorEnv([lambda: scripted([0.0], [0.0, 0.0])])
    with pytest.raises(WrapperOrderError, match="this is a vector environment: use VectorShapedReward"):
        ShapedReward(envs, {"reward_components": {"env": {"class": "EnvReward"}}})
    with pytest.raises(WrapperOrderError, match="use VectorPotentialShaping"):
        PotentialShaping(envs, "progress")


def test_a_potential_may_go_around_a_whole_configuration(scripted):
    env = ShapedReward(scripted([1.0], [1.0, 2.0], "truncated"), {"reward_components": {"env": {"class": "EnvReward"}}})
    assert play(PotentialShaping(env, "info", potential_params={"info_key": "phi"}), 1) == [2.0]


@pytest.mark.parametrize("strategy", ["batch", "group", "rank"])
def test_one_environment_has_no_rows_to_compare(scripted, strategy):
    with pytest.raises(ConfigError, match="compares the rows of a batch, and one environment has one row"):
        NormalizedReward(scripted([0.0], [0.0, 0.0]), strategy)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda env: ComposedReward(env, {}), "at least one component"),
        (
            lambda env: ComposedReward(env, {"a": "EnvReward"}),
            "component 'a' must be a BaseReward, a function or a mapping",
        ),
        (lambda env: ComposedReward(env, {"a": {"class": "EnvRewrd"}}), "did you mean 'EnvReward'"),
        (lambda env: ComposedReward(env, {"p": TWIN["reward_components"]["guide"]}), "'p' is a potential: put it into"),
        (lambda env: ScheduledReward(env, {"en": 1.0}), "no reward component is called 'en'"),
        (
            lambda env: ScheduledReward(env, {"env_reward": "half"}),
            "weight of 'env_reward' must be a number, a schedule",
        ),
        (lambda env: NormalizedReward(env, components=["env"]), "no reward component is called 'env'"),
        (lambda env: NormalizedReward(NormalizedReward(env)), "every component is normalised already"),
        (lambda env: NormalizedReward(NormalizedReward(env), components=["env_reward"]), "is normalised already"),
        (lambda env: NormalizedReward(env, output=True, components=["env_reward"]), "it takes no components"),
        (lambda env: PotentialShaping(env, "progres"), "did you mean 'progress'"),
        (lambda env: PotentialShaping(env, lambda state: 0.0, potential_params={"a": 1}), "belong to the name"),
        (lambda env: PotentialShaping(env, "progress", gamma=1.5), r"gamma must lie in \[0, 1\]"),
    ],
)
def test_a_wrong_argument_is_one_clear_line(scripted, build, message):
    with pytest.raises(ConfigError, match=message) as caught:
        build(scripted([0.0], [0.0, 0.0]))
    assert "\n" not in str(caught.value)


def test_a_stack_is_rebuilt_from_its_spec():
    env = gym.make("rlenvs/Arithmetic-v0")
    env = ComposedReward(env, {"right": {"class": "CorrectnessReward"}, "step": {"class": "StepPenalty"}})
    env = NormalizedReward(env, "running", warmup=1, components=["right"])
    env = ScheduledReward(env, {"step": {"initial_weight": 3.0}})
    env = PotentialShaping(env, "info", potential_params={"info_key": "difficulty", "scale": -1.0}, weight=0.5)
    spec = gym.envs.registration.EnvSpec.from_json(env.spec.to_json())
    again = gym.make(spec)
    for one in (env, again):
        one.reset(seed=3)
    rewards = [one.step("no idea")[1] for one in (env, again)]
    assert rewards[0] == rewards[1]
    assert type(again).__name__ == "PotentialShaping"
    assert again.pipeline.names == env.pipeline.names


def test_state_goes_on_in_the_middle_of_an_episode(scripted):
    script = ([1.0, 2.0, -1.0, 0.5], [1.0, 3.0, 2.0, 0.0, 1.0])
    env = stack(scripted(*script))
    play(env, 2)
    env.reset()
    env.step(0)
    state = json.loads(json.dumps(env.state_dict()))
    rest = [env.step(0)[1] for _ in range(3)] + play(env, 2)
    other = stack(scripted(*script))
    other.reset()
    other.step(0)
    other.load_state_dict(state)
    assert [other.step(0)[1] for _ in range(3)] + play(other, 2) == rest


def test_a_state_in_hand_is_what_the_potential_sees(scripted):
    seen: list[RewardState] = []

    def remember(state: RewardState) -> float:
        seen.append(state)
        return 0.0

    play(PotentialShaping(scripted([0.0, 0.0], [1.0, 2.0, 3.0], "truncated"), remember), 1)
    assert [state.info["phi"] for state in seen] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("depth", range(4))
def test_the_clock_of_a_stack_is_one_whichever_layer_is_asked(scripted, depth):
    env = stack(scripted([1.0] * 4, [0.0] * 5))
    layer = env
    for _ in range(depth):
        layer = layer.env
    layer.set_global_step(7)
    env.reset()
    assert env.step(0)[4]["reward_weights"][0] == 0.5
    vector = stack(SyncVectorEnv([lambda: scripted([1.0] * 4, [0.0] * 5)] * 2), *VECTOR_LAYERS)
    layer = vector
    for _ in range(depth):
        layer = layer.env
    layer.set_global_step(7)
    vector.reset()
    assert vector.step(np.zeros(2, dtype=int))[4]["reward_weights"][:, 0].tolist() == [0.5, 0.5]


class Holds(BaseReward):
    """Says whether it was closed."""

    closed = 0

    def __call__(self, transition) -> float:
        return 1.0

    def close(self) -> None:
        self.closed += 1
        if self.closed == 1:
            raise OSError("will not")


def test_closing_an_environment_closes_components_and_environment_whatever_happens(scripted):
    closed = []

    class Closes(scripted):
        def close(self):
            closed.append(True)

    component = Holds()
    env = ScheduledReward(ComposedReward(Closes([1.0], [0.0, 0.0]), {"holds": component}), {"holds": 2.0})
    with pytest.raises(OSError, match="will not"):
        env.close()
    assert closed == [True]
    assert component.closed == 2  # by both layers
    envs = VectorComposedReward(SyncVectorEnv([lambda: Closes([1.0], [0.0, 0.0])]), {"holds": component})
    envs.close()
    assert closed == [True, True]
    assert component.closed == 3


def test_environments_of_one_spec_do_not_share_what_a_weight_has_learned():
    env = ComposedReward(gym.make("rlenvs/Arithmetic-v0"), {"step": {"class": "StepPenalty"}})
    env = ScheduledReward(env, {"step": LagrangianSchedule(0.5, target=1.0, learning_rate=0.1)})
    first, second = gym.make(env.spec), gym.make(env.spec)
    first.reset(seed=0)
    first.step("no idea")
    weights = [layer.pipeline.weights(1)[0] for layer in (env, first, second)]
    assert weights == pytest.approx([0.5, 0.601, 0.5])


def test_a_vector_of_shaped_environments_is_not_shaped_again(scripted):
    envs = SyncVectorEnv([lambda: ComposedReward(scripted([1.0], [0.0, 0.0]), COMPONENTS)] * 2)
    with pytest.raises(WrapperOrderError, match="inside a ComposedReward already"):
        VectorShapedReward(envs, TWIN)


class WritesIntoItsOwn(gym.Env):
    """Hands out its own array, and writes into it."""

    observation_space = gym.spaces.Dict({"at": gym.spaces.Box(0, 99, (1,))})
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        self.at = {"at": np.zeros(1, dtype=np.float32)}
        return self.at, {}

    def step(self, action):
        self.at["at"] += 1
        return self.at, 0.0, False, False, {}


@pytest.mark.parametrize("build", [None, SyncVectorEnv, AsyncVectorEnv])
def test_the_state_before_a_step_stays_what_it_was(build):
    def distance(transition) -> float:
        return float(transition.next_observation["at"][0] - transition.observation["at"][0])

    if build is None:
        env, action = ComposedReward(WritesIntoItsOwn(), {"distance": distance}), 0
    else:
        env = VectorComposedReward(build([WritesIntoItsOwn] * 2, copy=False), {"distance": distance})
        action = np.zeros(2, dtype=int)
    env.reset()
    try:
        assert [np.mean(env.step(action)[1]) for _ in range(3)] == [1.0, 1.0, 1.0]
    finally:
        env.close()


def failing_while(broken: list[bool]):
    """Return a component that fails as long as there is something in the list."""

    def sometimes(info: dict[str, Any]) -> float:
        if broken:
            raise RuntimeError("gone")
        return 1.0

    return sometimes


def test_an_episode_whose_reward_failed_needs_a_reset(scripted):
    broken: list[bool] = []
    env = ComposedReward(scripted([1.0] * 3, [0.0] * 4), {"sometimes": failing_while(broken)})
    env.reset()
    env.step(0)
    broken.append(True)
    with pytest.raises(ComponentError, match="gone"):
        env.step(0)
    broken.clear()
    with pytest.raises(ResetNeeded):
        env.step(0)
    env.reset()
    assert env.step(0)[1] == 1.0


def test_rows_whose_rewards_failed_need_a_reset(scripted):
    envs = SyncVectorEnv([lambda: scripted([1.0] * 3, [0.0] * 4)] * 2, autoreset_mode=AutoresetMode.DISABLED)
    broken: list[bool] = []
    envs = VectorComposedReward(envs, {"sometimes": failing_while(broken)})
    envs.reset()
    actions = np.zeros(2, dtype=int)
    envs.step(actions)
    broken.append(True)
    with pytest.raises(ComponentError, match="gone"):
        envs.step(actions)
    broken.clear()
    with pytest.raises(ResetNeeded, match="in rows 0, 1"):
        envs.step(actions)
    envs.reset()
    assert envs.step(actions)[1].tolist() == [1.0, 1.0]


def test_an_action_that_the_environment_refuses_costs_no_episode(scripted):
    class Refuses(scripted):
        def step(self, action):
            if action == 9:
                raise ValueError("no such action")
            return super().step(action)

    env = ComposedReward(Refuses([1.0] * 2, [0.0] * 3), {"env": EnvReward()})
    env.reset()
    with pytest.raises(ValueError, match="no such action"):
        env.step(9)
    assert env.step(0)[1] == 1.0


def test_a_component_under_a_deadline_ends_with_its_environment():
    guarded = DeadlineReward(failing_while([]), seconds=5.0)
    env = PotentialShaping(ComposedReward(gym.make("rlenvs/Arithmetic-v0"), {"guarded": guarded}), "info",
                           potential_params={"info_key": "difficulty"})  # fmt: skip
    env.reset(seed=0)
    env.step("no idea")
    assert guarded._worker is not None
    env.close()
    assert guarded._worker is None
    env.reset(seed=0)
    assert env.step("no idea")[4]["reward_components"]["guarded"]["raw"] == 1.0  # it starts anew
    env.close()
