"""`rlenvs train`: train a language model with PPO, or an agent of Stable-Baselines3."""

import argparse
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rlenvs.cli.parser import UsageError, add_command, at_least
from rlenvs.extras import require

if TYPE_CHECKING:
    from rlenvs.cli.parser import Subparsers

__all__ = ["register", "run"]

TEXT = """
Train a language model with PPO on a text environment and a reward recipe, as CONFIG.yaml says.
Without CONFIG.yaml: the shipped arithmetic run, which trains an embedded policy within minutes on two CPU
cores and downloads nothing. `rlenvs schema train` lists every key.

A CONFIG.yaml with a section `algorithm` trains an agent of Stable-Baselines3, token by token, into a folder of the same
kind: PPO, A2C, DQN, MaskablePPO or RecurrentPPO. `rlenvs schema sb3` lists its keys.
"""

ALIASES: dict[str, tuple[str, Callable[[str], str | int], str, str]] = {
    "--model": ("policy.model", str, "MODEL", "'embedded', a folder, or a hub id"),
    "--max-iterations": ("ppo.iterations", at_least(1), "N", "rollout and update rounds"),
    "--save-every": ("output.checkpoint_every", at_least(1), "N", "iterations between checkpoints"),
    "--checkpoint-dir": ("output.checkpoint_dir", str, "DIR", "where checkpoints go"),
}
"""Options that are settings by another name: option -> key, type, placeholder, help."""

OF_LANGUAGE_MODELS = {
    "--model": "the network of Stable-Baselines3 is described under policy",
    "--max-iterations": "its length is counted in environment steps: set algorithm.total_timesteps=N",
}
"""Options that a run of Stable-Baselines3 does not have, and why not."""


def register(subparsers: "Subparsers") -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "train",
        run,
        summary="train a language model with PPO, or an agent of Stable-Baselines3",
        text=TEXT,
        example=(
            "rlenvs train\n"
            "rlenvs train my.yaml ppo.learning_rate=1e-4 --output runs/a\n"
            "rlenvs train my.yaml --dry-run\n"
            "rlenvs train --resume runs/a\n"
            "rlenvs train my.yaml --output runs/a --resume auto\n"
            "rlenvs train sb3_ppo.yaml algorithm.total_timesteps=200000"
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
        metavar="RUN_DIR | auto",
        help="go on from the last checkpoint of this run, with its own configuration and those settings that may "
        "change on the way; auto: with the run in --output, or the newest of this name under runs/, where one has a "
        "checkpoint, and start anew where none has",
    )
    for option, (key, convert, metavar, text) in ALIASES.items():
        parser.add_argument(option, type=convert, metavar=metavar, help=f"{text} ({key}=...)")
    parser.add_argument(
        "--no-reward",
        action="append",
        default=[],
        metavar="NAME",
        help="leave out this reward component, such as a reward model that is slow to load; may be given again",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print the resolved configuration and what it takes of memory, and stop"
    )
    parser.add_argument("--output", metavar="DIR", help="folder of the run (default: the configuration says)")
    parser.add_argument("--plain", action="store_true", help="print lines instead of the live view")


def run(args: argparse.Namespace) -> int:
    """Hand over to the agent that the configuration is for."""
    config, overrides = split_settings(args.settings)
    for option, (key, *_) in ALIASES.items():
        value = getattr(args, option.removeprefix("--").replace("-", "_"))
        if value is not None:
            overrides.append(f"{key}={json.dumps(value)}")  # text stays text, whatever it looks like
    if args.resume not in (None, "auto") and config is not None:
        raise UsageError(f"--resume goes on with the configuration of {args.resume}; leave {config!r} out")
    code: int = _agent_for(args, config)(
        config_path=config,
        overrides=overrides,
        resume_dir=args.resume,
        dry_run=args.dry_run,
        output=args.output,
        plain=args.plain,
        without_rewards=args.no_reward,
    )
    return code


def _agent_for(args: argparse.Namespace, config: str | None) -> Callable[..., Any]:
    """Return what carries out the command.

    Raises:
        UsageError: an option that such a run does not have.
        MissingExtraError: what it needs is not installed.
    """
    from rlenvs.agents.runs.command import kind_of_run
    from rlenvs.agents.runs.kinds import Kind

    if kind_of_run(config, args.resume) is Kind.SB3:
        for option, why in OF_LANGUAGE_MODELS.items():
            if getattr(args, option.removeprefix("--").replace("-", "_")) is not None:
                raise UsageError(f"{option} is for language models; {why}")
        for module in ("stable_baselines3", "sb3_contrib"):
            require(module, "sb3", "training with Stable-Baselines3")
        from rlenvs.agents.sb3.command import run_cli as train_agent

        return train_agent
    for module in ("torch", "transformers"):
        require(module, "llm", "training")
    from rlenvs.agents.llm.command import run_cli as train_language_model

    return train_language_model


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
