"""What a reward layer tells those who train on it, as plain data that any process can send."""

from dataclasses import dataclass

from rlenvs.wrappers.layers.clock import RewardClock
from rlenvs.wrappers.pipeline import RewardPipeline
from rlenvs.wrappers.schedules.fixed import ConstantSchedule


@dataclass(frozen=True, slots=True)
class RewardFacts:
    """What a trainer has to know of a reward before it begins.

    Attributes:
        potential_gammas: name -> discount factor of each potential; the trainer's own must equal them all.
        token_units: names of potentials whose gamma counts the tokens of whole messages.
        moving: names of components whose weight changes.
        clock_driven: whether somebody sets the reward clock.
    """

    potential_gammas: dict[str, float]
    token_units: tuple[str, ...]
    moving: tuple[str, ...]
    clock_driven: bool

    @classmethod
    def of(cls, pipeline: RewardPipeline, clock: RewardClock) -> "RewardFacts":
        """Return what there is to say of a pipeline and its clock."""
        schedules = pipeline.parts.schedules
        return cls(
            dict(pipeline.potential_gammas),
            tuple(name for name, term in pipeline.potentials.items() if term.gamma_unit == "token"),
            tuple(name for name, schedule in schedules.items() if not isinstance(schedule, ConstantSchedule)),
            clock.driven,
        )
