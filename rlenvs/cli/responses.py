"""Grade responses stored as JSON lines."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rlenvs.errors import DataError, GraderError
from rlenvs.files import replacing
from rlenvs.graders import Grade, grade, grade_batch
from rlenvs.json_lines import as_text, field_of, read_rows, text_field
from rlenvs.shown import shown

__all__ = ["Fields", "Record", "grade_file", "grade_records", "read_record", "read_records"]

# Enough to give the grader a batch, little enough to keep a large file out of memory.
BATCH = 1024
# What the summary holds; the file of verdicts holds all.
MAX_DISAGREEMENTS = 100


@dataclass(frozen=True)
class Fields:
    """Names of the fields of a line ("task.gold" leads into an object); the question and the label are optional.

    Args:
        response: What the model wrote; text.
        gold: The right answer; text or a number.
        question: What was asked; text.
        label: A verdict that is already known; true, false, 1 or 0.
    """

    response: str = "response"
    gold: str = "ground_truth"
    question: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class Record:
    """One line of the file."""

    line: int
    response: str
    gold: str
    question: str
    label: bool | None


def grade_file(
    path: str | Path, fields: Fields, task: dict[str, Any], *, output: str | Path | None = None
) -> dict[str, Any]:
    """Grade every response of a file.

    Args:
        path: One JSON object per line; empty lines are skipped.
        fields: Where the response and the right answer are.
        task: The rest of the task record: `type`, and where wanted `extract` and `markers`.
        output: Where to write one verdict per line, complete or not at all.

    Returns:
        `responses`, `correct`, `accuracy`, `status` (count for each), `output`; with labels also `agreement`
        (count) and `disagreements` (the first ones).

    Raises:
        DataError: If the file cannot be read, a line is wrong, a right answer cannot be graded against, or
            nothing is in it. Says line and field.
        GraderError: If the task record itself is wrong.
    """
    if output is not None and Path(output).resolve() == Path(path).resolve():
        raise DataError(f"{output}: the verdicts would overwrite the responses; name another file")
    status: Counter[str] = Counter()
    count = correct = agreement = 0
    disagreements: list[dict[str, Any]] = []
    records = read_records(path, fields)
    with ExitStack() as stack:
        sink = None if output is None else stack.enter_context(replacing(Path(output)))
        while batch := list(islice(records, BATCH)):
            for record, verdict in zip(batch, grade_records(batch, task, path, fields), strict=True):
                row = {"line": record.line, "label": record.label, **asdict(verdict)}
                count += 1
                correct += verdict.correct
                status[verdict.status] += 1
                agreement += record.label is verdict.correct
                if record.label is (not verdict.correct) and len(disagreements) < MAX_DISAGREEMENTS:
                    disagreements.append(row)
                if sink is not None:
                    sink.write(json.dumps(row) + "\n")
        if not count:
            raise DataError(f"{path}: holds no responses")
    summary: dict[str, Any] = {
        "responses": count,
        "correct": correct,
        "accuracy": correct / count,
        "status": dict(status.most_common()),
        "output": None if output is None else str(output),
    }
    if fields.label is not None:
        summary |= {"agreement": agreement, "disagreements": disagreements}
    return summary


def read_records(path: str | Path, fields: Fields) -> Iterator[Record]:
    """Yield the records of a JSON-lines file.

    Raises:
        DataError: Says line and field.
    """
    for number, row in read_rows(path):
        yield read_record(row, fields, f"{path}:{number}", number)


def read_record(row: Mapping[str, Any], fields: Fields, where: str, number: int) -> Record:
    """Return what grading needs of one line.

    Args:
        row: The parsed line.
        fields: Where its parts are.
        where: What error messages begin with.
        number: Of the line.

    Raises:
        DataError: A field is missing or holds something else than it should.
    """
    gold = field_of(row, fields.gold, where)
    if isinstance(gold, int | float) and not isinstance(gold, bool):
        gold = str(gold)
    label = None
    if fields.label is not None:
        label = field_of(row, fields.label, where)
        if label not in (True, False):
            raise DataError(f"{where}: field {fields.label!r}: expected true or false, got {shown(label)}")
    return Record(
        line=number,
        response=text_field(row, fields.response, where),
        gold=as_text(gold, fields.gold, where),
        question="" if fields.question is None else text_field(row, fields.question, where),
        label=None if label is None else bool(label),
    )


def grade_records(batch: Sequence[Record], task: Mapping[str, Any], path: str | Path, fields: Fields) -> list[Grade]:
    """Grade records, each by its own right answer.

    Args:
        batch: N records.
        task: The rest of the task record.
        path: The file that they are from, for error messages.
        fields: Where its parts are, for error messages.

    Raises:
        DataError: A right answer cannot be graded against; says which line.
        GraderError: The task record itself is wrong.
    """
    tasks = [{**task, "question": record.question, "gold": record.gold} for record in batch]
    try:
        return list(grade_batch(tasks, [record.response for record in batch]))
    except GraderError as failure:
        # One by one, to say which line it is.
        for record, single in zip(batch, tasks, strict=True):
            try:
                grade(single, record.response)
            except GraderError as error:
                raise DataError(f"{path}:{record.line}: field {fields.gold!r}: {error}") from failure
        raise
