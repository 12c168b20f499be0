"""The processes of a `DeadlinePool`: `python -m rlenvs.graders.deadline.worker KIND FD PARENT`.

The process that is started so is the nursery: it imports a check, forks workers when it is asked to, and kills them
when it is asked to. It alone knows when a process number is free again. A worker answers requests, one at a time.
Workers end with the nursery, and the nursery with the process that started it, whatever that one was doing.
"""

import contextlib
import gc
import json
import os
import resource
import select
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from rlenvs.graders.deadline.checks import Reply, Request, load
from rlenvs.graders.deadline.frames import FRAME, MESSAGE_BYTES
from rlenvs.processes import die_with

MEMORY_BYTES = 1 << 30
"""Address space that a worker may use on top of what it starts with."""
LOOK_AROUND_MS = 500
"""Time between two looks at whether the parent is alive: another child of it may hold its end of the connection."""


def limit_resources() -> None:
    """Bound memory, and allow no files and no core dumps."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        used = int(statm.read().split()[0]) * resource.getpagesize()
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = used + MEMORY_BYTES
    limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def answer(check: Any, request: Request) -> Reply:
    """One reply; a check that raises is broken, except where the text took all the memory there is."""
    try:
        reply: Reply = check(request)
    except MemoryError:
        return {"verdict": "out_of_memory"}
    except BaseException as error:  # noqa: BLE001 - reported to the parent, which raises it
        return {"failure": f"{type(error).__name__}: {error!s:.500}"}
    return reply


def serve(check: Any, channel: socket.socket) -> None:
    """Answer requests until the parent closes the connection."""
    requests = channel.makefile("rb")
    while len(head := requests.read(FRAME.size)) == FRAME.size:
        body = requests.read(*FRAME.unpack(head))
        reply = json.dumps(answer(check, json.loads(body))).encode()
        channel.sendall(FRAME.pack(len(reply)) + reply)


class Nursery:
    """Forks workers and kills them.

    Args:
        check: what they do.
        control: the connection to the parent.
        parent: its process number.
    """

    def __init__(self, check: Any, control: socket.socket, parent: int) -> None:
        self.check = check
        self.control = control
        self.parent = parent
        self.workers: set[int] = set()

    def serve(self) -> None:
        """Answer until the parent closes the connection or ends."""
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        while True:
            if not poll.poll(LOOK_AROUND_MS):
                if os.getppid() != self.parent:
                    break
                continue
            message, descriptors, _, _ = socket.recv_fds(self.control, MESSAGE_BYTES, 1)
            if not message:
                break
            request = json.loads(message)
            if request["do"] == "fork":
                reply: dict[str, Any] = {"pid": self.fork(*descriptors)}
            else:
                reply = {"fate": self.end(request["pid"])}
            self.control.send(json.dumps(reply).encode())
        for pid in list(self.workers):
            self.end(pid)

    def fork(self, descriptor: int) -> int:
        """Return the process number of a new worker that serves a connection."""
        nursery = os.getpid()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                self.control.close()
                os.setsid()
                die_with(nursery)
                limit_resources()
                with socket.socket(fileno=descriptor) as channel:
                    serve(self.check, channel)
                status = 0
            finally:
                os._exit(status)
        os.close(descriptor)
        self.workers.add(pid)
        return pid

    def end(self, pid: int) -> str:
        """Kill a worker with its group and say how it had ended, in words; "" if it was alive."""
        if pid not in self.workers:
            return "is no worker"
        gone = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        # Dead or alive, until it is waited for nobody else can have its number.
        os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):  # it never came to lead a group
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self.workers.discard(pid)
        if gone is None:
            return ""
        if gone.si_code == os.CLD_EXITED:
            return f"exited with code {gone.si_status}"
        return f"was killed by signal {gone.si_status}"


def main(arguments: Sequence[str]) -> NoReturn:
    """Be the nursery of the process that started this one."""
    kind, descriptor, parent = arguments[0], int(arguments[1]), int(arguments[2])
    os.set_inheritable(descriptor, False)
    with socket.socket(fileno=descriptor) as control:
        try:
            check = load(kind)
        except BaseException as error:
            control.send(json.dumps({"failure": f"{type(error).__name__}: {error!s:.500}"}).encode())
            raise
        gc.collect()
        gc.freeze()  # collections in the workers need not touch, and so copy, what they share
        control.send(json.dumps({"ready": True}).encode())
        Nursery(check, control, int(parent)).serve()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
