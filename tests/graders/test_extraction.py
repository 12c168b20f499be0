import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.graders import EXTRACTORS, MAX_ANSWER_CHARS, extract_answer

MARKERS = ("A:", "####")


@pytest.mark.parametrize(
    ("extract", "response", "answer"),
    [
        ("whole", " 42 \n", "42"),
        ("whole", "line one\nline two", "line one\nline two"),
        ("whole", " \n\t", None),
        ("last_boxed", "\\boxed{41} no \\boxed{42}.", "42"),
        ("last_boxed", "\\boxed{\\frac{1}{2}} rest", "\\frac{1}{2}"),
        ("last_boxed", "\\boxed {7}", "7"),
        ("last_boxed", "\\fbox{7}", "7"),
        ("last_boxed", "\\boxed{6} \\fbox{7}", "7"),
        ("last_boxed", "\\fbox{7} \\boxed{6}", "6"),
        ("last_boxed", "\\boxed{6 \\fbox{7}}", None),
        ("last_boxed", "\\boxed{6} \\fbox{}", None),
        ("last_boxed", "\\boxed{\\{1\\}}", "\\{1\\}"),
        ("last_boxed", "\\boxed{\\boxed{5}}", "5"),
        ("last_boxed", "\\boxed{ \\boxed{ \\boxed{5} } }", "5"),
        ("last_boxed", "\\boxed{41 \\boxed{42}}", None),
        ("last_boxed", "\\boxed{\\boxed{41} \\boxed{42}}", None),
        ("last_boxed", "\\boxed{x}{\\boxed{42}}", "42"),
        ("last_boxed", "\\boxed{41 and then \\boxed{42}", "42"),
        ("last_boxed", "\\boxed{\\{} \\boxed{42}", "42"),
        ("last_python_block", "```python\nx = 1\n```\nand\n```py\nx = 2\n```\n", "x = 2"),
        ("last_python_block", "```\nx = 1\n```", "x = 1"),
        ("last_python_block", "```python\nx = 1\n```\n```text\nnot this\n```", "x = 1"),
        ("last_python_block", "```python\nx = 1\n```\nx = 2\n```python\nx = 3", "x = 1"),
        ("last_python_block", "```python\nx = 1\n```\nIt prints:\n```\n1\n```\n", "x = 1"),
        ("last_python_block", "```\nx = 1\n```\nor\n```\nx = 2\n```\n", "x = 2"),
        ("last_python_block", "```\nx = 1\n```\n```Python3\nx = 2\n```\n```\nx = 3\n```\n```json\n3\n```", "x = 2"),
        ("last_python_block", "```\nx = 1\n```\n```json\n3\n```", "x = 1"),
        ("last_python_block", "```\nx = 1\n```\n```python\nx = 2", "x = 1"),
        ("last_python_block", "```\nx = 1\n```\n```python\n```\n", None),
        ("last_python_block", "```json\n3\n```", None),
        ("last_python_block", "```python\nx = 1", None),
        ("last_python_block", "x = 1", None),
        ("last_python_block", "```python\n```", None),
        ("last_boxed", "\\boxed{42} then \\boxed{}", None),
        ("last_boxed", "\\boxed{42} then \\boxed{4", None),
        ("last_boxed", "\\boxed{42} then \\boxed 4", None),
        ("last_boxed", "\\boxed", None),
        ("last_boxed", "42", None),
        ("last_boxed", "\\boxed{1\\", None),
        ("last_hash", "#### 1\n#### 2", "2"),
        ("last_hash", "so 3*6=18 #### 18", "18"),
        ("last_hash", "#### 18 eggs\nand more", "18 eggs"),
        ("last_hash", "#### 18\n####", None),
        ("last_hash", "### 18", None),
        ("last_answer_tag", "<answer>a</answer><answer> b\nc </answer>", "b\nc"),
        ("last_answer_tag", "<answer>a</answer><answer></answer>", None),
        ("last_answer_tag", "<answer>a</answer><answer>b", None),
        ("last_answer_tag", "a</answer>", None),
        ("last_answer_line", "Answer: 1\nThe end.\nANSWER: 2", "2"),
        ("last_answer_line", "**Final answer:** 12 eggs", "12 eggs"),
        ("last_answer_line", "  final ANSWER: x", "x"),
        ("last_answer_line", "The Answer: 3", None),
        ("last_answer_line", "**Answer**: 3", "3"),
        ("last_answer_line", "### Final Answer : 3", "3"),
        ("last_answer_line", "> __Answer:__ 3", "3"),
        ("last_answer_line", "Answer: 3\n- answer: 4", "4"),
        ("last_answer_line", "Answer: 3\nAnswers: 4", "3"),
        ("last_answer_line", "1. Answer: 3", None),
        ("last_answer_line", "Answer: 3\nAnswer:\n", None),
        ("last_answer_line", "İ Answer: 3", None),
        ("last_marker", "A: 1\nso\nA: 2\n", "2"),
        ("last_marker", "A: 1\n#### 2", "2"),
        ("last_marker", "#### 1\n \tA: 2", "2"),
        ("last_marker", "CA: 1", None),
        ("last_marker", "A: 1\nA:", None),
        ("last_marker", "A: 1\r\n", "1"),
        ("last_marker", "A: 12 eggs for you", "12 eggs for you"),
    ],
)
def test_each_policy(extract, response, answer):
    extraction = extract_answer(response, extract, MARKERS)
    assert extraction.answer == answer
    assert extraction.reason


def test_the_longer_of_two_markers_counts():
    assert extract_answer("Answer: 5", "last_marker", ("Answer", "Answer:")).answer == "5"


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("<think>#### 1</think>#### 2", "2"),
        ("<think>#### 1</think>nothing", None),
        ("#### 1 <think> hm", None),
        ("<think></think>#### 1<think>#### 3</think>\n#### 4", "4"),
        ("#### 1", "1"),
    ],
)
def test_answers_inside_the_thinking_do_not_count_where_the_task_says_so(response, answer):
    assert extract_answer(response, "last_hash", after_think=True).answer == answer


@pytest.mark.parametrize("extract", sorted(EXTRACTORS))
def test_an_answer_beyond_the_limit_is_none(extract):
    frame = {
        "whole": "{}",
        "last_boxed": "\\boxed{{{}}}",
        "last_hash": "#### {}",
        "last_answer_tag": "<answer>{}</answer>",
        "last_answer_line": "Answer: {}",
        "last_marker": "A: {}",
        "last_python_block": "```python\n{}\n```",
    }[extract]
    assert extract_answer(frame.format("1" * MAX_ANSWER_CHARS), extract, MARKERS).answer == "1" * MAX_ANSWER_CHARS
    extraction = extract_answer(frame.format("1" * (MAX_ANSWER_CHARS + 1)), extract, MARKERS)
    assert extraction.answer is None
    assert str(MAX_ANSWER_CHARS) in extraction.reason


FLOODS = {
    "digits": "1" * 10_000_000,
    "open boxes": "\\boxed{" * 1_400_000,
    "braces": "\\boxed{" + "{" * 10_000_000,
    "hashes": "#" * 10_000_000,
    "tags": "<answer>" * 1_250_000,
    "markers in one line": "x" + "A:" * 5_000_000,
    "markers on lines": "A:\n" * 3_300_000,
    "lines": "\n" * 10_000_000,
    "lines behind a marker": "xA:" + "\n" * 10_000_000 + "x",
    "blank lines": " \t" * 2_500_000 + "\n" + " " * 5_000_000,
    "stars": "*" * 10_000_000,
    "blanks": " " * 10_000_000,
    "thoughts": "<think>" * 1_400_000,
    "fences": "```\n" * 2_500_001,
    "framed boxes": "\\fbox{" * 1_600_000,
    "quotation marks": "> - # " * 1_600_000,
    "quotations": "> - # \n" * 1_400_000,
    "blanks behind a box": "\\boxed" + " " * 10_000_000 + "x",
    "nested boxes": "\\boxed{" * 700_000 + "1" + "}" * 5_000_000,
}


@pytest.mark.parametrize("flood", sorted(FLOODS))
def test_ten_megabytes_take_a_moment_under_every_policy(flood):
    text = FLOODS[flood]
    started = time.process_time()
    for extract in EXTRACTORS:
        assert extract_answer(text, extract, MARKERS, after_think=True).answer is None
    # All six together; a quadratic scan of this size would take hours.
    assert time.process_time() - started < 5


@settings(deadline=None)
@given(st.text(alphabet="A:#\\boxed{}<answer>/ `\n1", max_size=80), st.sampled_from(sorted(EXTRACTORS)))
def test_whatever_comes_an_answer_is_a_stripped_part_of_the_response(response, extract):
    answer = extract_answer(response, extract, MARKERS).answer
    assert answer is None or (answer and answer == answer.strip() and answer in response)
