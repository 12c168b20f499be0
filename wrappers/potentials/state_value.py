"""A potential that is a learned value: ridge regression from hashed text features to returns.

The ideal potential is the optimal value itself (Ng, Harada & Russell 1999, section 4): with it every step is paid for
what it changes. This one is fitted in closed form on stored rollouts and then stays fixed while a policy trains.

```python
import json

from rlenvs.wrappers.potentials import fit_state_value, rollout_states

records = [json.loads(line) for line in open("runs/first/rollouts.jsonl", encoding="utf-8")]
fit_state_value(*rollout_states(records, prefixes=4)).save("value.json")
```

and in the rewards of the next run `potential_function: state_value` with `potential_params: {path: value.json}`.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from rlenvs.errors import DataError, ParameterError
from rlenvs.wrappers.base import FloatArray
from rlenvs.wrappers.potentials.base import Potential, register_potential
from rlenvs.wrappers.potentials.hashing import MAX_DIMENSION, check_dimension, hash_embedding
from rlenvs.wrappers.potentials.state_text import TextBlock, text_block
from rlenvs.wrappers.transition import RewardState

BLOCKS: tuple[TextBlock, ...] = get_args(TextBlock)
ROWS_AT_ONCE = 2048  # states whose features are held while fitting


class InfoFeature(BaseModel):
    """A number of `info` as a feature: (clip(x, low, high) - mean) / scale.

    Outside the range that was seen when fitting it counts as the end of that range, so that no number that turns up
    later can make the value arbitrarily large.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    mean: FiniteFloat
    scale: Annotated[FiniteFloat, Field(gt=0)]
    low: FiniteFloat
    high: FiniteFloat
    weight: FiniteFloat


class StateValue(BaseModel):
    """V(s) = intercept + weights . features(s), the content of the file that `state_value` reads.

    The features are one `hash_embedding` per text block (`dimension` coordinates each, in the order of `blocks`), and
    the numbers of `info`.

    Example:
        >>> states = [RewardState(info={"response_so_far": text}) for text in ("good", "bad", "good good", "bad bad")]
        >>> value = fit_state_value(states, [1.0, 0.0, 1.0, 0.0], dimension=64, blocks=["response"], ridge=0.01)
        >>> [round(v, 1) for v in value.predict(states[:2]).tolist()]
        [1.0, 0.0]
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["rlenvs.state_value"] = "rlenvs.state_value"
    version: Literal[1] = 1
    dimension: Annotated[int, Field(ge=1, le=MAX_DIMENSION)]
    blocks: tuple[TextBlock, ...]
    intercept: FiniteFloat
    weights: tuple[FiniteFloat, ...]
    info: tuple[InfoFeature, ...] = ()

    @model_validator(mode="after")
    def _weights_fit_the_blocks(self) -> "StateValue":
        if len(self.weights) != self.dimension * len(self.blocks):
            raise ValueError(
                f"{len(self.blocks)} blocks of {self.dimension} need as many weights, not {len(self.weights)}"
            )
        return self

    def predict(self, states: Sequence[RewardState]) -> FloatArray:
        """Return V of N states, `[N]`.

        Raises:
            KeyError: a state's info lacks a number that the value was fitted with.
        """
        values = np.full(len(states), self.intercept)
        if self.blocks:
            # Row sums, not a matrix product: a state has the same bits alone and in any batch.
            values += (text_features(states, self.blocks, self.dimension) * np.array(self.weights)).sum(axis=1)
        for feature in self.info:
            numbers = np.clip(info_numbers(states, feature.key), feature.low, feature.high)
            values += feature.weight * ((numbers - feature.mean) / feature.scale)
        return values

    def save(self, path: str | Path) -> None:
        """Write the value as JSON; the numbers read back exactly."""
        Path(path).write_text(self.model_dump_json(), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> "StateValue":
        """Read what `save` wrote.

        Raises:
            DataError: there is no such file, or it is not exactly a stored value.
        """
        try:
            return cls.model_validate_json(Path(path).read_bytes(), strict=True)
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from error
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "content"
            raise DataError(f"{path}: is no stored state value: {where}: {first['msg']}") from error


@register_potential("state_value")
class StateValuePotential(Potential):
    """Phi(s) = scale * V(s), a value that `fit_state_value` learned and `save` stored.

    Args:
        path: the stored value; read once, when the potential is made.
        scale: factor, finite.

    Range: |Phi| is at most |scale| times the sum of |intercept|, the weights' norm per text block, and the largest
    contribution of each number of `info`.

    Raises:
        ParameterError: the file cannot be read or is no stored value, or the scale is not finite.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     StateValue(dimension=1, blocks=(), weights=(), intercept=0.5).save(f"{folder}/value.json")
        ...     StateValuePotential(f"{folder}/value.json", scale=2.0)(RewardState())
        1.0
    """

    def __init__(self, path: str, scale: float = 1.0) -> None:
        if not math.isfinite(scale):
            raise ParameterError("scale", f"must be finite, got {scale}")
        try:
            self._value = StateValue.load(path)
        except DataError as error:
            raise ParameterError("path", str(error)) from error
        self.path = path
        self.scale = scale

    def __call__(self, state: RewardState) -> float:
        """Return Phi(state).

        Raises:
            KeyError: info lacks a number that the value was fitted with.
        """
        return float(self.batch([state])[0])

    def batch(self, states: Sequence[RewardState]) -> FloatArray:
        """Return Phi of N states, `[N]`."""
        return self.scale * self._value.predict(states)


def fit_state_value(
    states: Sequence[RewardState],
    returns: Sequence[float],
    *,
    dimension: int = 512,
    blocks: Sequence[TextBlock] = ("assistant", "context"),
    info_keys: Sequence[str] = (),
    ridge: float = 1.0,
) -> StateValue:
    """Fit V by ridge regression: min over (w, b) of sum_i (b + w . x_i - G_i)^2 + ridge * |w|^2, in closed form.

    The same data give the same value. The intercept is not penalised, so that with little data V is the mean return.

    Args:
        states: N states, N >= 1; states after which the episode is over do not belong here, their value is 0.
        returns: N numbers G_i, the discounted reward that followed.
        dimension: coordinates per text block, 1 to 2**20; the cost is min(N, D)^2 * max(N, D) with D features in all.
        blocks: what text is read: `response` (newest message), `assistant` (all of the policy's messages), `context`
            (prompt and answers of the environment); may be empty where there are `info_keys`.
        info_keys: numbers of `info` that are features too, standardised.
        ridge: > 0; larger values shrink V to the mean return.

    Returns:
        The fitted value; `save` it for `StateValuePotential`.

    Raises:
        ParameterError: a parameter out of range, or returns that are not N finite numbers.
        KeyError: a state's info lacks one of the keys.
    """
    target = np.asarray(returns, dtype=np.float64)
    if target.shape != (len(states),) or not len(states) or not np.isfinite(target).all():
        raise ParameterError(
            "returns", f"must be one finite number per state, got {target.shape} for {len(states)} states"
        )
    if not 0 < ridge < math.inf:
        raise ParameterError("ridge", f"must be a finite number > 0, got {ridge}")
    if len(set(blocks)) != len(blocks) or not set(blocks) <= set(BLOCKS):
        raise ParameterError("blocks", f"must be different ones of {', '.join(BLOCKS)}, got {list(blocks)}")
    check_dimension(dimension)
    numbers = np.array([info_numbers(states, key) for key in info_keys]).reshape(len(info_keys), len(states))
    means, deviations = numbers.mean(axis=1), numbers.std(axis=1)
    scales = np.where(deviations > 0, deviations, 1.0)

    def features(rows: slice) -> FloatArray:
        standard = ((numbers[:, rows] - means[:, None]) / scales[:, None]).T
        return np.concatenate([text_features(states[rows], blocks, dimension), standard], axis=1)

    weights, intercept = ridge_regression(features, target, ridge, dimension * len(blocks) + len(info_keys))
    text_weights = weights[: dimension * len(blocks)]
    rows = zip(info_keys, means, scales, numbers, weights[len(text_weights) :], strict=True)
    return StateValue(
        dimension=dimension,
        blocks=tuple(blocks),
        intercept=intercept,
        weights=tuple(text_weights.tolist()),
        info=tuple(
            InfoFeature(
                key=key, mean=float(mean), scale=float(scale), low=float(x.min()), high=float(x.max()), weight=float(w)
            )
            for key, mean, scale, x, w in rows
        ),
    )


def ridge_regression(
    features: Callable[[slice], FloatArray], target: FloatArray, ridge: float, width: int
) -> tuple[FloatArray, float]:
    """Return w and b that minimise |X w + b - y|^2 + ridge |w|^2, by the smaller of the two linear systems.

    Args:
        features: rows -> `[len(rows), D]` part of X; with more rows than columns it is asked for a few at a time, so
            that X as a whole is never held.
        target: `[N]` y.
        ridge: > 0.
        width: D.

    Returns:
        w `[D]` = (Z'Z + ridge I)^-1 Z'y = Z' (Z Z' + ridge I)^-1 y with the centred Z = X - mean(X), and b.
    """
    count, mean = len(target), float(target.mean())
    if count <= width:
        X = features(slice(0, count))
        centre = X.mean(axis=0)
        Z = X - centre
        weights = Z.T @ np.linalg.solve(Z @ Z.T + ridge * np.eye(count), target - mean)
    else:
        gram, moment, total = np.zeros((width, width)), np.zeros(width), np.zeros(width)
        for start in range(0, count, ROWS_AT_ONCE):
            rows = slice(start, min(start + ROWS_AT_ONCE, count))
            X = features(rows)
            gram += X.T @ X
            moment += X.T @ (target[rows] - mean)
            total += X.sum(axis=0)
        centre = total / count
        weights = np.linalg.solve(gram - np.outer(total, centre) + ridge * np.eye(width), moment)
    return weights, mean - float(centre @ weights)


def text_features(states: Sequence[RewardState], blocks: Sequence[TextBlock], dimension: int) -> FloatArray:
    """Return `[N, len(blocks) * dimension]`: one hashed unit vector per block, side by side."""
    parts = [hash_embedding([text_block(state, block) for state in states], dimension) for block in blocks]
    return np.concatenate([np.zeros((len(states), 0)), *parts], axis=1)


def info_numbers(states: Sequence[RewardState], key: str) -> FloatArray:
    """Return the number `info[key]` of N states, `[N]`.

    Raises:
        KeyError: a state lacks it.
        ValueError: a number is not finite.
    """
    missing = next((state for state in states if key not in state.info), None)
    if missing is not None:
        raise KeyError(f"info has no {key!r}; it has {', '.join(sorted(map(str, missing.info)))}")
    numbers = np.array([float(state.info[key]) for state in states])
    if not np.isfinite(numbers).all():
        raise ValueError(f"info[{key!r}] must be finite")
    return numbers
