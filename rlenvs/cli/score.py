"""`rlenvs score`: what a reward configuration would pay for stored responses, and how that goes with the truth."""

import argparse
import json
import math
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING

from rlenvs.cli.evaluate import add_grading_options
from rlenvs.cli.output import output_encoding, print_json
from rlenvs.cli.parser import add_command, at_least
from rlenvs.cli.score_report import ScoreReport, without_nan
from rlenvs.cli.score_source import ScoreSource
from rlenvs.cli.score_text import ScoreText
from rlenvs.errors import DataError

if TYPE_CHECKING:
    from rlenvs.cli.parser import CommandParser, Subparsers
    from rlenvs.wrappers.config.rewards import RewardConfig
    from rlenvs.wrappers.rescoring.rescore import ScoredBatch
    from rlenvs.wrappers.rescoring.table import Scores

__all__ = ["register", "run"]

TEXT = """
Score stored responses with a reward configuration, without a model: what each component says, how it goes with the
true grade, and which responses are paid against it. ROLLOUTS is the folder of a run, its rollouts.jsonl, or any file
with one JSON object per line. Nothing is trained and nothing is changed.
"""

EXAMPLE = """
rlenvs score runs/a
rlenvs score runs/a --rewards other.yaml --vs runs/a/config.yaml
rlenvs score answers.jsonl --rewards my.yaml --prompt-field question --label-field is_correct
rlenvs score answers.jsonl --rewards my.yaml --gold-field gold --type math --output scores.jsonl
"""


def register(subparsers: "Subparsers") -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "score",
        run,
        summary="score stored responses with a reward configuration",
        text=TEXT,
        example=EXAMPLE,
    )
    parser.add_argument("rollouts", metavar="ROLLOUTS", help="run folder, or one JSON object per line")
    parser.add_argument(
        "--rewards", metavar="CONFIG.yaml", help="reward recipe or training configuration (default: the run's own)"
    )
    parser.add_argument("--vs", metavar="CONFIG.yaml", help="a second one, to compare with on the same responses")
    parser.add_argument(
        "--step", metavar="N", type=at_least(0), help="reward clock of the schedules (default: the stored ones, else 0)"
    )
    parser.add_argument("--limit", metavar="N", type=at_least(1), help="score the first N responses only")
    parser.add_argument(
        "--top", metavar="K", type=at_least(0), default=5, help="responses to show of each kind (default: 5)"
    )
    parser.add_argument("--output", metavar="FILE.jsonl", help="write the scores of each response here")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    _add_field_options(parser)


def _add_field_options(parser: "CommandParser") -> None:
    fields = parser.add_argument_group('fields of a line ("task.question" leads into an object)')
    fields.add_argument("--response-field", metavar="NAME", default="response", help="the response (default: response)")
    fields.add_argument(
        "--prompt-field", metavar="NAME", help="what was asked, text or messages (default: prompt, where there is one)"
    )
    fields.add_argument(
        "--label-field", metavar="NAME", help="the true grade: true, false, a number (default: correct, else label)"
    )
    fields.add_argument("--right-label", metavar="TEXT", help="the label of right responses, where labels are texts")
    fields.add_argument(
        "--right-from", metavar="X", type=_finite, default=0.5, help="right from this label on (default: 0.5)"
    )
    grading = parser.add_argument_group("grading by a built-in grader (where no label is stored, or on demand)")
    add_grading_options(grading)
    # Which of them were given tells whether grading is wanted.
    parser.set_defaults(gold_field=None, type=None)


def run(args: argparse.Namespace) -> int:
    """Score and print."""
    source = ScoreSource.find(args)
    configs = [source.rewards(args.rewards), *([source.rewards(args.vs)] if args.vs else [])]
    scores = [
        _scores(source, config, args.step, args.output if number == 0 else None)
        for number, (_, config) in enumerate(configs)
    ]
    names = [name for name, _ in configs]
    report = ScoreReport(source, names, scores, args.top)
    if args.json:
        print_json(report.as_data(args.output))
    else:
        for line in report.lines(ScoreText(shutil.get_terminal_size().columns, output_encoding())):
            print(line)
        if args.output is not None:
            print(f"scores in {args.output}")
    return 0


def _scores(source: ScoreSource, config: "RewardConfig", clock: int | None, output: str | None) -> "Scores":
    """Score all responses by one reward, and write the scores where that is wanted."""
    from rlenvs.files import replacing
    from rlenvs.wrappers.config.rewards import build_pipeline
    from rlenvs.wrappers.rescoring.rescore import rescore
    from rlenvs.wrappers.rescoring.table import ScoreTable

    pipeline = build_pipeline(config)
    table = ScoreTable(pipeline.names)
    with ExitStack() as stack:
        sink = None if output is None else stack.enter_context(replacing(Path(output)))
        stack.callback(_progress, "")
        for batch in rescore(source.steps(), pipeline, clock=clock, measured=source.measured()):
            table.add(batch)
            if sink is not None:
                _write(sink, batch)
            _progress(f"{len(table.rows):,} responses scored")
        if not table.rows:
            raise DataError(f"{source.path}: holds no responses")
    return table.scores()


def _write(sink: IO[str], batch: "ScoredBatch") -> None:
    result = batch.result
    normalized, raw, paid = result.normalized.tolist(), result.raw.tolist(), result.contributions.tolist()
    weights, status = result.weights.tolist(), result.status.tolist()
    for row, step in enumerate(batch.steps):
        components = {
            name: {
                "raw": raw[row][k],
                "normalized": normalized[row][k],
                "weight": weights[k],
                "contribution": paid[row][k],
                "status": status[row][k],
            }
            for k, name in enumerate(result.names)
        }
        record = {
            "line": step.line,
            "total": float(result.total[row]),
            "potential": float(result.potential[row]),
            "truth": step.truth,
            "right": step.right,
            "components": components,
        }
        sink.write(json.dumps(without_nan(record)) + "\n")


def _finite(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}") from None
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be finite, got {text}")
    return value


def _progress(text: str) -> None:
    """Show how far it is, where somebody watches: a judge may take a while."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
