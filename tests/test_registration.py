import ast
import importlib
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import pytest
from gymnasium.utils.env_checker import check_env

import rlenvs  # registers the ids
from rlenvs.envs.protocols import PROTOCOLS, EndpointUser
from rlenvs.errors import UserError
from rlenvs.problems.registry import source_class
from rlenvs.registration import COMBINATIONS, ENVIRONMENTS, environment_table, markdown_table, register_all
from rlenvs.testing import check_text_env

ROOT = Path(__file__).parents[1]
PAGES = [
    page
    for page in (ROOT / "README.md", ROOT / "docs" / "environments.md")
    if "<!-- environments -->" in page.read_text()
]
PARAMETERS = {
    "rlenvs/MathStepsTokens-v0": {"max_turns": 2, "max_response_tokens": 20},
    "rlenvs/CodeTokens-v0": {"attempts": 2, "max_response_tokens": 20},
    "rlenvs/CodeRepairTokens-v0": {"attempts": 2, "max_response_tokens": 20},
    "rlenvs/ConversationTokens-v0": {"max_turns": 2, "max_response_tokens": 20},
}
"""What an id cannot be made without, and what makes the episodes of random tokens short."""


def load(entry_point):
    module, name = entry_point.split(":")
    return getattr(importlib.import_module(module), name)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A small file of problems."""
    path = tmp_path_factory.mktemp("data") / "sums.jsonl"
    rows = [{"question": f"What is {n} plus {n}?", "answer": str(2 * n)} for n in range(40)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def kwargs_of(dataset):
    """From a row to the parameters that its id is tested with."""

    def kwargs(row):
        if row.source == "reasoning_gym":
            pytest.importorskip("reasoning_gym")
        return {**PARAMETERS.get(row.id, {}), **({"path": dataset} if row.source == "jsonl" else {})}

    return kwargs


@pytest.mark.parametrize("row", ENVIRONMENTS, ids=lambda row: row.id)
def test_every_row_is_registered_and_its_entry_points_exist(row):
    assert rlenvs.__version__
    spec = gym.spec(row.id)
    assert (spec.entry_point, spec.vector_entry_point, spec.kwargs) == (
        row.entry_point,
        row.vector_entry_point,
        row.kwargs,
    )
    assert issubclass(load(row.entry_point), gym.Env)
    if row.vector_entry_point is not None:
        assert issubclass(load(row.vector_entry_point), gym.vector.VectorEnv)


def test_the_table_is_plain_data_with_unique_ids():
    table = environment_table()
    ids = [row["id"] for row in table]
    assert len(set(ids)) == len(ids) == 2 * len(COMBINATIONS)
    assert ids[:2] == ["rlenvs/Arithmetic-v0", "rlenvs/ArithmeticTokens-v0"]
    assert all(row["description"] and row["level"] in ("turn", "token") for row in table)
    assert {row["protocol"] for row in table} <= PROTOCOLS.keys()
    assert json.loads(json.dumps(table)) == table
    for turn, token in zip(table[::2], table[1::2], strict=True):
        assert token["id"] == turn["id"].replace("-v0", "Tokens-v0")
        assert (turn["level"], token["level"]) == ("turn", "token")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_show_the_table_as_it_is(page):
    text = page.read_text(encoding="utf-8")
    shown = text.split("<!-- environments -->\n")[1].split("\n<!-- /environments -->")[0]
    assert shown == markdown_table(), f"{page.name}: replace what is between the marks by rlenvs envs --markdown"


def section(name):
    """The section of an id in docs/environments.md."""
    text = (ROOT / "docs" / "environments.md").read_text(encoding="utf-8")
    return text.split(f"\n## rlenvs/{name}-v0\n")[1].split("\n## ")[0]


def documented(name):
    """The parameters in the table of a section, with their defaults; None for a default that is described in words."""
    defaults = {}
    for names, default in re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (.*?) \| ", section(name), flags=re.MULTILINE):
        parameters = re.findall(r"`(\w+)`", names)
        try:
            values = ast.literal_eval(f"[{re.sub(r'(?<=[0-9]),(?=[0-9]{3})', '', default.replace('`', ''))}]")
        except (ValueError, SyntaxError):
            values = [...] * len(parameters)
        values *= len(parameters) if len(values) == 1 else 1
        assert len(values) == len(parameters), f"{name}: {names} has the defaults {default}"
        defaults |= dict(zip(parameters, values, strict=True))
    return defaults


@pytest.mark.parametrize("combination", COMBINATIONS, ids=lambda combination: combination.name)
def test_every_section_tells_the_whole_episode_and_every_parameter(combination):
    text = section(combination.name)
    assert [word for word in ("**Observation**", "**Action**", "**Reward**", "**End**") if word not in text] == []
    assert re.search(r"^```python$", text, flags=re.MULTILINE), "a transcript"
    found = documented(combination.name)
    for other in re.findall(r"^\| those of `(\w+)` \|", text, flags=re.MULTILINE):
        found = documented(other) | found
    signatures = [source_class(combination.source), PROTOCOLS[combination.protocol], EndpointUser]
    known = {
        name: parameter.default
        for kind in signatures[: 3 if combination.protocol == "conversation" else 2]
        for name, parameter in inspect.signature(kind).parameters.items()
        if name not in ("args", "kwargs")
    }
    assert found.keys() == known.keys()
    for name, default in found.items():
        if default is not ... and name not in combination.parameters:
            actual = list(known[name]) if isinstance(known[name], tuple) else known[name]
            assert default == actual, f"{combination.name}: {name}"


def test_registering_twice_changes_nothing():
    before = dict(gym.registry)
    register_all()
    assert dict(gym.registry) == before


def test_a_data_set_needs_a_file():
    with pytest.raises(UserError, match="path is required by source 'jsonl'"):
        gym.make("rlenvs/Dataset-v0")


def test_parameters_of_make_come_on_top_of_those_of_the_id():
    env = gym.make("rlenvs/MathWord-v0", protocol="retry", attempts=5, max_steps=1)
    assert env.unwrapped.task.protocol.attempts == 5
    with pytest.raises(UserError, match="unknown parameter 'attemps'; did you mean 'attempts'"):
        gym.make("rlenvs/MathRetry-v0", attemps=5)


def test_an_unknown_id_gets_the_nearest_one():
    with pytest.raises(gym.error.NameNotFound, match="Did you mean: `Arithmetic`"):
        gym.make("rlenvs/Arithmetik-v0")


def test_make_imports_the_package_in_a_fresh_process():
    code = "import gymnasium as g; print(g.make('rlenvs:rlenvs/Arithmetic-v0').reset(seed=0)[0])"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "85+63=\n"


@pytest.mark.parametrize("row", ENVIRONMENTS, ids=lambda row: row.id)
def test_make_vec_takes_the_own_vector_form(row, kwargs_of):
    envs = gym.make_vec(row.id, num_envs=3, **kwargs_of(row))
    mode = "sync" if row.vector_entry_point is None else "vector_entry_point"
    assert envs.spec.kwargs["vectorization_mode"] == mode
    assert len(envs.reset(seed=0)[0]) == 3
    envs.close()


@pytest.mark.parametrize("name", ["rlenvs/MathSteps-v0", "rlenvs/ToolMath-v0", "rlenvs/Conversation-v0"])
def test_the_vector_forms_of_gymnasium_play_the_same_episodes(name):
    seen = []
    for mode, more in (("sync", {}), ("async", {"vector_kwargs": {"shared_memory": False}})):
        envs = gym.make_vec(name, num_envs=2, vectorization_mode=mode, **more)
        try:
            seen.append((envs.reset(seed=3)[0], *envs.step(("1+1 = 3", "<calculator>2*3</calculator>"))[:4]))
        finally:
            envs.close()
    single = [gym.make(name), gym.make(name)]
    first = tuple(env.reset(seed=3 + row)[0] for row, env in enumerate(single))
    steps = [env.step(text) for env, text in zip(single, ("1+1 = 3", "<calculator>2*3</calculator>"), strict=True)]
    for observations, following, rewards, terminated, truncated in seen:
        assert observations == first
        assert following == tuple(step[0] for step in steps)
        assert (rewards.tolist(), terminated.tolist(), truncated.tolist()) == tuple(
            [step[place] for step in steps] for place in (1, 2, 3)
        )


def test_arithmetic_specs_keep_their_parameters():
    for name in ("rlenvs/Arithmetic-v0", "rlenvs/ArithmeticTokens-v0"):
        env = gym.make(name, digits=1, operators="+-", markers=["A:"], extract="last_marker")
        again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
        assert again.spec.kwargs == env.spec.kwargs
        first, second = env.reset(seed=5), again.reset(seed=5)
        assert list(first[0]) == list(second[0])
        assert first[1] == second[1]


@pytest.mark.parametrize("row", ENVIRONMENTS, ids=lambda row: row.id)
def test_every_id_passes_the_conformance_suite(row, kwargs_of):
    report = check_text_env(row.id, kwargs=kwargs_of(row), max_steps=100)
    idle = {name for name, result in report.items() if result != "passed"}
    allowed = {"hostile_actions_score"} if row.level == "token" else set()
    if row.vector_entry_point is None:
        allowed.add("vector_rows_are_single_environments")
    assert idle <= allowed, report


@pytest.mark.parametrize("row", ENVIRONMENTS, ids=lambda row: row.id)
def test_gymnasium_finds_nothing_wrong(row, kwargs_of):
    check_env(gym.make(row.id, **kwargs_of(row)).unwrapped)


@pytest.mark.parametrize("row", [row for row in ENVIRONMENTS if row.level == "token"], ids=lambda row: row.id)
def test_stable_baselines_finds_nothing_wrong(row, kwargs_of):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    checker.check_env(gym.make(row.id, **kwargs_of(row)).unwrapped)
