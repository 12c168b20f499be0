"""What sources of records have in common, whether the records come from a file or from a data set."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from rlenvs.errors import ParameterError
from rlenvs.problems.answer_format import AnswerFormat
from rlenvs.problems.checks import check_bool, check_choice, check_text
from rlenvs.problems.code.records import CODE_FORMATS
from rlenvs.problems.listed import ListedSource, folded
from rlenvs.problems.problem import Problem, Split
from rlenvs.problems.procedural import content_id
from rlenvs.problems.record_formats import DEFAULT_EXTRACT, FORMATS, RecordReader, detect_format

PLAIN_TYPES = ("math", "gsm8k", "qa_exact")


class RecordSource(ListedSource):
    """A list of records, read by the format of their data set. Subclasses say where the records are."""

    name = "records"

    def __init__(
        self,
        prompt_field: str | None,
        answer_field: str | None,
        choices_field: str | None,
        format: str,
        task_type: str | None,
        extract: str | None,
        markers: Sequence[str],
        format_hint: bool,
        held_out_fraction: float,
        difficulty_field: str | None = None,
    ) -> None:
        super().__init__(held_out_fraction)
        self.fields = {
            "prompt_field": prompt_field,
            "answer_field": answer_field,
            "choices_field": choices_field,
            "difficulty_field": difficulty_field,
        }
        for name, value in self.fields.items():
            if value is not None:
                check_text(name, value)
        self.format = check_choice("format", format, ("auto", *FORMATS))
        self.task_type = task_type if task_type is None else check_choice("task_type", task_type, PLAIN_TYPES)
        if task_type is not None and format not in ("auto", "plain"):
            raise ParameterError("task_type", f"goes with format='plain', the format is {format!r}")
        self.style = AnswerFormat(extract or "whole", markers, check_bool("format_hint", format_hint))
        self.extract = extract

    @abstractmethod
    def rows(self) -> Iterator[tuple[Mapping[str, Any], str]]:
        """Every record, and where it is."""

    @abstractmethod
    def row(self, index: int) -> tuple[Mapping[str, Any], str]:
        """One record, and where it is."""

    @cached_property
    def reader(self) -> RecordReader:
        """How the records are read; the first one tells the format, if it is not given."""
        first = next(iter(self.rows()), None)
        kind = self.format
        if kind == "auto":
            kind = "plain" if first is None or self.task_type else detect_format(first[0])
        if kind in CODE_FORMATS and self.extract not in (None, "whole"):
            raise ParameterError("extract", f"goes with answers, a program of {kind!r} is in the last block of Python")
        style = AnswerFormat(self.extract or DEFAULT_EXTRACT[kind], self.style.markers, self.style.hint)
        return RecordReader(kind, style, **self.fields, task_type=self.task_type)

    def keys(self) -> Iterator[tuple[str, str]]:
        """The question of each record, without differences of case and white space, and its id."""
        for record, where in self.rows():
            content = self.reader.read(record, where)
            yield folded(content.question), content_id(self.name, content.prompt, content.gold)

    def at(self, index: int, split: Split) -> Problem:
        """The problem of one record."""
        content = self.reader.read(*self.row(index))
        task = self.reader.task(content)
        return Problem(
            id=content_id(self.name, content.prompt, content.gold),
            prompt=task["question"],
            task=task,
            demonstration=self.reader.style.respond(content.lines, content.gold),
            difficulty=content.difficulty,
            split=split,
        )
