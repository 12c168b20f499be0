"""Columns and rows of collated infos say the same, whatever an environment puts into them."""

import math

import numpy as np
import pytest
from gymnasium.vector import VectorEnv
from hypothesis import assume, given
from hypothesis import strategies as st

from rlenvs.wrappers import RewardPipeline, Transition
from rlenvs.wrappers.infos import CollatedInfos, Infos
from rlenvs.wrappers.normalization import Normalization

ODD = [0, 1, 2.5, True, None, "x", "3", np.float32(1.5), np.int8(3), math.nan, {"k": 1}, [1], np.ones(1), np.array(2.0)]
ABSENT = object()
cells = st.lists(st.sampled_from([ABSENT, *ODD]), min_size=4, max_size=4)
masks = st.lists(st.booleans(), min_size=4, max_size=4)


def collated(values):
    """Collate as Gymnasium does, where it can."""
    present = [isinstance(value, dict) for value in values if value is not ABSENT]
    assume(all(present) or not any(present))  # what Gymnasium makes of a mixture is no column any more
    envs, infos = VectorEnv(), {}
    envs.num_envs = len(values)
    for row, value in enumerate(values):
        if value is not ABSENT:
            try:
                infos = envs._add_info(infos, {"x": value}, row)
            except (TypeError, ValueError, AttributeError, IndexError):
                assume(False)
    return infos


def outcome(call):
    try:
        return call().tolist()
    except (KeyError, TypeError, ValueError) as error:
        return type(error)


@given(
    values=cells,
    finals=cells,
    ended=st.none() | masks,
    rows=st.none() | masks,
    extra=st.none() | masks,
    default=st.sampled_from([None, 9.0]),
)
def test_numbers_by_columns_are_those_by_rows(values, finals, ended, rows, extra, default):
    picked = None if rows is None else np.flatnonzero(rows)
    infos = CollatedInfos(
        collated(values),
        picked,
        4 if picked is None else len(picked),
        None if ended is None else collated(finals),
        None if ended is None else np.array(ended),
        None if extra is None else [{"x": 5.0} if given else {} for given in extra],
    )
    by_columns = outcome(lambda: infos.numbers("x", default))
    by_rows = outcome(lambda: Infos.numbers(infos, "x", default))
    assert repr(by_columns) == repr(by_rows)  # NaN is not itself
    listed = outcome(lambda: np.array([repr(value) for value in infos.column("x", default)]))
    rows_listed = outcome(lambda: np.array([repr(value) for value in Infos.column(infos, "x", default)]))
    assert listed == rows_listed


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([["p"], ["p"], ["q"], ["q"]], [-1.0, 1.0, -1.0, 1.0]),
        ([None, None, None, None], [-1.0, -1.0, 1.0, 1.0]),  # no id: the prompt says it
    ],
)
def test_a_group_is_told_by_any_id(ids, expected):
    pipeline = RewardPipeline({"x": lambda info: info["x"]}, normalizations={"x": Normalization("group", epsilon=0.0)})
    values, prompts = (1.0, 2.0, 5.0, 9.0), "abab"
    if ids[0] is None:
        values = (1.0, 1.0, 3.0, 3.0)
    batch = [Transition(p, info={"x": x, "problem_id": i}) for p, x, i in zip(prompts, values, ids, strict=True)]
    assert pipeline.compute(batch, 0).total.tolist() == expected
