"""Code tasks as questions: the record checked, and a job made of each program that is to be judged.

`rlenvs.graders.code` has the schema.
"""

import keyword
import marshal
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from rlenvs.errors import GraderError, ParameterError
from rlenvs.graders.code.cases import CallCase, ScriptCase, read_calls, read_scripts
from rlenvs.graders.code.comparison import Closeness
from rlenvs.graders.code.jobs import CallsJob, DuelJob, Job, ScriptsJob
from rlenvs.graders.question import CODE_TYPES, PendingCode, Policy, Question, text_of
from rlenvs.sandbox.codec import CodecError, decode, encode
from rlenvs.sandbox.limits import MEBIBYTE, Limits
from rlenvs.sandbox.program import MAX_INPUT_BYTES

__all__ = [
    "CODE_TYPES",
    "AssertsQuestion",
    "CodeQuestion",
    "FunctionQuestion",
    "PendingCode",
    "StdioQuestion",
    "compile_code",
    "question_of",
]

MAX_CODE_CHARS = 65_536
MAX_SECONDS = 60.0
MIN_MEMORY_MB, MAX_MEMORY_MB = 32, 16_384


@dataclass(frozen=True, eq=False)
class CodeQuestion(Question):
    """A task that a program answers."""

    limits: Limits
    shares: bool
    """Whether a program gets the share of tests it passes; else all or nothing."""
    max_answer_chars: ClassVar[int] = MAX_CODE_CHARS

    def judge(self, answer: str, where: str) -> PendingCode:
        """A program is judged when it has run."""
        return PendingCode(self, answer)

    @abstractmethod
    def job(self, code: str) -> Job:
        """What to run to know the verdict."""

    @abstractmethod
    def visible_job(self, code: str) -> Job | None:
        """The same with the tests that may be shown; None where the task has none."""


@dataclass(frozen=True, eq=False)
class FunctionQuestion(CodeQuestion):
    """A function is called, and what it returns is compared."""

    entry_point: str
    tests: tuple[CallCase, ...]
    visible: tuple[CallCase, ...]
    closeness: Closeness | None

    def job(self, code: str) -> CallsJob:
        """All tests, in one process."""
        return CallsJob(code, self.entry_point, self.tests, self.closeness, self.limits)

    def visible_job(self, code: str) -> CallsJob | None:
        """The visible tests, in one process."""
        if not self.visible:
            return None
        return CallsJob(code, self.entry_point, self.visible, self.closeness, self.limits)


@dataclass(frozen=True, eq=False)
class StdioQuestion(CodeQuestion):
    """A program reads standard input and prints."""

    tests: tuple[ScriptCase, ...]
    visible: tuple[ScriptCase, ...]
    closeness: Closeness | None

    def job(self, code: str) -> ScriptsJob:
        """All tests, each in a process of its own."""
        return ScriptsJob(code, self.tests, self.closeness, self.limits)

    def visible_job(self, code: str) -> ScriptsJob | None:
        """The visible tests, each in a process of its own."""
        return ScriptsJob(code, self.visible, self.closeness, self.limits) if self.visible else None


@dataclass(frozen=True, eq=False)
class AssertsQuestion(CodeQuestion):
    """`check(candidate)` of the task calls what the program defines."""

    entry_point: str
    test_code: str
    setup_code: str
    visible: tuple[CallCase, ...]
    visible_code: str
    """Asserts that may be shown; "" where the task has none, or has calls with golds."""

    def job(self, code: str) -> DuelJob:
        """Asserts and program, apart from each other."""
        return DuelJob(code, self.entry_point, self.test_code, self.setup_code, self.limits)

    def visible_job(self, code: str) -> CallsJob | DuelJob | None:
        """Calls with golds, as those of functions are, or asserts, all of which count as one test."""
        if self.visible_code:
            return DuelJob(code, self.entry_point, self.visible_code, self.setup_code, self.limits)
        return CallsJob(code, self.entry_point, self.visible, None, self.limits) if self.visible else None


def compile_code(task: Mapping[str, Any], policy: Policy) -> CodeQuestion:
    """Check a record of a code task.

    Args:
        task: the record; its `type` is one of `CODE_TYPES`.
        policy: which part of a response is the program.

    Raises:
        GraderError: nothing could be graded by it; says which key.
    """
    limits, shares, kind = limits_of(task), shares_of(task), task["type"]
    if kind == "asserts":
        return compile_asserts(task, policy, limits)
    closeness = closeness_of(task)
    if kind == "stdio":
        scripts, shown_scripts = read_scripts(task, "tests"), read_scripts(task, "visible_tests")
        some(scripts)
        limits = room_to_print(limits, [*scripts, *shown_scripts])
        return StdioQuestion(policy, limits, shares, scripts, shown_scripts, closeness)
    entry_point, calls, shown_calls = (
        name_of(task, "entry_point"),
        read_calls(task, "tests"),
        read_calls(task, "visible_tests"),
    )
    some(calls)
    limits = room_to_return(room_to_return(limits, calls, "tests"), shown_calls, "visible_tests")
    return FunctionQuestion(policy, limits, shares, entry_point, calls, shown_calls, closeness)


def question_of(task: Mapping[str, Any] | CodeQuestion) -> CodeQuestion:
    """A task whose programs come extracted, as a question.

    Raises:
        GraderError: it is no code task, or nothing could be graded by it.
    """
    if isinstance(task, CodeQuestion):
        return task
    if not isinstance(task, Mapping):
        raise GraderError(f"task: must be a mapping with a type and tests, got {task!r:.80}")
    kind = task.get("type")
    if not isinstance(kind, str) or kind not in CODE_TYPES:
        raise GraderError(f"task type: must be one of {', '.join(CODE_TYPES)}, got {kind!r:.80}")
    return compile_code(task, Policy("last_python_block"))


def room_to_print(limits: Limits, scripts: Sequence[ScriptCase]) -> Limits:
    """Limits under which the longest gold can be printed, and as much besides as without it."""
    longest = max(len(case.stdout.encode("utf-8", "surrogatepass")) for case in scripts)
    return replace(limits, output_bytes=limits.output_bytes + longest)


def room_to_return(limits: Limits, calls: Sequence[CallCase], key: str) -> Limits:
    """Limits under which the largest gold, and all golds together, can be returned.

    Raises:
        GraderError: no answer may be as large as a gold.
    """
    # Cheap, and never less than an eighth of what the codec needs, so that only large golds are encoded here.
    if len(marshal.dumps([case.expected for case in calls], 2)) * 8 < limits.result_bytes:
        return limits
    sizes = []
    for index, case in enumerate(calls):
        try:
            sent = encode(case.expected, max_bytes=MAX_INPUT_BYTES)
            decode(sent, MAX_INPUT_BYTES)
            sizes.append(len(sent))
        except CodecError as error:
            raise GraderError(f"task {key}[{index}].expected: {error}") from error
    # All answers of one execution may hold sixteen times what one may.
    return replace(limits, result_bytes=max(limits.result_bytes, MEBIBYTE + max(sizes), sum(sizes) // 8))


def compile_asserts(task: Mapping[str, Any], policy: Policy, limits: Limits) -> AssertsQuestion:
    """Check what a record of asserts has of its own."""
    if shares_of(task):
        raise GraderError("task partial: asserts are one test, there is no share of it; leave partial out")
    visible = read_calls(task, "visible_tests")
    visible_code = checks_of(task, "visible_test_code") if task.get("visible_test_code") is not None else ""
    if visible and visible_code:
        raise GraderError("task visible_tests: give these or visible_test_code, not both")
    setup_code = text_of(task, "setup_code") if task.get("setup_code") is not None else ""
    entry_point, test_code = name_of(task, "entry_point"), checks_of(task, "test_code")
    return AssertsQuestion(policy, limits, False, entry_point, test_code, setup_code, visible, visible_code)


def checks_of(task: Mapping[str, Any], key: str) -> str:
    """A key of a task that holds asserts."""
    code = text_of(task, key)
    if "check" not in code:
        raise GraderError(f"task {key}: must define check(candidate), which asserts what is wanted of it")
    return code


def some(tests: tuple[Any, ...]) -> None:
    """Refuse a task without tests: every program would pass it."""
    if not tests:
        raise GraderError("task tests: must hold at least one test; without any, every program would pass")


def name_of(task: Mapping[str, Any], key: str) -> str:
    """A key of a task that holds the name of a function or class."""
    name = task.get(key)
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise GraderError(f"task {key}: must be the name of the function or class to write, got {name!r:.80}")
    return name


def limits_of(task: Mapping[str, Any]) -> Limits:
    """What one execution may take."""
    given: dict[str, Any] = {}
    if task.get("time_limit_s") is not None:
        given["wall_s"] = float(number_of(task, "time_limit_s", low=0.01, high=MAX_SECONDS))
    if task.get("memory_mb") is not None:
        given["memory_mb"] = int(number_of(task, "memory_mb", low=MIN_MEMORY_MB, high=MAX_MEMORY_MB))
    try:
        return Limits(**given)
    except ParameterError as error:
        raise GraderError(f"task limits: {error}") from error


def number_of(task: Mapping[str, Any], key: str, *, low: float, high: float) -> float:
    """A key of a task that holds a number."""
    value = task[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise GraderError(f"task {key}: must be a number in [{low:g}, {high:g}], got {value!r:.80}")
    return value


def closeness_of(task: Mapping[str, Any]) -> Closeness | None:
    """The tolerance for numbers; None where the task has none."""
    keys = ("float_rtol", "float_atol")
    if all(task.get(key) is None for key in keys):
        return None
    relative, absolute = (
        float(number_of(task, key, low=0.0, high=MAX_TOLERANCE)) if task.get(key) is not None else 0.0 for key in keys
    )
    return Closeness(relative, absolute)


MAX_TOLERANCE = 1.0


def shares_of(task: Mapping[str, Any]) -> bool:
    """Whether the task pays for a share of its tests."""
    partial = task.get("partial")
    if partial not in (None, "share"):
        raise GraderError(f"task partial: must be 'share' or absent (all or nothing), got {partial!r:.80}")
    return partial == "share"
