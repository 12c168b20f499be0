import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rlenvs.errors import GraderError, MissingExtraError, UserError
from rlenvs.graders import EXTRACTORS, compile_task, grade, grade_batch, parse_number, read_value

DATA = Path(os.environ.get("RLENVS_TEST_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
MATH = {"type": "math", "question": "What is 6 times 7?", "gold": "42", "extract": "last_boxed"}
PARIS = {"type": "qa_exact", "question": "Capital of France?", "gold": "Paris", "extract": "last_answer_tag"}
EGGS = {"type": "gsm8k", "question": "How many?", "gold": "6*3=18\n#### 18", "extract": "last_hash"}


def lines(name):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"no {path}; set RLENVS_TEST_DATA")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_agrees_with_every_published_label():
    rows = lines("gsm8k_graded_solutions.jsonl")
    assert len(rows) == 1320
    policy = {"type": "gsm8k", "extract": "last_marker", "markers": ["A:"]}
    tasks = [{**policy, "question": row["question"], "gold": row["ground_truth"]} for row in rows]
    grades = grade_batch(tasks, [row["response"] for row in rows])
    assert [verdict.correct for verdict in grades] == [row["is_correct"] for row in rows]


def test_every_gold_solution_is_its_own_right_answer():
    for row in lines("gsm8k_train_1000.jsonl"):
        task = {"type": "gsm8k", "question": row["question"], "gold": row["answer"]}
        assert grade(task, row["answer"]).correct


def test_no_hack_pays_and_no_honest_answer_fails():
    rows = [row for row in lines("reward_hacks.jsonl") if row["kind"] in ("math", "text")]
    assert len(rows) == 74
    try:
        grades = grade_batch([row["task"] for row in rows], [row["response"] for row in rows])
    except MissingExtraError as error:
        pytest.skip(str(error))
    paid = {row["id"]: verdict.score for row, verdict in zip(rows, grades, strict=True)}
    assert paid == {row["id"]: 1.0 if row["expected_reward"] == "correct" else 0.0 for row in rows}
    assert not Path("/tmp/sbxmathpwned").exists()


def test_a_grade_says_what_it_judged():
    right, wrong, none = grade_batch([MATH] * 3, ["\\boxed{42}", "\\boxed{41}", "42"])
    assert (right.score, right.correct, right.status, right.extracted) == (1.0, True, "ok", "42")
    assert (wrong.score, wrong.correct, wrong.status, wrong.extracted) == (0.0, False, "ok", "41")
    assert (none.score, none.correct, none.status, none.extracted) == (0.0, False, "invalid", None)
    assert none.reason == "no \\boxed{} in the response"


def test_an_unreadable_answer_is_invalid_and_shown():
    verdict = grade(MATH, "\\boxed{many}")
    assert (verdict.status, verdict.extracted, verdict.score) == ("invalid", "many", 0.0)
    assert verdict.reason == "not a number: 'many'"


@pytest.mark.parametrize("gold", ["0.5", "1/2", "50\\%", "\\frac{1}{2}"])
@pytest.mark.parametrize("answer", ["0.50", "2/4", "50%", "\\frac{3}{6}", ".5"])
def test_equal_values_are_equal_answers(gold, answer):
    assert grade({**MATH, "gold": gold}, f"\\boxed{{{answer}}}").correct


def test_close_is_not_equal():
    assert not grade({**MATH, "gold": "1/3"}, "\\boxed{0.3333333333333333333333}").correct
    assert not grade(MATH, "\\boxed{42.0000000000000000001}").correct


def test_percent_is_a_unit_in_word_problems():
    assert grade({**EGGS, "gold": "50"}, "#### 50%").correct
    assert not grade({**MATH, "gold": "50"}, "\\boxed{50%}").correct


@pytest.mark.parametrize("answer", ["Paris", " paris. ", "PARIS", "Paris\n"])
def test_texts_differ_in_more_than_case_space_and_a_full_stop(answer):
    assert grade(PARIS, f"<answer>{answer}</answer>").correct


@pytest.mark.parametrize("answer", ["P", "Paris Paris", "London Paris", "Pari s", "Parisian"])
def test_other_texts_are_wrong(answer):
    verdict = grade(PARIS, f"<answer>{answer}</answer>")
    assert (verdict.correct, verdict.status) == (False, "ok")


def test_composed_and_decomposed_accents_are_the_same():
    assert grade({**PARIS, "gold": "Orl\u00e9ans"}, "<answer>Orle\u0301ans</answer>").correct


@pytest.mark.parametrize(
    ("gold", "extract", "markers"),
    [
        ("18", "last_hash", []),
        ("18 eggs", "last_hash", []),
        ("so 18\n#### 18", "last_hash", []),
        ("so 18\nA: 18", "last_marker", ["A:"]),
        ("so 18\n#### 18", "last_marker", ["A:"]),
    ],
)
def test_a_gold_may_be_a_whole_solution(gold, extract, markers):
    task = {**EGGS, "gold": gold, "extract": extract, "markers": markers}
    assert grade(task, "A: 18\n#### 18" if extract == "last_hash" else "#### 1\nA: 18").correct


def test_the_default_policy_is_that_of_the_type():
    assert grade({"type": "math", "gold": "1"}, "\\boxed{1}").correct
    assert grade({"type": "gsm8k", "gold": "1"}, "#### 1").correct
    assert grade({"type": "qa_exact", "gold": "one"}, "One").correct


def test_keys_of_the_caller_are_left_alone():
    assert grade({**MATH, "answer_format": "boxed", "id": 7}, "\\boxed{42}").correct


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "maths"}, "task type: unknown 'maths'; did you mean 'math'"),
        ({"type": None}, "task type: unknown None"),
        ({"extract": "last_box"}, "task extract: unknown 'last_box'; did you mean 'last_boxed'"),
        ({"gold": None}, "task gold: must be a text, got None"),
        ({"gold": 42}, "task gold: must be a text, got 42"),
        ({"gold": " "}, "task gold: it is empty"),
        ({"type": "qa_exact", "gold": " . "}, r"task gold: ' \. ' is not a text"),
        ({"type": "gsm8k", "gold": "no answer"}, "task gold: 'no answer' is not a number"),
        ({"extract": "last_marker"}, "needs at least one"),
        ({"require_after_think": "yes"}, "task require_after_think: must be true or false, got 'yes'"),
        ({"require_evaluated": 1}, "task require_evaluated: must be true or false, got 1"),
        ({"tolerance": 0.1}, "task tolerance: must be {'abs': ..., 'rel': ...} or one of them, got 0.1"),
        ({"tolerance": {"absolute": 1}}, "task tolerance: must be {'abs'"),
        ({"tolerance": {"abs": -1}}, "task tolerance: must be >= 0"),
        ({"tolerance": {"abs": float("nan")}}, "task tolerance: must be a finite number, got nan"),
        ({"tolerance": {"abs": 1}, "gold": "x"}, "task tolerance: the gold must be a real number for it, got 'x'"),
        ({"tolerance": {"abs": 1}, "type": "qa_exact"}, "task tolerance: a qa_exact task has none"),
        ({"time_limit_s": 0}, r"task time_limit_s: must be in \(0, 60\], got 0"),
        ({"type": "mcq", "gold": "E"}, "task gold: 'E' is not one of the choices A, B, C, D"),
        ({"type": "mcq", "gold": "A", "choices": ["A"]}, "task choices: must be a list of 2 to 100 labels"),
        ({"type": "mcq", "gold": "A", "choices": ["A", "a"]}, "task choices: labels must differ in more than case"),
        ({"type": "mcq", "gold": "A", "choices": ["A", "B b"]}, "task choices: labels must be short words"),
        ({"type": "mcq", "gold": "A", "options": ["Mars"]}, r"one text per choice \(4\), got 1"),
        ({"type": "countdown"}, "task numbers: must be a list of 1 to 200 numbers, got None"),
        ({"type": "countdown", "numbers": [1, True], "target": 1}, "task numbers: must be a finite number, got True"),
        ({"type": "countdown", "numbers": [1], "target": "1"}, "task target: must be a finite number, got '1'"),
        ({"type": "countdown", "numbers": [-1], "target": 1}, "task numbers: must not be negative, got -1"),
        ({"type": "countdown", "numbers": [1], "target": 1, "use": "any"}, "task use: must be one of all, some"),
        ({"type": "json", "gold": {1, 2}}, "task gold and schema: must be plain JSON values"),
        ({"type": "json", "gold": float("nan")}, "task gold and schema: must be plain JSON values"),
        ({"type": "json", "schema": "integer"}, "task schema: must be a JSON Schema"),
        ({"extract": "last_marker", "markers": "A:"}, "task markers: must be a list"),
        ({"extract": "last_marker", "markers": [""]}, "task markers: must be a list"),
        ({"extract": "last_marker", "markers": 3}, "task markers: must be a list"),
    ],
)
def test_a_record_that_cannot_be_graded_by_is_an_error(change, message):
    with pytest.raises(GraderError, match=message):
        grade({**MATH, **change}, "\\boxed{42}")


def test_misuse_is_an_error_of_the_user():
    with pytest.raises(UserError, match="one response per task, got 2 and 1"):
        grade_batch([MATH, MATH], ["x"])
    with pytest.raises(UserError, match="response must be a str, got bytes"):
        grade(MATH, b"42")


@settings(deadline=None)
@given(
    st.text(max_size=100), st.sampled_from(sorted(EXTRACTORS)), st.sampled_from([MATH, PARIS, {**EGGS, "gold": "1"}])
)
def test_no_response_raises(response, extract, task):
    verdict = grade({**task, "extract": extract, "markers": ["A:"]}, response)
    assert verdict.correct == (verdict.score == 1.0)
    assert verdict.status in ("ok", "invalid")
    assert not (verdict.correct and verdict.status == "invalid")


@settings(deadline=None)
@given(st.integers(-(10**9), 10**9), st.sampled_from(sorted(EXTRACTORS)))
def test_every_policy_accepts_a_right_answer_and_refuses_its_neighbour(number, extract):
    frame = {
        "whole": "{}",
        "last_boxed": "\\boxed{{1}} so \\boxed{{{}}}",
        "last_hash": "#### 1\n#### {}",
        "last_answer_tag": "<answer>1</answer><answer>{}</answer>",
        "last_answer_line": "Answer: 1\nAnswer: {}",
        "last_marker": "A: 1\nA: {}",
        "last_python_block": "```\n1\n```\n```python\n{}\n```",
    }[extract]
    task = {**MATH, "gold": str(number), "extract": extract, "markers": ["A:"]}
    assert grade(task, frame.format(number)).correct
    assert not grade(task, frame.format(number + 1)).correct


@pytest.mark.parametrize(
    "hostile",
    [
        "9" * 4096,
        "1e999999999",
        "9" * 2000 + "/" + "7" * 2000,
        "1," * 2000,
        "0." + "3" * 4000,
        "\\frac{" * 600,
        "1" + " " * 4000 + "x",
        "x" + "\\, " * 1300 + "y",
        "x" + "~" * 4000 + "y",
        " and" * 1000,
        "(1+\\sqrt2+\\sqrt3+\\sqrt5+\\sqrt7+\\sqrt{11})^{9}+" * 60,
        "(1+\\sqrt2)" * 350,
        "(x+y)" * 800,
        "(a+b+c+d+e+f)^{60}",
        "\\frac{1}{1+\\sqrt2+\\sqrt3+\\sqrt5}+" * 90 + "1",
        "100!+" * 700 + "1",
        "\\{" * 400 + "1" + "\\}" * 400,
        "(" * 1500 + "1,2" + ")" * 1500,
        "\\cup" * 800,
        "x=" * 2000,
        "\\text{" * 600,
        "3^{4000}" * 400,
    ],
)
def test_costly_answers_are_cheap(hostile):
    started = time.process_time()
    assert not grade({**MATH, "extract": "whole"}, hostile).correct
    for reader in (read_value, parse_number):
        reader(hostile)
    assert time.process_time() - started < 1


def test_a_json_task_needs_something_to_compare_with():
    with pytest.raises(GraderError, match="task gold: a json task needs a gold value, a schema, or both"):
        grade({"type": "json"}, "1")


PLAIN = {"type": "math", "question": "?", "extract": "whole"}
NEARLY_INTEGERS = st.one_of(
    st.integers(-1100, 1100).map(str),
    st.integers(0, 10**40).map(str),
    st.sampled_from(
        ["-0", "007", " 7", "7\n", "7.0", "+7", "7 eggs", "\u0667", "x=7", "1,000", "", "-", "\u22127", "7\x1f"]
    ),
)


@settings(deadline=None)
@given(NEARLY_INTEGERS.filter(str.strip), st.lists(NEARLY_INTEGERS, max_size=5))
def test_the_short_way_of_plain_integers_gives_the_same_grades(gold, responses):
    task = {**PLAIN, "gold": gold}
    assume(gold not in ("-",))
    question = compile_task(task)
    expected = [question.respond(response) for response in responses]
    assert grade_batch([task] * len(responses), responses) == expected
    assert grade_batch([question] * len(responses), responses) == expected


@pytest.mark.parametrize("task", [None, [], "math", 42, [("type", "math")]])
def test_a_task_that_is_no_mapping_is_named(task):
    with pytest.raises(GraderError, match="task: must be a mapping with a type and a gold, got"):
        grade(task, "1")


@pytest.mark.parametrize("task_type", ["math", "qa_exact"])
def test_a_gold_that_no_answer_can_be_as_long_as_is_an_error(task_type):
    task = {"type": task_type, "extract": "whole"}
    assert grade({**task, "gold": "a" * 4096}, "a" * 4096).correct
    with pytest.raises(GraderError, match="task gold: must have at most 4096 characters as answers do, got 4097"):
        grade({**task, "gold": "a" * 4097}, "a")


@pytest.mark.parametrize(
    "gold",
    [
        "~42",
        "36/2",
        "-(-42)",
        "42+0",
        "42K",
        "6\\div2",
        "x/x",
        "\\sqrt{42}^2",
        "1, 2, \\ldots",
        "0\\le x<1",
        "42\u00b2",
    ],
)
def test_an_odd_gold_accepts_itself(gold):
    assert grade({"type": "math", "gold": gold}, f"\\boxed{{{gold}}}").correct
    if gold == "36/2":
        task = {"type": "gsm8k", "gold": gold}
        assert grade(task, "#### 36/2").correct
        assert grade(task, "#### 18").correct
        assert not grade({**task, "gold": "18"}, "#### 36/2").correct


def test_a_problem_may_hold_its_question():
    question = compile_task(MATH)
    assert question is compile_task(dict(MATH))
    assert grade(question, "\\boxed{42}") == grade(MATH, "\\boxed{42}")
