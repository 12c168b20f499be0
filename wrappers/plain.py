"""State as plain data: None, bool, int, float, str, list and dict with str keys.

Checkpoints are read with loaders that refuse anything else (`torch.load(weights_only=True)`, JSON).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

PLAIN_TYPES = (type(None), bool, int, float, str)
TUPLE, ARRAY, MAPPING = "__tuple__", "__numpy__", "__mapping__"
TAGS = frozenset({TUPLE, ARRAY, MAPPING})


def to_plain(value: Any) -> Any:
    """Turn what environments put into observations and infos into plain data that `from_plain` turns back.

    Tuples, NumPy arrays and scalars, and dicts with other keys than texts become tagged dicts. A value of any other
    kind stays as it is: the result is as plain as the environment's data can be made.

    Example:
        >>> to_plain({"progress": 0.5, "trail": (1, 2)})
        {'progress': 0.5, 'trail': {'__tuple__': [1, 2]}}
        >>> import numpy as np
        >>> from_plain(to_plain(np.arange(3)))
        array([0, 1, 2])
    """
    if isinstance(value, np.generic | np.ndarray):
        return _array_to_plain(value)
    if type(value) is tuple:
        return {TUPLE: [to_plain(item) for item in value]}
    if isinstance(value, list):
        return [to_plain(item) for item in value]
    if isinstance(value, Mapping):
        if all(type(key) is str for key in value) and not TAGS & value.keys():
            return {key: to_plain(item) for key, item in value.items()}
        return {MAPPING: [[to_plain(key), to_plain(item)] for key, item in value.items()]}
    return value


def from_plain(value: Any) -> Any:
    """Turn back what `to_plain` returned."""
    if isinstance(value, list):
        return [from_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if TUPLE in value:
        return tuple([from_plain(item) for item in value[TUPLE]])
    if MAPPING in value:
        return {from_plain(key): from_plain(item) for key, item in value[MAPPING]}
    if ARRAY in value:
        return _array_from_plain(value)
    return {key: from_plain(item) for key, item in value.items()}


def not_plain(value: Any, where: str = "state") -> str | None:
    """Say what in `value` is not plain data and where it stands; None if all of it is.

    Subclasses do not count as plain: `numpy.float64` is a float that checkpoints refuse.

    Example:
        >>> not_plain({"seen": [1, 2.5, None]}) is None
        True
        >>> not_plain({"seen": [1, {2}]})
        "state['seen'][1] is a set"
    """
    if type(value) in PLAIN_TYPES:
        return None
    if type(value) is list:
        parts = ((f"{where}[{index}]", item) for index, item in enumerate(value))
    elif type(value) is dict:
        for key in value:
            if type(key) is not str:
                return f"{where} has a key {key!r:.40} that is a {type(key).__name__}, not a str"
        parts = ((f"{where}[{key!r}]", item) for key, item in value.items())
    else:
        return f"{where} is a {type(value).__name__}"
    return next((found for found in (not_plain(item, place) for place, item in parts) if found), None)


def _array_to_plain(value: "np.generic | np.ndarray[Any, Any]") -> Any:
    """Keep type and shape beside the numbers, so that arithmetic on the restored array rounds alike."""
    if value.dtype.kind not in "biufUO" or value.dtype == np.longdouble:
        return value
    items = np.asarray(value).ravel().tolist()
    return {
        ARRAY: [to_plain(item) for item in items] if value.dtype.kind == "O" else items,
        "dtype": value.dtype.str,
        "shape": list(value.shape) if isinstance(value, np.ndarray) else None,
    }


def _array_from_plain(value: Mapping[str, Any]) -> Any:
    items = value[ARRAY]
    flat = np.empty(len(items), dtype=value["dtype"])
    for index, item in enumerate(items):
        flat[index] = from_plain(item)
    return flat[0] if value["shape"] is None else flat.reshape(value["shape"])
