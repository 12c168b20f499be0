"""`rlenvs eval`: the accuracy of a model, or of responses that are already stored."""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlenvs.cli.output import print_json, table
from rlenvs.cli.parser import UsageError, add_command, at_least, number_at_least
from rlenvs.extras import require
from rlenvs.suggestions import did_you_mean

if TYPE_CHECKING:
    from rlenvs.cli.parser import CommandParser, Subparsers

__all__ = ["add_grading_options", "grading_task", "register", "run"]

TEXT = """
Measure accuracy with the environment's own grader: true answers, no shaped reward. Two forms:

  rlenvs eval MODEL_DIR              let a model answer held-out problems, greedily and by sampling
  rlenvs eval --responses FILE.jsonl grade responses that are already stored

MODEL_DIR is a folder made by save_pretrained, or the folder `model` of a run of Stable-Baselines3, which is measured in
the environment that it was trained in.
"""

EXAMPLE = """
rlenvs eval runs/arithmetic/model
rlenvs eval my-model --env rlenvs/Arithmetic-v0 --set digits=3 --problems 500 --json
rlenvs eval --responses graded.jsonl --label-field is_correct --extract last_marker --marker A:
"""

GOLD_TYPES = ("gsm8k", "math", "qa_exact", "mcq")
"""Kinds of answers whose right one is a text in a field; tasks of other kinds are whole records."""
MAX_SHOWN_DISAGREEMENTS = 5


def register(subparsers: "Subparsers") -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "eval",
        run,
        summary="measure the accuracy of a model or of stored responses",
        text=TEXT,
        example=EXAMPLE,
    )
    parser.add_argument("model_dir", nargs="?", metavar="MODEL_DIR", help="folder of a model, as a run leaves it")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    _add_model_options(parser)
    _add_response_options(parser)


def _add_model_options(parser: "CommandParser") -> None:
    group = parser.add_argument_group("a model (needs the extra llm)")
    group.add_argument("--env", metavar="ID", help="environment (default: that of the run which the model belongs to)")
    group.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="parameter of the environment; repeatable",
    )
    group.add_argument(
        "--problems", metavar="N", type=at_least(1), help="held-out problems (default: the run's number, or 1000)"
    )
    group.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to run (default: auto)")
    group.add_argument(
        "--batch-size",
        metavar="N",
        type=at_least(1),
        help="sequences generated at once (default: the run's, or 512)",
    )
    group.add_argument(
        "--temperature",
        metavar="T",
        type=number_at_least(0.01),
        help="of the sampled answers (default: the run's, or 1.0)",
    )
    group.add_argument(
        "--max-new-tokens", metavar="N", type=at_least(1), help="tokens per answer (default: the run's, or 64)"
    )
    group.add_argument(
        "--seed",
        metavar="S",
        type=at_least(0),
        help="of the choice of problems and the sampling (default: the run's, or 0)",
    )


def _add_response_options(parser: "CommandParser") -> None:
    group = parser.add_argument_group("stored responses")
    group.add_argument("--responses", metavar="FILE.jsonl", help="one JSON object per line")
    group.add_argument(
        "--response-field",
        metavar="NAME",
        default="response",
        help="field of the response (default: response)",
    )
    group.add_argument("--question-field", metavar="NAME", help="field of the question (default: none)")
    group.add_argument("--label-field", metavar="NAME", help="field of a known verdict (true, false) to compare with")
    add_grading_options(group)
    group.add_argument("--output", metavar="FILE.jsonl", help="write the verdict on each response here")


def add_grading_options(group: "argparse._ArgumentGroup") -> None:
    """Add the options that say how a built-in grader judges stored responses; `grading_task` reads them."""
    group.add_argument(
        "--gold-field",
        metavar="NAME",
        default="ground_truth",
        help="field of the right answer (default: ground_truth)",
    )
    group.add_argument(
        "--type", metavar="KIND", default="gsm8k", help=f"kind of answer: {', '.join(GOLD_TYPES)} (default: gsm8k)"
    )
    group.add_argument(
        "--extract",
        metavar="POLICY",
        help="where the answer stands in the response, see docs/environments.md",
    )
    group.add_argument(
        "--marker",
        metavar="TEXT",
        action="append",
        default=[],
        help="marker of --extract last_marker; repeatable",
    )


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    if (args.model_dir is None) == (args.responses is None):
        raise UsageError("expected either MODEL_DIR or --responses FILE.jsonl (see: rlenvs eval --help)")
    return _run_responses(args) if args.model_dir is None else _run_model(args)


def _run_model(args: argparse.Namespace) -> int:
    result = _agent_result(args) if _is_agent(args.model_dir) else _language_model_result(args)
    if args.json:
        print_json(result)
    else:
        print(table([(name, _number(value)) for name, value in result.items()], header=("measure", "value")))
    return 0


def _is_agent(model_dir: str) -> bool:
    """Tell an agent of Stable-Baselines3 from a language model."""
    path = Path(model_dir)
    return path.suffix == ".zip" or (path / "model.zip").is_file()


def _agent_result(args: argparse.Namespace) -> dict[str, Any]:
    """Return what an agent of Stable-Baselines3 is worth.

    Raises:
        UsageError: an option that only language models have.
    """
    for option in ("env", "set", "batch_size", "temperature", "max_new_tokens"):
        if getattr(args, option) not in (None, []):
            raise UsageError(
                f"--{option.replace('_', '-')} is for language models: an agent of Stable-Baselines3 is measured in "
                "the environment that it was trained in"
            )
    for module in ("stable_baselines3", "sb3_contrib"):
        require(module, "sb3", "evaluating an agent of Stable-Baselines3")
    from rlenvs.agents.sb3.evaluate import evaluate_sb3

    return evaluate_sb3(args.model_dir, args.problems, args.seed, args.device)


def _language_model_result(args: argparse.Namespace) -> dict[str, Any]:
    require("torch", "llm", "evaluating a model")
    require("transformers", "llm", "evaluating a model")
    require("transformers.utils.logging", "llm", "evaluating a model").disable_progress_bar()
    from rlenvs.agents.llm.evaluation import evaluate_model
    from rlenvs.config_file import apply_overrides

    result: dict[str, Any] = evaluate_model(
        args.model_dir,
        env_id=args.env,
        env_kwargs=apply_overrides({}, args.set) or None,
        limit=args.problems,
        device=args.device,
        batch_size=args.batch_size,
        temperature=args.temperature,
        seed=args.seed,
        max_new_tokens=args.max_new_tokens,
    )
    return result


def _number(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _run_responses(args: argparse.Namespace) -> int:
    from rlenvs.cli.responses import Fields, grade_file

    fields = Fields(args.response_field, args.gold_field, args.question_field, args.label_field)
    summary = grade_file(args.responses, fields, grading_task(args), output=args.output)
    if args.json:
        print_json(summary)
    else:
        print(_summary_text(summary))
    return 0


def grading_task(args: argparse.Namespace) -> dict[str, Any]:
    """Return the part of the task record that is the same for every line.

    Raises:
        UsageError: An unknown kind of answer or extraction, or a marker without its extraction.
    """
    from rlenvs.graders import EXTRACTORS, TASK_TYPES

    if args.type in TASK_TYPES and args.type not in GOLD_TYPES:
        raise UsageError(
            f"--type: a task of type {args.type!r} is more than a right answer in a field"
            f" (known here: {', '.join(GOLD_TYPES)}); rlenvs.graders.grade_batch takes whole task records"
        )
    _check_choice("--type", args.type, GOLD_TYPES)
    task: dict[str, Any] = {"type": args.type}
    extract = "last_marker" if args.marker and args.extract is None else args.extract
    if extract is not None:
        _check_choice("--extract", extract, EXTRACTORS)
        task["extract"] = extract
    if (extract == "last_marker") != bool(args.marker):
        raise UsageError("--extract last_marker and --marker need each other, as in: --extract last_marker --marker A:")
    return {**task, "markers": args.marker} if args.marker else task


def _check_choice(option: str, value: str, known: Iterable[str]) -> None:
    if value not in (names := list(known)):
        raise UsageError(f"{option}: unknown {value!r}{did_you_mean(value, names)} (known: {', '.join(names)})")


def _summary_text(summary: dict[str, Any]) -> str:
    count = summary["responses"]
    lines = [
        f"responses {count}",
        f"accuracy {summary['accuracy']:.4f} ({summary['correct']}/{count})",
        "status " + ", ".join(f"{name} {number}" for name, number in summary["status"].items()),
    ]
    if "agreement" in summary:
        lines.append(f"agreement {summary['agreement']}/{count}")
        disagreements = summary["disagreements"]
        lines += [
            f"  line {item['line']}: labelled {item['label']}, graded {item['correct']}"
            f" (extracted {item['extracted']!r}: {item['reason']})"
            for item in disagreements[:MAX_SHOWN_DISAGREEMENTS]
        ]
        if (hidden := count - summary["agreement"] - MAX_SHOWN_DISAGREEMENTS) > 0:
            lines.append(f"  and {hidden} more")
    if summary["output"] is not None:
        lines.append(f"verdicts in {summary['output']}")
    return "\n".join(lines)
