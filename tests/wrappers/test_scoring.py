"""A failed reward is not a zero, and a bad answer is not a failure."""

import math

import numpy as np
import pytest

from rlenvs.errors import ComponentError, ConfigError
from rlenvs.wrappers import BaseReward, ErrorPolicy, RewardPipeline, Score, Transition


class Flaky(BaseReward):
    """Fails on chosen responses, for a number of calls."""

    def __init__(self, failures: int = 10**9, result: object = None) -> None:
        self.failures, self.result = failures, result

    def __call__(self, transition: Transition) -> float | Score:
        if transition.response == "bad" and self.failures > 0:
            self.failures -= 1
            if self.result is not None:
                return self.result  # type: ignore[return-value]
            raise RuntimeError("worker died")
        return 1.0


BATCH = [Transition(response="good"), Transition(response="bad"), Transition(response="good")]
FAILURES = [None, math.nan, math.inf, -math.inf, Score(0.5, "error")]


@pytest.mark.parametrize("result", FAILURES)
def test_raise_is_the_default_and_names_component_and_row(result):
    with pytest.raises(ComponentError, match="'flaky' failed twice on transition 1"):
        RewardPipeline({"flaky": Flaky(result=result)}).compute(BATCH, 0)


@pytest.mark.parametrize("result", FAILURES)
def test_mask_leaves_the_row_out_and_keeps_the_others(result):
    pipeline = RewardPipeline({"flaky": Flaky(result=result)}, policies={"flaky": ErrorPolicy("mask")})
    batch = pipeline.compute(BATCH, 0)
    assert batch.status[:, 0].tolist() == ["ok", "error", "ok"]
    assert np.isnan(batch.raw[1, 0])
    assert batch.contributions[:, 0].tolist() == [1.0, 0.0, 1.0]
    assert pipeline.failures == {"flaky/error": 1}


@pytest.mark.parametrize("policy", ["penalty", "default"])
def test_a_stand_in_value_is_weighted_like_any_other_but_stays_an_error(policy):
    pipeline = RewardPipeline({"flaky": Flaky()}, {"flaky": lambda t: 2.0}, {"flaky": ErrorPolicy(policy, -3.0)})
    batch = pipeline.compute(BATCH, 0)
    assert batch.total.tolist() == [2.0, -6.0, 2.0]
    assert batch.status[1, 0] == "error"


def test_one_failure_is_retried():
    batch = RewardPipeline({"flaky": Flaky(failures=1)}).compute(BATCH, 0)
    assert batch.status[:, 0].tolist() == ["ok", "ok", "ok"]
    assert batch.total.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("status", ["invalid", "timeout"])
def test_what_the_text_provoked_is_a_verdict_and_counts(status):
    pipeline = RewardPipeline({"flaky": Flaky(result=Score(-0.5, status))})
    batch = pipeline.compute(BATCH, 0)
    assert batch.total.tolist() == [1.0, -0.5, 1.0]
    assert batch.status[1, 0] == status
    assert pipeline.failures == {f"flaky/{status}": 1}


def test_a_component_is_called_once_per_batch():
    calls = []

    class Batched(Flaky):
        def batch(self, transitions):
            calls.append(len(transitions))
            return [float(len(t.response)) for t in transitions]

    assert RewardPipeline({"b": Batched()}).compute(BATCH, 0).total.tolist() == [4.0, 3.0, 4.0]
    assert calls == [3]


@pytest.mark.parametrize(
    ("returned", "message"), [([1.0], "1 values for 3"), ([Score(1.0, "fine")] * 3, "status must")]
)
def test_a_component_that_breaks_its_contract_is_a_bug_not_a_reward(returned, message):
    class Broken(Flaky):
        def batch(self, transitions):
            return returned

    with pytest.raises(ComponentError, match=message):
        RewardPipeline({"broken": Broken()}, policies={"broken": ErrorPolicy("mask")}).compute(BATCH, 0)


def test_a_contract_broken_in_the_retry_is_not_covered_by_a_policy_either():
    class BrokenOnceAlone(Flaky):
        def batch(self, transitions):
            if len(transitions) > 1:
                raise RuntimeError("worker died")
            return [Score(1.0, "fine")]

    for policy in (ErrorPolicy("mask"), ErrorPolicy("penalty", -1.0)):
        with pytest.raises(ComponentError, match="'broken' breaks its contract: status must"):
            RewardPipeline({"broken": BrokenOnceAlone()}, policies={"broken": policy}).compute(BATCH, 0)


@pytest.mark.parametrize("on_error", ["penalty", "default"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_stand_in_must_be_a_number(on_error, value):
    with pytest.raises(ConfigError, match=f"{on_error!r} needs a finite error_value"):
        ErrorPolicy(on_error, value)
    with pytest.raises(ConfigError, match="needs a finite error_value"):
        ErrorPolicy(on_error)


def test_interrupts_are_not_swallowed():
    class Interrupted(Flaky):
        def __call__(self, transition: Transition) -> float:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        RewardPipeline({"i": Interrupted()}, policies={"i": ErrorPolicy("mask")}).compute(BATCH, 0)


def test_an_error_says_on_which_row_it_is():
    with pytest.raises(ComponentError) as caught:
        RewardPipeline({"flaky": Flaky()}).compute(BATCH, 0)
    assert caught.value.row == 1
    with pytest.raises(ComponentError) as caught:
        RewardPipeline({"flaky": Flaky()}).compute(BATCH[1:2], 0)
    assert caught.value.row == 0
    assert ComponentError("about no row").row is None


class Returns(BaseReward):
    """Returns whatever it was given, from `batch` too."""

    def __init__(self, result: object) -> None:
        self.result = result

    def __call__(self, transition: Transition) -> float:
        return self.result  # type: ignore[return-value]


class ReturnsBatch(Returns):
    def batch(self, transitions):
        return self.result


@pytest.mark.parametrize("rows", [1, 3])
def test_an_integer_that_no_float_holds_is_an_error_in_both_forms(rows):
    pipeline = RewardPipeline({"huge": Returns(10**400)}, policies={"huge": ErrorPolicy("penalty", -1.0)})
    assert pipeline.compute([Transition()] * rows, 0).total.tolist() == [-1.0] * rows
    assert pipeline.failures == {"huge/error": rows}


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("result", ["1.5", b"1"])
def test_a_text_that_reads_like_a_number_is_no_value(result, rows):
    with pytest.raises(ComponentError, match="breaks its contract: a value must be a number or a Score"):
        RewardPipeline({"text": Returns(result)}).compute([Transition()] * rows, 0)


def test_an_array_without_dimensions_is_an_error_of_the_component():
    with pytest.raises(ComponentError, match=r"'sum' failed twice.*0-d array"):
        RewardPipeline({"sum": ReturnsBatch(np.array(0.5))}).compute([Transition()] * 2, 0)


def test_an_unknown_policy_is_refused_where_it_is_made():
    with pytest.raises(ConfigError, match=r"on_error.*must be one of raise, mask, penalty, default, got 'maks'"):
        ErrorPolicy("maks")  # type: ignore[arg-type]
