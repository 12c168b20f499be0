"""Which curves a report shows, and from which metrics."""

import json
import math
from collections.abc import Callable, Sequence

from rlenvs.agents.reporting.formatting import format_number, format_percent, one_line, typeset
from rlenvs.agents.reporting.markup import html_attribute, html_text
from rlenvs.agents.reporting.panels import Panel, Rows, Section, metric_series, panel
from rlenvs.agents.reporting.svg import COLOURS, Series, line_chart, thin_out
from rlenvs.agents.reporting.tally import Tally
from rlenvs.agents.reporting.view import (
    LOSSES,
    RETURNS,
    component_names,
    counts_episodes,
    held_out_keys,
    is_supervised,
)


def build_sections(rows: Rows, tally: Tally | None) -> list[Section]:
    """Return all charts of a report.

    Args:
        rows: Metrics by iteration.
        tally: Statistics of the rollouts, None when none are stored.
    """
    if any(map(is_supervised, rows)):
        return [Section("learning", "Loss and accuracy", supervised_panels(rows))]
    if any(map(counts_episodes, rows)):
        accuracy, *others = learning_panels(rows, tally)
        return [
            Section("learning", "Accuracy and returns", [accuracy, return_panel(rows), *others]),
            Section("components", "Reward components", component_panels(rows)),
            Section("policy", "Policy and optimisation", agent_panels(rows)),
            Section("lengths", "Lengths and speed", step_panels(rows)),
        ]
    return [
        Section("learning", "Accuracy and reward", learning_panels(rows, tally)),
        Section("components", "Reward components", component_panels(rows)),
        Section("policy", "Policy and optimisation", policy_panels(rows)),
        Section("lengths", "Lengths and speed", length_panels(rows)),
    ]


def learning_panels(rows: Rows, tally: Tally | None) -> list[Panel]:
    """True accuracy beside the shaped reward: where the second rises alone, the policy games it."""
    accuracy = [
        ("accuracy/greedy", "held-out, greedy"),
        ("accuracy/sampled", "held-out, sampled"),
        ("accuracy/train", "training rollouts"),
    ]
    reward = [
        ("reward/total", "shaped"),
        ("reward/env", "environment"),
        ("reward/potential", "potential terms"),
    ]
    return [
        panel(
            rows, "True accuracy", "share of right answers", accuracy, percent=True, zero=True,
            hint="By the grader alone: no reward component can move it.",
        ),
        *held_out_panels(rows),
        panel(
            rows, "Reward", "mean per step", reward,
            hint="Shaped is what the policy is trained on. Where it rises and accuracy does not, the policy games it.",
        ),
        verdict_panel(tally),
    ]  # fmt: skip


def held_out_panels(rows: Rows) -> list[Panel]:
    """What reward components say of held-out problems, where they are asked."""
    lines = [(key, ", ".join(key.split("/")[1:])) for key in held_out_keys(rows)]
    hint = "Without weights: schedules do not move it."
    return [panel(rows, "Held-out rewards", "mean raw value", lines, zero=True, hint=hint)] if lines else []


def return_panel(rows: Rows) -> Panel:
    """What episodes brought: the environment's own sum beside the one that is trained on."""
    hint = "True is what the environment paid, whatever was added: only true returns can be compared between runs."
    return panel(rows, "Return", "mean sum per episode", RETURNS, zero=True, hint=hint)


def agent_panels(rows: Rows) -> list[Panel]:
    """Whether an agent still explores, and whether its updates behave; what its algorithm has none of is left out."""
    found = [
        panel(
            rows, "Entropy", "nats per action", [("entropy", "entropy")], zero=True,
            hint="Near 0 the policy no longer explores.",
        ),
        panel(
            rows, "Exploration", "share of random actions", [("exploration_rate", "exploration")],
            percent=True, zero=True,
        ),
        panel(
            rows, "KL of one update", "nats per action", [("approx_kl", "approximate KL")], zero=True,
            hint="Spikes mean steps that are too large.",
        ),
        panel(
            rows, "Clipped actions", "share outside the clip range", [("clip_fraction", "clipped")],
            percent=True, zero=True,
        ),
        panel(rows, "Policy loss", "of the last update", [("policy_loss", "policy loss")]),
        panel(rows, "Value loss", "squared error", [("value_loss", "value loss")], zero=True),
        panel(rows, "Loss", "of the last update", [("loss", "loss")]),
        panel(rows, "Explained variance", "share of the returns", [("explained_variance", "explained")]),
        panel(rows, "Learning rate", "of the optimiser", [("learning_rate", "learning rate")], zero=True),
    ]  # fmt: skip
    return [chart for chart in found if chart.series]


def step_panels(rows: Rows) -> list[Panel]:
    """Lengths of episodes, speed, and where the time goes."""
    times = [("time/rollout", "rollouts"), ("time/env", "of them environments"), ("time/update", "updates")]
    return [
        panel(rows, "Length", "tokens per episode", [("length/mean", "mean")], zero=True),
        panel(rows, "Throughput", "environment steps per second", [("time/steps_per_second", "steps")], zero=True),
        panel(rows, "Time per iteration", "seconds", times, zero=True),
    ]


def supervised_panels(rows: Rows) -> list[Panel]:
    """How well a policy imitates, what that is worth, and whether the steps behave."""
    accuracy = [
        ("accuracy/greedy", "held-out, greedy"),
        ("accuracy/sampled", "held-out, sampled"),
        ("accuracy/train", "training problems, greedy"),
    ]
    return [
        panel(
            rows, "Imitation loss", "nats per token of the assistant", LOSSES, zero=True,
            hint="Where the loss on demonstrations set aside rises while the other falls, the policy learns by heart.",
        ),
        panel(
            rows, "True accuracy", "share of right answers", accuracy, percent=True, zero=True,
            hint="By the environment's own grader.",
        ),
        panel(rows, "Gradient norm", "before clipping", [("grad_norm", "gradient norm")], zero=True),
        panel(rows, "Learning rate", "of the optimiser", [("learning_rate", "learning rate")], zero=True),
        panel(rows, "Throughput", "tokens per second", [("time/tokens_per_second", "learned")], zero=True),
        panel(rows, "Time per step", "seconds", [("time/update", "step")], zero=True),
    ]  # fmt: skip


def verdict_panel(tally: Tally | None) -> Panel:
    """Shaped reward of right and of wrong answers: the gap is what the policy can learn from."""
    sides = (
        []
        if tally is None
        else [(tally.right_by_iteration, "right answers", 2), (tally.wrong_by_iteration, "wrong answers", 5)]
    )
    series = [
        Series(name, thin_out([(float(at), means[at].value) for at in sorted(means)]), colour)
        for means, name, colour in sides
    ]
    return Panel(
        "Shaped reward by verdict", "mean per step", [line for line in series if line.points],
        hint="The gap is what teaches the policy to be right. Where the lines meet, the reward no longer tells.",
    )  # fmt: skip


def component_panels(rows: Rows) -> list[Panel]:
    """Contribution, raw value and weight of each component."""
    names = component_names(None, {key: 0.0 for row in rows for key in row})

    def lines(pattern: str, x: str = "iteration") -> list[Series]:
        series = [metric_series(rows, pattern.format(name), name, at, x) for at, name in enumerate(names)]
        return [line for line in series if line.points]

    weight_x = "step" if any("step" in row for row in rows) else "iteration"
    return [
        Panel(
            "Contributions", "mean share of the shaped reward, in reward units", lines("component/{}/contribution"),
            zero=True, hint="Normalised value times weight; what each component paid.",
        ),
        Panel(
            "Raw values", "mean, in the component's own unit", lines("component/{}/raw"),
            hint="Before normalisation and weights: what the policy does, whatever it is paid.",
        ),
        Panel(
            "Weights", "factor", lines("weight/{}", weight_x), zero=True,
            x_label="environment steps" if weight_x == "step" else "iteration",
            hint="The schedule as it was applied.",
        ),
    ]  # fmt: skip


def policy_panels(rows: Rows) -> list[Panel]:
    """How far the policy moves, whether it still explores, and whether the updates behave."""
    return [
        panel(
            rows, "KL to the reference", "nats per token", [("kl", "KL")], zero=True,
            hint="How far the policy is from where it started.",
        ),
        panel(
            rows, "Entropy", "nats per token", [("entropy", "entropy")], zero=True,
            hint="Near 0 the policy no longer explores.",
        ),
        panel(
            rows, "KL of one update", "nats per token", [("approx_kl", "approximate KL")], zero=True,
            hint="Spikes mean steps that are too large.",
        ),
        panel(
            rows, "Clipped tokens", "share outside the clip range", [("clip_fraction", "clipped")],
            percent=True, zero=True,
        ),
        panel(rows, "Policy loss", "clipped surrogate", [("policy_loss", "policy loss")]),
        panel(rows, "Value loss", "squared error", [("value_loss", "value loss")], zero=True),
        panel(rows, "Explained variance", "share of the returns", [("explained_variance", "explained")]),
        panel(rows, "Gradient norm", "before clipping", [("grad_norm", "gradient norm")], zero=True),
        panel(rows, "Learning rate", "of the optimiser", [("learning_rate", "learning rate")], zero=True),
    ]  # fmt: skip


def length_panels(rows: Rows) -> list[Panel]:
    """Lengths of the answers, speed, and where the time goes."""
    times = [("time/rollout", "rollouts"), ("time/update", "update")]
    return [
        panel(rows, "Length", "tokens", [("length/mean", "mean"), ("length/max", "longest")], zero=True),
        panel(rows, "Cut answers", "share that hit the length limit", [("length/cut", "cut")], percent=True, zero=True),
        panel(rows, "Throughput", "tokens per second", [("time/tokens_per_second", "generated")], zero=True),
        panel(rows, "Time per iteration", "seconds", times, zero=True),
    ]  # fmt: skip


def render_section(section: Section) -> str:
    """Return the figures of a section and a note on the charts that have no data."""
    shown = [entry for entry in section.panels if entry.series]
    figures = "".join(filter(None, (render_panel(entry) for entry in shown)))
    missing = [
        entry.title
        for entry in section.panels
        if not any(math.isfinite(y) for line in entry.series for _, y in line.points)
    ]
    note = f'<p class="note">Not recorded in this run: {html_text(", ".join(missing))}.</p>' if missing else ""
    body = f'<div class="charts">{figures}</div>' if figures else ""
    return f'<section id="{section.anchor}"><h2>{html_text(section.title)}</h2>{body}{note}</section>'


def render_panel(entry: Panel) -> str:
    """Return one chart with its title, unit, legend and values for the tooltip; "" when no value is finite."""
    write = format_percent if entry.percent else format_number
    chart = line_chart(
        entry.series, label=describe(entry, write), x_label=entry.x_label, percent=entry.percent, zero=entry.zero
    )
    if not chart:
        return ""
    legend = "".join(legend_entry(line, write) for line in entry.series)
    hint = f'<p class="hint">{html_text(entry.hint)}</p>' if entry.hint else ""
    return (
        f'<figure data-x="{html_attribute(entry.x_label)}"{" data-percent" if entry.percent else ""} '
        f"data-points='{chart_values(entry.series)}'>"
        f"<figcaption><h3>{html_text(entry.title)}</h3> <small>{html_text(entry.unit)}</small></figcaption>"
        f'<ul class="legend" aria-label="last values">{legend}</ul>'
        f'<div class="plot">{chart}</div>{hint}</figure>'
    )


def legend_entry(line: Series, write: Callable[[float | None], str]) -> str:
    """Return a line's name and last value."""
    last = next((y for _, y in reversed(line.points) if math.isfinite(y)), None)
    dash = " dashed" if line.colour >= COLOURS else ""
    return (
        f'<li class="c{line.colour % COLOURS}{dash}"><i></i><span>{html_text(line.name)}</span> '
        f"<b>{typeset(write(last))}</b></li>"
    )


def describe(entry: Panel, write: Callable[[float | None], str]) -> str:
    """Say in words what a chart shows, for those who do not see it."""
    parts = []
    for line in entry.series:
        values = [y for _, y in line.points if math.isfinite(y)]
        if values:
            parts.append(
                f"{line.name} from {write(values[0])} to {write(values[-1])}, "
                f"lowest {write(min(values))}, highest {write(max(values))}"
            )
    return one_line(f"{entry.title}, {entry.unit}: " + "; ".join(parts))


def chart_values(series: Sequence[Series]) -> str:
    """Return `[x values, y values of each line]` as JSON of numbers and null; no foreign text."""
    columns = [dict(line.points) for line in series]
    xs = sorted({x for column in columns for x in column})
    table = [[number(x) for x in xs], *([number(column.get(x)) for x in xs] for column in columns)]
    return json.dumps(table, separators=(",", ":"), allow_nan=False)


def number(value: float | None) -> float | int | None:
    """Round a number to six digits; None for what is missing or not finite."""
    if value is None or not math.isfinite(value):
        return None
    rounded = float(f"{value:.6g}")
    return int(rounded) if rounded == int(rounded) and abs(rounded) < 1e15 else rounded
