"""One frame of the live view: state and size in, lines of styled text out. Nothing here touches a terminal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rich.text import Text

from rlenvs.agents.reporting.formatting import (
    format_count,
    format_duration,
    format_number,
    format_percent,
    one_line,
    sparkline,
)
from rlenvs.agents.reporting.view import LOSSES, RETURNS, MetricHistory, RunPlan, component_names, is_supervised

MAX_WIDTH = 110  # wider rows are hard to follow with the eye
TREND_WIDTH = 40
MIN_COMPONENT_ROWS = 2
ACCENT = "cyan"
SEPARATOR = " · "


@dataclass
class DashboardState:
    """Everything the live view shows.

    Args:
        plan: The run.
        history: Metrics so far.
        phase: Name of what is being done now, "" when nothing was said.
        detail: A few words on the phase.
        fraction: How far the phase is, in [0, 1].
        elapsed: Seconds since the start.
        left: Estimated seconds left.
    """

    plan: RunPlan
    history: MetricHistory = field(default_factory=MetricHistory)
    phase: str = ""
    detail: str = ""
    fraction: float | None = None
    elapsed: float = 0.0
    left: float | None = None


def build_frame(state: DashboardState, width: int, height: int) -> list[Text]:
    """Lay the state out in at most `width` columns and `height` rows.

    Where the space is short, blank lines go first, then the run folder, the environment's reward and the timing line;
    then the components with the smallest contributions are summed up in one row.

    Args:
        state: What to show.
        width: Columns of the terminal.
        height: Rows of the terminal.

    Returns:
        The rows, each no wider than `width`.
    """
    columns = min(width, MAX_WIDTH)
    budget = max(1, height - 1)  # the cursor keeps the last row, or the terminal would scroll
    rows = compose(state, columns, budget)
    for row in rows:
        row.truncate(columns, overflow="ellipsis")
        row.no_wrap = True
    return rows[:budget]


def compose(state: DashboardState, columns: int, budget: int) -> list[Text]:
    """Choose the blocks that fit the budget of rows."""
    if any(map(is_supervised, state.history.rows)):
        return compose_supervised(state, columns, budget)
    names = component_names(state.plan, {key: 0.0 for row in state.history.rows[-1:] for key in row})
    head = [title_row(state, columns), progress_row(state, columns)]
    status = [status_row(state)]
    accuracy = [*accuracy_rows(state.history, columns), *return_rows(state.history, columns)]
    total = [total_row(state.history, columns)]
    environment = [environment_row(state.history, columns)] if state.history.series("reward/env") else []
    health, timing = [health_row(state.history)], [timing_row(state.history)]
    gap = [Text()]

    def size() -> int:
        fixed = [head, status, accuracy, total, environment, health, timing, *([gap] * 3 if gap else [])]
        return sum(len(block) for block in fixed) + 1  # and the heading of the rewards

    droppable: list[list[Text]] = [gap, environment, timing, health]
    if not state.phase:
        droppable.insert(1, status)
    for block in droppable:
        if size() + min(len(names), MIN_COMPONENT_ROWS + 2 * (block is not gap)) <= budget:
            break
        block.clear()
    if gap and size() + len(names) > budget:
        gap.clear()
    rewards = [rewards_heading(columns), *component_rows(state.history, names, columns, budget - size())]
    return [*head, *status, *gap, *accuracy, *gap, *rewards, *total, *environment, *gap, *health, *timing]


def compose_supervised(state: DashboardState, columns: int, budget: int) -> list[Text]:
    """Choose the blocks of a supervised run: losses stand in the place of rewards."""
    head, losses = [title_row(state, columns), progress_row(state, columns)], loss_rows(state.history, columns)
    accuracy = accuracy_rows(state.history, columns)
    status, health, timing = [status_row(state)], [health_row(state.history)], [timing_row(state.history)]
    blocks = [head, status, [Text()], losses, [Text()], accuracy, [Text()], health, timing]
    for place in (2, 4, 6, 8, 7, 1):  # what goes first where the space is short
        if sum(map(len, blocks)) > budget:
            blocks[place] = []
    return [row for block in blocks for row in block]


def loss_rows(history: MetricHistory, columns: int) -> list[Text]:
    """Loss on the demonstrations, those that are learned and those that only measure."""
    rows = [heading("loss, nats per token", ["before", "now", "best"], columns)]
    for key, name in LOSSES:
        values = history.series(key)
        cells = [history.before_training(key), history.latest(key), min(values, default=None)]
        trend = sparkline(values, trend_width(columns, 3))
        rows.append(table_row(Text(name), [format_number(cell) for cell in cells], trend, columns))
    return rows


def title_row(state: DashboardState, columns: int) -> Text:
    """Name of the run on the left; device and model on the right."""
    plan = state.plan
    facts = [plan.device, plan.model, f"{format_count(plan.parameters)} parameters" if plan.parameters else ""]
    left = Text(one_line(plan.name), style="bold")
    right = Text(SEPARATOR.join(one_line(fact) for fact in facts if fact), style="dim")
    room = max(1, columns - right.cell_len)
    left.truncate(max(12, room - 1), overflow="ellipsis")
    return Text.assemble(left, " " * max(1, columns - left.cell_len - right.cell_len), right)


def progress_row(state: DashboardState, columns: int) -> Text:
    """A bar of the phase when it knows how far it is, else of the iterations."""
    iteration = int(state.history.latest("iteration") or 0)
    planned = state.plan.iterations
    if state.fraction is not None:
        share = min(1.0, max(0.0, state.fraction))
        label = f"{100 * share:.0f}%{SEPARATOR}{format_duration(state.elapsed)}"
    else:
        share = min(1.0, iteration / planned) if planned else 1.0
        left = f"{SEPARATOR}{format_duration(state.left)} left" if state.left is not None else ""
        label = f"iteration {iteration}/{planned}{SEPARATOR}{format_duration(state.elapsed)}{left}"
    room = max(4, columns - len(label) - 2)
    done = round(share * room)
    return Text.assemble(("━" * done, ACCENT), ("━" * (room - done), "bright_black"), "  ", label)


def status_row(state: DashboardState) -> Text:
    """The phase, or the run folder when nothing was said."""
    if not state.phase:
        return Text(one_line(str(state.plan.run_dir)), style="dim")
    detail = SEPARATOR + one_line(state.detail) if state.detail else ""
    return Text.assemble((one_line(state.phase), ACCENT), (detail, "dim"))


def name_width(columns: int) -> int:
    """Columns of the first column of both tables."""
    return 24 if columns >= 70 else 18 if columns >= 50 else 12


def number_width(columns: int) -> int:
    """Columns of a number."""
    return 10 if columns >= 50 else 8


def table_row(name: Text, cells: Sequence[str], trend: str, columns: int, style: str = "") -> Text:
    """Lay out a name, right-aligned numbers and a trend."""
    width = name_width(columns)
    label = name.copy()
    label.truncate(width, overflow="ellipsis", pad=True)
    numbers = "".join(f"{cell:>{number_width(columns)}}" for cell in cells)
    return Text.assemble(label, (numbers, style), "  ", (trend, ACCENT))


def trend_width(columns: int, cells: int) -> int:
    """Columns left for a sparkline."""
    return max(0, min(TREND_WIDTH, columns - name_width(columns) - cells * number_width(columns) - 2))


def heading(name: str, cells: Sequence[str], columns: int) -> Text:
    """The dim first row of a table."""
    row = table_row(Text(name), cells, "trend" if trend_width(columns, len(cells)) >= 5 else "", columns)
    row.stylize("dim")
    return Text.assemble(row)


def accuracy_rows(history: MetricHistory, columns: int) -> list[Text]:
    """True accuracy: held-out greedy and sampled, and of the training rollouts."""
    rows = [heading("true accuracy", ["before", "now", "best"], columns)]
    for key, name in (
        ("accuracy/greedy", "held-out greedy"),
        ("accuracy/sampled", "held-out sampled"),
        ("accuracy/train", "training rollouts"),
    ):
        values = history.series(key)
        cells = [history.before_training(key), history.latest(key), max(values, default=None)]
        trend = sparkline(values, trend_width(columns, 3))
        rows.append(table_row(Text(name), [format_percent(cell) for cell in cells], trend, columns))
    return rows


def return_rows(history: MetricHistory, columns: int) -> list[Text]:
    """What episodes brought, by the environment alone and as it was trained on; nothing where it is not measured."""
    if not history.series("return/true"):
        return []
    rows = [heading("return per episode", ["first", "now", "best"], columns)]
    for key, name in RETURNS:
        if values := history.series(key):
            cells = [values[0], values[-1], max(values)]
            trend = sparkline(values, trend_width(columns, 3))
            rows.append(table_row(Text(name), [format_number(cell, signed=True) for cell in cells], trend, columns))
    return rows


def rewards_heading(columns: int) -> Text:
    """Column names of the reward table; the trend is that of the contribution."""
    return heading("reward", ["raw", "weight", "contrib"], columns)


def component_rows(history: MetricHistory, names: Sequence[str], columns: int, room: int) -> list[Text]:
    """One row per component, those with the smallest contributions summed up when the room is short."""
    if len(names) <= room:
        return [component_row(history, name, columns) for name in names]
    if room < 1:
        return []

    def contribution(name: str) -> float:
        return history.latest(f"component/{name}/contribution") or 0.0

    ranked = sorted(names, key=lambda name: -abs(contribution(name)))
    kept, rest = set(ranked[: room - 1]), ranked[room - 1 :]
    rows = [component_row(history, name, columns) for name in names if name in kept]
    others = format_number(sum(contribution(name) for name in rest), signed=True)
    return [*rows, table_row(Text(f"{len(rest)} more", style="dim"), ["", "", others], "", columns)]


def component_row(history: MetricHistory, name: str, columns: int) -> Text:
    """Raw mean, weight and contribution of one component, with its failures."""
    failures = history.latest(f"failures/{name}") or 0
    label = Text(one_line(name))
    if failures:
        label = Text.assemble((f"{failures:.0f} failed ", "bold red"), label)
    series = history.series(f"component/{name}/contribution")
    cells = [
        format_number(history.latest(f"component/{name}/raw")),
        format_number(history.latest(f"weight/{name}")),
        format_number(series[-1] if series else None, signed=True),
    ]
    return table_row(label, cells, sparkline(series, trend_width(columns, 3)), columns)


def total_row(history: MetricHistory, columns: int) -> Text:
    """The shaped reward: what the policy is trained on."""
    series = history.series("reward/total")
    value = format_number(series[-1] if series else None, signed=True)
    trend = sparkline(series, trend_width(columns, 3))
    return table_row(Text("shaped reward", style="bold"), ["", "", value], trend, columns, style="bold")


def environment_row(history: MetricHistory, columns: int) -> Text:
    """The environment's own reward, before shaping."""
    series = history.series("reward/env")
    cells = [format_number(series[-1]), "", ""]
    return table_row(
        Text("environment reward", style="dim"), cells, sparkline(series, trend_width(columns, 3)), columns
    )


def facts_row(history: MetricHistory, facts: Sequence[tuple[str, str, Callable[[float], str]]]) -> Text:
    """Join `label value` pairs of the metrics that exist."""
    row = Text()
    for label, key, write in facts:
        value = history.latest(key)
        if value is not None:
            before, _, after = label.partition("*")
            row.append(SEPARATOR if row else "")
            row.append(before, "dim").append(write(value)).append(after, "dim")
    return row


def health_row(history: MetricHistory) -> Text:
    """Whether the update behaves: divergence from the reference, entropy, clipping, gradient."""
    return facts_row(
        history,
        [
            ("KL ", "kl", format_number),
            ("entropy * nats/token", "entropy", format_number),
            ("clipped ", "clip_fraction", format_percent),
            ("gradient ", "grad_norm", format_number),
            ("exploration ", "exploration_rate", format_percent),
        ],
    )


def timing_row(history: MetricHistory) -> Text:
    """Lengths of the answers and speed."""
    return facts_row(
        history,
        [
            ("tokens * mean", "length/mean", format_number),
            ("* max", "length/max", format_count),
            ("cut ", "length/cut", format_percent),
            ("* tokens/s", "time/tokens_per_second", format_number),
            ("* steps/s", "time/steps_per_second", format_number),
        ],
    )
