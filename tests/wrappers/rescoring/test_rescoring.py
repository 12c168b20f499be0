"""Stored responses through a pipeline: what a row means, which rows are scored together, and where errors point."""

import json
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlenvs.errors import ComponentError, DataError
from rlenvs.graders import grade
from rlenvs.wrappers.base import BaseReward
from rlenvs.wrappers.normalization.strategies import Normalization
from rlenvs.wrappers.pipeline import RewardPipeline
from rlenvs.wrappers.potentials.base import Potential, PotentialTerm
from rlenvs.wrappers.rescoring.rescore import BATCH_SIZE, rescore
from rlenvs.wrappers.rescoring.stored_steps import StoredFields
from rlenvs.wrappers.rescoring.table import ScoreTable
from rlenvs.wrappers.schedules.ramps import LinearSchedule
from rlenvs.wrappers.schedules.reactive import GatedSchedule
from rlenvs.wrappers.transition import RewardState, Transition


class Length(BaseReward):
    """Characters of the response."""

    def __call__(self, transition):
        return float(len(transition.response))


class Spy(BaseReward):
    """Remembers what it was shown, call by call."""

    def __init__(self):
        self.calls: list[list[Transition]] = []

    def __call__(self, transition):
        return self.batch([transition])[0]

    def batch(self, transitions: Sequence[Transition]):
        self.calls.append(list(transitions))
        return [float(len(transition.response)) for transition in transitions]


class Turns(Potential):
    """How many answers the chat has."""

    def __call__(self, state: RewardState) -> float:
        return 2.0 + sum(message["role"] == "assistant" for message in state.messages)


def read(rows, fields=None):
    # Through JSON, as a file holds them.
    return [
        (fields or StoredFields()).read(json.loads(json.dumps(row)), f"data.jsonl:{number}", number)
        for number, row in enumerate(rows, start=1)
    ]


def totals(rows, pipeline, **options):
    return np.concatenate([batch.result.total for batch in rescore(read(rows), pipeline, **options)]).tolist()


def turn(env, number, response, iteration=1, **more):
    return {
        "iteration": iteration,
        "step": 10,
        "env": env,
        "turn": number,
        "problem_id": f"p{env}",
        "prompt": f"q{env}.{number}",
        "response": response,
        "tokens": len(response),
        "correct": False,
        "grade_status": "ok",
        "env_reward": 0.0,
        **({"start": {"difficulty": 0.5, "progress": 0.0}} if number == 0 else {}),
        **more,
    }


def seen(rows, fields=None, **options):
    spy = Spy()
    list(rescore(read(rows, fields), RewardPipeline({"spy": spy}), **options))
    return spy.calls


def test_a_plain_row_is_an_episode_of_one_answer():
    [[transition]] = seen([{"prompt": "2+2?", "response": "5", "correct": False, "model": "small", "step": 7}])
    chat = [{"role": "user", "content": "2+2?"}]
    assert transition == Transition(
        prompt="2+2?",
        response="5",
        messages=[*chat, {"role": "assistant", "content": "5"}],
        observation="2+2?",
        action="5",
        next_observation="",
        env_reward=0.0,
        terminated=True,
        info={
            "correct": False,
            "progress": 0.0,
            "model": "small",
            "step": 7,
            "response": "5",
            "messages": [*chat, {"role": "assistant", "content": "5"}],
        },
        previous_info={"model": "small", "step": 7, "progress": 0.0, "messages": chat},
        step=7,
        previous_step=7,
    )


def test_a_prompt_may_be_a_chat_and_lie_in_an_object():
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"}]
    [[transition]] = seen([{"task": {"chat": chat}, "answer": "4"}], StoredFields("task.chat", "answer"))
    assert transition.prompt == "2+2?"
    assert transition.previous_info["messages"] == chat
    assert transition.messages == [*chat, {"role": "assistant", "content": "4"}]


@pytest.mark.parametrize(
    ("label", "options", "truth", "right"),
    [
        (True, {}, 1.0, True),
        (0, {}, 0.0, False),
        (0.7, {}, 0.7, True),
        (3, {"threshold": 4.0}, 3.0, False),
        ("pass", {"right_label": "pass"}, 1.0, True),
        ("fail", {"right_label": "pass"}, 0.0, False),
        (None, {}, math.nan, None),
    ],
)
def test_labels(label, options, truth, right):
    [step] = read([{"response": "", "verdict": label}], StoredFields(label="verdict", **options))
    assert step.truth == pytest.approx(truth, nan_ok=True)
    assert step.right is right
    # The environment would have paid the grade; where nobody knows it, EnvReward must fail and not read 0.
    assert step.env_reward == pytest.approx(truth, nan_ok=True)
    assert step.info.get("correct") == right


def test_the_label_is_looked_for_in_the_usual_places():
    assert [
        step.right for step in read([{"response": "", "label": 1}, {"response": "", "correct": True, "label": 0}])
    ] == [
        True,
        True,
    ]
    assert read([{"response": ""}])[0].right is None


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"correct": 0.2}, False),
        ({"correct": 1}, True),
        ({"correct": None}, None),
        ({"correct": False, "human": True}, False),
        ({"correct": "?", "human": True}, True),
    ],
)
def test_what_components_are_told_is_a_verdict_or_nothing(row, told):
    label = "human" if "human" in row else None
    [step] = read([{"response": "", **row}], StoredFields(label=label))
    assert step.info.get("correct") is told


def test_a_grader_gives_info_what_an_environment_gives_and_leaves_a_named_label_the_truth():
    row = {"response": "7", "label": True, "ground_truth": "8"}
    verdict = grade({"type": "math", "gold": "8", "extract": "whole"}, "7")
    judged = StoredFields().read(row, verdict=verdict)
    assert (judged.right, judged.truth, judged.env_reward) == (False, 0.0, 0.0)
    named = StoredFields(label="label").read(row, verdict=verdict)
    assert (named.right, named.truth, named.env_reward) == (True, 1.0, 0.0)
    assert named.info["correct"] is False
    assert {"score", "grade_status", "extracted", "reason", "progress"} <= set(named.info)


@pytest.mark.parametrize(
    ("row", "fields", "message"),
    [
        ({"respons": "4"}, StoredFields(), r"d:3: field 'response' is missing; did you mean 'respons'\? \(found: respons\)"),
        ({"response": 4}, StoredFields(), r"d:3: field 'response': expected text, got 4"),
        ({"response": ""}, StoredFields("prompt"), r"d:3: field 'prompt' is missing"),
        ({"response": "", "prompt": 3}, StoredFields(), r"d:3: field 'prompt': expected text or a list of messages"),
        ({"response": "", "prompt": []}, StoredFields(), r"d:3: field 'prompt': expected text or a list of messages"),
        ({"response": "", "prompt": [{"role": "user"}]}, StoredFields(), r"d:3: field 'prompt': expected text or a list"),
        ({"response": ""}, StoredFields(label="good"), r"d:3: field 'good' is missing"),
        (
            {"response": "", "good": "pass"},
            StoredFields(label="good"),
            r"field 'good': expected true, false or a finite number, got 'pass'; say which label means right",
        ),
        ({"response": "", "correct": math.nan}, StoredFields(), r"field 'correct': expected true, false or a finite"),
        ({"response": "", "env_reward": "1"}, StoredFields(), r"d:3: field 'env_reward': expected a finite number, got '1'"),
        ({"response": "", "step": 2**63}, StoredFields(), r"d:3: field 'step': expected a whole number in"),
        ({"response": "", "step": -1}, StoredFields(), r"d:3: field 'step': expected a whole number in \[0, 2\^63\), got -1"),
        (turn(True, 0, ""), StoredFields(), r"d:3: field 'env': expected a whole number in \[0, 2\^63\), got true"),
        (turn(0, 0, "", terminated=1), StoredFields(), r"d:3: field 'terminated': expected true or false, got 1"),
        (turn(0, 0, "", info=[]), StoredFields(), r"d:3: field 'info': expected an object, got \[\]"),
        (turn(0, 0, "", next_prompt=1), StoredFields(), r"d:3: field 'next_prompt': expected text, got 1"),
        (turn(0, 0, "", opening="hi"), StoredFields(), r"d:3: field 'opening': expected text or a list of messages"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_used_is_named(row, fields, message):
    with pytest.raises(DataError, match=message):
        fields.read(row, "d:3")


def test_turns_of_an_episode_are_a_chain():
    rows = [
        turn(0, 0, "a", terminated=False, info={"hint": 1}),
        turn(1, 0, "b", terminated=True),
        turn(0, 1, "cc", terminated=False, next_prompt="last words", truncated=True),
    ]
    first, second = seen(rows)
    assert [transition.response for transition in first] == ["a", "b"]
    begin, more = first[0], second[0]
    opening = [{"role": "user", "content": "q0.0"}]
    after = [*opening, {"role": "assistant", "content": "a"}, {"role": "user", "content": "q0.1"}]
    assert begin.previous_info == {"difficulty": 0.5, "progress": 0.0, "problem_id": "p0", "messages": opening}
    assert (begin.messages, begin.next_observation, begin.terminated) == (after, "q0.1", False)
    assert begin.info["hint"] == 1
    assert begin.info["response_tokens"] == 1
    assert (more.prompt, more.observation, more.previous_info) == ("q0.0", "q0.1", begin.info)
    assert more.messages == [
        *after, {"role": "assistant", "content": "cc"}, {"role": "user", "content": "last words"}
    ]  # fmt: skip
    assert "hint" not in more.info  # infos build on the first state, not on one another
    assert (more.terminated, more.truncated) == (False, True)
    assert first[1].terminated
    assert first[1].next_observation == ""


def test_an_end_that_was_not_stored_is_where_no_turn_follows():
    first, second = seen([turn(0, 0, "a"), turn(1, 0, "b"), turn(0, 1, "c")])
    assert [transition.terminated for transition in (*first, *second)] == [False, True, True]


@pytest.mark.parametrize("gamma", [1.0, 0.5])
def test_potentials_telescope_over_stored_turns(gamma):
    # Phi is 2, 3, 4 and 0 in the end; the weight falls by 0.01 per step of the clock, and a state keeps its own.
    rows = [
        turn(0, 0, "a", step=10, terminated=False),
        turn(0, 1, "b", step=20, terminated=False),
        turn(0, 2, "c", step=30, terminated=True),
    ]
    pipeline = RewardPipeline(
        {"guide": PotentialTerm(Turns(), gamma)}, {"guide": LinearSchedule(1.0, 0.0, decay_steps=100)}
    )
    paid = totals(rows, pipeline)
    assert paid == pytest.approx([gamma * 0.9 * 3 - 0.9 * 2, gamma * 0.8 * 4 - 0.9 * 3, -0.8 * 4])
    assert sum(gamma**t * reward for t, reward in enumerate(paid)) == pytest.approx(-0.9 * 2)


def test_a_turn_without_the_one_before_it_is_named():
    with pytest.raises(DataError, match=r"data\.jsonl:2: turn 2 of env 0 in iteration 1, but the turn before it"):
        seen([turn(0, 0, "a", terminated=False), turn(0, 2, "c")])


def test_the_calls_of_a_run_are_its_iterations_and_turns():
    rows = [
        turn(0, 0, "a", terminated=False), turn(1, 0, "b"), turn(0, 1, "c"),
        turn(0, 0, "d", iteration=2), turn(1, 0, "e", iteration=2),
        turn(0, 0, "f", iteration=2), turn(1, 0, "g", iteration=2),  # a second file behind the first
    ]  # fmt: skip
    assert [[t.response for t in call] for call in seen(rows)] == [["a", "b"], ["c"], ["d", "e"], ["f", "g"]]


def test_other_rows_are_scored_in_bounded_calls_split_where_the_clock_moves():
    rows = [{"response": str(number), "step": number // 7} for number in range(20)]
    assert [len(call) for call in seen(rows, batch_size=5)] == [5, 2, 3, 4, 1, 5]
    assert [len(call) for call in seen(rows, clock=3, batch_size=5)] == [5, 5, 5, 5]
    assert [len(call) for call in seen(rows * 30, clock=0)] == [BATCH_SIZE, BATCH_SIZE, 600 - 2 * BATCH_SIZE]


def test_a_given_clock_is_every_rows_clock():
    rows = [turn(0, 0, "a", terminated=False), turn(0, 1, "b"), turn(0, 0, "c", iteration=2, step=99)]
    assert {(t.step, t.previous_step) for call in seen(rows, clock=50) for t in call} == {(50, 50)}


@pytest.mark.parametrize("strategy", ["batch", "rank", "group"])
def test_rows_that_are_compared_are_scored_together(strategy):
    rows = [{"prompt": f"p{number % 2}", "response": "x" * number} for number in range(BATCH_SIZE + 44)]
    pipeline = RewardPipeline({"length": Length()}, normalizations={"length": Normalization(strategy)})
    batches = list(rescore(read(rows), pipeline))
    assert [len(batch.steps) for batch in batches] == [len(rows)]
    assert batches[0].result.total.mean() == pytest.approx(0.0, abs=1e-9)


@given(st.lists(st.text(max_size=5), min_size=1, max_size=30), st.integers(1, 9))
def test_without_statistics_the_size_of_the_calls_changes_nothing(texts, size):
    rows = [{"response": text} for text in texts]
    pipeline = RewardPipeline({"length": Length(), "guide": PotentialTerm(Turns())})
    assert totals(rows, pipeline, batch_size=size) == [len(text) - 2.0 for text in texts]


def test_statistics_without_a_past_are_learned_ahead_and_nothing_else_is():
    class Counting(Length):
        count = 0

        def batch(self, transitions):
            self.count += len(transitions)
            return super().batch(transitions)

        def state_dict(self):
            return {"count": self.count}

        def load_state_dict(self, state):
            self.count = state["count"]

    counting = Counting()
    gate = GatedSchedule(1.0, metric="length", threshold=0.0, window=1)
    pipeline = RewardPipeline(
        {"length": counting}, {"length": gate}, normalizations={"length": Normalization("running", warmup=5)}
    )
    rows = [{"response": "x" * number} for number in range(8)]
    [first, *_] = rescore(read(rows), pipeline, batch_size=8)
    assert first.result.weights.tolist() == [0.0]  # the gate has not seen these rows yet
    expected = (np.arange(8) - 3.5) / np.arange(8).std()
    assert first.result.normalized[:, 0] == pytest.approx(expected)
    assert counting.count == 8


def test_a_run_learns_as_it_did_and_not_ahead():
    pipeline = RewardPipeline({"length": Length()}, normalizations={"length": Normalization("running", warmup=1)})
    rows = [turn(env, 0, "x" * (env + 1), iteration=iteration) for iteration in (1, 2) for env in range(2)]
    assert totals(rows, pipeline) == pytest.approx([1.0, 2.0, -1.0, 1.0])


def test_weights_that_react_see_what_the_run_measured_at_its_time():
    gate = GatedSchedule(1.0, metric="eval/accuracy", threshold=0.5, window=1)
    pipeline = RewardPipeline({"length": Length()}, {"length": gate})
    rows = [turn(0, 0, "x", iteration=iteration, step=iteration * 10) for iteration in (1, 2, 3)]
    measured = {0: {"step": 0, "eval/accuracy": 0.1}, 2: {"step": 20, "eval/accuracy": 0.9}}
    assert totals(rows, pipeline, measured=measured) == [0.0, 0.0, 1.0]


class Needs(BaseReward):
    """Wants a key of info; fails otherwise."""

    def __init__(self, error=KeyError):
        self.error = error

    def __call__(self, transition):
        if "judge" not in transition.info:
            raise self.error("info has no 'judge'")
        return 1.0


@pytest.mark.parametrize("size", [1, 3, 256])
@pytest.mark.parametrize(("failure", "raised"), [(KeyError, DataError), (TimeoutError, ComponentError)])
def test_a_failing_component_is_named_with_its_line_and_the_way_out(size, failure, raised):
    rows = [{"response": "", "judge": 1}] * 5 + [{"response": ""}]
    pipeline = RewardPipeline({"length": Length(), "asked": Needs(failure)})
    message = (
        r"^data\.jsonl:6: reward component 'asked' failed twice: .*info has no 'judge'.*; set its on_error to mask"
    )
    with pytest.raises(raised, match=message):
        list(rescore(read(rows), pipeline, batch_size=size))


class NeedsPhi(Potential):
    """Wants a key in the info of every state."""

    def __call__(self, state):
        return float(state.info["phi"])


@pytest.mark.parametrize("size", [1, 3, 256])
def test_a_failing_potential_is_named_with_its_line(size):
    pipeline = RewardPipeline({"guide": PotentialTerm(NeedsPhi())})
    rows = [{"response": "", "phi": 1.0}] * 4 + [{"response": ""}]
    with pytest.raises(DataError, match=r"^data\.jsonl:5: potential 'guide' failed: KeyError: 'phi'"):
        list(rescore(read(rows), pipeline, batch_size=size))


def test_a_potential_that_fails_on_arrival_is_named_with_its_line():
    pipeline = RewardPipeline({"guide": PotentialTerm(NeedsPhi())})
    rows = [
        turn(env, 0, "a", start={"phi": 1.0}, terminated=False, next_prompt="", info={"phi": phi})
        for env, phi in enumerate([1.0, math.inf, 2.0])
    ]
    with pytest.raises(ComponentError, match=r"^data\.jsonl:2: potential 'guide' returned NaN or infinity"):
        list(rescore(read(rows), pipeline))


def test_an_unknown_environment_reward_fails_and_is_never_read_as_nothing():
    pipeline = RewardPipeline.from_config({"reward_components": {"env": {"class": "EnvReward"}}})
    with pytest.raises(
        ComponentError, match=r"^data\.jsonl:2: reward component 'env' failed twice: it returned an error"
    ):
        list(rescore(read([{"response": "", "correct": True}, {"response": ""}]), pipeline))


def test_masked_rows_are_counted_and_left_out_of_nothing_else():
    pipeline = RewardPipeline.from_config(
        {
            "reward_components": {
                "score": {"class": "InfoValueReward", "info_key": "s", "on_error": "mask"},
                "right": {"class": "CorrectnessReward"},
            }
        }
    )
    table = ScoreTable(pipeline.names)
    rows = [{"response": "", "correct": True, "s": 2.0}, {"response": "", "correct": False}]
    for batch in rescore(read(rows), pipeline):
        table.add(batch)
    scores = table.scores()
    assert np.isnan(scores.raw[1, 0])
    assert scores.total.tolist() == [3.0, 0.0]
    assert scores.lines.tolist() == [1, 2]
