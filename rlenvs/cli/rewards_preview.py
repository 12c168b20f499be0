"""`rlenvs rewards preview`: how the weights of a reward will move over a run."""

import argparse
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rlenvs.cli.output import output_encoding, print_json
from rlenvs.cli.parser import UsageError, add_command, at_least
from rlenvs.cli.preview_text import Line, PreviewText
from rlenvs.cli.reward_source import add_reward_arguments, load_rewards

if TYPE_CHECKING:
    from rlenvs.cli.parser import Subparsers
    from rlenvs.wrappers.schedules.base import Schedule

__all__ = ["register", "run"]

TEXT = """
Draw the weight of every reward component over a run, before anything is trained. CONFIG.yaml is a reward recipe,
or a training configuration with a `rewards` section. Weights that react to the run are described by their rule.
"""

EXAMPLE = """
rlenvs rewards preview my.yaml
rlenvs rewards preview my.yaml --steps 100000 --svg weights.svg
rlenvs rewards preview my.yaml reward_shaping.format.decay_steps=20000
"""

MOST_STEPS = 2**63 - 1  # what schedules and clocks hold
COLOURS = ("blue", "red", "green", "magenta", "cyan", "yellow")


def register(subparsers: "Subparsers") -> None:
    """Add the sub-command."""
    parser = add_command(
        subparsers,
        "preview",
        run,
        summary="draw the weights of a reward over a run",
        text=TEXT,
        example=EXAMPLE,
    )
    add_reward_arguments(parser)
    parser.add_argument(
        "--steps",
        metavar="N",
        type=at_least(1),
        help="environment steps of the run (default: a quarter more than the last schedule takes)",
    )
    parser.add_argument("--svg", metavar="FILE", help="draw all weights into this SVG file too")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(args: argparse.Namespace) -> int:
    """Print the preview, and write the drawing where one is wanted."""
    from rlenvs.files import replacing
    from rlenvs.wrappers.preview.sampling import default_steps
    from rlenvs.wrappers.preview.svg import schedules_svg

    if args.steps is not None and args.steps > MOST_STEPS:
        raise UsageError("argument --steps: must be below 2^63")
    schedules = _schedules(args.config, args.settings)
    steps = default_steps(schedules) if args.steps is None else args.steps
    if args.svg is not None:
        if _same_file(args.svg, args.config):
            raise UsageError(f"--svg would replace the configuration {args.config}")
        with replacing(args.svg) as file:
            file.write(schedules_svg(schedules, steps, title=f"Reward weights of {args.config}"))
    if args.json:
        print_json(_as_data(schedules, steps))
        return 0
    text = PreviewText(schedules, steps, shutil.get_terminal_size().columns, output_encoding())
    _print(text.lines(args.config))
    if args.svg is not None:
        print(f"\ndrawing: {args.svg}")
    return 0


def _schedules(path: str, overrides: list[str]) -> "dict[str, Schedule]":
    """Return the schedule of each component; one without an entry keeps weight 1."""
    from rlenvs.wrappers.schedules.fixed import ConstantSchedule

    config = load_rewards(path, overrides)
    shaping = config.reward_shaping
    return {
        name: shaping[name].build() if name in shaping else ConstantSchedule(1.0) for name in config.reward_components
    }


def _as_data(schedules: "Mapping[str, Schedule]", steps: int) -> dict[str, Any]:
    from rlenvs.wrappers.preview.sampling import describe, fixed_schedules, table_steps

    at = table_steps(steps)
    return {
        "steps": at,
        "schedules": {name: describe(schedule) for name, schedule in schedules.items()},
        "weights": {name: [schedule(step) for step in at] for name, schedule in fixed_schedules(schedules).items()},
    }


def _print(lines: Iterable[Line]) -> None:
    """Print lines, in colours on a terminal that shows them."""
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and importlib.util.find_spec("rich") is not None
    if not coloured:
        for line in lines:
            print(line.text)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for line in lines:
        style = "" if line.colour is None else COLOURS[line.colour % len(COLOURS)]
        console.print(Text(line.text, style=style), soft_wrap=True)


def _same_file(first: str, second: str) -> bool:
    with suppress(OSError):
        return os.path.samefile(first, second)
    return False
