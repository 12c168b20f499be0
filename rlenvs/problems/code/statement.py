"""From a problem to what the policy is shown, and to the record that the grader reads."""

import marshal
import random
from collections.abc import Sequence
from typing import Any

from rlenvs.problems.code.exam import Case, Exam
from rlenvs.problems.code.family import program

ANSWER_HINT = {
    "function": "Answer with one ```python block that defines {entry}.",
    "stdio": "Answer with one ```python block: the whole program.",
    "asserts": "Answer with one ```python block that defines the class {entry}.",
}
TIME_LIMIT_S = 2
FRAMES = 4


def fenced(code: str) -> str:
    r"""Code in a block, as a response has it.

    Example:
        >>> fenced("x = 1")
        '```python\nx = 1\n```'
    """
    return f"```python\n{code}\n```"


def called(entry: str, args: Sequence[Any]) -> str:
    """A call as source text.

    Example:
        >>> called("f", [[1, 2], "a"])
        "f([1, 2], 'a')"
    """
    return f"{entry}({', '.join(map(repr, args))})"


def example_lines(entry: str, cases: Sequence[Case]) -> str:
    """Examples of a function, a line each."""
    return "\n".join(f"{called(entry, case.args)} == {case.expected!r}" for case in cases)


def sample_texts(cases: Sequence[Case]) -> str:
    """Examples of a program."""
    return "\n\n".join(f"Input:\n{case.args[0].rstrip()}\nOutput:\n{case.expected.rstrip()}" for case in cases)


def session(entry: str, case: Case) -> str:
    """An example of a class: calls on an object, each with what it gives."""
    arguments, calls = case.args
    lines = [f"it = {called(entry, arguments)}"]
    for (method, *args), (outcome, value) in zip(calls, case.expected, strict=True):
        call = "len(it)" if method == "__len__" else f"it.{called(method, args)}"
        gives = "" if outcome == "value" and value is None else f"  # {'raises ' if outcome == 'raises' else ''}"
        lines.append(f"{call}{gives}" + ("" if not gives else value if outcome == "raises" else repr(value)))
    return "\n".join(lines)


def examples_of(exam: Exam, entry: str, cases: Sequence[Case]) -> str:
    """Cases as a statement shows them."""
    if exam.family.kind == "function":
        return example_lines(entry, cases)
    if exam.family.kind == "stdio":
        return sample_texts(cases)
    return "\n\n".join(session(entry, case) for case in cases)


def doctest_of(exam: Exam, entry: str, says: str) -> str:
    """The head of a function with its task and examples as its docstring."""
    lines = [f"def {entry}({exam.recipe.takes}) -> {exam.recipe.gives}:", f'    """{says}', ""]
    for case in exam.visible:
        lines += [f"    >>> {called(entry, case.args)}", f"    {case.expected!r}"]
    return "\n".join([*lines, '    """'])


def ask(exam: Exam, entry: str, says: str, frame: int) -> str:
    """The statement in one of several layouts."""
    family, recipe = exam.family, exam.recipe
    shown = examples_of(exam, entry, exam.visible)
    if family.kind == "stdio":
        head = ("Write a Python program.", "Solve this with a Python program.", "Program:", "Task:")[frame]
        return f"{head} {says}\n\n{shown}"
    if family.kind == "asserts":
        heads = (f"Write a Python class `{entry}`.", f"Implement `{entry}`.", f"Class `{entry}`:", f"Design `{entry}`.")
        return f"{heads[frame]} {says}\n\nExample:\n{shown}"
    signature = f"{entry}({recipe.takes}) -> {recipe.gives}"
    if frame == 0:
        return f"Write a Python function `{signature}`.\n\n{says}\n\nExamples:\n{shown}"
    if frame == 1:
        return f"Complete this function.\n\n{fenced(doctest_of(exam, entry, says))}"
    if frame == 2:
        return f"{says}\n\nSignature: {signature}\n{shown}"
    return f"Task: {says}\nName the function `{entry}`; it has the signature `{signature}`.\nFor instance:\n{shown}"


def worded(exam: Exam, dice: random.Random) -> tuple[str, str]:
    """A statement in a drawn wording and layout, and the name that it gives the function or class."""
    family, recipe = exam.family, exam.recipe
    entry = dice.choice(family.entries)
    says = dice.choice(recipe.says)
    return ask(exam, entry, says, int(dice.random() * FRAMES)), entry


def asked(exam: Exam, statement: str, entry: str) -> str:
    """A statement with how to answer."""
    return f"{statement}\n\n{ANSWER_HINT[exam.family.kind].format(entry=entry)}"


def reference_of(exam: Exam, entry: str) -> str:
    """The source text of the reference solution."""
    return program(exam.family, exam.recipe, exam.recipe.code, exam.parameters, entry)


def task_of(exam: Exam, prompt: str, entry: str, visible: Sequence[Case]) -> dict[str, Any]:
    """The task record; its schema is in `rlenvs.graders`."""
    family = exam.family
    task: dict[str, Any] = {"type": family.kind, "question": prompt}
    if family.kind == "function":
        task["entry_point"] = entry
        task["tests"] = [{"args": case.args, "expected": case.expected} for case in exam.hidden]
        task["visible_tests"] = [{"args": case.args, "expected": case.expected} for case in visible]
    elif family.kind == "stdio":
        task["tests"] = [{"stdin": case.args[0], "stdout": case.expected} for case in exam.hidden]
        task["visible_tests"] = [{"stdin": case.args[0], "stdout": case.expected} for case in visible]
    else:
        task["entry_point"] = entry
        task["test_code"] = checks(exam.hidden)
        task["visible_test_code"] = checks(visible)
    task |= {
        "extract": "last_python_block",
        "time_limit_s": TIME_LIMIT_S,
        "family": family.name,
        "parameters": exam.parameters,
    }
    # A copy: the exam is kept, and whoever is given the task may change it.
    copied: dict[str, Any] = marshal.loads(marshal.dumps(task))
    return copied


def checks(cases: Sequence[Case]) -> str:
    """`check(candidate)`, which plays every case on an object of its own."""
    parts = [check(f"check_{number}", case) for number, case in enumerate(cases, start=1)]
    calls = "\n".join(f"    check_{number}(candidate)" for number in range(1, len(cases) + 1))
    return "\n\n\n".join([*parts, f"def check(candidate):\n{calls}"]) + "\n"


def check(name: str, case: Case) -> str:
    """One case as a function of asserts."""
    arguments, calls = case.args
    lines = [f"def {name}(candidate):", f"    it = {called('candidate', arguments)}"]
    for (method, *args), (outcome, value) in zip(calls, case.expected, strict=True):
        call = "len(it)" if method == "__len__" else f"it.{called(method, args)}"
        if outcome == "raises":
            lines += ["    try:", f"        {call}", f"    except {value}:", "        pass", "    else:"]
            lines.append(f"        raise AssertionError({f'{call} must raise {value}'!r})")
        elif value is None:
            lines.append(f"    {call}")
        else:
            lines.append(f"    assert {call} == {value!r}, {call!r}")
    return "\n".join(lines)
