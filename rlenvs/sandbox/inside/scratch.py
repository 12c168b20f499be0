"""Empties the scratch folder: what one execution leaves, the next one must not find."""

import os


def empty(folder: str) -> None:
    """Delete everything in a folder, however deep it is and whatever it is called.

    Folders inside folders are moved up to the top before they are emptied, so depth costs nothing but time.

    Raises:
        OSError: something in it does not let itself be deleted.
    """
    top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        while found := entries_of(top):
            for name, is_folder in found:
                if is_folder:
                    flatten(name, top)
                else:
                    os.unlink(name, dir_fd=top)
    finally:
        os.close(top)


def flatten(name: str, top: int) -> None:
    """Delete a folder at the top; move the folders inside it to where it was."""
    inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top)
    try:
        for item, is_folder in entries_of(inner):
            if is_folder:  # under a name that nobody can have taken before
                os.rename(item, os.urandom(16).hex(), src_dir_fd=inner, dst_dir_fd=top)
            else:
                os.unlink(item, dir_fd=inner)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=top)


def entries_of(folder: int) -> list[tuple[str, bool]]:
    """Return the names in an open folder, and whether each is a folder."""
    with os.scandir(folder) as entries:
        return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
