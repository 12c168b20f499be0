"""Sources that are made of other sources, and instructions as the reward layer checks them."""

import json
import re
from collections import Counter

import numpy as np
import pytest

from rlenvs.errors import ParameterError, UserError
from rlenvs.graders import grade, grade_batch, parse_number
from rlenvs.problems import (
    ArithmeticSource,
    CurriculumSource,
    InstructionSource,
    MixtureSource,
    MultipleChoiceSource,
    TextPromptSource,
    WordProblemSource,
    grade_tasks,
)
from rlenvs.problems.instruction_kinds import GROUPS
from rlenvs.wrappers.components.instructions import read_instructions


def sampled(source, count, split="train", seed=0):
    rng = np.random.default_rng(seed)
    return [source.sample(rng, split) for _ in range(count)]


def test_a_demonstration_follows_every_instruction_as_the_reward_layer_checks_it():
    kinds = set()
    for problem in sampled(InstructionSource(max_instructions=5), 2000):
        for record, instruction in zip(
            problem.task["instructions"], read_instructions(problem.task["instructions"]), strict=True
        ):
            kinds.add(record["type"])
            assert instruction.is_followed(problem.demonstration, problem.prompt), (record, problem.demonstration)
            assert not instruction.is_followed(
                "" if record["type"] != "all_lowercase" else "NO", problem.prompt
            ) or record["type"] in (
                "forbidden_words",
                "number_of_words",
                "no_commas",
            )
    assert len(kinds) >= 17


def test_instructions_say_in_words_what_they_check():
    for problem in sampled(InstructionSource(min_instructions=2), 500):
        for record in problem.task["instructions"]:
            for key in ("count", "text", "letter"):
                if key in record:
                    assert str(record[key]) in problem.prompt
            for word in (*record.get("keywords", ()), *record.get("words", ())):
                assert f"'{word}'" in problem.prompt


def test_instructions_are_as_many_as_asked_for_and_of_different_groups():
    assert {len(p.task["instructions"]) for p in sampled(InstructionSource(2, 4), 200)} == {2, 3, 4}
    only = InstructionSource(1, 1, groups=["case"])
    assert {p.task["instructions"][0]["type"] for p in sampled(only, 50)} == {"all_lowercase", "all_uppercase"}
    assert sum(map(len, GROUPS.values())) == 20


@pytest.mark.parametrize(
    "inner",
    [
        "arithmetic",
        "algebra",
        {"source": "algebra", "kinds": ["fraction"]},
        {"source": "word_problems", "numbers": ["money"]},
    ],
)
def test_exactly_one_option_is_right(inner):
    source = MultipleChoiceSource(inner, options=5)
    for problem in sampled(source, 500):
        options = problem.task["options"]
        values = [parse_number(option, percent_is_unit=True) for option in options]
        assert None not in values
        assert len(set(values)) == 5
        assert grade(problem.task, problem.demonstration).correct
        assert sum(grade(problem.task, f"Answer: {label}").correct for label in "ABCDE") == 1
        right = values["ABCDE".index(problem.task["gold"])]
        assert right >= 0 or min(values) < 0
        assert right < 0 or min(values) >= 0
        # The way an option is written must not give the answer away.
        if "." not in "".join(options):
            assert len({value.denominator == 1 for value in values}) == 1
        assert len({len(option.partition(".")[2]) for option in options}) == 1


def test_the_options_of_a_problem_are_always_the_same_and_every_letter_is_right_equally_often():
    source = MultipleChoiceSource("word_problems")
    problems = sampled(source, 2000)
    counts = Counter(problem.task["gold"] for problem in problems)
    # Binomial(2000, 1/4): standard deviation 19.4.
    assert all(abs(counts[label] - 500) < 5 * 19.4 for label in "ABCD")
    assert problems[:50] == sampled(MultipleChoiceSource("word_problems"), 50)


def test_the_order_of_draws_does_not_change_the_options(tmp_path):
    path = tmp_path / "capitals.jsonl"
    cities = ["Lima", "Quito", "Oslo", "Rome", "Cairo", "Accra"]
    path.write_text(
        "".join(json.dumps({"question": f"Capital {i}?", "answer": city}) + "\n" for i, city in enumerate(cities))
    )
    source = MultipleChoiceSource({"source": "jsonl", "path": str(path), "held_out_fraction": 0.0})
    listed = {problem.id: problem for problem in source.problems("train")}
    assert len(listed) == 6
    assert all(listed[problem.id] == problem for problem in sampled(source, 30))
    for problem in listed.values():
        assert set(problem.task["options"]) <= set(cities)
        assert "End with a line 'Answer: ' followed by the letter of the right answer." in problem.prompt
        assert "the final answer" not in problem.prompt
    with pytest.raises(UserError, match="has only 6 different answers, 8 are asked for"):
        MultipleChoiceSource({"source": "jsonl", "path": str(path), "held_out_fraction": 0.0}, options=8).problems(
            "train"
        )


def test_what_has_no_answer_cannot_be_multiple_choice():
    with pytest.raises(UserError, match=r"multiple choice needs problems of type math, .*, got 'free_text'"):
        MultipleChoiceSource("text_prompts").sample(np.random.default_rng(0), "train")
    with pytest.raises(UserError, match="source must not be multiple choice already"):
        MultipleChoiceSource("multiple_choice")


def test_a_mixture_draws_by_weight_and_keeps_ids_and_splits():
    source = MixtureSource(
        [
            {"source": "arithmetic", "weight": 3, "params": {"digits": 1}},
            {"source": "algebra", "weight": 1},
            {"source": "countdown", "weight": 0},
        ]
    )
    problems = sampled(source, 800)
    counts = Counter(problem.id.split(":")[0] for problem in problems)
    assert set(counts) == {"arithmetic", "algebra"}
    # Binomial(800, 1/4): standard deviation 12.2.
    assert abs(counts["algebra"] - 200) < 5 * 12.2
    assert source.size is None
    assert source.grader is grade_batch
    assert MixtureSource(["algebra", "text_prompts"]).grader is grade_tasks
    listed = MixtureSource([ArithmeticSource(digits=1), TextPromptSource(["Describe a lake."], held_out_fraction=0.0)])
    assert listed.size == len(listed.problems("train")) + len(ArithmeticSource(digits=1).problems("held_out"))


def test_a_mixture_of_few_problems_gives_all_it_has_for_a_higher_limit():
    source = MixtureSource([ArithmeticSource(digits=1), ArithmeticSource(digits=1, answer_order="reversed")])
    every = source.problems("train")
    assert source.problems("train", limit=len(every) + 1) == every
    assert len({problem.id for problem in source.problems("train", limit=len(every))}) == len(every)
    assert len(source.problems("train", limit=20)) == 20
    assert len(MixtureSource(["algebra", source]).problems("train", limit=300)) == 300


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([], "sources must be a non-empty list"),
        ("algebra", "sources must be a non-empty list"),
        ([3], r"sources\[0\] must be a name or a mapping"),
        ([{"weight": 1}], "needs the key 'source'"),
        ([{"source": "algebra", "weight": -1}], r"sources\[0\]\.weight must be a number >= 0, got -1"),
        ([{"source": "algebra", "weight": 0}], "must have weights with a positive, finite sum"),
        ([{"source": "algebra"}, {"source": "algebra", "kindz": []}], r"sources\[1\]\.kindz is no parameter .* did you mean 'kinds'\?"),
        ([{"source": "algebra", "params": {"max_value": 0}}], r"sources\[0\]\.max_value must be an int"),
        ([{"source": "algebra"}, {"source": "algebra", "held_out_fraction": 0.5}], r"sources\[1\] must hold out what the other AlgebraSource does, 0\.1, got 0\.5"),
    ],
)  # fmt: skip
def test_mistakes_in_a_mixture_are_named_by_their_entry(sources, message):
    with pytest.raises(UserError, match=message):
        MixtureSource(sources)


def levels(**parameters):
    return CurriculumSource(sources=[{"source": "arithmetic", "digits": digits} for digits in (1, 2, 3)], **parameters)


def test_the_level_follows_the_success_rate_up_and_down():
    source = levels(window=10, raise_at=0.8, lower_at=0.3, review=0.0)
    rng = np.random.default_rng(0)

    def report(successes):
        for success in successes:
            source.report(source.sample(rng, "train"), success)

    report([1] * 7 + [0] * 2)
    assert source.level == 0
    report([1])
    assert (source.level, source.success_rate) == (1, None)
    report([1] * 5 + [0] * 5)
    assert source.level == 1
    report([0] * 3)  # the window slides: the last ten have two successes
    assert source.level == 0
    report([0.5] * 30)
    assert source.level == 0


def test_a_curriculum_stops_at_both_ends():
    source = levels(window=2, review=0.0)
    rng = np.random.default_rng(0)
    for _ in range(20):
        source.report(source.sample(rng, "train"), True)
    assert source.level == 2
    for _ in range(20):
        source.report(source.sample(rng, "train"), False)
    assert source.level == 0


def test_training_draws_the_level_and_reviews_lower_ones():
    source = levels(start_level=2, review=0.25)
    counts = Counter(problem.task["curriculum_level"] for problem in sampled(source, 1000))
    # Binomial(1000, 1/8) for each lower level: standard deviation 10.5.
    assert abs(counts[0] - 125) < 53
    assert abs(counts[1] - 125) < 53
    assert counts[2] == 1000 - counts[0] - counts[1]
    assert all(len(re.search(r"\d+", p.prompt)[0]) <= p.task["curriculum_level"] + 1 for p in sampled(source, 200))


def test_what_is_held_out_does_not_depend_on_the_level_and_teaches_nothing():
    low, high = levels(start_level=0), levels(start_level=2)
    assert sampled(low, 50, "held_out") == sampled(high, 50, "held_out")
    assert low.problems("held_out", 40) == high.problems("held_out", 40)
    assert {p.task["curriculum_level"] for p in sampled(low, 100, "held_out")} == {0, 1, 2}
    held_out = sampled(low, 1, "held_out")[0]
    with pytest.raises(
        UserError, match=r"problem 'arithmetic:.*' is held out: a curriculum learns from training problems alone"
    ):
        low.report(held_out, True)
    with pytest.raises(UserError, match="was not drawn for training lately"):
        low.report(held_out.id, True)
    assert low.state_dict() == levels().state_dict()


def test_reports_come_by_problem_by_record_by_id_and_by_difficulty():
    source = CurriculumSource(source="word_problems", levels=4, window=100, review=0.0)
    problem = sampled(source, 1)[0]
    for report in (problem, problem.task, problem.id, problem.difficulty):
        source.report(report, 0.5)
    assert source.state_dict()["outcomes"] == [0.5] * 4
    source.report(0.9, True)  # of another level
    assert len(source.outcomes) == 4
    for wrong, message in [
        ("no such id", "not drawn for training lately"),
        ({"type": "math"}, "no 'curriculum_level'"),
        (1.5, r"difficulty must be a number in \[0, 1\]"),
    ]:
        with pytest.raises(UserError, match=message):
            source.report(wrong, True)
    with pytest.raises(UserError, match="a difficulty tells no level where the levels are sources"):
        levels().report(0.5, True)
    for wrong in (2, "yes", None, float("nan"), np.float32(2)):
        with pytest.raises(UserError, match=r"success must be a number in \[0, 1\], got"):
            source.report(problem, wrong)
    for right in (np.float32(0.5), np.True_, 1):
        source.report(problem, right)
    assert source.state_dict()["outcomes"][4:] == [0.5, 1.0, 1.0]


def test_a_curriculum_of_one_source_draws_by_difficulty():
    plain = [problem.difficulty for problem in sampled(WordProblemSource(), 2000)]
    bounds = np.quantile(plain, [0, 0.25, 0.5, 0.75, 1])
    for level in range(4):
        source = CurriculumSource(source="word_problems", levels=4, start_level=level, review=0.0)
        problems = sampled(source, 100)
        assert {problem.task["curriculum_level"] for problem in problems} == {level}
        middle = np.median([problem.difficulty for problem in problems])
        assert bounds[level] <= middle <= bounds[level + 1]
    held_out = Counter(p.task["curriculum_level"] for p in sampled(source, 800, "held_out"))
    # Binomial(800, 1/4): standard deviation 12.2; the edges come from a sample of 1,000.
    assert all(abs(held_out[level] - 200) < 100 for level in range(4))


def test_equally_difficult_problems_make_no_levels():
    with pytest.raises(UserError, match="source must have problems of different difficulty"):
        CurriculumSource(source="text_prompts")
    assert CurriculumSource(source={"source": "arithmetic", "digits": 1}, levels=20).levels < 5


def test_the_state_resumes_exactly():
    source, rng = levels(window=7, review=0.0), np.random.default_rng(0)
    for number in range(25):
        source.report(source.sample(rng, "train"), number % 4 != 0)
    state = json.loads(json.dumps(source.state_dict()))
    resumed = levels(window=7, review=0.0)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == source.state_dict()
    assert sampled(resumed, 20) == sampled(source, 20)
    for broken, message in [
        ({"level": 1}, "not a state of a curriculum"),
        ({**state, "level": 3}, r"level must be an int in 0\.\.2, got 3"),
        ({**state, "outcomes": [2]}, "outcomes must be a number"),
    ]:
        with pytest.raises(UserError, match=message):
            resumed.load_state_dict(broken)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "source must be given, or 'sources', and not both"),
        (
            {"source": "algebra", "sources": ["algebra", "countdown"]},
            "source must be given, or 'sources', and not both",
        ),
        ({"sources": ["algebra"]}, "sources must be a list of at least two"),
        ({"source": "algebra", "levels": 1}, r"levels must be an int in 2\.\.20, got 1"),
        ({"source": "algebra", "start_level": 5}, r"start_level must be an int in 0\.\.4, got 5"),
        ({"source": "algebra", "raise_at": 0.2}, r"lower_at must be below raise_at=0\.2, got 0\.3"),
        ({"source": "algebra", "review": 2}, r"review must be a number in \[0, 1\], got 2"),
    ],
)
def test_mistakes_in_a_curriculum_are_named(parameters, message):
    with pytest.raises(UserError, match=message):
        CurriculumSource(**parameters)


def test_word_problems_of_each_band_exist():
    bands = Counter(int(p.difficulty * 5) for p in sampled(WordProblemSource(), 2000))
    assert all(bands[band] >= 15 for band in range(5)), bands


def test_levels_belong_to_one_source_that_is_cut() -> None:
    with pytest.raises(ParameterError, match="levels is for 'source'; each of 'sources' is a level"):
        CurriculumSource(sources=["arithmetic", "word_problems"], levels=3)
