"""Files that a run only appends to, cut back to what they were when it resumes."""

import os
from pathlib import Path
from typing import BinaryIO

from rlenvs.errors import RunFolderError


class LogFile:
    """A text file that grows, and whose length a checkpoint remembers.

    Args:
        path: the file; made where there is none.
        size: bytes that it has at the checkpoint that is resumed; what was written after it is dropped.

    Raises:
        RunFolderError: it cannot be written, or is shorter than that.
    """

    def __init__(self, path: Path, size: int = 0) -> None:
        self.path = path
        try:
            # Unbuffered: what a full disk refuses must not be waiting in a buffer when the file is closed.
            self.file: BinaryIO = path.open("ab", buffering=0)
        except OSError as error:
            raise self._refused(error) from error
        try:
            found = os.fstat(self.file.fileno()).st_size
            if found < size:
                raise RunFolderError(
                    f"{path} has {found} bytes, and had {size} when the checkpoint was written: it is not the run's own"
                )
            self.file.truncate(size)
        except BaseException as error:
            self.file.close()
            if isinstance(error, OSError):
                raise self._refused(error) from error
            raise

    def write(self, text: str) -> None:
        """Append text.

        Raises:
            RunFolderError: it cannot be written, for want of room for instance.
        """
        rest = memoryview(text.encode("utf-8", "backslashreplace"))
        try:
            while rest:
                rest = rest[self.file.write(rest) :]
        except OSError as error:
            raise self._refused(error) from error

    def sync(self) -> int:
        """See what was written onto the disk; return the size, bytes."""
        try:
            os.fsync(self.file.fileno())
            return os.fstat(self.file.fileno()).st_size
        except OSError as error:
            raise self._refused(error) from error

    def close(self) -> None:
        """Close the file; may be called twice."""
        self.file.close()

    def _refused(self, error: OSError) -> RunFolderError:
        return RunFolderError(f"cannot write to {self.path}: {error.strerror or error}")
