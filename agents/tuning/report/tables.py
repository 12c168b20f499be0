"""The tables of a study: its parameters, its failures, its trials."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from rlenvs.agents.reporting.formatting import DASH, format_duration
from rlenvs.agents.reporting.markup import html_attribute, html_text, shorten
from rlenvs.agents.reporting.table import number_cell, whole_cell
from rlenvs.agents.tuning.report.axes import axis_of, tail, written
from rlenvs.agents.tuning.report.study import FAILED, StudyView, TrialView

MAX_ROWS = 600
EDGE = 0.02
"""Of its range: a best value nearer to an end than this may lie beyond it."""

_ABSENT = object()


def parameter_table(view: StudyView, names: Sequence[str], base: Mapping[str, Any]) -> str:
    """What was tuned: base value, best value, range and where in it both lie. Empty without a parameter.

    Args:
        view: the study.
        names: the parameters, the most important first.
        base: values that the base configuration has, as far as they are known.
    """
    if not names:
        return ""
    best = view.front[0] if len(view.maximize) == 1 and view.front else None
    rows = "".join(_parameter_row(name, view.distributions[name], best, base) for name in names)
    heads = ["parameter", *(["base"] if base else []), *(["best"] if best else []), "range", *([""] if best else [])]
    left = "".join(
        f'<th scope="col"{" class=t" if head in ("parameter", "range", "") else ""}>{head}' for head in heads
    )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Parameters">'
        f"<table><thead><tr>{left}</thead><tbody>{rows}</tbody></table></div>"
    )


def _parameter_row(name: str, distribution: BaseDistribution, best: TrialView | None, base: Mapping[str, Any]) -> str:
    cells = [f'<tr><th scope="row" class="t">{html_text(shorten(name, 80))}']
    if base:
        cells.append(_value_cell(base.get(name, _ABSENT)))
    if best is not None:
        cells.append(_value_cell(best.params.get(name, _ABSENT)))
    cells.append(f'<td class="t">{html_text(shorten(range_text(distribution), 80))}')
    if best is not None:
        value, before = best.params.get(name, _ABSENT), base.get(name, _ABSENT)
        cells.append(f'<td class="t">{_range_bar(distribution, value, before)}')
    return "".join(cells)


def _value_cell(value: object) -> str:
    return f"<td>{DASH if value is _ABSENT else html_text(shorten(written(value), 40))}"


def range_text(distribution: BaseDistribution) -> str:
    """Say which values a parameter can have.

    Example:
        >>> range_text(FloatDistribution(0.1, 5.0, log=True)), range_text(CategoricalDistribution(["a", None]))
        ('0.1 to 5, logarithmic', 'a | null')
    """
    if isinstance(distribution, CategoricalDistribution):
        return " | ".join(written(choice) for choice in distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    step = f", in steps of {distribution.step:g}" if distribution.step not in (None, 1) else ""
    return f"{distribution.low:g} to {distribution.high:g}{', logarithmic' if distribution.log else ''}{step}"


def _range_bar(distribution: BaseDistribution, value: object, before: object) -> str:
    """Draw where in its range the best value lies, and say when it is at an end of it."""
    if isinstance(distribution, CategoricalDistribution) or value is _ABSENT:
        return ""
    axis = axis_of(distribution)
    ends = [axis.share(distribution.low), axis.share(distribution.high)]  # type: ignore[attr-defined]
    place, was = _within(axis.share(value), ends), _within(axis.share(before), ends)
    if place is None:
        return ""
    marks = (f'<i class="from" style="left:{was:.1%}"></i>' if was is not None and 0 <= was <= 1 else "") + (
        f'<i style="left:{place:.1%}"></i>'
    )
    edge = " at its lower end" if place <= EDGE else " at its upper end" if place >= 1 - EDGE else ""
    return f'<span class="range">{marks}</span>{f"<small class=edge>{edge}</small>" if edge else ""}'


def _within(share: float | None, ends: Sequence[float | None]) -> float | None:
    low, high = ends
    if share is None or low is None or high is None or low == high:
        return None
    return (share - low) / (high - low)


def failure_table(view: StudyView) -> str:
    """Failed trials by their cause. Empty where none failed and none was lost."""
    causes = Counter(trial.failure for trial in view.trials if trial.state == FAILED)
    if not causes and not view.lost:
        return ""
    lost = (
        f'<p class="note">{view.lost} more were cut short, by a stop or the end of their worker, and done again as '
        "they were.</p>"
        if view.lost
        else ""
    )
    if not causes:
        return f'<section id="failures"><h2>Failures</h2>{lost}</section>'
    rows = "".join(
        f'<tr><td class="t">{html_text(shorten(cause, 400))}{whole_cell(count)}{whole_cell(_first(view, cause))}'
        for cause, count in causes.most_common()
    )
    return (
        '<section id="failures"><h2>Failures</h2>'
        '<div class="scroll" tabindex="0" role="region" aria-label="Failures"><table><thead><tr>'
        '<th scope="col" class="t">cause<th scope="col">trials<th scope="col">first'
        f"</thead><tbody>{rows}</tbody></table></div>{lost}</section>"
    )


def _first(view: StudyView, cause: str) -> int:
    return next(trial.number for trial in view.trials if trial.state == FAILED and trial.failure == cause)


def trial_table(view: StudyView, names: Sequence[str]) -> str:
    """All trials, to sort: state, values, time, parameters."""
    if not view.trials:
        return ""
    shown = _chosen(view)
    columns = _columns(view, names)
    heads = "".join(
        f'<th scope="col"{" class=t" if is_text else ""} title="{html_attribute(title)}"><button type="button">'
        f"{html_text(tail(title, 28))}</button></th>"
        for title, is_text, _ in columns
    )
    rows = "\n".join(f"<tr>{''.join(cell(trial) for _, _, cell in columns)}" for trial in shown)
    left_out = len(view.trials) - len(shown)
    note = f'<p class="note">The best half and the newest half of what fits: {left_out:,} trials are not shown.</p>'
    return (
        f'<section id="trials"><h2>Trials</h2>{note if left_out else ""}'
        '<div class="scroll tall" tabindex="0" role="region" aria-label="Trials"><table data-sortable>'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def _chosen(view: StudyView) -> list[TrialView]:
    if len(view.trials) <= MAX_ROWS:
        return list(view.trials)
    sign = 1 if view.maximize[0] else -1
    best = sorted(view.ranked, key=lambda trial: -sign * trial.values[0])[: MAX_ROWS // 2]
    kept = {trial.number for trial in [*best, *view.front, *view.trials[-MAX_ROWS // 2 :]]}
    return [trial for trial in view.trials if trial.number in kept]


def _columns(view: StudyView, names: Sequence[str]) -> list[tuple[str, bool, Callable[[TrialView], str]]]:
    front = {trial.number for trial in view.front}
    word = "best" if len(view.maximize) == 1 else "front"

    def state(trial: TrialView) -> str:
        mark = f' <span class="ok">{word}</span>' if trial.number in front else ""
        flag = ' class="no"' if trial.state == FAILED else ""
        outside = f' <span class="chip">breaks {html_text(shorten(", ".join(trial.violated), 60))}</span>'
        return f'<td class="t"><span{flag}>{trial.state}</span>{mark}{outside if trial.violated else ""}'

    def seconds(trial: TrialView) -> str:
        exact = "" if trial.seconds is None else f' data-v="{trial.seconds:.6g}"'
        return f"<td{exact}>{DASH if trial.seconds is None else format_duration(trial.seconds)}"

    def value(at: int) -> Callable[[TrialView], str]:
        return lambda trial: number_cell(trial.values[at] if trial.values else None)

    def param(name: str) -> Callable[[TrialView], str]:
        def cell(trial: TrialView) -> str:
            found = trial.params.get(name, _ABSENT)
            if isinstance(found, int | float) and not isinstance(found, bool):
                return number_cell(float(found))
            if found is _ABSENT:  # as its column stands
                return f'<td class="t">{DASH}' if is_text(name) else f"<td>{DASH}"
            return f'<td class="t">{html_text(shorten(written(found), 40))}'

        return cell

    def is_text(name: str) -> bool:
        return isinstance(view.distributions[name], CategoricalDistribution)

    return [
        ("trial", False, lambda trial: whole_cell(trial.number)),
        ("state", True, state),
        *((name, False, value(at)) for at, name in enumerate(view.objectives)),
        *((name, is_text(name), param(name)) for name in names),
        ("time", False, seconds),
    ]
