"""Every component's formula, range and statuses."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlenvs.errors import ComponentError, ConfigError, ParameterError
from rlenvs.wrappers import (
    CorrectnessReward,
    EnvReward,
    FormattingReward,
    GoalReward,
    KeywordOverlapReward,
    LengthPenalty,
    RepetitionPenalty,
    RewardPipeline,
    Score,
    Transition,
)


def answered(response: str, **info: object) -> Transition:
    return Transition(response=response, action=response, terminated=True, info={"response": response} | info)


@pytest.mark.parametrize(("correct", "status"), [(True, "ok"), (False, "ok"), (False, "invalid"), (False, "timeout")])
def test_correctness_passes_the_grade_and_its_status_on(correct, status):
    component = CorrectnessReward(correct=2.0, incorrect=-1.0)
    assert component(answered("x", correct=correct, grade_status=status)) == Score(2.0 if correct else -1.0, status)


def test_correctness_waits_for_a_verdict_at_token_level():
    assert CorrectnessReward(incorrect=-1.0)(Transition(action=7, info={"response_so_far": "4"})) == Score(0.0)


def test_correctness_without_any_verdict_is_a_failure_not_a_zero():
    with pytest.raises(KeyError, match="does not grade"):
        CorrectnessReward()(answered("x"))


def test_env_reward_is_the_environments_own():
    assert EnvReward()(Transition(env_reward=-0.75)) == -0.75


@pytest.mark.parametrize(
    ("response", "is_json"),
    [
        ('{"a": [1, 2]}', True),
        ("3", True),
        ("", False),
        ("{'a': 1}", False),
        ('{"a": 1} x', False),
        ("[" * 100_000, False),
    ],
)
def test_json_form(response, is_json):
    assert FormattingReward("json", penalty_value=-1.0)(answered(response)) == (
        Score(1.0, "ok") if is_json else Score(-1.0, "invalid")
    )


def test_json_form_survives_a_number_too_long_to_parse():
    assert FormattingReward("json")(answered("9" * 5_000)).status == "invalid"


def test_regex_form_needs_the_whole_response():
    digits = FormattingReward("regex", pattern="[0-9]+", reward_value=0.5)
    assert digits(answered("42")).value == 0.5
    assert digits(answered("42 ")) == Score(0.0, "invalid")
    assert digits(answered("42\n")) == Score(0.0, "invalid")


def test_form_of_an_unfinished_message_is_not_judged():
    unfinished = Transition(action=3, response="4 2", info={"response_so_far": "4 2"})
    assert FormattingReward("regex", pattern="[0-9]+", penalty_value=-1.0)(unfinished) == Score(0.0)
    assert LengthPenalty(max_length=1, unit="chars")(unfinished) == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"format": "regex"}, "pattern"),
        ({"format": "json", "pattern": "x"}, "pattern"),
        ({"format": "regex", "pattern": "("}, "not a regular expression"),
    ],
)
def test_form_refuses_parameters_that_do_not_fit(arguments, message):
    with pytest.raises(ConfigError, match=message):
        FormattingReward(**arguments)


@given(response=st.text(max_size=60), limit=st.integers(0, 30))
def test_length_penalty_is_linear_above_the_limit(response, limit):
    penalty = LengthPenalty(max_length=limit, penalty_per_token=-0.25, unit="chars")(answered(response))
    assert penalty == -0.25 * max(0, len(response) - limit)


def test_length_units():
    response = "two words, three marks!"
    counted, uncounted = answered(response, response_tokens=9), answered(response)
    units = ("auto", "words", "chars")
    assert {unit: -LengthPenalty(0, -1.0, unit)(uncounted) for unit in units} == {"auto": 6, "words": 4, "chars": 23}
    assert {unit: -LengthPenalty(0, -1.0, unit)(counted) for unit in (*units, "tokens")} == {
        "auto": 9,
        "words": 4,
        "chars": 23,
        "tokens": 9,
    }
    assert LengthPenalty(0).unit == "auto"


def test_tokens_that_nobody_counted_are_a_failure_not_an_estimate():
    strict = LengthPenalty(0, unit="tokens")
    assert strict(Transition(action=3, response="4 2", info={"response_so_far": "4 2"})) == 0.0  # not over yet
    with pytest.raises(ComponentError, match=r"'length' failed twice.*response_tokens.*'words' or 'chars'.*agent"):
        RewardPipeline({"length": strict}).compute([answered("4 2")], 0)


@pytest.mark.parametrize("arguments", [{"max_length": -1}, {"max_length": 1, "penalty_per_token": 0.1}])
def test_length_refuses_a_reward_in_disguise(arguments):
    with pytest.raises(ConfigError, match="must be"):
        LengthPenalty(**arguments)


GOALS = [(True, 1.0), (False, 0.0), (2, 1.0), (0.0, 0.0), (np.bool_(True), 1.0), (np.array(False), 0.0)]


@pytest.mark.parametrize("terminated", [True, False])
@pytest.mark.parametrize(("told", "expected"), [*GOALS, (math.nan, None), (None, None), ("absent", None)])
def test_a_goal_is_the_same_alone_and_in_a_batch(told, expected, terminated):
    info = {} if isinstance(told, str) else {"goal_reached": told}
    step = Transition(env_reward=1.0, terminated=terminated, info=info)
    expected = float(terminated) if expected is None else expected
    assert GoalReward()(step) == GoalReward().batch([step])[0] == expected


@pytest.mark.parametrize("told", ["yes", "", [1]])
def test_a_goal_that_is_no_truth_value_is_an_error_alone_and_in_a_batch(told):
    step = Transition(terminated=True, info={"goal_reached": told})
    for score in (GoalReward(), lambda row: GoalReward().batch([row])):
        with pytest.raises((KeyError, TypeError, ValueError)):
            score(step)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LengthPenalty("3"), "max_length must be a finite number, got '3'"),
        (lambda: LengthPenalty(True), "max_length must be a finite number, got True"),
        (lambda: LengthPenalty(3, unit=3), "unit must be one of .*, got 3"),
        (lambda: RepetitionPenalty(penalty=None), "penalty must be a finite number, got None"),
        (lambda: GoalReward("1"), "target_reward must be a finite number, got '1'"),
        (lambda: KeywordOverlapReward(()), r"keywords must name at least one .*, got \(\)"),
        (lambda: KeywordOverlapReward("abc"), "keywords must name at least one .*, got 'abc'"),
    ],
)
def test_parameters_of_the_wrong_type(make, message):
    with pytest.raises(ParameterError, match=f"^{message}"):
        make()
