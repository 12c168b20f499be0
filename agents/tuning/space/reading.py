"""From nested mappings to leaves, with everything that is wrong said at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rlenvs.agents.tuning.space.leaves import Choice, ChoiceSpec, Leaf, Template
from rlenvs.agents.tuning.space.specs import KEYS, TYPES, ChoiceKeys, Scalar, choice_problems, plain_scalar, read_range
from rlenvs.config_source import KeyPath, Problem, dotted
from rlenvs.shown import shown
from rlenvs.suggestions import nearest

__all__ = ["SpaceReader"]

WANTED = "{type: float|int|categorical, ...}, a function of the trial or a mapping of them"


@dataclass
class SpaceReader:
    """Reads one search space.

    Attributes:
        leaves: in the order in which they stand.
        places: where each place of the configuration, those above leaves too, was written in the space.
        problems: what is wrong; paths lead from the top of the space.
    """

    leaves: list[Leaf] = field(default_factory=list)
    places: dict[KeyPath, KeyPath] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def read(self, data: object) -> None:
        """Read a whole space."""
        if not isinstance(data, Mapping):
            self.problems.append(Problem((), f"expected a mapping of keys to parameters, got {_kind(data)}"))
        elif not data:
            self.problems.append(Problem((), "has no parameter to tune"))
        else:
            self._tree(data, (), ())
            self._overlaps()

    def _tree(self, data: Mapping[Any, Any], path: KeyPath, at: KeyPath) -> None:
        for key, value in data.items():
            here = (*at, key)
            parts = self._parts(key, here)
            if parts is not None:
                for length in range(1, len(parts) + 1):
                    self.places.setdefault((*path, *parts[:length]), here)
                self._node(value, (*path, *parts), here)

    def _parts(self, key: object, at: KeyPath) -> tuple[str, ...] | None:
        """Return the parts of a key, which may be a path with dots."""
        if not isinstance(key, str):
            self.problems.append(Problem(at[:-1], f"a key must be text, got {shown(key)}"))
            return None
        parts = tuple(key.split("."))
        if not all(parts):
            self.problems.append(Problem(at[:-1], f"a path has a name on both sides of each dot, got {shown(key)}"))
            return None
        return parts

    def _node(self, value: Any, path: KeyPath, at: KeyPath) -> None:
        if callable(value) and not isinstance(value, Mapping):
            self.leaves.append(Leaf(path, dotted(path), value, at))
        elif not isinstance(value, Mapping):
            text = f"expected {WANTED}, got {_kind(value)}; what does not move belongs into the base configuration"
            self.problems.append(Problem(at, text))
        elif is_description(value):
            leaf = self._described(value, path, dotted(path), at)
            if leaf is not None:
                self.leaves.append(leaf)
        elif not value:
            self.problems.append(Problem(at, f"expected {WANTED}, got an empty mapping"))
        else:
            self._tree(value, path, at)

    def _described(self, data: Mapping[str, Any], path: KeyPath, name: str, at: KeyPath) -> Leaf | None:
        read = read_range(data, at)
        self.problems += read.problems
        if read.spec is None:
            return None
        name = read.spec.name or name
        if not isinstance(read.spec, ChoiceKeys):
            return Leaf(path, name, read.spec, at)
        before = len(self.problems)
        choices = self._choices(data["choices"], path, name, (*at, "choices"))
        return Leaf(path, name, ChoiceSpec(choices), at) if len(self.problems) == before else None

    def _choices(self, data: object, path: KeyPath, name: str, at: KeyPath) -> tuple[Choice, ...]:
        data = data.tolist() if isinstance(data, np.ndarray) else data
        if isinstance(data, Mapping):
            found = [self._labelled(label, value, path, name, at) for label, value in data.items()]
        elif isinstance(data, Sequence) and not isinstance(data, str | bytes):
            values = [plain_scalar(value) for value in data]
            self.problems += choice_problems(values, at)
            found = [Choice(value, value) for value in values]
        else:
            self.problems.append(Problem(at, f"expected a list of values, or label -> value, got {_kind(data)}"))
            return ()
        if not found:
            self.problems.append(Problem(at, "expected at least 1 choice, got none"))
        return tuple(found)

    def _labelled(self, label: object, value: Any, path: KeyPath, name: str, at: KeyPath) -> Choice:
        if not isinstance(label, str) or not label:
            self.problems.append(Problem(at, f"a label must be text, got {shown(label)}"))
            return Choice("", None)
        return Choice(label, self._template(value, path, f"{name}.{label}", (*at, label)))

    def _template(self, value: Any, path: KeyPath, name: str, at: KeyPath) -> Template:
        """Read what stands under a label: plain data, with parameters of its own at any depth."""
        if callable(value) and not isinstance(value, Mapping):
            return Leaf(path, name, value, at)
        if isinstance(value, Mapping):
            if is_description_among_values(value):
                return self._described(value, path, name, at)
            return self._sub_tree(value, path, name, at)
        if isinstance(value, list | tuple):
            return [
                self._template(item, (*path, index), f"{name}.{index}", (*at, index))
                for index, item in enumerate(value)
            ]
        return plain_scalar(value)

    def _sub_tree(self, data: Mapping[Any, Any], path: KeyPath, name: str, at: KeyPath) -> dict[str, Template]:
        tree: dict[str, Template] = {}
        for key, value in data.items():
            here = (*at, key)
            parts = self._parts(key, here)
            if parts is None:
                continue
            read = self._template(value, (*path, *parts), f"{name}.{dotted(parts)}", here)
            if not _put(tree, parts, read):
                self.problems.append(Problem(here, "given twice in this choice"))
        return tree

    def _overlaps(self) -> None:
        """Refuse two parameters at one place, and a parameter inside of another."""
        taken: dict[KeyPath, Leaf] = {}
        for leaf in self.leaves:
            if leaf.path in taken:
                self.problems.append(Problem(leaf.at, "is tuned already, further up"))
            taken.setdefault(leaf.path, leaf)
        for leaf in self.leaves:
            for length in range(1, len(leaf.path)):
                if (outer := taken.get(leaf.path[:length])) is not None:
                    text = f"lies inside {dotted(outer.path)}, which is a parameter as a whole"
                    self.problems.append(Problem(leaf.at, text))


def is_description(data: Mapping[Any, Any]) -> bool:
    """Return whether a mapping describes a parameter; its keys may be misspelt.

    Only a description holds plain values: in the rest of a space there are mappings and functions alone.

    Example:
        >>> is_description({"type": "flot", "low": 0}), is_description({"low": 0}), is_description({"typ": "int"})
        (True, True, True)
        >>> is_description({"type": {"type": "int", "low": 0, "high": 1}}), is_description({"n_steps": 3})
        (False, False)
    """
    plain = {str(key): value for key, value in data.items() if not isinstance(value, Mapping) and not callable(value)}
    return any(key in KEYS or (nearest(key, KEYS) == "type" and _is_type(value)) for key, value in plain.items())


def _is_type(value: object) -> bool:
    return isinstance(value, str) and nearest(value, TYPES) is not None


def is_description_among_values(data: Mapping[Any, Any]) -> bool:
    """Return whether a mapping describes a parameter where plain values may stand too.

    Example:
        >>> is_description_among_values({"type": "float", "low": 0}), is_description_among_values({"type": "regex"})
        (True, False)
        >>> is_description_among_values({"type": "flaot", "low": 0, "high": 1})
        True
    """
    kind = data.get("type")
    if not isinstance(kind, str):
        return False
    meant = {nearest(str(key), KEYS) for key in data}
    return kind in TYPES or (nearest(kind, TYPES) is not None and None not in meant and len(meant) > 1)


def _put(tree: dict[str, Template], parts: tuple[str, ...], value: Template) -> bool:
    """Put a value at a path; return whether there was nothing yet."""
    for part in parts[:-1]:
        inner = tree.setdefault(part, {})
        if not isinstance(inner, dict):
            return False
        tree = inner
    last = parts[-1]
    if isinstance(tree.get(last), dict) and isinstance(value, dict):
        return all(_put(tree[last], (key,), item) for key, item in value.items())
    if last in tree:
        return False
    tree[last] = value
    return True


def _kind(value: object) -> str:
    return "a list" if isinstance(value, list | tuple) else shown(value) if isinstance(value, Scalar) else repr(value)
