"""Signals that ask a run to end, and the exit code that tells who asked.

| signal | what it means | exit code |
|---|---|---|
| SIGINT (Ctrl-C), SIGTERM | end | 130 |
| SIGUSR1 | the machine is needed elsewhere: end, and start me again | 75 |

75 is EX_TEMPFAIL of `sysexits.h`: a temporary failure, the caller is invited to try again. A batch script requeues its
job on it; `rlenvs train --resume auto` then goes on.
"""

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

INTERRUPTED = 130
REQUEUE = 75

EXIT_CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: INTERRUPTED, signal.SIGUSR1: REQUEUE}


class StopRequest:
    """Whether a signal has asked the run to end; called after every iteration.

    Attributes:
        exit_code: of a run that ended because it was asked to.
    """

    def __init__(self, log: Callable[[str], None]) -> None:
        self.log = log
        self.running = False
        self.asked = False
        self.exit_code = INTERRUPTED

    def __call__(self) -> bool:
        """Say whether the run is to end; from the first question on, there is a checkpoint to end at."""
        self.running = True
        return self.asked

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Take a signal.

        Raises:
            KeyboardInterrupt: it is the second one, or there is nothing to save yet.
            SystemExit: SIGUSR1, and there is nothing to save yet: whoever sent it starts the run again.
        """
        if self.asked or not self.running:
            if number == signal.SIGUSR1 and not self.asked:
                raise SystemExit(REQUEUE)
            raise KeyboardInterrupt
        self.asked = True
        self.exit_code = EXIT_CODES[signal.Signals(number)]
        why = " to be requeued" if number == signal.SIGUSR1 else ""
        self.log(f"stopping after this iteration{why}; once more to quit at once")


@contextlib.contextmanager
def stop_on_signal(log: Callable[[str], None]) -> Iterator[StopRequest]:
    """Turn the first SIGINT, SIGTERM or SIGUSR1 into a request to save and stop; the second one ends at once.

    Before the run first asks, while models load and warm up, there is nothing to save: a signal ends the process.

    Args:
        log: shows one line to whoever sent the signal.
    """
    request = StopRequest(log)
    previous = {number: signal.signal(number, request.receive) for number in EXIT_CODES}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
