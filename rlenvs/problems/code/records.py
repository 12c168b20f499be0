"""Records of code data sets, written as HumanEval or MBPP are, as tasks of asserts.

| format | recognised by |
|---|---|
| `humaneval` | `prompt`, `entry_point`, and a `test` that defines `check(candidate)`; `canonical_solution` if known |
| `mbpp` | `test_list`, a list of asserts, and `text` or `prompt`; `code` if known; `test_setup_code`, `test_imports` |

Sources: Chen et al., "Evaluating Large Language Models Trained on Code" (https://arxiv.org/abs/2107.03374); Austin et
al., "Program Synthesis with Large Language Models" (https://arxiv.org/abs/2108.07732). Nothing of a record is run here.
"""

import ast
import builtins
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlenvs.errors import DataError
from rlenvs.graders.code.examples import Example, examples_of
from rlenvs.json_lines import as_text, field_of
from rlenvs.problems.code.statement import fenced

CODE_FORMATS = ("humaneval", "mbpp")
TIME_LIMIT_S = 5
"""For all asserts of a record together."""


@dataclass(frozen=True, slots=True)
class CodeRecord:
    """What a record says."""

    question: str
    """What the split is decided by."""
    prompt: str
    hint: str
    """How to answer."""
    solution: str
    """A right response; "" if none is known."""
    task: Mapping[str, Any]
    """Keys of the task record."""


def code_format(record: Mapping[str, Any]) -> str | None:
    """The format of a record of code; None if it is something else.

    Example:
        >>> (
        ...     code_format({"text": "Double x.", "test_list": ["assert double(2) == 4"]}),
        ...     code_format({"question": "2+2?"}),
        ... )
        ('mbpp', None)
    """
    if {"prompt", "entry_point", "test"} <= set(record):
        return "humaneval"
    if "test_list" in record and ("text" in record or "prompt" in record):
        return "mbpp"
    return None


def read_code(kind: str, record: Mapping[str, Any], where: str) -> CodeRecord:
    """A record of one of `CODE_FORMATS`.

    Raises:
        DataError: a field is missing, of the wrong type, or no Python; the message begins with `where`.
    """
    return humaneval(record, where) if kind == "humaneval" else mbpp(record, where)


def text_field(record: Mapping[str, Any], name: str, where: str, default: str | None = None) -> str:
    """A field that holds a text."""
    if default is not None and record.get(name) is None:
        return default
    return as_text(field_of(record, name, where), name, where)


def parsed(code: str, name: str, where: str) -> ast.Module:
    """A field as Python."""
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise DataError(f"{where}: field {name!r} is not Python: {error!s:.80}") from None


def hint_of(entry: str) -> str:
    """How to answer."""
    return f"Answer with one ```python block that defines `{entry}` and all that it needs."


def asserted(tree: ast.Module, name: str) -> list[tuple[list[Any], Any]]:
    """Arguments and result of the asserts `name(...) == ...` whose values are literals."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Assert(
                test=ast.Compare(
                    left=ast.Call(func=ast.Name(id=called), args=args, keywords=[]),
                    ops=[ast.Eq()],
                    comparators=[result],
                )
            ) if called == name:
                try:
                    found.append(([ast.literal_eval(arg) for arg in args], ast.literal_eval(result)))
                except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                    continue
    return found


def confirmed(examples: list[Example], asserts: list[tuple[list[Any], Any]]) -> list[dict[str, Any]]:
    """The examples of a prompt that its asserts state too, if their values are plain JSON.

    A few published prompts have examples that the published solutions do not meet.
    """
    found = []
    for example in examples:
        golds = [gold for args, gold in asserts if args == example.args and gold == example.expected]
        if not golds or example.kwargs:
            continue
        test = {"args": example.args, "expected": golds[0]}
        try:
            found.append(json.loads(json.dumps(test, allow_nan=False)))
        except (TypeError, ValueError, RecursionError):
            continue
    return found


def humaneval(record: Mapping[str, Any], where: str) -> CodeRecord:
    """A head of a function to complete, and a `check(candidate)`.

    What the prompt defines before the function is there for the asserts too, as they may call it.
    """
    head = text_field(record, "prompt", where)
    entry = text_field(record, "entry_point", where)
    test = text_field(record, "test", where)
    before, found, _ = head.rpartition(f"def {entry}(")
    if not found:
        raise DataError(f"{where}: field 'prompt' does not define {entry!r}, the field 'entry_point'")
    tree = parsed(test, "test", where)
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    if "check" not in defined:
        raise DataError(f"{where}: field 'test' does not define check(candidate)")
    solution = text_field(record, "canonical_solution", where, "")
    task = {
        "entry_point": entry,
        "test_code": test,
        "setup_code": before,
        "visible_tests": confirmed(examples_of(head, entry), asserted(tree, "candidate")),
    }
    prompt = f"Complete this function.\n\n{fenced(head.strip())}"
    return CodeRecord(head, prompt, hint_of(entry), fenced((head + solution).strip()) if solution else "", task)


def mbpp(record: Mapping[str, Any], where: str) -> CodeRecord:
    """A task in words, and a list of asserts: the first is shown, as it tells the name and the arguments."""
    words = text_field(record, "text" if "text" in record else "prompt", where).strip()
    tests = [*asserts_of(record, "test_list", where), *asserts_of(record, "challenge_test_list", where)]
    if not words or not tests:
        raise DataError(f"{where}: field {'test_list' if words else 'text'!r} is empty")
    code = text_field(record, "code", where, "")
    entry = entry_of(code, tests, where)
    imports = record.get("test_imports") or []
    if not isinstance(imports, list) or not all(isinstance(line, str) for line in imports):
        raise DataError(f"{where}: field 'test_imports': expected a list of texts, got {imports!r:.80}")
    setup = "\n".join([*imports, text_field(record, "test_setup_code", where, "")]).strip()
    parsed(setup, "test_setup_code", where)
    first = ast.unparse(tests[0])
    shown = ast.Module([tests[0]], [])
    task = {
        "entry_point": entry,
        "test_code": check_of(entry, tests),
        "setup_code": setup,
        "visible_tests": confirmed(
            [Example(args, {}, gold) for args, gold in asserted(shown, entry)], asserted(shown, entry)
        ),
    }
    prompt = f"{words}\n\nThe function is called as here:\n{first}"
    return CodeRecord(words, prompt, hint_of(entry), fenced(code.strip()) if code.strip() else "", task)


def asserts_of(record: Mapping[str, Any], name: str, where: str) -> list[ast.stmt]:
    """The statements of a list of asserts."""
    lines = record.get(name) or []
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise DataError(f"{where}: field {name!r}: expected a list of texts, got {lines!r:.80}")
    return [node for line in lines for node in parsed(line, name, where).body]


def entry_of(code: str, tests: list[ast.stmt], where: str) -> str:
    """The function that is tested: the first that an assert calls, and that the solution defines if there is one."""
    defined = {
        node.name
        for node in parsed(code, "code", where).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    called = [
        node.func.id
        for test in tests
        for node in ast.walk(test)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    for name in called:
        if name in defined or (not defined and not hasattr(builtins, name)):
            return name
    raise DataError(f"{where}: no assert of the field 'test_list' calls a function that the field 'code' defines")


def check_of(entry: str, tests: list[ast.stmt]) -> str:
    """`check(candidate)` out of asserts that call the function by its name."""
    body = "\n".join(ast.unparse(test) for test in tests)
    # Through the tree once more, so that lines of a text that runs over several ones are not moved.
    tree = ast.parse(f"def check(candidate):\n    {entry} = candidate\n")
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    function.body += ast.parse(body).body
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"
