"""`rlenvs tasks`: look at the tasks of a file before anything is paid for them."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlenvs.cli.output import output_encoding, print_json, printable
from rlenvs.cli.parser import CommandParser, add_command, at_least
from rlenvs.errors import DataError

if TYPE_CHECKING:
    from rlenvs.cli.parser import Subparsers

__all__ = ["register", "run"]

TEXT = """
Look at the tasks of a file before anything is paid for them.
"""

CHECK_TEXT = """
Check the code tasks of FILE: one JSON object per line, a task record, an object with one in its field `task`, or a
record as HumanEval and MBPP have them.

A task is refused if its record cannot be graded by, if a program that solves nothing passes it (an empty one, one that
returns a constant or one of its arguments, one that knows only the examples of the prompt, one that raises), if it asks
yes or no with few or lopsided tests, if its asserts never call what was written, and if its own solution fails. The
programs run in the sandbox.

Exit code: 0 if all tasks are fit, 2 if any is refused.
"""

EXAMPLE = """
rlenvs tasks check problems.jsonl
rlenvs tasks check problems.jsonl --solution-field canonical_solution --json
"""

SOLUTION_FIELDS = ("solution", "reference", "reference_solution", "demonstration")
"""Where a solution is looked for, if no field is named."""
EXIT_REFUSED = 2
BATCH = 32
"""Tasks whose programs go to the sandbox together."""


def register(subparsers: "Subparsers") -> None:
    """Add the command and its sub-command."""
    parser = add_command(
        subparsers,
        "tasks",
        run,
        summary="look at tasks before anything is paid for them",
        text=TEXT,
        example="rlenvs tasks check problems.jsonl",
    )
    actions = parser.add_subparsers(metavar="ACTION", title="actions", parser_class=CommandParser)
    check = add_command(
        actions,
        "check",
        run_check,
        summary="refuse tasks that programs pass which solve nothing",
        text=CHECK_TEXT,
        example=EXAMPLE,
    )
    check.add_argument("file", metavar="FILE", help="one JSON object per line")
    check.add_argument("--task-field", metavar="NAME", default="task", help="the task record (default: task)")
    check.add_argument(
        "--prompt-field", metavar="NAME", help="what the policy is shown (default: prompt, of the line or of its task)"
    )
    check.add_argument(
        "--solution-field",
        metavar="NAME",
        help=f"a right solution: code, or a text with a code block (default: {', '.join(SOLUTION_FIELDS)})",
    )
    check.add_argument("--limit", metavar="N", type=at_least(1), help="check the first N tasks only")
    check.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(args: argparse.Namespace) -> int:
    """Say which sub-commands there are, because none was named."""
    parser: CommandParser = args.parser
    parser.print_help()
    return EXIT_REFUSED


@dataclass(frozen=True, slots=True)
class TaskLine:
    """A task, and where it was read."""

    number: int
    task: Mapping[str, Any]
    solution: str | None
    prompt: str | None


def run_check(args: argparse.Namespace) -> int:
    """Print what speaks against each task."""
    lines = read_lines(args)
    refused: list[tuple[TaskLine, list[str]]] = []
    for start in range(0, len(lines), BATCH):
        batch = lines[start : start + BATCH]
        refused += [(line, found) for line, found in zip(batch, problems_of(batch), strict=True) if found]
    if args.json:
        rows = [{"line": line.number, "problems": problems} for line, problems in refused]
        print_json({"file": args.file, "tasks": len(lines), "refused": rows})
    else:
        encoding = output_encoding()
        for line, problems in refused:
            for problem in problems:
                print(printable(f"{args.file}:{line.number}: {problem}", encoding))
        print(f"{len(lines)} tasks, {len(refused)} refused" if refused else f"{len(lines)} tasks, all fit")
    return EXIT_REFUSED if refused else 0


def problems_of(lines: Sequence[TaskLine]) -> list[list[str]]:
    """What speaks against each task; one that no program answers only has to be readable."""
    from rlenvs.errors import GraderError
    from rlenvs.graders import TASK_TYPES, compile_task
    from rlenvs.graders.code import CODE_TYPES
    from rlenvs.graders.code.admission import check_tasks

    programs = [line for line in lines if line.task.get("type") not in TASK_TYPES or line.task["type"] in CODE_TYPES]
    found = check_tasks(
        [line.task for line in programs],
        [line.solution for line in programs],
        prompts=[line.prompt for line in programs],
    )
    problems = {line.number: texts for line, texts in zip(programs, found, strict=True)}
    for line in lines:
        if line.number not in problems:
            try:
                compile_task(line.task)
                problems[line.number] = []
            except GraderError as error:
                problems[line.number] = [str(error)]
    return [problems[line.number] for line in lines]


def read_lines(args: argparse.Namespace) -> list[TaskLine]:
    """The tasks of the file.

    Raises:
        DataError: the file cannot be read, a line holds no task, or there is none at all.
    """
    from rlenvs.json_lines import read_rows

    lines: list[TaskLine] = []
    for number, row in read_rows(args.file):
        lines.append(line_of(row, number, args))
        if args.limit is not None and len(lines) == args.limit:
            break
    if not lines:
        raise DataError(f"{args.file}: holds no tasks")
    return lines


def line_of(row: dict[str, Any], number: int, args: argparse.Namespace) -> TaskLine:
    """One line: a task record, an object that has one, or a record as HumanEval and MBPP have them."""
    from rlenvs.json_lines import field_of, text_field
    from rlenvs.problems.code.records import TIME_LIMIT_S, code_format, read_code

    where = f"{args.file}:{number}"
    if args.task_field not in row and (known := code_format(row)):
        found = read_code(known, row, where)
        task = {"type": "asserts", "time_limit_s": TIME_LIMIT_S, **found.task}
        return TaskLine(number, task, code_of(found.solution, task) if found.solution else None, found.prompt)
    is_record = args.task_field not in row and isinstance(row.get("type"), str)
    task = row if is_record else field_of(row, args.task_field, where)
    if not isinstance(task, Mapping):
        raise DataError(f"{where}: field {args.task_field!r}: expected a task record, got {task!r:.80}")
    named = args.solution_field
    if named is None:
        named = next((name for name in SOLUTION_FIELDS if isinstance(row.get(name), str)), None)
    solution = None if named is None else code_of(text_field(row, named, where), task)
    if args.prompt_field is not None:
        return TaskLine(number, task, solution, text_field(row, args.prompt_field, where))
    prompt = row.get("prompt")
    return TaskLine(number, task, solution, prompt if isinstance(prompt, str) and "prompt" not in task else None)


def code_of(text: str, task: Mapping[str, Any]) -> str:
    """The code of a solution: what the task takes out of it as out of a response, or all of it."""
    from rlenvs.errors import GraderError
    from rlenvs.graders import compile_task
    from rlenvs.graders.extraction import extract_answer

    try:
        question = compile_task(task)
    except GraderError:
        return text  # the check of the record says so
    policy, most = question.policy, question.max_answer_chars
    found = extract_answer(text, policy.extract, policy.markers, after_think=policy.after_think, max_chars=most)
    return text if found.answer is None else found.answer
