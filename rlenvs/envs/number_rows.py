"""Rows whose problems are drawn numbers and whose answers are integers, for token-level episodes by the thousand.

Such an episode is a few numbers in an array. Its texts, its task record and its infos are written when somebody reads
them; `rlenvs.envs.episode_rows` says what they are, and the tests hold the one to the other.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rlenvs.envs.collation import Columns, Rows, Table
from rlenvs.envs.deferred import DeferredTable
from rlenvs.envs.episode import Episode, TextTask
from rlenvs.envs.episode_rows import (
    Answers,
    EpisodeRows,
    Opened,
    SingleAnswerRows,
    answered_columns,
    episode_rows,
    opening_columns,
)
from rlenvs.envs.protocols.base import SingleAnswer
from rlenvs.envs.token_rows import Written, strings_of, widened
from rlenvs.envs.verdicts import (
    asks_for_integers,
    equal_points,
    judged,
    plain_points,
    surely_wrong,
)
from rlenvs.graders import grade_batch
from rlenvs.problems import ArithmeticSource, Problem
from rlenvs.problems.arithmetic_columns import ArithmeticBatch, ArithmeticColumns, Ints
from rlenvs.problems.checks import check_split
from rlenvs.problems.grading import grade_tasks
from rlenvs.problems.streams import RowStreams

GRADERS = (grade_batch, grade_tasks)
FIRST_WIDTH = 16

Bools = npt.NDArray[np.bool_]


class NumberRows(SingleAnswerRows):
    """The episodes of N rows that are drawn by columns; see `number_columns` for which they are.

    A row that was given its problem, or its episode by a state, is kept as `SingleAnswerRows` keeps it.

    Args:
        task: what the episodes are about.
        num_rows: N.
        columns: writes the problems.
    """

    def __init__(self, task: TextTask, num_rows: int, columns: ArithmeticColumns) -> None:
        super().__init__(task, num_rows)
        self.store = None  # what is written when it is read needs no keeping
        self.columns = columns
        self.numbers = np.zeros((num_rows, columns.number_count), dtype=np.int64)
        self.picks = np.zeros((num_rows, columns.operator_count), dtype=np.int64)
        self.golds = np.zeros((num_rows, columns.answer_digits + 1), dtype=np.uint32)
        self.given = np.zeros(num_rows, dtype=np.bool_)
        """[N] rows whose problem was not drawn by columns."""
        self.replies = np.zeros((num_rows, FIRST_WIDTH), dtype=np.uint32)
        """[N, R] code points of the answers of rows that are over."""
        self.by_points = np.zeros(num_rows, dtype=np.bool_)
        """[N] rows whose answer is in `replies` and has not been written as a text."""

    def open(self, rows: Rows, problems: Sequence[object] | None = None) -> Opened:
        """Open episodes; see `EpisodeRows.open`."""
        self._seed(rows)
        if problems is not None:
            episodes = [self.task.begin(problem) for problem in self._given(rows, problems)]
            for row, episode in zip(rows.tolist(), episodes, strict=True):
                self._put(row, episode)
            self.begun[rows] = True
            texts = [episode.messages[-1]["content"] for episode in episodes]
            return Opened(texts, [episode.problem.demonstration for episode in episodes])
        batch = self.task.source.sample_columns(self.streams, rows.tolist(), self.split)
        assert isinstance(batch, ArithmeticBatch), "the source said so when the rows were made"
        prompts, golds, demonstrations = batch.points
        if prompts.shape[1] > self.task.max_prompt_chars:
            for place in range(len(batch)):
                self.task.begin(batch.problem(place))
        self.numbers[rows], self.picks[rows] = batch.numbers, batch.picks
        self.golds[rows] = 0
        self.golds[rows, : golds.shape[1]] = golds
        self.begun[rows], self.answered[rows], self.cut[rows] = True, False, False
        self.given[rows] = False
        return Opened(Written.of_points(prompts), Written.of_points(demonstrations), prompts, demonstrations)

    def infos(self, rows: Rows) -> Table:
        """What every reset and step reports of some rows."""
        if self.given[rows].any():
            return EpisodeRows.infos(self, rows)
        numbers, picks = self.numbers[rows], self.picks[rows]
        return DeferredTable(rows, lambda: self._written(numbers, picks))

    def answer(self, rows: Rows, responses: Sequence[str]) -> Answers:
        """Submit one message in each of some rows; see `EpisodeRows.answer`."""
        if not isinstance(responses, Written):
            responses = Written.of(responses)
        if int(responses.sizes.max(initial=0)) > self.task.max_response_chars or self.given[rows].any():
            return self._answer_one_by_one(rows, responses.texts)
        correct = self._correct(rows, responses)
        numbers, picks = self.numbers[rows], self.picks[rows]

        def columns() -> Columns:
            batch = self.columns.batch(numbers, picks, self.split)
            opening = own_columns(batch)
            fields = opening["task"]
            verdicts = judged(self.task, fields, lambda places: picked_records(fields, places), responses.texts)
            return {**opening, **answered_columns(batch.prompts.tolist(), responses.texts, verdicts)}

        self._note_points(rows, responses, correct)
        return Answers(
            observations=[""] * len(rows),
            rewards=correct.astype(np.float64),
            terminated=np.ones(len(rows), dtype=np.bool_),
            truncated=np.zeros(len(rows), dtype=np.bool_),
            correct=correct,
            infos=DeferredTable(rows, columns),
        )

    def episode(self, row: int) -> Episode:
        """The episode of a row, made when it is asked for."""
        if self.answered[row] and self.by_points[row]:
            self.responses[row] = strings_of(self.replies[row : row + 1])[0]
            self.by_points[row] = False
        return super().episode(row)

    def problem(self, row: int) -> Problem:
        """The problem of a row."""
        if self.given[row]:
            return super().problem(row)
        place = slice(row, row + 1)
        return self.columns.batch(self.numbers[place], self.picks[place], self.split).problem(0)

    def record(self, row: int) -> dict[str, Any]:
        """The task record of a row."""
        return super().record(row) if self.given[row] else self.problem(row).task

    def _written(self, numbers: Ints, picks: Ints) -> Columns:
        """The infos of episodes that go on."""
        return own_columns(self.columns.batch(numbers, picks, self.split))

    def _correct(self, rows: Rows, responses: Written) -> Bools:
        """Which answers are right; the grader is asked about those that may be, and are no plain integers."""
        points, sizes, golds = responses.points, responses.sizes, self.golds[rows]
        # A gold answer is a plain integer, so what reads the same is right, and any other plain integer is wrong.
        correct: Bools = equal_points(points, golds) & (sizes == (golds != 0).sum(axis=1))
        others = np.flatnonzero(~correct & (sizes > 0))
        if len(others):
            points, sizes = points[others], sizes[others]
            hidden = (points != 0).sum(axis=1) != sizes  # zeros inside a text look like its end
            doubtful = others[hidden | ~(surely_wrong(points, golds[others]) | plain_points(points, sizes))]
            if len(doubtful):
                written = strings_of(self.golds[rows[doubtful]]).tolist()
                records = [{**self.columns.record, "gold": gold} for gold in written]
                grades = self.task.verdicts(records, [responses[place] for place in doubtful.tolist()])
                correct[doubtful] = [grade.correct for grade in grades]
        return correct

    def _note(self, rows: Rows, texts: list[str], rewards: npt.NDArray[np.float64], correct: Any) -> None:
        super()._note(rows, texts, rewards, correct)
        self.by_points[rows] = False

    def _note_points(self, rows: Rows, responses: Written, correct: Bools) -> None:
        """Note answers without writing their texts."""
        if responses.known is not None:
            self._note(rows, responses.texts, correct.astype(np.float64), correct)
            return
        width = responses.points.shape[1]
        if width > self.replies.shape[1]:
            self.replies = widened(self.replies, width, 0)
        self.replies[rows] = 0
        self.replies[rows, :width] = responses.points
        self.answered[rows] = self.by_points[rows] = True
        self.rewards[rows], self.correct[rows] = correct, correct

    def _put(self, row: int, episode: Episode) -> None:
        super()._put(row, episode)
        self.given[row], self.by_points[row] = True, False

    def _keep(self, rows: Rows) -> None:
        """Nothing is kept: infos are written when they are read."""


def own_columns(batch: ArithmeticBatch) -> Columns:
    """The infos of episodes that have just begun; their arrays are shared with nobody."""
    assert batch.fields is not None, "arithmetic is written by columns"
    return opening_columns(batch, {key: values.copy() for key, values in batch.fields.items()})


def picked_records(fields: Columns, places: npt.NDArray[np.intp]) -> list[Mapping[str, Any]]:
    """Some task records out of their columns."""
    return [{key: values[place] for key, values in fields.items()} for place in places.tolist()]


def token_rows(task: TextTask, num_rows: int) -> EpisodeRows:
    """The rows that suit a task at the token level."""
    columns = number_columns(task)
    return episode_rows(task, num_rows, keep=True) if columns is None else NumberRows(task, num_rows, columns)


def number_columns(task: TextTask) -> ArithmeticColumns | None:
    """What writes the problems of a task for `NumberRows`; None where these do not suit it.

    They suit arithmetic that is drawn by columns, asks for one integer and nothing else, and is graded as usual.
    """
    if type(task) is not TextTask or type(task.protocol) is not SingleAnswer or task.judge not in GRADERS:
        return None
    if type(task.source) is not ArithmeticSource:
        return None
    streams = RowStreams(1)
    streams.seed(0, 0)
    batch = task.source.sample_columns(streams, [0], check_split(task.split))
    if not isinstance(batch, ArithmeticBatch) or batch.fields is None or not asks_for_integers(batch.fields):
        return None
    return batch.columns
