"""The example scripts run from beginning to end, with few steps."""

import re
import runpy
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parents[3] / "examples"
SAYS = {
    "sb3_tokens.py": r"return at the end of training \d\.\d\d, largest 1\nheld-out accuracy \d+%\n",
    "sb3_stack.py": r"true return \d\.\d\d ± \d\.\d\d, largest 1\n",
    "sb3_vector.py": r"true return \d\.\d\d, largest 1; [\d,]+ steps a second\n",
}


def test_no_example_is_forgotten():
    assert {path.name for path in FOLDER.glob("sb3_*.py")} == set(SAYS)


@pytest.mark.parametrize("name", SAYS)
def test_an_example_runs(name, monkeypatch, capsys):
    monkeypatch.setenv("RLENVS_QUICK", "1")
    threads = torch.get_num_threads()
    try:
        runpy.run_path(str(FOLDER / name), run_name="__main__")
    finally:
        torch.set_num_threads(threads)
    assert re.fullmatch(SAYS[name], capsys.readouterr().out)
