"""The names under which configurations know schedules (`decay_schedule`)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from rlenvs.wrappers.schedules.fixed import ConstantSchedule, ExponentialSchedule, LinearIncreaseSchedule, StepSchedule
from rlenvs.wrappers.schedules.ramps import (
    CosineSchedule,
    CyclicSchedule,
    LinearSchedule,
    PolynomialSchedule,
    WarmupSchedule,
)
from rlenvs.wrappers.schedules.reactive import GatedSchedule, LagrangianSchedule

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
