"""Every code block of the documentation runs, top to bottom, and every example in a docstring gives what it says.

A page is one story: its blocks share a namespace and a working folder. What a comment on the line before a block means:

* `<!-- skip: reason -->`: the block is not run.
* `<!-- slow -->`: the block needs more than ten seconds; the page runs with it among the slow tests, without it here.
* `<!-- needs: module -->`: the block is run where the optional module is installed.
* `<!-- file: name.yaml -->`: the block is also written to that file of the working folder.
"""

import contextlib
import doctest
import importlib
import io
import pkgutil
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import rlenvs
from rlenvs.cli import main
from rlenvs.errors import ConfigError

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, the line of its first line, and the comment before it."""

    language: str
    text: str
    line: int
    comment: str


def blocks(text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a Markdown page.

    >>> [(block.language, block.text, block.line) for block in blocks("a\\n```python\\nx = 1\\n```\\n")]
    [('python', 'x = 1', 3)]
    """
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        fence = re.match(r"(\s*)(```+|~~~+)\s*([\w+-]*)", lines[number])
        number += 1
        if fence is None:
            continue
        indent, mark, language = fence.groups()
        start = number
        while number < len(lines) and not lines[number].strip().startswith(mark):
            number += 1
        if number == len(lines):
            raise ValueError(f"the block in line {start} is never closed")
        before = lines[start - 2].strip() if start >= 2 else ""
        comment = before[4:-3].strip() if before.startswith("<!--") and before.endswith("-->") else ""
        body = "\n".join(line.removeprefix(indent) for line in lines[start:number])
        yield Block(language, body, start + 1, comment)
        number += 1


def run_python(block: Block, page: Path, namespace: dict[str, Any]) -> None:
    if re.search(r"^>>> ", block.text, flags=re.MULTILINE):
        test = doctest.DocTestParser().get_doctest(block.text + "\n", namespace, page.name, str(page), block.line - 1)
        report = io.StringIO()
        doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=report.write, clear_globs=False)
        namespace.update(test.globs)
        assert not report.getvalue(), report.getvalue()
        return
    # Empty lines before the code make line numbers of errors those of the page.
    code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
    exec(code, namespace)  # noqa: S102 - running the documentation is what this is for


def commands(block: Block) -> Iterator[list[str]]:
    """Yield the command lines of a block that begin with `rlenvs`, as words without prompt and comment."""
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line.strip().removeprefix("$ "), comments=True)
        if words[:1] == ["rlenvs"]:
            yield words[1:]


def run_command(words: list[str]) -> None:
    """Run one command line, with `> file` and the first stage of a pipe understood."""
    words = words[: words.index("|")] if "|" in words else words
    target = Path(words[words.index(">") + 1]) if ">" in words else None
    words = words[: words.index(">")] if ">" in words else words
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main(words)
    assert code == 0, f"rlenvs {shlex.join(words)} exited with {code}"
    if target is not None:
        target.write_text(out.getvalue())


def check_yaml(block: Block, page: Path) -> None:
    from rlenvs.agents.llm.config import TrainConfig
    from rlenvs.agents.llm.sft import SFTConfig
    from rlenvs.agents.sb3 import SB3TrainConfig
    from rlenvs.agents.tuning import SearchSpace
    from rlenvs.agents.tuning.config import TuneConfig
    from rlenvs.config_file import parse_config
    from rlenvs.config_source import read_yaml
    from rlenvs.wrappers.config.rewards import RewardConfig

    first = block.text.lstrip().splitlines()[0].strip() if block.text.strip() else ""
    name = f"{page.name} (block in line {block.line})"
    if first.startswith("# train"):
        parse_config(TrainConfig, block.text, name=name)
    elif first.startswith("# sft"):
        parse_config(SFTConfig, block.text, name=name)
    elif first.startswith("# sb3"):
        parse_config(SB3TrainConfig, block.text, name=name)
    elif first.startswith("# rewards"):
        parse_config(RewardConfig, block.text, name=name)
    elif first.startswith("# tune"):
        parse_config(TuneConfig, block.text, name=name)
    elif first.startswith("# space"):
        data, source = read_yaml(block.text, name)
        SearchSpace.parse(data, source).parameters()


def run_page(page: Path, *, slow: bool) -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.comment.startswith("skip:") or (block.comment == "slow" and not slow):
            continue
        if block.comment.startswith("needs:") and not find_spec(block.comment.removeprefix("needs:").strip()):
            continue
        if block.comment.startswith("file:"):
            Path(block.comment.removeprefix("file:").strip()).write_text(block.text + "\n")
        if block.language == "python":
            run_python(block, page, namespace)
        elif block.language in ("bash", "console", "sh", "shell"):
            for words in commands(block):
                run_command(words)
        elif block.language in ("yaml", "yml"):
            check_yaml(block, page)


def is_slow(page: Path) -> bool:
    return page.is_file() and any(block.comment == "slow" for block in blocks(page.read_text(encoding="utf-8")))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_runs(page: Path) -> None:
    run_page(page, slow=False)


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("page", [page for page in PAGES if is_slow(page)], ids=lambda page: page.name)
def test_page_runs_with_its_slow_blocks(page: Path) -> None:
    run_page(page, slow=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_block_that_is_skipped_says_why(page: Path) -> None:
    comments = [block.comment for block in blocks(page.read_text(encoding="utf-8"))]
    known = re.compile(r"skip: \S.*|slow|file: [\w./-]+|needs: \w+|(?!skip|slow|file|needs).*")
    assert [comment for comment in comments if not known.fullmatch(comment)] == []


MODULES = [
    module.name for module in pkgutil.walk_packages(rlenvs.__path__, "rlenvs.") if not module.name.endswith("__main__")
]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("rlenvs"):
            raise
        pytest.skip(f"{error.name} is not installed")
    report = io.StringIO()
    with contextlib.redirect_stdout(report):
        result = doctest.testmod(module, optionflags=OPTIONS)
    assert result.failed == 0, report.getvalue()


class TestTheHarness:
    """A harness that runs nothing would pass every page."""

    def page(self, tmp_path: Path, text: str) -> Path:
        path = tmp_path / "page.md"
        path.write_text(text)
        return path

    def test_blocks_share_a_namespace_and_errors_have_the_line_of_the_page(self, folder: Path) -> None:
        page = self.page(folder, "# T\n\n```python\nx = 1\n```\n\n```python\ny = x + 1\nassert y == 3\n```\n")
        with pytest.raises(AssertionError) as caught:
            run_page(page, slow=False)
        assert caught.traceback[-1].lineno + 1 == 9

    def test_interactive_blocks_are_compared(self, folder: Path) -> None:
        run_page(self.page(folder, "```python\nx = 1\n```\n```python\n>>> x + 1\n2\n```\n"), slow=False)
        with pytest.raises(AssertionError, match="Expected"):
            run_page(self.page(folder, "```python\n>>> 1 + 1\n3\n```\n"), slow=False)

    def test_commands_run_and_their_exit_code_counts(self, folder: Path) -> None:
        run_page(self.page(folder, "```bash\n$ rlenvs schema \\\n  rewards > s.json  # kept\nls\n```\n"), slow=False)
        assert "reward_components" in (folder / "s.json").read_text()
        with pytest.raises(AssertionError, match="rlenvs trian exited with 2"):
            run_page(self.page(folder, "```console\n$ rlenvs trian\n```\n"), slow=False)

    def test_comments_before_a_block(self, folder: Path) -> None:
        text = (
            "<!-- skip: no -->\n```python\n1 / 0\n```\n"
            "<!-- slow -->\n```python\nopen('slow', 'w').close()\n```\n"
            "<!-- file: a.yaml -->\n```yaml\na: 1\n```\n"
        )
        run_page(self.page(folder, text), slow=False)
        assert (folder / "a.yaml").read_text() == "a: 1\n"
        assert not (folder / "slow").exists()
        run_page(self.page(folder, text), slow=True)
        assert (folder / "slow").exists()

    def test_what_an_optional_module_is_needed_for_runs_where_it_is_installed(self, folder: Path) -> None:
        run_page(self.page(folder, "<!-- needs: no_such_module -->\n```python\n1 / 0\n```\n"), slow=False)
        with pytest.raises(ZeroDivisionError):
            run_page(self.page(folder, "<!-- needs: json -->\n```python\n1 / 0\n```\n"), slow=False)

    @pytest.mark.parametrize("kind", ["train", "sb3", "rewards"])
    def test_yaml_is_checked(self, kind: str, folder: Path) -> None:
        page = self.page(folder, f"\n```yaml\n# {kind}\nnonsense: 1\n```\n")
        with pytest.raises(ConfigError, match=r"page\.md \(block in line 3\):2:1: nonsense: unknown key"):
            run_page(page, slow=False)

    def test_an_open_block_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="the block in line 2 is never closed"):
            list(blocks("\n```python\nx\n"))
