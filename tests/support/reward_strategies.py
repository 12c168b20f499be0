"""Hypothesis strategies shared by the reward-layer tests."""

import inspect
from typing import Any

from hypothesis import strategies as st

from rlenvs.wrappers.schedules.base import ReactiveSchedule
from rlenvs.wrappers.schedules.registry import SCHEDULES

potentials = st.floats(-5.0, 5.0)
rewards = st.floats(-3.0, 3.0)
gammas = st.sampled_from([1.0, 0.99, 0.9, 0.5, 0.0])

PURE_KINDS = sorted(kind for kind, cls in SCHEDULES.items() if not issubclass(cls, ReactiveSchedule))
REACTIVE_KINDS = sorted(set(SCHEDULES) - set(PURE_KINDS))
EVERY_KIND = [*PURE_KINDS, *REACTIVE_KINDS]


@st.composite
def schedule_params(draw: st.DrawFn, kind: str, metric: str = "env") -> dict[str, Any]:
    """Parameters of one kind of schedule, drawn by their names: a new schedule is covered when its names are known.

    A new name fails with a KeyError here: say what may be drawn for it.
    """
    low, middle, high = sorted(draw(st.lists(st.floats(0.0, 3.0), min_size=3, max_size=3)))
    boundaries = draw(st.lists(st.integers(0, 20), min_size=1, max_size=4, unique=True).map(sorted))
    known = {
        # With one bound below and one above, whichever of the two a schedule has.
        "min_weight": st.just(low),
        "initial_weight": st.just(middle),
        "max_weight": st.just(high + 1.0),
        "decay_rate": st.floats(0.1, 1.0),
        "decay_steps": st.integers(1, 12),
        "start_step": st.integers(0, 6),
        "power": st.floats(0.25, 4.0),
        "boundaries": st.just(boundaries),
        "values": st.lists(st.floats(0.0, 3.0), min_size=len(boundaries), max_size=len(boundaries)),
        "metric": st.just(metric),
        "threshold": st.floats(-1.0, 1.0),
        "direction": st.sampled_from(["above", "below"]),
        "window": st.integers(1, 4),
        "target": st.floats(-1.0, 1.0),
        "learning_rate": st.floats(0.01, 0.5),
    }
    return {name: draw(known[name]) for name in inspect.signature(SCHEDULES[kind]).parameters}


@st.composite
def schedules(draw: st.DrawFn, kinds: list[str] | None = None) -> Any:
    """A schedule of any kind that is a pure function of the clock, or of the given kinds."""
    kind = draw(st.sampled_from(kinds or PURE_KINDS))
    return SCHEDULES[kind](**draw(schedule_params(kind)))
