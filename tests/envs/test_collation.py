import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.envs.collation import collate_infos

VALUES = {
    "int": st.integers(-5, 5),
    "float": st.floats(allow_nan=False, width=32),
    "bool": st.booleans(),
    "text": st.text(max_size=3),
    "list": st.lists(st.integers(0, 3), min_size=2, max_size=2),
    "np_number": st.floats(width=32, allow_nan=False).map(np.float32),
    "array": st.lists(st.integers(0, 9), min_size=3, max_size=3).map(np.array),
    "none": st.none(),
    "final_obs": st.text(max_size=3),
}
LEAVES = st.fixed_dictionaries({}, optional=VALUES)
INFOS = st.fixed_dictionaries({}, optional={**VALUES, "final_info": LEAVES, "task": LEAVES})


def equal(a, b):
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(equal(a[key], b[key]) for key in a)
    if a.dtype == object:
        return b.dtype == object and all(map(equal_item, a, b))
    return a.dtype == b.dtype and a.shape == b.shape and bool((a == b).all())


def equal_item(a, b):
    return type(a) is type(b) and bool(np.all(a == b))


@settings(deadline=None)
@given(st.lists(INFOS, min_size=1, max_size=5))
def test_the_result_is_that_of_gymnasium(infos):
    envs = gym.vector.VectorEnv()
    envs.num_envs = len(infos) + 1  # the last row has no info
    expected = {}
    for row, info in enumerate(infos):
        expected = envs._add_info(expected, info, row)
    assert equal(collate_infos(enumerate(infos), envs.num_envs), expected)


def test_equal_lists_stay_lists():
    collated = collate_infos([(0, {"messages": [1, 2]}), (1, {"messages": [3, 4]})], 2)
    assert collated["messages"].shape == (2,)
    assert collated["messages"][1] == [3, 4]


@pytest.mark.parametrize(
    "values", [[1, "c"], [1, "2"], [0.5, None], [1, 10**30], [10**30, 1], ["c", 1], [1, None], [1, [2]]]
)
def test_numbers_among_values_of_other_kinds_are_kept_as_they_are(values):
    collated = collate_infos([(row, {"task": {"x": value}}) for row, value in enumerate(values)], 2)
    assert [*zip(map(type, collated["task"]["x"].tolist()), collated["task"]["x"], strict=True)] == [
        *zip(map(type, values), values, strict=True)
    ]


@pytest.mark.parametrize("num_envs", [1, 4])
def test_no_info_is_an_empty_dict(num_envs):
    assert collate_infos([], num_envs) == {}
