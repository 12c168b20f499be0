"""JSON lines: every mistake at its line."""

from pathlib import Path

import pytest

from rlenvs.errors import DataError
from rlenvs.json_lines import field_of, read_rows, text_field


def test_rows_come_with_their_line_numbers(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\n\n  \n{"a": 2}\n{"a": 3}')
    assert list(read_rows(path)) == [(1, {"a": 1}), (4, {"a": 2}), (5, {"a": 3})]
    assert list(read_rows(path, lines={4})) == [(4, {"a": 2})]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1}\n{"a"', r"in\.jsonl:2: not JSON"),
        (b'{"a": 1}\n[2]\n', r"in\.jsonl:2: expected an object, got \[2\]"),
        (b'{"a": "\xff"}\n', r"in\.jsonl: not UTF-8 text"),
    ],
)
def test_a_line_that_is_no_object_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_rows(path))


def test_only_a_last_line_without_an_end_is_torn(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"a": 1}\n{"a": 2')
    assert list(read_rows(path, torn_end=True)) == [(1, {"a": 1})]
    path.write_text('{"a": 1}\n{"a": 2\n{"a": 3}\n')
    with pytest.raises(DataError, match=r"in\.jsonl:2: not JSON"):
        list(read_rows(path, torn_end=True))


@pytest.mark.parametrize("name", ["nothing-there.jsonl", "."])
def test_what_is_no_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"no such file|cannot be read"):
        list(read_rows(tmp_path / name))


def test_dots_lead_into_objects_and_a_name_with_dots_comes_first() -> None:
    row = {"a": {"b": {"c": 1}}, "a.b": 2}
    assert field_of(row, "a.b", "x:1") == 2
    assert field_of({"a": {"b": {"c": 1}}}, "a.b.c", "x:1") == 1
    with pytest.raises(DataError, match=r"^x:1: a: field 'd' is missing \(found: b\)"):
        field_of({"a": {"b": 1}}, "a.d", "x:1")
    with pytest.raises(DataError, match=r"^x:1: field 'a\.b' is missing; did you mean 'a\.c'\?"):
        field_of({"a": [], "a.c": 1}, "a.b", "x:1")
    with pytest.raises(DataError, match=r"^x:1: field 'a': expected text, got 3"):
        text_field({"a": 3}, "a", "x:1")


def test_a_path_with_a_nul_is_named() -> None:
    with pytest.raises(DataError, match=r"'a\\x00b': cannot be a path, it holds a NUL character"):
        list(read_rows("a\0b"))
