"""Two processes that imitate together do what one does."""

import json
from pathlib import Path

import pytest
from shared_sft import imitate, written


def numbers(folder: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if not key.startswith("time/")} for row in rows]


@pytest.mark.slow
@pytest.mark.ci
def test_a_run_of_two_processes_learns_what_a_run_of_one_does(pair, tmp_path):
    """Batches of 25 do not split evenly, and the last of an epoch is smaller."""
    alone, together = tmp_path / "alone", tmp_path / "together"
    steps = imitate(str(alone))
    assert pair.run(imitate, str(together)) == [steps, steps]
    expected, found = numbers(alone), numbers(together)
    assert len(found) == len(expected) == steps + 1
    for wanted, row in zip(expected, found, strict=True):
        assert row.keys() == wanted.keys()
        for key, value in wanted.items():
            if not key.startswith("accuracy/"):  # a last bit may decide an answer
                assert row[key] == pytest.approx(value, rel=1e-4), key
    assert written(str(together)) == written(str(alone))
