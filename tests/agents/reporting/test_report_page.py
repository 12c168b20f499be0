"""The page: well formed, complete, and closed to whatever a model wrote."""

import base64
import hashlib
import json
import math
import os
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlenvs.agents.reporting import write_report
from rlenvs.agents.reporting.charts import chart_values
from rlenvs.agents.reporting.formatting import visible_text
from rlenvs.agents.reporting.markup import fair_limit, html_attribute, html_text, shorten
from rlenvs.agents.reporting.page import Change, verdict
from rlenvs.agents.reporting.svg import Series
from rlenvs.errors import RunFolderError

VOID = {"meta", "input", "br", "link", "img"}
OPTIONAL_END = {"td", "th", "tr"}


class Page(HTMLParser):
    """Parses a page strictly: each end tag must close the innermost open element, cells and rows excepted."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.stack: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.stack == [], f"left open: {self.stack}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"attribute twice in {tag}: {names}"
        self.elements.append((tag, dict(attrs)))
        if tag == "pre":
            self.texts.append(("pre", ""))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        while self.stack and self.stack[-1] != tag and self.stack[-1] in OPTIONAL_END:
            self.stack.pop()
        assert self.stack, f"nothing open for </{tag}>"
        assert self.stack[-1] == tag, f"</{tag}> closes {self.stack[-1]}"
        self.stack.pop()

    def handle_data(self, data: str) -> None:
        if "pre" in self.stack:
            kind, before = self.texts[-1]
            self.texts[-1] = (kind, before + data)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)

    @property
    def shape(self) -> Counter[str]:
        """How often each element occurs, the marks around escaped characters left out."""
        return Counter(name for name, attrs in self.elements if attrs.get("class") != "esc")


def page_of(folder: Path) -> tuple[str, Page]:
    text = write_report(folder).read_text(encoding="utf-8")
    return text, Page(text)


def test_the_page_is_well_formed_and_stands_alone(run_folder: Path) -> None:
    text, page = page_of(run_folder)
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = {attrs["href"] for _, attrs in page.elements if "href" in attrs}
    assert links == {f"#{anchor}" for anchor in links_to_sections(ids)}
    assert not any({"src", "srcset", "action", "style"} & attrs.keys() for _, attrs in page.elements)
    assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)
    assert not re.search(r"https?://|@import|url\(", text)


def links_to_sections(ids: list[str | None]) -> list[str]:
    known = {"learning", "components", "policy", "lengths", "rollouts", "failures", "config"}
    return [name for name in ids if name in known]  # type: ignore[misc]


def test_the_policy_allows_the_page_s_own_script_only(run_folder: Path) -> None:
    text, page = page_of(run_folder)
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) == page.count("script") == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    policy = next(attrs["content"] for tag, attrs in page.elements if tag == "meta" and "http-equiv" in attrs)
    assert f"script-src 'sha256-{digest}'" in str(policy)
    assert "default-src 'none'" in str(policy)


def test_charts_speak_to_screen_readers_and_headings_sort_by_keyboard(run_folder: Path) -> None:
    text, page = page_of(run_folder)
    charts = [attrs for tag, attrs in page.elements if tag == "svg"]
    assert len(charts) == page.count("figure") == 19
    assert all(attrs["role"] == "img" and attrs["aria-label"] and attrs["tabindex"] == "0" for attrs in charts)
    assert "held-out, greedy from 13.0% to" in text
    heads = re.search(r'id="rollout-table" data-sortable><thead><tr>(.*?)</tr>', text)
    assert heads is not None
    assert heads[1].count('<th scope="col"') == heads[1].count('<button type="button">')


def test_the_verdict_and_tiles_come_from_the_metrics(run_folder: Path) -> None:
    text, _ = page_of(run_folder)
    rows = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
    before, after = (f"{100 * rows[at]['accuracy/greedy']:.1f}%" for at in (0, -1))
    assert f"Held-out accuracy rose from {before} to {after}, along with the shaped reward." in text
    assert "30 iterations" in text
    assert "environment rlenvs/Arithmetic-v0 · model embedded · device cpu · seed 0" in text


@pytest.mark.parametrize(
    ("accuracy", "reward", "says", "warns"),
    [
        (Change(0.2, 0.5, 0), Change(0, 1, 0), "rose from 20.0% to 50.0%, along with the shaped reward.", False),
        (Change(0.2, 0.5, 0), Change(1, 0, 0), "rose from 20.0% to 50.0%.", False),
        (Change(0.5, 0.505, 0), Change(0, 1, 0), "did not move", True),
        (Change(0.5, 0.3, 0), Change(0, 1, 0), "gaming the reward", True),
        (Change(0.5, 0.3, 0), None, "fell from 50.0% to 30.0%.", True),
        (Change(0.5, 0.5, 0), Change(0, 0, 0), "did not move", False),
        (None, Change(0, 1, 0), "not measured", True),
    ],
)
def test_verdicts(accuracy: Change | None, reward: Change | None, says: str, warns: bool) -> None:
    sentence, warning = verdict(accuracy, reward)
    assert says in sentence
    assert warning is warns


def test_where_no_answer_is_right_held_out_rewards_are_drawn_and_told(tmp_path: Path) -> None:
    rows = [
        {
            "iteration": i,
            "reward/total": 0.1 * i,
            "held_out/fo<b/greedy": 0.25 + 0.125 * i,
            "held_out/fo<b/sampled": 0.2,
        }
        for i in range(3)
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text, _ = page_of(tmp_path)
    assert "On held-out problems fo&lt;b, greedy went from 0.250 to 0.500." in text
    assert "Held-out rewards" in text
    assert "was not measured" not in text


def test_missing_metrics_leave_a_note_in_place_of_the_chart(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(
        '{"iteration": 0, "reward/total": 0.1}\n{"iteration": 1, "reward/total": NaN, "kl": Infinity}\n'
    )
    text, page = page_of(tmp_path)
    assert page.count("figure") == 1
    assert "Not recorded in this run: True accuracy, Shaped reward by verdict." in text
    assert "KL to the reference" in text
    assert "No rollout is stored" in text


@pytest.mark.parametrize("content", ["", "not json", '{"iteration": 0'])
def test_a_run_without_an_iteration_gets_a_readable_page(tmp_path: Path, content: str) -> None:
    (tmp_path / "metrics.jsonl").write_text(content)
    (tmp_path / "config.yaml").write_text("name: [broken")
    text, page = page_of(tmp_path)
    assert "No iteration is recorded yet" in text
    assert page.count("figure") == 0
    assert "name: [broken" in text


def test_the_page_replaces_the_old_one_and_leaves_nothing_else(run_folder: Path) -> None:
    (run_folder / "report.html").write_text("old")
    before = set(os.listdir(run_folder))
    assert write_report(str(run_folder)) == run_folder / "report.html"
    assert (run_folder / "report.html").stat().st_size > 100_000
    assert set(os.listdir(run_folder)) == before


def test_a_failed_replacement_keeps_the_old_page(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run_folder / "report.html").write_text("old")

    def fail(source: str, target: str) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("rlenvs.agents.reporting.report.os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_report(run_folder)
    assert (run_folder / "report.html").read_text() == "old"
    assert not list(run_folder.glob(".report-*"))


def test_a_folder_that_cannot_be_written_to_is_named(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("rlenvs.agents.reporting.report.tempfile.mkstemp", fail)
    with pytest.raises(RunFolderError, match=r"cannot write .*report\.html: Permission denied; copy the run folder"):
        write_report(run_folder)


def test_a_long_run_stays_small(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    folder = write_run(tmp_path / "run", iterations=200, rollouts_per_iteration=20)
    assert write_report(folder).stat().st_size < 1_500_000


HOSTILE = [
    "</script><script>alert(1)</script>", "</pre></td></tr></tbody></table>", "<!--", "-->", "]]>", "<svg onload=x>",
    "\"'`", "' onmouseover='x", "&lt;", "&#0;", "&amp", "\x00", "\x1b[31m", "\ud800", "\udfff", "\u202e", "\u2066", "\ufeff", "\u2028",
    "\r", "\r\n", "\n", "\n\n", "<textarea>", "<plaintext>", "</style>", "\x0c", "\U000e0041", "{{x}}", "é",
]  # fmt: skip
hostile_text = st.lists(st.sampled_from(HOSTILE) | st.characters(), max_size=12).map("".join)


def hostile_run(folder: Path, words: list[str]) -> None:
    prompt, response, name, other = words
    part = {"raw": 1.0, "weight": 1.0, "contribution": 1.0, "status": other}
    rollout = {
        "iteration": 1, "step": 1, "env": "e" + other, "turn": 1, "problem_id": other + "p", "prompt": prompt, "response": "r" + response,
        "reward": 1.0, "env_reward": 0.0, "potential": 0.5, "correct": False, "grade_status": "s" + other, "tokens": 3,
        "finish": other + "f", "components": {"n" + name: part},
    }  # fmt: skip
    rows = [{"iteration": at, "step": at, f"component/n{name}/raw": 0.5, "reward/total": 1.0} for at in range(3)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "rollouts.jsonl").write_text(json.dumps(rollout) + "\n", encoding="utf-8")
    (folder / "config.yaml").write_text(json.dumps({"name": "x" + other}), encoding="utf-8")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(hostile_text, min_size=4, max_size=4))
def test_hostile_text_never_leaves_its_place(tmp_path_factory: pytest.TempPathFactory, words: list[str]) -> None:
    folder = tmp_path_factory.mktemp("run")
    hostile_run(folder, ["plain", "plain", "plain", "plain"])
    _, plain = page_of(folder)
    hostile_run(folder, words)
    _, page = page_of(folder)
    difference = {tag: page.shape[tag] - plain.shape[tag] for tag in page.shape | plain.shape}
    assert not {tag for tag, change in difference.items() if change}
    prompt, response = (text for _, text in page.texts[:2])
    assert prompt == "\n" + visible_text(words[0].replace("\r\n", "\n"))
    assert response == "\nr" + visible_text(words[1].replace("\r\n", "\n"))


@given(hostile_text)
def test_escaped_text_parses_back_to_what_is_visible(text: str) -> None:
    page = Page(f'<pre title="{html_attribute(text)}">{html_text(text)}</pre>')
    assert page.texts == [("pre", visible_text(text.replace("\r\n", "\n")))]
    assert page.elements[0][1]["title"] == visible_text(text)


@given(hostile_text)
def test_visible_text_is_encodable_and_has_no_control(text: str) -> None:
    shown = visible_text(text)
    shown.encode("utf-8")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", shown)


@given(st.lists(st.integers(0, 1000), max_size=30), st.integers(0, 5000))
def test_the_fair_limit_fits_the_budget_and_wastes_nothing(sizes: list[int], budget: int) -> None:
    limit = fair_limit(sizes, budget)
    assert sum(min(size, limit) for size in sizes) <= budget
    if limit < max(sizes, default=0):
        assert sum(min(size, limit + 1) for size in sizes) > budget


@given(st.text(), st.integers(2, 50))
def test_shortened_text_is_one_short_line(text: str, limit: int) -> None:
    short = shorten(text, limit)
    assert len(short) <= limit
    assert "\n" not in short


def test_long_texts_are_cut_and_say_so(tmp_path: Path) -> None:
    row = {"iteration": 1, "reward": 1.0, "prompt": "short", "response": "a" * 1_500_000}
    (tmp_path / "rollouts.jsonl").write_text(json.dumps(row))
    text, _ = page_of(tmp_path)
    assert re.search(r"30[0-9],[0-9]{3} more characters in rollouts\.jsonl", text)
    assert len(text) < 1_500_000


def test_chart_values_are_numbers_and_null() -> None:
    series = [Series("a", [(0.0, 1 / 3), (2.0, math.nan)]), Series("b", [(1.0, 2e9)])]
    assert json.loads(chart_values(series)) == [[0, 1, 2], [0.333333, None, None], [None, 2_000_000_000, None]]


def test_failures_come_from_the_metrics_where_no_rollout_is_stored(tmp_path: Path) -> None:
    rows = [{"iteration": 1, "failures/judge": 2}, {"iteration": 4, "failures/judge": 3, "invalid/format": 1}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text, _ = page_of(tmp_path)
    table = re.search(r'id="failures".*?</section>', text, re.DOTALL)
    assert table is not None
    rows_found = re.findall(r'<tr><th scope="row" class="t">(\w+)(.*?)</tr>', table[0])
    cells = [(name, *re.findall(r"<td>(\d+)", row)) for name, row in rows_found]
    assert cells == [("judge", "0", "0", "5", "1", "4"), ("format", "1", "0", "0", "4", "4")]
