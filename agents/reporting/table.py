"""The tables of a report: rollouts to sort, filter and open, and rewards that failed."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rlenvs.agents.reporting.formatting import DASH, format_number, typeset
from rlenvs.agents.reporting.markup import fair_limit, html_attribute, html_text, shorten
from rlenvs.agents.reporting.sampling import ComponentValue, Rollout, row_markup
from rlenvs.agents.reporting.tally import FAILING, GRADER, Tally
from rlenvs.agents.reporting.view import MetricHistory

TABLE_BUDGET = 1_200_000  # characters of the table: what keeps the page near 1.5 MB
MIN_TEXT_BUDGET = 200_000
EXCERPT = 90
REASONS = {
    "first": "first iteration",
    "last": "last iteration",
    "highest": "among the highest rewards",
    "lowest": "among the lowest rewards",
    "wrong_but_high": "wrong answer with a high reward",
    "right_but_low": "right answer with a low reward",
    "failed": "a reward failed",
    "spread": "even sample of the run",
}


@dataclass(frozen=True)
class Column:
    """One column of the rollout table.

    Args:
        title: Its heading.
        cell: Makes the whole `<td>` of a rollout.
        has: Whether a rollout has a value; a column that no rollout has is left out.
        is_text: Whether it sorts as text and is set flush left.
        measure: Whether its numbers can be filtered by range.
        hint: What the heading's tooltip says.
    """

    title: str
    cell: Callable[[Rollout], str]
    has: Callable[[Rollout], bool]
    is_text: bool = False
    measure: bool = True
    hint: str = ""


def number_cell(value: float | None, *, signed: bool = False, flag: str = "") -> str:
    """Return a cell with a rounded number; a flag, such as the status of a failed reward, stands before it.

    End tags of cells and rows are optional in HTML; without them a page of 800 rollouts is a fifth smaller.
    """
    written = format_number(value, signed=signed)
    if value is not None and value.is_integer() and abs(value) < 1e5:
        written = f"{value:{'+' if signed and value else ''}.0f}"
    if flag:
        exact = f' data-v="{value:.6g}"' if value is not None else ""
        return f'<td{exact}><span class="no">{html_text(flag)}</span> <small>{typeset(written)}</small>'
    unit = value is not None and not written[-1].isdigit()  # `1.2M` does not sort as a number
    return f'<td data-v="{value:.6g}">{typeset(written)}' if unit else f"<td>{typeset(written)}"


def whole_cell(value: int | None) -> str:
    """Return a cell with a whole number."""
    return f"<td>{DASH if value is None else value}"


def text_cell(value: str) -> str:
    """Return a cell with a short foreign text."""
    return f'<td class="t">{html_text(shorten(value, 40))}'


def verdict_cell(rollout: Rollout) -> str:
    """Return the grade, the grader's status where it is not ok, and a mark where the reward contradicts the grade."""
    grade = {True: ("ok", "✓ right"), False: ("no", "✗ wrong"), None: ("", DASH)}[rollout.correct]
    status = rollout.grade_status
    extra = f" <small>{html_text(shorten(status, 20))}</small>" if status not in {"", "ok"} else ""
    chip = '<span class="chip">disagrees</span>' if rollout.disagreement else ""
    return f'<td class="t"><span class="{grade[0]}">{grade[1]}</span>{extra}{chip}'


def excerpt_cell(rollout: Rollout) -> str:
    """Return the beginning of the response."""
    return f'<td class="t x">{html_text(shorten(rollout.response, EXCERPT))}'


def component_column(name: str) -> Column:
    """Return the column of one component: its contribution, or the status where it failed."""

    def cell(rollout: Rollout) -> str:
        value = rollout.components.get(name)
        if value is None:
            return f"<td>{DASH}"
        flag = value.status if value.status in FAILING else ""
        return number_cell(value.contribution, signed=True, flag=flag)

    return Column(name, cell, lambda rollout: name in rollout.components, measure=False, hint="contribution")


def build_columns(rollouts: Sequence[Rollout], names: Sequence[str]) -> list[Column]:
    """Return the columns that at least one rollout has a value for."""
    several_envs = len({rollout.env for rollout in rollouts}) > 1
    columns = [
        Column("iteration", lambda r: whole_cell(r.iteration), lambda r: r.iteration is not None),
        Column("env", lambda r: text_cell(r.env), lambda r: several_envs, True, False),
        Column("problem", lambda r: text_cell(r.problem_id), lambda r: bool(r.problem_id), True, False),
        Column("turn", lambda r: whole_cell(r.turn), lambda r: bool(r.turn)),
        Column("reward", lambda r: number_cell(r.reward, signed=True), lambda r: r.reward is not None, hint="shaped"),
        Column("verdict", verdict_cell, lambda r: r.correct is not None or bool(r.grade_status), True, False),
        Column("env reward", lambda r: number_cell(r.env_reward), lambda r: r.env_reward is not None),
        *(component_column(name) for name in names),
        Column("potential", lambda r: number_cell(r.potential, signed=True), lambda r: bool(r.potential)),
        Column("tokens", lambda r: whole_cell(r.tokens), lambda r: r.tokens is not None),
        Column("finish", lambda r: text_cell(r.finish), lambda r: bool(r.finish), True, False),
        Column("response", excerpt_cell, lambda r: bool(r.response), True, False),
    ]
    return [column for column in columns if any(column.has(rollout) for rollout in rollouts)]


def render_rollouts(rollouts: Sequence[Rollout], tally: Tally) -> str:
    """Return the section of the rollouts: tools, count and table."""
    if not rollouts:
        note = '<p class="note">No rollout is stored in this run yet.</p>'
        return f'<section id="rollouts"><h2>Rollouts</h2>{note}</section>'
    names = list(tally.components)
    columns = build_columns(rollouts, names)
    heads = "".join(render_head(column) for column in columns)
    sizes = [len(part) for rollout in rollouts for part in (rollout.prompt, rollout.response)]
    budget = max(MIN_TEXT_BUDGET, TABLE_BUDGET - len(rollouts) * row_markup(len(names)))
    limit = fair_limit(sizes, budget)
    bodies = "\n".join(render_rollout(rollout, columns, limit) for rollout in rollouts)
    return (
        '<section id="rollouts"><h2>Rollouts</h2>'
        f'<p class="note">{describe_sample(rollouts, tally)}</p>'
        f"{render_tools(columns, names)}"
        f'<p class="count"><span id="shown" role="status">{len(rollouts)}</span> of {len(rollouts)} rows shown</p>'
        '<div class="scroll tall" tabindex="0" role="region" aria-label="Rollouts">'
        '<table class="rollouts" id="rollout-table" data-sortable><thead><tr>'
        f'<th class="t"><span aria-hidden="true"></span></th>{heads}</tr></thead>{bodies}</table></div></section>'
    )


def describe_sample(rollouts: Sequence[Rollout], tally: Tally) -> str:
    """Say which rollouts are shown and what a disagreement is."""
    disagreements = sum(rollout.disagreement for rollout in rollouts)
    if len(rollouts) == tally.rows:
        choice = f"All {tally.rows:,} stored rollouts."
    else:
        choice = (
            f"{len(rollouts):,} of {tally.rows:,} stored rollouts: the first and last iteration, the highest and "
            "lowest rewards, the widest disagreements, failed rewards, and an even sample of the rest."
        )
    right, wrong = (typeset(format_number(mean.value, signed=True)) for mean in (tally.right, tally.wrong))
    return (
        f"{choice} A reward <em>disagrees</em> with the grade when a wrong answer earned more than the average right "
        f"one ({right}), or a right answer less than the average wrong one ({wrong}): {disagreements:,} of the rows "
        "shown. Component columns hold contributions; open a row for prompt, response, raw values and weights."
    )


def render_head(column: Column) -> str:
    """Return a heading that sorts."""
    hint = f' title="{html_attribute(column.hint)}"' if column.hint else ""
    left = ' class="t"' if column.is_text else ""
    return f'<th scope="col"{left}{hint}><button type="button">{html_text(column.title)}</button></th>'


def render_tools(columns: Sequence[Column], names: Sequence[str]) -> str:
    """Return the filters."""
    buttons = "".join(
        f'<button type="button" data-quick="{key}" aria-pressed="{str(key == "all").lower()}">{title}</button>'
        for key, title in (
            ("all", "All"),
            ("disagreement", "Disagreements"),
            ("right", "Right"),
            ("wrong", "Wrong"),
            ("failed", "Failed rewards"),
            ("first", "First iteration"),
            ("last", "Last iteration"),
        )
    )
    fields = "".join(
        f'<option value="{index}">{html_text(column.title)}</option>'
        for index, column in enumerate(columns, start=1)  # column 0 opens the row
        if column.measure
    )
    parts = "".join(
        f'<option data-component="{name}" data-measure="{measure}">{name}, {measure}</option>'
        for name in map(html_attribute, names)
        for measure in ("contribution", "raw", "weight")
    )
    statuses = "".join(f"<option>{status}</option>" for status in ("failing", *sorted(FAILING)))
    return (
        '<form id="tools" class="tools" aria-label="Filter rollouts">'
        f'<div class="group" role="group" aria-label="Quick filters">{buttons}</div>'
        '<label>Search prompt and response<input type="search" name="text"></label>'
        f'<label>Value<select name="field">{fields}{parts}</select></label>'
        '<label>from<input type="number" step="any" name="low"></label>'
        '<label>to<input type="number" step="any" name="high"></label>'
        f'<label>Reward status<select name="status"><option value="">any</option>{statuses}</select></label>'
        '<button type="reset">Clear</button></form>'
    )


def render_rollout(rollout: Rollout, columns: Sequence[Column], limit: int) -> str:
    """Return one rollout: a row of values, and a second one with its texts and rewards."""
    failed = any(value.status in FAILING for value in rollout.components.values())
    flags = {
        "disagreement": rollout.disagreement,
        "right": rollout.correct is True,
        "wrong": rollout.correct is False,
        "failed": failed or rollout.grade_status in FAILING,
        "first": "first" in rollout.reasons,
        "last": "last" in rollout.reasons,
    }
    quick = " ".join(key for key, value in flags.items() if value)
    cells = "".join(column.cell(rollout) for column in columns)
    toggle = (
        f'<button type="button" class="toggle" aria-expanded="false" aria-label="Open line {rollout.line}">'
        "<span>▸</span></button>"
    )
    return (
        f'<tbody data-q="{quick}"><tr><td class="t">{toggle}{cells}'
        f'<tr class="detail"><td colspan="{len(columns) + 1}"><details><summary>open</summary>'
        f"<div>{render_detail(rollout, limit)}</div></details></tbody>"
    )


def render_detail(rollout: Rollout, limit: int) -> str:
    """Return prompt, response, the rewards one by one, and where the rollout comes from."""
    facts = [f"line {rollout.line} of rollouts.jsonl"]
    facts += [f"step {rollout.step}"] if rollout.step is not None else []
    facts += [f"problem {html_text(shorten(rollout.problem_id, 120))}"] if rollout.problem_id else []
    facts += ["shown as: " + ", ".join(REASONS[reason] for reason in rollout.reasons)]
    parts = "".join(render_component(name, value) for name, value in rollout.components.items())
    rewards = (
        '<div class="parts"><table><thead><tr><th scope="col">component<th scope="col">raw'
        '<th scope="col">weight<th scope="col">contribution<th scope="col">status</thead>'
        f"<tbody>{parts}</tbody></table></div>"
    )
    return (
        '<div class="texts">'
        f"<div><h4>Prompt</h4>{render_text(rollout.prompt, limit)}</div>"
        f"<div><h4>Response</h4>{render_text(rollout.response, limit)}</div></div>"
        f'{rewards if parts else ""}<p class="note">{" · ".join(facts)}</p>'
    )


def render_text(text: str, limit: int) -> str:
    """Return a foreign text, cut where the page would grow too large, saying how much is missing."""
    cut = len(text) - limit
    note = f'<p class="note">{cut:,} more characters in rollouts.jsonl</p>' if cut > 0 else ""
    # A newline right after <pre> is dropped by parsers; ours makes sure that it is not the text's own.
    return f'<pre dir="auto">\n{html_text(text[:limit])}</pre>{note}'


def render_component(name: str, value: ComponentValue) -> str:
    """Return one component's row."""
    flag = ' class="no"' if value.status in FAILING else ""
    return (
        f'<tr><th scope="row">{html_text(name)}{number_cell(value.raw)}{number_cell(value.weight)}'
        f"{number_cell(value.contribution, signed=True)}<td{flag}>{html_text(shorten(value.status, 40))}"
    )


def render_failures(tally: Tally | None, history: MetricHistory) -> str:
    """Return the table of verdicts that were not ok: from the rollouts where they are stored, else from the metrics."""
    rows = []
    if tally is not None and tally.failures:
        for name, failures in sorted(tally.failures.items(), key=lambda item: -item[1].statuses.total()):
            counts = [failures.statuses[status] for status in ("invalid", "timeout", "error")]
            share = failures.statuses.total() / tally.rows
            rows.append((name, counts, f"{100 * share:.2f}%", failures.first_iteration, failures.last_iteration))
    else:
        rows = metric_failures(history)
    if not rows:
        return ""
    body = "".join(
        f'<tr><th scope="row" class="t">{html_text("grader" if name == GRADER else name)}</th>'
        + "".join(whole_cell(count) for count in counts)
        + f"<td>{share}{whole_cell(first)}{whole_cell(last)}</tr>"
        for name, counts, share, first, last in rows
    )
    titles = ("reward", "invalid", "timeout", "error", "share", "first iteration", "last iteration")
    heads = "".join(
        f'<th scope="col"{" class=t" if title == "reward" else ""}><button type="button">{title}</button></th>'
        for title in titles
    )
    return (
        '<section id="failures"><h2>Failed and invalid rewards</h2><p class="note"><em>invalid</em> and '
        "<em>timeout</em> are verdicts on what the model wrote; <em>error</em> means that the reward itself broke.</p>"
        '<div class="scroll" tabindex="0" role="region" aria-label="Failed and invalid rewards">'
        f"<table data-sortable><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div></section>"
    )


def metric_failures(
    history: MetricHistory,
) -> list[tuple[str, list[int], str, int | None, int | None]]:
    """Return failures as the metrics count them: errors and invalid verdicts by component, without a share."""
    found: dict[str, tuple[list[int], list[int]]] = {}
    for row in history.rows:
        for key, value in row.items():
            kind, _, name = key.partition("/")
            if kind in {"failures", "invalid"} and math.isfinite(value) and value > 0:
                counts, iterations = found.setdefault(name, ([0, 0, 0], []))
                counts[2 if kind == "failures" else 0] += int(value)
                iterations.append(int(row["iteration"]))
    return [(name, counts, DASH, min(at), max(at)) for name, (counts, at) in found.items()]
