"""Grade responses stored as JSON lines."""

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

from rlenvs.config_source import shown
from rlenvs.errors import DataError, GraderError
from rlenvs.graders import Grade, grade, grade_batch
from rlenvs.suggestions import did_you_mean

__all__ = ["Fields", "Record", "grade_file", "read_records"]

# Enough to give the grader a batch, little enough to keep a large file out of memory.
BATCH = 1024
# What the summary holds; the file of verdicts holds all.
MAX_DISAGREEMENTS = 100


@dataclass(frozen=True)
class Fields:
    """Names of the fields of a line; the question and the label are optional.

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
        sink = None if output is None else stack.enter_context(_replacing(Path(output)))
        while batch := list(islice(records, BATCH)):
            for record, verdict in zip(batch, _grade(batch, task, path, fields), strict=True):
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
    try:
        with Path(path).open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _record(line, fields, f"{path}:{number}", number)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def _record(line: str, fields: Fields, where: str, number: int) -> Record:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON ({error})") from None
    if not isinstance(row, dict):
        raise DataError(f"{where}: expected an object, got {shown(row)}")
    gold = _field(row, fields.gold, where)
    if isinstance(gold, int | float) and not isinstance(gold, bool):
        gold = str(gold)
    label = None
    if fields.label is not None:
        label = _field(row, fields.label, where)
        if label not in (True, False):
            raise DataError(f"{where}: field {fields.label!r}: expected true or false, got {shown(label)}")
    return Record(
        line=number,
        response=_text(_field(row, fields.response, where), fields.response, where),
        gold=_text(gold, fields.gold, where),
        question="" if fields.question is None else _text(_field(row, fields.question, where), fields.question, where),
        label=None if label is None else bool(label),
    )


def _field(row: dict[str, Any], name: str, where: str) -> Any:
    if name not in row:
        raise DataError(
            f"{where}: field {name!r} is missing{did_you_mean(name, row)} (found: {', '.join(row) or 'none'})"
        )
    return row[name]


def _text(value: Any, name: str, where: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{where}: field {name!r}: expected text, got {shown(value)}")
    return value


def _grade(batch: list[Record], task: dict[str, Any], path: str | Path, fields: Fields) -> list[Grade]:
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


@contextmanager
def _replacing(path: Path) -> Iterator[IO[str]]:
    """Yield a new file that takes the place of `path` if the block ends well, and vanishes if it does not."""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            yield file
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes files that only their owner reads
        os.replace(temporary, path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
