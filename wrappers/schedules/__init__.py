"""Weights over time: `base` says what a schedule is, `registry` under which name a configuration knows it."""

from rlenvs.wrappers.schedules.base import ReactiveSchedule, Schedule
from rlenvs.wrappers.schedules.fixed import (
    ConstantSchedule,
    ExponentialSchedule,
    LinearIncreaseSchedule,
    StepSchedule,
)
from rlenvs.wrappers.schedules.ramps import (
    CosineSchedule,
    CyclicSchedule,
    LinearSchedule,
    PolynomialSchedule,
    RampSchedule,
    WarmupSchedule,
)
from rlenvs.wrappers.schedules.reactive import GatedSchedule, LagrangianSchedule
from rlenvs.wrappers.schedules.registry import SCHEDULES

__all__ = [
    "SCHEDULES",
    "ConstantSchedule",
    "CosineSchedule",
    "CyclicSchedule",
    "ExponentialSchedule",
    "GatedSchedule",
    "LagrangianSchedule",
    "LinearIncreaseSchedule",
    "LinearSchedule",
    "PolynomialSchedule",
    "RampSchedule",
    "ReactiveSchedule",
    "Schedule",
    "StepSchedule",
    "WarmupSchedule",
]
