"""`rlenvs report`: the HTML report of a run."""

import argparse
from typing import TYPE_CHECKING

from rlenvs.cli.parser import add_command
from rlenvs.extras import require

if TYPE_CHECKING:
    from rlenvs.cli.parser import Subparsers

__all__ = ["register", "run"]

TEXT = """
Write RUN_DIR/report.html: one page with curves, rewards per component and the rollouts, which opens without a
network. It can be written while the run goes on, and again after it. Prints the path of the page. The folder of a
study of `rlenvs tune` gets a page on its trials: history, importances, slices, curves, comparison.
"""


def register(subparsers: "Subparsers") -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "report",
        run,
        summary="write the HTML report of a run or a study",
        text=TEXT,
        example="rlenvs report runs/arithmetic",
    )
    parser.add_argument(
        "run_dir", metavar="RUN_DIR", help="folder of a run, as `rlenvs train` or `rlenvs tune` made it"
    )


def run(args: argparse.Namespace) -> int:
    """Write the report and print where it is."""
    from rlenvs.agents.runs.studies import is_study_folder

    if is_study_folder(args.run_dir):
        require("optuna", "tune", "the report of a study")
        from rlenvs.agents.tuning.command import write_report_of

        print(write_report_of(args.run_dir))
        return 0
    from rlenvs.agents.reporting import write_report

    print(write_report(args.run_dir))
    return 0
