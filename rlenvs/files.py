"""Files that are whole or not there at all."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from rlenvs.errors import DataError

__all__ = ["replacing"]


@contextmanager
def replacing(path: str | Path) -> Iterator[IO[str]]:
    """Yield a new text file that takes the place of `path` if the block ends well, and vanishes if it does not.

    A link stays a link: the file that it leads to is replaced. What is there and no regular file (a pipe,
    `/dev/stdout`) is written to as it is, because replacing it would take it away from everybody else.

    Args:
        path: The file; its folder exists.

    Raises:
        DataError: The file cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with replacing(Path(folder, "a.txt")) as file:
        ...         _ = file.write("whole")
        ...     Path(folder, "a.txt").read_text()
        'whole'
    """
    try:
        given = Path(path)
        if given.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        is_stream = given.exists() and not given.is_file()
        with given.open("w", encoding="utf-8") if is_stream else _scratch_of(given.resolve()) as file:
            yield file
    except BrokenPipeError:
        raise  # whoever read has had enough, which is no mistake
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error})") from error


@contextmanager
def _scratch_of(target: Path) -> Iterator[IO[str]]:
    descriptor, scratch = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}."[:200])
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            yield file
        os.chmod(scratch, 0o666 & ~_umask())  # mkstemp makes files that only their owner reads
        os.replace(scratch, target)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(scratch)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
