"""Version, make targets, shipped configurations, examples."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from rlenvs import __version__
from rlenvs.agents.llm.config import TrainConfig
from rlenvs.agents.llm.sft import SFTConfig
from rlenvs.agents.runs.kinds import Kind, kind_of
from rlenvs.agents.sb3 import SB3TrainConfig
from rlenvs.agents.tuning.config import TuneConfig
from rlenvs.config_file import load_config, read_config
from rlenvs.wrappers.config.rewards import RewardConfig

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MODELS: dict[str, type[BaseModel]] = {
    "train": TrainConfig,
    "sb3": SB3TrainConfig,
    "sft": SFTConfig,
    "rewards": RewardConfig,
    "tune": TuneConfig,
}
PLACES = ("train", "sft", "rewards", "tune")


def kind_in(path: Path) -> str:
    """Return the kind of a shipped configuration; training runs of both agents lie in one folder."""
    place = path.relative_to(ROOT / "configs").parts[0]
    return "sb3" if place == "train" and kind_of(read_config(path)[0]) is Kind.SB3 else place


SHIPPED = [path for place in PLACES for path in sorted((ROOT / "configs" / place).rglob("*.y*ml"))]
CONFIGS = [(kind_in(path), path) for path in SHIPPED]
FOR_OTHERS = {*(ROOT / "configs" / "zoo").rglob("*.yml")}
"""Files for other people's programs."""

EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))


def test_version_is_that_of_the_newest_changelog_entry() -> None:
    entries = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert entries[0] == __version__


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_named_in_the_documentation_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, flags=re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z][a-z-]*)", page.read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert named <= targets


def test_every_extra_that_a_message_names_exists_and_all_has_every_one() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    folders = [ROOT / name for name in ("rlenvs", "wrappers", "agents")]
    code = "\n".join(path.read_text(encoding="utf-8") for folder in folders for path in folder.rglob("*.py"))
    named = set(re.findall(r'\brequire\(\s*"[\w.]+",\s*"(\w+)"', code))
    assert {"llm", "reasoning", "datasets"} <= named <= set(extras)
    assert set(re.findall(r"\w+", extras["all"][0])) - {"rlenvs"} == set(extras) - {"all", "dev", "vllm"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


def test_every_target_of_the_makefile_is_phony_and_says_what_it_does() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    documented = set(re.findall(r"^([a-z][a-z-]*):[^\n]*## \S", makefile, flags=re.MULTILINE))
    phony = set(re.findall(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)[0].split())
    assert documented == phony


@pytest.mark.parametrize(("kind", "path"), CONFIGS, ids=[f"{kind}/{path.name}" for kind, path in CONFIGS])
def test_shipped_configuration_loads(kind: str, path: Path) -> None:
    assert isinstance(load_config(MODELS[kind], path), MODELS[kind])


def test_every_shipped_yaml_is_of_a_known_kind() -> None:
    everything = set((ROOT / "configs").rglob("*.y*ml"))
    assert everything == {path for _, path in CONFIGS} | FOR_OTHERS
    assert {kind for kind, _ in CONFIGS} == set(MODELS)


@pytest.mark.parametrize("kind", MODELS)
def test_every_section_refuses_unknown_keys(kind: str) -> None:
    schema = MODELS[kind].model_json_schema()
    sections: dict[str, Any] = {"(top)": schema, **schema.get("$defs", {})}
    open_ended = [
        name
        for name, section in sections.items()
        if section.get("properties") and section.get("additionalProperties") is not False
    ]
    assert not open_ended


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.name)
def test_example_runs(script: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=tmp_path,
        env={**os.environ, "RLENVS_QUICK": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.strip(), "an example shows something"
