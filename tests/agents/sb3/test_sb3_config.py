"""Configurations of runs of Stable-Baselines3: what they may hold, and what is said of what they may not."""

import inspect

import pytest
from sb3_runs import REWARDS, SMALL, sb3_config, sb3_data

from rlenvs.agents.sb3 import SB3TrainConfig
from rlenvs.agents.sb3.algorithm_config import AlgorithmConfig
from rlenvs.agents.sb3.algorithms import algorithm_class, scheduled
from rlenvs.config_file import dump_config, parse_config
from rlenvs.errors import ConfigError

ELSEWHERE = {
    "policy", "env", "seed", "device", "policy_kwargs",  # sections of their own
    "verbose", "stats_window_size", "tensorboard_log", "_init_setup_model",  # a run has logs of its own
    "use_sde", "sde_sample_freq",  # for continuous actions
    "rollout_buffer_class", "rollout_buffer_kwargs", "replay_buffer_class", "replay_buffer_kwargs",
    "optimize_memory_usage",  # would take cut episodes for ended ones
}  # fmt: skip


def parameters_of(name: str) -> AlgorithmConfig:
    data = {"env": {"id": "rlenvs/ArithmeticTokens-v0"}, "algorithm": {"name": name, "total_timesteps": 10**6}}
    return SB3TrainConfig.load(data).algorithm


@pytest.mark.parametrize("name", SMALL)
def test_parameters_and_defaults_are_those_of_the_constructor(name):
    signature = inspect.signature(algorithm_class(name)).parameters
    wanted = {key: parameter.default for key, parameter in signature.items() if key not in ELSEWHERE}
    assert parameters_of(name).parameters() == wanted


@pytest.mark.parametrize("name", SMALL)
def test_what_is_written_reads_back(tmp_path, name):
    config = sb3_config(tmp_path, name)
    assert parse_config(SB3TrainConfig, dump_config(config)) == config


def test_iterations_are_made_of_whole_rounds(tmp_path):
    assert (sb3_config(tmp_path).iteration_steps, sb3_config(tmp_path).iterations) == (32, 6)
    longer = sb3_config(tmp_path, "ppo", "output.log_every=33")
    assert (longer.iteration_steps, longer.iterations) == (64, 3)
    a2c = sb3_config(tmp_path, "a2c", "output.log_every=40", "algorithm.total_timesteps=100")
    assert (a2c.iteration_steps, a2c.iterations) == (48, 3)


def test_a_linear_schedule_falls_to_nothing():
    schedule = scheduled("lin_3e-4")
    assert [schedule(left) for left in (1.0, 0.25, 0.0)] == pytest.approx([3e-4, 0.75e-4, 0.0])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("algorithm.clip_rang=0.1", "algorithm.clip_rang: unknown key 'clip_rang'; did you mean 'clip_range'?"),
        ("algorithm.name=pp", "algorithm: unknown 'name' 'pp'; did you mean 'ppo'? (known: a2c, dqn, maskable_ppo"),
        ("algorithm.learning_rate=lin3", "algorithm.learning_rate: must be a number > 0, or lin_X for one that falls"),
        ("algorithm.learning_rate=0", "algorithm.learning_rate: must be a number > 0"),
        ("algorithm.total_timesteps=31", "algorithm.total_timesteps: must be >= 32, the steps of one round of 4"),
        ("algorithm.batch_size=12", r"algorithm.batch_size: must divide n_steps * env.num_envs (8 * 4 = 32), or the last"),
        ("algorithm.gamma=0.95", "rewards.reward_components.guide.params.gamma: must equal the learner's algorithm.gamma"),
        ("env.id=rlenvs/Arithmetic-v0", "acts in whole messages, and Stable-Baselines3 in token ids: use 'rlenvs/Arithmet"),
        ("env.kwargs.split=held_out", "env.kwargs.split: is not yours to set"),
        ("policy.features=grru", "policy.features: expected 'flat', 'gru', 'transformer' or 'none', got 'grru'"),
        ("policy.heads=2", "policy.heads: features 'flat' has no such parameter"),
        ("policy.lstm_hidden_size=8", "policy.lstm_hidden_size: algorithm 'ppo' has no LSTM: use 'recurrent_ppo'"),
        ("normalize_reward=true", "normalize_reward: would rescale the potential 'guide' while the run goes on"),
        ("output.log_evry=1", "output.log_evry: unknown key 'log_evry'; did you mean 'log_every'?"),
    ],
)  # fmt: skip
def test_mistakes_are_named(tmp_path, override, message):
    with pytest.raises(ConfigError) as caught:
        sb3_config(tmp_path, "ppo", override)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_nearest_batch_size_is_one_that_fits(tmp_path):
    with pytest.raises(ConfigError, match=r"got 12: the nearest that does is (8|16)$"):
        sb3_config(tmp_path, "ppo", "algorithm.batch_size=12")


def test_a_misspelt_parameter_is_named_with_file_and_line(tmp_path):
    file = tmp_path / "run.yaml"
    text = "env: {id: rlenvs/ArithmeticTokens-v0}\nalgorithm:\n  name: dqn\n  total_timesteps: 1000\n  buffersize: 10\n"
    file.write_text(text)
    with pytest.raises(
        ConfigError, match=r"run.yaml:5:3: algorithm.buffersize: unknown key .* did you mean 'buffer_size'"
    ):
        SB3TrainConfig.load(file)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["algorithm.learning_starts=192"], r"algorithm.learning_starts: must be < total_timesteps \(192\)"),
        (["algorithm.buffer_size=3"], r"algorithm.buffer_size: must be >= env.num_envs \(4\), got 3"),
        (["algorithm.exploration_fraction=0"], "algorithm.exploration_fraction: must be > 0"),
        (["policy.value_net_arch=[8]"], "policy.value_net_arch: algorithm 'dqn' has one network"),
        (["algorithm.n_epochs=3"], "algorithm.n_epochs: unknown key 'n_epochs'"),
    ],
)
def test_mistakes_of_dqn_are_named(tmp_path, overrides, message):
    with pytest.raises(ConfigError, match=message):
        sb3_config(tmp_path, "dqn", *overrides)


def test_a_potential_counts_steps_where_steps_are_tokens(tmp_path):
    guide = REWARDS["reward_components"]["guide"]
    params = guide["params"] | {"gamma_unit": "token"}
    rewards = {"reward_components": {"guide": guide | {"params": params}}}
    with pytest.raises(ConfigError, match=r"rewards.reward_components.guide.params.gamma_unit: must be 'step'"):
        sb3_config(tmp_path, rewards=rewards)


def test_without_rewards_the_environment_pays(tmp_path):
    data = {key: value for key, value in sb3_data(tmp_path).items() if key != "rewards"}
    assert SB3TrainConfig.load(data).rewards is None


def test_rewards_can_be_left_out_by_name(tmp_path):
    config = SB3TrainConfig.load(sb3_data(tmp_path), (), ["guide"])
    assert config.rewards is not None
    assert list(config.rewards.reward_components) == ["right", "short"]
