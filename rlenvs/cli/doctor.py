"""`rlenvs doctor`: what is installed, what this machine has, and what is missing."""

import argparse
import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlenvs._version import __version__
from rlenvs.cli.output import print_json, table
from rlenvs.cli.parser import add_command
from rlenvs.cli.requirements import Dependency, declared_dependencies
from rlenvs.errors import RlenvsError
from rlenvs.sandbox.kernel import probe

if TYPE_CHECKING:
    from rlenvs.cli.parser import Subparsers

__all__ = ["diagnose", "register", "run"]

TEXT = """
Say what is installed and in which version, which extras are complete and how to install the others, which
device training would use, how far the sandbox can confine programs here, and whether an environment runs.
Exit code 0 if the core works, 1 if not.
"""


def register(subparsers: "Subparsers") -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "doctor",
        run,
        summary="check the installation",
        text=TEXT,
        example="rlenvs doctor\nrlenvs doctor --json",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(args: argparse.Namespace) -> int:
    """Print the diagnosis."""
    diagnosis = diagnose()
    if args.json:
        print_json(diagnosis)
    else:
        print(_text(diagnosis))
    return 0 if diagnosis["core"]["ok"] else 1


def diagnose() -> dict[str, Any]:
    """Return everything that the command prints, as plain data.

    Returns:
        `rlenvs` and `python` versions, `platform`, `dependencies` (name to version, bounds, ok), `extras`
        (name to complete, missing, install), `device`, `sandbox` (tier, summary, mechanisms, missing),
        `policy_cache`, `model_cache` and `core` (ok, problems).
    """
    problems: list[str] = []
    base: list[Dependency] = []
    extras: dict[str, list[Dependency]] = {}
    try:
        base, extras = declared_dependencies()
    except metadata.PackageNotFoundError:
        problems.append("rlenvs itself is not installed, so its dependencies are unknown; run: pip install -e .")
    problems += [_complaint(item) for item in base if not item.is_met]
    problems += _environment_problems()
    unique = {item.name: item for item in (item for group in (base, *extras.values()) for item in group)}
    return {
        "rlenvs": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "dependencies": {
            name: {"version": item.installed, "bounds": item.bounds, "ok": item.is_met} for name, item in unique.items()
        },
        "extras": {name: _extra(name, items) for name, items in extras.items()},
        "device": device(),
        "sandbox": sandbox(),
        "policy_cache": str(policy_cache()),
        "model_cache": str(model_cache()),
        "core": {"ok": not problems, "problems": problems},
    }


def _complaint(item: Dependency) -> str:
    wanted = f"'{item.name}{item.bounds}'"
    if item.installed is None:
        return f"{item.name} is not installed; run: pip install {wanted}"
    return f"{item.name} {item.installed} does not meet {item.bounds}; run: pip install -U {wanted}"


def _extra(name: str, items: list[Dependency]) -> dict[str, Any]:
    missing = [item.name for item in items if not item.is_met]
    install = f"pip install -U 'rlenvs[{name}]'" if missing else None
    return {"complete": not missing, "missing": missing, "install": install}


def _environment_problems() -> list[str]:
    """Play one episode: nothing less shows that the parts work together."""
    name = "rlenvs/Arithmetic-v0"
    try:
        import gymnasium as gym

        import rlenvs  # noqa: F401  (registers the environments)

        env = gym.make(name, disable_env_checker=True)
        try:
            _, info = env.reset(seed=0)
            _, reward, terminated, _, _ = env.step(info["task"]["gold"])
        finally:
            env.close()
    except ImportError as error:
        return [f"{name} cannot be made: {error}"]
    except (gym.error.Error, RlenvsError) as error:
        return [f"{name} does not run: {' '.join(str(error).split())}"]
    if reward != 1.0 or not terminated:
        return [f"{name} graded its own right answer {reward}, terminated={terminated}"]
    return []


def device() -> dict[str, Any]:
    """Return the device that training would use; torch is asked where it is installed."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    found: dict[str, Any] = {"type": "cpu", "cpu_cores": cores, "memory_gib": round(memory, 1), "gpus": []}
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a shared library that does not load
        found["note"] = f"torch cannot be imported ({' '.join(str(error).split())[:200]})"
        return found
    if torch.cuda.is_available():
        found["type"] = "cuda"
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            found["gpus"].append({"name": properties.name, "memory_gib": round(properties.total_memory / 2**30, 1)})
    return found


def sandbox() -> dict[str, Any]:
    """Return how far programs of a model can be confined here: each step is done for real in another process."""
    found = probe()
    return {
        "tier": found.tier,
        "summary": found.summary,
        "mechanisms": dict(found.mechanisms),
        "missing": list(found.missing),
    }


def policy_cache() -> Path:
    """Return the folder where training keeps warm-started policies, known here without importing torch."""
    if own := os.environ.get("RLENVS_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rlenvs"


def model_cache() -> Path:
    """Return the folder where transformers keeps downloaded models."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()


def _text(diagnosis: dict[str, Any]) -> str:
    packages = [
        (name, item["version"] or "-", item["bounds"] or "any", "ok" if item["ok"] else _verdict(item))
        for name, item in diagnosis["dependencies"].items()
    ]
    extras = [
        (name, "complete" if item["complete"] else f"missing {', '.join(item['missing'])}: {item['install']}")
        for name, item in diagnosis["extras"].items()
    ]
    core, confined = diagnosis["core"], diagnosis["sandbox"]
    verdict = "core: works" if core["ok"] else "\n".join(["core: does not work", *(f"  {p}" for p in core["problems"])])
    parts = [
        f"rlenvs {diagnosis['rlenvs']}, Python {diagnosis['python']}, {diagnosis['platform']}",
        f"interpreter: {sys.executable}",
        f"device: {_device_line(diagnosis['device'])}",
        "\n".join([f"sandbox: {confined['summary']}", *(f"  missing: {line}" for line in confined["missing"])]),
        f"warm-started policies: {diagnosis['policy_cache']}",
        f"downloaded models: {diagnosis['model_cache']}",
        "",
        table(packages, header=("package", "installed", "wanted", "")),
        "",
        table(extras, header=("extra", "state")),
        "",
        verdict,
    ]
    return "\n".join(parts)


def _verdict(item: dict[str, Any]) -> str:
    return "missing" if item["version"] is None else "outside the bounds"


def _device_line(found: dict[str, Any]) -> str:
    cpu = f"{found['cpu_cores']} CPU cores, {found['memory_gib']} GiB memory"
    gpus = ", ".join(f"{gpu['name']} ({gpu['memory_gib']} GiB)" for gpu in found["gpus"])
    note = f"; {found['note']}" if "note" in found else ""
    return f"{found['type']}: {gpus + '; ' if gpus else ''}{cpu}{note}"
