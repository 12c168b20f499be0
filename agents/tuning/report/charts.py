"""The charts of a study: history, slices, curves of what was reported, front."""

import itertools
import math
from collections.abc import Sequence

from rlenvs.agents.reporting.formatting import format_number, typeset
from rlenvs.agents.reporting.markup import shorten
from rlenvs.agents.reporting.svg import thin_out
from rlenvs.agents.tuning.report.axes import Axis, axis_of, number_axis, whole_axis, written, x_at, y_at
from rlenvs.agents.tuning.report.figures import Hover, LegendEntry, Mark, draw_chart, draw_line, draw_marks, figure
from rlenvs.agents.tuning.report.study import COMPLETE, FAILED, PRUNED, StudyView, TrialView

MAX_MARKS = 500
MAX_CURVES = 200
MAX_SLICES = 24
FAINTEST = 0.3
PARAMS_IN_TITLE = 8


def describe_trial(view: StudyView, trial: TrialView) -> str:
    """Say in a line what a trial is, for whoever points at its dot."""
    values = ", ".join(f"{name} {written(value)}" for name, value in zip(view.objectives, trial.values, strict=False))
    drawn = list(trial.params.items())
    params = ", ".join(f"{name} {written(value)}" for name, value in drawn[:PARAMS_IN_TITLE])
    more = f" and {len(drawn) - PARAMS_IN_TITLE} more" if len(drawn) > PARAMS_IN_TITLE else ""
    note = " (outside its constraints)" if trial.violated else ""
    return shorten(f"trial {trial.number}{note}: {values or trial.state}; {params}{more}", 400)


def direction_of(more: bool) -> str:
    """Say which way is better."""
    return "higher is better" if more else "lower is better"


def thinned(trials: Sequence[TrialView], limit: int, keep: Sequence[TrialView] = ()) -> list[TrialView]:
    """Return at most about `limit` trials, evenly chosen, and those that must be among them."""
    if len(trials) <= limit:
        return list(trials)
    chosen = {trials[index * len(trials) // limit].number for index in range(limit)}
    chosen |= {trial.number for trial in keep}
    return [trial for trial in trials if trial.number in chosen]


def history_charts(view: StudyView) -> list[str]:
    """Each objective over the trials, with the best value so far; failed and pruned trials as ticks below."""
    return [chart for index in range(len(view.objectives)) if (chart := _history(view, index))]


def _history(view: StudyView, objective: int) -> str:
    done = [trial for trial in view.trials if trial.state == COMPLETE and math.isfinite(trial.values[objective])]
    if not done:
        return ""
    last = float(max(view.trials[-1].number, 1))
    x, y = whole_axis(0.0, last), number_axis([trial.values[objective] for trial in done])
    best = dict(view.best_so_far(objective))
    front = {trial.number for trial in view.front}
    marks = [
        Mark(
            x.share(trial.number) or 0.0, y.share(trial.values[objective]) or 0.0, describe_trial(view, trial),
            _style(trial, front),
        )
        for trial in thinned(done, MAX_MARKS, view.front)
    ]  # fmt: skip
    steps = _staircase(list(best.items()), last)
    line = draw_line([(x.share(at) or 0.0, y.share(value) or 0.0) for at, value in steps], "c2 wide")
    ticks = "".join(_ticks_below(view, x, state, style) for state, style in ((PRUNED, "c5"), (FAILED, "c1")))
    counted = [(COMPLETE, "c0"), (PRUNED, "c5"), (FAILED, "c1")]
    others = [LegendEntry(style, state, str(count)) for state, style in counted[1:] if (count := view.count(state))]
    numbers = [float(trial.number) for trial in done]
    recent = None
    running: list[float | None] = []
    for trial in done:
        recent = best.get(trial.number, recent)
        running.append(recent)
    hover = Hover("trial", x.low, x.high, numbers, [[trial.values[objective] for trial in done], running])
    name = view.objectives[objective]
    reached = typeset(format_number(steps[-1][1])) if steps else ""
    legend = [LegendEntry("c0", name, ""), LegendEntry("c2", "best so far", reached), *others]
    label = f"{name} of {len(done)} complete trials, best {reached}"
    return figure(
        "History", f"{name}, {direction_of(view.maximize[objective])}",
        draw_chart(x, y, ticks + line + draw_marks(marks), label, hover),
        legend=legend, hover=hover,
        hint="A line that still climbs at its end asks for more trials.",
    )  # fmt: skip


def _staircase(best: Sequence[tuple[int, float]], last: float) -> list[tuple[float, float]]:
    """Return the corners of the best value so far, which holds until a better one is found."""
    corners: list[tuple[float, float]] = []
    for at, value in best:
        if corners and corners[-1][1] != value:
            corners.append((at, corners[-1][1]))
        if not corners or corners[-1][1] != value:
            corners.append((at, value))
    return [*corners, (last, corners[-1][1])] if corners else []


def _ticks_below(view: StudyView, x: Axis, state: str, style: str) -> str:
    """Return a short tick on the x axis for each trial of a state."""
    found = [trial.number for trial in view.trials if trial.state == state][:MAX_MARKS]
    path = "".join(f"M{x_at(x.share(number) or 0.0):.1f} {y_at(0.0):.0f}v-7" for number in found)
    return f'<path class="thread {style}" d="{path}"/>' if path else ""


def _style(trial: TrialView, front: set[int]) -> str:
    if trial.number in front:
        return "c2 best"
    return "c0 hollow" if trial.violated else "c0"


def slice_charts(view: StudyView, names: Sequence[str], objective: int = 0) -> list[str]:
    """Each parameter against an objective: where in its range good trials lie.

    Args:
        view: the study.
        names: the parameters, the most important first.
        objective: which objective.
    """
    done = [trial for trial in view.trials if trial.state == COMPLETE and math.isfinite(trial.values[objective])]
    if not done:
        return []
    y = number_axis([trial.values[objective] for trial in done])
    return [_slice(view, name, objective, thinned(done, MAX_MARKS, view.front), y) for name in names[:MAX_SLICES]]


def _slice(view: StudyView, name: str, objective: int, done: Sequence[TrialView], y: Axis) -> str:
    x = axis_of(view.distributions[name])
    front = {trial.number for trial in view.front}
    last = max(done[-1].number, 1)
    marks = []
    for trial in sorted(done, key=lambda trial: trial.number in front):
        share = x.share(trial.params[name]) if name in trial.params else None
        if share is not None:
            age = FAINTEST + (1 - FAINTEST) * trial.number / last
            style = _style(trial, front)
            height = y.share(trial.values[objective]) or 0.0
            said = f"trial {trial.number}, {written(trial.params[name])}: {written(trial.values[objective])}"
            marks.append(Mark(share, height, said, style, 1.0 if "best" in style else age))
    unit = f"{'logarithmic, ' if x.log else ''}{len(marks)} trials"
    label = f"{view.objectives[objective]} against {name}, {len(marks)} trials"
    return figure(name, unit, draw_chart(x, y, draw_marks(marks), label), style="slice")


def curve_chart(view: StudyView) -> str:
    """What trials reported while they ran: where pruning set in. Empty where none reported anything."""
    reported = [trial for trial in view.trials if any(math.isfinite(value) for _, value in trial.steps)]
    if len(view.maximize) != 1 or not reported:
        return ""
    front = {trial.number for trial in view.front}
    shown = thinned(reported, MAX_CURVES, view.front)
    finite = [(step, value) for trial in shown for step, value in trial.steps if math.isfinite(value)]
    steps = [step for step, _ in finite]
    x = whole_axis(min(steps), max(steps))
    y = number_axis([value for _, value in finite])
    order = sorted(shown, key=lambda trial: (trial.number in front, trial.state == PRUNED))
    lines, ends = [], []
    for trial in order:
        style = _curve_style(trial, front)
        points = [(x.share(step) or 0.0, _height(y, value)) for step, value in thin_out(trial.steps)]
        lines.append(draw_line(points, style, describe_trial(view, trial)))
        if trial.state == PRUNED or len(points) == 1:
            at, height = points[-1]
            if math.isfinite(height):
                ends.append(Mark(at, height, describe_trial(view, trial), style.replace("wide", "")))
    pruned = [trial for trial in view.trials if trial.state == PRUNED]
    legend = [
        LegendEntry("c0", "complete", str(sum(trial.state == COMPLETE for trial in reported))),
        LegendEntry("c5", "pruned", str(len(pruned))),
        LegendEntry("c2", "best"),
    ]
    note = f" {len(shown)} of {len(reported)} trials are drawn." if len(shown) < len(reported) else ""
    return figure(
        "What trials reported", f"{view.objectives[0]} by report step",
        draw_chart(x, y, "".join(lines) + draw_marks(ends), f"curves of {len(shown)} trials, {len(pruned)} pruned"),
        legend=legend, hint=f"A pruned trial ends in a dot: others did better at the same step.{note}", style="large",
    )  # fmt: skip


def _curve_style(trial: TrialView, front: set[int]) -> str:
    if trial.number in front:
        return "c2 wide"
    return "c5" if trial.state == PRUNED else "c0" if trial.state == COMPLETE else "c7"


def _height(axis: Axis, value: float) -> float:
    share = axis.share(value)
    return math.nan if share is None else share


def front_charts(view: StudyView) -> list[str]:
    """Two objectives against each other, for every pair: which trials no other one beats."""
    pairs = itertools.combinations(range(len(view.objectives)), 2)
    return [chart for first, second in pairs if (chart := _front(view, first, second))]


def _front(view: StudyView, first: int, second: int) -> str:
    done = [
        trial
        for trial in view.trials
        if trial.state == COMPLETE and math.isfinite(trial.values[first]) and math.isfinite(trial.values[second])
    ]
    if not done:
        return ""
    x, y = (number_axis([trial.values[at] for trial in done]) for at in (first, second))
    front = {trial.number for trial in view.front}
    drawn = sorted(thinned(done, MAX_MARKS, view.front), key=lambda trial: trial.number in front)
    marks = [
        Mark(
            x.share(trial.values[first]) or 0.0, y.share(trial.values[second]) or 0.0, describe_trial(view, trial),
            _style(trial, front), 1.0 if trial.number in front else 0.55,
        )
        for trial in drawn
    ]  # fmt: skip
    edge = sorted((trial.values[first], trial.values[second]) for trial in view.front)
    line = draw_line([(x.share(a) or 0.0, y.share(b) or 0.0) for a, b in edge], "c2") if len(view.maximize) == 2 else ""
    names = [f"{view.objectives[at]} ({direction_of(view.maximize[at])})" for at in (first, second)]
    outside = sum(bool(trial.violated) for trial in done)
    legend = [
        LegendEntry("c2", "on the front", str(len(front))),
        LegendEntry("c0", "beaten", str(len(done) - len(front))),
    ]
    legend += [LegendEntry("c0", "hollow: outside its constraints", str(outside))] if outside else []
    return figure(
        "Pareto front", f"across: {names[0]}; up: {names[1]}",
        draw_chart(x, y, line + draw_marks(marks), f"{names[0]} against {names[1]}, {len(front)} on the front"),
        legend=legend, hint="No other trial is better in every objective than one on the front: which of them is best "
        "is for you to say.", style="large",
    )  # fmt: skip
