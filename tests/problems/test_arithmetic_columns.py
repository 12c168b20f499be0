import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.problems import ArithmeticSource
from rlenvs.problems.arithmetic_columns import evaluate_columns, packed, product_works, strings, sum_works, widths
from rlenvs.problems.expressions import evaluate, product_work, sum_work, width
from rlenvs.problems.streams import RowStreams

NUMBERS = st.lists(st.integers(0, 10**9 - 1) | st.integers(0, 120), min_size=1, max_size=30)
SIGNED = st.tuples(*[st.integers(-(10**17), 10**17) | st.integers(-120, 120)] * 2)


def seeded(num_rows):
    streams = RowStreams(num_rows)
    for row in range(num_rows):
        streams.seed(row, row)
    return streams


@given(st.lists(SIGNED, min_size=1, max_size=20))
def test_work_is_that_of_single_numbers(pairs):
    a, b = (np.array(column, dtype=np.int64) for column in zip(*pairs, strict=True))
    assert widths(abs(a)).tolist() == [width(number) for number in a.tolist()]
    assert sum_works(a, b).tolist() == [sum_work(*pair) for pair in pairs]


@given(NUMBERS, NUMBERS)
def test_work_of_products_is_that_of_single_numbers(left, right):
    pairs = list(zip(left, right, strict=False))
    a, b = (np.array(column, dtype=np.int64) for column in zip(*pairs, strict=True))
    assert product_works(a, -b).tolist() == [product_work(*pair) for pair in pairs]


@given(
    st.integers(2, 5).flatmap(
        lambda n: st.lists(
            st.tuples(
                st.lists(st.integers(-999, 999), min_size=n, max_size=n),
                st.text("+-*", min_size=n - 1, max_size=n - 1),
            ),
            min_size=1,
            max_size=12,
        )
    )
)
def test_expressions_have_the_values_and_the_work_of_single_ones(rows):
    operands = [np.array(column, dtype=np.int64) for column in zip(*[numbers for numbers, _ in rows], strict=True)]
    signs = [np.array([ord(s) for s in column], dtype=np.uint32) for column in zip(*[s for _, s in rows], strict=True)]
    values, work = evaluate_columns(operands, signs)
    assert list(zip(values.tolist(), work.tolist(), strict=True)) == [evaluate(*row) for row in rows]


@given(st.lists(st.text("ab\0", min_size=1, max_size=6).map(lambda text: text.ljust(6, "\0")), min_size=1, max_size=8))
def test_packing_leaves_the_zeros_out(texts):
    points = np.array([[ord(character) for character in text] for text in texts], dtype=np.uint32)
    assert strings(packed(points)).tolist() == [text.replace("\0", "") for text in texts]


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"digits": 1, "operators": "*-+", "held_out_fraction": 0.5},
        {"digits": 3, "operators": "-", "answer_order": "reversed", "extract": "last_boxed"},
        {"operands": 4, "operators": "+*", "zero_pad": True, "prompt_template": "What is {{{expression}}}%d?"},
        {"chain_length": 3, "operands": 3, "operators": "-*", "extract": "last_marker", "markers": ["A {x}:", "B"]},
        {"operands": 2, "digits": 9, "operators": "*"},
        {"operands": 8, "digits": 9, "operators": "*"},  # beyond 64 bits
        {"prompt_template": "\U0001f642 {expression}\0"},  # beyond what arrays of texts hold
        {"answer_order": "reversed", "extract": "last_answer_tag", "chain_length": 26, "digits": 1, "operators": "-"},
    ],
)
@settings(deadline=None, max_examples=5)
@given(st.sampled_from(["train", "held_out"]), st.integers(1, 40), st.integers(0, 5))
def test_columns_say_what_the_problems_say(parameters, split, num_rows, repeats):
    source = ArithmeticSource(**parameters)
    streams, other = seeded(num_rows), seeded(num_rows)
    for _ in range(1 + repeats):
        batch = source.sample_columns(streams, range(num_rows), split)
        expected = source.sample_batch(other, range(num_rows), split)
        assert [batch.problem(place) for place in range(len(batch))] == expected
        assert type(batch.problem(0).difficulty) is float
        if batch.fields is not None:
            rows = [dict(zip(batch.fields, row, strict=True)) for row in zip(*batch.fields.values(), strict=True)]
            assert rows == [problem.task for problem in expected]
        if batch.prompt_points is not None and batch.demonstration_points is not None:
            assert strings(batch.prompt_points).tolist() == batch.prompts.tolist()
            assert strings(batch.demonstration_points).tolist() == batch.demonstrations.tolist()


def test_which_parameters_have_columns():
    def has_columns(**parameters):
        return ArithmeticSource(**parameters).sample_columns(seeded(2), [0, 1], "train").fields is not None

    assert has_columns(operands=4, digits=2, operators="+-*", chain_length=2)
    assert not has_columns(operands=8, digits=9, operators="*")
    assert not has_columns(prompt_template="\uf000 {expression}")
