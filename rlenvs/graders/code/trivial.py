"""Programs that solve nothing. A task that one of them passes would pay for nothing."""

import ast
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from rlenvs.graders.code.examples import Example, examples_of
from rlenvs.graders.code.questions import AssertsQuestion, CodeQuestion, FunctionQuestion, StdioQuestion

__all__ = ["Trivial", "trivial_programs"]

CONSTANTS: tuple[Any, ...] = (None, 0, 1, -1, True, False, 0.0, "", [], {}, ())
MAX_CONSTANTS = 32
"""Constants taken from the golds of one task; the rest of a longer list cannot be the answer to all tests either."""
MAX_ARGUMENTS = 8
MAX_DECIMAL_BITS = 4096
"""Longer integers are spelled in hexadecimal: Python refuses to convert long ones to decimals."""


class Trivial(NamedTuple):
    """A program that solves nothing."""

    what: str
    """What it does, to stand behind "passed by a program that"."""
    code: str


def trivial_programs(question: CodeQuestion, prompt: str = "") -> list[Trivial]:
    """All programs that the task has to refuse.

    Args:
        question: the task.
        prompt: what the policy is shown; its examples are given away.
    """
    programs = [Trivial("is empty", ""), Trivial("does nothing", "pass\n"), Trivial("fails", "raise ValueError\n")]
    if isinstance(question, StdioQuestion):
        return [*programs, *unsolving_scripts(question)]
    if isinstance(question, FunctionQuestion):
        golds = [case.expected for case in question.tests]
        shown = [Example(case.args, case.kwargs, case.expected) for case in question.visible]
        shown += examples_of(prompt, question.entry_point)
        named = sorted({name for case in question.tests for name in case.kwargs})
        count = max(len(case.args) for case in question.tests)
        return [*programs, *unsolving_functions(question.entry_point, golds, shown, count, named)]
    assert isinstance(question, AssertsQuestion)
    shown = [Example(case.args, case.kwargs, case.expected) for case in question.visible]
    shown += examples_of(prompt, question.entry_point) + examples_of(question.visible_code, "candidate")
    golds = literals(question.test_code)
    name = question.entry_point
    return [*programs, *unsolving_functions(name, golds, shown, MAX_ARGUMENTS // 2, []), *unsolving_classes(name)]


def unsolving_functions(
    name: str, golds: list[Any], shown: list[Example], arguments: int, named: list[str]
) -> Iterator[Trivial]:
    """Functions that return a constant, an argument, or what the prompt's examples say."""
    head = f"def {name}(*args, **kwargs):\n"
    yield Trivial(f"raises in {name}", f"{head}    raise ValueError\n")
    for value in distinct([*CONSTANTS, *golds[:MAX_CONSTANTS]]):
        yield Trivial(f"always returns {value:.60}", f"{head}    return {value}\n")
    for index in range(min(arguments, MAX_ARGUMENTS)):
        yield Trivial(
            f"returns its argument {index + 1}", f"{head}    return args[{index}] if len(args) > {index} else None\n"
        )
    for key in named:
        yield Trivial(f"returns its argument {key}", f"{head}    return kwargs.get({key!r})\n")
    if shown:
        table = [((example.args, example.kwargs), example.expected) for example in shown]
        lines = f"    for seen, answer in {literal(table)}:\n"
        lines += "        if seen == ([*args], kwargs):\n            return answer\n"
        for value in distinct([None, *golds[:MAX_CONSTANTS]]):
            yield Trivial("knows only the examples of the prompt", f"{head}{lines}    return {value}\n")
        yield Trivial("knows only the examples of the prompt", f"{head}{lines}    return args[0] if args else None\n")


def unsolving_classes(name: str) -> Iterator[Trivial]:
    """Classes that have no method, or every method and no meaning."""
    yield Trivial("defines an empty class", f"class {name}:\n    pass\n")
    for value in ("None", "0", "True", "False", "[]"):
        yield Trivial(
            f"answers every call with {value}",
            f"class {name}:\n"
            "    def __init__(self, *args, **kwargs):\n        pass\n\n"
            f"    def __getattr__(self, key):\n        return lambda *args, **kwargs: {value}\n\n"
            "    def __len__(self):\n        return 0\n",
        )


def unsolving_scripts(question: StdioQuestion) -> Iterator[Trivial]:
    """Programs that print a constant, their input, or what the visible tests say."""
    for text in distinct(
        ["0", "1", "-1", "YES", "NO", "Yes", "No", *(case.stdout for case in question.tests[:MAX_CONSTANTS])]
    ):
        yield Trivial(f"always prints {text:.60}", f"print({text})\n")
    yield Trivial("prints its input", "import sys\nprint(sys.stdin.read())\n")
    yield Trivial("prints the first line of its input", "print(input())\n")
    yield Trivial("prints the last line of its input", "import sys\nprint(sys.stdin.read().split(chr(10))[-1])\n")
    if question.visible:
        table = literal([(case.stdin, case.stdout) for case in question.visible])
        yield Trivial("knows only the visible tests", f"import sys\nprint(dict({table}).get(sys.stdin.read(), ''))\n")


def literal(value: Any) -> str:
    """Python source of plain data, with what `repr` cannot spell: NaN, infinities, empty sets, long integers."""
    kind = type(value)
    if kind is list:
        return f"[{', '.join(map(literal, value))}]"
    if kind is tuple:
        return f"({''.join(literal(item) + ', ' for item in value)})"
    if kind is dict:
        return f"{{{', '.join(f'{literal(key)}: {literal(item)}' for key, item in value.items())}}}"
    if kind in (set, frozenset):
        return f"{kind.__name__}([{', '.join(map(literal, value))}])"
    if kind is float:
        return f"float({str(value)!r})" if value != value or value in (float("inf"), float("-inf")) else repr(value)
    if kind is int and value.bit_length() > MAX_DECIMAL_BITS:
        return hex(value)
    return repr(value)


def distinct(values: Iterable[Any]) -> list[str]:
    """The literals of values, each once."""
    return list(dict.fromkeys(map(literal, values)))


def literals(code: str) -> list[Any]:
    """Constants that a text of asserts compares with; none where it cannot be parsed."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return []
    found: list[Any] = []
    for node in ast.walk(tree):
        for side in [node.left, *node.comparators] if isinstance(node, ast.Compare) else []:
            try:
                found.append(ast.literal_eval(side))
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                continue
    return found
