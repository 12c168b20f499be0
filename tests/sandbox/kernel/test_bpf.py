"""Decision trees against a plain lookup, run by a machine of its own."""

import errno

import pytest
from bpf_machine import decide
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlenvs.sandbox.kernel import bpf

ACTIONS = [bpf.answer(bpf.ALLOW), bpf.fail(errno.EPERM), bpf.fail(errno.ENOSYS), bpf.answer(bpf.KILL_PROCESS)]
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
actions = st.sampled_from(ACTIONS)


def run(code: bpf.Code, *arguments: int, number: int = 0) -> int:
    return decide(bpf.assemble(code), number, arguments=arguments)


@patient
@given(st.dictionaries(st.integers(0, 500), actions, min_size=1), actions, actions, st.integers(0, 600))
def test_a_tree_answers_as_a_table(cases: dict[int, bpf.Code], default: bpf.Code, above: bpf.Code, asked: int) -> None:
    program = bpf.assemble((*bpf.load(bpf.NUMBER_OFFSET), *bpf.by_number(cases, default, above)))
    for number in {*cases, *(case + 1 for case in cases), *(max(case - 1, 0) for case in cases), asked, 0, 2**32 - 1}:
        code = cases.get(number, default) if number <= max(cases) else above
        assert decide(program, number) == code[0].constant


@patient
@given(st.integers(1, 900), st.booleans())
def test_branches_reach_beyond_what_a_jump_can(length: int, taken: bool) -> None:
    filler = (bpf.Instruction(bpf.AND, 0, 0, 0xFFFFFFFF),) * length
    code = bpf.branch(bpf.JUMP_EQUAL, 7, bpf.answer(1), (*filler, *bpf.answer(2)))
    assert run((*bpf.load(0), *code), number=7 if taken else 8) == (1 if taken else 2)


@patient
@given(
    st.integers(0, 2**64 - 1), st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5), st.integers(0, 2**32 - 1)
)
def test_arguments_are_compared_by_their_low_half(value: int, values: list[int], mask: int) -> None:
    code = bpf.if_in(3, values, bpf.answer(1), bpf.answer(2), mask=mask)
    assert run(code, 0, 0, 0, value) == (1 if value & mask in values else 2)


@pytest.mark.parametrize("value", [0, 1, 2**31, 2**32, 2**63, 2**64 - 1])
def test_a_pointer_is_zero_in_both_halves(value: int) -> None:
    assert run(bpf.if_zero(2, bpf.answer(1), bpf.answer(2)), 9, 9, value) == (1 if value == 0 else 2)


def test_a_filter_that_the_kernel_would_refuse_is_our_bug() -> None:
    with pytest.raises(AssertionError, match="5000 instructions"):
        bpf.assemble(bpf.answer(0) * 5000)
