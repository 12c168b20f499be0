import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.errors import DataError
from rlenvs.problems import Problem, split_of

TASK = {"type": "math", "question": "2+3=", "gold": "5", "extract": "whole"}


@settings(deadline=None)
@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_raising_the_fraction_only_moves_problems_to_held_out(key, a, b):
    low, high = sorted((a, b))
    if split_of(key, low) == "held_out":
        assert split_of(key, high) == "held_out"


@settings(deadline=None)
@given(st.text())
def test_the_ends_of_the_fraction_hold_out_nothing_and_everything(key):
    assert split_of(key, 0.0) == "train"
    assert split_of(key, 1.0) == "held_out"


def test_the_share_held_out_is_the_fraction():
    held_out = sum(split_of(f"key {i}", 0.25) == "held_out" for i in range(20_000))
    # Binomial(20000, 0.25): standard deviation 61, so that 5 of them make a false alarm about one in a million.
    assert abs(held_out - 5000) < 5 * 61


def test_the_split_does_not_depend_on_the_hash_seed_of_the_process():
    code = "from rlenvs.problems import split_of; print([split_of(str(i), .5) for i in range(50)])"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert outputs == {f"{[split_of(str(i), 0.5) for i in range(50)]}\n".encode()}


def test_records_round_trip_through_json_and_share_nothing():
    problem = Problem(id="toy:1", prompt="2+3=", task=dict(TASK), demonstration="5", difficulty=0.5, split="train")
    record = problem.to_dict()
    assert Problem.from_dict(json.loads(json.dumps(record))) == problem
    record["task"]["gold"] = "6"
    assert problem.task["gold"] == "5"


@pytest.mark.parametrize("record", [{"id": "x"}, {"id": "x", "prompt": "", "task": {}, "demonstration": "", "more": 1}])
def test_records_with_missing_or_unknown_fields_are_refused(record):
    with pytest.raises(DataError, match="not a problem record"):
        Problem.from_dict(record)
