"""Progress as plain lines: for log files, CI, pipes and dumb terminals. No escape codes, ASCII field names."""

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, TextIO

from rlenvs.agents.reporting.formatting import (
    format_count,
    format_duration,
    format_number,
    format_percent,
    one_line,
)
from rlenvs.agents.reporting.view import RunPlan, component_names, counts_episodes, is_supervised

SECONDS_BETWEEN_LINES = 2.0
ITERATIONS_BETWEEN_LINES = 10
SECONDS_BETWEEN_PHASE_LINES = 10.0


class PlainView:
    """One compact line per interval.

    An iteration gets a line when it was evaluated, when it is the last one, or when 2 s or 10 iterations have passed
    since the last line. Fields keep their order; a missing value is `-`.

    Args:
        stream: Where the lines go.
        clock: Seconds, monotonic.

    Example:
        >>> import sys
        >>> from rlenvs.agents.reporting import RunPlan
        >>> view = PlainView(sys.stdout)
        >>> view.start(RunPlan(name="demo", run_dir="runs/demo", iterations=1))
        run demo: 1 iterations on cpu, run folder runs/demo
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self.stream = stream
        self.clock = clock
        self.plan: RunPlan | None = None
        self.line_time = -SECONDS_BETWEEN_LINES
        self.line_iteration = -ITERATIONS_BETWEEN_LINES
        self.phase_times: dict[str, float] = {}
        self.first_update: tuple[float, int] | None = None

    def start(self, plan: RunPlan) -> None:
        """Write what is about to be trained."""
        self.plan = plan
        parameters = f" ({format_count(plan.parameters)} parameters)" if plan.parameters else ""
        model = f"{plan.model}{parameters}, " if plan.model else ""
        self.write(f"run {plan.name}: {plan.iterations} iterations on {plan.device}, {model}run folder {plan.run_dir}")
        if plan.components:
            self.write("reward components: " + ", ".join(plan.components))

    def phase(self, name: str, detail: str = "", fraction: float | None = None) -> None:
        """Write a phase when it first appears, then every 10 s while it reports a fraction, and when it is done."""
        now = self.clock()
        last = self.phase_times.get(name)
        due = last is None or (fraction is not None and (fraction >= 1 or now - last >= SECONDS_BETWEEN_PHASE_LINES))
        if due:
            self.phase_times[name] = now
            share = f" {100 * fraction:.0f}%" if fraction is not None else ""
            self.write(f"phase {name}{share}" + (f": {detail}" if detail else ""))

    def update(self, metrics: dict[str, float]) -> None:
        """Write the line of an iteration when one is due."""
        now, iteration = self.clock(), int(metrics.get("iteration", self.line_iteration + 1))
        if self.first_update is None:
            self.first_update = (now, iteration)
        evaluated = "accuracy/greedy" in metrics or "accuracy/sampled" in metrics
        last = self.plan is not None and iteration >= self.plan.iterations
        late = now - self.line_time >= SECONDS_BETWEEN_LINES
        if evaluated or last or late or iteration - self.line_iteration >= ITERATIONS_BETWEEN_LINES:
            self.line_time, self.line_iteration = now, iteration
            self.write(iteration_line(metrics, iteration, self.plan, self.seconds_left(now, iteration)))

    def log(self, message: str) -> None:
        """Write a message."""
        self.write(message)

    def finish(self, summary: dict[str, object]) -> None:
        """Write the result, one line."""
        self.write("finished: " + ", ".join(f"{key} {summary_value(value)}" for key, value in summary.items()))

    def __enter__(self) -> Self:
        """Return the view."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: there is nothing to restore."""

    def seconds_left(self, now: float, iteration: int) -> float | None:
        """Estimate the seconds left from the mean pace since the first update; None before there is a pace."""
        if self.first_update is None or self.plan is None or iteration <= self.first_update[1]:
            return None
        pace = (now - self.first_update[0]) / (iteration - self.first_update[1])
        return pace * max(0, self.plan.iterations - iteration)

    def write(self, line: str) -> None:
        """Write one line and flush, so that `tail -f` shows it."""
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        safe = one_line(line).encode(encoding, "backslashreplace").decode(encoding)
        self.stream.write(safe + "\n")
        self.stream.flush()


def summary_value(value: object) -> str:
    """Write a value of a summary."""
    return format_number(value) if isinstance(value, float) else str(value)


def iteration_line(
    metrics: Mapping[str, float], iteration: int, plan: RunPlan | None, left: float | None = None
) -> str:
    """Write one iteration as one line.

    Args:
        metrics: The metrics of the iteration.
        iteration: Its number.
        plan: The plan, for the number of iterations and the order of components.
        left: Estimated seconds left.
    """
    if is_supervised(metrics):
        return step_line(metrics, iteration, plan, left)
    planned = f"/{plan.iterations}" if plan else ""
    width = len(planned) - 1
    failed = {key: int(value) for key, value in metrics.items() if key.startswith("failures/") and value > 0}
    fields = [
        f"iter {iteration:>{max(width, 1)}}{planned}",
        f"step {format_count(metrics.get('step', 0.0))}",
        f"greedy {format_percent(metrics.get('accuracy/greedy'))}",
        f"sampled {format_percent(metrics.get('accuracy/sampled'))}",
        f"train {format_percent(metrics.get('accuracy/train'))}",
        *(episode_fields(metrics) if counts_episodes(metrics) else message_fields(metrics)),
        f"left {format_duration(left)}",
    ]
    parts = [
        f"{name} {format_number(metrics.get(f'component/{name}/contribution'), signed=True)}"
        for name in component_names(plan, metrics)
    ]
    if parts:
        fields.append("parts " + ", ".join(parts))
    if failed:
        fields.append("FAILED " + ", ".join(f"{key.removeprefix('failures/')} {n}" for key, n in failed.items()))
    return " | ".join(fields)


def message_fields(metrics: Mapping[str, float]) -> list[str]:
    """Write what is particular to a language model that writes messages."""
    return [
        f"reward {format_number(metrics.get('reward/total'), signed=True)}",
        f"kl {format_number(metrics.get('kl'))}",
        f"entropy {format_number(metrics.get('entropy'))}",
        f"tokens {format_number(metrics.get('length/mean'))}",
        f"tok/s {format_number(metrics.get('time/tokens_per_second'))}",
    ]


def episode_fields(metrics: Mapping[str, float]) -> list[str]:
    """Write what is particular to an agent that acts token by token: what its episodes brought."""
    return [
        f"return {format_number(metrics.get('return/true'), signed=True)}",
        f"shaped {format_number(metrics.get('return/shaped'), signed=True)}",
        f"entropy {format_number(metrics.get('entropy'))}",
        f"tokens {format_number(metrics.get('length/mean'))}",
        f"steps/s {format_number(metrics.get('time/steps_per_second'))}",
    ]


def step_line(metrics: Mapping[str, float], step: int, plan: RunPlan | None, left: float | None = None) -> str:
    """Write one optimiser step of a supervised run as one line; the arguments are those of `iteration_line`."""
    planned = f"/{plan.iterations}" if plan else ""
    fields = [
        f"step {step:>{max(len(planned) - 1, 1)}}{planned}",
        f"epoch {metrics.get('epoch', 0.0):.2f}",
        f"loss {format_number(metrics.get('loss/train'))}",
        f"held out {format_number(metrics.get('loss/held_out'))}",
        f"greedy {format_percent(metrics.get('accuracy/greedy'))}",
        f"sampled {format_percent(metrics.get('accuracy/sampled'))}",
        f"train {format_percent(metrics.get('accuracy/train'))}",
        f"gradient {format_number(metrics.get('grad_norm'))}",
        f"tok/s {format_number(metrics.get('time/tokens_per_second'))}",
        f"left {format_duration(left)}",
    ]
    return " | ".join(fields)
