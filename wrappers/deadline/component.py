"""Any component under a deadline that holds, because a process that misses it is killed."""

import copy
import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any

from rlenvs.errors import ComponentError, ParameterError
from rlenvs.wrappers.base import STATUSES, TIMEOUT, BaseReward, Score
from rlenvs.wrappers.deadline.process import DeadlineMissedError, WorkerDiedError, WorkerProcess, component_pickle
from rlenvs.wrappers.functions.decorators import component_of
from rlenvs.wrappers.scoring import ContractError
from rlenvs.wrappers.transition import Transition

BATCH_SHARE = 8
"""A batch that a component scores itself may take this many times `seconds`, or one for each row if that is less."""

Outcome = Score | ComponentError


class DeadlineReward(BaseReward):
    """What `component` gives within `seconds` per row; `timeout_value` with status `timeout` where it takes longer.

    The component runs in a process of its own, started when it is first needed and kept. Nothing in it can outlast
    the deadline: the process and its children are killed (except those that left its process group with `setsid`),
    and a fresh one goes on with the next row.

    A component without a `batch` of its own is called row by row, and each row has `seconds`. A component that
    scores whole batches has `min(N, 8) * seconds` for one of N rows; if it misses that, or its process dies, each
    row is scored alone, with `seconds`. A row that alone misses them gets `timeout_value`. A row that alone kills the
    process (crash, out of memory) is an error, as is an exception of the component, with its type and message.

    The clock runs while the component scores, not while the process starts. A method `warm_up()` of the component is
    called at the start, within `start_timeout_s`: load models there, or the first row pays for it. A component's
    state is kept here after each call, and a fresh process gets it; what it changed in a call that was cut off is
    lost. What the component prints is not shown; the end of it is part of the message when its process dies.

    Args:
        component: a component, or a function as `component_of` takes it. It is sent with cloudpickle.
        seconds: for one row, > 0.
        timeout_value: reward of a row that takes longer.
        start_timeout_s: seconds until a process has to be ready, > 0.
        memory_mb: limit of the process's address space in MiB, >= 64: more than that is a MemoryError of the
            component. None for no limit.

    Range: that of the component, and timeout_value.

    Raises:
        ParameterError: a parameter out of range.

    Example:
        >>> import re
        >>> def twice(response: str) -> float:
        ...     return float(re.fullmatch(r"(a+)+b", response) is not None)
        >>> with DeadlineReward(twice, seconds=0.2, timeout_value=-1.0) as guarded:
        ...     guarded.batch([Transition(response="aab"), Transition(response="a" * 40)])
        [1.0, Score(value=-1.0, status='timeout')]
    """

    def __init__(
        self,
        component: BaseReward | Callable[..., Any],
        seconds: float,
        timeout_value: float = 0.0,
        start_timeout_s: float = 120.0,
        memory_mb: int | None = None,
    ) -> None:
        for name, value in (("seconds", seconds), ("start_timeout_s", start_timeout_s)):
            if not (math.isfinite(value) and value > 0):
                raise ParameterError(name, f"must be > 0, got {value}")
        if not math.isfinite(timeout_value):
            raise ParameterError("timeout_value", f"must be finite, got {timeout_value}")
        if memory_mb is not None and memory_mb < 64:
            raise ParameterError("memory_mb", f"must be >= 64, got {memory_mb}")
        if isinstance(component, DeadlineReward):
            raise ParameterError("component", "has a deadline already: one inside another would only start twice")
        self.component = component_of(component)
        self.seconds = seconds
        self.timeout_value = timeout_value
        self.start_timeout_s = start_timeout_s
        self.memory_mb = memory_mb
        # Of the instance, not the class: they are those of what is inside.
        vars(self).update(effect=self.component.effect, is_task=self.component.is_task)
        kind = type(self.component)
        self._row_by_row = getattr(self.component, "row_by_row", kind.batch is BaseReward.batch)
        self._keeps_state = kind.state_dict is not BaseReward.state_dict
        self._state: dict[str, Any] | None = None
        self._worker: WorkerProcess | None = None
        self._lock = threading.RLock()

    def __call__(self, transition: Transition) -> float | Score:
        """Score one transition.

        Raises:
            ComponentError: the component raised, or its process died.
        """
        (item,) = self.batch([transition])
        return item

    def batch(self, transitions: Sequence[Transition]) -> list[float | Score]:
        """Score N transitions. A row that fails is an error alone; a batch of one raises, so that the reason shows.

        Raises:
            ComponentError: the component's `batch` raised, or the process could not start.
        """
        rows = list(transitions)
        if not rows:
            return []
        with self._lock:
            try:
                outcomes = self._rows(rows) if self._row_by_row else self._whole(rows)
            except ComponentError:
                raise
            except BaseException:
                self._stop()  # interrupted in between: nobody would know to which request the next reply belongs
                raise
        failure = outcomes[0]
        if len(outcomes) == 1 and isinstance(failure, ComponentError):
            raise failure
        scores = [Score(math.nan, "error") if isinstance(item, ComponentError) else item for item in outcomes]
        return [score.value if score.status == "ok" else score for score in scores]

    def state_dict(self) -> dict[str, Any]:
        """Return the component's state after the last call."""
        return self.component.state_dict() if self._state is None else copy.deepcopy(self._state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Give the component a state.

        Raises:
            ComponentError: the component refuses it.
        """
        if not self._keeps_state:
            self.component.load_state_dict(state)
            return
        with self._lock:
            try:
                worker = self._running()
                worker.send("load", state)
                self._finish(worker.receive(self.start_timeout_s))
            except (DeadlineMissedError, WorkerDiedError) as error:
                self._stop()
                raise ComponentError(f"its process {error}") from error
            except BaseException:
                self._stop()
                raise

    def close(self) -> None:
        """End the process. A later call starts a new one."""
        with self._lock:
            self._stop()

    def __enter__(self) -> "DeadlineReward":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key not in ("_worker", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _worker=None, _lock=threading.RLock())

    def _rows(self, rows: list[Transition]) -> list[Outcome]:
        """Score row by row; each has its own deadline."""
        outcomes: list[Outcome] = []
        while len(outcomes) < len(rows):
            left = rows[len(outcomes) :]
            try:
                for outcome in self._stream(left):
                    outcomes.append(outcome)
            except (DeadlineMissedError, WorkerDiedError) as error:
                self._stop()
                if len(outcomes) == len(rows):
                    break  # every row has its score; only the new state did not arrive
                if isinstance(error, DeadlineMissedError):
                    outcomes.append(Score(self.timeout_value, TIMEOUT))
                elif len(left) == 1:
                    outcomes.append(_died(error))
                else:
                    outcomes += self._rows([rows[len(outcomes)]])
        return outcomes

    def _stream(self, rows: list[Transition]) -> Iterator[Outcome]:
        worker = self._running()
        worker.send("rows", rows)
        self._begin(worker)
        for _ in rows:
            reply = worker.receive(self.seconds)
            if reply["kind"] == "row_failure":
                yield ComponentError(str(reply.get("text")))
            elif reply["kind"] == "row":
                yield _score(reply.get("score"))
            else:
                self._finish(reply)
                raise WorkerDiedError("gave fewer scores than it was asked for")
        self._finish(worker.receive(self.start_timeout_s))

    def _whole(self, rows: list[Transition]) -> list[Outcome]:
        """Let the component score the batch; where that cannot be had, each row alone."""
        budget = self.seconds * min(len(rows), BATCH_SHARE)
        try:
            worker = self._running()
            worker.send("batch", rows)
            self._begin(worker)
            reply = worker.receive(budget)
            if reply["kind"] != "scores":
                self._finish(reply)
                raise WorkerDiedError("gave no scores")
            scores = reply.get("scores")
            if not (isinstance(scores, list) and len(scores) == len(rows)):
                raise WorkerDiedError("gave another number of scores than it was asked for")
            outcomes: list[Outcome] = [_score(score) for score in scores]
            self._finish(worker.receive(self.start_timeout_s))
        except DeadlineMissedError:
            self._stop()
            if len(rows) == 1:
                return [Score(self.timeout_value, TIMEOUT)]
        except WorkerDiedError as error:
            self._stop()
            if len(rows) == 1:
                return [_died(error)]
        else:
            return outcomes
        return [self._alone(row) for row in rows]

    def _alone(self, row: Transition) -> Outcome:
        try:
            return self._whole([row])[0]
        except ComponentError as error:
            return error

    def _begin(self, worker: WorkerProcess) -> None:
        """Wait until the request was read: the clock starts with the scoring."""
        try:
            reply = worker.receive(self.start_timeout_s)
        except DeadlineMissedError:
            raise WorkerDiedError("does not answer") from None
        if reply["kind"] != "begin":
            self._finish(reply)
            raise WorkerDiedError("answered before it began")

    def _finish(self, reply: dict[str, Any]) -> None:
        """Take in the end of an answer.

        Raises:
            ComponentError: the answer is that the component raised.
        """
        if reply["kind"] == "failure":
            text = str(reply.get("text"))
            if text.startswith(f"{ContractError.__name__}: "):
                raise ContractError(text.partition(": ")[2])
            raise ComponentError(text)
        if reply["kind"] != "done":
            raise WorkerDiedError(f"sent {reply['kind']!r:.40} where an answer ends")
        if isinstance(reply.get("state"), dict):
            self._state = reply["state"]

    def _running(self) -> WorkerProcess:
        # Of the process that this one was forked from, or not by the fault of any row.
        if self._worker is not None and (self._worker.owner != os.getpid() or self._worker.is_gone):
            self._stop()
        if self._worker is None:
            try:
                pickled = component_pickle(self.component)
            except Exception as error:
                raise ComponentError(
                    f"{type(self.component).__name__} cannot be sent to its process: {type(error).__name__}: {error}"
                ) from error
            try:
                self._worker = WorkerProcess(pickled, self._state, self.memory_mb, self.start_timeout_s)
            except WorkerDiedError as error:
                raise ComponentError(f"its process {error}") from error
            except DeadlineMissedError:
                raise ComponentError(f"its process was not ready within {self.start_timeout_s:g} s") from None
        return self._worker

    def _stop(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.kill()


def _died(error: WorkerDiedError) -> ComponentError:
    return ComponentError(f"its process {error}")


def _score(item: object) -> Score:
    """Read one score of a reply; anything else was not written by the worker's own code."""
    if isinstance(item, list) and len(item) == 2:
        value, status = item
        if isinstance(value, float) and status in STATUSES:
            return Score(value, status)
        if isinstance(status, str) and status not in STATUSES:
            raise ContractError(f"status must be one of {', '.join(STATUSES)}, got {status!r:.40}")
    raise WorkerDiedError(f"sent what is no score: {item!r:.80}")
