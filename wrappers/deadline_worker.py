"""The process in which a component runs under a deadline: `python -m rlenvs.wrappers.deadline_worker FD PARENT`.

It reads requests from its parent, one at a time, and answers in lines of JSON. It ends with its parent.
"""

import ctypes
import json
import os
import pickle
import resource
import signal
import socket
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from rlenvs.wrappers.base import BaseReward, Score
from rlenvs.wrappers.deadline_process import FRAME
from rlenvs.wrappers.plain import not_plain
from rlenvs.wrappers.scoring import ContractError

PR_SET_PDEATHSIG = 1
TEXT_LIMIT = 2000  # characters of an exception that travel


class Worker:
    """Answers requests about one component.

    Args:
        channel: the connection to the parent.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._requests = channel.makefile("rb")
        self._channel = channel
        self._component: BaseReward | None = None
        self._keeps_state = False

    def serve(self) -> None:
        """Answer until the parent closes the connection."""
        while True:
            head = self._requests.read(FRAME.size)
            if len(head) < FRAME.size:
                return
            data = self._requests.read(*FRAME.unpack(head))
            try:
                operation, payload = pickle.loads(data)  # noqa: S301 - the parent's own bytes
                self._answer(operation, payload)
            except BaseException as error:  # noqa: BLE001 - whatever user code raises, an exit too, is its failure
                self._send("failure", text=_described(error))

    def _answer(self, operation: str, payload: Any) -> None:
        if operation == "start":
            self._start(**payload)
            self._send("done", state=None)
            return
        assert self._component is not None
        if operation == "load":
            self._component.load_state_dict(payload)
        elif operation == "rows":
            self._send("begin")
            for transition in payload:
                self._send_row(self._component, transition)
        else:
            self._send("begin")
            scores = self._component.batch(payload)
            self._send("scores", scores=_as_plain(scores, len(payload)))
        self._send("done", state=self._state())

    def _start(
        self, component: bytes, state: dict[str, Any] | None, memory_mb: int | None, python_path: str | None
    ) -> None:
        if python_path is None:
            os.environ.pop("PYTHONPATH", None)
        else:
            os.environ["PYTHONPATH"] = python_path
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if memory_mb is not None:
            resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
        loaded: BaseReward = pickle.loads(component)  # noqa: S301 - the parent's own bytes
        warm_up = getattr(loaded, "warm_up", None)
        if callable(warm_up):
            warm_up()
        if state is not None:
            loaded.load_state_dict(state)
        self._component = loaded
        self._keeps_state = type(loaded).state_dict is not BaseReward.state_dict

    def _send_row(self, component: BaseReward, transition: Any) -> None:
        try:
            (score,) = _as_plain([component(transition)], 1)
        except ContractError:
            raise
        except BaseException as error:  # noqa: BLE001 - as in `serve`; the other rows go on
            self._send("row_failure", text=_described(error))
        else:
            self._send("row", score=score)

    def _state(self) -> dict[str, Any] | None:
        if not self._keeps_state or self._component is None:
            return None
        state = self._component.state_dict()
        problem = not_plain(state)
        if problem:
            raise ContractError(f"keeps state that is not plain data: {problem}")
        return state

    def _send(self, kind: str, **values: Any) -> None:
        self._channel.sendall(json.dumps({"kind": kind, **values}).encode() + b"\n")


def _as_plain(scores: Iterable[object], count: int) -> list[tuple[float, str]]:
    """Return values and statuses; the parent judges whether the statuses exist."""
    items = list(scores)
    if len(items) != count:
        raise ContractError(f"batch returned {len(items)} values for {count} transitions")
    return [_pair(item) for item in items]


def _pair(item: object) -> tuple[float, str]:
    value, status = item if isinstance(item, Score) else (item, "ok")
    try:
        return float(value), str(status)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ContractError(f"a value must be a number or a Score, got {value!r:.60}") from None


def _described(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an exception that cannot even be shown still has a type
        text = "(its text cannot be shown)"
    return f"{type(error).__name__}: {text}"[:TEXT_LIMIT]


def die_with(parent: int) -> None:
    """Let the kernel end this process when its parent ends, whatever it is doing then."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)  # the parent ended before it was asked for


def main(arguments: Sequence[str]) -> NoReturn:
    """Serve the parent that started this process."""
    descriptor, parent = map(int, arguments)
    die_with(parent)
    os.set_inheritable(descriptor, False)
    with socket.socket(fileno=descriptor) as channel:
        Worker(channel).serve()
    os._exit(0)  # threads of the component must not keep it alive


if __name__ == "__main__":
    main(sys.argv[1:])
