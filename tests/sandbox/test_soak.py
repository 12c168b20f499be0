"""A long time under load, with one program in ten hostile and workers that are killed at random."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import soak

from rlenvs.sandbox import kernel

TIERS = {"A": ("A", "B"), "B": ("B",), "C": ()}[kernel.probe().tier]
LONG = int(os.environ.get("RLENVS_SOAK_EXECUTIONS", "50000"))
SHORT = 600
SECONDS = 3600
MEMORY_DRIFT = 1.05
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not TIERS, reason="no tier can be entered")]


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("executions", [pytest.param(SHORT, marks=pytest.mark.ci), LONG])
def test_nothing_is_lost_wrong_or_left(tmp_path: Path, executions: int, tier: str) -> None:
    done = subprocess.run(
        [sys.executable, soak.__file__, str(executions), tier],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["wrong"] == []
    assert "error" not in report["statuses"]
    assert set(report["statuses"]) == {"ok", "timeout", "memory", "output", "crash", "malformed"}
    assert report["executions"] >= executions
    assert report["killed"] >= executions / 1000
    assert 1 <= report["workers"] <= 2
    early, late = report["memory"]
    assert late < early * MEMORY_DRIFT
    assert (report["processes"], report["descriptors"], report["files"]) == ([], 0, [])
