"""`rlenvs report`: the HTML report of a run."""

import argparse
from typing import TYPE_CHECKING

from rlenvs.cli.parser import add_command

if TYPE_CHECKING:
    from rlenvs.cli.parser import Subparsers

__all__ = ["register", "run"]

TEXT = """
Write RUN_DIR/report.html: one page with curves, rewards per component and the rollouts, which opens without a
network. It can be written while the run goes on, and again after it. Prints the path of the page.
"""


def register(subparsers: "Subparsers") -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "report",
        run,
        summary="write the HTML report of a run",
        text=TEXT,
        example="rlenvs report runs/arithmetic",
    )
    parser.add_argument("run_dir", metavar="RUN_DIR", help="folder of a run, as `rlenvs train` made it")


def run(args: argparse.Namespace) -> int:
    """Write the report and print where it is."""
    from rlenvs.agents.reporting import write_report

    print(write_report(args.run_dir))
    return 0
