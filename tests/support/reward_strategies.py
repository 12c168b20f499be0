"""Hypothesis strategies shared by the reward-layer tests."""

from hypothesis import strategies as st

from rlenvs.wrappers import ConstantSchedule, ExponentialSchedule, LinearSchedule

potentials = st.floats(-5.0, 5.0)
rewards = st.floats(-3.0, 3.0)
gammas = st.sampled_from([1.0, 0.99, 0.9, 0.5, 0.0])


@st.composite
def schedules(draw: st.DrawFn) -> object:
    initial = draw(st.floats(0.0, 3.0))
    low = draw(st.floats(0.0, 1.0)) * initial
    span, start = draw(st.integers(1, 12)), draw(st.integers(0, 6))
    kind = draw(st.sampled_from(["constant", "linear", "exponential"]))
    if kind == "constant":
        return ConstantSchedule(initial)
    if kind == "linear":
        return LinearSchedule(initial, low, span, start)
    return ExponentialSchedule(initial, low, draw(st.floats(0.1, 1.0)), span, start)
