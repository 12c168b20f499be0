"""`rlenvs rewards check`: what each part of a reward does to the optimal policy."""

import argparse
import shutil
from typing import TYPE_CHECKING

from rlenvs.cli.line_chart import wrap
from rlenvs.cli.output import output_encoding, print_json, printable, table
from rlenvs.cli.parser import add_command
from rlenvs.cli.reward_source import add_reward_arguments, load_rewards

if TYPE_CHECKING:
    from rlenvs.cli.parser import Subparsers
    from rlenvs.wrappers.check.rewards import Finding
    from rlenvs.wrappers.config.rewards import RewardConfig

__all__ = ["register", "run"]

TEXT = """
Check a reward recipe and say, part by part, whether it can change which policy is optimal, and why. CONFIG.yaml is a
reward recipe, or a training configuration with a `rewards` section; a mistake in it is reported with file, line and
key.

Verdicts:
  keeps    the optimal policy stays what it is
  fades    another policy can be optimal, until a weight has come to 0 for good
  changes  another policy can be optimal
  note     something to know

Most useful rewards change the optimum, on purpose: `changes` is no error, and the exit code is 0 for every recipe
that can be used. With --strict it is 1 where something changes the optimum for good.
"""

EXAMPLE = """
rlenvs rewards check my.yaml
rlenvs rewards check my.yaml --strict
rlenvs rewards check my.yaml composer_settings.norm_center=false --json
"""

NARROWEST, WIDEST = 40, 110
VERDICT_WIDTH = 9
EXIT_CHANGES = 1


def register(subparsers: "Subparsers") -> None:
    """Add the sub-command."""
    parser = add_command(
        subparsers,
        "check",
        run,
        summary="say what a reward does to the optimal policy",
        text=TEXT,
        example=EXAMPLE,
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_reward_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument("--strict", action="store_true", help="exit with 1 where the optimum changes for good")


def run(args: argparse.Namespace) -> int:
    """Print what the check found."""
    from rlenvs.wrappers.check.rewards import check_rewards, worst_verdict

    config = load_rewards(args.config, args.settings)
    findings = check_rewards(config)
    worst = worst_verdict(findings)
    if args.json:
        parts = [dict(zip(HEADER, row, strict=True)) for row in component_rows(config, findings)]
        print_json({"verdict": worst, "components": parts, "findings": [finding.to_dict() for finding in findings]})
    else:
        encoding = output_encoding()
        rows = [[printable(cell, encoding) for cell in row] for row in component_rows(config, findings)]
        width = min(max(shutil.get_terminal_size().columns, NARROWEST), WIDEST)
        print(table(rows, header=HEADER))
        print()
        for names, finding in merged(findings):
            print("\n".join(paragraph(names, finding, width, encoding)))
    return EXIT_CHANGES if args.strict and worst == "changes" else 0


HEADER = ("component", "class", "weight", "normalization", "optimum")


def component_rows(config: "RewardConfig", findings: "list[Finding]") -> list[tuple[str, ...]]:
    """Return one row for each component: name, class, weight over the run, normalisation, verdict."""
    from rlenvs.wrappers.check.rewards import worst_verdict
    from rlenvs.wrappers.check.weights import WeightPath
    from rlenvs.wrappers.config.shaping import ShapingConfig

    rows: list[tuple[str, ...]] = []
    for name, component in config.reward_components.items():
        weight = WeightPath.of(config.reward_shaping.get(name, ShapingConfig()).build())
        strategy = "none" if component.is_potential else component.normalize_as(config.composer_settings).strategy
        shown = str(component.params.get("potential_function")) if component.is_potential else component.class_name
        verdict = worst_verdict([finding for finding in findings if finding.name == name])
        rows.append((name, f"potential: {shown}" if component.is_potential else shown, str(weight), strategy, verdict))
    return rows


def merged(findings: "list[Finding]") -> "list[tuple[str, Finding]]":
    """Join findings that say the same of several components: their names, and one of them."""
    same: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        same.setdefault((finding.part, finding.verdict, finding.reason), []).append(finding)
    return [(", ".join(finding.name for finding in group), group[0]) for group in same.values()]


def paragraph(names: str, finding: "Finding", width: int, encoding: str) -> list[str]:
    """Return one finding as lines of at most `width` columns, indented after the first."""
    part = "" if finding.part == "component" else f" ({finding.part})"
    text = printable(f"{names}{part}: {finding.reason}", encoding)
    first, *rest = wrap(text, width, indent=" " * VERDICT_WIDTH)
    return [f"{finding.verdict:<{VERDICT_WIDTH}}{first[VERDICT_WIDTH:]}", *rest]
