"""Stored responses through a reward pipeline: the numbers that training would have paid for them.

The responses of a run are scored in the calls in which they were scored then (one per iteration and turn), in their
stored order, with the potentials of a state taken when it was visited. So a run's own configuration gives the rewards
that the run paid, whatever normalises them, as long as the file is whole: statistics, memories and reactive weights
begin where they began then.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from rlenvs.errors import ComponentError, DataError
from rlenvs.wrappers.base import FloatArray
from rlenvs.wrappers.pipeline import RewardPipeline
from rlenvs.wrappers.rescoring.stored_steps import VERDICT_KEYS, StoredStep
from rlenvs.wrappers.reward_batch import RewardBatch
from rlenvs.wrappers.transition import Message, Transition

BATCH_SIZE = 256
"""Responses per call of the pipeline where nothing says which belong together."""


@dataclass(frozen=True, slots=True)
class ScoredBatch:
    """What one call of the pipeline said.

    Attributes:
        steps: the N stored responses.
        result: their rewards and what these were made of.
    """

    steps: list[StoredStep]
    result: RewardBatch


@dataclass(slots=True)
class EpisodeSoFar:
    """An episode between two turns.

    Attributes:
        prompt: its first message.
        chat: the chat up to the newest message.
        info: the info that came with it.
        start: the info of the first state, on top of which the later ones come.
        clock: the reward clock when the state was visited.
        visited: `[P, 2]` its potentials, taken then; None before they are.
        turn: number of the next turn.
    """

    prompt: str
    chat: list[Message]
    info: dict[str, Any]
    start: dict[str, Any]
    clock: int
    visited: FloatArray | None = None
    turn: int = 0

    @classmethod
    def begin(cls, step: StoredStep, clock: int) -> "EpisodeSoFar":
        """Return the episode of a first turn before it."""
        start = step.start
        if start is None:  # a run that did not store it: what came with the step and is no verdict on it
            start = {key: value for key, value in step.info.items() if key not in VERDICT_KEYS}
        info = {**start, "messages": step.chat}
        if "problem_id" in step.info:
            info["problem_id"] = step.info["problem_id"]
        return cls(step.prompt, step.chat, info, start, clock)


def rescore(
    steps: Iterable[StoredStep],
    pipeline: RewardPipeline,
    *,
    clock: int | None = None,
    batch_size: int = BATCH_SIZE,
    measured: Mapping[int, Mapping[str, float]] | None = None,
) -> Iterator[ScoredBatch]:
    """Score stored responses.

    Turns of a run are scored in the calls of that run. Other responses are scored `batch_size` at a time, or all at
    once where a normaliser compares rows (then they are held in memory). They have no past: normalisers that keep
    statistics first learn from the first `batch_size` of them, so that no value passes as it is for want of one.

    Args:
        steps: in stored order; the turns of an episode need not be neighbours, those of an iteration do.
        pipeline: fresh, so that its statistics begin where those of the run began.
        clock: the reward clock for all of them; the stored ones, 0 where none is, when None.
        batch_size: responses per call, >= 1.
        measured: iteration -> what the run measured after it, for reactive schedules.

    Yields:
        One batch per call, in stored order.

    Raises:
        DataError: a turn without the one before it, or a component lacks something that was not stored; says where.
        ComponentError: a component failed for another reason; says where.

    Example:
        >>> from rlenvs.wrappers.rescoring.stored_steps import StoredFields
        >>> rewards = {"reward_components": {"long": {"class": "LengthPenalty", "max_length": 1, "unit": "words"}}}
        >>> rows = [{"prompt": "2+2?", "response": "4"}, {"prompt": "2+2?", "response": "It is 4"}]
        >>> steps = [StoredFields().read(row, f"line {number}") for number, row in enumerate(rows, start=1)]
        >>> [batch.result.total.tolist() for batch in rescore(steps, RewardPipeline.from_config(rewards))]
        [[0.0, -0.02]]
    """
    reports = dict(measured or {})
    size = None if pipeline.parts.compares_rows else batch_size
    learning = _keeps_statistics(pipeline)
    _report(pipeline, reports, 0)
    for iteration, group in groupby(steps, key=lambda step: step.iteration):
        if iteration is None:
            for chunk in _chunks(group, size):
                if learning:
                    _learn_ahead(chunk[:batch_size], pipeline, clock)
                    learning = False
                yield from _score(chunk, pipeline, clock, {})
            continue
        turns = list(group)
        _link(turns)
        episodes: dict[int, EpisodeSoFar] = {}
        for batch in _calls(turns):
            yield from _score(batch, pipeline, clock, episodes)
        _report(pipeline, reports, iteration)


def _report(pipeline: RewardPipeline, reports: dict[int, Mapping[str, float]], iteration: int) -> None:
    metrics = reports.pop(iteration, None)
    if metrics is not None:
        pipeline.report_metrics(metrics, int(metrics.get("step", 0)))


def _keeps_statistics(pipeline: RewardPipeline) -> bool:
    output = pipeline.parts.output_normalization
    specs = [*pipeline.parts.normalizations.values(), *([output] if output else [])]
    return any(spec.strategy != "none" and not spec.compares_rows for spec in specs)


def _learn_ahead(steps: Sequence[StoredStep], pipeline: RewardPipeline, clock: int | None) -> None:
    """Let the normalisers learn from responses that have yet to be scored; everything else stays as it is."""
    before = pipeline.state_dict()
    for _ in _score(steps, pipeline, clock, {}):
        pass
    pipeline.load_state_dict({**before, "normalizers": pipeline.state_dict()["normalizers"]})


def _chunks(steps: Iterable[StoredStep], size: int | None) -> Iterator[list[StoredStep]]:
    chunk: list[StoredStep] = []
    for step in steps:
        chunk.append(step)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _calls(turns: Sequence[StoredStep]) -> Iterator[list[StoredStep]]:
    """Split the turns of an iteration into what was one call then: the same turn of different episodes."""
    call: list[StoredStep] = []
    seen: set[int | None] = set()
    for step in turns:
        if call and (step.turn != call[0].turn or step.episode in seen):
            yield call
            call, seen = [], set()
        call.append(step)
        seen.add(step.episode)
    if call:
        yield call


def _link(turns: Sequence[StoredStep]) -> None:
    """Tell every turn what the environment answered, and whether its episode ended there."""
    following: dict[int | None, StoredStep] = {}
    for step in reversed(turns):
        later = following.get(step.episode)
        goes_on = later is not None and later.turn == step.turn + 1
        if later is not None and goes_on and step.next_prompt is None:
            step.next_prompt = later.prompt
        if step.terminated is None:
            step.terminated = not goes_on and not step.truncated
        following[step.episode] = step


def _score(
    steps: Sequence[StoredStep], pipeline: RewardPipeline, clock: int | None, episodes: dict[int, EpisodeSoFar]
) -> Iterator[ScoredBatch]:
    """Score what belongs to one call; a call has one clock, so rows of different clocks need several."""
    for step, rows in groupby(steps, key=lambda row: clock if clock is not None else row.step or 0):
        batch = list(rows)
        before = [_episode_before(row, step, episodes) for row in batch]
        _visit(batch, before, pipeline, step)
        transitions = [_transition(row, episode, step) for row, episode in zip(batch, before, strict=True)]
        visited = np.stack([episode.visited for episode in before if episode.visited is not None])
        try:
            result = pipeline.compute(transitions, step, visited)
        except ComponentError as error:
            raise _located(error, batch, transitions, pipeline, step) from error
        for row, episode, transition, arrived in zip(batch, before, transitions, result.visited, strict=True):
            if row.episode is not None:
                episodes[row.episode] = _after(episode, transition, arrived)
        yield ScoredBatch(batch, result)


def _episode_before(row: StoredStep, clock: int, episodes: Mapping[int, EpisodeSoFar]) -> EpisodeSoFar:
    if row.episode is None or row.turn == 0:
        return EpisodeSoFar.begin(row, clock)
    episode = episodes.get(row.episode)
    if episode is None or episode.turn != row.turn:
        raise DataError(
            f"{row.where}: turn {row.turn} of env {row.episode} in iteration {row.iteration}, but the turn before it "
            "is not above: the state that it answers is unknown, keep the turns of an episode together"
        )
    return episode


def _visit(batch: Sequence[StoredStep], before: Sequence[EpisodeSoFar], pipeline: RewardPipeline, clock: int) -> None:
    """Take the potentials of first states, all in one call."""
    first = [place for place, episode in enumerate(before) if episode.visited is None]
    # A first state is what its first step comes from.
    states = [_transition(batch[place], before[place], clock).state_before() for place in first]
    if not first:
        return
    try:
        visited = pipeline.visit(states, clock)
    except ComponentError as error:
        for place, state in zip(first, states, strict=True):
            try:
                pipeline.visit([state], clock)
            except ComponentError as single:
                raise _at(batch[place].where, single) from single
        raise error
    for place, values in zip(first, visited, strict=True):
        before[place].visited = values


def _transition(row: StoredStep, before: EpisodeSoFar, clock: int) -> Transition:
    over = True if row.terminated is None else row.terminated
    answer = "" if over else row.next_prompt or ""
    messages = [*before.chat, {"role": "assistant", "content": row.response}]
    if not over:
        messages.append({"role": "user", "content": answer})
    shared = {} if row.iteration is None else before.start  # a turn of a run stores what the first state had not
    info = {**shared, **row.info, "response": row.response, "messages": messages}
    return Transition(
        prompt=before.prompt,
        response=row.response,
        messages=messages,
        observation=row.prompt,
        action=row.response,
        next_observation=answer,
        env_reward=row.env_reward,
        terminated=over,
        truncated=row.truncated,
        info=info,
        previous_info=before.info,
        step=clock,
        previous_step=before.clock,
    )


def _after(before: EpisodeSoFar, transition: Transition, arrived: FloatArray) -> EpisodeSoFar:
    return EpisodeSoFar(
        before.prompt,
        list(transition.messages),
        dict(transition.info),
        before.start,
        transition.step,
        arrived,
        before.turn + 1,
    )


def _located(
    error: ComponentError,
    batch: Sequence[StoredStep],
    transitions: Sequence[Transition],
    pipeline: RewardPipeline,
    clock: int,
) -> ComponentError | DataError:
    """Return the error with the place of the response that it is about."""
    if error.row is not None:
        return _at(batch[error.row].where, error)
    for row, transition in zip(batch, transitions, strict=True):
        if not transition.terminated:
            try:  # a potential says its name only
                pipeline.visit([transition.state_after()], clock)
            except ComponentError as single:
                return _at(row.where, single)
    return _at(batch[0].where if len(batch) == 1 else f"{batch[0].where} and {len(batch) - 1} more", error)


def _at(where: str, error: ComponentError) -> ComponentError | DataError:
    message = f"{where}: {str(error).replace(f' on transition {error.row} of the batch', '')}"
    # What info lacks is missing in the file, which its owner can put right.
    return DataError(message) if isinstance(error.__cause__, KeyError) else ComponentError(message)
