"""The hyperparameter files for rl-zoo3: what is built of them is what rl-zoo3 would build."""

import importlib
from importlib import resources

import gymnasium as gym
import pytest
import yaml
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from torch import nn

import rlenvs  # noqa: F401 - what --gym-packages does
from rlenvs.agents.sb3 import TokenEmbedding
from rlenvs.wrappers import ShapedReward
from rlenvs.wrappers.potentials.base import PotentialTerm

FOLDER = resources.files("rlenvs.configs") / "zoo"
FILES = {path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in FOLDER.iterdir()}
ENTRIES = [(name, env_id) for name, entries in FILES.items() for env_id in entries]
OF_THE_EXPERIMENT = ("env_wrapper", "n_envs", "n_timesteps", "policy")
SCHEDULED = ("learning_rate", "clip_range", "clip_range_vf")


def wrapper_of(entry):
    """As rl_zoo3.utils.get_wrapper_class: a list of dotted names, each with its arguments, applied from the inside."""

    def wrap(env):
        for named in entry["env_wrapper"]:
            ((path, arguments),) = named.items()
            module, _, name = path.rpartition(".")
            env = getattr(importlib.import_module(module), name)(env, **arguments)
        return env

    return wrap


def parameters_of(entry):
    """As rl_zoo3.exp_manager: `lin_x` is a schedule, `policy_kwargs` is evaluated in a module that has `nn`."""
    parameters = {key: value for key, value in entry.items() if key not in OF_THE_EXPERIMENT}
    parameters["policy_kwargs"] = eval(parameters["policy_kwargs"], {"nn": nn})  # noqa: S307 - its own
    for key in SCHEDULED:
        if isinstance(parameters.get(key), str):
            kind, _, first = parameters[key].partition("_")
            assert kind == "lin"
            parameters[key] = lambda left, first=float(first): left * first
    return parameters


def test_there_is_a_file_for_ppo():
    assert list(FILES) == ["ppo.yml"]


@pytest.mark.parametrize(("name", "env_id"), ENTRIES)
def test_an_entry_builds_the_shaped_environment_and_the_policy(name, env_id):
    entry = FILES[name][env_id]
    assert gym.spec(env_id).id == env_id
    envs = make_vec_env(
        env_id, entry["n_envs"], seed=0, wrapper_class=wrapper_of(entry), env_kwargs={"render_mode": None}
    )
    layer = envs.envs[0]
    assert isinstance(layer, ShapedReward)
    assert isinstance(layer.env, gym.Wrapper)
    assert type(layer.env).__name__ == "Monitor", "the logged return is the task's own"
    gammas = [part.gamma for part in layer.pipeline.parts.components.values() if isinstance(part, PotentialTerm)]
    model = PPO(entry["policy"], envs, seed=0, device="cpu", **parameters_of(entry))
    assert gammas == [model.gamma]
    assert isinstance(model.policy.features_extractor, TokenEmbedding)
    assert model.n_steps * entry["n_envs"] % model.batch_size == 0
    assert entry["n_timesteps"] == int(entry["n_timesteps"])
    assert model.lr_schedule(0.5) == pytest.approx(0.5 * model.lr_schedule(1.0))
