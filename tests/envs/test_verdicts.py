import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.envs.episode import TextTask
from rlenvs.envs.verdicts import Verdicts, judged, plain_integers
from rlenvs.graders import Grade, grade_batch
from rlenvs.problems import ArithmeticSource
from rlenvs.problems.grading import grade_tasks

SOURCE = ArithmeticSource(digits=1)
INTEGERS = st.integers(-(10**33), 10**33) | st.integers(-20, 20)
GOLDS = INTEGERS.map(str) | st.sampled_from(["0.5", "1/2", "07", "-0", "12 "])
ANSWERS = st.one_of(
    INTEGERS.map(str),
    st.text("0123456789-+. \u0663\u00b2", max_size=5),
    st.sampled_from(["", "-", "-0", "00", "7\n", "\t7", "seven", "7.0", "1e1", "7\0", "-7\u200b", "9" * 31, "9" * 32]),
)
CALLED = []


def counting(tasks, responses):
    CALLED.append(len(tasks))
    return grade_batch(tasks, responses)


def verdicts_on(grader, pairs, **more):
    records = [{"type": "math", "question": "?", "gold": gold, "extract": "whole", **more} for gold, _ in pairs]
    fields = {key: [record[key] for record in records] for key in records[0]}
    texts = [text for _, text in pairs]
    task = TextTask(SOURCE, grader)
    return judged(task, fields, lambda rows: [records[row] for row in rows], texts), grade_batch(records, texts)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(GOLDS, ANSWERS) | INTEGERS.map(lambda n: (str(n), str(n))), min_size=1, max_size=12))
@pytest.mark.parametrize("grader", [grade_batch, grade_tasks])
def test_they_are_those_of_the_grader(grader, pairs):
    verdicts, grades = verdicts_on(grader, pairs)
    expected = Verdicts.of(grades)
    for name in ("scores", "correct", "statuses", "extracted", "reasons"):
        ours, theirs = getattr(verdicts, name), getattr(expected, name)
        assert (ours.dtype, ours.tolist()) == (theirs.dtype, theirs.tolist())


def test_another_grader_and_another_policy_are_asked_about_everything():
    CALLED.clear()
    verdicts_on(counting, [("1", "1"), ("2", "3")])
    assert CALLED == [2]
    verdicts, grades = verdicts_on(grade_batch, [("2", "4/2")], require_evaluated=True)
    assert verdicts.statuses.tolist() == [grades[0].status]


@given(st.lists(ANSWERS, max_size=8))
def test_plain_integers_are_those_that_python_writes(texts):
    def plain(text):
        digits = text.removeprefix("-")
        return digits.isascii() and digits.isdigit() and str(int(text)) == text and len(digits) <= 31

    assert plain_integers(texts).tolist() == [plain(text) for text in texts]


def test_no_verdicts_are_empty_columns():
    assert Verdicts.of([]).scores.shape == (0,)
    replaced = Verdicts.of([Grade(0.0, False, "ok", "1", "a")] * 3)
    replaced.put(np.array([1]), Verdicts.of([Grade(1.0, True, "invalid", None, "b")]))
    assert replaced.scores.tolist() == [0.0, 1.0, 0.0]
    assert replaced.extracted.tolist() == ["1", "", "1"]
