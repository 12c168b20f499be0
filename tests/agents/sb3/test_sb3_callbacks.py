"""The callbacks, in runs of ours and in scripts of one's own: one clock, and the parts of the reward by a second count."""

import numpy as np
import pytest
from sb3_runs import GAMMA, REWARDS
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env as make_dummy_vec_env
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecNormalize

from rlenvs.agents.sb3 import RewardComponentsCallback, RewardScheduleCallback, TokenEmbedding, make_vec_env
from rlenvs.errors import UserError, WrapperOrderError
from rlenvs.wrappers import ShapedReward

ENV = "rlenvs/ArithmeticTokens-v0"
KWARGS = {"digits": 1, "render_mode": None}
NETWORK = {
    "features_extractor_class": TokenEmbedding,
    "features_extractor_kwargs": {"embedding_dim": 4, "features_dim": 8},
    "net_arch": [8],
}
LINEAR = {
    "reward_components": {"right": {"class": "CorrectnessReward"}},
    "reward_shaping": {"right": {"initial_weight": 1.0, "decay_schedule": "linear", "decay_steps": 100}},
}
"""The weight of `right` falls from 1 to 0 over 100 steps of the clock."""


class Written(KVWriter):
    """Keeps what a logger writes."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def write(self, key_values, key_excluded, step=0) -> None:
        self.rows.append(dict(key_values))

    def close(self) -> None:
        pass


class Watch(BaseCallback):
    """Keeps what every step was paid, as infos say it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = []

    def _on_step(self) -> bool:
        infos = self.locals["infos"]
        self.seen.append(
            (
                np.array(self.locals["rewards"], dtype=float),
                [dict(info) for info in infos],
                np.array(self.locals["dones"]),
            )
        )
        return True


def dummy(rewards=REWARDS, n_envs=4, seed=0):
    return make_dummy_vec_env(
        ENV, n_envs=n_envs, seed=seed, env_kwargs=KWARGS, wrapper_class=ShapedReward, wrapper_kwargs={"config": rewards}
    )


def learn(kind, env, callbacks, steps, **options):
    written = Written()
    model = kind("MlpPolicy", env, gamma=GAMMA, seed=0, policy_kwargs=NETWORK, device="cpu", **options)
    model.set_logger(Logger(folder=None, output_formats=[written]))
    model.learn(steps, callback=callbacks, log_interval=1)
    return model, written.rows


# --- the clock


def weights_of(seen):
    return [info["reward_weights"][0] for _, infos, _ in seen for info in infos]


def test_all_environments_read_one_clock():
    """In step t, four environments have made 4 t steps: the weight of each is 1 - 4 t / 100."""
    watch = Watch()
    learn(A2C, dummy(LINEAR), [RewardScheduleCallback(), watch], 120, n_steps=5)
    expected = [max(0.0, 1 - 4 * step / 100) for step in range(30) for _ in range(4)]
    assert weights_of(watch.seen) == pytest.approx(expected)


def test_without_it_each_environment_runs_its_own_schedule_too_slowly():
    watch = Watch()
    learn(A2C, dummy(LINEAR), [watch], 120, n_steps=5)
    assert weights_of(watch.seen) == pytest.approx([1 - step / 100 for step in range(30) for _ in range(4)])


def test_the_clock_reaches_through_an_adapter_and_what_is_around_it():
    env = make_vec_env(ENV, 4, {"digits": 1}, LINEAR, seed=0)
    clocks = []

    class Read(BaseCallback):
        def _on_step(self) -> bool:
            clocks.append(env.layer.clock.step)
            return True

    learn(A2C, VecNormalize(env, norm_obs=False, gamma=GAMMA), [RewardScheduleCallback(), Read()], 40, n_steps=5)
    assert clocks == list(range(4, 41, 4))
    assert env.layer.clock.driven


def test_a_clock_can_count_rollouts():
    watch = Watch()
    learn(A2C, dummy(LINEAR), [RewardScheduleCallback("rollouts"), watch], 60, n_steps=5)
    assert weights_of(watch.seen) == pytest.approx([1 - rollout / 100 for rollout in range(3) for _ in range(20)])


@pytest.mark.parametrize("unit", ["steps", "rollouts"])
def test_a_model_that_is_loaded_goes_on_with_the_clock(tmp_path, unit):
    model, _ = learn(PPO, dummy(LINEAR), [RewardScheduleCallback(unit)], 40, n_steps=5, batch_size=20)
    model.save(tmp_path / "model")
    watch, env = Watch(), dummy(LINEAR)
    PPO.load(tmp_path / "model", env=env, device="cpu").learn(
        20, callback=[RewardScheduleCallback(unit), watch], reset_num_timesteps=False
    )
    expected = [1 - (40 + 4 * step if unit == "steps" else 2) / 100 for step in range(5) for _ in range(4)]
    assert weights_of(watch.seen) == pytest.approx(expected)


def test_a_clock_that_is_not_there_is_missed():
    env = make_dummy_vec_env(ENV, n_envs=2, env_kwargs=KWARGS)
    with pytest.raises(WrapperOrderError, match="found no reward clock to keep: wrap each environment in ShapedReward"):
        learn(A2C, env, RewardScheduleCallback(), 10)
    with pytest.raises(UserError, match="unit must be 'steps' or 'rollouts', got 'epochs'"):
        RewardScheduleCallback("epochs")


# --- the parts


def second_count(seen):
    """What the callback should say, from the infos of every step, by plain loops."""
    infos = [info for _, rows, _ in seen for info in rows]
    found = {"reward/total": np.mean([reward for rewards, _, _ in seen for reward in rewards])}
    found["reward/env"] = np.mean([info["env_reward"] for info in infos])
    found["reward/potential"] = np.mean([info["reward_potential"] for info in infos])
    for name in infos[0]["reward_components"]:
        parts = [info["reward_components"][name] for info in infos]
        statuses = [info["reward_status"][name] for info in infos]
        found[f"component/{name}/raw"] = np.mean([part["raw"] for part in parts])
        found[f"component/{name}/contribution"] = np.mean([part["contribution"] for part in parts])
        found[f"weight/{name}"] = parts[-1]["weight"]
        found[f"failures/{name}"] = statuses.count("error")
        found[f"invalid/{name}"] = statuses.count("invalid") + statuses.count("timeout")
    open_true, open_shaped = np.zeros(len(seen[0][1])), np.zeros(len(seen[0][1]))
    true, shaped, lengths, right = [], [], [], []
    for rewards, rows, dones in seen:
        open_true += [info["env_reward"] for info in rows]
        open_shaped += rewards
        for row in np.flatnonzero(dones):
            true.append(open_true[row])
            shaped.append(open_shaped[row])
            lengths.append(rows[row]["episode"]["l"])
            right.append(rows[row]["correct"])
            open_true[row] = open_shaped[row] = 0
    found |= {"return/true": np.mean(true), "return/shaped": np.mean(shaped)}
    return found | {"length/mean": np.mean(lengths), "accuracy/train": np.mean(right)}


def test_the_parts_are_those_of_a_second_count():
    watch = Watch()
    _, rows = learn(
        PPO, dummy(), [RewardScheduleCallback(), RewardComponentsCallback(), watch], 160, n_steps=40, batch_size=40
    )
    (row,) = rows
    for key, value in second_count(watch.seen).items():
        assert row[key] == pytest.approx(value, abs=1e-5), key


def test_every_line_of_a_log_is_about_what_came_since_the_last():
    watch = Watch()
    _, rows = learn(
        PPO, dummy(), [RewardScheduleCallback(), RewardComponentsCallback(), watch], 96, n_steps=8, batch_size=32
    )
    assert len(rows) == 3
    for place, row in enumerate(rows):
        stretch = watch.seen[8 * place : 8 * place + 8]
        assert row["reward/total"] == pytest.approx(np.mean([rewards for rewards, _, _ in stretch]))
        infos = [info for _, found, _ in stretch for info in found]
        assert row["component/right/raw"] == pytest.approx(
            np.mean([i["reward_components"]["right"]["raw"] for i in infos])
        )
    total = sum(row["invalid/right"] for row in rows)
    assert total == sum(info["reward_status"]["right"] == "invalid" for _, found, _ in watch.seen for info in found)


def test_off_policy_rollouts_add_up_until_they_are_written():
    """DQN collects a few steps at a time and writes every few episodes; what is written counts each step once."""
    watch, parts = Watch(), RewardComponentsCallback()
    _, rows = learn(
        DQN, dummy(), [RewardScheduleCallback(), parts, watch], 400, learning_starts=20, train_freq=2, buffer_size=200
    )
    assert len(rows) > 5
    written = sum(row.get("invalid/right", 0) for row in rows)
    left = parts.window.metrics().get("invalid/right", 0) if "reward/total" in parts.logger.name_to_value else 0
    seen = sum(info["reward_status"]["right"] == "invalid" for _, found, _ in watch.seen for info in found)
    assert written + left == seen


@pytest.mark.parametrize("normalized", [False, True])
def test_an_adapter_and_single_environments_say_the_same(normalized):
    """The same seeds, the same policy, the same lines: whoever carries the environments."""

    def lines(env):
        env = VecNormalize(env, norm_obs=False, gamma=GAMMA) if normalized else env
        callbacks = [RewardScheduleCallback(), RewardComponentsCallback()]
        return learn(PPO, env, callbacks, 128, n_steps=16, batch_size=64)[1]

    one, other = lines(make_vec_env(ENV, 4, {"digits": 1}, LINEAR, seed=0)), lines(dummy(LINEAR))
    for mine, theirs in zip(one, other, strict=True):
        shared = {key for key in mine if not key.startswith("time/")} - {"rollout/success_rate"}  # of the adapter alone
        assert shared >= {"return/true", "return/shaped", "component/right/raw", "weight/right", "accuracy/train"}
        for key in shared:
            assert mine[key] == pytest.approx(theirs[key], abs=1e-6), key


def test_a_plain_environment_has_returns_only():
    env = make_dummy_vec_env(ENV, n_envs=4, seed=0, env_kwargs=KWARGS)
    _, rows = learn(PPO, env, RewardComponentsCallback(), 64, n_steps=16, batch_size=64)
    assert rows[0]["return/true"] == rows[0]["return/shaped"]
    assert not [key for key in rows[0] if key.startswith(("component/", "weight/"))]


@pytest.mark.slow
@pytest.mark.ci
def test_environments_in_other_processes_say_the_same():
    def lines(kind):
        env = make_dummy_vec_env(
            ENV, n_envs=2, seed=0, env_kwargs=KWARGS, vec_env_cls=kind, wrapper_class=ShapedReward,
            wrapper_kwargs={"config": LINEAR},
        )  # fmt: skip
        try:
            return learn(A2C, env, [RewardScheduleCallback(), RewardComponentsCallback()], 40, n_steps=10)[1]
        finally:
            env.close()

    one, other = lines(SubprocVecEnv), lines(DummyVecEnv)
    assert one[-1]["weight/right"] == pytest.approx(1 - 38 / 100)
    for mine, theirs in zip(one, other, strict=True):
        kept = {key for key in mine if not key.startswith("time/")}
        assert {key: mine[key] for key in kept} == pytest.approx({key: theirs[key] for key in kept})


def test_tensorboard_gets_them_under_their_names(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    callbacks = [RewardScheduleCallback(), RewardComponentsCallback()]
    model = A2C("MlpPolicy", dummy(LINEAR), seed=0, policy_kwargs=NETWORK, device="cpu", tensorboard_log=str(tmp_path))
    model.learn(80, callback=callbacks, log_interval=1)
    events = accumulator.EventAccumulator(str(tmp_path / "A2C_1")).Reload()
    names = {"return/true", "return/shaped", "component/right/raw", "component/right/contribution", "weight/right"}
    assert set(events.Tags()["scalars"]) >= names | {"failures/right", "invalid/right", "reward/total", "reward/env"}
    weights = [(event.step, event.value) for event in events.Scalars("weight/right")]
    assert weights == [(step, pytest.approx(1 - (step - 4) / 100)) for step in (20, 40, 60, 80)]
