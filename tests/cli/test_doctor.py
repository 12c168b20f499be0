"""The doctor, and the reading of requirements it rests on."""

import json
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.cli import main
from rlenvs.cli.doctor import diagnose, model_cache, policy_cache
from rlenvs.cli.requirements import (
    Dependency,
    declared_dependencies,
    meets,
    parse_requirement,
    version_release,
)
from rlenvs.sandbox.kernel import Probe

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def project() -> dict[str, object]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        content: dict[str, object] = tomllib.load(file)["project"]
    return content


@pytest.mark.parametrize(
    ("version", "bounds", "expected"),
    [
        ("2.13.0+cpu", ">=2.11", True),
        ("2.9", ">=2.11", False),
        ("2.11", ">=2.11.0", True),
        ("6.0", ">=5,<6", False),
        ("5.9.9", "<6,>=5", True),
        ("1.0", "", True),
        ("1.0", "==1", True),
        ("1.1", "!=1.1", False),
        ("1!2.0", ">1", True),
        ("3.0rc1", "<=3", True),
    ],
)
def test_version_bounds(version: str, bounds: str, expected: bool) -> None:
    assert meets(version, bounds) is expected


@settings(deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=4), st.lists(st.integers(0, 30), min_size=1, max_size=4))
def test_bounds_order_as_packaging_orders(first: list[int], second: list[int]) -> None:
    packaging_version = pytest.importorskip("packaging.version").Version
    one, two = ".".join(map(str, first)), ".".join(map(str, second))
    assert meets(one, f">={two}") == (packaging_version(one) >= packaging_version(two))
    assert meets(one, f"=={two}") == (packaging_version(one) == packaging_version(two))
    assert meets(one, f"<{two}") == (packaging_version(one) < packaging_version(two))


def test_parse_requirement() -> None:
    assert parse_requirement("numpy") == Dependency("numpy", "", None, ())
    assert parse_requirement("optuna<6,>=5; extra == 'tune'") == Dependency("optuna", "<6,>=5", "tune", ())
    assert parse_requirement('rlenvs[llm, sb3]; extra == "dev"') == Dependency("rlenvs", "", "dev", ("llm", "sb3"))


@pytest.mark.parametrize(
    "line", ["torch @ https://example.org/x.whl", "torch~=2", "a; python_version < '3.12'", "", "a>=b"]
)
def test_requirements_that_are_not_understood_are_not_guessed(line: str) -> None:
    with pytest.raises(ValueError, match="is not understood"):
        parse_requirement(line)
    with pytest.raises(ValueError, match="is not understood"):
        version_release("unknown")


def test_every_requirement_of_the_project_is_understood(project: dict[str, list[str]]) -> None:
    parsed = [parse_requirement(line) for line in project["dependencies"]]
    assert [item.name for item in parsed] == ["gymnasium", "numpy", "pydantic", "pyyaml"]
    assert all(item.bounds for item in parsed)


def test_extras_of_extras_are_resolved(project: dict[str, dict[str, list[str]]]) -> None:
    base, extras = declared_dependencies()
    declared = project["optional-dependencies"]
    assert set(extras) == set(declared)
    names = {extra: {item.name for item in items} for extra, items in extras.items()}
    assert names["llm"] == {parse_requirement(line).name for line in declared["llm"]}
    assert names["all"] == set().union(*(names[extra] for extra in declared if extra not in ("all", "dev", "vllm")))
    assert names["llm"] | names["sb3"] | names["report"] < names["dev"]
    assert {item.name for item in base}.isdisjoint(set().union(*names.values()))


def test_diagnosis_of_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor", "--json"])
    diagnosis = json.loads(capsys.readouterr().out)
    assert diagnosis["core"] == {"ok": True, "problems": []}
    assert code == 0
    assert diagnosis["dependencies"]["gymnasium"]["version"] == metadata.version("gymnasium")
    assert diagnosis["device"]["type"] in ("cpu", "cuda")
    assert diagnosis["device"]["cpu_cores"] >= 1
    assert diagnosis["sandbox"]["tier"] in ("A", "B", "C")
    for name, extra in diagnosis["extras"].items():
        assert extra["complete"] == (not extra["missing"])
        assert extra["install"] == (None if extra["complete"] else f"pip install -U 'rlenvs[{name}]'")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Probe("A", {"tier A": "works"}), "\nsandbox: tier A: namespaces, private root, Landlock, seccomp\nwarm"),
        (
            Probe("B", {}, ("namespaces: refused; do this",)),
            "\nsandbox: tier B: Landlock and seccomp, no namespaces\n  missing: namespaces: refused; do this\n",
        ),
        (
            Probe("C", {}, ("landlock: a; b", "seccomp: c; d")),
            "\nsandbox: tier C: model text cannot be confined here\n  missing: landlock: a; b\n  missing: seccomp: c; d\n",
        ),
    ],
)
def test_how_far_programs_are_confined(
    found: Probe, expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rlenvs.cli.doctor.probe", lambda: found)
    assert main(["doctor"]) == 0  # environments of texts need no sandbox
    assert expected in capsys.readouterr().out
    assert diagnose()["sandbox"] == {
        "tier": found.tier,
        "summary": found.summary,
        "mechanisms": dict(found.mechanisms),
        "missing": list(found.missing),
    }


def test_text_names_what_is_missing_and_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name == "torch":
            raise metadata.PackageNotFoundError(name)
        return "1.2" if name == "gymnasium" else real(name)

    monkeypatch.setattr("rlenvs.cli.requirements.metadata.version", version)
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "missing torch: pip install -U 'rlenvs[llm]'" in " ".join(out.split())
    assert "core: does not work\n  gymnasium 1.2 does not meet >=1.3; run: pip install -U 'gymnasium>=1.3'\n" in out


def test_a_checkout_that_is_not_installed_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr("rlenvs.cli.requirements.metadata.requires", requires)
    problems = diagnose()["core"]["problems"]
    assert problems == ["rlenvs itself is not installed, so its dependencies are unknown; run: pip install -e ."]


def test_an_environment_that_grades_wrongly_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    import gymnasium as gym

    class Wrong:
        def reset(self, seed: int) -> tuple[str, dict[str, dict[str, str]]]:
            return "1+1=", {"task": {"gold": "2"}}

        def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, str]]:
            return "", 0.0, True, False, {}

        def close(self) -> None: ...

    monkeypatch.setattr(gym, "make", lambda *_, **__: Wrong())
    assert diagnose()["core"]["problems"] == ["rlenvs/Arithmetic-v0 graded its own right answer 0.0, terminated=True"]


def test_an_environment_that_cannot_be_made_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    import gymnasium as gym

    monkeypatch.delitem(gym.registry, "rlenvs/Arithmetic-v0")
    (problem,) = diagnose()["core"]["problems"]
    assert problem.startswith("rlenvs/Arithmetic-v0 does not run: ")


def test_model_cache_follows_the_variables_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert model_cache() == Path.home() / ".cache" / "huggingface" / "hub"
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert model_cache() == Path("/x/huggingface/hub")
    monkeypatch.setenv("HF_HOME", "/h")
    assert model_cache() == Path("/h/hub")
    monkeypatch.setenv("HF_HUB_CACHE", "/c")
    assert model_cache() == Path("/c")


@pytest.mark.parametrize(
    "variables", [{}, {"XDG_CACHE_HOME": "/x"}, {"XDG_CACHE_HOME": "/x", "RLENVS_CACHE": "/r"}, {"XDG_CACHE_HOME": ""}]
)
def test_policy_cache_is_where_training_keeps_policies(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    from rlenvs.agents.llm.embedded import cache_folder

    for name in ("XDG_CACHE_HOME", "RLENVS_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert policy_cache() == cache_folder()
