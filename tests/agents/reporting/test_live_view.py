"""The live view: every frame fits its terminal, and the terminal is given back whatever happens."""

import io
import os
import pty
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from rlenvs.agents.reporting import RunPlan
from rlenvs.agents.reporting.dashboard import LiveView
from rlenvs.agents.reporting.frame import DashboardState, build_frame
from rlenvs.agents.reporting.view import MetricHistory

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


def make_plan(components: int = 4, run_dir: str = "runs/demo", iterations: int = 60) -> RunPlan:
    return RunPlan(
        name="arithmetic-ppo",
        run_dir=run_dir,
        iterations=iterations,
        components=[f"component-{index}" for index in range(components)],
        device="cuda:0",
        model="decoder 3x128",
        parameters=612_345,
    )


def metrics_at(iteration: int, components: int = 4) -> dict[str, float]:
    row = {
        "iteration": iteration,
        "step": 64 * iteration,
        "accuracy/train": 0.2 + iteration / 100,
        "reward/total": iteration / 60,
        "reward/env": 0.2,
        "kl": iteration / 1000,
        "entropy": 1.5,
        "clip_fraction": 0.03,
        "grad_norm": 0.7,
        "length/mean": 31.0,
        "length/max": 64.0,
        "length/cut": 0.02,
        "time/tokens_per_second": 1203.0,
    }
    if iteration % 5 == 0:
        row |= {"accuracy/greedy": 0.1 + iteration / 80, "accuracy/sampled": 0.08 + iteration / 90}
    for index in range(components):
        row[f"component/component-{index}/raw"] = 0.5
        row[f"component/component-{index}/contribution"] = 0.5 / (1 + index)
        row[f"weight/component-{index}"] = 1 / (1 + index)
    return row


def make_state(components: int = 4, updates: int = 21) -> DashboardState:
    history = MetricHistory()
    for iteration in range(updates):
        history.record(metrics_at(iteration, components))
    return DashboardState(make_plan(components), history, elapsed=300.0, left=600.0)


def lines_of(state: DashboardState, width: int, height: int) -> list[str]:
    return [row.plain.rstrip() for row in build_frame(state, width, height)]


def test_the_golden_frame_at_80_by_24() -> None:
    assert lines_of(make_state(2), 80, 24) == [
        "arithmetic-ppo                          cuda:0 · decoder 3x128 · 612k parameters",
        "━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━  iteration 20/60 · 5m00s · 10m00s left",
        "runs/demo",
        "",
        "true accuracy               before       now      best  trend",
        "held-out greedy              10.0%     35.0%     35.0%  ▁▃▅▆█",
        "held-out sampled              8.0%     30.2%     30.2%  ▁▃▅▆█",
        "training rollouts            20.0%     40.0%     40.0%  ▁▁▂▂▂▃▃▃▄▄▅▅▅▆▆▆▇▇▇██",
        "",
        "reward                         raw    weight   contrib  trend",
        "component-0                  0.500     1.000    +0.500  ▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄",
        "component-1                  0.500     0.500    +0.250  ▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄",
        "shaped reward                                   +0.333  ▁▁▂▂▂▃▃▃▄▄▅▅▅▆▆▆▇▇▇██",
        "environment reward           0.200                      ▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄",
        "",
        "KL 0.0200 · entropy 1.500 nats/token · clipped 3.0% · gradient 0.700",
        "tokens 31.00 mean · 64 max · cut 2.0% · 1203 tokens/s",
    ]


def test_a_small_terminal_keeps_what_matters() -> None:
    lines = lines_of(make_state(8), 60, 15)
    assert len(lines) == 14
    assert any(line.startswith("held-out greedy") for line in lines)
    assert any(line.startswith("shaped reward") for line in lines)
    assert any(line.startswith("KL 0.0200") for line in lines)
    rest = next(line for line in lines if "more" in line)
    count = int(rest.split()[0])
    assert sum(line.startswith("component-") for line in lines) == 8 - count
    hidden = sum(0.5 / (1 + index) for index in range(8 - count, 8))
    assert float(rest.split()[-1]) == pytest.approx(hidden, abs=5e-4)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 200), st.integers(2, 60), st.integers(0, 12), st.integers(0, 12), st.booleans())
def test_every_frame_fits(width: int, height: int, components: int, updates: int, phase: bool) -> None:
    state = make_state(components, updates)
    if phase:
        state.phase, state.detail, state.fraction = "warm start", "loss 0.3" * 20, 1.7
    rows = build_frame(state, width, height)
    assert 1 <= len(rows) <= max(1, height - 1)
    assert all(row.cell_len <= width for row in rows)
    assert all("\n" not in row.plain for row in rows)


def test_failures_and_phases_show() -> None:
    state = make_state(2)
    state.history.rows[-1]["failures/component-1"] = 3
    state.phase, state.detail, state.fraction = "warm start", "loss 0.3", 0.5
    lines = lines_of(state, 80, 24)
    assert "50% · 5m00s" in lines[1]
    assert lines[2] == "warm start · loss 0.3"
    assert any(line.startswith("3 failed component-1") for line in lines)


class Screen:
    """A terminal of the plainest kind: what a person sees after all codes were obeyed."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.rows = [""] * height
        self.x = self.y = 0
        self.cursor_shown = True
        self.above: list[str] = []

    def feed(self, text: str) -> None:
        for code, plain in re.findall(r"(\x1b\[[?\d;]*[A-Za-z]|[\r\n])|([^\x1b\r\n]+)", text):
            self.obey(code) if code else self.write(plain)

    def write(self, text: str) -> None:
        row = self.rows[self.y].ljust(self.x)
        self.rows[self.y] = row[: self.x] + text + row[self.x + len(text) :]
        self.x += len(text)
        assert self.x <= self.width, f"wrapped: {text!r}"

    def obey(self, code: str) -> None:
        if code == "\r":
            self.x = 0
        elif code == "\n":
            self.x, self.y = 0, self.y + 1
            if self.y == self.height:
                self.above.append(self.rows.pop(0))
                self.rows.append("")
                self.y -= 1
        elif code in {HIDE, SHOW}:
            self.cursor_shown = code == SHOW
        elif code.endswith("A"):
            self.y = max(0, self.y - int(code[2:-1]))
        elif code == "\x1b[2K":
            self.rows[self.y] = ""
        elif code == "\x1b[2J":
            self.rows = [""] * self.height
        elif code.endswith("H"):
            self.x = self.y = 0
        else:
            assert code.endswith("m"), f"unknown code {code!r}"

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in [*self.above, *self.rows]]


def make_live(width: int, height: int, **options: bool) -> tuple[LiveView, io.StringIO, Console]:
    stream = io.StringIO()
    console = Console(
        file=stream, force_terminal=True, width=width, height=height, highlight=False, color_system="standard",
        legacy_windows=False, **options,  # type: ignore[arg-type]
    )  # fmt: skip
    now = iter(range(10_000))
    return LiveView(console=console, clock=lambda: float(next(now)), refreshes_per_second=0), stream, console


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 15), (120, 40), (40, 10)])
def test_the_screen_shows_exactly_the_last_frame_and_the_messages(width: int, height: int) -> None:
    view, stream, _ = make_live(width, height)
    screen = Screen(width, height)
    with view:
        view.start(make_plan())
        for tenth in range(11):
            view.phase("warm start", f"loss {tenth}", tenth / 10)
        for iteration in range(61):
            view.update(metrics_at(iteration))
            if iteration % 20 == 7:
                view.log(f"checkpoint [bold]{iteration}[/bold] \x1b[2J")
        screen.feed(stream.getvalue())
        assert not screen.cursor_shown
        view.finish({"accuracy/greedy": 0.85, "model": "runs/demo/model"})
    screen = Screen(width, height)
    screen.feed(stream.getvalue())
    assert view.state is not None
    frame = lines_of(view.state, width, height)
    text = screen.lines
    assert screen.cursor_shown
    assert sum(line.startswith("arithmetic-") for line in text) == 1
    start = next(index for index, line in enumerate(text) if line.startswith("arithmetic-"))
    shown = text[start : start + len(frame)]
    assert [line for line in shown if "iteration 60/60" not in line] == [
        line for line in frame if "iteration 60/60" not in line
    ]
    assert [line for line in text[:start] if line] == [
        f"checkpoint [bold]{iteration}[/bold] \\x1b[2J" for iteration in (7, 27, 47)
    ]
    assert text[start + len(frame) :][:2] == ["accuracy/greedy  0.850", "model            runs/demo/model"]


def test_a_narrower_terminal_leaves_no_torn_rows() -> None:
    view, stream, console = make_live(80, 24)
    with view:
        view.start(make_plan())
        view.update(metrics_at(0))
        stream.seek(0)
        stream.truncate()
        console.width = 60
        view.update(metrics_at(1))
    screen = Screen(60, 24)
    screen.rows = ["torn" * 20] * 24  # what wrapping made of the wide rows
    screen.y = 20
    screen.feed(stream.getvalue())
    assert not any("torn" in line for line in screen.lines)
    assert sum(line.startswith("arithmetic-") for line in screen.lines) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_the_terminal_is_given_back_after_any_exception(error: type[BaseException]) -> None:
    view, stream, console = make_live(80, 24)
    before = sys.stdout, sys.stderr, signal.getsignal(signal.SIGTERM)

    def train() -> None:
        with view:
            view.start(make_plan())
            view.update(metrics_at(0))
            raise error("stop")

    with pytest.raises(error, match="stop"):
        train()
    assert stream.getvalue().rindex(SHOW) > stream.getvalue().rindex(HIDE)
    assert (sys.stdout, sys.stderr, signal.getsignal(signal.SIGTERM)) == before
    written = len(stream.getvalue())
    view.close()
    assert len(stream.getvalue()) == written
    console.print("usable")
    assert stream.getvalue().endswith("usable\n")


def test_no_color_means_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    def colours(no_color: bool) -> list[str]:
        view, stream, _ = make_live(80, 24, no_color=no_color)
        with view:
            view.start(make_plan())
            view.update(metrics_at(0))
        return re.findall(r"\x1b\[[\d;]*\b(?:3[0-7]|9[0-7])m", stream.getvalue())

    assert colours(False)
    assert not colours(True)


def test_a_resumed_run_shows_what_came_before(run_folder: Path) -> None:
    view, _, _ = make_live(80, 24)
    with view:
        view.start(make_plan(0, str(run_folder), iterations=40))
        assert view.state is not None
        assert view.state.history.before_training("accuracy/greedy") == pytest.approx(0.13)
        assert view.state.history.latest("iteration") == 30
        view.update({"iteration": 26, "kl": 0.5})
        assert [row["iteration"] for row in view.state.history.rows[-2:]] == [25, 26]


def test_the_time_left_follows_the_pace_of_the_last_iterations() -> None:
    view, _, _ = make_live(80, 24)
    now = 0.0
    view.clock = lambda: now
    with view:
        view.start(make_plan())
        for iteration in range(31):
            now += 100.0 if iteration < 10 else 2.0
            view.update(metrics_at(iteration))
        assert view.seconds_left(now) == pytest.approx(60.0)
        assert view.seconds_left(now + 10) == pytest.approx(50.0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_killed_process_shows_the_cursor_again(number: int, tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        import os, signal, sys
        from rlenvs.agents.reporting import RunPlan, make_view
        # A background job of a shell starts with Ctrl-C ignored, and so would this process.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with make_view(plain=False) as view:
            view.start(RunPlan(name="demo", run_dir={str(tmp_path)!r}, iterations=3))
            view.update({{"iteration": 0}})
            os.kill(os.getpid(), {int(number)})
            import time
            time.sleep(20)
    """)
    leader, follower = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "PYTHONIOENCODING": "utf-8"}
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=follower, stdout=follower, stderr=follower, env=environment
    )
    os.close(follower)
    output = b""
    try:
        while chunk := os.read(leader, 65_536):
            output += chunk
    except OSError:  # the other end is closed: how a pseudo-terminal says end of file
        pass
    finally:
        os.close(leader)
    assert process.wait(20) == -number
    text = output.decode()
    assert text.rindex(SHOW) > text.rindex(HIDE)
