"""Whether what is allocated after the holes are filled lies together."""

import subprocess
import sys

import pytest

from rlenvs.sandbox import kernel

pytestmark = pytest.mark.skipif(kernel.probe().tier == "C", reason="the allocators of other systems are others")
BODY = """
import ctypes, random, sys
from rlenvs.sandbox.inside import dense

interpreter, library = ctypes.pythonapi, ctypes.CDLL(None)
kinds = ((interpreter.PyObject_Malloc, interpreter.PyObject_Free, 80), (library.malloc, library.free, 2000))
random.seed(0)
for allocate, free, size in kinds:
    allocate.restype, allocate.argtypes = ctypes.c_size_t, [ctypes.c_size_t]
    free.restype, free.argtypes = None, [ctypes.c_size_t]
    for block in random.sample([allocate(size) for _ in range(2000)], 40):
        free(block)
if sys.argv[1] == "filled":
    dense.fill_holes()
for allocate, _, size in kinds:
    blocks = [allocate(size) for _ in range(12)]
    print((max(blocks) - min(blocks)) / (12 * size))
"""


@pytest.mark.parametrize("filled", [True, False])
def test_blocks_lie_together_where_holes_are_filled(filled: bool) -> None:
    command = [sys.executable, "-c", BODY, "filled" if filled else "not"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for spread in map(float, done.stdout.split()):
        assert (spread < 4) == filled
