"""Many problems by columns: what a vector environment needs of them, without an object each."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from rlenvs.problems.problem import Problem

Texts = npt.NDArray[np.object_]
FIELDS = attrgetter("id", "prompt", "task", "demonstration", "difficulty", "split")


@dataclass(slots=True)
class ProblemBatch:
    """k problems; each field holds what `Problem` says of it, k times.

    Example:
        >>> task = {"type": "math", "question": "2+3=", "gold": "5", "extract": "whole"}
        >>> batch = ProblemBatch.of([Problem(id="toy:1", prompt="2+3=", task=task, demonstration="5")])
        >>> len(batch), batch.prompts.tolist(), batch.problem(0).difficulty
        (1, ['2+3='], 0.0)
    """

    ids: Texts
    prompts: Texts
    tasks: Texts | None
    """The records, a dict each; None if there are `fields` only."""
    demonstrations: Texts
    difficulties: npt.NDArray[np.float64]
    splits: Texts
    fields: dict[str, Any] | None = None
    """The records by columns, where whoever made them has them: for each key an array or a list."""
    prompt_points: npt.NDArray[np.uint32] | None = None
    """[k, P] code points of the prompts, zeros behind their ends; no prompt holds a zero."""
    demonstration_points: npt.NDArray[np.uint32] | None = None
    """[k, D] code points of the demonstrations, in the same way."""

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> "ProblemBatch":
        """The columns of problems."""
        columns = list(zip(*map(FIELDS, problems), strict=True)) or [()] * 6
        ids, prompts, tasks, demonstrations, difficulties, splits = columns
        return cls(
            ids=boxed(ids),
            prompts=boxed(prompts),
            tasks=boxed(tasks),
            demonstrations=boxed(demonstrations),
            difficulties=np.array(difficulties, dtype=np.float64),
            splits=boxed(splits),
        )

    @classmethod
    def blank(cls, count: int) -> "ProblemBatch":
        """Room for so many problems."""
        ids, prompts, demonstrations, splits = (np.full(count, None, dtype=object) for _ in range(4))
        return cls(ids, prompts, None, demonstrations, np.zeros(count), splits)

    def __len__(self) -> int:
        return len(self.ids)

    def task(self, place: int) -> dict[str, Any]:
        """One of the records."""
        if self.tasks is not None:
            record: dict[str, Any] = self.tasks[place]
            return record
        assert self.fields is not None, "there are records or their fields"
        return {key: values[place] for key, values in self.fields.items()}

    def problem(self, place: int) -> Problem:
        """One of the problems."""
        return Problem(
            id=self.ids[place],
            prompt=self.prompts[place],
            task=self.task(place),
            demonstration=self.demonstrations[place],
            difficulty=float(self.difficulties[place]),
            split=self.splits[place],
        )


def boxed(values: Sequence[Any]) -> Texts:
    """An array of objects, whatever the objects are."""
    return np.fromiter(values, dtype=object, count=len(values))
