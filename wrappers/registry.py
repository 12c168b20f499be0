"""Names under which configurations find reward components and potentials."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from rlenvs.errors import ConfigError
from rlenvs.suggestions import did_you_mean

ClassT = TypeVar("ClassT", bound=type)
T = TypeVar("T")


class Registry(Generic[T]):
    """A table from name to class, with did-you-mean answers.

    Args:
        kind: what the table holds, as error messages call it ("reward component").

    Example:
        >>> table = Registry[object]("thing")
        >>> table.add("Wheel", object)
        >>> table.get("Wheel") is object, "Wheel" in table, list(table)
        (True, True, ['Wheel'])
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._classes: dict[str, type[T]] = {}

    def add(self, name: str, cls: type[T]) -> None:
        """Register `cls`; the same name for another class is an error, the same class again is not.

        Raises:
            ConfigError: another class has the name.
        """
        known = self._classes.get(name)
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ConfigError(f"{self.kind} {name!r} is already {known.__module__}.{known.__qualname__}")
        self._classes[name] = cls

    def get(self, name: str) -> type[T]:
        """Return the class called `name`.

        Raises:
            ConfigError: no such name; the message names the nearest one.
        """
        if name not in self._classes:
            raise ConfigError(self.unknown(name))
        return self._classes[name]

    def __getitem__(self, name: str) -> type[T]:
        """Return the class called `name`, as `get` does.

        A `KeyError` would say less: an unknown name is a mistake in a configuration.
        """
        return self.get(name)

    def __contains__(self, name: object) -> bool:
        return name in self._classes

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self._classes)

    def unknown(self, name: str) -> str:
        """Return the sentence that answers an unknown name."""
        return f"unknown {self.kind} {name!r}{did_you_mean(name, self.names())} (known: {', '.join(self.names())})"

    def names(self) -> list[str]:
        """Return the registered names, sorted."""
        return sorted(self._classes)

    def decorator(self, name: str | None) -> Callable[[ClassT], ClassT]:
        """Return a class decorator that registers under `name`, or under the class's own name."""

        def register(cls: ClassT) -> ClassT:
            self.add(name or cls.__name__, cls)
            return cls

        return register
