"""Results of vector environments, compared to the last type."""

import numpy as np


def equal(a, b):
    """Equality of everything that a vector environment returns, types of arrays and of their items included."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        if not isinstance(b, np.ndarray) or a.dtype != b.dtype or a.shape != b.shape:
            return False
        return all(map(equal, a, b)) if a.dtype == object else bool((a == b).all())
    if isinstance(a, tuple | list):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return a == b and (type(a) is type(b) or isinstance(a, np.generic | dict))
