"""Stable-Baselines3's own machinery around the environments: what it counts, normalises, saves and reports is right."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from sb3_twins import CASES, GAMMA, GUIDE, REWARDS, SUMS, Scribe, dummy, single
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import CheckpointCallback, EvalCallback
from stable_baselines3.common.env_util import make_vec_env as make_vec_env_of_sb3
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import SubprocVecEnv, VecFrameStack, VecMonitor, VecNormalize

import rlenvs  # noqa: F401 - registers the environments
from rlenvs.agents.sb3.vec_env import make_vec_env
from rlenvs.envs import SuiteTokenEnv
from rlenvs.wrappers import ShapedReward

PLAIN = {
    "reward_components": {"env": {"class": "EnvReward"}, "step": {"class": "StepPenalty", "params": {"penalty": -0.5}}}
}


def made(num_envs, rewards=None, seed=0, **more):
    return make_vec_env(SUMS, num_envs, {"digits": 1}, rewards, seed=seed, **more)


class Oracle:
    """Adds right where the first number is the larger one, and says 0 elsewhere; reads nothing but the window."""

    def __init__(self):
        self.tokenizer = SuiteTokenEnv(digits=1).tokenizer
        self.eos = self.tokenizer.eos_token_id

    def predict(self, observations, state=None, episode_start=None, deterministic=False):
        return np.array([self.token(row) for row in observations]), state

    def token(self, window):
        prompt, _, written = self.tokenizer.decode(window.tolist()).partition("=")
        first, second = prompt.split("+")
        answer = str(int(first) + int(second)) if int(first) > int(second) else "0"
        if len(written) >= len(answer):
            return self.eos
        return self.tokenizer.encode(answer)[len(written)]


def returns_of_oracle(seeds, episodes, split="train"):
    """True returns of the first episodes of single environments, played by hand."""
    oracle, returns = Oracle(), []
    for seed in seeds:
        env = gym.make(SUMS, digits=1, split=split)
        window, _ = env.reset(seed=seed)
        for _ in range(episodes):
            over, total = False, 0.0
            while not over:
                window, reward, terminated, truncated, _ = env.step(oracle.token(window))
                over, total = terminated or truncated, total + reward
            returns.append(total)
            window, _ = env.reset()
    return returns


# --- Monitor -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("inside", "expected"), [(True, 1.0), (False, 0.0)])
def test_monitor_reports_the_task_inside_the_reward_layer_and_the_shaping_outside(inside, expected, tmp_path):
    env = gym.make(SUMS, digits=1)
    path = str(tmp_path / "log")
    env = ShapedReward(Monitor(env, path), PLAIN) if inside else Monitor(ShapedReward(env, PLAIN), path)
    env.reset(seed=3)
    base = env.unwrapped
    gold = base.tokenizer.encode(base.base.episode.problem.demonstration)
    assert len(gold) == 1
    env.step(gold[0])
    _, reward, terminated, _, info = env.step(base.eos_id)
    assert terminated
    assert reward == 0.5
    assert info["episode"]["r"] == expected
    assert info["episode"]["l"] == 2
    env.close()
    assert f"{expected},2," in (tmp_path / "log.monitor.csv").read_text()


def test_the_monitor_files_of_make_vec_env_hold_true_returns(tmp_path):
    envs = make_vec_env_of_sb3(
        SUMS, 2, seed=0, env_kwargs={"digits": 1, "render_mode": None}, monitor_dir=str(tmp_path), wrapper_class=ShapedReward,
        wrapper_kwargs={"config": PLAIN},
    )  # fmt: skip
    rewards, _ = evaluate_policy(Oracle(), envs, n_eval_episodes=10, return_episode_rewards=True)
    envs.close()
    logged = [line.split(",")[0] for path in sorted(tmp_path.iterdir()) for line in path.read_text().splitlines()[2:]]
    assert sorted(map(float, logged)) == sorted(rewards)
    assert sorted(rewards) == sorted(returns_of_oracle([0, 1], 5))


def test_make_vec_env_asks_for_pictures_first_and_goes_on_without():
    with pytest.warns(UserWarning, match="render_mode='rgb_array'"):
        envs = make_vec_env_of_sb3(SUMS, 2, seed=7, env_kwargs={"digits": 1})
    assert envs.render_mode is None
    np.testing.assert_array_equal(envs.reset(), made(2, seed=7).reset())


def test_a_vec_monitor_replaces_the_true_return_by_the_shaped_one():
    with pytest.warns(UserWarning, match="already wrapped with a `Monitor`"):
        envs = VecMonitor(made(2, PLAIN))
    end = envs.unwrapped.envs.unwrapped.eos_id
    envs.reset()
    envs.step(np.array([3, 3]))
    infos = envs.step(np.array([end, end]))[3]
    assert [info["episode"]["r"] for info in infos] == [-1.0, -1.0]  # two steps, both wrong answers
    assert [info["episode"]["l"] for info in infos] == [2, 2]


# --- VecNormalize, VecFrameStack ---------------------------------------------------------------------------------


def moments(values):
    """Mean and variance as `RunningMeanStd` has them: it begins with 1e-4 values of mean 0 and variance 1."""
    count, mean = len(values) + 1e-4, np.sum(values) / (len(values) + 1e-4)
    return mean, (1e-4 * (1.0 + mean**2) + np.sum((np.array(values) - mean) ** 2)) / count


@pytest.mark.parametrize("kind", ["adapter", "dummy"])
def test_vec_normalize_divides_by_the_spread_of_discounted_returns(kind, tmp_path):
    inner = made(3, PLAIN) if kind == "adapter" else dummy(SUMS, 3, {"digits": 1}, PLAIN)
    inner.seed(0)
    envs = VecNormalize(inner, norm_obs=False, gamma=0.9, clip_reward=1.5)
    envs.reset()
    rng, running, seen = np.random.default_rng(0), np.zeros(3), []
    for _ in range(40):
        _, rewards, dones, infos = envs.step(rng.integers(1, 17, 3))
        raw = envs.get_original_reward()
        running = 0.9 * running + raw
        seen.extend(running)
        _, variance = moments(seen)
        np.testing.assert_allclose(rewards, np.clip(raw / np.sqrt(variance + 1e-8), -1.5, 1.5), rtol=1e-5)
        running[dones] = 0.0
        for row in np.flatnonzero(dones):
            assert infos[row]["episode"]["r"] in (0.0, 1.0)  # neither shaped nor normalised
    envs.save(str(tmp_path / "statistics.pkl"))
    again = VecNormalize.load(str(tmp_path / "statistics.pkl"), made(3, PLAIN))
    assert (again.ret_rms.mean, again.ret_rms.var) == pytest.approx(moments(seen))


def test_a_frame_stack_puts_windows_side_by_side_and_forgets_at_an_end():
    plain, stacked = made(2), VecFrameStack(made(2), n_stack=3)
    history = [[window] for window in plain.reset()]
    stacked.reset()
    rng = np.random.default_rng(3)
    length = plain.observation_space.shape[0]
    for _ in range(30):
        tokens = rng.integers(1, 17, 2)
        windows, _, dones, infos = plain.step(tokens)
        observed, _, _, stacked_infos = stacked.step(tokens)
        for row in range(2):
            if dones[row]:
                last = np.concatenate([*[np.zeros(length)] * 3, *history[row], infos[row]["terminal_observation"]])
                np.testing.assert_array_equal(stacked_infos[row]["terminal_observation"], last[-3 * length :])
                history[row] = []
            history[row].append(windows[row])
            expected = np.concatenate([*[np.zeros(length)] * 3, *history[row]])[-3 * length :]
            np.testing.assert_array_equal(observed[row], expected)


# --- evaluation and checkpoints ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["adapter", "shaped adapter", "dummy", "single"])
def test_evaluate_policy_reports_the_true_return(kind):
    count = 1 if kind == "single" else 3
    envs = {
        "adapter": lambda: made(3),
        "shaped adapter": lambda: made(3, REWARDS),
        "dummy": lambda: dummy(SUMS, 3, {"digits": 1}, REWARDS),
        "single": lambda: dummy(SUMS, 1, {"digits": 1}, REWARDS),
    }[kind]()
    envs.seed(20)
    returns, lengths = evaluate_policy(Oracle(), envs, n_eval_episodes=12, return_episode_rewards=True)
    assert sorted(returns) == sorted(returns_of_oracle(range(20, 20 + count), 12 // count))
    assert {0.0, 1.0} == set(returns)
    assert set(lengths) <= {2, 3}


def test_eval_callback_writes_the_true_returns_of_held_out_problems(tmp_path):
    model = PPO("MlpPolicy", made(2, REWARDS), n_steps=32, batch_size=64, n_epochs=1, gamma=GAMMA, seed=0, device="cpu")
    model.predict = Oracle().predict
    held_out = make_vec_env(SUMS, 3, {"digits": 1, "split": "held_out"}, REWARDS, seed=50)
    callback = EvalCallback(
        held_out, n_eval_episodes=9, eval_freq=32, log_path=str(tmp_path), best_model_save_path=str(tmp_path), verbose=0
    )
    model.learn(64, callback=callback)
    with np.load(tmp_path / "evaluations.npz") as archive:
        logged = dict(archive)
    assert logged["timesteps"].tolist() == [64]
    assert sorted(logged["results"][0]) == sorted(returns_of_oracle([50, 51, 52], 3, split="held_out"))
    assert callback.best_mean_reward == pytest.approx(logged["results"].mean())
    assert logged["successes"][0].tolist() == logged["results"][0].astype(bool).tolist()
    assert (tmp_path / "best_model.zip").exists()


def parameters(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.policy.parameters()])


def test_checkpoint_callback_saves_the_parameters_and_statistics_of_its_step(tmp_path):
    def learner():
        envs = VecNormalize(made(2, PLAIN), norm_obs=False, gamma=0.9)
        return PPO("MlpPolicy", envs, n_steps=16, batch_size=32, n_epochs=1, seed=0, device="cpu"), envs

    model, _ = learner()
    callback = CheckpointCallback(20, str(tmp_path), name_prefix="sums", save_vecnormalize=True)
    model.learn(64, callback=callback)
    assert {path.name for path in tmp_path.iterdir()} == {"sums_40_steps.zip", "sums_vecnormalize_40_steps.pkl"}
    twin, _ = learner()
    twin.learn(32)  # the checkpoint is of the second rollout, after one update
    saved = PPO.load(tmp_path / "sums_40_steps.zip", device="cpu")
    assert torch.equal(parameters(saved), parameters(twin))
    assert not torch.equal(parameters(saved), parameters(model))
    # Twenty steps of two rows, whose discounted returns are normalised.
    statistics = VecNormalize.load(str(tmp_path / "sums_vecnormalize_40_steps.pkl"), made(2, PLAIN))
    assert statistics.ret_rms.count == pytest.approx(40 + 1e-4)


def test_progress_of_training_is_reported_in_true_returns():
    model = PPO("MlpPolicy", made(4, PLAIN), n_steps=64, batch_size=64, n_epochs=1, seed=0, device="cpu")
    model.learn(512)
    entries = list(model.ep_info_buffer)
    assert {entry["r"] for entry in entries} <= {0.0, 1.0}
    for entry in entries:  # minus a half per token, and 1 for a right answer
        assert entry["shaped"] == pytest.approx(entry["r"] - 0.5 * entry["l"])
    assert np.mean(model.ep_success_buffer) == pytest.approx(np.mean([entry["r"] for entry in entries]))


# --- other processes ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.ci
def test_environments_in_other_processes_give_the_same_numbers():
    env_id, kwargs = CASES["sums"]
    remote = SubprocVecEnv([lambda: single(env_id, kwargs, REWARDS, 6)] * 2)
    try:
        ours, local = (
            make_vec_env(env_id, 2, kwargs, REWARDS, max_episode_steps=6),
            dummy(env_id, 2, kwargs, REWARDS, 6),
        )
        for envs in (ours, remote, local):
            envs.seed(9)
        np.testing.assert_array_equal(ours.reset(), remote.reset())
        local.reset()
        scribe = Scribe(local, 0)
        for step in range(40):
            for envs in (ours, remote, local):
                envs.env_method("set_global_step", 3 * step)
            tokens = scribe.tokens()
            local.step(tokens)
            mine, yours = ours.step(tokens), remote.step(tokens)
            np.testing.assert_array_equal(mine[0], yours[0])
            np.testing.assert_allclose(mine[1], yours[1], rtol=1e-6, atol=1e-6)
            np.testing.assert_array_equal(mine[2], yours[2])
            for row in np.flatnonzero(mine[2]):
                assert mine[3][row]["episode"]["r"] == yours[3][row]["episode"]["r"]
        facts = remote.env_method("reward_facts")[1]
        assert facts == ours.layer.reward_facts()
        assert facts.clock_driven
    finally:
        remote.close()


def test_a_potential_alone_leaves_undiscounted_returns_alone():
    adapter = made(2, {"reward_components": {"env": {"class": "EnvReward"}, "guide": {**GUIDE, "params": {"potential_function": "progress", "gamma": 1.0}}}})  # fmt: skip
    adapter.reset()
    rng = np.random.default_rng(2)
    entries = []
    for _ in range(60):
        entries += [info["episode"] for info in adapter.step(rng.integers(1, 17, 2))[3] if "episode" in info]
    assert len(entries) > 20
    for entry in entries:
        assert entry["shaped"] == pytest.approx(entry["r"], abs=1e-6)
