r"""Records of published data sets as problems: GSM8K, MATH, multiple choice, code, and plain question and answer.

| format | recognised by | type |
|---|---|---|
| `gsm8k` | `question` and an `answer` with `####` | gsm8k; `steps` from its `<<3*4=12>>` marks if all are exact |
| `math` | `problem` and a `solution` with `\boxed{}`; an `answer` beside them is the gold | math |
| `mcq` | `choices` or `options` beside a question | mcq |
| `humaneval` | `prompt`, `entry_point` and `test` | asserts; `rlenvs.problems.code.records` |
| `mbpp` | `text` (or `prompt`) and `test_list` | asserts |
| `plain` | a question and an answer, under usual names or the given ones | math for numbers, else qa_exact |

A record of any format may say how hard it is: `difficulty`, a number in [0, 1]. In MATH "Level 1" to "Level 5" is read.
"""

import json
import math
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

from rlenvs.errors import DataError, GraderError
from rlenvs.graders import compile_task, extract_answer, parse_number
from rlenvs.graders.countdown import ExpressionError, evaluate
from rlenvs.json_lines import as_text, field_of
from rlenvs.problems.answer_format import AnswerFormat
from rlenvs.problems.code.records import CODE_FORMATS, TIME_LIMIT_S, code_format, read_code
from rlenvs.shown import shown

FORMATS = ("gsm8k", "math", "mcq", *CODE_FORMATS, "plain")
PROMPT_NAMES = ("question", "problem", "prompt", "input", "instruction", "query")
ANSWER_NAMES = ("answer", "gold", "target", "output", "label", "response", "completion", "ground_truth", "answerKey")
CHOICE_NAMES = ("choices", "options")
DEFAULT_EXTRACT = {"gsm8k": "last_hash", "math": "last_boxed", "mcq": "last_answer_line", "plain": "last_answer_line"}
DEFAULT_EXTRACT.update(dict.fromkeys(CODE_FORMATS, "whole"))  # a program is in a block, and has no other place
CALCULATION = re.compile(r"<<([^<>=]{1,200})=([^<>=]{1,60})>>")
MATH_LEVEL = re.compile(r"Level ([1-5])")
MAX_LABELS = 26


@dataclass(frozen=True, slots=True)
class Content:
    """What a record says, before it is put into a prompt."""

    question: str
    """What the split is decided by."""
    prompt: str
    type: str
    gold: str
    lines: Sequence[str]
    """The working, for the demonstration."""
    more: Mapping[str, Any]
    """Further keys of the task record."""
    difficulty: float = 0.0


def first_of(record: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """The first of some names that a record has."""
    return next((name for name in names if name in record), None)


def detect_format(record: Mapping[str, Any]) -> str:
    """The format of a data set by one of its records.

    Example:
        >>> detect_format({"question": "6*7?", "answer": "#### 42"}), detect_format({"prompt": "6*7?", "answer": "42"})
        ('gsm8k', 'plain')
    """
    if code := code_format(record):
        return code
    if first_of(record, CHOICE_NAMES) and first_of(record, PROMPT_NAMES):
        return "mcq"
    if "problem" in record and "\\boxed" in str(record.get("solution", "")):
        return "math"
    if "question" in record and "####" in str(record.get("answer", "")):
        return "gsm8k"
    return "plain"


@dataclass(frozen=True)
class RecordReader:
    """How records become problems.

    Args:
        format: one of `FORMATS`.
        style: how answers are to be written.
        prompt_field: name of the question; a dot leads into nested objects; None for the usual one of the format.
        answer_field: name of the answer.
        choices_field: name of the options.
        task_type: the task type of the format "plain"; None for "math" where the answer is a number, else "qa_exact".
        difficulty_field: name of the difficulty; None takes `difficulty`, or the level of MATH, where it is one.
    """

    format: str
    style: AnswerFormat
    prompt_field: str | None = None
    answer_field: str | None = None
    choices_field: str | None = None
    task_type: str | None = None
    difficulty_field: str | None = None

    def read(self, record: Mapping[str, Any], where: str) -> Content:
        """The content of a record, checked so far that answers to it can be graded.

        Raises:
            DataError: a field is missing, of the wrong type, or unreadable; the message begins with `where`.
        """
        readers = {"gsm8k": self.gsm8k, "math": self.math, "mcq": self.mcq, "plain": self.plain}
        content = readers.get(self.format, self.code)(record, where)
        try:
            compile_task(self.task(content))
        except GraderError as error:
            raise DataError(f"{where}: no answer could be graded: {error}") from None
        return replace(content, difficulty=self.difficulty(record, where))

    def difficulty(self, record: Mapping[str, Any], where: str) -> float:
        """How hard the record says it is; 0.0 if it does not.

        Raises:
            DataError: the field that was named is missing or no number in [0, 1].
        """
        if self.difficulty_field is None:
            level = MATH_LEVEL.fullmatch(str(record.get("level"))) if self.format == "math" else None
            value = record.get("difficulty")
            # Other people's `difficulty` may be a word, or a number of stars.
            return float(value) if is_share(value) else (int(level[1]) - 1) / 4 if level else 0.0
        value = field_of(record, self.difficulty_field, where)
        if not is_share(value):
            raise DataError(
                f"{where}: field {self.difficulty_field!r}: expected a number in [0, 1], got {shown(value)}"
            )
        return float(value)

    def task(self, content: Content) -> dict[str, Any]:
        """The task record."""
        if content.type == "asserts":
            prompt = f"{content.prompt}\n\n{content.more['hint']}" if self.style.hint else content.prompt
            keys = {key: value for key, value in content.more.items() if key != "hint"}
            return {"type": "asserts", "question": prompt, **keys, "extract": "last_python_block"}
        return self.style.task(content.type, self.style.ask(content.prompt), content.gold, **content.more)

    def field(self, record: Mapping[str, Any], given: str | None, names: Sequence[str], where: str) -> tuple[str, Any]:
        """Name and value of a field: the one that was asked for, or the first of the usual ones."""
        name = given or first_of(record, names) or names[0]
        return name, field_of(record, name, where)

    def question_of(self, record: Mapping[str, Any], names: Sequence[str], where: str) -> str:
        """The question, which must not be blank."""
        name, value = self.field(record, self.prompt_field, names, where)
        text = as_text(value, name, where)
        if not text.strip():
            raise DataError(f"{where}: field {name!r} is empty")
        return text

    def code(self, record: Mapping[str, Any], where: str) -> Content:
        """A program to write; the gold is a right response, or empty."""
        found = read_code(self.format, record, where)
        more = {**found.task, "time_limit_s": TIME_LIMIT_S, "hint": found.hint}
        return Content(found.question, found.prompt, "asserts", found.solution, [], more)

    def gsm8k(self, record: Mapping[str, Any], where: str) -> Content:
        """A word problem with its solution, the answer behind ####."""
        question = self.question_of(record, ("question",), where)
        name, value = self.field(record, self.answer_field, ("answer",), where)
        solution = as_text(value, name, where)
        answer = extract_answer(solution, "last_hash").answer
        if answer is None or parse_number(answer, percent_is_unit=True) is None:
            raise DataError(f"{where}: field {name!r}: no number behind ####")
        working = CALCULATION.sub("", solution.rpartition("####")[0]).strip()
        steps = calculations(solution)
        more = {"steps": steps} if steps else {}
        return Content(question, question, "gsm8k", answer, working.splitlines(), more)

    def math(self, record: Mapping[str, Any], where: str) -> Content:
        r"""A problem with its solution, the answer in \boxed{}."""
        question = self.question_of(record, ("problem", "question"), where)
        solution = as_text(field_of(record, "solution", where), "solution", where) if "solution" in record else ""
        answer: str | None = None
        if self.answer_field or "answer" in record:
            name, value = self.field(record, self.answer_field, ("answer",), where)
            answer = extract_answer(as_text(value, name, where), "last_boxed").answer or as_text(value, name, where)
        else:
            answer = extract_answer(solution, "last_boxed").answer
        if not answer or not answer.strip():
            raise DataError(f"{where}: no answer: neither a field 'answer' nor a \\boxed{{}} in the field 'solution'")
        return Content(question, question, "math", answer.strip(), solution.strip().splitlines(), {})

    def mcq(self, record: Mapping[str, Any], where: str) -> Content:
        """A question with labelled options."""
        question = self.question_of(record, PROMPT_NAMES, where)
        name, value = self.field(record, self.choices_field, CHOICE_NAMES, where)
        labels, options = labelled(value, f"{where}: field {name!r}")
        name, answer = self.field(record, self.answer_field, ANSWER_NAMES, where)
        gold = label_of(answer, labels, options, f"{where}: field {name!r}")
        listed = "\n".join(f"{label}) {option}" for label, option in zip(labels, options, strict=True))
        return Content(question, f"{question}\n{listed}", "mcq", gold, [], {"choices": labels, "options": options})

    def plain(self, record: Mapping[str, Any], where: str) -> Content:
        """A question and an answer."""
        question = self.question_of(record, PROMPT_NAMES, where)
        name, value = self.field(record, self.answer_field, ANSWER_NAMES, where)
        if isinstance(value, int | float) and not isinstance(value, bool):
            if not math.isfinite(value):
                raise DataError(f"{where}: field {name!r}: expected text or a finite number, got {shown(value)}")
            value = json.dumps(value)
        gold = as_text(value, name, where).strip()
        if not gold:
            raise DataError(f"{where}: field {name!r} is empty")
        kind = self.task_type or ("math" if parse_number(gold) is not None else "qa_exact")
        return Content(question, question, kind, gold, [], {})


def is_share(value: Any) -> TypeGuard[float]:
    """True for a number in [0, 1]."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def calculations(solution: str) -> list[dict[str, str]]:
    """The `<<3*4=12>>` marks of a GSM8K solution as steps; none if one of them is not exact.

    Example:
        >>> calculations("He has 3*4=<<3*4=12>>12.")
        [{'expression': '3*4', 'value': '12'}]
        >>> calculations("A third is <<10/3=3.33>>3.33.")
        []
    """
    steps = []
    for expression, value in CALCULATION.findall(solution):
        try:
            exact = evaluate(expression)[0] == evaluate(value)[0]
        except ExpressionError:
            return []
        if not exact:
            return []
        # A number that is only read off the question, `<<20=20>>`, is no step.
        if parse_number(expression) is None:
            steps.append({"expression": expression, "value": value})
    return steps


def labelled(value: object, where: str) -> tuple[list[str], list[str]]:
    """Labels and texts of options, from a list of texts, a mapping, or {"label": [...], "text": [...]}."""
    labels: Sequence[Any]
    options: Sequence[Any]
    if isinstance(value, Mapping) and set(value) == {"label", "text"} and isinstance(value["text"], list | tuple):
        labels, options = value["label"], value["text"]
    elif isinstance(value, Mapping):
        labels, options = list(value), list(value.values())
    elif isinstance(value, list | tuple):
        labels, options = list(string.ascii_uppercase[: len(value)]), list(value)
    else:
        raise DataError(f"{where}: expected a list of options, or a mapping from labels to options")
    fits = isinstance(labels, list | tuple) and len(labels) == len(options) and 2 <= len(options) <= MAX_LABELS
    if not fits or not all(isinstance(text, str) and text.strip() for text in [*labels, *options]):
        raise DataError(f"{where}: expected 2 to {MAX_LABELS} options, each a text, got {value!r:.80}")
    return list(labels), list(options)


def label_of(answer: object, labels: Sequence[str], options: Sequence[str], where: str) -> str:
    """The label of the right option, from a label, an index from 0, or the text of the option.

    Example:
        >>> [label_of(answer, ["A", "B"], ["Mars", "Venus"], "") for answer in ("b", 1, "Venus")]
        ['B', 'B', 'B']
    """
    if isinstance(answer, int) and not isinstance(answer, bool):
        if not 0 <= answer < len(labels):
            raise DataError(f"{where}: index {answer} is none of 0..{len(labels) - 1}")
        return labels[answer]
    if isinstance(answer, str):
        text = answer.strip().casefold()
        by_label = [label for label in labels if label.casefold() == text.strip("().")]
        by_text = [label for label, option in zip(labels, options, strict=True) if option.strip().casefold() == text]
        for found in (by_label, by_text):
            if len(found) == 1:
                return found[0]
    known = ", ".join(labels)
    raise DataError(f"{where}: {answer!r:.80} is neither a label ({known}), nor an index from 0, nor one option's text")
