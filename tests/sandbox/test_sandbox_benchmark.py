"""The benchmark runs through and prints every table, with figures that can be."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from rlenvs.graders import grade_batch
from rlenvs.sandbox import kernel

PATH = Path(__file__).parents[2] / "benchmarks" / "sandbox.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sandbox_benchmark", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.skipif(kernel.probe().tier == "C", reason="no tier can be entered")
def test_a_quick_run_prints_every_table(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["sandbox.py", "--quick"])
    benchmark.main()
    printed = capsys.readouterr().out
    rows = dict(re.findall(r"^\| (.+?) \| ([\d.,-]+) \|", printed, re.MULTILINE))
    for name in ("function task, graded", "asserts task, graded", "python -m pytest", "all of it, one at a time"):
        assert float(rows[name].replace(",", "")) > 0
    assert float(rows["times as fast as python -m pytest"]) > 1
    assert re.search(r"takes [\d.]+ times as long as a bare warm fork", printed)
    assert len(re.findall("met|MISSED", printed)) == len(benchmark.GOALS)


@pytest.mark.skipif(kernel.probe().tier == "C", reason="no tier can be entered")
def test_what_is_measured_tells_right_from_wrong(benchmark: ModuleType) -> None:
    tasks = [benchmark.FUNCTION, benchmark.ASSERTS]
    assert all(each.correct for each in grade_batch(tasks, [benchmark.ANSWER] * 2))
    assert not any(each.correct for each in grade_batch(tasks, [benchmark.ANSWER.replace("max", "min")] * 2))
