"""The live view: a few rows at the bottom of a terminal, redrawn in place; messages scroll by above them."""

import atexit
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self, TextIO

from rich.console import Console, Group
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType
from rich.text import Text

from rlenvs.agents.reporting.formatting import one_line, visible_text
from rlenvs.agents.reporting.frame import DashboardState, build_frame
from rlenvs.agents.reporting.plain import summary_value
from rlenvs.agents.reporting.reading import METRICS_FILE, read_metrics
from rlenvs.agents.reporting.view import RunPlan

REFRESHES_PER_SECOND = 4
PACE_WINDOW = 20  # iterations over which the pace is averaged: short enough to follow longer answers


class ResizableLive(Live):
    """A live region that starts on a clean screen after the terminal changed its width.

    A narrower terminal wraps the rows that are already drawn, so that moving the cursor up by their number lands too
    low and leaves torn rows behind.
    """

    drawn_width: int | None = None

    def refresh(self) -> None:
        """Draw the newest state."""
        with self._lock:
            width = self.console.width
            if self.drawn_width is not None and width != self.drawn_width and self.console.is_terminal:
                self.console.control(Control((ControlType.CURSOR_MOVE_TO, 0, 0), ControlType.CLEAR))
            self.drawn_width = width
            super().refresh()


class LiveView:
    """Shows a run on a terminal: progress, true accuracy, reward by component, and whether the update behaves.

    Args:
        stream: A terminal.
        console: Where to draw; made from the stream when None.
        clock: Seconds, monotonic.
        refreshes_per_second: How often the rows are redrawn by a thread; 0 redraws only when something is said.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
        refreshes_per_second: float = REFRESHES_PER_SECOND,
    ) -> None:
        self.console = console or Console(file=stream, highlight=False, markup=False, emoji=False)
        self.clock = clock
        self.state: DashboardState | None = None
        self.started = 0.0
        self.updates: deque[tuple[float, float]] = deque(maxlen=PACE_WINDOW)
        self.lock = threading.RLock()
        self.previous_handlers: dict[int, signal.Handlers] = {}
        self.live = ResizableLive(
            console=self.console,
            get_renderable=self.render,
            auto_refresh=refreshes_per_second > 0,
            refresh_per_second=refreshes_per_second or 1,
            vertical_overflow="crop",
        )

    def start(self, plan: RunPlan) -> None:
        """Begin to draw. A resumed run shows the metrics that its folder already holds."""
        self.started = self.clock()
        self.state = DashboardState(plan)
        metrics = Path(plan.run_dir) / METRICS_FILE
        if metrics.is_file():
            self.state.history.rows.extend(read_metrics(metrics))
        atexit.register(self.close)
        self.catch_termination()
        self.live.start(refresh=True)

    def phase(self, name: str, detail: str = "", fraction: float | None = None) -> None:
        """Show what is being done."""
        with self.lock:
            if self.state is not None:
                self.state.phase, self.state.detail, self.state.fraction = name, detail, fraction
        self.redraw()

    def update(self, metrics: dict[str, float]) -> None:
        """Show the metrics of one iteration."""
        with self.lock:
            if self.state is None:
                return
            self.state.history.record(metrics)
            self.state.phase, self.state.detail, self.state.fraction = "", "", None
            self.updates.append((self.clock(), self.state.history.rows[-1]["iteration"]))
        self.redraw()

    def log(self, message: str) -> None:
        """Print a message above the rows; it scrolls away with them."""
        self.console.print(Text(visible_text(message)))

    def finish(self, summary: dict[str, object]) -> None:
        """Leave the last frame and the result on the screen, and give the terminal back."""
        if self.state is not None:
            self.state.phase, self.state.fraction = "", None
        self.close()
        width = max((len(key) for key in summary), default=0)
        for key, value in summary.items():
            self.console.print(Text.assemble((f"{one_line(key):<{width}}  ", "dim"), one_line(summary_value(value))))

    def __enter__(self) -> Self:
        """Return the view."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back, also after an exception or Ctrl-C."""
        self.close()

    def close(self) -> None:
        """Stop drawing and show the cursor again; calling it twice does no harm."""
        self.live.stop()
        atexit.unregister(self.close)
        for number, handler in self.previous_handlers.items():
            signal.signal(number, handler)
        self.previous_handlers.clear()

    def redraw(self) -> None:
        """Draw now where no thread does it."""
        if self.live.is_started and not self.live.auto_refresh:
            self.live.refresh()

    def render(self) -> Group:
        """Build the current frame for the current size."""
        with self.lock:
            if self.state is None:
                return Group()
            now = self.clock()
            self.state.elapsed = now - self.started
            self.state.left = self.seconds_left(now)
            width, height = self.console.size
            return Group(*build_frame(self.state, width, height))

    def seconds_left(self, now: float) -> float | None:
        """Estimate the seconds left from the pace of the last iterations; None before there is a pace."""
        if self.state is None or len(self.updates) < 2:
            return None
        (first_time, first), (last_time, last) = self.updates[0], self.updates[-1]
        if last <= first:
            return None
        pace = (last_time - first_time) / (last - first)
        return max(0.0, pace * (self.state.plan.iterations - last) - (now - last_time))

    def catch_termination(self) -> None:
        """Give the terminal back before a SIGTERM or SIGHUP that nobody else handles ends the process."""
        if threading.current_thread() is not threading.main_thread():
            return  # only the main thread may set handlers
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, self.terminate)
                self.previous_handlers[number] = signal.SIG_DFL

    def terminate(self, number: int, frame: FrameType | None) -> None:
        """Restore the terminal, then die of the signal as without us."""
        self.close()
        os.kill(os.getpid(), number)
