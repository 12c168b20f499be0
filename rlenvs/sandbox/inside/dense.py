"""Makes children cheap: a page of the worker that a child writes to is copied, so what is written to lies together.

A process that has loaded modules has holes everywhere, and each allocation after that fills the next one, on a page of
its own. So holes are filled before what children use is loaded, and again before the first fork.
"""

import ctypes
from collections.abc import Callable
from functools import partial

POOL_BYTES, POOL_HEADER = 1 << 14, 48
"""The interpreter hands out small blocks from pools, each for one size; the first block lies behind a header.
That alone may be a hole as well: what tells a new pool is that the next block follows it."""
SMALL_BYTES = 512
"""The interpreter's own allocator serves up to this size, the C library beyond."""
LARGE_BYTES = 1 << 16
SMALLEST_CHUNK, LARGEST_CACHED = 24, 1032
"""Of the C library: up to the latter it remembers what was freed by exact size."""
ALIGNMENT = 16
MOST_BYTES = 1 << 20
"""Taken in blocks of one size: far more than there are holes; a bound where allocators are others."""
TOP_BYTES = 1 << 18
"""A large block that lies as close to the end of the heap fills no hole, and smaller ones behind it do not either."""


def fill_holes() -> None:
    """Take what is free between objects, for good."""
    small = ctypes.pythonapi.PyObject_Malloc
    small.restype, small.argtypes = ctypes.c_size_t, [ctypes.c_size_t]
    for size in range(ALIGNMENT, SMALL_BYTES + 1, ALIGNMENT):
        take(small, size, partial(opens_pool, size))
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return
    large, end = library.malloc, library.sbrk
    large.restype, large.argtypes = ctypes.c_size_t, [ctypes.c_size_t]
    end.restype, end.argtypes = ctypes.c_size_t, [ctypes.c_ssize_t]
    top = take(large, LARGE_BYTES, lambda _, block: block > end(0) - TOP_BYTES)
    size = LARGE_BYTES
    while size >= SMALLEST_CHUNK:
        take(large, size, lambda _, block: block > top)
        size = size * 7 // 8 if size > LARGEST_CACHED else size - ALIGNMENT


def opens_pool(size: int, before: int, block: int) -> bool:
    """Whether two blocks of one size are the first two of a pool."""
    return before % POOL_BYTES == POOL_HEADER and block == before + size


def take(allocate: Callable[[int], int], size: int, fills_no_hole: Callable[[int, int], bool]) -> int:
    """Allocate blocks of one size until the last two say that there are no holes for it. Return where the last lies."""
    block = 0
    for _ in range(MOST_BYTES // size):
        before, block = block, allocate(size)
        if fills_no_hole(before, block):
            break
    return block
