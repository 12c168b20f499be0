"""N conversations side by side: opened, graded and described many at a time.

`EpisodeRows` applies the one implementation of an episode (`rlenvs.envs.episode.TextTask`) to rows. Where one answer
ends the episode, `SingleAnswerRows` does the same without an object per episode and a dict per info; the tests hold the
one to the other. `episode_rows` picks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rlenvs.envs.collation import Columns, ColumnTable, InfoStore, Rows, RowTable, Table, uniform_columns
from rlenvs.envs.episode import Episode, TextTask, copy_record
from rlenvs.envs.protocols.base import SingleAnswer
from rlenvs.envs.state import generator_state, restored_generator
from rlenvs.envs.verdicts import Verdicts, judged
from rlenvs.errors import UserError
from rlenvs.problems import Problem
from rlenvs.problems.batch import ProblemBatch, boxed
from rlenvs.problems.checks import check_split
from rlenvs.problems.streams import RowStreams

Bools = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Answers:
    """What one message in each of k rows led to."""

    observations: list[str]
    """The newest messages to the policy; "" where the message terminated the episode."""
    rewards: npt.NDArray[np.float64]
    terminated: Bools
    truncated: Bools
    correct: Bools
    """Whether the grader accepted the messages."""
    infos: Table


@dataclass(slots=True)
class Opened:
    """What k new episodes begin with."""

    observations: Sequence[str]
    """The first messages to the policy."""
    demonstrations: Sequence[str]
    """Right responses."""
    observation_points: npt.NDArray[np.uint32] | None = None
    """[k, P] code points of the observations, zeros behind their ends, if they are known and hold no zeros."""
    demonstration_points: npt.NDArray[np.uint32] | None = None
    """[k, D] the same of the demonstrations."""


class EpisodeRows:
    """The episodes of N rows, and the generators that their problems are drawn with.

    Args:
        task: what the episodes are about.
        num_rows: N.
        keep: True where infos are asked for much more often than episodes move: they are then kept as columns.
    """

    def __init__(self, task: TextTask, num_rows: int, *, keep: bool = False) -> None:
        self.task = task
        self.num_rows = num_rows
        self.split = check_split(task.split)
        self.streams = RowStreams(num_rows)
        self.episodes: list[Episode | None] = [None] * num_rows
        self.begun: Bools = np.zeros(num_rows, dtype=np.bool_)
        """[N] rows that have an episode."""
        self.store = InfoStore(num_rows) if keep else None

    def open(self, rows: Rows, problems: Sequence[object] | None = None) -> Opened:
        """Open episodes.

        Args:
            rows: which rows, ascending.
            problems: one `Problem` per row; None draws.

        Raises:
            UserError: what is given is no problem, or a prompt is longer than the observation space allows.
        """
        self._seed(rows)
        for row in rows.tolist() if self.task.teaches else ():
            self.task.leave(self.episodes[row])
        drawn: Sequence[Any]
        if problems is None:
            drawn = self.task.source.sample_batch(self.streams, rows.tolist(), self.split)
        else:
            drawn = self._given(rows, problems)
        episodes = [self.task.begin(problem) for problem in drawn]
        for row, episode in zip(rows.tolist(), episodes, strict=True):
            self.episodes[row] = episode
        self.begun[rows] = True
        self._keep(rows)
        return Opened(
            observations=[episode.messages[-1]["content"] for episode in episodes],
            demonstrations=[episode.problem.demonstration for episode in episodes],
        )

    def draw(self, leaders: Rows, rows: Rows) -> list[Problem]:
        """The problems that some rows would draw, for others to share.

        Args:
            leaders: the rows that draw, ascending.
            rows: all whose episodes will follow the ones at hand.
        """
        self._seed(rows)
        for row in rows.tolist() if self.task.teaches else ():
            self.task.leave(self.episodes[row])
        return list(self.task.source.sample_batch(self.streams, leaders.tolist(), self.split))

    def rewind_point(self) -> Callable[[], None]:
        """Remember the generators and the state of the source; the function returned goes back, with no episode."""
        streams, source = self.streams.rewind_point(), copy_record(self.task.source_state())

        def rewind() -> None:
            streams()
            self.task.load_source_state(copy_record(source))
            self.episodes = [None] * self.num_rows
            self.begun[:] = False

        return rewind

    def infos(self, rows: Rows) -> Table:
        """What every reset and step reports of some rows."""
        if self.store is not None and self.store.uniform:
            return self.store.table(rows)
        return RowTable(rows, [self.task.info(self.episode(row)) for row in rows.tolist()])

    def answer(self, rows: Rows, responses: Sequence[str]) -> Answers:
        """Submit one message in each of some rows; all are graded in one call.

        Raises:
            UserError: a message is no text.
        """
        episodes = [self.episode(row) for row in rows.tolist()]
        grades = self.task.grade(episodes, responses)
        results = [self.task.submit(*one) for one in zip(episodes, responses, grades, strict=True)]
        terminated = np.array([result.terminated for result in results], dtype=np.bool_)
        truncated = np.array([result.truncated for result in results], dtype=np.bool_)
        self._keep(rows[~(terminated | truncated)])
        return Answers(
            observations=[result.observation for result in results],
            rewards=np.array([result.reward for result in results], dtype=np.float64),
            terminated=terminated,
            truncated=truncated,
            correct=np.array([result.info["correct"] for result in results], dtype=np.bool_),
            infos=RowTable(rows, [result.info for result in results]),
        )

    def end(self, row: int) -> None:
        """Note that an episode is over, whatever its protocol says."""
        self.task.leave(self.episode(row))

    def episode(self, row: int) -> Episode:
        """The episode of a row."""
        episode = self.episodes[row]
        assert episode is not None, "a row has an episode before it is asked for it"
        return episode

    def listed(self) -> list[Episode | None]:
        """All episodes, None for rows that have none."""
        return list(self.episodes)

    def state_dict(self) -> dict[str, Any]:
        """Generators and episodes as plain data."""
        streams = [
            generator_state(self.streams.generator(row)) if self.streams.seeded(row) else None
            for row in range(self.num_rows)
        ]
        episodes = [None if episode is None else episode.to_dict() for episode in self.listed()]
        return {"generators": streams, "episodes": episodes, "source": self.task.source_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called.

        Raises:
            UserError: the state is of another number of rows.
        """
        if len(state["episodes"]) != self.num_rows:
            raise UserError(f"state: it has {len(state['episodes'])} rows, this environment {self.num_rows}")
        self.task.load_source_state(state.get("source", {}))
        self.streams = RowStreams(self.num_rows)
        for row, generator in enumerate(state["generators"]):
            if generator is not None:
                self.streams.put(row, restored_generator(generator))
        for row, episode in enumerate(state["episodes"]):
            self.begun[row] = episode is not None
            if episode is not None:
                self._put(row, self.task.restored(episode))
        self.store = None if self.store is None else InfoStore(self.num_rows)
        self._keep(np.flatnonzero(self.begun))

    def _put(self, row: int, episode: Episode) -> None:
        self.episodes[row] = episode

    def _keep(self, rows: Rows) -> None:
        """Keep the infos of rows whose episodes have moved."""
        if self.store is not None and len(rows):
            self.store.put(RowTable(rows, [self.task.info(self.episode(row)) for row in rows.tolist()]))

    def _seed(self, rows: Rows) -> None:
        """Start the streams of rows that have none."""
        for row in rows.tolist() if not self.begun.all() else ():
            if not self.streams.seeded(row):
                self.streams.seed(row, None)

    def _given(self, rows: Rows, problems: Sequence[object]) -> list[Any]:
        """The problems of some rows, drawn where None is given."""
        lacking = [row for row, problem in zip(rows.tolist(), problems, strict=True) if problem is None]
        drawn = iter(self.task.source.sample_batch(self.streams, lacking, self.split) if lacking else ())
        return [next(drawn) if problem is None else problem for problem in problems]


class SingleAnswerRows(EpisodeRows):
    """Rows whose episodes end with one answer: an episode is its problem, and the reply once it came."""

    def __init__(self, task: TextTask, num_rows: int, *, keep: bool = False) -> None:
        super().__init__(task, num_rows, keep=True)
        self.problems = ProblemBatch.blank(num_rows)
        self.records = np.full(num_rows, None, dtype=object)
        """Task records; None in rows whose records are kept by columns."""
        self.answered: Bools = np.zeros(num_rows, dtype=np.bool_)
        self.cut: Bools = np.zeros(num_rows, dtype=np.bool_)
        """[N] rows that are over without an answer."""
        self.responses = np.full(num_rows, "", dtype=object)
        self.rewards = np.zeros(num_rows, dtype=np.float64)
        self.correct: Bools = np.zeros(num_rows, dtype=np.bool_)

    def open(self, rows: Rows, problems: Sequence[object] | None = None) -> Opened:
        """Open episodes; see `EpisodeRows.open`."""
        self._seed(rows)
        if problems is None:
            batch = self.task.source.sample_columns(self.streams, rows.tolist(), self.split)
        else:
            batch = ProblemBatch.of([self.task.begin(problem).problem for problem in self._given(rows, problems)])
        prompts = batch.prompts.tolist()
        if max(map(len, prompts), default=0) > self.task.max_prompt_chars:
            for place in range(len(batch)):
                self.task.begin(batch.problem(place))
        kept = self.problems
        kept.ids[rows], kept.prompts[rows], self.records[rows] = batch.ids, batch.prompts, batch.tasks
        kept.demonstrations[rows], kept.splits[rows] = batch.demonstrations, batch.splits
        kept.difficulties[rows] = batch.difficulties
        self.begun[rows], self.answered[rows], self.cut[rows] = True, False, False
        self._keep_batch(rows, batch)
        return Opened(prompts, batch.demonstrations.tolist(), batch.prompt_points, batch.demonstration_points)

    def answer(self, rows: Rows, responses: Sequence[str]) -> Answers:
        """Submit one message in each of some rows; see `EpisodeRows.answer`."""
        texts = list(responses)
        if set(map(type, texts)) != {str}:
            texts = [str(response) for response in texts if isinstance(response, str)]
        too_long = max(map(len, texts), default=0) > self.task.max_response_chars
        assert self.store is not None, "these rows always keep their infos"
        if not self.store.uniform or too_long or len(texts) < len(responses):
            return self._answer_one_by_one(rows, responses)
        table = self.store.table(rows, without=("messages", "progress"))
        verdicts = judged(
            self.task, table.columns["task"], lambda places: [self.record(row) for row in rows[places].tolist()], texts
        )
        table.columns.update(answered_columns(self.problems.prompts[rows].tolist(), texts, verdicts))
        self._note(rows, texts, verdicts.scores, verdicts.correct)
        for row, correct in zip(rows.tolist(), verdicts.correct.tolist(), strict=True) if self.task.teaches else ():
            self.task.ended(self.problem(row), correct)
        return Answers(
            observations=[""] * len(texts),
            rewards=verdicts.scores.copy(),
            terminated=np.ones(len(texts), dtype=np.bool_),
            truncated=np.zeros(len(texts), dtype=np.bool_),
            correct=verdicts.correct.copy(),
            infos=table,
        )

    def _answer_one_by_one(self, rows: Rows, responses: Sequence[str]) -> Answers:
        """The long way round, for what is rare: episode by episode."""
        answers = super().answer(rows, responses)
        assert isinstance(answers.infos, RowTable), "episodes one by one have infos one by one"
        texts = [info["response"] for info in answers.infos.infos]
        self._note(rows, texts, answers.rewards, [info["correct"] for info in answers.infos.infos])
        return answers

    def _note(self, rows: Rows, texts: list[str], rewards: npt.NDArray[np.float64], correct: Any) -> None:
        self.answered[rows] = True
        self.responses[rows] = np.fromiter(texts, dtype=object, count=len(texts))
        self.rewards[rows], self.correct[rows] = rewards, correct

    def end(self, row: int) -> None:
        """Note that an episode is over, whatever its protocol says."""
        self.cut[row] = not self.answered[row]

    def episode(self, row: int) -> Episode:
        """The episode of a row, made when it is asked for."""
        episode = self.task.begin(self.problem(row))
        if self.answered[row]:
            episode.messages.append({"role": "assistant", "content": self.responses[row]})
            episode.turns, episode.progress = 1, float(self.correct[row])
            episode.rewards.append(float(self.rewards[row]))
        episode.over = bool(self.answered[row] or self.cut[row])
        return episode

    def record(self, row: int) -> dict[str, Any]:
        """The task record of a row."""
        record: dict[str, Any] | None = self.records[row]
        if record is None:
            assert self.store is not None, "columns are kept where there are no records"
            record = {key: values[row] for key, values in self.store.columns["task"].items()}
        return record

    def problem(self, row: int) -> Problem:
        """The problem of a row."""
        kept = self.problems
        return Problem(
            id=kept.ids[row],
            prompt=kept.prompts[row],
            task=self.record(row),
            demonstration=kept.demonstrations[row],
            difficulty=float(kept.difficulties[row]),
            split=kept.splits[row],
        )

    def listed(self) -> list[Episode | None]:
        """All episodes, None for rows that have none."""
        return [self.episode(row) if begun else None for row, begun in enumerate(self.begun.tolist())]

    def _put(self, row: int, episode: Episode) -> None:
        kept, problem = self.problems, episode.problem
        kept.ids[row], kept.prompts[row], self.records[row] = problem.id, problem.prompt, problem.task
        kept.demonstrations[row], kept.splits[row] = problem.demonstration, problem.split
        kept.difficulties[row] = problem.difficulty
        self.answered[row] = episode.turns > 0
        self.cut[row] = episode.over and not episode.turns
        if episode.turns:
            self.responses[row] = episode.messages[-1]["content"]
            self.rewards[row], self.correct[row] = episode.rewards[-1], bool(episode.progress)

    def _keep(self, rows: Rows) -> None:
        if len(rows):
            self._keep_batch(rows, ProblemBatch.of([self.problem(row) for row in rows.tolist()]))

    def _keep_batch(self, rows: Rows, batch: ProblemBatch) -> None:
        """Keep the infos of new episodes."""
        assert self.store is not None, "these rows always keep their infos"
        fields = batch.fields
        if fields is None:
            assert batch.tasks is not None, "there are records or their fields"
            fields = uniform_columns(batch.tasks.tolist())
        if fields is None or "system" in fields or not self.store.uniform:
            # Conversations that open with more than the prompt, and tasks of several kinds, are described one by one.
            self._keep_records(rows, batch)
            return
        columns = opening_columns(batch, fields if batch.fields is not None else copied_columns(fields))
        table = ColumnTable(rows, columns)
        if self.store.fits(table):
            self.store.put(table)
        else:
            self._keep_records(rows, batch)

    def _keep_records(self, rows: Rows, batch: ProblemBatch) -> None:
        """Keep records instead of columns."""
        assert self.store is not None, "these rows always keep their infos"
        if self.store.uniform and self.store.columns:
            for row in np.flatnonzero(self.begun).tolist():
                self.records[row] = self.record(row)
        self.records[rows] = boxed([batch.task(place) for place in range(len(batch))])
        self.store.uniform, self.store.columns = False, {}


def opening_columns(batch: ProblemBatch, fields: Columns) -> Columns:
    """The infos of episodes that have just begun; `fields` are the task records by columns."""
    splits = batch.splits.tolist()
    return {
        "problem_id": batch.ids,
        "task": fields,
        "difficulty": batch.difficulties,
        "split": splits if None not in splits else [split or "" for split in splits],
        "messages": [[{"role": "user", "content": prompt}] for prompt in batch.prompts.tolist()],
        "progress": np.zeros(len(batch)),
    }


def answered_columns(prompts: Sequence[str], texts: Sequence[str], verdicts: Verdicts) -> Columns:
    """What one answer that ends the episode adds to these."""
    return {
        "messages": [
            [{"role": "user", "content": prompt}, {"role": "assistant", "content": text}]
            for prompt, text in zip(prompts, texts, strict=True)
        ],
        "progress": verdicts.correct.astype(np.float64),
        "response": texts,
        "correct": verdicts.correct,
        "score": verdicts.scores,
        "grade_status": verdicts.statuses,
        "extracted": verdicts.extracted,
        "reason": verdicts.reasons,
    }


def episode_rows(task: TextTask, num_rows: int, *, keep: bool = False) -> EpisodeRows:
    """The rows that suit a task."""
    single = type(task) is TextTask and type(task.protocol) is SingleAnswer
    return (SingleAnswerRows if single else EpisodeRows)(task, num_rows, keep=keep)


def copied_columns(columns: Columns) -> Columns:
    """The same columns with copies of the lists in them."""
    return {
        key: copied_columns(values) if isinstance(values, dict) else [copy_record(value) for value in values]
        for key, values in columns.items()
    }
