"""HumanEval's own solutions pass their own asserts, in two sandboxes; bodies that solve nothing do not."""

import ast
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rlenvs.graders import compile_task
from rlenvs.graders.code.questions import PendingCode
from rlenvs.graders.code.verdicts import settle_code
from rlenvs.sandbox import SandboxPool

DATA = Path(os.environ.get("RLENVS_TEST_DATA", Path(__file__).parents[3].parent / "shared" / "data"))


@pytest.fixture(scope="module")
def pool() -> Iterator[SandboxPool]:
    with SandboxPool(workers=2) as made:
        yield made


def records() -> list[dict[str, str]]:
    path = DATA / "humaneval_even.jsonl"
    if not path.exists():
        pytest.skip(f"no {path}; set RLENVS_TEST_DATA")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 82
    return rows


def task_of(record: dict[str, str]) -> dict[str, Any]:
    """The asserts task of a record. What its prompt defines before the function, its asserts may use too."""
    before = record["prompt"].rpartition(f"def {record['entry_point']}(")[0]
    return {
        "type": "asserts",
        "entry_point": record["entry_point"],
        "test_code": record["test"],
        "setup_code": before,
        "time_limit_s": 10,
    }


def first_argument(record: dict[str, str]) -> str:
    for node in ast.parse(record["prompt"] + "    pass\n").body:
        if isinstance(node, ast.FunctionDef) and node.name == record["entry_point"]:
            return node.args.args[0].arg
    raise AssertionError(record["task_id"])


def verdicts(pool: SandboxPool, bodies: dict[str, str]) -> dict[str, str]:
    """ "passed", or the reason, for each record whose body is given."""
    rows = {record["task_id"]: record for record in records()}
    pending = []
    for name, body in bodies.items():
        outcome = compile_task(task_of(rows[name])).respond(f"```python\n{rows[name]['prompt']}{body}\n```")
        assert isinstance(outcome, PendingCode)
        pending.append(outcome)
    return {
        name: "passed" if grade.correct else f"{grade.status}: {grade.reason}"
        for name, grade in zip(bodies, settle_code(pending, pool), strict=True)
    }


def test_published_solutions_pass(pool: SandboxPool) -> None:
    found = verdicts(pool, {record["task_id"]: record["canonical_solution"] for record in records()})
    assert {name: reason for name, reason in found.items() if reason != "passed"} == {}
    assert len(found) == 82


@pytest.mark.parametrize("body", ["return None", "pass", "return 0", "return True", "return ''", "return []", "first argument"])  # fmt: skip
def test_bodies_that_solve_nothing_fail(body: str, pool: SandboxPool) -> None:
    bodies = {
        record["task_id"]: "    " + (f"return {first_argument(record)}" if body == "first argument" else body)
        for record in records()
    }
    found = verdicts(pool, bodies)
    assert [name for name, reason in found.items() if reason == "passed"] == []
    assert len(found) == 82
