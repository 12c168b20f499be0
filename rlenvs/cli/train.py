"""`rlenvs train`: train a language model with PPO."""

import argparse
import os
from typing import TYPE_CHECKING

from rlenvs.cli.parser import UsageError, add_command
from rlenvs.extras import require

if TYPE_CHECKING:
    from rlenvs.cli.parser import Subparsers

__all__ = ["register", "run"]

TEXT = """
Train a language model with PPO on a text environment and a reward recipe, as CONFIG.yaml says.
Without CONFIG.yaml: the shipped arithmetic run, which trains an embedded policy within minutes on two CPU
cores and downloads nothing. `rlenvs schema train` lists every key.
"""


def register(subparsers: "Subparsers") -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "train",
        run,
        summary="train a language model with PPO",
        text=TEXT,
        example=(
            "rlenvs train\n"
            "rlenvs train my.yaml ppo.learning_rate=1e-4 --output runs/a\n"
            "rlenvs train my.yaml --dry-run\n"
            "rlenvs train --resume runs/a"
        ),
    )
    parser.add_argument(
        "settings",
        nargs="*",
        metavar="CONFIG.yaml | key=value",
        help="at most one configuration file, and settings that override it (the value is YAML)",
    )
    parser.add_argument(
        "--resume",
        metavar="RUN_DIR",
        help="go on from the last checkpoint of this run, with its own configuration; takes no settings",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the resolved configuration and stop")
    parser.add_argument("--output", metavar="DIR", help="folder of the run (default: the configuration says)")
    parser.add_argument("--plain", action="store_true", help="print lines instead of the live view")


def run(args: argparse.Namespace) -> int:
    """Hand over to the trainer."""
    config, overrides = split_settings(args.settings)
    if args.resume is not None and args.settings:
        given = ", ".join(map(repr, args.settings))
        raise UsageError(f"--resume goes on with the configuration of {args.resume}; leave {given} out")
    # Before torch is loaded: threads that spin while they wait cost more than they gain once another process runs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for module in ("torch", "transformers"):
        require(module, "llm", "training")
    from rlenvs.agents.llm.command import run_cli

    code: int = run_cli(
        config_path=config,
        overrides=overrides,
        resume_dir=args.resume,
        dry_run=args.dry_run,
        output=args.output,
        plain=args.plain,
    )
    return code


def split_settings(settings: list[str]) -> tuple[str | None, list[str]]:
    """Return the configuration file, if one is named, and the overrides.

    Raises:
        UsageError: If more than one file is named.

    Example:
        >>> split_settings(["steps=5", "run.yaml", "ppo.clip=0.1"])
        ('run.yaml', ['steps=5', 'ppo.clip=0.1'])
    """
    files = [setting for setting in settings if _names_file(setting)]
    if len(files) > 1:
        raise UsageError(f"expected one configuration file, got {len(files)}: {', '.join(files)}")
    return next(iter(files), None), [setting for setting in settings if not _names_file(setting)]


def _names_file(setting: str) -> bool:
    # A folder may be called lr=1e-4 (runs/lr=1e-4/run.yaml); a key never holds "/".
    key, equals, _ = setting.partition("=")
    return not equals or "/" in key
