"""What a study says while it runs: a line per trial, which tells how far it is and what the best is."""

import io

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from rlenvs.agents.tuning.view import LiveStudyProgress, StudyProgress, short_params


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def trial(number, value=None, *, state=TrialState.COMPLETE, params=None, **more):
    distributions = {
        name: FloatDistribution(0, 100) if isinstance(found, float) else CategoricalDistribution([found])
        for name, found in (params or {}).items()
    }
    made = create_trial(state=state, value=value, params=params or {}, distributions=distributions, **more)
    made.number = number
    return made


@pytest.fixture
def view():
    return StudyProgress(10, ["accuracy/greedy"], [True], io.StringIO(), Clock())


def lines(view):
    return view.stream.getvalue().splitlines()


def test_a_line_has_number_value_best_and_parameters(view):
    view.trial(trial(3, 0.25, params={"reward_shaping.length.initial_weight": 0.5, "kind": "a"}))
    view.trial(trial(1, 0.125))
    assert lines(view)[0].startswith("trial 3 | 1/10 | accuracy/greedy 0.250 | best 0.250 (trial 3) | ")
    assert lines(view)[0].endswith(" | length.initial_weight=0.500 kind=a")
    assert "accuracy/greedy 0.125 | best 0.250 (trial 3)" in lines(view)[1]


def test_less_is_better_where_it_is_minimized():
    view = StudyProgress(10, ["cost"], [False], io.StringIO(), Clock())
    for number, value in enumerate((0.5, 0.25, 0.75)):
        view.trial(trial(number, value))
    assert view.best == (1, 0.25)


def test_pruned_failed_and_broken_trials_are_no_best(view):
    view.trial(trial(0, state=TrialState.PRUNED, intermediate_values={0: 0.5, 1: 0.25}))
    view.trial(trial(1, state=TrialState.FAIL, user_attrs={"failure": "ValueError: no\x1b[31m"}))
    view.trial(trial(2, 0.9, constraints={"length": 0.5}))
    assert "| pruned at 0.250 |" in lines(view)[0]
    assert r"| FAILED ValueError: no\x1b[31m |" in lines(view)[1]
    assert "| accuracy/greedy 0.900 (breaks length) |" in lines(view)[2]
    assert view.best is None
    assert "best" not in "".join(lines(view))


def test_several_objectives_have_no_best():
    view = StudyProgress(3, ["accuracy", "length"], [True, False], io.StringIO(), Clock())
    made = create_trial(values=[0.5, 12.0])
    view.trial(made)
    assert "| accuracy 0.500, length 12.00 |" in lines(view)[0]
    assert "best" not in lines(view)[0]


def test_the_time_left_is_that_of_this_session(view):
    view.start([trial(0, 0.5), trial(1, 0.75)])
    assert lines(view) == []
    view.clock.now += 20
    view.trial(trial(2, 0.25))
    assert "| 3/10 |" in lines(view)[0]
    assert "best 0.750 (trial 1)" in lines(view)[0]
    assert "| left 2m20s" in lines(view)[0]  # 7 trials of 20 s


def test_what_the_stream_cannot_hold_is_escaped():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    StudyProgress(1, ["a"], [True], stream).log("caf\xe9 \u202e\nnext")
    assert stream.buffer.getvalue() == rb"caf\xe9 \u202e next" + b"\n"


def test_the_bar_of_a_terminal_stands_below_the_same_lines_and_is_taken_away():
    view = LiveStudyProgress(2, ["a"], [True], io.StringIO(), Clock())
    with view:
        view.trial(trial(0, 0.5))
        view.log("[bold]a message[/bold] of " + "many words " * 30)
    text = lines(view)
    assert text[0].startswith("trial 0 | 1/2 | a 0.500 |")
    assert text[1].startswith("[bold]a message[/bold] of many words")
    assert text[1].count("many words") == 30  # lines are not broken


def test_many_parameters_are_cut():
    text = short_params({f"section.name{at}": float(at) for at in range(9)})
    assert text.count("=") == 6
    assert text.endswith(" +3")
    assert len(short_params({"name": "x" * 500})) <= 130
    assert short_params({"a": True, "b": None, "c": 3}) == "a=true b=null c=3"
