"""What every source promises: repeatable, disjoint splits, gradable demonstrations, no global randomness."""

import inspect
import json
import pickle
import random
import re
import subprocess
import sys
import time

import numpy as np
import pytest

from rlenvs.errors import UserError
from rlenvs.graders import grade
from rlenvs.problems import PROBLEM_SOURCES, Problem, ProblemSource, grade_tasks, make_source, source_parameters
from rlenvs.problems.registry import source_class

PROCEDURAL = {
    "arithmetic": {"source": "arithmetic", "operands": 3, "operators": "+-*"},
    "algebra": {"source": "algebra"},
    "algebra rational": {"source": "algebra", "rational": True, "kinds": ["linear", "system", "fraction"]},
    "words": {"source": "word_problems", "distractors": 3},
    "words of all numbers": {"source": "word_problems", "numbers": ["integer", "fraction", "percent", "money"]},
    "countdown": {"source": "countdown"},
    "sequences": {"source": "sequences", "min_length": 3, "max_length": 6, "order": "both"},
    "arithmetic with working": {"source": "arithmetic", "operands": 4, "operators": "+-*", "working": True},
    "choice": {"source": "multiple_choice"},
    "mixture": {
        "source": "mixture",
        "sources": [{"source": "algebra", "weight": 2}, {"source": "word_problems", "params": {"max_steps": 2}}],
    },
    "curriculum": {"name": "curriculum", "source": "word_problems", "levels": 2},
}
FREE_TEXT = {
    "instructions": {"source": "instructions", "max_instructions": 5},
    "text prompts": {"source": "text_prompts"},
    "conversation": {"source": "conversation"},
}
PROGRAMS = {
    "code": {"source": "code"},
    "code repair": {"source": "code_repair", "families": ["clock", "stack_class", "receipt", "runs", "regions"]},
}
"""Their tasks have tests and no gold, and what answers them runs in the sandbox: tests/problems/code."""
EVERY = {**PROCEDURAL, **FREE_TEXT, **PROGRAMS}
SAMPLES = 2000


@pytest.mark.parametrize("spec", PROCEDURAL.values(), ids=PROCEDURAL)
def test_every_demonstration_is_right_by_the_graders(spec):
    source = make_source(spec)
    rng = np.random.default_rng(0)
    for number in range(SAMPLES):
        problem = source.sample(rng, "held_out" if number % 10 == 0 else "train")
        verdict = grade(problem.task, problem.demonstration)
        assert verdict.correct, (problem, verdict)
        assert not grade(problem.task, problem.demonstration.replace(str(problem.task["gold"]), "?")).correct


@pytest.mark.parametrize("seed", [-1, 1.5, True, "0", None])
@pytest.mark.parametrize("spec", EVERY.values(), ids=EVERY)
def test_a_seed_that_is_none_is_refused_by_name(spec, seed):
    source = make_source(spec)
    for ask in (lambda: source.problems("train", 2, seed), lambda: next(source.stream("train", seed))):
        with pytest.raises(UserError, match=r"^seed must be an int in 0\.\."):
            ask()


@pytest.mark.parametrize("spec", EVERY.values(), ids=EVERY)
def test_problems_are_sound(spec):
    source = make_source(spec)
    rng = np.random.default_rng(1)
    longest_prompt = getattr(source, "max_prompt_chars", 10**9)
    longest_demonstration = getattr(source, "max_demonstration_chars", 10**9)
    alphabet = set(getattr(source, "alphabet", map(chr, range(0x110000))))
    for split in ("train", "held_out"):
        for _ in range(300):
            problem = source.sample(rng, split)
            assert problem.split == split
            assert 0 <= problem.difficulty <= 1
            assert problem.task["question"] == problem.prompt
            assert len(problem.prompt) <= longest_prompt
            assert len(problem.demonstration) <= longest_demonstration
            assert set(problem.prompt + problem.demonstration) <= alphabet
            assert Problem.from_dict(json.loads(json.dumps(problem.to_dict()))) == problem


@pytest.mark.parametrize("spec", EVERY.values(), ids=EVERY)
def test_splits_share_no_problem(spec):
    source = make_source(spec)
    train = {problem.id for problem in source.problems("train", limit=400)}
    held_out = {problem.id for problem in source.problems("held_out", limit=100)}
    assert len(train) == 400
    assert len(held_out) == 100
    assert not train & held_out


@pytest.mark.parametrize("spec", EVERY.values(), ids=EVERY)
def test_the_same_seed_lists_the_same_problems_however_long_the_list(spec):
    first, second = make_source(spec), make_source(spec)
    assert first.problems("train", 30, seed=3) == second.problems("train", 30, seed=3)
    assert first.problems("train", 30, seed=3)[:10] == first.problems("train", 10, seed=3) or first.size is not None
    assert first.problems("train", 30, seed=3) != first.problems("train", 30, seed=4)
    stream = first.stream("held_out", seed=5)
    assert [next(stream) for _ in range(5)] == [
        p for p, _ in zip(second.stream("held_out", seed=5), range(5), strict=False)
    ]


def test_a_new_process_with_another_hash_seed_makes_the_same_problems():
    specs = list(EVERY.values())
    code = (
        "import json, sys; from rlenvs.problems import make_source\n"
        "specs = json.load(sys.stdin)\n"
        "print(json.dumps([[p.to_dict() for p in make_source(s).problems(split, 5, seed=2)] "
        "for s in specs for split in ('train', 'held_out')]))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            input=json.dumps(specs),
            text=True,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    here = [
        [problem.to_dict() for problem in make_source(spec).problems(split, 5, seed=2)]
        for spec in specs
        for split in ("train", "held_out")
    ]
    assert [json.loads(output) for output in outputs] == [here]


@pytest.mark.parametrize("spec", EVERY.values(), ids=EVERY)
def test_the_global_generators_are_neither_used_nor_changed(spec):
    def drawn(noise: int) -> list[Problem]:
        source, rng = make_source(spec), np.random.default_rng(7)
        random.seed(noise)
        np.random.seed(noise)
        problems = []
        for _ in range(10):
            problems.append(source.sample(rng, "train"))
            random.random()
            np.random.random()
        return problems

    before = random.getstate(), np.random.get_state()[1].copy()
    make_source(spec).problems("train", 20)
    assert random.getstate() == before[0]
    assert (np.random.get_state()[1] == before[1]).all()
    assert drawn(1) == drawn(2)


@pytest.mark.parametrize("spec", [*PROCEDURAL.values(), *FREE_TEXT.values()], ids=[*PROCEDURAL, *FREE_TEXT])
def test_drawing_is_fast(spec):
    source, rng = make_source(spec), np.random.default_rng(0)
    source.sample(rng, "train")
    best = min(_seconds(source, rng) for _ in range(5))
    assert best / 100 < 1.5e-3  # 0.07 to 0.2 ms on an idle core; a curriculum draws a few times


def _seconds(source: ProblemSource, rng: np.random.Generator) -> float:
    start = time.perf_counter()
    for _ in range(100):
        source.sample(rng, "train")
    return time.perf_counter() - start


@pytest.mark.parametrize("spec", EVERY.values(), ids=EVERY)
def test_sources_survive_pickling(spec):
    source = make_source(spec)
    copy = pickle.loads(pickle.dumps(source))  # noqa: S301 - its own
    assert copy.problems("train", 5) == source.problems("train", 5)


@pytest.mark.parametrize("spec", FREE_TEXT.values(), ids=FREE_TEXT)
def test_free_texts_are_neither_right_nor_wrong(spec):
    source = make_source(spec)
    problem = source.problems("train", 1)[0]
    text, blank = source.grader([problem.task] * 2, ["Something.", " "])
    assert (text.score, text.correct, text.status) == (0.0, False, "ok")
    assert blank.status == "invalid"


def test_one_call_grades_tasks_of_all_types_in_their_order():
    problems = [
        make_source(name).problems("train", 2)[1] for name in ("algebra", "text_prompts", "countdown", "algebra")
    ]
    grades = grade_tasks([p.task for p in problems], [p.demonstration or "A text." for p in problems])
    assert [g.correct for g in grades] == [True, False, True, True]
    with pytest.raises(UserError, match="one response per task, got 1 and 0"):
        grade_tasks([problems[0].task], [])
    with pytest.raises(UserError, match="response must be a str, got int"):
        grade_tasks([problems[0].task], [3])


def test_every_name_leads_to_a_class_whose_parameters_are_plain():
    for name in PROBLEM_SOURCES:
        found = source_class(name)
        assert issubclass(found, ProblemSource)
        assert source_parameters(name) == list(inspect.signature(found).parameters)
        defaults = [p.default for p in inspect.signature(found).parameters.values() if p.default is not p.empty]
        assert json.loads(json.dumps(defaults)) == json.loads(json.dumps(defaults))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: make_source("word_problem"),
            r"source: unknown 'word_problem'; did you mean 'word_problems'\? \(known: arith",
        ),
        (lambda: make_source({"kinds": []}), r"source: a mapping needs the key 'source' with a name, got \['kinds'\]"),
        (
            lambda: make_source("algebra", kind=["linear"]),
            r"kind is no parameter of source 'algebra'; did you mean 'kinds'\?",
        ),
        (lambda: make_source("jsonl"), "path is required by source 'jsonl'"),
        (lambda: make_source({"source": "algebra", "params": 3}), "source 'algebra': params must be a mapping, got 3"),
        (
            lambda: make_source({"source": "countdown", "params": {"max_number": 9}}, max_number=8),
            "'max_number' is given twice",
        ),
        (lambda: make_source(make_source("algebra"), kinds=["linear"]), "it is made already, and takes no kinds"),
        (lambda: make_source(7), "source: unknown 7"),
        (
            lambda: make_source("algebra", kinds=["linaer"]),
            r"kinds must be one of linear, .*, got 'linaer'; did you mean 'linear'\?",
        ),
        (lambda: make_source("algebra", kinds=[]), "kinds must be a non-empty list out of linear"),
        (lambda: make_source("algebra", kinds=["chain", "chain"]), "kinds must name each once"),
        (lambda: make_source("algebra", max_value=4), r"max_value must be an int in 5\.\.1000000, got 4"),
        (lambda: make_source("algebra", rational=1), "rational must be true or false, got 1"),
        (lambda: make_source("algebra", extract="last_box"), r"extract must be one of .*; did you mean 'last_boxed'\?"),
        (lambda: make_source("algebra", held_out_fraction=2), r"held_out_fraction must be a number in \[0, 1\], got 2"),
        (
            lambda: make_source("algebra", held_out_fraction=float("nan")),
            r"held_out_fraction must be a number in \[0, 1\], got nan",
        ),
        (lambda: make_source("algebra", markers="A:"), "markers must be a non-empty list of non-empty texts"),
        (lambda: make_source("countdown", min_numbers=5, max_numbers=4), "min_numbers must be <= max_numbers=4, got 5"),
        (lambda: make_source("countdown", operations="+^"), r"operations must be a non-empty choice of '\+-\*/'"),
        (lambda: make_source("countdown", min_target=9, max_target=8), "min_target must be <= max_target=8, got 9"),
        (lambda: make_source("multiple_choice", options=1), r"options must be an int in 2\.\.10, got 1"),
        (
            lambda: make_source("instructions", min_instructions=3, max_instructions=2),
            "min_instructions must be <= max_instructions=2",
        ),
        (
            lambda: make_source("instructions", min_instructions=2, groups=["case"]),
            "min_instructions must be <= 1, the number of groups",
        ),
        (lambda: make_source("conversation", min_turns=3, max_turns=2), "min_turns must be <= max_turns=2, got 3"),
        (lambda: make_source("text_prompts", prompts=[]), "prompts must be a non-empty list"),
        (lambda: make_source("text_prompts", system="Be brief."), "prompts must be given where 'system'"),
    ],
)
def test_mistakes_are_named_with_the_rule_and_the_nearest_word(call, message):
    with pytest.raises(UserError, match=message):
        call()


def test_an_empty_split_is_an_error_and_not_an_endless_loop():
    source = make_source("algebra", kinds=["chain"], held_out_fraction=0.0)
    with pytest.raises(UserError, match=r"the held_out split of AlgebraSource.* is empty, or nearly"):
        source.sample(np.random.default_rng(0), "held_out")
    with pytest.raises(UserError, match="has no end of problems: pass limit=N"):
        source.problems("train")
    with pytest.raises(UserError, match="split must be 'train' or 'held_out', got 'test'"):
        source.sample(np.random.default_rng(0), "test")


def test_the_hint_says_what_the_grader_reads():
    for extract in ("whole", "last_boxed", "last_hash", "last_answer_tag", "last_answer_line", "last_marker"):
        source = make_source("word_problems", extract=extract)
        plain = make_source("word_problems", extract=extract, format_hint=False)
        for seed in range(20):
            asked, bare = (s.sample(np.random.default_rng(seed), "train") for s in (source, plain))
            assert asked.prompt.startswith(bare.prompt + "\n")
            assert grade(asked.task, asked.demonstration).correct
            assert not re.search(r"[{}]marker|\{what\}", asked.prompt)
