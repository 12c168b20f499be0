"""`rlenvs envs`: the registered environments."""

import argparse
from typing import TYPE_CHECKING

from rlenvs.cli.output import print_json, table
from rlenvs.cli.parser import add_command

if TYPE_CHECKING:
    from rlenvs.cli.parser import Subparsers

__all__ = ["register", "run"]

TEXT = """
List the environments that `import rlenvs` registers with Gymnasium; make one with gym.make(ID).
"""


def register(subparsers: "Subparsers") -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "envs",
        run,
        summary="list the registered environments",
        text=TEXT,
        example="rlenvs envs\nrlenvs envs --json",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    """Print the table."""
    from rlenvs.registration import environment_table

    rows = environment_table()
    if args.json:
        print_json([dict(row) for row in rows])
    else:
        print(table([(str(row["id"]), str(row["description"])) for row in rows], header=("id", "description")))
    return 0
