"""Scores that a judge gave before, by a digest of what it was asked."""

import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

_SCHEMA = "CREATE TABLE IF NOT EXISTS scores (digest TEXT PRIMARY KEY, score REAL NOT NULL) WITHOUT ROWID"
_LOOKUPS = 500  # digests per query, under every SQLite's limit of variables


class ScoreCache:
    """A cache in memory, and a file behind it where there is a path.

    Several processes may use one file at the same time. Connections live for one call, so that nothing has to be
    closed and nothing is shared with a forked process.

    Args:
        size: scores kept in memory, the most recently used; 0 for no cache at all.
        path: an SQLite file, made when it is needed; None for memory alone.

    Example:
        >>> cache = ScoreCache(size=2)
        >>> cache.add({"a": 1.0, "b": 2.0})
        >>> cache.get(["a", "c"])
        {'a': 1.0}
    """

    def __init__(self, size: int, path: str | None = None) -> None:
        self.size = size
        self.path = path
        self._memory: OrderedDict[str, float] = OrderedDict()

    def get(self, digests: Iterable[str]) -> dict[str, float]:
        """Return the scores that are known."""
        wanted = list(dict.fromkeys(digests))
        found = {digest: self._memory[digest] for digest in wanted if digest in self._memory}
        missing = [digest for digest in wanted if digest not in found]
        if missing and self.size and self.path is not None and Path(self.path).is_file():
            found |= self._read(self.path, missing)
        self._remember(found)
        return found

    def add(self, scores: Mapping[str, float]) -> None:
        """Keep scores."""
        self._remember(scores)
        if scores and self.size and self.path is not None:
            Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            with closing(_connect(self.path)) as database, database:
                database.execute(_SCHEMA)
                database.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?)", list(scores.items()))

    def _read(self, path: str, digests: list[str]) -> dict[str, float]:
        found: dict[str, float] = {}
        with closing(_connect(path)) as database, database:
            database.execute(_SCHEMA)
            for start in range(0, len(digests), _LOOKUPS):
                part = digests[start : start + _LOOKUPS]
                marks = ",".join("?" * len(part))
                # The text holds question marks only; the digests are bound.
                query = f"SELECT digest, score FROM scores WHERE digest IN ({marks})"
                found |= dict(database.execute(query, part))
        return found

    def _remember(self, scores: Mapping[str, float]) -> None:
        for digest, score in scores.items():
            self._memory[digest] = score
            self._memory.move_to_end(digest)
        while len(self._memory) > self.size:
            self._memory.popitem(last=False)


def _connect(path: str) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=30.0)
