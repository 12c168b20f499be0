"""Where `rlenvs score` gets its responses and configurations from."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlenvs.cli.evaluate import grading_task
from rlenvs.cli.parser import UsageError
from rlenvs.errors import DataError, RunFolderError

if TYPE_CHECKING:
    from rlenvs.wrappers.config.rewards import RewardConfig
    from rlenvs.wrappers.rescoring.stored_steps import StoredFields, StoredStep

__all__ = ["ScoreSource"]

ROLLOUTS, CONFIG, METRICS = "rollouts.jsonl", "config.yaml", "metrics.jsonl"
MOST_STEPS = 2**63 - 1
GRADED_AT_ONCE = 1024


@dataclass(frozen=True)
class ScoreSource:
    """Where the responses are and how they are read.

    Attributes:
        path: the file of responses.
        run: the folder of the run that wrote it; None for any other file.
        fields: names of the fields of a row.
        task: what the built-in grader is told; None where nothing is graded.
        gold: name of the field with the right answer.
        limit: how many responses are read; all when None.
        asked: whether grading was asked for, and not only possible.
    """

    path: Path
    run: Path | None
    fields: "StoredFields"
    task: dict[str, Any] | None
    gold: str
    limit: int | None
    asked: bool = False

    @classmethod
    def find(cls, args: argparse.Namespace) -> "ScoreSource":
        """Return the source that the arguments name.

        Raises:
            RunFolderError: a folder without rollouts.
            UsageError: `--output` would replace what is read, a pipe, or a clock that no schedule holds.
        """
        from rlenvs.wrappers.rescoring.stored_steps import StoredFields

        path = Path(args.rollouts)
        if path.is_dir():
            if not (path / ROLLOUTS).is_file():
                raise RunFolderError(f"{args.rollouts}: no {ROLLOUTS} in it; name a run folder or a file of responses")
            path /= ROLLOUTS
        if path.exists() and not path.is_file():
            raise UsageError(f"{args.rollouts}: not a file; responses are read more than once, so store them in one")
        _refuse_to_replace(args, path)
        if args.step is not None and args.step > MOST_STEPS:
            raise UsageError("argument --step: must be below 2^63")
        fields = StoredFields(
            args.prompt_field, args.response_field, args.label_field, args.right_label, args.right_from
        )
        wanted = args.gold_field or args.type or args.extract or args.marker
        task, gold = None, args.gold_field or "ground_truth"
        if wanted or _needs_grading(path, fields, gold):
            args.type = args.type or "gsm8k"
            task = grading_task(args)
        run = path.parent if path.name == ROLLOUTS else None
        return cls(path, run, fields, task, gold, args.limit, asked=bool(wanted))

    def rewards(self, path: str | None) -> "tuple[str, RewardConfig]":
        """Return name and content of a configuration; the run's own without a path.

        Raises:
            UsageError: there is no run to take it from.
            ConfigError: it cannot be used.
        """
        from rlenvs.cli.reward_source import load_rewards

        if path is None:
            own = None if self.run is None else self.run / CONFIG
            if own is None or not own.is_file():
                raise UsageError("--rewards CONFIG.yaml is needed: only a run folder has a configuration of its own")
            path = str(own)
        return path, load_rewards(path)

    def steps(self) -> "Iterator[StoredStep]":
        """Yield the responses, graded where that is wanted.

        Raises:
            DataError: a line cannot be used; says file, line and field.
        """
        from rlenvs.json_lines import read_rows

        rows = islice(read_rows(self.path, torn_end=self.run is not None), self.limit)
        if self.task is None:
            for number, row in rows:
                yield self.fields.read(row, f"{self.path}:{number}", number)
            return
        yield from self._graded(rows, self.task)

    def _graded(self, rows: Iterator[tuple[int, dict[str, Any]]], task: dict[str, Any]) -> "Iterator[StoredStep]":
        from rlenvs.cli.responses import Fields, grade_records, read_record

        fields = Fields(self.fields.response, self.gold)
        while batch := list(islice(rows, GRADED_AT_ONCE)):
            records = [read_record(row, fields, f"{self.path}:{number}", number) for number, row in batch]
            try:
                verdicts = grade_records(records, task, self.path, fields)
            except DataError as error:
                hint = "; --label-field names a true grade, --type, --extract and --marker say how to read the answer"
                raise error if self.asked else DataError(f"{error}{hint}") from error
            for (number, row), verdict in zip(batch, verdicts, strict=True):
                yield self.fields.read(row, f"{self.path}:{number}", number, verdict)

    def measured(self) -> dict[int, dict[str, float]]:
        """Return what the run measured after each iteration, for weights that react to it."""
        from rlenvs.json_lines import read_rows

        if self.run is None or not (self.run / METRICS).is_file():
            return {}
        rows = [row for _, row in read_rows(self.run / METRICS, torn_end=True)]
        return {
            row["iteration"]: {key: value for key, value in row.items() if isinstance(value, int | float)}
            for row in rows
            if isinstance(row.get("iteration"), int)
        }

    def texts(self, lines: set[int]) -> dict[int, str]:
        """Return the responses of some lines."""
        from rlenvs.json_lines import read_rows, text_field

        name = self.fields.response
        return {
            number: text_field(row, name, f"{self.path}:{number}") for number, row in read_rows(self.path, lines=lines)
        }


def _refuse_to_replace(args: argparse.Namespace, path: Path) -> None:
    """Refuse an `--output` that is one of the files that are read."""
    read = {"responses": str(path), "configuration": args.rewards, "configuration of --vs": args.vs}
    for what, name in read.items():
        if args.output is not None and name is not None and Path(args.output).resolve() == Path(name).resolve():
            raise UsageError(f"--output would replace the {what} {args.output}")


def _needs_grading(path: Path, fields: "StoredFields", gold: str) -> bool:
    """Return whether the first line has a right answer and no grade."""
    from rlenvs.json_lines import read_rows
    from rlenvs.wrappers.rescoring.stored_steps import LABEL_FIELDS

    first = next((row for _, row in read_rows(path)), {})
    return fields.label is None and gold in first and not any(name in first for name in LABEL_FIELDS)
