"""Whole runs of every algorithm: what they leave behind, that they repeat, and that they go on to the same numbers."""

import shutil

import numpy as np
import pytest
import torch
from sb3_runs import SMALL, numbers, quiet, rows, sb3_config, sb3_data
from stable_baselines3 import A2C, DQN, PPO

from rlenvs.agents.llm import TrainConfig, resume
from rlenvs.agents.runs.checkpoint import STATE_FILE, iteration_of, list_checkpoints
from rlenvs.agents.runs.signals import REQUEUE
from rlenvs.agents.sb3 import SB3TrainConfig, make_vec_env, resume_sb3, train_sb3
from rlenvs.agents.sb3.resuming import FIXED
from rlenvs.errors import ComponentError, ConfigError, RunFolderError, TrainingDivergedError
from rlenvs.wrappers import BaseReward
from rlenvs.wrappers.component_registry import component_registry

ALWAYS = {
    "iteration", "step", "rounds", "reward/total", "reward/env", "reward/potential", "return/true", "return/shaped",
    "accuracy/train", "length/mean", "learning_rate", "time/rollout", "time/update", "time/env", "time/elapsed",
    "time/steps_per_second",
    *(f"component/{name}/{part}" for name in ("right", "short", "guide") for part in ("raw", "contribution")),
    *(f"{kind}/{name}" for name in ("right", "short", "guide") for kind in ("weight", "failures", "invalid")),
}  # fmt: skip
OF_POLICY_GRADIENTS = {"entropy", "policy_loss", "value_loss", "explained_variance"}
OWN = {
    "ppo": OF_POLICY_GRADIENTS | {"approx_kl", "clip_fraction", "clip_range", "loss", "updates"},
    "a2c": OF_POLICY_GRADIENTS | {"updates"},
    "dqn": {"loss", "exploration_rate", "updates"},
    "maskable_ppo": OF_POLICY_GRADIENTS | {"approx_kl", "clip_fraction", "clip_range", "loss", "updates"},
    "recurrent_ppo": OF_POLICY_GRADIENTS | {"approx_kl", "clip_fraction", "clip_range", "loss", "updates"},
}


def stopping_after(iterations: int):
    """A `stop` that ends a run after so many iterations; the first question comes before them."""
    return iter([False] * iterations + [True]).__next__


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One finished run of each algorithm, made when it is first asked for."""
    made = {}

    def run_of(name):
        if name not in made:
            made[name] = train_sb3(sb3_config(tmp_path_factory.mktemp(name), name), view=quiet())
        return made[name]

    return run_of


@pytest.mark.parametrize("name", SMALL)
def test_a_run_leaves_what_every_run_leaves(finished, name):
    result = finished(name)
    found = {path.name for path in result.run_dir.iterdir()}
    assert found == {"config.yaml", "metrics.jsonl", "rollouts.jsonl", "checkpoints", "model", "report.html"}
    lines = rows(result.run_dir)
    assert [line["iteration"] for line in lines] == list(range(7))
    assert [line["step"] for line in lines] == [0, 32, 64, 96, 128, 160, 192]
    evaluated = [line["iteration"] for line in lines if "accuracy/greedy" in line]
    assert evaluated == [0, 2, 4, 6]
    assert all("return/sampled" in line for line in lines if "return/greedy" in line) == (name != "dqn")
    for line in lines[2:]:  # by then every row has ended an episode, and everyone has learned
        assert set(line) >= ALWAYS | OWN[name], sorted((ALWAYS | OWN[name]) - set(line))
    assert result.after["accuracy/greedy"] == lines[-1]["accuracy/greedy"]
    assert [iteration_of(path) for path in list_checkpoints(result.run_dir / "checkpoints")] == [4, 6]
    assert "True return per episode" in (result.run_dir / "report.html").read_text()


@pytest.mark.parametrize("name", SMALL)
def test_the_same_seed_gives_the_same_numbers_and_another_others(finished, tmp_path, name):
    again = train_sb3(sb3_config(tmp_path, name), view=quiet())
    assert numbers(again.run_dir) == numbers(finished(name).run_dir)
    other = train_sb3(sb3_config(tmp_path / "other", name, "seed=1"), view=quiet())
    assert numbers(other.run_dir) != numbers(finished(name).run_dir)


@pytest.mark.parametrize("iterations", [1, 3, 4])
@pytest.mark.parametrize("name", SMALL)
def test_a_run_that_was_stopped_goes_on_to_the_numbers_that_it_would_have_had(finished, tmp_path, name, iterations):
    config = sb3_config(tmp_path, name)
    stopped = train_sb3(config, view=quiet(), stop=stopping_after(iterations))
    assert stopped.interrupted
    assert rows(stopped.run_dir)[-1]["iteration"] == iterations
    # What the process drew in between must not matter.
    np.random.seed(99)
    torch.manual_seed(99)
    result = resume_sb3(stopped.run_dir, view=quiet())
    assert not result.interrupted
    whole = finished(name)
    assert numbers(result.run_dir) == numbers(whole.run_dir)
    assert (result.run_dir / "rollouts.jsonl").read_text() == (whole.run_dir / "rollouts.jsonl").read_text()
    assert same_parameters(result.run_dir, whole.run_dir)
    assert result.before == whole.before


def same_parameters(one, other) -> bool:
    """Whether the newest checkpoints of two runs hold the same weights, optimiser and random streams, bit by bit."""

    def flat(value, path=()):
        if isinstance(value, dict):
            return [item for key in value for item in flat(value[key], (*path, key))]
        if isinstance(value, list | tuple):
            return [item for place, part in enumerate(value) for item in flat(part, (*path, place))]
        return [(path, value.tolist() if isinstance(value, torch.Tensor) else value)]

    found = []
    for run_dir in (one, other):
        state = torch.load(list_checkpoints(run_dir / "checkpoints")[-1] / STATE_FILE, weights_only=True)
        kept = {key: state[key] for key in ("algorithm", "random", "stack", "components", "records")}
        # Seconds since an episode began differ; nothing reads them.
        found.append([entry for entry in flat(kept) if "started" not in entry[0]])
    return found[0] == found[1]


def test_normalised_and_shuffled_rewards_go_on_too(tmp_path):
    """Statistics, discounted sums and the dealing are state like any other."""
    rewards = {"reward_components": {"right": {"class": "CorrectnessReward"}}}
    changes = {"rewards": rewards, "normalize_reward": True, "shuffle_rewards": True}
    whole = train_sb3(sb3_config(tmp_path / "whole", "dqn", **changes), view=quiet())
    config = sb3_config(tmp_path / "stopped", "dqn", **changes)
    stopped = train_sb3(config, view=quiet(), stop=stopping_after(3))
    result = resume_sb3(stopped.run_dir, view=quiet())
    assert numbers(result.run_dir) == numbers(whole.run_dir)
    assert same_parameters(result.run_dir, whole.run_dir)


def test_a_damaged_checkpoint_is_passed_over(finished, tmp_path):
    config = sb3_config(tmp_path, "a2c")
    run_dir = train_sb3(config, view=quiet(), stop=stopping_after(5)).run_dir
    newest = list_checkpoints(run_dir / "checkpoints")[-1] / STATE_FILE
    newest.write_bytes(newest.read_bytes()[:-1] + b"x")
    result = resume_sb3(run_dir, view=quiet())
    assert numbers(result.run_dir) == numbers(finished("a2c").run_dir)


def test_a_signal_saves_and_its_exit_code_comes_back(tmp_path):
    class Asked:
        exit_code = REQUEUE
        questions = 0

        def __call__(self) -> bool:
            self.questions += 1
            return self.questions > 2

    result = train_sb3(sb3_config(tmp_path), view=quiet(), stop=Asked())
    assert (result.interrupted, result.exit_code, result.timesteps) == (True, REQUEUE, 64)


def test_a_run_goes_on_for_longer_and_with_another_learning_rate(tmp_path):
    run_dir = train_sb3(sb3_config(tmp_path, "a2c"), view=quiet()).run_dir
    longer = sb3_config(tmp_path, "a2c", "algorithm.total_timesteps=256", "algorithm.learning_rate=0.5")
    result = resume_sb3(run_dir, config=longer, view=quiet())
    assert result.timesteps == 256
    assert [row.get("learning_rate") for row in rows(run_dir)][-3:] == [pytest.approx(7e-4), 0.5, 0.5]
    done = resume_sb3(run_dir, view=quiet())  # nothing is left to do, and nothing goes wrong
    assert (done.timesteps, len(rows(run_dir))) == (256, 9)


@pytest.mark.parametrize(
    "override", ["seed=1", "env.num_envs=8", "algorithm.name=a2c", "policy.net_arch=[9]", "rewards.reward_shaping={}"]
)
def test_what_is_in_the_checkpoint_cannot_change(tmp_path, override):
    data = sb3_data(tmp_path)
    if override == "algorithm.name=a2c":
        data["algorithm"] = sb3_data(tmp_path, "a2c")["algorithm"]
        override = "seed=0"
    run_dir = train_sb3(sb3_config(tmp_path), view=quiet(), stop=stopping_after(1)).run_dir
    with pytest.raises(ConfigError, match=r"--resume: .* cannot change in a run that goes on"):
        resume_sb3(run_dir, config=SB3TrainConfig.load(data, [override]), view=quiet())


def test_every_fixed_key_is_a_key():
    schema = SB3TrainConfig.model_json_schema()
    for key in FIXED:
        section, _, inner = key.partition(".")
        assert section in schema["properties"]
        if inner:
            assert any(inner in found.get("properties", {}) for found in schema["$defs"].values())


def test_runs_of_other_kinds_are_told_apart(tmp_path):
    run_dir = train_sb3(sb3_config(tmp_path), view=quiet(), stop=stopping_after(1)).run_dir
    with pytest.raises(RunFolderError, match="run of another kind: it trains an agent of Stable-Baselines3"):
        resume(run_dir)
    other = tmp_path / "other"
    other.mkdir()
    minimal = {"env": {"id": "rlenvs/Arithmetic-v0"}, "rewards": {"reward_components": {"r": {"class": "EnvReward"}}}}
    from rlenvs.config_file import dump_config

    (other / "config.yaml").write_text(dump_config(TrainConfig.load(minimal)))
    with pytest.raises(RunFolderError, match="trains a language model by reinforcement learning"):
        resume_sb3(other, view=quiet())
    with pytest.raises(RunFolderError, match="not a run folder"):
        resume_sb3(tmp_path, view=quiet())


@pytest.mark.parametrize(("name", "kind"), [("ppo", PPO), ("dqn", DQN)])
def test_the_model_loads_with_stable_baselines_alone(finished, name, kind):
    result = finished(name)
    model = kind.load(result.run_dir / "model" / "model.zip", device="cpu")
    envs = make_vec_env("rlenvs/ArithmeticTokens-v0", 4, {"digits": 1, "split": "held_out"}, seed=0)
    actions, _ = model.predict(envs.reset(), deterministic=True)
    assert actions.shape == (4,)
    state = torch.load(list_checkpoints(result.run_dir / "checkpoints")[-1] / STATE_FILE, weights_only=True)
    saved, held = model.policy.state_dict(), state["algorithm"]["parameters"]["policy"]
    assert all(torch.equal(saved[key], held[key]) for key in held)


def test_a_component_that_fails_in_the_middle_ends_the_run_with_a_way_back(tmp_path):
    class Fragile(BaseReward):
        calls = 0

        def __call__(self, transition) -> float:
            type(self).calls += 1
            if type(self).calls > 100:
                raise OSError("the judge is gone")
            return 0.0

    component_registry.add("FragileForThisTest", Fragile)
    rewards = {"reward_components": {"fragile": {"class": "FragileForThisTest"}}}
    config = sb3_config(tmp_path, "a2c", rewards=rewards)
    with pytest.raises(ComponentError) as caught:
        train_sb3(config, view=quiet())
    (note,) = caught.value.__notes__
    assert note.startswith("failed at iteration ")
    assert f"rlenvs train --resume {tmp_path / 'run'}" in note
    assert (tmp_path / "run" / "report.html").exists()


def test_an_update_that_breaks_the_policy_ends_the_run_before_it_is_saved(tmp_path, monkeypatch):
    real, rounds = A2C.train, []

    def train(model):
        real(model)
        rounds.append(model.num_timesteps)
        if len(rounds) == 7:
            with torch.no_grad():
                next(iter(model.policy.parameters()))[0] = float("nan")

    monkeypatch.setattr(A2C, "train", train)
    with pytest.raises(
        TrainingDivergedError, match=r"an update at step 112 made weights of the policy NaN or infinite"
    ):
        train_sb3(sb3_config(tmp_path, "a2c"), view=quiet())
    monkeypatch.undo()
    assert rows(tmp_path / "run")[-1]["step"] == 96
    resumed = resume_sb3(tmp_path / "run", view=quiet())
    assert resumed.timesteps == 192


def test_what_a_reward_cannot_do_here_shows_before_anything_is_written(tmp_path):
    rewards = {"reward_components": {"missing": {"class": "LLMPotentialBasedReward", "params": {
        "potential_function": "info", "gamma": 0.9, "potential_params": {"info_key": "no_such_key"}}}}}  # fmt: skip
    with pytest.raises(ConfigError, match="rewards: "):
        train_sb3(sb3_config(tmp_path, rewards=rewards), view=quiet())
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_taken_is_not_written_to(tmp_path):
    run_dir = train_sb3(sb3_config(tmp_path), view=quiet(), stop=stopping_after(1)).run_dir
    before = (run_dir / "metrics.jsonl").read_text()
    with pytest.raises(RunFolderError, match=r"is not empty: choose another .* or go on with it by --resume"):
        train_sb3(sb3_config(tmp_path), view=quiet())
    assert (run_dir / "metrics.jsonl").read_text() == before
    shutil.rmtree(run_dir / "checkpoints")
    with pytest.raises(RunFolderError, match="holds no checkpoint to resume from"):
        resume_sb3(run_dir, view=quiet())


def test_a_mask_is_asked_of_environments_that_have_one(tmp_path, monkeypatch):
    from rlenvs.envs.token_vector_env import TokenVectorEnv

    monkeypatch.delattr(TokenVectorEnv, "action_masks")
    with pytest.raises(ConfigError, match=r"asks for action masks, which env.id .* does not have: use 'ppo'"):
        train_sb3(sb3_config(tmp_path, "maskable_ppo"), view=quiet())


@pytest.mark.parametrize("features", ["gru", "transformer", "none"])
def test_every_kind_of_features_trains(tmp_path, features):
    policy = {"features": features, "net_arch": [8]} | ({"embedding_dim": 4} if features != "none" else {})
    policy |= {"heads": 2} if features == "transformer" else {}
    result = train_sb3(sb3_config(tmp_path, "ppo", "algorithm.total_timesteps=64", policy=policy), view=quiet())
    assert result.timesteps == 64


def test_a_parameter_that_the_extractor_refuses_is_named(tmp_path):
    policy = {"features": "transformer", "embedding_dim": 6, "heads": 4}
    with pytest.raises(ConfigError, match=r"policy\.(heads|embedding_dim)"):
        train_sb3(sb3_config(tmp_path, policy=policy), view=quiet())


def test_an_episode_that_is_cut_is_recorded_as_one(tmp_path):
    env = {"id": "rlenvs/ArithmeticTokens-v0", "kwargs": {"digits": 1}, "num_envs": 4, "max_episode_steps": 1}
    result = train_sb3(sb3_config(tmp_path, "a2c", env=env), view=quiet())
    lines = rows(result.run_dir)[1:]
    assert {line["length/mean"] for line in lines} == {1.0}
    assert {line["return/true"] for line in lines} == {0.0}


def test_rollouts_are_episodes_with_what_they_were_paid_for(finished):
    result = finished("ppo")
    records = rows(result.run_dir, "rollouts.jsonl")
    metrics = rows(result.run_dir)
    assert {record["iteration"] for record in records} == set(range(1, 7))
    for iteration in range(1, 7):
        assert len([record for record in records if record["iteration"] == iteration]) <= 16
    for record in records:
        contributed = sum(part["contribution"] for part in record["components"].values())
        assert contributed == pytest.approx(record["reward"], abs=1e-9)
        assert record["env_reward"] == float(record["correct"])
        assert 1 <= record["tokens"] <= 4
    # Where all episodes of an iteration are recorded, their means are the curves.
    for line in metrics[1:]:
        mine = [record for record in records if record["iteration"] == line["iteration"]]
        if len(mine) < 16:
            assert np.mean([record["reward"] for record in mine]) == pytest.approx(line["return/shaped"], abs=1e-5)
            assert np.mean([record["env_reward"] for record in mine]) == pytest.approx(line["return/true"])
            assert np.mean([record["correct"] for record in mine]) == pytest.approx(line["accuracy/train"])


def test_a_run_has_its_own_number_of_threads_and_gives_the_others_back(tmp_path):
    seen = []

    def stop():
        seen.append(torch.get_num_threads())
        return len(seen) > 1

    before = torch.get_num_threads()
    train_sb3(SB3TrainConfig.load({**sb3_data(tmp_path, "ppo"), "threads": before + 1}), view=quiet(), stop=stop)
    assert seen == [before + 1] * 2
    assert torch.get_num_threads() == before
