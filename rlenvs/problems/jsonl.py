"""Problems from files with one JSON object per line."""

import gzip
import json
import os
import shutil
import tempfile
from array import array
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from rlenvs.errors import DataError
from rlenvs.problems.checks import check_path
from rlenvs.problems.record_source import RecordSource
from rlenvs.shown import shown

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class LineFile:
    """Random access to the lines of a file: one number per line stays in memory.

    A `.gz` file is unpacked into a temporary file, which vanishes with the object.

    Raises:
        DataError: the file cannot be read.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self.file = self._open()
            self.starts, self.numbers = self._scan(self.file)
        except FileNotFoundError:
            raise DataError(f"{path}: no such file") from None
        except (OSError, EOFError) as error:
            raise DataError(f"{path}: cannot be read ({error})") from None

    def _open(self) -> IO[bytes]:
        if Path(self.path).suffix != ".gz":
            return open(self.path, "rb")
        unpacked = tempfile.TemporaryFile()  # noqa: SIM115 - kept for as long as the lines are
        try:
            with gzip.open(self.path) as packed:
                shutil.copyfileobj(packed, unpacked)
        except BaseException:
            unpacked.close()
            raise
        unpacked.seek(0)
        return unpacked

    @staticmethod
    def _scan(file: IO[bytes]) -> "tuple[array[int], array[int]]":
        """Start and line number of each line that is not blank, and at the end the length of the file."""
        starts, numbers, position = array("Q"), array("L"), 0
        for number, line in enumerate(file, start=1):
            if line.removeprefix(BYTE_ORDER_MARK).strip():
                starts.append(position)
                numbers.append(number)
            position += len(line)
        starts.append(position)
        return starts, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def row(self, index: int) -> tuple[dict[str, Any], str]:
        """The object of a line, and the line's place.

        Raises:
            DataError: it is no JSON object.
        """
        where = f"{self.path}:{self.numbers[index]}"
        start = self.starts[index]
        # Blank lines may follow, which JSON does not mind. Reading at a position moves no cursor: threads may share it.
        data = os.pread(self.file.fileno(), self.starts[index + 1] - start, start)
        try:
            row = json.loads(data.removeprefix(BYTE_ORDER_MARK).decode("utf-8"))
        except UnicodeDecodeError as error:
            raise DataError(f"{where}: not UTF-8 text (byte {error.start} of the line)") from None
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: not JSON ({error})") from None
        if not isinstance(row, dict):
            raise DataError(f"{where}: expected an object, got {shown(row)}")
        return row, where

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def __del__(self) -> None:
        if hasattr(self, "file"):
            self.file.close()


class JsonlSource(RecordSource):
    r"""Problems from a file with one JSON object per line, also packed with gzip (`.gz`).

    The formats of GSM8K, MATH and multiple-choice sets are recognised; see `rlenvs.problems.record_formats`. The whole
    file is checked once, on first use; after that lines are read when they are needed, so that memory holds about 20
    bytes per line. The split of a problem is the hash of its question without differences of case and white space.

    Args:
        path: the file.
        prompt_field: name of the field with the question; a dot leads into nested objects. None finds it.
        answer_field: name of the field with the answer.
        choices_field: name of the field with the options of a multiple-choice question.
        format: "gsm8k", "math", "mcq", "plain", or "auto" to tell by the first record.
        task_type: for plain records: "math", "gsm8k" or "qa_exact". None takes "math" where the answer is a number.
        extract: how the grader finds the answer, and how demonstrations write it; None for the custom of the format.
        markers: for extract="last_marker" only.
        format_hint: whether the prompt says how to write the answer.
        held_out_fraction: share of the problems kept from training, in [0, 1]; 1.0 for a file that is a test set.
        difficulty_field: name of the field with the difficulty, a number in [0, 1]; None takes `difficulty`, or the
            level of MATH, where a record has one.

    Raises:
        ParameterError: a parameter that cannot be used.
        DataError: on first use: no such file, an empty one, or a line with a mistake, by its number.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        ...     _ = file.write('{"question": "Capital of Peru?", "answer": "Lima"}\n')
        ...     file.flush()
        ...     source = JsonlSource(file.name, held_out_fraction=0.0)
        ...     gold = source.problems("train")[0].task["gold"]
        >>> gold
        'Lima'
    """

    name = "jsonl"

    def __init__(
        self,
        path: str,
        prompt_field: str | None = None,
        answer_field: str | None = None,
        choices_field: str | None = None,
        format: str = "auto",
        task_type: str | None = None,
        extract: str | None = None,
        markers: Sequence[str] = ("A:",),
        format_hint: bool = True,
        held_out_fraction: float = 0.1,
        difficulty_field: str | None = None,
    ) -> None:
        super().__init__(
            prompt_field,
            answer_field,
            choices_field,
            format,
            task_type,
            extract,
            markers,
            format_hint,
            held_out_fraction,
            difficulty_field,
        )
        self.path = check_path("path", path)

    @cached_property
    def lines(self) -> LineFile:
        """The file, opened and counted on first use."""
        return LineFile(self.path)

    def rows(self) -> Iterator[tuple[Mapping[str, Any], str]]:
        """Every record, and its line."""
        return (self.lines.row(index) for index in range(len(self.lines)))

    def row(self, index: int) -> tuple[Mapping[str, Any], str]:
        """One record, and its line."""
        return self.lines.row(index)

    def described(self) -> str:
        """The file."""
        return self.path

    def __getstate__(self) -> dict[str, Any]:
        # An open file belongs to one process; another one opens it for itself.
        return {key: value for key, value in vars(self).items() if key != "lines"}

    def __repr__(self) -> str:
        return f"JsonlSource(path={self.path!r}, format={self.format!r}, held_out_fraction={self.held_out_fraction})"
