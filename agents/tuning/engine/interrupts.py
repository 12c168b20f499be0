"""Ctrl-C and SIGTERM while a study runs, taken where they lose nothing.

The first one ends what is being run and gives the trial back; while the study's books are being written it waits until
they are. The second one ends at once, wherever it is: whoever resumes the study finds the trial abandoned and runs it
again.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, Self

__all__ = ["Interrupts"]

TAKEN = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Take SIGINT and SIGTERM while the body runs. Outside the main thread they cannot be taken, and nothing changes.

    Attributes:
        asked: whether one came.
    """

    def __init__(self) -> None:
        self.asked = False
        self._exposed = False
        self._process = os.getpid()
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in TAKEN:
                if signal.getsignal(number) != signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *failure: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            self._leave_to_the_system(number)
        at_once = self.asked or self._exposed
        self.asked = True
        if at_once:
            raise KeyboardInterrupt

    def _leave_to_the_system(self, number: int) -> None:
        """Do in a process that the objective forked what would have been done without us."""
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def check(self) -> None:
        """Raise KeyboardInterrupt if one came."""
        if self.asked:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def exposed(self) -> Iterator[None]:
        """Let the first one raise KeyboardInterrupt wherever the body is."""
        self.check()
        self._exposed = True
        try:
            yield
        finally:
            self._exposed = False
