"""A machine for classic BPF, written from its definition: what the kernel would answer to a system call."""

import struct

INSTRUCTION = struct.Struct("=HBBI")


def decide(program: bytes, number: int, *, architecture: int = 0, arguments: tuple[int, ...] = ()) -> int:
    """Return the action of a filter for one call."""
    padded = (*arguments, *(0,) * (6 - len(arguments)))
    masked = [value & 0xFFFFFFFFFFFFFFFF for value in padded]
    data = struct.pack("<IIQ6Q", number, architecture, 0, *masked)
    instructions = list(INSTRUCTION.iter_unpack(program))
    accumulator, at = 0, 0
    while True:
        code, jump_true, jump_false, constant = instructions[at]
        at += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, constant)
            case 0x54:
                accumulator &= constant
            case 0x05:
                at += constant
            case 0x15:
                at += jump_true if accumulator == constant else jump_false
            case 0x35:
                at += jump_true if accumulator >= constant else jump_false
            case 0x06:
                return constant
            case _:
                raise AssertionError(f"no such instruction: {code:#x}")
