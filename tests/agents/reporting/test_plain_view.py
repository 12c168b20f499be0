"""Plain progress lines: exact text, at the right moments, without escape codes."""

import io
import itertools

import pytest

from rlenvs.agents.reporting import RunPlan, make_view
from rlenvs.agents.reporting.formatting import format_count, format_duration, format_number, sparkline
from rlenvs.agents.reporting.plain import PlainView, iteration_line

PLAN = RunPlan(
    name="demo",
    run_dir="runs/demo",
    iterations=100,
    components=["correct", "brevity"],
    device="cpu",
    model="decoder 3x128",
    parameters=612_345,
)
METRICS = {
    "iteration": 20,
    "step": 10_240,
    "accuracy/greedy": 0.5,
    "accuracy/sampled": 0.4375,
    "accuracy/train": 0.41,
    "reward/total": 0.532,
    "kl": 0.0123,
    "entropy": 1.2,
    "length/mean": 33.25,
    "time/tokens_per_second": 1204.4,
    "component/correct/contribution": 0.41,
    "component/brevity/contribution": -0.02,
    "failures/brevity": 2,
    "something/unknown": 1.0,
}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def make_plain() -> tuple[PlainView, io.StringIO, Clock]:
    stream, clock = io.StringIO(), Clock()
    return PlainView(stream, clock), stream, clock


def test_the_start_says_what_is_trained() -> None:
    view, stream, _ = make_plain()
    view.start(PLAN)
    assert stream.getvalue().splitlines() == [
        "run demo: 100 iterations on cpu, decoder 3x128 (612k parameters), run folder runs/demo",
        "reward components: correct, brevity",
    ]


def test_the_golden_line_of_an_iteration() -> None:
    assert iteration_line(METRICS, 20, PLAN, left=250.0) == (
        "iter  20/100 | step 10.2k | greedy 50.0% | sampled 43.8% | train 41.0% | reward +0.532 | kl 0.0123 | "
        "entropy 1.200 | tokens 33.25 | tok/s 1204 | left 4m10s | parts correct +0.410, brevity -0.0200 | FAILED brevity 2"
    )


def test_missing_metrics_keep_the_fields_in_place() -> None:
    assert iteration_line({}, 0, RunPlan(name="x", run_dir="x", iterations=5)) == (
        "iter 0/5 | step 0 | greedy - | sampled - | train - | reward - | kl - | entropy - | tokens - | tok/s - | left -"
    )


def iterations_of(text: str) -> list[int]:
    return [int(line.split("/")[0].removeprefix("iter")) for line in text.splitlines() if line.startswith("iter")]


def test_fast_iterations_get_a_line_in_ten() -> None:
    view, stream, clock = make_plain()
    view.start(PLAN)
    for iteration in range(101):
        clock.now += 0.01
        view.update({"iteration": iteration})
    assert iterations_of(stream.getvalue()) == list(range(0, 101, 10))


def test_slow_iterations_get_a_line_each_two_seconds() -> None:
    view, stream, clock = make_plain()
    view.start(PLAN)
    for iteration in range(10):
        clock.now += 0.75
        view.update({"iteration": iteration})
    assert iterations_of(stream.getvalue()) == [0, 3, 6, 9]


def test_evaluations_and_the_last_iteration_always_get_a_line() -> None:
    view, stream, _ = make_plain()
    view.start(RunPlan(name="x", run_dir="x", iterations=8))
    for iteration in range(9):
        view.update({"iteration": iteration} | ({"accuracy/greedy": 0.1} if iteration in {2, 3} else {}))
    assert iterations_of(stream.getvalue()) == [0, 2, 3, 8]


def test_the_time_left_follows_the_pace() -> None:
    view, stream, clock = make_plain()
    view.start(PLAN)
    for iteration in range(0, 21, 10):
        view.update({"iteration": iteration})
        clock.now += 30.0
    assert [line.rsplit("left ")[1].split(" |")[0] for line in stream.getvalue().splitlines()[2:]] == [
        "-",
        "4m30s",
        "4m00s",
    ]


def test_phases_are_throttled() -> None:
    view, stream, clock = make_plain()
    for tenth in range(11):
        view.phase("warm start", f"loss {1 - tenth / 10:.1f}", tenth / 10)
        clock.now += 4.0
    for _ in range(5):
        view.phase("rollout")
    assert stream.getvalue().splitlines() == [
        "phase warm start 0%: loss 1.0",
        "phase warm start 30%: loss 0.7",
        "phase warm start 60%: loss 0.4",
        "phase warm start 90%: loss 0.1",
        "phase warm start 100%: loss 0.0",
        "phase rollout",
    ]


def test_messages_and_names_cannot_act_on_a_terminal() -> None:
    view, stream, _ = make_plain()
    view.log("bad \x1b[2J\x07\nsecond line \u202e")
    view.finish({"accuracy/greedy": 0.85, "model": "runs/demo/model"})
    assert stream.getvalue() == (
        "bad \\x1b[2J\\x07 second line \\u202e\nfinished: accuracy/greedy 0.850, model runs/demo/model\n"
    )


def test_an_ascii_stream_is_not_a_problem() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    PlainView(stream).log("café")
    assert raw.getvalue() == b"caf\\xe9\n"


class Terminal(io.StringIO):
    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("CI", raising=False)
    return Terminal()


def kind(view: object) -> str:
    return type(view).__name__


def test_a_terminal_gets_the_live_view_and_anything_else_plain_lines(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kind(make_view(stream=terminal)) == "LiveView"
    assert kind(make_view(plain=True, stream=terminal)) == "PlainView"
    assert kind(make_view(plain=False, stream=io.StringIO())) == "PlainView"
    monkeypatch.setenv("CI", "true")
    assert kind(make_view(stream=terminal)) == "PlainView"
    assert kind(make_view(plain=False, stream=terminal)) == "LiveView"
    monkeypatch.setenv("TERM", "dumb")
    assert kind(make_view(plain=False, stream=terminal)) == "PlainView"


def test_without_rich_the_view_is_plain(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert kind(make_view(stream=terminal)) == "PlainView"


def test_an_encoding_without_blocks_gets_plain_lines(terminal: Terminal) -> None:
    terminal.encoding = "latin-1"  # type: ignore[misc]
    assert kind(make_view(stream=terminal)) == "PlainView"


def test_no_escape_codes_when_not_on_a_terminal() -> None:
    stream = io.StringIO()
    with make_view(stream=stream) as view:
        view.start(PLAN)
        view.phase("warm start", fraction=0.5)
        view.update(METRICS)
        view.log("message")
        view.finish({"steps": 1})
    assert "\x1b" not in stream.getvalue()
    assert len(stream.getvalue().splitlines()) == 6


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.00001, "-1.0e-05"),
        (0.01234, "0.0123"),
        (9.8765, "9.877"),
        (56.789, "56.79"),
        (567.89, "567.9"),
        (12_345.6, "12346"),
        (1_234_567.0, "1.23M"),
        (float("nan"), "-"),
        (float("-inf"), "-inf"),
        (1e15, "1.00e+15"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    assert format_number(value) == text


def test_durations_and_counts_at_their_borders() -> None:
    assert [format_duration(s) for s in (0, 59.4, 59.6, 3599.4, 3600, 86_399, 86_400)] == [
        "0s", "59s", "1m00s", "59m59s", "1h00m", "23h59m", "1d00h",
    ]  # fmt: skip
    assert [format_count(n) for n in (0, 999, 1000, 999_000, 1_000_000, 7_600_000_000)] == [
        "0", "999", "1k", "999k", "1M", "7.6G",
    ]  # fmt: skip


def test_sparklines() -> None:
    assert sparkline([1, 1, 1], 5) == "▄▄▄"
    assert sparkline([0, float("nan"), 7], 5) == "▁█"
    assert sparkline([], 5) == sparkline([1, 2], 0) == ""
    assert sparkline(list(range(800)), 8) == "▁▂▃▄▅▆▇█"
    rising = sparkline([x * x for x in range(100)], 20)
    assert len(rising) == 20
    assert all(a <= b for a, b in itertools.pairwise(rising))
