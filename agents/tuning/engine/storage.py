"""Where studies are kept: opened by URL, with a storage that is down said in one line and within seconds.

| URL | what it is for |
|---|---|
| `journal:PATH`, or a path that ends in `.log` | one machine, or several that share files and locks; the default |
| `sqlite:///PATH` | one machine |
| `postgresql://user@host/name`, `mysql+pymysql://...` | several machines |
| `grpc://host:port` | hundreds of workers, through `serve_storage` in front of a database |
| `memory` | this process alone, nothing is kept |
"""

import os
import random
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rlenvs.agents.tuning.engine.plan import MEMORY
from rlenvs.errors import StorageError
from rlenvs.extras import require

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

__all__ = ["absolute_url", "close_storage", "open_storage", "serve_storage", "storage_failures"]

CONNECT_S = 5
"""Seconds to wait for a server before it counts as down."""

LOST_CONNECTION = {"tcp_user_timeout": 30_000, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 4}
"""PostgreSQL: a server that is unplugged counts as gone after half a minute, not after hours."""

BUSY_S = 60
"""Seconds to wait for another process that writes to the same SQLite file."""

OPEN_ATTEMPTS = 5
"""Processes that open an empty database at once make its tables at once, and all but one of them fail."""

KNOWN = "journal:PATH, PATH.log, sqlite:///PATH, postgresql://user@host/name, mysql+pymysql://..., grpc://host:port"


def open_storage(url: "str | BaseStorage | None" = None) -> "BaseStorage":
    """Open the storage of a study.

    Args:
        url: see above; None: `memory`. A storage of Optuna is taken as it is.

    Raises:
        StorageError: there is none at that address, it cannot be read, or the address is none.
        MissingExtraError: its driver is not installed.

    Example:
        >>> type(open_storage("memory")).__name__
        'InMemoryStorage'
    """
    import optuna

    if url is None or url == MEMORY:
        return optuna.storages.InMemoryStorage()
    if not isinstance(url, str):
        return optuna.storages.get_storage(url)
    scheme = url.partition(":")[0].lower()
    if scheme == "journal" or url.endswith(".log"):
        return _journal(url)
    if scheme == "grpc":
        return _grpc(url)
    if scheme.partition("+")[0] in ("sqlite", "postgresql", "postgres", "mysql", "mariadb"):
        return _database(url)
    raise StorageError(f"unknown storage {url!r}: use one of {KNOWN}")


def absolute_url(url: str) -> str:
    """Return a URL that means the same in another working folder.

    Example:
        >>> absolute_url("journal:/studies/../study.log"), absolute_url("grpc://host:1")
        ('journal:/study.log', 'grpc://host:1')
    """
    if url.startswith("sqlite:///"):
        return f"sqlite:///{os.path.abspath(url.removeprefix('sqlite:///'))}"
    if url.startswith("journal:") or url.endswith(".log"):
        return f"journal:{os.path.abspath(_journal_path(url))}"
    return url


def _journal_path(url: str) -> str:
    path = url.removeprefix("journal:")
    return path[2:] if path.startswith("///") else path


def _journal(url: str) -> "BaseStorage":
    from optuna.storages import JournalStorage

    from rlenvs.agents.tuning.engine.journal import LockedJournal

    path = _journal_path(url)
    if not path:
        raise StorageError(f"storage {url!r} names no file: use journal:PATH")
    try:
        return JournalStorage(LockedJournal(path))
    except (KeyError, AssertionError, TypeError, AttributeError) as error:
        # Lines that are JSON but do not follow from each other: lines are missing, or a newer Optuna wrote them.
        raise StorageError(f"journal {path}: its lines do not follow from each other ({error!r})") from error


def _grpc(url: str) -> "BaseStorage":
    import optuna

    require("grpc", "grpc", f"storage {url!r}")
    parts = urlsplit(url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if host is None or port is None:
        raise StorageError(f"storage {url!r} is no address: use grpc://host:port")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = optuna.storages.GrpcStorageProxy(host=host, port=port)
    try:
        storage.wait_server_ready(timeout=CONNECT_S)
    except ConnectionError as error:
        storage.close()
        raise StorageError(f"storage {url}: nobody answered within {CONNECT_S} s") from error
    return storage


def _database(url: str) -> "BaseStorage":
    import optuna
    import sqlalchemy

    try:
        address = sqlalchemy.engine.make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        raise StorageError(f"storage {url!r} is no address of a database: {error}") from error
    family = address.drivername.partition("+")[0]
    shown = address.render_as_string(hide_password=True)
    arguments: dict[str, Any] = {"connect_timeout": CONNECT_S}
    if family in ("postgresql", "postgres"):
        if "+" not in address.drivername:
            address = address.set(drivername="postgresql+psycopg")
        if address.drivername.endswith("+psycopg"):
            require("psycopg", "postgres", f"storage {shown}")
            arguments |= LOST_CONNECTION
    elif family == "sqlite":
        if not address.database or address.database == ":memory:":
            raise StorageError(f"storage {url!r} is not seen by other threads: use {MEMORY!r}")
        arguments = {"timeout": BUSY_S}
    options = {"connect_args": arguments, "pool_pre_ping": family != "sqlite"}
    storage = _opened(address.render_as_string(hide_password=False), shown, options)
    if family == "sqlite":
        _serialize_sqlite(storage.engine)
    return optuna.storages.get_storage(storage)


def _opened(url: str, shown: str, options: dict[str, Any]) -> Any:
    import optuna
    import sqlalchemy

    for attempt in range(OPEN_ATTEMPTS):
        try:
            return optuna.storages.RDBStorage(url, engine_kwargs=dict(options))
        except (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.ProgrammingError) as error:
            failure: Exception = error
        except sqlalchemy.exc.OperationalError as error:
            failure = error
            if "already exists" not in str(error) and "locked" not in str(error):
                break
        except (sqlalchemy.exc.SQLAlchemyError, ImportError, RuntimeError, optuna.exceptions.OptunaError) as error:
            failure = error
            break
        time.sleep(random.uniform(0.05, 0.2) * (attempt + 1))
    raise StorageError(f"storage {shown}: {_reason(failure)}") from failure


def _serialize_sqlite(engine: Any) -> None:
    """Let every transaction begin by taking the lock for writing.

    Python's driver begins a transaction with the first write only, so that of two workers that find the same trial
    waiting both could make it theirs.
    """
    import sqlalchemy

    @sqlalchemy.event.listens_for(engine, "connect")
    def _leave_transactions_to_us(connection: Any, record: object) -> None:
        connection.isolation_level = None
        # What a power cut takes is run again; waiting for the disk at each write costs a third of a second per trial.
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
            connection.execute(f"PRAGMA {pragma}")

    @sqlalchemy.event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    engine.dispose()  # connections that were opened without


def _reason(error: BaseException) -> str:
    """Return the first line of what a driver said."""
    original = getattr(error, "orig", None) or error.__cause__ or error
    if isinstance(error, ImportError):
        return f"its driver is not installed ({original})"
    lines = [line.strip() for line in str(original).splitlines() if line.strip()]
    return lines[0] if lines else type(original).__name__


def close_storage(storage: "BaseStorage") -> None:
    """Close the connections of a storage; it opens new ones when it is used again. Files need no closing."""
    import optuna

    if isinstance(storage, optuna.storages._CachedStorage):
        storage._backend.scoped_session.remove()
        storage._backend.engine.dispose()
    elif isinstance(storage, optuna.storages.GrpcStorageProxy):
        storage.close()


def storage_failures() -> tuple[type[BaseException], ...]:
    """Return what the storages raise when they are gone or broken, rather than used wrongly."""
    from optuna.exceptions import StorageInternalError

    failures: list[type[BaseException]] = [StorageError, StorageInternalError]
    for module, name in (("sqlalchemy.exc", "SQLAlchemyError"), ("grpc", "RpcError")):
        if module in sys.modules:
            failures.append(getattr(sys.modules[module], name))
    return tuple(failures)


def serve_storage(url: str, host: str = "localhost", port: int = 13000) -> None:
    """Serve a database to workers that name `grpc://host:port`, until the process ends.

    The proxy answers from its memory what thousands of workers would otherwise ask the database. It has no passwords
    and no encryption: serve it inside a network that you trust.

    Args:
        url: a database; the journal has no server in front of it.
        host: address to listen at.
        port: port to listen at.

    Raises:
        StorageError: the storage is no database, or it is down.
    """
    import optuna

    require("grpc", "grpc", "a storage server")
    storage = open_storage(url)
    if not isinstance(storage, optuna.storages._CachedStorage):
        raise StorageError(f"storage {url!r} cannot be served: name a database")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.storages.run_grpc_proxy_server(storage, host=host, port=port)
