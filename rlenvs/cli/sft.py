"""`rlenvs sft`: fine-tune a language model on demonstrations."""

import argparse
from typing import TYPE_CHECKING

from rlenvs.cli.parser import UsageError, add_command
from rlenvs.cli.train import split_settings
from rlenvs.extras import require

if TYPE_CHECKING:
    from rlenvs.cli.parser import Subparsers

__all__ = ["register", "run"]

TEXT = """
Fine-tune a language model on demonstrations, as CONFIG.yaml says: conversations that an environment plays
for its own training problems, a JSONL file of them, or what an earlier run sampled and was paid well for.
The run's model folder is what reinforcement learning then starts from: rlenvs train policy.model=RUN_DIR/model.
Without CONFIG.yaml: the shipped arithmetic run, an embedded policy that downloads nothing.
`rlenvs schema sft` lists every key.
"""


def register(subparsers: "Subparsers") -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "sft",
        run,
        summary="fine-tune a language model on demonstrations",
        text=TEXT,
        example=(
            "rlenvs sft\n"
            "rlenvs sft my.yaml sft.epochs=1 --output runs/a\n"
            "rlenvs sft data.source=jsonl data.path=talks.jsonl policy.model=my-model --dry-run\n"
            "rlenvs sft --resume runs/a\n"
            "rlenvs sft my.yaml --output runs/a --resume auto"
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
        help="go on from the last checkpoint of this run, with its own configuration; takes no settings. auto: with "
        "the run in --output, or the newest of this name under runs/, where one has a checkpoint, and start anew "
        "where none has",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="read the data, print the resolved configuration and stop"
    )
    parser.add_argument("--output", metavar="DIR", help="folder of the run (default: the configuration says)")
    parser.add_argument("--plain", action="store_true", help="print lines instead of the live view")


def run(args: argparse.Namespace) -> int:
    """Hand over to the trainer."""
    config, overrides = split_settings(args.settings)
    if args.resume not in (None, "auto") and (args.settings or args.output):
        given = ", ".join(map(repr, [*args.settings, *(["--output"] if args.output else [])]))
        raise UsageError(f"--resume goes on with the configuration of {args.resume}; leave {given} out")
    for module in ("torch", "transformers"):
        require(module, "llm", "fine-tuning")
    from rlenvs.agents.llm.sft.command import run_cli

    code: int = run_cli(
        config_path=config,
        overrides=overrides,
        resume_dir=args.resume,
        dry_run=args.dry_run,
        output=args.output,
        plain=args.plain,
    )
    return code
