"""Problems from data sets of the `datasets` library, from its hub or from disk."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from rlenvs.errors import DataError
from rlenvs.extras import require
from rlenvs.problems.checks import check_text
from rlenvs.problems.record_source import RecordSource
from rlenvs.shown import shown
from rlenvs.suggestions import did_you_mean


class DatasetsSource(RecordSource):
    """Problems from a data set of the `datasets` library (https://huggingface.co/docs/datasets).

    The library is imported, and the data set loaded, on first use. Records are read as `JsonlSource` reads them.

    Args:
        path: name of a data set on the hub ("openai/gsm8k"), or a folder written by `save_to_disk`.
        subset: which configuration of the data set ("main"); None for its only one.
        data_split: which of the splits that the data set comes with ("train", "test"); each is then divided again into
            train and held-out by `held_out_fraction`: 1.0 makes all of "test" held-out.
        prompt_field: name of the field with the question; None finds it.
        answer_field: name of the field with the answer.
        choices_field: name of the field with the options of a multiple-choice question.
        format: "gsm8k", "math", "mcq", "plain", or "auto" to tell by the first record.
        task_type: for plain records: "math", "gsm8k" or "qa_exact".
        extract: how the grader finds the answer, and how demonstrations write it; None for the custom of the format.
        markers: for extract="last_marker" only.
        format_hint: whether the prompt says how to write the answer.
        held_out_fraction: share of the problems kept from training, in [0, 1].
        difficulty_field: name of the field with the difficulty, a number in [0, 1]; None takes `difficulty`, or the
            level of MATH, where a record has one.

    Raises:
        ParameterError: a parameter that cannot be used.
        MissingExtraError: on first use: `datasets` is not installed.
        DataError: on first use: the data set cannot be loaded, or a record has a mistake.
    """

    name = "datasets"

    def __init__(
        self,
        path: str,
        subset: str | None = None,
        data_split: str = "train",
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
        self.path = check_text("path", path)
        self.subset = subset if subset is None else check_text("subset", subset)
        self.data_split = check_text("data_split", data_split)

    @cached_property
    def table(self) -> Any:
        """The data set, loaded on first use."""
        library = require("datasets", "datasets", "the source datasets")
        try:
            if (Path(self.path) / "state.json").exists() or (Path(self.path) / "dataset_dict.json").exists():
                return self._split_of(library.load_from_disk(self.path))
            return library.load_dataset(self.path, self.subset, split=self.data_split)
        except DataError:
            raise
        except Exception as error:  # dozens of kinds, all of them about the data set
            raise DataError(f"{self.described()}: cannot be loaded ({type(error).__name__}: {error!s:.200})") from error

    def _split_of(self, loaded: Any) -> Any:
        """The split of a saved data set; what was saved without splits counts as "train"."""
        if self.subset is not None:
            raise DataError(
                f"{self.path}: subset={self.subset!r} is for data sets of the hub: a saved one has no subsets"
            )
        named = getattr(loaded, "split", None)
        splits = loaded if isinstance(loaded, Mapping) else {str(named or "train"): loaded}
        if self.data_split in splits:
            return splits[self.data_split]
        if named is None and not isinstance(loaded, Mapping):
            raise DataError(f"{self.path}: it was saved without splits: leave data_split at 'train'")
        hint = did_you_mean(self.data_split, splits)
        raise DataError(f"{self.path}: no split {self.data_split!r}{hint} (found: {', '.join(splits)})")

    def rows(self) -> Iterator[tuple[Mapping[str, Any], str]]:
        """Every record, and its place."""
        return (self.row(index) for index in range(len(self.table)))

    def row(self, index: int) -> tuple[Mapping[str, Any], str]:
        """One record, and its place."""
        record = self.table[index]
        where = f"{self.described()}[{index}]"
        if not isinstance(record, Mapping):
            raise DataError(f"{where}: expected a record, got {shown(record)}")
        return record, where

    def described(self) -> str:
        """The data set and its split."""
        return f"{'/'.join(filter(None, (self.path, self.subset)))}:{self.data_split}"

    def __repr__(self) -> str:
        return (
            f"DatasetsSource(path={self.path!r}, subset={self.subset!r}, data_split={self.data_split!r}, "
            f"format={self.format!r}, held_out_fraction={self.held_out_fraction})"
        )
