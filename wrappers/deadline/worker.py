"""The processes in which components run under a deadline: `python -m rlenvs.wrappers.deadline.worker FD PARENT`.

The process that is started so is the supervisor: it forks a worker when it is asked to, and kills it when it is asked
to. A worker reads requests about one component, one at a time, and answers in lines of JSON. Both end with whoever
started them.
"""

import contextlib
import gc
import importlib
import json
import os
import pickle
import resource
import signal
import socket
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from rlenvs.processes import die_with
from rlenvs.wrappers.base import BaseReward, Score
from rlenvs.wrappers.deadline.process import FRAME
from rlenvs.wrappers.deadline.supervisor import MESSAGE_BYTES
from rlenvs.wrappers.plain import not_plain
from rlenvs.wrappers.scoring import ContractError

FATES_KEPT = 1000
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
        self,
        component: bytes,
        state: dict[str, Any] | None,
        memory_mb: int | None,
        environment: dict[str, str],
        folder: str,
        path: list[str],
    ) -> None:
        """Become what a process would be that the parent started now, and load the component."""
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        sys.path[:] = path
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


class Nursery:
    """The supervisor's side: forks workers and kills them.

    It waits for a worker only when it is told to end it, or once the worker is dead and its group killed: until then
    nobody else can have its number.

    Args:
        control: the connection to the process that started this one.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._alive: set[int] = set()
        self._fates: dict[int, tuple[int, int]] = {}

    def serve(self) -> None:
        """Answer until the connection is closed."""
        while True:
            message, descriptors, _, _ = socket.recv_fds(self._control, MESSAGE_BYTES, 2)
            if not message:
                return
            request = json.loads(message)
            reply: dict[str, Any] = {"done": True}
            if request["do"] == "fork":
                reply = {"pid": self._fork(*descriptors)}
            elif request["do"] == "look":
                self._look(request["pid"])
                reply = {"fate": self._fates.get(request["pid"])}
            else:
                self._end(request["pid"])
            self._control.send(json.dumps(reply).encode())

    def _fork(self, channel: int, output: int) -> int:
        for pid in list(self._alive):
            self._look(pid)  # of those that ended by themselves and that nobody asks for any more
        supervisor = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._control.close()
            be_worker(channel, output, supervisor)
        os.close(channel)
        os.close(output)
        self._alive.add(pid)
        return pid

    def _look(self, pid: int) -> None:
        if pid in self._alive and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
            self._reap(pid)

    def _end(self, pid: int) -> None:
        if pid in self._alive:
            os.kill(pid, signal.SIGKILL)
            self._reap(pid)
        self._fates.pop(pid, None)

    def _reap(self, pid: int) -> None:
        """Kill what a worker started, then wait for it: dead, it still holds the number of its group."""
        end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        with contextlib.suppress(ProcessLookupError):  # it never came to lead a group
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self._alive.discard(pid)
        if end is not None:
            self._fates[pid] = (end.si_code, end.si_status)
        while len(self._fates) > FATES_KEPT:
            del self._fates[next(iter(self._fates))]


def be_worker(descriptor: int, output: int, supervisor: int) -> NoReturn:
    """Serve one component in this process, which was forked for it."""
    status = 1
    try:
        os.setsid()
        die_with(supervisor)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        os.set_inheritable(descriptor, False)  # not for what the component starts
        os.register_at_fork(after_in_child=lambda: _silence(descriptor))  # nor for what it forks
        with socket.socket(fileno=descriptor) as channel:
            Worker(channel).serve()
        status = 0
    finally:
        # Not `sys.exit`: threads of the component must not keep it alive, nor anything of the supervisor's run.
        os._exit(status)


def _silence(descriptor: int) -> None:
    """Let a descriptor lead nowhere: a channel that a forked child held open would not close when the worker dies."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, descriptor, inheritable=False)
    os.close(nowhere)


def main(arguments: Sequence[str]) -> NoReturn:
    """Supervise for the process that started this one."""
    descriptor, parent = map(int, arguments)
    die_with(parent)
    os.set_inheritable(descriptor, False)
    importlib.import_module("cloudpickle")  # every worker needs it
    gc.freeze()  # what is here now stays: collections in the workers need not touch, and copy, its pages
    with socket.socket(fileno=descriptor) as control:
        Nursery(control).serve()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
