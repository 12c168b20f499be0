"""The page of a run: header with verdict, curves, rollouts, failures, config; one file, no network."""

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml

from rlenvs._version import __version__
from rlenvs.agents.reporting.charts import build_sections, render_section
from rlenvs.agents.reporting.formatting import (
    format_count,
    format_duration,
    format_number,
    format_percent,
    typeset,
)
from rlenvs.agents.reporting.markup import html_text
from rlenvs.agents.reporting.panels import Section
from rlenvs.agents.reporting.reading import RunFolder
from rlenvs.agents.reporting.sampling import Rollout
from rlenvs.agents.reporting.script import SCRIPT
from rlenvs.agents.reporting.style import STYLE
from rlenvs.agents.reporting.table import render_failures, render_rollouts
from rlenvs.agents.reporting.tally import Tally
from rlenvs.agents.reporting.view import MetricHistory, counts_episodes, held_out_keys, is_supervised

ACCURACY_STEP = 0.01  # a change below one point of accuracy is not called a change


@dataclass(frozen=True)
class Change:
    """A metric before and after training; `since` is the iteration of the first value."""

    before: float
    after: float
    since: int

    @property
    def delta(self) -> float:
        """After minus before."""
        return self.after - self.before


def change_of(history: MetricHistory, key: str) -> Change | None:
    """Return the first and the last finite value of a metric; None when there is none."""
    values = [(int(row["iteration"]), row[key]) for row in history.rows if math.isfinite(row.get(key, math.nan))]
    return Change(values[0][1], values[-1][1], values[0][0]) if values else None


def render_page(run: RunFolder, rollouts: Sequence[Rollout], tally: Tally | None) -> str:
    """Return the page as HTML.

    The policy in its head allows no connection and no script but the page's own, named by its hash: should a rollout
    ever escape its place, it still could not act.

    Args:
        run: Metrics and config.
        rollouts: The rollouts to show.
        tally: Statistics of all rollouts, None when no file of rollouts exists.
    """
    history = MetricHistory(list(run.metrics))
    config = read_config(run.config)
    name = str(config.get("name") or run.path.resolve().name)
    charts = build_sections(run.metrics, tally) if run.metrics else []
    sections = "".join(map(render_section, charts))
    supervised = any(map(is_supervised, run.metrics))
    shown_rollouts = "" if supervised and not rollouts else render_rollouts(rollouts, tally or Tally())
    empty = (
        ""
        if run.metrics
        else '<p class="verdict">No iteration is recorded yet: the run has just begun, or stopped before its first.</p>'
    )
    failures = render_failures(tally, history)
    nav = render_nav(charts, bool(shown_rollouts), bool(failures), run.config is not None)
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{html_text(name)} · training report</title><style>{STYLE}</style></head>\n<body>"
        f'<header class="top"><h1>{html_text(name)}</h1>{render_facts(config, tally)}{empty}{render_verdict(history)}'
        f"{render_tiles(history)}{nav}</header>\n"
        "<main>"
        f"{sections}\n{shown_rollouts}\n{failures}{render_config(run.config)}</main>\n"
        f"<footer>rlenvs {__version__} · made from metrics.jsonl and rollouts.jsonl in this folder</footer>"
        f"<script>{SCRIPT}</script></body></html>\n"
    )


def read_config(text: str | None) -> Mapping[str, object]:
    """Parse the config for the header; an unreadable one is still shown below as it is."""
    try:
        value = yaml.safe_load(text or "")
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def nested(config: Mapping[str, object], *keys: str) -> str:
    """Return a value deep in the config as text; "" when it is not there."""
    value: object = config
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return "" if value is None or isinstance(value, (dict, list)) else str(value)


def render_facts(config: Mapping[str, object], tally: Tally | None) -> str:
    """Return the line under the title: environment, model, device, seed."""
    facts = {
        "environment": nested(config, "env", "id") or (tally.env if tally else ""),
        "model": nested(config, "policy", "model"),
        "algorithm": nested(config, "algorithm", "name"),
        "features": nested(config, "policy", "features"),
        "device": nested(config, "device"),
        "seed": nested(config, "seed"),
    }
    items = [f"{key} {html_text(value)}" for key, value in facts.items() if value]
    return f'<p class="facts">{" · ".join(items)}</p>' if items else ""


def render_verdict(history: MetricHistory) -> str:
    """Say in a sentence or two what happened to true accuracy and to the shaped reward."""
    accuracy = change_of(history, "accuracy/greedy") or change_of(history, "accuracy/sampled")
    asked = held_out_keys(history.rows)
    paid = change_of(history, "return/greedy") if any(map(counts_episodes, history.rows)) else None
    if accuracy is None and asked and (change := change_of(history, asked[0])):
        sentence, warn = held_out_verdict(asked[0], change), False
    elif accuracy is None and paid is not None:
        span = f"from {format_number(paid.before)} to {format_number(paid.after)}"
        sentence, warn = f"On held-out problems the true return went {span}. No answer is right or wrong there.", False
    else:
        shaped = change_of(history, "return/shaped") or change_of(history, "reward/total")
        sentence, warn = verdict(accuracy, shaped, change_of(history, "return/true"))
    return f'<p class="verdict{" warn" if warn else ""}">{sentence}</p>' if sentence else ""


def held_out_verdict(key: str, change: Change) -> str:
    """Return the verdict where no answer is right, and a reward component is asked on held-out problems.

    Args:
        key: Its metric.
        change: What became of it.
    """
    name = ", ".join(key.split("/")[1:])
    span = f"from {format_number(change.before)} to {format_number(change.after)}"
    return f"On held-out problems {html_text(name)} went {span}. No answer is right or wrong there."


def verdict(accuracy: Change | None, reward: Change | None, paid: Change | None = None) -> tuple[str, bool]:
    """Return the verdict, and whether it is a warning.

    Args:
        accuracy: Held-out accuracy.
        reward: Shaped reward.
        paid: What the environment itself paid for training episodes, where that is measured.
    """
    if accuracy is None:
        return (
            ("Held-out accuracy was not measured, so this run cannot say whether the policy got better.", True)
            if reward
            else ("", False)
        )
    span = f"{format_percent(accuracy.before)} to {format_percent(accuracy.after)}"
    rising = reward is not None and reward.delta > 0
    if accuracy.delta >= ACCURACY_STEP:
        tail = ", along with the shaped reward" if rising else ""
        return f"Held-out accuracy rose from {span}{tail}.", False
    if accuracy.delta <= -ACCURACY_STEP:
        tail = (
            " while the shaped reward rose: the policy is gaming the reward. Read the disagreements below"
            if rising
            else ""
        )
        return f"Held-out accuracy fell from {span}{tail}.", True
    if paid is not None and paid.delta > 0:
        gain = f"{format_number(paid.before)} to {format_number(paid.after)}"
        return (
            f"The true return of training episodes rose from {gain}, but held-out accuracy did not move ({span}): "
            "the policy knows its training problems by heart."
        ), True
    if rising:
        return (
            f"The shaped reward rose, but held-out accuracy did not move ({span}): "
            "the policy may be gaming the reward. Read the disagreements below."
        ), True
    return f"Held-out accuracy did not move ({span}).", False


def render_tiles(history: MetricHistory) -> str:
    """Return the figures that matter most, before and after."""
    tiles = []
    for key, title in (
        ("accuracy/greedy", "Held-out accuracy, greedy"),
        ("accuracy/sampled", "Held-out accuracy, sampled"),
    ):
        found = change_of(history, key)
        if found:
            points = f"{100 * found.delta:+.1f} points"
            tiles.append(change_tile(title, found, format_percent(found.before), format_percent(found.after), points))
    for key, title in (("loss/held_out", "Loss, demonstrations set aside"), ("loss/train", "Loss, demonstrations")):
        found = change_of(history, key)
        if found:
            before, after, delta = (format_number(value) for value in (found.before, found.after, found.delta))
            tiles.append(change_tile(title, found, before, after, f"{delta} nats per token", good=-1))
    episodes = (("return/true", "True return per episode"), ("return/shaped", "Shaped return per episode"))
    steps_only = (("reward/total", "Shaped reward, mean per step"),)
    for key, title in episodes if any(map(counts_episodes, history.rows)) else steps_only:
        found = change_of(history, key)
        if found:
            before, after, delta = (
                format_number(value, signed=True) for value in (found.before, found.after, found.delta)
            )
            tiles.append(change_tile(title, found, before, after, delta))
    if history.rows:
        steps, elapsed = history.latest("step"), history.latest("time/elapsed")
        facts = [f"{format_count(steps)} environment steps"] if steps is not None else []
        facts += [format_duration(elapsed)] if elapsed is not None else []
        iterations = int(history.rows[-1]["iteration"])
        unit = "step" if any(map(is_supervised, history.rows)) else "iteration"
        unit += "" if iterations == 1 else "s"
        tiles.append(f"<div><dt>Training</dt><dd>{iterations:,} {unit}<small>{' · '.join(facts)}</small></dd></div>")
    return f'<dl class="tiles">{"".join(tiles)}</dl>' if tiles else ""


def change_tile(title: str, found: Change, before: str, after: str, delta: str, good: int = 1) -> str:
    """Return one figure with its change; `good` is 1 where more is better, else -1."""
    better = good * found.delta
    direction = "up" if better > 0 else "down" if better < 0 else ""
    span = "over training" if found.since == 0 else f"since iteration {found.since}"
    return (
        f'<div><dt>{title}</dt><dd>{typeset(before)} <span class="arrow" aria-label="to">→</span> {typeset(after)}'
        f'<small><span class="{direction}">{typeset(delta)}</span> {span}</small></dd></div>'
    )


def render_nav(charts: Sequence[Section], rollouts: bool, failures: bool, config: bool) -> str:
    """Return links to the sections that exist."""
    links = [
        *((section.anchor, section.title, True) for section in charts),
        ("rollouts", "Rollouts", rollouts),
        ("failures", "Failures", failures),
        ("config", "Configuration", config),
    ]
    items = "".join(f'<li><a href="#{anchor}">{title}</a></li>' for anchor, title, exists in links if exists)
    return f'<nav aria-label="Sections"><ul>{items}</ul></nav>'


def render_config(text: str | None) -> str:
    """Return the resolved config, folded."""
    if text is None:
        return ""
    return (
        '<details class="config" id="config"><summary>Resolved configuration</summary>'
        f"<pre>\n{html_text(text)}</pre></details>"
    )
