"""The weights of a reward over a run, before it runs: sampled, described, drawn."""

from rlenvs.wrappers.preview.sampling import default_steps, describe, sample
from rlenvs.wrappers.preview.svg import schedules_svg

__all__ = ["default_steps", "describe", "sample", "schedules_svg"]
