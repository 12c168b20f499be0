"""Algebra against a second way to solve each problem."""

import re
from fractions import Fraction

import numpy as np
import pytest

from rlenvs.envs.protocols.steps import equation_in, task_goals
from rlenvs.problems import AlgebraSource
from rlenvs.problems.algebra_kinds import KINDS


def drawn(kind, count=300, **parameters):
    source = AlgebraSource(kinds=[kind], format_hint=False, **parameters)
    rng = np.random.default_rng(0)
    return [source.sample(rng, "train") for _ in range(count)]


def side(text: str, names: str) -> dict[str, Fraction]:
    """Coefficients of a sum such as `-3x + 4y - 7`, by unknown; "" is the constant."""
    total = dict.fromkeys([*names, ""], Fraction(0))
    for sign, size, name in re.findall(r"([+-]?)\s*(\d*)([a-z]?)", text.replace(" ", "")):
        if size or name:
            total[name] += Fraction(int(size or 1) * (-1 if sign == "-" else 1))
    return total


@pytest.mark.parametrize("kind", KINDS)
def test_the_working_is_exact_and_is_what_the_step_protocol_reads(kind):
    for problem in drawn(kind, rational=kind in ("linear", "system")):
        assert len(task_goals(problem)) == len(problem.task["steps"])
        lines = problem.demonstration.splitlines()[:-1]
        assert [equation_in(line) for line in lines] == [(s["expression"], s["value"]) for s in problem.task["steps"]]


@pytest.mark.parametrize("rational", [False, True])
def test_the_solution_of_a_linear_equation_fulfils_it(rational):
    for problem in drawn("linear", rational=rational):
        part = r"-?\d*[a-z]?(?: [-+] \d*[a-z]?)*"
        equation = re.search(rf"(?<![a-z])({part}) = ({part})(?![a-z])", problem.prompt)
        left, right = equation[1], equation[2]
        name = re.search(r"[a-z]", left + right)[0]
        values = [side(part, name) for part in (left, right)]
        x = Fraction(problem.task["gold"])
        assert values[0][name] * x + values[0][""] == values[1][name] * x + values[1][""], problem.prompt
        assert rational or x.denominator == 1


def test_systems_are_solved_by_elimination_too():
    for problem in drawn("system", rational=True):
        rows = [line for line in problem.prompt.splitlines() if " = " in line]
        asked = re.search(r"What is (.*)\?", problem.prompt)[1].replace(" ", "").split("+")
        names = sorted(set(re.findall(r"[a-z]", rows[0])))
        (a, b, c), (d, e, f) = (
            (s[names[0]], s[names[1]], Fraction(right))
            for left, right in (row.split(" = ") for row in rows)
            for s in [side(left, "".join(names))]
        )
        second = (f - d * c / a) / (e - d * b / a)
        solution = {names[0]: (c - b * second) / a, names[1]: second}
        assert sum(solution[name] for name in asked) == Fraction(problem.task["gold"])


def test_remainders_agree_with_python():
    for problem in drawn("modular"):
        numbers = [int(number) for number in re.findall(r"\d+", problem.prompt)]
        gold = int(problem.task["gold"])
        if "congruent" in problem.prompt:
            a, b, modulus = numbers
            assert min(x for x in range(modulus) if a * x % modulus == b) == gold
        elif "^" in problem.prompt or "power" in problem.prompt:
            assert pow(*numbers) == gold
        else:
            a, b, c, modulus = numbers
            assert (a * b + c) % modulus == gold


def test_sequences_agree_with_the_rule_that_they_name():
    for problem in drawn("sequence"):
        text = problem.prompt
        place = int(re.search(r"term (\d+)", text)[1])
        terms = [int(number) for number in re.search(r"(-?\d+(?:, -?\d+)+), \.\.\.", text)[1].split(", ")]
        change = re.search(r"change by (-?\d+)", text)
        while len(terms) < place:
            if "arithmetic" in text:
                terms.append(2 * terms[-1] - terms[-2])
            elif "geometric" in text:
                terms.append(terms[-1] * terms[1] // terms[0])
            elif change:
                terms.append(2 * terms[-1] - terms[-2] + int(change[1]))
            else:
                terms.append(terms[-1] + terms[-2])
        assert terms[place - 1] == int(problem.task["gold"]), text


def test_wording_and_order_do_not_move_a_problem_to_the_other_split():
    keys: dict[str, set[str]] = {}
    source = AlgebraSource(kinds=["system"], max_value=5, format_hint=False, held_out_fraction=0.5)
    rng = np.random.default_rng(0)
    for number in range(4000):
        problem = source.sample(rng, "train" if number % 2 else "held_out")
        rows = [line for line in problem.prompt.splitlines() if " = " in line]
        rows = sorted(re.sub("[aupx]", "x", re.sub("[bvqy]", "y", row)) for row in rows)
        keys.setdefault("|".join(rows), set()).add(problem.split)
    assert all(len(splits) == 1 for splits in keys.values())


def test_more_steps_and_larger_numbers_are_harder():
    small, large = (np.mean([p.difficulty for p in drawn("chain", max_value=value)]) for value in (5, 1000))
    by_steps: dict[int, list[float]] = {}
    for problem in drawn("chain", count=600):
        by_steps.setdefault(len(problem.task["steps"]), []).append(problem.difficulty)
    means = [np.mean(by_steps[steps]) for steps in sorted(by_steps)]
    assert means == sorted(means)
    assert abs(small - large) < 0.2  # sizes are judged relative to the largest that the parameters allow
