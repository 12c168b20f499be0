"""Classic BPF as seccomp runs it: decision trees over the call's number and arguments.

A piece of code is a tuple of instructions that ends by itself: every path through it returns an action. So pieces nest
without labels, and a filter is one piece.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
JUMP = 0x05  # BPF_JMP | BPF_JA
JUMP_EQUAL = 0x15
JUMP_GREATER_EQUAL = 0x35
RETURN = 0x06

KILL_PROCESS = 0x80000000
ERRNO = 0x00050000
ALLOW = 0x7FFF0000

NUMBER_OFFSET = 0
ARCHITECTURE_OFFSET = 4
ARGUMENTS_OFFSET = 16
LONGEST_BRANCH = 255
LONGEST_FILTER = 4096
INSTRUCTION = struct.Struct("=HBBI")


class Instruction(NamedTuple):
    """One `struct sock_filter`."""

    code: int
    jump_true: int
    jump_false: int
    constant: int


Code = tuple[Instruction, ...]


def answer(action: int) -> Code:
    """Code that returns an action."""
    return (Instruction(RETURN, 0, 0, action),)


def fail(number: int) -> Code:
    """Code that lets the call fail with an `errno`."""
    return answer(ERRNO | number)


def branch(comparison: int, constant: int, then: Code, otherwise: Code) -> Code:
    """Compare what was loaded with a constant, and go on with one of two pieces."""
    if len(otherwise) <= LONGEST_BRANCH:
        return (Instruction(comparison, len(otherwise), 0, constant), *otherwise, *then)
    leap = Instruction(JUMP, 0, 0, len(otherwise))
    return (Instruction(comparison, 0, 1, constant), leap, *otherwise, *then)


def load(offset: int) -> Code:
    """Load 32 bits of the call's description."""
    return (Instruction(LOAD, 0, 0, offset),)


def low_half(argument: int) -> int:
    """Where the low 32 bits of an argument lie: both architectures are little-endian."""
    return ARGUMENTS_OFFSET + 8 * argument


def if_in(argument: int, values: Sequence[int], then: Code, otherwise: Code, *, mask: int = 0xFFFFFFFF) -> Code:
    """Go on with `then` if the low 32 bits of an argument, masked, are one of the values.

    For arguments that the kernel reads as 32 bits, which is what commands, flags, families and process ids are.
    """
    code = otherwise
    for value in reversed(values):
        code = branch(JUMP_EQUAL, value, then, code)
    masking = () if mask == 0xFFFFFFFF else (Instruction(AND, 0, 0, mask),)
    return (*load(low_half(argument)), *masking, *code)


def if_zero(argument: int, then: Code, otherwise: Code) -> Code:
    """Go on with `then` if all 64 bits of an argument are 0: for pointers."""
    high = (*load(low_half(argument) + 4), *branch(JUMP_EQUAL, 0, then, otherwise))
    return (*load(low_half(argument)), *branch(JUMP_EQUAL, 0, high, otherwise))


def by_number(cases: dict[int, Code], default: Code, above: Code) -> Code:
    """Decide by the loaded number, in logarithmic time.

    Args:
        cases: number to code.
        default: code for every number between.
        above: code for the numbers beyond the highest case.
    """
    starts: list[tuple[int, Code]] = [(0, default)]
    for number in sorted(cases):
        if starts[-1][0] == number:
            starts.pop()
        if not starts or starts[-1][1] != cases[number]:
            starts.append((number, cases[number]))
        starts.append((number + 1, default))
    last = max(cases, default=-1) + 1
    starts = [(start, code) for start, code in starts if start < last] + [(last, above)]
    merged = [starts[0]]
    for start, code in starts[1:]:
        if code != merged[-1][1]:
            merged.append((start, code))
    return _search(merged)


def _search(starts: list[tuple[int, Code]]) -> Code:
    if len(starts) == 1:
        return starts[0][1]
    middle = len(starts) // 2
    below, above = _search(starts[:middle]), _search(starts[middle:])
    return branch(JUMP_GREATER_EQUAL, starts[middle][0], above, below)


def assemble(code: Code) -> bytes:
    """Return the bytes that the kernel takes."""
    assert 0 < len(code) <= LONGEST_FILTER, f"a filter of {len(code)} instructions"
    return b"".join(INSTRUCTION.pack(*instruction) for instruction in code)
