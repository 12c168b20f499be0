"""N conversations side by side: opened, graded and described many at a time.

`EpisodeRows` applies the one implementation of an episode (`rlenvs.envs.episode.TextTask`) to rows. Where one answer
ends the episode, `SingleAnswerRows` does the same without an object per episode and a dict per info; the tests hold the
one to the other. `episode_rows` picks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rlenvs.envs.collation import Columns, ColumnTable, Rows, RowTable, Table
from rlenvs.envs.episode import Episode, TextTask, copy_record
from rlenvs.envs.protocols.base import SingleAnswer
from rlenvs.envs.state import generator_state, restored_generator
from rlenvs.errors import UserError
from rlenvs.problems import Problem
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
    infos: Table


class EpisodeRows:
    """The episodes of N rows, and the generators that their problems are drawn with.

    Args:
        task: what the episodes are about.
        num_rows: N.
    """

    def __init__(self, task: TextTask, num_rows: int) -> None:
        self.task = task
        self.num_rows = num_rows
        self.split = check_split(task.split)
        self.streams = RowStreams(num_rows)
        self.episodes: list[Episode | None] = [None] * num_rows

    def begun(self) -> bool:
        """True if no row lacks an episode."""
        return None not in self.episodes

    def open(self, rows: Sequence[int], problems: Sequence[object] | None = None) -> list[str]:
        """Open episodes.

        Args:
            rows: which rows, ascending.
            problems: one `Problem` per row; None draws.

        Returns:
            The first observations.

        Raises:
            UserError: what is given is no problem, or a prompt is longer than the observation space allows.
        """
        observations = []
        for row, problem in zip(rows, self._drawn(rows, problems), strict=True):
            episode = self.episodes[row] = self.task.begin(problem)
            observations.append(episode.messages[-1]["content"])
        return observations

    def infos(self, rows: Rows) -> Table:
        """What every reset and step reports of some rows."""
        return RowTable(rows, [self.task.info(self.episode(row)) for row in rows.tolist()])

    def answer(self, rows: Rows, responses: Sequence[str]) -> Answers:
        """Submit one message in each of some rows; all are graded in one call.

        Raises:
            UserError: a message is no text.
        """
        episodes = [self.episode(row) for row in rows.tolist()]
        grades = self.task.grade(episodes, responses)
        results = [self.task.submit(*one) for one in zip(episodes, responses, grades, strict=True)]
        return Answers(
            observations=[result.observation for result in results],
            rewards=np.array([result.reward for result in results], dtype=np.float64),
            terminated=np.array([result.terminated for result in results], dtype=np.bool_),
            truncated=np.array([result.truncated for result in results], dtype=np.bool_),
            infos=RowTable(rows, [result.info for result in results]),
        )

    def end(self, row: int) -> None:
        """Note that an episode is over, whatever its protocol says."""
        self.episode(row).over = True

    def problem(self, row: int) -> Problem:
        """The problem of a row."""
        return self.episode(row).problem

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
        return {"generators": streams, "episodes": episodes}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called.

        Raises:
            UserError: the state is of another number of rows.
        """
        if len(state["episodes"]) != self.num_rows:
            raise UserError(f"state: it has {len(state['episodes'])} rows, this environment {self.num_rows}")
        self.streams = RowStreams(self.num_rows)
        for row, generator in enumerate(state["generators"]):
            if generator is not None:
                self.streams.put(row, restored_generator(generator))
        for row, episode in enumerate(state["episodes"]):
            self._put(row, None if episode is None else Episode.from_dict(episode))

    def _put(self, row: int, episode: Episode | None) -> None:
        self.episodes[row] = episode

    def _drawn(self, rows: Sequence[int], problems: Sequence[object] | None) -> Sequence[object]:
        """The problems of some rows; those that are not given are drawn in one batch."""
        for row in rows:
            if not self.streams.seeded(row):
                self.streams.seed(row, None)
        if problems is None:
            return self.task.source.sample_batch(self.streams, rows, self.split)
        lacking = [row for row, problem in zip(rows, problems, strict=True) if problem is None]
        drawn = iter(self.task.source.sample_batch(self.streams, lacking, self.split) if lacking else ())
        return [next(drawn) if problem is None else problem for problem in problems]


class SingleAnswerRows(EpisodeRows):
    """Rows whose episodes end with one answer: an episode is its problem, and the reply once it came."""

    def __init__(self, task: TextTask, num_rows: int) -> None:
        super().__init__(task, num_rows)
        self.problems: list[Problem | None] = [None] * num_rows
        self.replies: dict[int, tuple[str, float, bool]] = {}
        """Response, reward and correctness of the rows that are over."""
        self.cut: set[int] = set()
        """Rows that are over without a reply."""

    def begun(self) -> bool:
        """True if no row lacks an episode."""
        return None not in self.problems

    def open(self, rows: Sequence[int], problems: Sequence[object] | None = None) -> list[str]:
        """Open episodes; see `EpisodeRows.open`."""
        opened: list[Any] = list(self._drawn(rows, problems))
        if problems is not None:
            opened = [self.task.begin(problem).problem for problem in opened]
        prompts = [problem.prompt for problem in opened]
        if max(map(len, prompts), default=0) > self.task.max_prompt_chars:
            for problem in opened:
                self.task.begin(problem)
        for row, problem in zip(rows, opened, strict=True):
            self.problems[row] = problem
        if self.replies or self.cut:
            for row in rows:
                self.replies.pop(row, None)
                self.cut.discard(row)
        return prompts

    def infos(self, rows: Rows) -> Table:
        """What every reset and step reports of some rows."""
        problems = [self.problem(row) for row in rows.tolist()]
        columns = problem_columns(problems)
        if columns is None:
            return super().infos(rows)
        columns["messages"] = [[{"role": "user", "content": problem.prompt}] for problem in problems]
        columns["progress"] = np.zeros(len(problems))
        return ColumnTable(rows, columns)

    def answer(self, rows: Rows, responses: Sequence[str]) -> Answers:
        """Submit one message in each of some rows; see `EpisodeRows.answer`."""
        listed = rows.tolist()
        problems = [self.problem(row) for row in listed]
        columns = problem_columns(problems)
        texts = [str(response) for response in responses if isinstance(response, str)]
        too_long = max(map(len, texts), default=0) > self.task.max_response_chars
        if columns is None or too_long or len(texts) < len(responses):
            return self._answer_one_by_one(rows, responses)
        grades = self.task.verdicts([problem.task for problem in problems], texts)
        scores = [float(grade.score) for grade in grades]
        correct = [bool(grade.correct) for grade in grades]
        columns["messages"] = [
            [{"role": "user", "content": problem.prompt}, {"role": "assistant", "content": text}]
            for problem, text in zip(problems, texts, strict=True)
        ]
        columns["progress"] = np.array(correct, dtype=np.float64)
        columns["response"] = texts
        columns["correct"] = np.array(correct, dtype=np.bool_)
        columns["score"] = np.array(scores, dtype=np.float64)
        columns["grade_status"] = [grade.status for grade in grades]
        columns["extracted"] = [grade.extracted or "" for grade in grades]
        columns["reason"] = [grade.reason for grade in grades]
        self.replies.update(zip(listed, zip(texts, scores, correct, strict=True), strict=True))
        count = len(listed)
        return Answers(
            observations=[""] * count,
            rewards=columns["score"].copy(),
            terminated=np.ones(count, dtype=np.bool_),
            truncated=np.zeros(count, dtype=np.bool_),
            infos=ColumnTable(rows, columns),
        )

    def _answer_one_by_one(self, rows: Rows, responses: Sequence[str]) -> Answers:
        """The long way round, for what is rare: episode by episode."""
        answers = super().answer(rows, responses)
        assert isinstance(answers.infos, RowTable), "episodes one by one have infos one by one"
        for row, info, reward in zip(rows.tolist(), answers.infos.infos, answers.rewards.tolist(), strict=True):
            self.replies[row] = (info["response"], reward, info["correct"])
        return answers

    def end(self, row: int) -> None:
        """Note that an episode is over, whatever its protocol says."""
        if row not in self.replies:
            self.cut.add(row)

    def problem(self, row: int) -> Problem:
        """The problem of a row."""
        problem = self.problems[row]
        assert problem is not None, "a row has a problem before it is asked for it"
        return problem

    def episode(self, row: int) -> Episode:
        """The episode of a row, made when it is asked for."""
        episode = self.task.begin(self.problem(row))
        if row in self.replies:
            response, reward, correct = self.replies[row]
            episode.messages.append({"role": "assistant", "content": response})
            episode.turns, episode.over, episode.progress, episode.rewards = 1, True, float(correct), [reward]
        episode.over = episode.over or row in self.cut
        return episode

    def listed(self) -> list[Episode | None]:
        """All episodes, None for rows that have none."""
        return [None if problem is None else self.episode(row) for row, problem in enumerate(self.problems)]

    def _put(self, row: int, episode: Episode | None) -> None:
        self.problems[row] = None if episode is None else episode.problem
        self.replies.pop(row, None)
        self.cut.discard(row)
        if episode is not None and episode.turns:
            correct = bool(episode.progress)
            self.replies[row] = (episode.messages[-1]["content"], episode.rewards[-1], correct)
        elif episode is not None and episode.over:
            self.cut.add(row)


def episode_rows(task: TextTask, num_rows: int) -> EpisodeRows:
    """The rows that suit a task."""
    single = type(task) is TextTask and type(task.protocol) is SingleAnswer
    return SingleAnswerRows(task, num_rows) if single else EpisodeRows(task, num_rows)


def problem_columns(problems: Sequence[Problem]) -> Columns | None:
    """What infos say about problems, as columns; None if their tasks do not have the same keys and kinds of values."""
    tasks = [problem.task for problem in problems]
    fields: Columns = {}
    if tasks:
        keys = tasks[0].keys()
        if not all([task.keys() == keys for task in tasks]):
            return None
        for key in keys:
            values = [task[key] for task in tasks]
            kinds = set(map(type, values))
            if len(kinds) > 1 or dict in kinds:
                return None
            fields[key] = [copy_record(value) for value in values] if list in kinds else values
    return {
        "problem_id": [problem.id for problem in problems],
        "task": fields,
        "difficulty": np.array([problem.difficulty for problem in problems], dtype=np.float64),
        "split": [problem.split or "" for problem in problems],
    }
