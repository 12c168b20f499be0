"""How the weighted components of a step become one number."""

from typing import Protocol

from rlenvs.wrappers.base import FloatArray


class Reducer(Protocol):
    """Turns contributions into shaped rewards."""

    def __call__(self, contributions: FloatArray) -> FloatArray:
        """Reduce `[N, K]` weighted components to `[N]` rewards."""


class WeightedSumReducer:
    """The sum of the weighted components: r = sum_k w_k * x_k.

    Example:
        >>> import numpy as np
        >>> WeightedSumReducer()(np.array([[1.0, -0.25], [0.0, 0.5]])).tolist()
        [0.75, 0.5]
    """

    def __call__(self, contributions: FloatArray) -> FloatArray:
        """Reduce `[N, K]` weighted components to `[N]` rewards."""
        total: FloatArray = contributions.sum(axis=1)
        return total
