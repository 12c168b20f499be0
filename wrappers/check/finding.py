"""What a check of a reward configuration says."""

from dataclasses import asdict, dataclass
from typing import Literal

__all__ = ["Finding", "Verdict"]

Verdict = Literal["keeps", "fades", "changes", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a part of a reward does.

    Attributes:
        name: the component, or `composer_settings`, or `reward` for all of it.
        part: which side of it: `component`, `weight`, `normalization`, `output`, `reducer`, `errors`, `gamma`.
        verdict: what it means for the optimal policy. `keeps`: it stays what it is. `changes`: another policy can be
            optimal. `fades`: as `changes`, until a step at which the weight is 0 for good. `note`: nothing, but
            something to know.
        reason: why, in one sentence or two.
    """

    name: str
    part: str
    verdict: Verdict
    reason: str

    def to_dict(self) -> dict[str, str]:
        """Return plain data."""
        return asdict(self)
