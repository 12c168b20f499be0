"""`rlenvs envs`: the registered environments."""

import argparse
from typing import TYPE_CHECKING

from rlenvs.cli.output import print_json, table
from rlenvs.cli.parser import add_command

if TYPE_CHECKING:
    from rlenvs.cli.parser import Subparsers

__all__ = ["register", "run"]

TEXT = """
List the environments that `import rlenvs` registers with Gymnasium; make one with gym.make(ID). Each is a problem
source (where tasks come from), a grader (what is right) and a protocol (what a step is), at turn level (texts) or
token level (ids).
"""


def register(subparsers: "Subparsers") -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "envs",
        run,
        summary="list the registered environments",
        text=TEXT,
        example="rlenvs envs\nrlenvs envs --markdown > environments.md",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON instead of a table")
    form.add_argument("--markdown", action="store_true", help="print the turn-level ids as a Markdown table")


def run(args: argparse.Namespace) -> int:
    """Print the table."""
    from rlenvs.registration import environment_table, markdown_table

    rows = environment_table()
    if args.json:
        print_json([dict(row) for row in rows])
    elif args.markdown:
        print(markdown_table())
    else:
        header = ("id", "source", "grader", "protocol", "description")
        print(table([tuple(str(row[key]) for key in header) for row in rows], header=header))
    return 0
