"""`rlenvs tune`: let Optuna find the reward configuration that makes the policy best."""

import argparse
import json
from typing import TYPE_CHECKING

from rlenvs.cli.parser import UsageError, add_command, at_least, number_at_least
from rlenvs.cli.train import split_settings
from rlenvs.extras import require

if TYPE_CHECKING:
    from rlenvs.cli.parser import Subparsers

__all__ = ["register", "run"]

TEXT = """
Tune a configuration, as CONFIG.yaml says: a base, a search space over any part of it, an objective, a sampler. Each
trial trains with a configuration drawn from the space and is worth what its policy reaches on held-out problems,
unshaped. What is left behind: best_config.yaml for `rlenvs train`, measured against the base on fresh seeds, and
report.html. A study goes on after a crash or Ctrl-C, on one machine or many. `rlenvs schema tune` lists every key.
"""

ALIASES = {"trials": "n_trials", "timeout": "timeout", "workers": "workers", "storage": "storage"}
"""Options that are settings by another name."""


def register(subparsers: "Subparsers") -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "tune",
        run,
        summary="tune a reward, or anything else of a configuration, with Optuna",
        text=TEXT,
        example=(
            "rlenvs tune my.yaml --dry-run\n"
            "rlenvs tune my.yaml --trials 50 --workers 4 --output runs/study\n"
            "rlenvs tune --resume runs/study --trials 100\n"
            "rlenvs tune my.yaml --storage postgresql://me@host/studies --resume auto"
        ),
    )
    parser.add_argument(
        "settings",
        nargs="*",
        metavar="CONFIG.yaml | key=value",
        help="one configuration file, and settings that override it (the value is YAML; base.KEY=... changes the base)",
    )
    parser.add_argument("--trials", type=at_least(1), metavar="N", help="trials that are to finish (n_trials=...)")
    parser.add_argument(
        "--timeout", type=number_at_least(0.001), metavar="S", help="seconds after which no new trial begins"
    )
    parser.add_argument("--workers", type=at_least(1), metavar="N", help="processes that run trials side by side")
    parser.add_argument(
        "--storage",
        metavar="URL",
        help="where trials are kept, for several machines: postgresql://..., mysql://..., sqlite:///FILE, "
        "grpc://HOST:PORT, journal:FILE (default: journal.log in the folder of the study)",
    )
    parser.add_argument(
        "--resume",
        metavar="STUDY_DIR | auto",
        help="go on with this study, with its own configuration and more trials if asked; auto: with the study in "
        "--output, the newest of this name under runs/, or the one in --storage, and start it where there is none",
    )
    parser.add_argument(
        "--ray", metavar="ADDRESS", help="run the workers on a Ray cluster (auto: the one of this machine)"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print the resolved configuration and what would be tuned, checked on 32 drawn configurations, and stop",
    )
    parser.add_argument("--output", metavar="DIR", help="folder of the study (default: the configuration says)")
    parser.add_argument("--plain", action="store_true", help="print lines only, without the bar")


def run(args: argparse.Namespace) -> int:
    """Hand over to the study."""
    config, overrides = split_settings(args.settings)
    for option, key in ALIASES.items():
        value = getattr(args, option)
        if value is not None:
            overrides.append(f"{key}={json.dumps(value)}")
    if args.resume in (None, "auto") and config is None:
        raise UsageError("name a CONFIG.yaml, such as the shipped planted.yaml, or a study to --resume")
    if args.resume not in (None, "auto") and config is not None:
        raise UsageError(f"--resume goes on with the configuration of {args.resume}; leave {config!r} out")
    require("optuna", "tune", "tuning")
    if args.ray is not None:
        require("ray", "ray", "--ray")
    from rlenvs.agents.tuning.command import run_cli

    code: int = run_cli(
        config_path=config,
        overrides=overrides,
        resume_dir=args.resume,
        dry_run=args.dry_run,
        output=args.output,
        plain=args.plain,
        ray_address=args.ray,
    )
    return code
