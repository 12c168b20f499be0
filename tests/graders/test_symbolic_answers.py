"""Formulas that only Math-Verify can compare."""

import importlib.util
import threading
import time

import pytest

from rlenvs.errors import GraderError
from rlenvs.graders import grade, grade_batch, grading
from rlenvs.graders.deadline import Exceeded, shared_pool

pytestmark = pytest.mark.skipif(importlib.util.find_spec("math_verify") is None, reason="needs the extra 'reasoning'")

TOWER = "9^{9^{9^{9}}}"


def judged(gold, answer, **changes):
    return grade({"type": "math", "gold": gold, "extract": "whole", "time_limit_s": 20.0, **changes}, answer)


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("\\sin^2 x", "1-\\cos^2 x"),
        ("\\frac{x^2-1}{x-1}", "x+1"),
        ("x+1", "\\frac{x^2-1}{x-1}"),
        ("\\log_2 8 + \\ln 2", "3+\\ln(2)"),
        ("\\frac{\\pi r}{h+r}", "\\frac{r\\pi}{r+h}"),
        ("x \\ge 2", "2 \\le x"),
        ("x \\leq 2", "x <= 2"),
        ("2x+4y-3=0", "y=-\\frac{1}{2}x+\\frac{3}{4}"),
        ("\\tan^2(y)+1", "\\sec^2(y)"),
        (
            "\\frac{\\sqrt{\\sqrt{11}+\\sqrt{194}}}{15+2\\sqrt{33}}",
            "\\frac{\\sqrt{\\sqrt{11}+\\sqrt{194}}}{2\\sqrt{33}+15}",
        ),
        ("\\binom{10}{3} + \\sin 0", "120"),
        ("(\\sin 1, 2)", "(\\sin 1, \\frac{4}{2})"),
    ],
)
def test_equal_formulas(gold, answer):
    assert judged(gold, answer).correct


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("\\sin^2 x", "1-\\sin^2 x"),
        ("\\sin 0.1", "\\sin 0.10000000000000001"),
        ("\\cos x", "\\cos x + 10^{-30}"),
        ("\\frac{1}{2004!}", "\\frac{1}{2006!}"),
        ("\\ln 2", "0.693147180559945309417232121458"),
        ("(\\sin 1, 2)", "\\{\\sin 1, 2\\}"),
        ("(\\sin 1, 2)", "(2, \\sin 1)"),
        ("x \\ge 2", "x > 2"),
        ("0<f(x)<1", "(0, 2)"),
    ],
)
def test_different_formulas(gold, answer):
    verdict = judged(gold, answer)
    assert (verdict.score, verdict.correct) == (0.0, False)


@pytest.mark.parametrize("answer", [TOWER, "(10^8)!", "(x+y+z+w+1)^{200}", "(" * 1900 + ")" * 1900])
def test_what_takes_too_long_costs_the_deadline(answer):
    judged("\\sin 1", "\\cos 1")  # the start is not part of it
    started = time.monotonic()
    verdict = judged("\\sin 1", answer, time_limit_s=0.5)
    assert verdict.score == 0.0
    assert verdict.status in ("timeout", "invalid", "ok")
    assert time.monotonic() - started < 2.5


def test_a_timeout_is_a_verdict_with_a_status():
    verdict = judged("\\sin 1", TOWER, time_limit_s=0.3)
    assert (verdict.score, verdict.correct, verdict.status) == (0.0, False, "timeout")
    assert verdict.reason == "comparing it exceeded its limit (0.3 s)"


def test_a_tower_does_not_hold_up_the_gradings_of_other_threads():
    judged("\\sin 1", "\\cos 1")
    slow = threading.Thread(target=lambda: judged("\\sin 1", TOWER, time_limit_s=2.0))
    slow.start()
    started = time.monotonic()
    assert judged("\\sin 2", "2 \\sin 1 \\cos 1", time_limit_s=10.0).correct
    assert grade({"type": "math", "gold": "42"}, "\\boxed{42}").correct
    assert time.monotonic() - started < 1.9
    assert slow.is_alive()
    slow.join()


def test_a_batch_is_graded_like_its_parts_with_equal_checks_once(monkeypatch):
    tasks, responses = [], []
    for index in range(6):
        tasks += [{"type": "math", "gold": "\\sin 3", "extract": "whole", "time_limit_s": 20.0}] * 2
        responses += ["3 \\sin 1 - 4 \\sin^3 1", f"\\cos {index}"]
    singly = [grade(task, response) for task, response in zip(tasks, responses, strict=True)]
    grading.known_replies.clear()
    asked = []
    pool = shared_pool("math")
    check = pool.check
    monkeypatch.setattr(pool, "check", lambda request, seconds: asked.append(request) or check(request, seconds))
    assert grade_batch(tasks, responses) == singly
    assert [verdict.correct for verdict in singly] == [True, False] * 6
    assert len(asked) == 7
    assert grade_batch(tasks, responses) == singly
    assert len(asked) == 7


def test_verdicts_are_remembered_and_limits_are_not(monkeypatch):
    grading.known_replies.clear()
    monkeypatch.setattr(shared_pool("math"), "check", lambda request, seconds: Exceeded("crash"))
    assert judged("\\sin 4", "\\cos 4").status == "timeout"
    assert not grading.known_replies


def test_a_broken_checker_is_an_error_and_no_score(monkeypatch):
    grading.known_replies.clear()

    def broken(request, seconds):
        raise GraderError("the math checker is broken")

    monkeypatch.setattr(shared_pool("math"), "check", broken)
    with pytest.raises(GraderError, match="broken"):
        judged("\\sin 5", "\\cos 5")


def test_a_gold_that_is_no_formula_is_compared_as_text():
    assert judged("12:00", " 12:00 ").correct
    assert not judged("12:00", "1:00").correct
    assert judged("x \\mapsto \\unknown{x}", "x\\mapsto\\unknown{x}").correct


def test_plain_golds_never_start_a_process(monkeypatch):
    def fail(kind):
        raise AssertionError(kind)

    monkeypatch.setattr(grading, "shared_pool", fail)
    for answer in ("42", "41", TOWER, "\\sin x", "(", "\\{1,2\\}", "6*7", "\\text{no}", "2\\pi"):
        judged("42", answer)
    for answer in ("2\\sqrt3", "\\sqrt{12}", "(1,2)", "3"):
        judged("2\\sqrt{3}", answer)
