"""How weights will move over a run: schedules sampled for drawings and tables, before anything is trained.

Schedules that react to the run have no curve yet; they are described by their rule.
"""

import math
from collections.abc import Mapping
from dataclasses import Field
from typing import Any, TypeAlias

from rlenvs.wrappers.schedules.base import ReactiveSchedule, Schedule
from rlenvs.wrappers.schedules.ramps import CyclicSchedule
from rlenvs.wrappers.schedules.registry import SCHEDULES

Sample: TypeAlias = tuple[int, float]

STEPS_WITHOUT_AN_END = 10_000  # where no weight ever moves
MARGIN = 1.25  # shows that the weights stand still behind the last end
SAMPLES_PER_COLUMN = 16
GOLDEN = (math.sqrt(5) - 1) / 2  # spreads any number of samples evenly
MOST_STEPS = 2**63 - 1
KINDS = {schedule: name for name, schedule in SCHEDULES.items()}


def fixed_schedules(schedules: Mapping[str, Schedule]) -> dict[str, Schedule]:
    """Return the schedules that are a function of the clock alone."""
    return {name: schedule for name, schedule in schedules.items() if not isinstance(schedule, ReactiveSchedule)}


def reactive_schedules(schedules: Mapping[str, Schedule]) -> dict[str, ReactiveSchedule]:
    """Return the schedules that depend on the run."""
    return {name: schedule for name, schedule in schedules.items() if isinstance(schedule, ReactiveSchedule)}


def default_steps(schedules: Mapping[str, Schedule]) -> int:
    """Return how many environment steps show all that the schedules do: a quarter more than the last one takes.

    Example:
        >>> from rlenvs.wrappers.schedules.ramps import LinearSchedule
        >>> default_steps({"format": LinearSchedule(1.0, 0.0, decay_steps=300, start_step=100)})
        500
    """
    last = max((int(getattr(schedule, "horizon", 0)) for schedule in schedules.values()), default=0)
    return min(math.ceil(last * MARGIN), MOST_STEPS) if last else STEPS_WITHOUT_AN_END


def describe(schedule: Schedule) -> str:
    """Return the kind of a schedule and the parameters it was given, or the rule of one that reacts to the run.

    Example:
        >>> from rlenvs.wrappers.schedules.ramps import LinearSchedule
        >>> describe(LinearSchedule(0.3, 0.0, 40_000))
        'linear, initial_weight=0.3 min_weight=0 decay_steps=40000'
    """
    kind = KINDS.get(type(schedule), type(schedule).__name__)
    if isinstance(schedule, ReactiveSchedule):
        return f"{kind}, {schedule.rule()}"
    parameters: list[Field[Any]] = list(getattr(schedule, "__dataclass_fields__", {}).values())
    given = ((item, getattr(schedule, item.name)) for item in parameters)
    shown = [f"{item.name}={_shown(value)}" for item, value in given if value != item.default or item is parameters[0]]
    return ", ".join([kind, *([" ".join(shown)] if shown else [])])


def table_steps(steps: int) -> list[int]:
    """Return the steps at 0, 10, ... 100 % of a run, each once.

    Example:
        >>> table_steps(1_000)[:3], table_steps(2)
        ([0, 100, 200], [0, 1, 2])
    """
    return sorted({steps * tenth // 10 for tenth in range(11)})


def sample(schedule: Schedule, steps: int, columns: int) -> list[list[Sample]]:
    """Sample a schedule for a drawing that is `columns` wide.

    Each column holds several samples of its share of the run, both of its ends among them, so that neither a jump nor
    a cycle shorter than a column is lost.

    Args:
        schedule: a function of the clock alone.
        steps: environment steps of the whole run, >= 1.
        columns: columns of the drawing, >= 1.

    Returns:
        For each column its (step, weight) pairs, in the order of the steps.
    """
    sampled = []
    for column in range(columns):
        first, last = steps * column // columns, steps * (column + 1) // columns
        inside = {first + int((last - first) * (index * GOLDEN % 1)) for index in range(1, SAMPLES_PER_COLUMN)}
        turns = _turns(schedule, first, last) if isinstance(schedule, CyclicSchedule) else ()
        sampled.append([(step, schedule(step)) for step in sorted({first, last, *inside, *turns})])
    return sampled


def outline(columns: list[list[Sample]]) -> list[Sample]:
    """Reduce samples to the points that a line needs: ends, lowest and highest of each column, no point between equals.

    Args:
        columns: what `sample` returned.

    Example:
        >>> from rlenvs.wrappers.schedules.fixed import ConstantSchedule
        >>> outline(sample(ConstantSchedule(0.5), steps=1_000, columns=100))
        [(0, 0.5), (1000, 0.5)]
    """
    points: list[Sample] = []
    for samples in columns:
        extremes = (min(samples, key=lambda point: point[1]), max(samples, key=lambda point: point[1]))
        for point in sorted({samples[0], *extremes, samples[-1]}):
            if points and point == points[-1]:
                continue
            if len(points) > 1 and _is_straight(points[-2], points[-1], point):
                points.pop()
            points.append(point)
    return points


def _turns(schedule: CyclicSchedule, first: int, last: int) -> list[int]:
    """Return the first crest and trough of a cycle in [first, last]: of many cycles, samples may miss them all."""
    elapsed = max(first - schedule.start_step, 0)
    half_cycles = -(-2 * elapsed // schedule.decay_steps)
    turns = [schedule.start_step + schedule.decay_steps * (half_cycles + k) // 2 for k in range(2)]
    return [step for step in turns if first <= step <= last]


def _is_straight(before: Sample, middle: Sample, after: Sample) -> bool:
    """Tell whether the middle point lies on the line between its neighbours, up to rounding."""
    share = (middle[0] - before[0]) / (after[0] - before[0])
    expected = (1.0 - share) * before[1] + share * after[1]
    return abs(middle[1] - expected) <= 1e-9 * max(abs(before[1]), abs(after[1]))


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{','.join(map(_shown, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
