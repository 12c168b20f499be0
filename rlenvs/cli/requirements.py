"""Which dependencies rlenvs declares, and whether the installed versions meet them. Imports none of them."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

__all__ = ["Dependency", "declared_dependencies", "meets", "parse_requirement", "version_release"]

Release = tuple[int, ...]

_COMPARE: dict[str, Callable[[Release, Release], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]*)\s*(\[(?P<extras>[^\]]*)\])?\s*\(?(?P<bounds>[^;)]*)\)?\s*"
    r"(;\s*extra\s*==\s*['\"](?P<extra>[\w-]+)['\"])?"
)


@dataclass(frozen=True)
class Dependency:
    """One line of the dependencies that a distribution declares.

    Args:
        name: Name of the distribution.
        bounds: Version bounds, as written (`">=2,<3"`), or empty.
        extra: The extra that asks for it; None for the base install.
        extras: Extras of `name` that are asked for.
    """

    name: str
    bounds: str
    extra: str | None
    extras: tuple[str, ...]

    @property
    def installed(self) -> str | None:
        """The installed version, or None."""
        try:
            return metadata.version(self.name)
        except metadata.PackageNotFoundError:
            return None

    @property
    def is_met(self) -> bool:
        """Whether it is installed in a version within the bounds."""
        return self.installed is not None and meets(self.installed, self.bounds)


def parse_requirement(line: str) -> Dependency:
    """Read one requirement of a distribution's metadata, as far as rlenvs writes them.

    Raises:
        ValueError: For direct references, other markers than `extra ==`, and other operators than
            comparisons.

    Example:
        >>> parse_requirement('torch>=2.11; extra == "llm"')
        Dependency(name='torch', bounds='>=2.11', extra='llm', extras=())
    """
    match = _REQUIREMENT.fullmatch(line.strip())
    if match is None:
        raise ValueError(f"requirement {line!r} is not understood")
    bounds = match["bounds"].replace(" ", "")
    meets("0", bounds)
    extras = tuple(part.strip() for part in (match["extras"] or "").split(",") if part.strip())
    return Dependency(match["name"], bounds, match["extra"], extras)


def version_release(version: str) -> Release:
    """Return the release part of a version, without trailing zeros.

    Example:
        >>> version_release("2.13.0+cpu"), version_release("5.0rc1")
        ((2, 13), (5,))
    """
    match = re.match(r"v?(?:\d+!)?(\d+(?:\.\d+)*)", version)
    if match is None:
        raise ValueError(f"version {version!r} is not understood")
    release = [int(part) for part in match[1].split(".")]
    while len(release) > 1 and release[-1] == 0:
        release.pop()
    return tuple(release)


def meets(version: str, bounds: str) -> bool:
    """Return whether a version lies within bounds such as `">=2,<3"`; pre-releases count as their release.

    Example:
        >>> meets("2.13.0", ">=2.11"), meets("6.0", ">=5,<6")
        (True, False)
    """
    release = version_release(version)
    results = []
    for bound in filter(None, bounds.split(",")):
        match = re.fullmatch(r"(>=|<=|==|!=|>|<)(\d[\w.+!]*)", bound)
        if match is None:
            raise ValueError(f"version bound {bound!r} is not understood")
        results.append(_COMPARE[match[1]](release, version_release(match[2])))
    return all(results)


def declared_dependencies() -> tuple[list[Dependency], dict[str, list[Dependency]]]:
    """Return the dependencies of the base install, and those of each extra with extras of extras resolved.

    Raises:
        importlib.metadata.PackageNotFoundError: If rlenvs runs from a folder that was never installed.
    """
    declared = [parse_requirement(line) for line in metadata.requires("rlenvs") or ()]
    names = metadata.metadata("rlenvs").get_all("Provides-Extra") or []
    direct = {extra: [item for item in declared if item.extra == extra] for extra in names}

    def resolve(extra: str) -> list[Dependency]:
        found: list[Dependency] = []
        for item in direct.get(extra, []):
            nested = [inner for name in item.extras for inner in resolve(name)]
            found += nested if item.name == "rlenvs" else [item]
        return list(dict.fromkeys(found))

    return [item for item in declared if item.extra is None], {extra: resolve(extra) for extra in names}
