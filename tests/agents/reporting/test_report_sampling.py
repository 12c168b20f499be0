"""Which rollouts a report shows: against sorting the whole file."""

import json
import math
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.agents.reporting.reading import located_objects, read_metrics, read_run
from rlenvs.agents.reporting.sampling import SHARES, Spread, sample_rollouts
from rlenvs.agents.reporting.tally import GRADER
from rlenvs.errors import RunFolderError


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def make_rows(count: int, per_iteration: int = 50) -> list[dict[str, Any]]:
    # A multiplicative sequence: no two rewards are equal, and their order is not that of the file.
    return [
        {
            "iteration": 1 + index // per_iteration,
            "reward": (index * 7919 % 10007) / 10007,
            "correct": index * 31 % 7 < 3,
            "components": {"a": {"raw": 1.0, "weight": 1.0, "contribution": 1.0, "status": "ok"}},
        }
        for index in range(count)
    ]


def lines_of(rollouts: list[Any], reason: str) -> set[int]:
    return {rollout.line for rollout in rollouts if reason in rollout.reasons}


def test_extremes_are_those_of_a_full_sort(tmp_path: Path) -> None:
    rows = make_rows(5000)
    rollouts, tally = sample_rollouts(write_lines(tmp_path / "r.jsonl", rows), max_rows=200)
    numbered = list(enumerate(rows, start=1))
    wrong = [(line, row) for line, row in numbered if not row["correct"]]
    right = [(line, row) for line, row in numbered if row["correct"]]

    def best(entries: list[tuple[int, dict[str, Any]]], reason: str, sign: int) -> set[int]:
        ranked = sorted(entries, key=lambda entry: sign * entry[1]["reward"])
        return {line for line, _ in ranked[: int(SHARES[reason] * 200)]}

    assert lines_of(rollouts, "highest") == best(numbered, "highest", -1)
    assert lines_of(rollouts, "lowest") == best(numbered, "lowest", 1)
    assert lines_of(rollouts, "wrong_but_high") == best(wrong, "wrong_but_high", -1)
    assert lines_of(rollouts, "right_but_low") == best(right, "right_but_low", 1)
    assert {rows[line - 1]["iteration"] for line in lines_of(rollouts, "first")} == {1}
    assert {rows[line - 1]["iteration"] for line in lines_of(rollouts, "last")} == {100}
    assert len(rollouts) == 200
    assert [rollout.line for rollout in rollouts] == sorted({rollout.line for rollout in rollouts})
    assert tally.rows == 5000
    assert tally.right.value == pytest.approx(sum(row["reward"] for _, row in right) / len(right))


def test_the_even_sample_reaches_all_of_the_run(tmp_path: Path) -> None:
    rollouts, _ = sample_rollouts(write_lines(tmp_path / "r.jsonl", make_rows(5000)), max_rows=200)
    spread = sorted(lines_of(rollouts, "spread"))
    gaps = [b - a for a, b in zip([0, *spread], [*spread, 5000], strict=True)]
    assert max(gaps) < 4 * 5000 / len(spread)


def test_the_choice_is_the_same_each_time(run_folder: Path) -> None:
    first, _ = sample_rollouts(run_folder / "rollouts.jsonl", max_rows=60)
    second, _ = sample_rollouts(run_folder / "rollouts.jsonl", max_rows=60)
    assert first == second


def test_a_small_run_is_shown_whole(run_folder: Path) -> None:
    rollouts, tally = sample_rollouts(run_folder / "rollouts.jsonl")
    assert len(rollouts) == tally.rows == 240


def test_many_components_mean_fewer_rows(tmp_path: Path) -> None:
    part = {"raw": 1.0, "weight": 1.0, "contribution": 1.0, "status": "ok"}
    rows = [row | {"components": {f"c{k}": part for k in range(20)}} for row in make_rows(2000)]
    rollouts, _ = sample_rollouts(write_lines(tmp_path / "r.jsonl", rows))
    assert len(rollouts) == 1_000_000 // (560 + 110 * 20)


@given(st.integers(1, 400), st.integers(1, 30), st.integers(1, 40))
def test_spread_is_even(length: int, limit: int, wanted: int) -> None:
    spread = Spread(limit)
    for index in range(length):
        spread.offer(index, index)
    kept = [line for line, _ in spread.kept]
    assert len(kept) <= 2 * limit
    assert len(kept) >= min(length, limit)
    assert kept == list(range(0, length, spread.stride))
    assert len(spread.positions(wanted)) == min(wanted, len(kept))


def test_disagreements_compare_with_the_mean_of_the_other_verdict(tmp_path: Path) -> None:
    rows = [
        {"reward": 1.0, "correct": True},
        {"reward": 0.0, "correct": True},  # mean of right: 0.5
        {"reward": 0.6, "correct": False},
        {"reward": 0.1, "correct": False},  # mean of wrong: 0.35
        {"reward": 9.0},
    ]
    rollouts, _ = sample_rollouts(write_lines(tmp_path / "r.jsonl", rows))
    assert [rollout.disagreement for rollout in rollouts] == [False, True, True, False, False]


def test_without_wrong_answers_nothing_disagrees(tmp_path: Path) -> None:
    rows = [{"reward": float(value), "correct": True} for value in range(5)]
    rollouts, tally = sample_rollouts(write_lines(tmp_path / "r.jsonl", rows))
    assert not any(rollout.disagreement for rollout in rollouts)
    assert math.isnan(tally.wrong.value)


def test_failures_are_counted_by_component_and_status(tmp_path: Path) -> None:
    rows = [
        {"iteration": 3, "grade_status": "timeout", "components": {"judge": {"status": "error"}}},
        {"iteration": 1, "grade_status": "ok", "components": {"judge": {"status": "error"}, "a": {"status": "ok"}}},
        {"iteration": 9, "components": {"judge": {"status": "invalid"}}},
    ]
    _, tally = sample_rollouts(write_lines(tmp_path / "r.jsonl", rows))
    assert dict(tally.failures["judge"].statuses) == {"error": 2, "invalid": 1}
    assert (tally.failures["judge"].first_iteration, tally.failures["judge"].last_iteration) == (1, 9)
    assert dict(tally.failures[GRADER].statuses) == {"timeout": 1}
    assert "a" not in tally.failures


def test_lines_that_are_no_object_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    deep = b"[" * 100_000
    lines = [b'{"a": 1}', b"", b"[1]", b"\xff\xfe", deep, b'{"b": 2}', b'{"torn": "las']
    path.write_bytes(b"\n".join(lines))
    assert [(line, row) for line, _, row in located_objects(path)] == [(1, {"a": 1}), (6, {"b": 2})]


def test_offsets_point_to_the_line_also_after_a_giant_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rlenvs.agents.reporting.reading.MAX_LINE_BYTES", 64)
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'{"a": 1}\n{"x": "' + b"y" * 1000 + b'"}\n{"b": 2}\n')
    found = list(located_objects(path))
    assert [(line, row) for line, _, row in found] == [(1, {"a": 1}), (3, {"b": 2})]
    with path.open("rb") as file:
        for _, offset, row in found:
            file.seek(offset)
            assert json.loads(file.readline()) == row


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
ROLLOUT_KEYS = ["iteration", "reward", "correct", "components", "grade_status", "prompt", "tokens", "env", "potential"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(ROLLOUT_KEYS), json_values), max_size=8))
def test_any_values_are_understood_as_far_as_they_go(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("run") / "rollouts.jsonl"
    rollouts, tally = sample_rollouts(write_lines(path, rows))
    assert len(rollouts) == tally.rows == len(rows)
    for rollout, row in zip(rollouts, rows, strict=True):
        assert rollout.correct is (row["correct"] if isinstance(row.get("correct"), bool) else None)
        assert rollout.reward is None or math.isfinite(rollout.reward)


def peak_memory(path: Path) -> int:
    tracemalloc.start()
    try:
        sample_rollouts(path, max_rows=100)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    def write(count: int) -> Path:
        path = tmp_path / f"{count}.jsonl"
        answer = "x" * 300
        with path.open("w", encoding="utf-8") as file:
            for index in range(count):
                reward = (index * 7919 % 10007) / 10007
                file.write(
                    f'{{"iteration": {1 + 20 * index // count}, "reward": {reward}, "correct": '
                    f'{"true" if index % 3 else "false"}, "response": "{answer}"}}\n'
                )
        return path

    small, large = peak_memory(write(5_000)), peak_memory(write(50_000))
    assert large < 2_000_000  # the file has 18 MB
    assert large < 1.3 * small


def test_metrics_keep_numbers_and_the_last_word_on_an_iteration(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        '{"iteration": 0, "kl": 0.1, "note": "text"}\n{"iteration": 1, "kl": 0.2}\n{"iteration": 2, "kl": 0.3}\n'
        '{"iteration": 1, "kl": 0.9}\n{"iteration": 2, "kl": NaN}\n{"iteration": 3, "kl"'
    )
    rows = read_metrics(path)
    assert [(row["iteration"], row["kl"]) for row in rows[:2]] == [(0, 0.1), (1, 0.9)]
    assert math.isnan(rows[2]["kl"])
    assert "note" not in rows[0]
    assert len(rows) == 3


def test_wrong_folders_are_refused_with_the_remedy(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    with pytest.raises(RunFolderError, match=r"absent does not exist; give the folder that `rlenvs train` wrote"):
        read_run(tmp_path / "absent")
    with pytest.raises(RunFolderError, match=r"holds neither metrics\.jsonl nor config\.yaml"):
        read_run(tmp_path)
    folder = write_run(tmp_path / "run", iterations=1)
    with pytest.raises(RunFolderError, match=r"metrics\.jsonl is a file, not a run folder"):
        read_run(folder / "metrics.jsonl")
