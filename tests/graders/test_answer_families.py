"""Many ways to write one right answer, and many ways to look like one, by task; the table is `answer_families.json`."""

import json
from collections import Counter
from pathlib import Path

import pytest

from rlenvs.graders import grade_batch

FAMILIES = json.loads(Path(__file__).with_name("answer_families.json").read_text(encoding="ascii"))
IDS = [f"{family['task']['type']}-{index}" for index, family in enumerate(FAMILIES)]
NEEDS_CAS = pytest.mark.usefixtures("math_verify")


@pytest.fixture
def math_verify():
    pytest.importorskip("math_verify")


@NEEDS_CAS
@pytest.mark.parametrize("family", FAMILIES, ids=IDS)
def test_every_way_to_write_the_right_answer_is_paid(family):
    verdicts = grade_batch([family["task"]] * len(family["paid"]), family["paid"])
    refused = [
        (text, verdict.reason) for text, verdict in zip(family["paid"], verdicts, strict=True) if not verdict.score
    ]
    assert refused == []
    assert {(verdict.score, verdict.correct, verdict.status) for verdict in verdicts} <= {(1.0, True, "ok")}


@NEEDS_CAS
@pytest.mark.parametrize("family", FAMILIES, ids=IDS)
def test_no_way_to_look_like_the_right_answer_is_paid(family):
    verdicts = grade_batch([family["task"]] * len(family["unpaid"]), family["unpaid"])
    paid = [text for text, verdict in zip(family["unpaid"], verdicts, strict=True) if verdict.score or verdict.correct]
    assert paid == []
    assert {verdict.status for verdict in verdicts} <= {"ok", "invalid", "timeout"}


def test_the_table_is_large():
    sizes = Counter()
    for family in FAMILIES:
        assert not set(family["paid"]) & set(family["unpaid"])
        sizes[family["task"]["type"]] += len(family["unpaid"])
    assert set(sizes) == {"math", "gsm8k", "countdown", "qa_exact", "mcq", "json"}
    assert min(sizes.values()) >= 60
