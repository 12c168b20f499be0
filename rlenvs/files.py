"""Files that are whole or not there at all, and folders of their own."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from rlenvs.errors import DataError

__all__ = ["make_folder", "replacing"]


def make_folder(path: Path, was_named: bool) -> Path:
    """Make the folder of a new run or study.

    Args:
        path: the folder.
        was_named: whether somebody chose it; a name that nobody chose gets a number behind it where another run has
            just taken it.

    Returns:
        The folder that was made.

    Raises:
        OSError: it cannot be made.
    """
    wanted, number = path, 1
    while True:
        try:
            path.mkdir(parents=True, exist_ok=was_named)
        except FileExistsError:
            if was_named:  # by a file
                raise
            number += 1
            path = wanted.with_name(f"{wanted.name}-{number}")
        else:
            return path


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
