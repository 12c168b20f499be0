"""What a reward pipeline is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rlenvs.errors import ConfigError
from rlenvs.wrappers.base import BaseReward
from rlenvs.wrappers.normalization import Normalization
from rlenvs.wrappers.potentials.base import PotentialTerm
from rlenvs.wrappers.reducers import Reducer
from rlenvs.wrappers.schedules import Schedule
from rlenvs.wrappers.scoring import ErrorPolicy

OUTPUT = "output"
"""Name under which the normaliser of the reduced sum keeps its state."""


@dataclass(frozen=True, slots=True)
class RewardParts:
    """What a pipeline is made of, so that a stack of wrappers can build it one argument at a time.

    Attributes:
        components: name -> component or potential; the order is the order of the columns.
        schedules: name -> schedule; a component without one keeps weight 1.
        policies: name -> what becomes of its errors; `raise` where not given.
        reducer: how weighted components become one reward; a sum when omitted.
        normalizations: name -> how its values are normalised; none where not given.
        output_normalization: how the reduced reward is normalised, before potentials are added.

    Raises:
        ConfigError: no components, a name that does not exist, or a potential that is to be normalised.
    """

    components: Mapping[str, BaseReward | PotentialTerm]
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    policies: Mapping[str, ErrorPolicy] = field(default_factory=dict)
    reducer: Reducer | None = None
    normalizations: Mapping[str, Normalization] = field(default_factory=dict)
    output_normalization: Normalization | None = None

    def __post_init__(self) -> None:
        if not self.components:
            raise ConfigError("a reward needs at least one component")
        for given in (self.schedules, self.policies, self.normalizations):
            unknown = sorted(set(given) - set(self.components))
            if unknown:
                raise ConfigError(f"no reward component is called {unknown[0]!r} (known: {', '.join(self.components)})")
        for name in self.normalizations:
            if isinstance(self.components[name], PotentialTerm):
                raise ConfigError(
                    f"{name!r} is a potential, and a normalised potential is none any more: normalise the components"
                )

    @property
    def compares_rows(self) -> list[str]:
        """Names of the components whose normalisation compares the rows of a batch, `output` for the sum."""
        output = {} if self.output_normalization is None else {OUTPUT: self.output_normalization}
        return [name for name, spec in {**self.normalizations, **output}.items() if spec.compares_rows]
