"""The page of a study: verdict, comparison, history, what decides, trials; one file, no network."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna

from rlenvs._version import __version__
from rlenvs.agents.reporting.formatting import format_duration, format_number, typeset
from rlenvs.agents.reporting.markup import html_text, shorten
from rlenvs.agents.reporting.page import render_config
from rlenvs.agents.reporting.script import SCRIPT
from rlenvs.agents.reporting.style import STYLE
from rlenvs.agents.tuning.report.axes import written
from rlenvs.agents.tuning.report.charts import MAX_SLICES, curve_chart, front_charts, history_charts, slice_charts
from rlenvs.agents.tuning.report.comparison import ComparisonView, comparison_charts
from rlenvs.agents.tuning.report.parallel import parallel_chart
from rlenvs.agents.tuning.report.study import (
    COMPLETE,
    FAILED,
    PRUNED,
    RUNNING,
    WAITING,
    StudyView,
    importances_of,
    order_of_importance,
    view_of_study,
)
from rlenvs.agents.tuning.report.style import STUDY_STYLE
from rlenvs.agents.tuning.report.tables import failure_table, parameter_table, trial_table

FEW_COMPLETE = 10
MAX_BARS = 30


@dataclass(frozen=True)
class About:
    """What a page says of a study besides what the study itself holds.

    Attributes:
        name: of the study.
        objectives: names of what is optimised, where the study has none.
        facts: a line under the title, as (what, value).
        base: value of each parameter in the base configuration, by name.
        comparison: plain data of `comparison.json`.
        config: text of the configuration of the study.
    """

    name: str = ""
    objectives: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()
    base: Mapping[str, Any] = field(default_factory=dict)
    comparison: Mapping[str, Any] | None = None
    config: str | None = None


def render_study(study: optuna.Study, about: About | None = None) -> str:
    """Return the page as HTML; the same policy as that of the report of a run keeps foreign text from acting.

    Args:
        study: any study of Optuna, finished or not.
        about: what else is known.

    Example:
        >>> study = optuna.create_study(direction="maximize")
        >>> study.optimize(lambda trial: trial.suggest_float("weight", 0.0, 1.0), n_trials=3)
        >>> "<h2>History</h2>" in render_study(study)
        True
    """
    about = about or About()
    view = view_of_study(study, about.objectives)
    importances = importances_of(study, view)
    names = order_of_importance(view, importances)
    comparison = ComparisonView.read(about.comparison, view.maximize[0])
    sections = _sections(view, names, importances, comparison, about)
    name = about.name or view.name
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
    links = "".join(f'<li><a href="#{anchor}">{title}</a></li>' for anchor, title, _ in sections)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{html_text(name)} · tuning report</title><style>{STYLE}{STUDY_STYLE}</style></head>\n<body>"
        f'<header class="top"><h1>{html_text(name)}</h1>{_facts(view, about)}{_verdict(view, comparison)}'
        f'{_tiles(view, comparison)}<nav aria-label="Sections"><ul>{links}</ul></nav></header>\n'
        f"<main>{''.join(markup for _, _, markup in sections)}</main>\n"
        f"<footer>rlenvs {__version__} · made from the trials of this study</footer>"
        f"<script>{SCRIPT}</script></body></html>\n"
    )


def _sections(
    view: StudyView,
    names: Sequence[str],
    importances: Sequence[Mapping[str, float]],
    comparison: ComparisonView | None,
    about: About,
) -> list[tuple[str, str, str]]:
    """Return anchor, title and markup of each section that has something in it."""
    compared = comparison_charts(comparison) if comparison else []
    learned = [*history_charts(view), *([curve] if (curve := curve_chart(view)) else [])]
    decisive = [*_importance_figures(view, importances), parallel_chart(view, names)]
    slices = slice_charts(view, names)
    more = f'<p class="note">The {MAX_SLICES} most important of {len(names)} parameters.</p>'
    candidates = [
        ("comparison", "Against the base configuration", _charts(compared, "pair")),
        ("history", "History", _charts(learned, "pair")),
        ("front", "Pareto front", _charts(front_charts(view), "pair")),
        ("parameters", "Parameters", parameter_table(view, names, about.base)),
        ("importance", "What decides", _charts([chart for chart in decisive if chart], "pair")),
        ("slices", "Slices", _charts(slices) + (more if len(names) > MAX_SLICES else "")),
    ]
    sections = [
        (anchor, title, f'<section id="{anchor}"><h2>{title}</h2>{body}</section>')
        for anchor, title, body in candidates
        if body
    ]
    whole = [
        ("failures", "Failures", failure_table(view)),
        ("trials", "Trials", trial_table(view, names)),
        ("config", "Configuration", render_config(about.config)),
    ]
    return [*sections, *(section for section in whole if section[2])]


def _charts(figures: Sequence[str], style: str = "") -> str:
    return f'<div class="charts {style}">{"".join(figures)}</div>' if figures else ""


def _importance_figures(view: StudyView, importances: Sequence[Mapping[str, float]]) -> list[str]:
    """Return one list of bars per objective."""
    figures = []
    for name, found in zip(view.objectives, importances, strict=False):
        bars = "".join(
            f'<li><span>{html_text(shorten(param, 60))}</span><i style="width:{share:.1%}"></i><b>{share:.0%}</b></li>'
            for param, share in list(found.items())[:MAX_BARS]
        )
        if bars:
            figures.append(
                "<figure><figcaption><h3>Importance</h3> "
                f"<small>{html_text(name)}; share, PED-ANOVA</small></figcaption>"
                f'<ul class="bars">{bars}</ul><p class="hint">How much each parameter decides about being among the '
                f"best tenth of {view.count(COMPLETE)} complete trials"
                f"{'; so few trials tell little' if view.count(COMPLETE) < FEW_COMPLETE else ''}.</p></figure>"
            )
    return figures


def _facts(view: StudyView, about: About) -> str:
    ways = [
        f"{'maximize' if more else 'minimize'} {name}"
        for name, more in zip(view.objectives, view.maximize, strict=True)
    ]
    items = [
        html_text(", ".join(ways)),
        *(f"{html_text(key)} {html_text(shorten(value, 120))}" for key, value in about.facts),
    ]
    return f'<p class="facts">{" · ".join(items)}</p>'


def _verdict(view: StudyView, comparison: ComparisonView | None) -> str:
    """Say in a sentence or two what was found, and whether it holds."""
    if not view.ranked:
        done = view.count(COMPLETE)
        sentence = "No complete trial keeps the constraints." if done else "No trial is complete yet."
        return f'<p class="verdict{" warn" if done else ""}">{sentence}</p>'
    if len(view.maximize) > 1:
        text, warn = f"{len(view.front)} of {view.count(COMPLETE)} complete trials are on the Pareto front.", False
    else:
        best = view.front[0]
        reached = f"{view.objectives[0]} {written(best.values[0])}"
        text = f"Trial {best.number} is the best of {view.count(COMPLETE)}: {reached}."
        warn = False
    if comparison is not None:
        said, warn = comparison.verdict
        text = f"{text} {said}"
    elif len(view.maximize) == 1:
        text += " It was chosen for its value, so the value flatters it: measure it again on fresh seeds."
    return f'<p class="verdict{" warn" if warn else ""}">{html_text(text)}</p>'


def _tiles(view: StudyView, comparison: ComparisonView | None) -> str:
    tiles = []
    if len(view.maximize) == 1 and view.front:
        best = view.front[0]
        tiles.append((f"Best {html_text(view.objectives[0])}", written(best.values[0]), f"trial {best.number}"))
    if comparison is not None:
        better = comparison.low > 0 if comparison.maximize else comparison.high < 0
        mean = f'<span class="{"up" if better else ""}">{typeset(format_number(comparison.mean, signed=True))}</span>'
        note = comparison.interval.partition("(")[2].removesuffix(")")
        tiles.append((f"Best minus base, {html_text(comparison.unit)}s", mean, note))
    states = [(PRUNED, "pruned"), (FAILED, "failed"), (RUNNING, "running"), (WAITING, "waiting")]
    others = [f"{view.count(state)} {word}" for state, word in states if view.count(state)]
    tiles.append(("Complete trials", f"{view.count(COMPLETE):,}", ", ".join(others)))
    spent = [trial.seconds for trial in view.trials if trial.seconds is not None]
    if spent:
        tiles.append(("Time in trials", format_duration(sum(spent)), f"longest {format_duration(max(spent))}"))
    cells = "".join(f"<div><dt>{title}</dt><dd>{value}<small>{note}</small></dd></div>" for title, value, note in tiles)
    return f'<dl class="tiles">{cells}</dl>'
