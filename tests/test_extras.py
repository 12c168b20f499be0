"""Optional dependencies."""

import sys
from pathlib import Path

import pytest

from rlenvs.errors import MissingExtraError, UserError
from rlenvs.extras import require


def test_returns_the_module_that_was_named() -> None:
    assert require("os.path", "llm", "this test") is sys.modules["os.path"]


@pytest.mark.parametrize("module", ["no_such_package", "no_such_package.inner"])
def test_missing_package_says_what_to_install(module: str) -> None:
    message = r"^no_such_package is not installed: PPO needs it; install it with: pip install 'rlenvs\[llm\]'$"
    with pytest.raises(MissingExtraError, match=message) as caught:
        require(module, "llm", "PPO")
    assert isinstance(caught.value, UserError)
    assert isinstance(caught.value, ImportError)


def test_broken_installation_is_not_called_a_missing_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "package_with_lost_dependency.py").write_text("import the_lost_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="the_lost_dependency") as caught:
        require("package_with_lost_dependency", "llm", "PPO")
    assert not isinstance(caught.value, MissingExtraError)
