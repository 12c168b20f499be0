"""The names under which configurations know schedules (`decay_schedule`)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from rlenvs.wrappers.reactive_schedules import GatedSchedule, LagrangianSchedule
from rlenvs.wrappers.schedules import (
    ConstantSchedule,
    CosineSchedule,
    CyclicSchedule,
    ExponentialSchedule,
    LinearIncreaseSchedule,
    LinearSchedule,
    PolynomialSchedule,
    StepSchedule,
    WarmupSchedule,
)

SCHEDULES: Mapping[str, type[Any]] = MappingProxyType(
    {
        "none": ConstantSchedule,
        "constant": ConstantSchedule,
        "linear": LinearSchedule,
        "linear_increase": LinearIncreaseSchedule,
        "exponential": ExponentialSchedule,
        "cosine": CosineSchedule,
        "polynomial": PolynomialSchedule,
        "step": StepSchedule,
        "warmup": WarmupSchedule,
        "cyclic": CyclicSchedule,
        "gated": GatedSchedule,
        "lagrangian": LagrangianSchedule,
    }
)
"""Name -> class. The parameters of a class are the configuration keys that go with the name."""
