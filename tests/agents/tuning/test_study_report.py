"""The page of a study: what it says of trials is true, and nothing that a study holds can act on it."""

import json
import math
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from rlenvs.agents.tuning.report import About, render_study, write_study_report
from rlenvs.agents.tuning.report.axes import Axis, axis_of, log_ticks, number_axis, whole_axis
from rlenvs.agents.tuning.report.charts import thinned
from rlenvs.agents.tuning.report.comparison import ComparisonView
from rlenvs.agents.tuning.report.study import importances_of, order_of_importance, view_of_study
from rlenvs.agents.tuning.report.tables import MAX_ROWS
from rlenvs.errors import DataError

HOSTILE = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202e\x00"
FLOAT = FloatDistribution(0.0, 1.0)


@pytest.fixture(autouse=True)
def _quiet():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


class Shape(HTMLParser):
    """Which elements a page has, and whether each is closed by its own end tag."""

    VOID = ("meta", "circle", "path")
    OPTIONAL_END = ("td", "th", "tr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.stack: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        assert len(attrs) == len({name for name, _ in attrs}), f"an attribute twice in {tag}"
        assert not any(name.startswith("on") for name, _ in attrs)
        if dict(attrs).get("class") != "esc":
            self.elements[tag] += 1
        if tag != "meta":
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements[tag] += 1

    def handle_endtag(self, tag):
        while self.stack and self.stack[-1] != tag and self.stack[-1] in self.OPTIONAL_END:
            self.stack.pop()
        assert self.stack, f"</{tag}> closes nothing"
        assert self.stack[-1] == tag, f"</{tag}> closes {self.stack[-1]}"
        self.stack.pop()

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def study_with(*values: float | None, direction: str = "maximize", name: str = "weight") -> optuna.Study:
    """A study whose trials had these values; None is one that failed."""
    study = optuna.create_study(study_name="s", direction=direction)
    for at, value in enumerate(values):
        params = {name: at / max(len(values) - 1, 1)}
        state = TrialState.FAIL if value is None else TrialState.COMPLETE
        study.add_trial(create_trial(state=state, value=value, params=params, distributions={name: FLOAT}))
    return study


class TestStudy:
    @given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=12), st.booleans())
    @settings(max_examples=60, deadline=None)
    def test_the_front_is_that_of_optuna(self, values, more):
        study = optuna.create_study(directions=["maximize" if more else "minimize", "minimize"])
        study.add_trials([create_trial(values=list(map(float, pair))) for pair in values])
        assert {trial.number for trial in view_of_study(study).front} == {trial.number for trial in study.best_trials}

    @given(st.lists(st.integers(-3, 3), min_size=1, max_size=12), st.booleans())
    @settings(max_examples=60, deadline=None)
    def test_best_so_far_and_the_best_trial_are_those_of_optuna(self, values, more):
        study = study_with(*map(float, values), direction="maximize" if more else "minimize")
        view = view_of_study(study)
        choose = max if more else min
        assert view.best_so_far(0) == [(at, choose(values[: at + 1])) for at in range(len(values))]
        assert [trial.number for trial in view.front] == [study.best_trial.number]

    def test_a_trial_outside_its_constraints_is_not_the_best(self):
        study = study_with(0.5)
        study.add_trial(create_trial(value=0.9, constraints={"length": 0.1}))
        study.add_trial(create_trial(value=0.8, constraints={"length": 0.0}))
        view = view_of_study(study)
        assert [trial.number for trial in view.front] == [2]
        assert [trial.violated for trial in view.trials] == [(), ("length",), ()]
        assert view.best_so_far(0) == [(0, 0.5), (2, 0.8)]

    def test_lost_and_surplus_trials_do_not_count_and_one_that_was_lost_for_good_failed(self):
        study = study_with(0.5)
        study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"lost": "its worker died"}))
        study.add_trial(create_trial(value=0.7, user_attrs={"retry_of": 1}))
        study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"lost": "its worker died again"}))
        study.add_trial(create_trial(state=TrialState.WAITING, user_attrs={"surplus": True}))
        study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"failure": "ValueError: no"}))
        view = view_of_study(study)
        assert [(trial.number, trial.state) for trial in view.trials] == [
            (0, "complete"), (2, "complete"), (3, "failed"), (5, "failed"),
        ]  # fmt: skip
        assert [trial.failure for trial in view.trials] == ["", "", "its worker died again", "ValueError: no"]
        assert view.lost == 1
        assert view.trials[1].retry_of == 1

    @pytest.mark.parametrize("direction", ["maximize", "minimize"])
    def test_what_decides_is_the_parameter_that_was_planted(self, direction):
        study = optuna.create_study(direction=direction, sampler=optuna.samplers.RandomSampler(seed=0))

        def objective(trial):
            useless = [trial.suggest_float(f"useless {at}", 0, 1) for at in range(2)]
            sign = 1 if direction == "maximize" else -1
            return sign * -((trial.suggest_float("decisive", 0, 1) - 0.7) ** 2) + 0 * sum(useless)

        study.optimize(objective, n_trials=60)
        view = view_of_study(study)
        found = importances_of(study, view)
        assert order_of_importance(view, found)[0] == "decisive"
        assert found[0]["decisive"] > 0.6
        assert sum(found[0].values()) == pytest.approx(1.0)

    def test_nothing_is_ranked_from_three_trials_or_without_a_parameter(self):
        study = study_with(0.1, 0.2, 0.3)
        assert importances_of(study, view_of_study(study)) == []
        bare = optuna.create_study()
        bare.add_trials([create_trial(value=float(at)) for at in range(9)])
        assert importances_of(bare, view_of_study(bare)) == []

    def test_a_parameter_that_never_moved_breaks_nothing(self):
        study = optuna.create_study()
        study.add_trials([create_trial(value=1.0, params={"a": 0.5}, distributions={"a": FLOAT}) for _ in range(6)])
        assert "<h2>Slices</h2>" in render_study(study)


class TestAxes:
    def test_shares_of_numbers_and_factors(self):
        assert Axis(2.0, 6.0, ()).share(3.0) == 0.25
        assert Axis(0.01, 100.0, (), log=True).share(1.0) == pytest.approx(0.5)
        assert Axis(0.01, 100.0, (), log=True).share(0.0) is None
        assert Axis(0.0, 1.0, ()).share(math.nan) is None
        assert Axis(0.0, 1.0, ()).share("text") is None

    @given(st.floats(-1e9, 1e9), st.floats(1e-9, 1e9), st.booleans(), st.floats(0, 1))
    def test_the_whole_range_of_a_parameter_is_on_its_axis(self, low, width, log, inside):
        if log:
            low = abs(low) + 1e-9
        high = low + width
        if not high > low:
            return
        axis = axis_of(FloatDistribution(low, high, log=log))
        shares = [axis.share(value) for value in (low, min(high, low + inside * width), high)]
        assert all(share is not None and -1e-6 <= share <= 1 + 1e-6 for share in shares)
        assert shares == sorted(shares)

    def test_choices_lie_in_the_middle_of_equal_parts(self):
        axis = axis_of(CategoricalDistribution([None, True, "z_score", 0.25]))
        assert axis.labels == ("null", "true", "z_score", "0.25")
        assert [axis.share(value) for value in (None, True, "z_score", 0.25)] == [0.125, 0.375, 0.625, 0.875]
        assert axis.share("other") is None

    def test_one_value_and_many_choices(self):
        assert axis_of(IntDistribution(3, 3)).share(3) == 0.5
        assert len(axis_of(CategoricalDistribution([f"c{at}" for at in range(40)])).ticks) <= 6

    def test_ticks(self):
        assert [text for _, text in log_ticks(1e-5, 1e-1)] == ["1e-5", "1e-4", "0.001", "0.01", "0.1"]
        assert [text for _, text in log_ticks(0.42, 0.45)] == ["0.42", "0.45"]
        assert len(log_ticks(1e-30, 1e30)) <= 6
        assert [tick for tick, _ in whole_axis(0, 3).ticks] == [0, 1, 2, 3]
        assert number_axis([5.0]).share(5.0) is not None


COMPARED = {
    "metric": "accuracy/greedy", "seeds": [7, 8], "base": [0.5, 0.6], "best": [0.7, 0.7],
    "mean": 0.15, "low": 0.05, "high": 0.25, "confidence": 0.95,
}  # fmt: skip


class TestComparison:
    @pytest.mark.parametrize(
        ("low", "high", "maximize", "says", "warns"),
        [
            (0.05, 0.25, True, "beats the base one", False),
            (-0.05, 0.35, True, "may be chance", True),
            (-0.35, -0.05, True, "is worse than the base one", True),
            (-0.35, -0.05, False, "beats the base one", False),
            (0.05, 0.25, False, "is worse than the base one", True),
            (None, None, True, "one seed tells no interval", True),
        ],
    )
    def test_the_verdict_is_that_of_the_interval(self, low, high, maximize, says, warns):
        view = ComparisonView.read(COMPARED | {"low": low, "high": high}, maximize)
        text, warn = view.verdict
        assert says in text
        assert warn is warns

    @pytest.mark.parametrize(
        "data",
        [None, {}, {"seeds": 3}, COMPARED | {"base": []}, COMPARED | {"best": ["x", None]}, COMPARED | {"seeds": "ab"}],
    )
    def test_what_is_no_comparison_is_left_out(self, data):
        assert ComparisonView.read(data) is None
        page = render_study(study_with(0.1, 0.2), About(comparison=data))
        assert "Against the base" not in page
        assert "measure it again on fresh seeds" in page

    def test_it_is_the_first_thing_that_the_page_says(self):
        shape = Shape(render_study(study_with(0.1, 0.2), About(comparison=COMPARED)))
        assert (
            "On 2 fresh seeds the best configuration beats the base one: +0.150 (95 % interval +0.0500 to +0.250)."
            in shape.text
        )
        assert shape.text.index("Against the base configuration") < shape.text.index("History")


class TestPage:
    def test_a_hostile_study_has_the_elements_of_a_kind_one(self):
        def page(name: str, choice: str, failure: str) -> str:
            study = optuna.create_study(study_name=name, direction="maximize")
            kinds = {name: FLOAT, "kind": CategoricalDistribution([choice, "b"])}
            for at in range(6):
                params = {name: at / 5, "kind": choice if at % 2 else "b"}
                study.add_trial(
                    create_trial(
                        value=at / 5, params=params, distributions=kinds, intermediate_values={0: 0.1, 1: at / 5},
                        constraints={name: at - 4.5},
                    )
                )  # fmt: skip
            study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"failure": failure}))
            comparison = COMPARED | {"metric": name}
            about = About(
                name=name, objectives=[name], facts=[(name, choice)], base={name: 0.5, "kind": choice},
                comparison=comparison, config=f"name: {name}",
            )  # fmt: skip
            return render_study(study, about)

        kind, hostile = Shape(page("weight", "a", "ValueError: no")), Shape(page(HOSTILE, HOSTILE, HOSTILE))
        assert hostile.elements == kind.elements
        assert hostile.elements["script"] == 1
        assert "img" not in hostile.elements

    def test_the_page_needs_no_network_and_allows_only_its_own_script(self):
        page = render_study(study_with(0.1, 0.2, None, 0.4, 0.3))
        assert not re.search(r"(?:src|href)=\"?(?!#)[a-z]", page)
        assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org)", page)
        assert "default-src 'none'" in page
        assert "script-src 'sha256-" in page

    def test_a_study_without_a_trial_and_one_without_a_complete_one(self):
        assert "No trial is complete yet." in Shape(render_study(optuna.create_study())).text
        text = Shape(render_study(study_with(None, None))).text
        assert "No trial is complete yet." in text
        assert "no cause was recorded" in text

    def test_sections_follow_what_there_is(self):
        def titles(study: optuna.Study) -> list[str]:
            return re.findall(r"<h2>(.*?)</h2>", render_study(study))

        assert titles(study_with(0.1, 0.2, 0.3, 0.4)) == ["History", "Parameters", "What decides", "Slices", "Trials"]
        several = optuna.create_study(directions=["maximize", "minimize"])
        several.add_trials([create_trial(values=[1.0, 2.0]), create_trial(values=[2.0, 3.0])])
        assert titles(several) == ["History", "Pareto front", "Trials"]

    def test_values_that_are_not_finite_break_no_chart(self):
        study = optuna.create_study()
        for at, value in enumerate((math.inf, 1.0, -math.inf, 1e308, -1e308)):
            steps = {0: math.nan, 1: value}
            study.add_trial(
                create_trial(value=value, params={"a": at / 4}, distributions={"a": FLOAT}, intermediate_values=steps)
            )
        page = render_study(study)
        Shape(page)
        assert not re.search(r'(?:cx|cy|d|x|y)="[^"]*(?:nan|inf)', page)

    def test_the_numbers_of_the_history_chart_are_the_values(self):
        page = render_study(study_with(0.25, 0.5, 0.125))
        found = re.search(r"data-x=\"trial\" data-points='(.*?)'", page)
        assert found is not None
        assert json.loads(found[1]) == [[0, 1, 2], [0.25, 0.5, 0.125], [0.25, 0.5, 0.5]]

    def test_the_place_of_the_best_value_in_its_range_and_its_ends(self):
        text = render_study(study_with(0.1, 0.2, 0.3, 0.9))  # the best trial is the last, at weight 1
        assert '<i style="left:100.0%"></i>' in text
        assert "at its upper end" in text
        assert "er end<" not in render_study(study_with(0.1, 0.9, 0.3))

    def test_thousands_of_trials_are_thinned_and_the_best_is_kept(self):
        study = optuna.create_study(study_name="large", direction="maximize")
        kinds = {f"p{at}": FLOAT for at in range(12)}
        for number in range(3_000):
            value = 2.0 if number == 1_234 else (number * 7919 % 3_000) / 3_000
            params = {name: (number * (at + 1) % 101) / 100 for at, name in enumerate(kinds)}
            study.add_trial(create_trial(value=value, params=params, distributions=kinds))
        page = render_study(study)
        assert len(page) < 2_000_000
        assert "trial 1234: value 2.000" in page
        assert 0 < Shape(page).text.count("complete") <= MAX_ROWS + 50
        view = view_of_study(study)
        kept = thinned(view.trials, 100, view.front)
        assert 1_234 in {trial.number for trial in kept}
        assert len(kept) <= 101

    def test_writing(self, tmp_path: Path):
        study = study_with(0.1)
        path = write_study_report(study, tmp_path / "page.html", About(name="mine"))
        assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
        assert "<h1>mine</h1>" in path.read_text(encoding="utf-8")
        with pytest.raises(DataError, match="cannot be written"):
            write_study_report(study, tmp_path / "nowhere" / "page.html")
