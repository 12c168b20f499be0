import inspect
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.errors import UserError
from rlenvs.graders import grade
from rlenvs.problems import ArithmeticParameters, ArithmeticSource
from rlenvs.problems.arithmetic import ANSWER_FORMATS

sources = st.builds(
    ArithmeticSource,
    operands=st.integers(2, 4),
    digits=st.integers(1, 4),
    operators=st.sampled_from(["+", "-", "*", "+-", "+-*"]),
    chain_length=st.integers(1, 3),
    prompt_template=st.sampled_from(["{expression}=", "Compute {expression}. {{Think}}"]),
    answer_order=st.sampled_from(["normal", "reversed"]),
    extract=st.sampled_from(sorted(ANSWER_FORMATS)),
    held_out_fraction=st.sampled_from([0.1, 0.5]),
)


@settings(deadline=None)
@given(sources, st.integers(0, 1000), st.sampled_from(["train", "held_out"]))
def test_every_problem_is_sound(source, seed, split):
    problem = source.sample(np.random.default_rng(seed), split)
    assert problem.split == split
    assert 0 <= problem.difficulty <= 1
    assert grade(problem.task, problem.demonstration).correct
    assert problem.task["question"] == problem.prompt
    assert len(problem.prompt) <= source.max_prompt_chars
    assert len(problem.demonstration) <= source.max_demonstration_chars
    assert set(problem.prompt + problem.demonstration) <= set(source.alphabet)
    assert problem == source.sample(np.random.default_rng(seed), split)


def test_training_never_draws_a_held_out_problem_or_its_twin():
    source = ArithmeticSource(digits=1, held_out_fraction=0.3)
    held_out = {problem.prompt for problem in source.problems("held_out")}
    twins = {"+".join(reversed(prompt[:-1].split("+"))) + "=" for prompt in held_out}
    assert twins == held_out
    rng = np.random.default_rng(0)
    drawn = {source.sample(rng, "train").prompt for _ in range(3000)}
    assert drawn == {problem.prompt for problem in source.problems("train")}
    assert not drawn & held_out


def test_template_and_answer_order_do_not_move_a_problem_to_the_other_split():
    plain = ArithmeticSource(digits=1, held_out_fraction=0.3)
    dressed = ArithmeticSource(
        digits=1, held_out_fraction=0.3, prompt_template="What is {expression}?", answer_order="reversed"
    )
    expressions = [problem.prompt[:-1] for problem in plain.problems("held_out")]
    assert [problem.prompt[8:-1] for problem in dressed.problems("held_out")] == expressions


def test_the_splits_part_the_whole_space():
    source = ArithmeticSource(digits=1, operators="+-")
    train, held_out = source.problems("train"), source.problems("held_out")
    assert len(train) + len(held_out) == source.size == 200
    assert len({problem.id for problem in train + held_out}) == 200


def test_samples_are_uniform_over_the_split():
    source = ArithmeticSource(digits=1, held_out_fraction=0.5)
    everything = source.problems("train")
    rng, draws = np.random.default_rng(1), 200 * len(everything)
    counts = Counter(source.sample(rng, "train").id for _ in range(draws))
    chi_squared = sum((counts[problem.id] - 200) ** 2 / 200 for problem in everything)
    freedom = len(everything) - 1
    # Mean k and variance 2k: six standard deviations above it.
    assert chi_squared < freedom + 6 * (2 * freedom) ** 0.5


def test_a_limit_picks_a_seeded_subset_of_an_enumerable_split():
    source = ArithmeticSource()
    everything = source.problems("held_out")
    some = source.problems("held_out", limit=50, seed=3)
    assert some == source.problems("held_out", limit=50, seed=3)
    assert some != source.problems("held_out", limit=50, seed=4)
    assert len({problem.id for problem in some}) == 50
    assert {problem.id for problem in some} <= {problem.id for problem in everything}
    assert source.problems("held_out", limit=10**6) == everything


def test_a_large_split_is_drawn_distinct_and_needs_a_limit():
    source = ArithmeticSource(digits=5)
    some = source.problems("train", limit=200, seed=1)
    assert len({problem.id for problem in some}) == 200
    assert some[:20] == source.problems("train", limit=20, seed=1)
    with pytest.raises(UserError, match="pass limit=N"):
        source.problems("train")


def test_demonstrations_are_those_of_the_listed_problems():
    source = ArithmeticSource(digits=1)
    pairs = source.demonstrations("train", limit=5, seed=2)
    assert pairs == [(p.prompt, p.demonstration) for p in source.problems("train", 5, 2)]


def test_chains_refer_to_the_value_before():
    source = ArithmeticSource(operators="-", chain_length=3, digits=2)
    problem = source.sample(np.random.default_rng(3), "train")
    first, second, third, question = problem.prompt.split(";")
    assert question == "c="
    a = int(first[2:].split("-")[0]) - int(first[2:].split("-")[1])
    assert second.startswith("b=a-")
    assert third.startswith("c=b-")
    expected = a - int(second.split("-")[1]) - int(third.split("-")[1])
    assert problem.demonstration == str(expected)


def test_reversed_answers_start_with_the_last_digit_and_end_with_the_sign():
    source = ArithmeticSource(operators="-", answer_order="reversed")
    rng = np.random.default_rng(0)
    problem = next(p for p in iter(lambda: source.sample(rng, "train"), None) if p.demonstration.endswith("-"))
    left, right = map(int, problem.prompt[:-1].split("-"))
    assert problem.task["type"] == "qa_exact"
    assert problem.demonstration == str(left - right)[::-1]
    assert not grade(problem.task, str(left - right)).correct


def test_difficulty_grows_with_carries_and_is_relative_to_the_hardest():
    problems = {p.prompt: p.difficulty for split in ("train", "held_out") for p in ArithmeticSource().problems(split)}
    assert problems["99+99="] == 1.0  # two columns and two carries of at most four operations
    assert problems["37+48="] == 0.75
    assert problems["12+34="] == 0.5
    assert problems["1+2="] == 0.25


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"operands": 1}, r"operands must be an int in 2\.\.8, got 1"),
        ({"operands": 2.0}, r"operands must be an int in 2\.\.8, got 2\.0"),
        ({"digits": 10}, r"digits must be an int in 1\.\.9, got 10"),
        ({"digits": True}, r"digits must be an int in 1\.\.9, got True"),
        ({"chain_length": 0}, r"chain_length must be an int in 1\.\.26, got 0"),
        ({"operators": ""}, r"operators must be a non-empty choice of '\+-\*', each once, got ''"),
        ({"operators": "+/"}, r"operators must be .*, got '\+/'"),
        ({"operators": "++"}, r"operators must be .*, got '\+\+'"),
        ({"operators": None}, r"operators must be .*, got None"),
        ({"prompt_template": "="}, r"prompt_template must hold \{expression\} exactly once, got '='"),
        ({"prompt_template": "{expression}{0}"}, "prompt_template must hold"),
        ({"prompt_template": "{expression!r}"}, "prompt_template must hold"),
        ({"prompt_template": "{expression"}, "is not a format string"),
        ({"zero_pad": 1}, "zero_pad must be true or false, got 1"),
        ({"answer_order": "backwards"}, "answer_order must be 'normal' or 'reversed', got 'backwards'"),
        ({"extract": "boxed"}, "extract must be one of whole, last_boxed.*, got 'boxed'"),
        ({"markers": "A:"}, "markers must be a non-empty list"),
        ({"markers": []}, "markers must be a non-empty list"),
        ({"held_out_fraction": 1.1}, r"held_out_fraction must be in \[0, 1\], got 1\.1"),
        ({"held_out_fraction": float("nan")}, r"held_out_fraction must be in \[0, 1\], got nan"),
        ({"held_out_fraction": "0.1"}, "held_out_fraction must be a number"),
    ],
)
def test_wrong_parameters_are_named_with_range_and_value(parameters, message):
    with pytest.raises(UserError, match=message):
        ArithmeticSource(**parameters)


def test_the_typed_parameters_are_those_of_the_constructor():
    names = list(inspect.signature(ArithmeticSource).parameters)
    assert names == list(ArithmeticParameters.__annotations__)


@pytest.mark.parametrize(("fraction", "split"), [(0.0, "held_out"), (1.0, "train")])
@pytest.mark.parametrize("digits", [1, 6])
def test_an_empty_split_is_an_error_and_not_an_endless_loop(fraction, split, digits):
    source = ArithmeticSource(digits=digits, held_out_fraction=fraction)
    with pytest.raises(UserError, match=f"the {split} split of ArithmeticSource.* is empty"):
        source.sample(np.random.default_rng(0), split)
    with pytest.raises(UserError, match=f"the {split} split of ArithmeticSource.* is empty"):
        source.problems(split, limit=3)


def test_an_unknown_split_is_an_error():
    with pytest.raises(UserError, match="split must be 'train' or 'held_out', got 'test'"):
        ArithmeticSource().sample(np.random.default_rng(0), "test")


def test_asking_for_more_distinct_problems_than_a_large_split_has_ends():
    # 0.0001 of 100,000,000 expressions are held out, far fewer than are asked for, and a draw rarely finds one.
    source = ArithmeticSource(digits=4, held_out_fraction=1e-9)
    with pytest.raises(UserError, match=r"split of ArithmeticSource.* is empty|found only"):
        source.problems("held_out", limit=100)


def test_zero_padding_changes_the_writing_and_nothing_else() -> None:
    plain, padded = (
        ArithmeticSource(operators="+-*", chain_length=2),
        ArithmeticSource(operators="+-*", chain_length=2, zero_pad=True),
    )
    for seed in range(50):
        a, b = (source.sample(np.random.default_rng(seed), "train") for source in (plain, padded))
        assert (a.task["gold"], a.difficulty, a.split) == (b.task["gold"], b.difficulty, b.split)
        assert re.sub(r"(?<!\d)0+(?=\d)", "", b.prompt) == a.prompt
        assert all(len(number) == 2 for number in re.findall(r"\d+", b.prompt))


@settings(deadline=None)
@given(
    st.builds(
        ArithmeticSource,
        operands=st.integers(2, 5),
        digits=st.integers(1, 3),
        operators=st.sampled_from(["+", "-", "*", "+-", "+-*"]),
        chain_length=st.integers(1, 3),
        working=st.just(True),
    ),
    st.integers(0, 1000),
)
def test_the_working_leads_from_the_numbers_of_the_problem_to_its_value(source, seed):
    problem = source.sample(np.random.default_rng(seed), "train")
    steps = problem.task["steps"]
    assert len(steps) == source.operator_count
    known = Counter(re.findall(r"\d+", problem.prompt))
    for step in steps:
        assert str(eval(step["expression"])) == step["value"]  # noqa: S307 - its own
        used = Counter(re.findall(r"\d+", step["expression"]))
        assert sum(used.values()) == 2
        assert not used - known, "a number that is neither given nor derived"
        known[step["value"].lstrip("-")] += 1
    assert steps[-1]["value"] == problem.demonstration
    assert set(f"{steps[-1]['expression']} = {steps[-1]['value']}") <= set(source.alphabet)


def test_working_adds_to_the_record_and_changes_nothing_else():
    plain, worked = (ArithmeticSource(operators="+*", operands=3, working=working) for working in (False, True))
    for seed in range(50):
        one, other = (source.sample(np.random.default_rng(seed), "train") for source in (plain, worked))
        assert other.task.pop("steps")
        assert one == other
    with pytest.raises(UserError, match="working must be false where answer_order is 'reversed'"):
        ArithmeticSource(working=True, answer_order="reversed")
    with pytest.raises(UserError, match="working must be true or false, got 1"):
        ArithmeticSource(working=1)
