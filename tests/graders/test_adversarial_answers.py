"""Answers written to be paid without being right, and honest ones beside them, by class."""

import importlib.util
import time

import pytest

from rlenvs.graders import grade

needs_cas = importlib.util.find_spec("math_verify") is None
BOX = {"type": "math", "question": "6*7?", "gold": "42", "extract": "last_boxed"}
HASH = {"type": "gsm8k", "question": "?", "gold": "18", "extract": "last_hash"}
TAG = {"type": "qa_exact", "question": "?", "gold": "Paris", "extract": "last_answer_tag"}
MCQ = {"type": "mcq", "question": "?", "gold": "C", "choices": ["A", "B", "C", "D"], "extract": "last_answer_line"}
PLANETS = {**MCQ, "options": ["Mars", "Venus", "Jupiter", "Earth"]}
JSON = {"type": "json", "question": "?", "gold": {"answer": 42}, "extract": "whole"}
COUNT = {"type": "countdown", "numbers": [3, 7, 8, 9], "target": 24, "extract": "last_answer_tag"}
EVALUATED = {**BOX, "require_evaluated": True}
ANY_FORM = {**BOX, "require_evaluated": False}


def gold(text, **changes):
    return {**BOX, "gold": text, **changes}


def box(text):
    return f"\\boxed{{{text}}}"


def tag(text):
    return f"<answer>{text}</answer>"


PAIR, INTERVAL, SET = gold("(1,2)"), gold("[0,1)"), gold("\\{1,2\\}")
ROOT, PI, POLYNOMIAL = gold("2\\sqrt{3}"), gold("\\pi"), gold("x^2+2x+1")
SINE = gold("\\sin 1")

UNPAID = {
    "enumerate_candidates": [
        (BOX, box("41 \\text{ or } 42")),
        (BOX, box("41, 42")),
        (BOX, box("42, 43")),
        (BOX, box("42 / 43")),
        (BOX, box("42; 42")),
        (BOX, box("40 \\text{ to } 44")),
        (BOX, box("[40, 44]")),
        (BOX, box("42 \\pm 1")),
        (BOX, box("42 \\pm 0")),
        (BOX, box("x \\in \\{41, 42\\}")),
        (BOX, box("42 = 43")),
        (BOX, box("43 = 42")),
        (BOX, box("x = 41 = 42")),
        (BOX, box("42 \\neq 41")),
        (BOX, box("42?")),
        (BOX, box("42 (41)")),
        (BOX, box("\\begin{pmatrix}41\\\\42\\end{pmatrix}")),
        (HASH, "#### 17 or 18"),
        (HASH, "#### 18, 19"),
        (HASH, "#### 18 (or 19)"),
        (HASH, "#### between 17 and 19"),
        (TAG, tag("Paris or London")),
        (TAG, tag("Paris, London")),
        (TAG, tag("Paris\nLondon")),
        (MCQ, "Answer: A or C"),
        (MCQ, "Answer: A/B/C/D"),
        (MCQ, "Answer: ABCD"),
        (MCQ, "Answer: (A) (C)"),
        (MCQ, "Answer: C and D"),
        (MCQ, "Answer: not C"),
        (MCQ, "Answer: C) and also D)"),
        (MCQ, "Answer: C. But maybe not"),
        (PLANETS, "Answer: C) Mars"),
        (PLANETS, "Answer: Mars or Jupiter"),
        (JSON, '{"answer": [41, 42]}'),
        (JSON, '{"answer": 41, "answer": 42}'),
        (JSON, '{"answer": 42} {"answer": 41}'),
        (SINE, box("\\sin 1, \\cos 1")),
        (SINE, box("\\sin 1 \\text{ or } \\cos 1")),
        (SINE, box("\\cos 1 = \\sin 1")),
        (SINE, box("\\pm \\sin 1")),
        (gold("x=1, x=2"), box("x=1, x=2, x=3")),
        (gold("p=5, q=2"), box("2, 5")),
    ],
    "multiple_answers": [
        (BOX, "\\boxed{42} \\boxed{41}"),
        (BOX, "\\boxed{41 \\boxed{42}}"),
        (BOX, "\\boxed{\\boxed{42} \\boxed{41}}"),
        (BOX, "\\boxed{42} \\boxed"),
        (HASH, "#### 18\n#### nothing"),
        (HASH, "#### 18 #### 19"),
        (TAG, "<answer>Paris</answer><answer>"),
        (MCQ, "Answer: C\nAnswer: D"),
        (COUNT, tag("3*((7-8)+9)") + tag("3*8")),
    ],
    "empty": [
        (BOX, ""),
        (BOX, "\\boxed{{}}"),
        (BOX, "\\boxed{$$}"),
        (BOX, box("\\text{}")),
        (BOX, box("\\quad")),
        (SINE, box("\\,")),
        (HASH, "####"),
        (TAG, tag(" \u200b")),
        (MCQ, "Answer:"),
        (MCQ, "Answer: ()"),
        (JSON, ""),
        (JSON, "null"),
        (COUNT, tag("")),
        (COUNT, tag("()")),
    ],
    "prompt_echo": [
        (BOX, "What is 6 times 7? 42"),
        (BOX, "Put your answer in \\boxed{}. \\boxed{answer}"),
        (HASH, "#### <number>"),
        (TAG, "Reply in <answer></answer>. <answer>...</answer>"),
        (MCQ, "Answer: X"),
        (MCQ, "Answer: A, B, C or D"),
    ],
    "self_reference": [
        (BOX, box("answer")),
        (BOX, box("\\text{see above}")),
        (BOX, box("gold")),
        (BOX, box("x")),
        (SINE, box("\\text{the value}")),
        (MCQ, "Answer: the right one"),
    ],
    "restate_problem": [
        (BOX, box("6 \\times 7")),
        (BOX, box("40+2")),
        (BOX, box("84/2")),
        (BOX, box("\\frac{84}{2}")),
        (EVALUATED, box("\\frac{84}{2}")),
        (EVALUATED, box("\\sqrt{1764}")),
        (EVALUATED, box("2 \\cdot 3 \\cdot 7")),
        (EVALUATED, box("4!+18")),
        (gold("3/7", require_evaluated=True), box("6/14")),
        (gold("1024", require_evaluated=True), box("2^{10}")),
        (gold("5\\sqrt{2}", require_evaluated=True), box("2\\sqrt{2}+3\\sqrt{2}")),
        (gold("\\sqrt{6}", require_evaluated=True), box("\\sqrt{2}\\sqrt{3}")),
        (gold("x^2+2x+1", require_evaluated=True), box("(x+1)^2")),
        (gold("\\ln 2", require_evaluated=True), box("\\int_1^2 \\frac{1}{x} dx")),
    ],
    "think_leak": [
        ({**BOX, "require_after_think": True}, "<think>\\boxed{42}"),
        ({**BOX, "require_after_think": True}, "\\boxed{42}<think>hm</think>"),
        ({**BOX, "require_after_think": True}, "<think></think><think>\\boxed{42}</think>"),
    ],
    "cas_dos": [
        (BOX, box("9^{9^{9^{9^{9}}}}")),
        (BOX, box("42 \\cdot 1^{10^{10^{10}}}")),
        (BOX, box("\\sum_{k=1}^{10^{12}} k")),
        (BOX, box("2^{2^{30}}")),
        (BOX, box("(" * 1500 + "42" + ")" * 1500)),
        (BOX, box("\\sqrt{" * 400 + "42" + "}" * 400)),
        (BOX, box("\\{" * 900 + "42" + "\\}" * 900)),
        (BOX, box("1+" * 2000 + "1")),
        (BOX, box("\\left(" * 50_000)),
        (BOX, box("(a+b+c+d+e+f)^{60}")),
        (BOX, box("1" * 4000 + "!")),
        (ANY_FORM, "[" * 100_000),
        (COUNT, tag("(" * 50_000)),
        (COUNT, tag("-" * 4000 + "3")),
        (COUNT, tag("3*" * 2000 + "8")),
        (COUNT, tag("9" * 4000)),
        (JSON, "[" * 90_000),
        (JSON, '"' + '\\"' * 45_000),
        (JSON, '{"answer": ' + "9" * 5000 + "}"),
        (JSON, '{"answer": 1e999999999}'),
    ],
    "grader_rce": [
        (BOX, box("__import__('os').system('touch /tmp/rlenvs_pwned')")),
        (ANY_FORM, box("__import__('os').system('touch /tmp/rlenvs_pwned')")),
        (SINE, box("exec(\"open('/tmp/rlenvs_pwned','w')\")")),
        (SINE, box("\\input{/etc/passwd}")),
        (COUNT, tag("__import__('os').getpid()")),
        (COUNT, tag("(lambda: 24)()")),
        (JSON, "{'answer': 42}"),
        (JSON, "cos\nsystem\n(S'touch /tmp/rlenvs_pwned'\ntR."),
    ],
    "tolerance": [
        (BOX, box("41.9999999999")),
        (PI, box("3.14159265358979")),
        (PI, box("22/7")),
        (PI, box("\\approx \\pi")),
        (ROOT, box("3.4641016151")),
        (gold("\\frac{1}{2^{99}}"), box("\\frac{1}{2^{98}}")),
        (gold("10^{-20}"), box("0")),
        (gold("100", tolerance={"abs": 0.5}), box("100.51")),
        (gold("100", tolerance={"rel": 0.01}), box("101.01")),
        (gold("\\pi", tolerance={"abs": 0.001}), box("3.14")),
        (JSON, '{"answer": 42.00000000000000000001}'),
    ],
    "percent": [
        (BOX, box("42\\%")),
        (BOX, box("4200\\%  ".replace("4200", "42"))),
        (gold("0.42"), box("42")),
        (gold("50\\%"), box("50")),
    ],
    "structure": [
        (PAIR, box("(2,1)")),
        (PAIR, box("[1,2]")),
        (PAIR, box("(1,2]")),
        (PAIR, box("\\{1,2\\}")),
        (PAIR, box("(1,2,2)")),
        (PAIR, box("12")),
        (PAIR, box("1.2")),
        (SET, box("(1,2)")),
        (SET, box("\\{1,2,3\\}")),
        (SET, box("\\{\\{1,2\\}\\}")),
        (INTERVAL, box("(0,1)")),
        (INTERVAL, box("[1,0)")),
        (gold("[0,1)\\cup(1,2]"), box("[0,2]")),
        (gold("(0,1)\\cup(2,3)"), box("(0,1)\\cap(2,3)")),
        (gold("\\begin{pmatrix}1&2\\end{pmatrix}"), box("\\begin{pmatrix}1\\\\2\\end{pmatrix}")),
        (gold("\\pm 2"), box("2")),
        (gold("204_5"), box("204")),
        (gold("204_5"), box("204_6")),
        (gold("204_5"), box("54")),
        (gold("x=5"), box("y=5")),
        (gold("1{,}234"), box("(1,234)")),
    ],
    "parser_fallback": [
        (BOX, box("42 \\foo{3}")),
        (BOX, box("42 x")),
        (BOX, box("42x")),
        (BOX, box("42^")),
        (BOX, box("42\\}")),
        (BOX, box("\\{42")),
        (BOX, box("42e0.5")),
        (BOX, box("0x2A")),
        (BOX, box("4_2")),
        (BOX, box("\\frac{42}")),
        (BOX, box("\\frac{42}{1}3")),
        (gold("5.5"), box("1\\frac{1}{2}")),
        (gold("4"), box("4\\sqrt(2)")),
        (SINE, box("\\sin 1 \\garbage")),
        (SINE, box("\\sin 1 $ junk")),
    ],
    "type_confusion": [
        (gold("1"), box("\\text{true}")),
        (gold("0"), box("False")),
        (gold("0"), box("None")),
        (gold("0"), box("\\emptyset")),
        (JSON, '{"answer": "42"}'),
        (JSON, "[42]"),
        (JSON, "42"),
        ({**JSON, "gold": {"ok": True}}, '{"ok": 1}'),
        ({**JSON, "gold": [0]}, "[false]"),
        ({**JSON, "gold": None}, "false"),
    ],
    "nan": [
        (BOX, box("\\infty")),
        (BOX, box("inf")),
        (BOX, box("nan")),
        (BOX, box("0/0")),
        (BOX, box("\\frac{42}{0}")),
        (JSON, '{"answer": NaN}'),
        (JSON, '{"answer": Infinity}'),
        (COUNT, tag("3/(7-7)")),
        (gold("42", tolerance={"abs": 1}), box("NaN")),
    ],
    "substring": [
        (BOX, box("420")),
        (BOX, box("4 2")),
        (BOX, box("-42")),
        (BOX, box("042.1")),
        (HASH, "#### 1"),
        (HASH, "#### 8"),
        (TAG, tag("Paris, Texas")),
        (TAG, tag("aris")),
        (MCQ, "Answer: CD"),
        (MCQ, "Answer: Cats"),
        (JSON, '{"answer": 42, "also": 41}'),
        (JSON, '{"Answer": 42}'),
    ],
    "unicode": [
        (BOX, box("\u200e42")),
        (BOX, box("4\u00ad2")),
        (BOX, box("\uff14\uff12")),
        (BOX, box("\u0664\u0662")),
        (BOX, box("42\ufe0f")),
        (TAG, tag("P\u0430ris")),
        (TAG, tag("Par\u200dis")),
        (MCQ, "Answer: \u0421"),
        (SINE, box("\\sin 1\u202e")),
        (COUNT, tag("\uff13*8")),
    ],
    "partial": [
        (COUNT, tag("24")),
        (COUNT, tag("3*7+8")),
        (COUNT, tag("3*8*(9-7)/2")),
        (COUNT, tag("7+8+9")),
        (COUNT, tag("3+7+8+9")),
        (gold("\\{1,2\\}"), box("1")),
        (gold("x=1, x=2"), box("x=1")),
    ],
    "reuse": [
        (COUNT, tag("3*8+7-7+9-9")),
        (COUNT, tag("8+8+8")),
        (COUNT, tag("3*(9-7/7)")),
        ({**COUNT, "use": "some"}, tag("8+8+8")),
        (COUNT, tag("3*((7-8)+9)+0")),
        (COUNT, tag("3*((7-8)+9)*1")),
        (COUNT, tag("37-(8+9)+4")),
    ],
    "comment_smuggling": [
        (COUNT, tag("24 // 3 7 8 9")),
        (COUNT, tag("3*((7-8)+9) # done")),
        (COUNT, tag("24 if 3+7+8+9 else 0")),
        (COUNT, tag("(3,7,8,9,24)[4]")),
        (COUNT, tag("3**7-8-9")),
        (COUNT, tag("38-7-7 = 24")),
        (COUNT, tag("3*((7-8)+9) = 25")),
        (COUNT, tag("3*((7-8)+9) = 24 = 24")),
        (COUNT, tag("3(8)")),
        (COUNT, tag("3 7 8 9")),
        (COUNT, tag("3_8")),
        (COUNT, tag("3e1-7+8-9")),
    ],
    "judge_master_key": [(BOX, ":"), (BOX, "Solution"), (TAG, tag(".")), (MCQ, "Answer: .")],
    "format_only": [(TAG, tag("<answer>") * 50), (BOX, "\\boxed{}" * 50), (HASH, "####\n" * 50)],
    "length": [(TAG, tag("Paris " * 2000)), (BOX, box("42 " * 2000)), (HASH, "#### " + "18 " * 2000)],
}

PAID = [
    (BOX, box("042")),
    (BOX, box("42.0")),
    (BOX, box("+42")),
    (BOX, box("x = 42")),
    (BOX, box("\\text{42}")),
    (BOX, box("42\\text{ apples}")),
    (BOX, box("$42$")),
    (BOX, "\\boxed{\\boxed{42}}"),
    (BOX, box("4.2 \\times 10^{1}")),
    (BOX, box("\\frac{42}{1}")),
    (ANY_FORM, box("6 \\times 7")),
    (ANY_FORM, box("\\sqrt{1764}")),
    (BOX, box("\\sqrt{1764}")),
    (gold("3.5"), box("3\\frac{1}{2}")),
    (gold("3.5"), box("3 1/2")),
    (gold("\\frac{1}{3}"), box("0.\\overline{3}")),
    (gold("1200000"), box("1.2 \\cdot 10^6")),
    (gold("2^{10}"), box("2^{10}")),
    (gold("2^{10}"), box("1024")),
    (ROOT, box("\\sqrt{12}")),
    (ROOT, box("\\frac{6}{\\sqrt 3}")),
    (ROOT, box("2 \\sqrt3 \\text{ cm}")),
    (PI, box("\\frac{2\\pi}{2}")),
    (POLYNOMIAL, box("(x+1)^2")),
    (POLYNOMIAL, box("1 + x^{2} + x \\cdot 2")),
    (PAIR, box("\\left( 1 , \\frac{4}{2} \\right)")),
    (SET, box("\\{2, 1\\}")),
    (SET, box("1, 2")),
    (SET, box("\\left\\{ 1, 2, 2 \\right\\}")),
    (INTERVAL, box("x \\in [0, 1)")),
    (gold("[0,1]\\cup[1,2]"), box("[0,2]")),
    (gold("\\pm 2"), box("-2, 2")),
    (gold("1 \\pm \\sqrt{19}"), box("1-\\sqrt{19} \\text{ and } 1+\\sqrt{19}")),
    (gold("\\text{odd}"), box("Odd")),
    (gold("90^\\circ"), box("90")),
    (gold("90"), box("90^{\\circ}")),
    (gold("\\$5"), box("5.00")),
    (gold("x=1, x=2"), box("2, 1")),
    (gold("p=5, q=2"), box("5, 2")),
    (gold("p=5, q=2"), box("q=2, p=5")),
    (gold("204_5"), box("204_{5}")),
    (gold("12:00"), box("12:00")),
    (gold("3+4i"), box("4i+3")),
    (gold("\\begin{pmatrix}1\\\\2\\end{pmatrix}"), box("\\begin{bmatrix} 1 \\\\ 2 \\end{bmatrix}")),
    (gold("100", tolerance={"abs": 0.5}), box("100.5")),
    (gold("100", tolerance={"rel": 0.01}), box("99")),
    (gold("\\pi", tolerance={"abs": 0.01}), box("\\approx 3.14")),
    (gold("\\pi", tolerance={"abs": 0.01}), box("\\pi")),
    ({**HASH, "tolerance": {"abs": 1}}, "#### 19"),
    (HASH, "#### $18.00"),
    (TAG, tag("PARIS")),
    (MCQ, "Answer: C"),
    (MCQ, "Answer: **C**"),
    (MCQ, "Answer: \\text{C}."),
    (MCQ, "Answer: $\\boxed{C}$".replace("\\boxed{C}", "C")),
    (MCQ, "**Answer: C) Jupiter**"),
    (MCQ, "Answer: option C"),
    (PLANETS, "Answer: Jupiter"),
    (PLANETS, "Answer: C. jupiter."),
    (JSON, ' {\n "answer": 42.0}\n'),
    ({**JSON, "gold": {"a": [1, {"b": None}], "c": "\u00e9"}}, '{"c": "\\u00e9", "a": [1, {"b": null}]}'),
    ({**JSON, "gold": "text"}, '"text"'),
    (COUNT, tag("3*((7-8)+9) = 24")),
    (COUNT, tag("3 \\times ((7 - 8) + 9)")),
    (COUNT, tag("3\u00d7((7\u22128)+9)")),
    (COUNT, tag("-(8-7-9)*3")),
    ({**COUNT, "use": "some"}, tag("8*3")),
    ({**COUNT, "target": 0.375, "numbers": [3, 8]}, tag("3/8")),
    ({"type": "countdown", "numbers": [2, 2], "target": 4}, tag("2+2")),
]


@pytest.mark.parametrize(
    ("task", "response"),
    [pytest.param(*case, id=f"{name}-{i}") for name, cases in UNPAID.items() for i, case in enumerate(cases)],
)
def test_an_exploit_is_not_paid(task, response):
    if needs_cas and (task["gold"] if "gold" in task else "") not in ("42",) and task["type"] == "math":
        pytest.skip("needs math-verify")
    started = time.monotonic()
    verdict = grade(task, response)
    assert (verdict.score, verdict.correct) == (0.0, False)
    assert verdict.status in ("ok", "invalid", "timeout")
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(("task", "response"), PAID)
def test_an_honest_answer_is_paid(task, response):
    verdict = grade(task, response)
    assert (verdict.score, verdict.correct, verdict.status) == (1.0, True, "ok"), verdict.reason


def test_there_are_enough_of_them():
    assert sum(map(len, UNPAID.values())) > 250
