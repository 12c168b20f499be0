import numpy as np
import pytest
from gymnasium.utils import seeding
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.errors import UserError
from rlenvs.problems import ArithmeticSource, Problem, ProblemSource
from rlenvs.problems.streams import RowStreams

# 3 * 10^9 is refused a third of the time, so that drawing again is the rule and not the exception.
BOUNDS = st.sampled_from([2, 3, 10, 100, 10**9, 3 * 10**9, 2**31, 2**32 - 1])


def seeded(num_rows, seed):
    streams = RowStreams(num_rows)
    for row in range(num_rows):
        streams.seed(row, seed + row)
    return streams, [seeding.np_random(seed + row)[0] for row in range(num_rows)]


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32),
    st.integers(1, 40),
    st.lists(st.tuples(st.lists(BOUNDS, min_size=1, max_size=5), st.booleans()), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
def test_what_comes_out_is_what_the_generators_give_one_by_one(seed, num_rows, draws, random):
    streams, generators = seeded(num_rows, seed)
    for bounds, some in draws:
        rows = sorted(random.sample(range(num_rows), random.randint(1, num_rows))) if some else range(num_rows)
        drawn = streams.integers(rows, bounds)
        assert drawn.tolist() == [[int(generators[row].integers(0, bound)) for bound in bounds] for row in rows]
        lent = random.choice(list(rows))
        if some:  # somebody draws from one of the generators in between, and leaves half a word
            assert (
                streams.generator(lent).integers(0, 7, size=3).tolist()
                == generators[lent].integers(0, 7, size=3).tolist()
            )
    for row, generator in enumerate(generators):
        assert streams.generator(row).bit_generator.state["state"] == generator.bit_generator.state["state"]
        assert streams.generator(row).integers(0, 1000, size=5).tolist() == generator.integers(0, 1000, size=5).tolist()


def test_other_generators_are_refused():
    streams = RowStreams(1)
    streams.put(0, np.random.Generator(np.random.Philox(1)))
    with pytest.raises(UserError, match="row 0 needs a PCG64 generator, got Philox"):
        streams.integers([0], (10,))


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"digits": 1, "operators": "+-*"},
        {"digits": 3, "operators": "+-", "held_out_fraction": 0.6},
        {"digits": 9, "operands": 3, "chain_length": 2, "operators": "*-", "zero_pad": True},
        {"digits": 1, "held_out_fraction": 0.02},
    ],
)
@pytest.mark.parametrize("split", ["train", "held_out"])
def test_a_batch_draws_what_the_rows_would_draw_alone(parameters, split):
    source, alone = ArithmeticSource(**parameters), ArithmeticSource(**parameters)
    streams, generators = seeded(30, 5)
    rng = np.random.default_rng(1)
    for count in (30, 4, 17, 1, 25):
        rows = np.sort(rng.permutation(30)[:count]).tolist()
        expected = [alone.sample(generators[row], split) for row in rows]
        assert source.sample_batch(streams, rows, split) == expected
    assert all(
        streams.generator(row).bit_generator.state["state"] == generators[row].bit_generator.state["state"]
        for row in range(30)
    )


def test_an_empty_split_is_an_error_and_a_hidden_one_is_searched(monkeypatch):
    monkeypatch.setattr("rlenvs.problems.arithmetic.MAX_DRAWS", 3)
    source = ArithmeticSource(digits=1, held_out_fraction=0.03)
    streams, generators = seeded(20, 0)
    expected = [source.sample(generator, "held_out") for generator in generators]
    assert source.sample_batch(streams, range(20), "held_out") == expected
    with pytest.raises(UserError, match=r"the held_out split of .* is empty"):
        ArithmeticSource(digits=1, held_out_fraction=0).sample_batch(streams, [0, 1], "held_out")


def test_sources_that_say_nothing_about_batches_are_asked_row_by_row():
    class Counting(ProblemSource):
        def sample(self, rng, split):
            number = str(rng.integers(0, 1000))
            task = {"type": "qa_exact", "question": number, "gold": number}
            return Problem(id=number, prompt=number, task=task, demonstration=number)

        def problems(self, split, limit=None, seed=0):
            return []

    streams, generators = seeded(3, 1)
    problems = Counting().sample_batch(streams, [2, 0], "train")
    assert [problem.id for problem in problems] == [str(generators[row].integers(0, 1000)) for row in (2, 0)]
