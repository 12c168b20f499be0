"""`rlenvs rewards`: look at a reward recipe before it trains anything.

Each sub-command is a module with `register(subparsers)` and `run(args) -> int`, like a command.
"""

import argparse
from typing import TYPE_CHECKING

from rlenvs.cli import rewards_check, rewards_preview
from rlenvs.cli.parser import CommandParser, add_command

if TYPE_CHECKING:
    from rlenvs.cli.parser import Subparsers

__all__ = ["SUBCOMMANDS", "register", "run"]

SUBCOMMANDS = (rewards_check, rewards_preview)

TEXT = """
Look at a reward recipe before it trains anything.
"""


def register(subparsers: "Subparsers") -> None:
    """Add the command and its sub-commands."""
    parser = add_command(
        subparsers,
        "rewards",
        run,
        summary="look at a reward recipe before training",
        text=TEXT,
        example="rlenvs rewards check my.yaml\nrlenvs rewards preview my.yaml",
    )
    actions = parser.add_subparsers(metavar="ACTION", title="actions", parser_class=CommandParser)
    for subcommand in SUBCOMMANDS:
        subcommand.register(actions)


def run(args: argparse.Namespace) -> int:
    """Say which sub-commands there are, because none was named."""
    parser: CommandParser = args.parser
    parser.print_help()
    return 2
