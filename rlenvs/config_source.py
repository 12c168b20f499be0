"""YAML text to plain data, with the place of every key.

Nothing here constructs Python objects from YAML: the text is read event by event, and only mappings, lists,
text, numbers, booleans and null come out. Anchors, aliases, merge keys, tags and several documents in one
file are refused, so a configuration means what it shows, and no short file expands into a huge one.

Plain scalars follow the core schema of YAML 1.2, not PyYAML's YAML 1.1: `1e-5` is a number, `no` and `on` are
text, `12:30` is text and not 750. A whole number written with an exponent (`1e6`) is an integer.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from rlenvs.errors import ConfigError
from rlenvs.shown import shown

KeyPath = tuple[str | int, ...]
"""Where a value is: mapping keys and list indices from the top, `("rewards", 1, "weight")`."""

# PyYAML scans about 100 kB a second in pure Python; a configuration is a few kB.
MAX_BYTES = 1 << 20
# Far beyond any real configuration, far below Python's recursion limit.
MAX_DEPTH = 64
# Python refuses to turn longer digit strings into integers; a limit of our own gives an error with a place.
MAX_NUMBER_LENGTH = 400

_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WHOLE_WITH_EXPONENT = re.compile(r"([-+]?[0-9]+)[eE]\+?([0-9]|1[0-8])")
_INFINITY = re.compile(r"([-+]?)\.(inf|Inf|INF)")
_WORDS: dict[str, bool | float | None] = (
    dict.fromkeys(("", "~", "null", "Null", "NULL"))
    | dict.fromkeys(("true", "True", "TRUE"), True)
    | dict.fromkeys(("false", "False", "FALSE"), False)
    | dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan"))
)


@dataclass(frozen=True, order=True)
class Position:
    """A place in a text: line and column, both from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Args:
        path: The key that the message is about, as shown to the user.
        message: What is wrong and what would be right, on one line.
        at: The key whose place is shown, if not `path` itself.
        position: An explicit place, for problems that no key path can name (the second of two equal keys).
    """

    path: KeyPath
    message: str
    at: KeyPath | None = None
    position: Position | None = None

    def under(self, prefix: KeyPath) -> "Problem":
        """Return the problem as seen from further up: `prefix` leads to the value that it was found in.

        Example:
            >>> Problem(("clip",), "must be > 0, got -1").under(("ppo",)).path
            ('ppo', 'clip')
        """
        at = None if self.at is None else (*prefix, *self.at)
        return Problem((*prefix, *self.path), self.message, at, self.position)


@dataclass
class SourceMap:
    """Where each key of a configuration was written.

    Args:
        name: What messages call the source: the file name as the user gave it.
        positions: Place of every key and list item; `()` is the top of the document. Empty for data without a
            text.
        overrides: The override, as given, that set the value at a path.
        problems: What was found while reading; reported together with the problems found by validation.
    """

    name: str = "<config>"
    positions: dict[KeyPath, Position] = field(default_factory=dict)
    overrides: dict[KeyPath, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def place(self, path: KeyPath) -> tuple[str, tuple[int, int, int]]:
        """Return the prefix of a message about `path`, and a key that sorts problems from top to bottom.

        A path that was not written (a missing key, a default) is shown at its nearest written ancestor.
        """
        order = list(self.overrides.values())
        for length in range(len(path), -1, -1):
            prefix = path[:length]
            if prefix in self.overrides:
                override = self.overrides[prefix]
                return f"override {shown(override)}", (1, order.index(override), 0)
            if prefix in self.positions:
                return self.at(self.positions[prefix])
        return self.name, (0, 0, 0)

    def at(self, position: Position) -> tuple[str, tuple[int, int, int]]:
        """Return the prefix of a message about an explicit place, and its sort key."""
        return f"{self.name}:{position.line}:{position.column}", (0, position.line, position.column)

    def line(self, problem: Problem) -> tuple[str, tuple[int, int, int]]:
        """Return a problem as its line of the error message, and its sort key."""
        if problem.position is not None:
            where, order = self.at(problem.position)
        else:
            where, order = self.place(problem.path if problem.at is None else problem.at)
        subject = f"{dotted(problem.path)}: " if problem.path else ""
        return f"{where}: {subject}{problem.message}", order

    def error(self, problems: list[Problem]) -> ConfigError:
        """Return one error that holds every problem, a line each, sorted by place."""
        lines = sorted((self.line(problem) for problem in problems), key=lambda pair: pair[1])
        return ConfigError("\n".join(dict.fromkeys(text for text, _ in lines)))


def dotted(path: KeyPath) -> str:
    """Return a path as users write it in overrides: `rewards.1.weight`."""
    return ".".join(str(part) if isinstance(part, int) or part.isidentifier() else _bare(part) for part in path)


def _bare(key: str) -> str:
    return key if key.isprintable() and key and len(key) <= 60 and "." not in key else shown(key)


def read_text(path: str | Path) -> str:
    """Read a configuration file.

    Raises:
        ConfigError: If it is missing, a directory, unreadable, too large or not UTF-8.
    """
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise ConfigError(f"{path}: larger than {MAX_BYTES} bytes, which no configuration is")
        return raw.decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: a directory; expected a YAML file") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{path}: cannot be read ({reason})") from error


def read_yaml(text: str, name: str = "<config>") -> tuple[Any, SourceMap]:
    r"""Turn YAML text into plain data and the places of its keys.

    Args:
        text: The document.
        name: What messages call it.

    Returns:
        The data (None for an empty document) and its source map. Keys given twice are noted in the map's
        `problems`.

    Raises:
        ConfigError: If the text is not YAML, or uses anchors, aliases, merge keys, tags or several documents.

    Example:
        >>> data, source = read_yaml("ppo:\n  clip: 2e-1\n", "run.yaml")
        >>> data, source.positions[("ppo", "clip")]
        ({'ppo': {'clip': 0.2}}, Position(line=2, column=3))
    """
    return _EventReader(text, name).read()


class _EventReader:
    """Builds data from PyYAML's events; see the module's docstring for what it refuses."""

    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.source = SourceMap(name)
        self.events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.SafeLoader)

    def read(self) -> tuple[Any, SourceMap]:
        try:
            return self._document(), self.source
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            position = Position(1, 1) if mark is None else Position(mark.line + 1, mark.column + 1)
            self._fail(position, f"YAML syntax: {error.problem or error.context}")
        except yaml.reader.ReaderError as error:
            self._fail(self._position_of(error.position), f"YAML syntax: {error.reason}")
        except (ValueError, OverflowError) as error:
            # PyYAML converts escapes such as "\UFFFFFFFF" and version numbers without checking their range.
            if isinstance(error, ConfigError):
                raise
            self._fail(Position(1, 1), f"YAML syntax: {error}")

    def _position_of(self, offset: int) -> Position:
        before = self.text[:offset]
        return Position(before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)

    def _fail(self, position: Position, message: str) -> NoReturn:
        one_line = " ".join(message.split())
        raise ConfigError(f"{self.source.at(position)[0]}: {one_line}")

    def _document(self) -> Any:
        next(self.events)  # start of the stream
        if isinstance(next(self.events), yaml.StreamEndEvent):
            return None
        data = self._value(next(self.events), ())
        next(self.events)  # end of the document
        extra = next(self.events)
        if not isinstance(extra, yaml.StreamEndEvent):
            self._fail(_start(extra), "a second document; one file holds one configuration")
        return data

    def _value(self, event: yaml.Event, path: KeyPath) -> Any:
        self.source.positions.setdefault(path, _start(event))
        self._refuse_references(event)
        if len(path) >= MAX_DEPTH:
            self._fail(_start(event), f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path)
        assert isinstance(event, yaml.ScalarEvent), event
        return self._scalar(event)

    def _refuse_references(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.AliasEvent):
            self._fail(_start(event), f"alias '*{event.anchor}' is not supported; write the value out")
        if getattr(event, "anchor", None) is not None:
            self._fail(_start(event), f"anchor '&{getattr(event, 'anchor', '')}' is not supported")
        if getattr(event, "tag", None) is not None:
            self._fail(_start(event), f"tag {shown(getattr(event, 'tag', ''))} is not supported")

    def _sequence(self, path: KeyPath) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self._value(event, (*path, len(items))))
        return items

    def _mapping(self, path: KeyPath) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key, position = self._key(event), _start(event)
            if key not in mapping:
                self.source.positions[(*path, key)] = position
                mapping[key] = self._value(next(self.events), (*path, key))
                continue
            first = self.source.positions[(*path, key)].line
            message = f"key {shown(key)} given twice (first on line {first})"
            self.source.problems.append(Problem(path, message, position=position))
            # The first value counts; places inside the second would mislead, so they go into a map that is
            # dropped.
            kept, self.source.positions = self.source.positions, {}
            self._value(next(self.events), (*path, key))
            self.source.positions = kept
        return mapping

    def _key(self, event: yaml.Event) -> str:
        self._refuse_references(event)
        if not isinstance(event, yaml.ScalarEvent):
            self._fail(_start(event), "a key must be text, not a list or mapping")
        if event.style is None and event.value == "<<":
            self._fail(_start(event), "merge key '<<' is not supported; write the keys out")
        key = self._scalar(event)
        if not isinstance(key, str):
            self._fail(_start(event), f"a key must be text; put it in quotes: '{event.value}'")
        return key

    def _scalar(self, event: yaml.ScalarEvent) -> str | int | float | bool | None:
        text = event.value
        if any("\ud800" <= character <= "\udfff" for character in text):
            self._fail(_start(event), "text with half of a surrogate pair, which no encoding can hold")
        if event.style is not None:
            return str(text)
        value = plain_scalar(text)
        if isinstance(value, OverflowError):
            self._fail(_start(event), str(value))
        return value


def plain_scalar(text: str) -> str | int | float | bool | OverflowError | None:
    """Return what an unquoted scalar means.

    A number of absurd length comes back as an `OverflowError`, returned and not raised.

    Example:
        >>> [plain_scalar(text) for text in ("1e-5", "1e6", "no", "0x10", "~")]
        [1e-05, 1000000, 'no', 16, None]
    """
    if text in _WORDS:
        return _WORDS[text]
    is_integer, is_float = _INTEGER.fullmatch(text), _FLOAT.fullmatch(text)
    if (is_integer or is_float) and len(text) > MAX_NUMBER_LENGTH:
        return OverflowError(f"a number of {len(text)} characters")
    if is_integer:
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        return int(text if base == 10 else text[2:], base)
    if whole := _WHOLE_WITH_EXPONENT.fullmatch(text):
        exponent = int(whole[2])
        return int(whole[1]) * int(10**exponent)
    if is_float:
        return float(text)
    if infinity := _INFINITY.fullmatch(text):
        return float(f"{infinity[1]}inf")
    return text


def _start(event: yaml.Event) -> Position:
    mark = event.start_mark
    assert mark is not None, event  # events of a parsed text always know where they start
    return Position(mark.line + 1, mark.column + 1)
