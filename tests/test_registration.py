import importlib
import subprocess
import sys

import gymnasium as gym
import pytest

import rlenvs  # registers the ids
from rlenvs.registration import ENVIRONMENTS, environment_table, register_all


def load(entry_point):
    module, name = entry_point.split(":")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("row", ENVIRONMENTS, ids=lambda row: row.id)
def test_every_row_is_registered_and_its_entry_points_exist(row):
    assert rlenvs.__version__
    assert gym.spec(row.id).entry_point == row.entry_point
    assert gym.spec(row.id).vector_entry_point == row.vector_entry_point
    assert issubclass(load(row.entry_point), gym.Env)
    if row.vector_entry_point is not None:
        assert issubclass(load(row.vector_entry_point), gym.vector.VectorEnv)


def test_the_table_is_plain_data_with_unique_ids():
    table = environment_table()
    assert [row["id"] for row in table] == ["rlenvs/Arithmetic-v0", "rlenvs/ArithmeticTokens-v0"]
    assert all(row["description"] and row["level"] in ("turn", "token") for row in table)


def test_registering_twice_changes_nothing():
    before = dict(gym.registry)
    register_all()
    assert dict(gym.registry) == before


def test_an_unknown_id_gets_the_nearest_one():
    with pytest.raises(gym.error.NameNotFound, match="Did you mean: `Arithmetic`"):
        gym.make("rlenvs/Arithmetik-v0")


def test_make_imports_the_package_in_a_fresh_process():
    code = "import gymnasium as g; print(g.make('rlenvs:rlenvs/Arithmetic-v0').reset(seed=0)[0])"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "85+63=\n"


def test_make_vec_takes_the_own_vector_form():
    envs = gym.make_vec("rlenvs/Arithmetic-v0", num_envs=3, digits=1)
    assert type(envs.unwrapped).__name__ == "ArithmeticVectorEnv"
    assert envs.spec.kwargs["vectorization_mode"] == "vector_entry_point"
    assert len(envs.reset(seed=0)[0]) == 3


@pytest.mark.parametrize("row", ENVIRONMENTS, ids=lambda row: row.id)
def test_specs_round_trip_through_json(row):
    env = gym.make(row.id, digits=1, operators="+-", markers=["A:"], extract="last_marker")
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.spec.kwargs == env.spec.kwargs
    first, second = env.reset(seed=5), again.reset(seed=5)
    assert list(first[0]) == list(second[0])
    assert first[1] == second[1]
