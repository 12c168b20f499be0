"""A component that calls a function; see `functions` for how one is made."""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rlenvs.errors import ConfigError, ParameterError
from rlenvs.event_loop import gather_rows, raise_interrupts, shared_loop
from rlenvs.suggestions import did_you_mean
from rlenvs.wrappers.base import ERROR, BaseReward, Score
from rlenvs.wrappers.functions.arguments import ArgumentPlan, plan_of
from rlenvs.wrappers.scoring import ContractError
from rlenvs.wrappers.transition import Transition

Per = Literal["message", "step"]


@dataclass(frozen=True, slots=True)
class RewardOptions:
    """What a decorator was told.

    Attributes:
        name: name in the registry and of the method in `components_of`.
        per: `message` calls the function once per message, where it ended; `step` at every step; None: `message`
            where the function reads what the policy wrote, else `step`.
        effect: see `BaseReward.effect`.
        is_task: see `BaseReward.is_task`.
        max_concurrency: rows of an `async` function that run at the same time.
        timeout_s: seconds that each row of an `async` function may take; None for no limit.
    """

    name: str
    per: Per | None = None
    effect: str | None = None
    is_task: bool = False
    max_concurrency: int = 16
    timeout_s: float | None = None


class FunctionReward(BaseReward):
    """A component that calls a function; made by `component_of`, never by hand.

    Attributes:
        function: the function or bound method, as the user wrote it.
        options: what its decorator was told.
        params: values of its configuration parameters, defaults included.
    """

    def __init__(self, function: Callable[..., Any], options: RewardOptions, params: Mapping[str, Any]) -> None:
        self.function = function
        self.options = options
        self.plan = checked_plan(function, options)
        self.params = _checked_params(self.plan, options.name, params)
        self._per_message = (options.per or ("message" if self.plan.reads_text else "step")) == "message"
        self._is_async = inspect.iscoroutinefunction(function)
        # Instances of one class differ in both; a class made for one function has them already.
        vars(self).update(effect=effect_of(options), is_task=options.is_task)

    def __call__(self, transition: Transition) -> float | Score:
        """Score one transition; raises what the function raises."""
        (item,) = self.batch([transition])
        return item

    @property
    def row_by_row(self) -> bool:
        """Whether `batch` gains nothing over calls of one row each."""
        return not (self._is_async or self.plan.whole_batch)

    def batch(self, transitions: Sequence[Transition]) -> list[float | Score]:
        """Score N transitions. A row that fails is an error alone; a batch of one raises, so that the reason shows."""
        results: list[object] = [0.0] * len(transitions)
        rows: dict[int, dict[str, Any]] = {}
        for index, transition in enumerate(transitions):
            if not self._per_message or transition.message_ended:
                try:
                    rows[index] = self.plan.row(transition)
                except KeyError as error:
                    results[index] = error
        for index, result in zip(rows, self._call(list(rows.values())), strict=True):
            results[index] = result
        if len(results) == 1 and isinstance(results[0], Exception):
            raise results[0]
        return [self._read(result) for result in results]

    def __reduce__(self) -> tuple[Callable[..., BaseReward], tuple[Any, ...]]:
        return _rebuilt, (self.function, self.options, self.params)

    def _call(self, rows: list[dict[str, Any]]) -> list[object]:
        """Return one value or exception per row."""
        if not rows:
            return []
        if self.plan.whole_batch:
            return self._call_batch(self.plan.columns(rows), len(rows))
        if self._is_async:
            return self._await([self._bound(row) for row in rows])
        return [self._attempt(row) for row in rows]

    def _call_batch(self, columns: dict[str, list[Any]], count: int) -> list[object]:
        bound = self._bound(columns)
        if self._is_async:
            (returned,) = self._await([bound])
            if isinstance(returned, Exception):
                raise returned
        else:
            returned = bound()
        if not isinstance(returned, Iterable) or isinstance(returned, str | bytes | Mapping):
            raise ContractError(
                f"{self.options.name} takes the whole batch and must return one value per row, got {returned!r:.60}"
            )
        values = list(returned)
        if len(values) != count:
            raise ContractError(f"{self.options.name} returned {len(values)} values for {count} rows")
        return [self._settled(value) for value in values]

    def _bound(self, arguments: Mapping[str, Any]) -> Callable[[], Any]:
        return lambda: self.function(**arguments, **self.params)

    def _attempt(self, row: Mapping[str, Any]) -> object:
        try:
            return self._settled(self.function(**row, **self.params))
        except Exception as error:  # noqa: BLE001 - one row's failure must not cost the others their values
            return error

    def _await(self, calls: Sequence[Callable[[], Any]]) -> list[object]:
        """Run the calls in the loop of their own; rows that were cancelled failed like any other."""
        options = self.options
        results = shared_loop().run(gather_rows(calls, options.max_concurrency, options.timeout_s))
        raise_interrupts(results)
        return [
            self._settled(result)
            if isinstance(result, Exception) or not isinstance(result, BaseException)
            else RuntimeError(f"{options.name} was cancelled")
            for result in results
        ]

    def _settled(self, value: object) -> object:
        if value is None:
            return ValueError(
                f"{self.options.name} returned None, which says that it does not apply to this row: "
                "set its on_error to mask to leave such rows out"
            )
        return value

    def _read(self, item: object) -> float | Score:
        """Turn what a function may return into what a component may return."""
        if isinstance(item, ContractError):
            raise item
        if isinstance(item, Exception):
            return Score(math.nan, ERROR)
        if isinstance(item, Score):
            return item
        if isinstance(item, tuple) and len(item) == 2 and isinstance(item[1], str):
            return Score(_number(item[0], self.options.name), item[1])
        return _number(item, self.options.name)


def _rebuilt(function: Callable[..., Any], options: RewardOptions, params: Mapping[str, Any]) -> BaseReward:
    return FunctionReward(function, options, params)


def effect_of(options: RewardOptions) -> str:
    """Return what the function makes a policy prefer, in words."""
    return options.effect or f"whatever the function {options.name} rewards"


def checked_plan(function: Callable[..., Any], options: RewardOptions) -> ArgumentPlan:
    """Return how to call a function.

    Raises:
        ConfigError: an option out of range, or a signature that cannot be filled.
    """
    name = options.name
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigError(f"reward function {name!r}: it yields values; return them instead")
    if options.per not in (None, "message", "step"):
        raise ParameterError("per", f"must be 'message' or 'step', got {options.per!r}")
    if options.max_concurrency < 1:
        raise ParameterError("max_concurrency", f"must be >= 1, got {options.max_concurrency}")
    if options.timeout_s is not None:
        if not (math.isfinite(options.timeout_s) and options.timeout_s > 0):
            raise ParameterError("timeout_s", f"must be > 0 seconds, got {options.timeout_s}")
        if not inspect.iscoroutinefunction(function):
            raise ParameterError(
                "timeout_s", f"needs an async function; {name!r} is not one: wrap its component in DeadlineReward"
            )
    return plan_of(function, name)


def _checked_params(plan: ArgumentPlan, name: str, params: Mapping[str, Any]) -> dict[str, Any]:
    known = {parameter.name: parameter for parameter in plan.parameters}
    for given in params:
        if given not in known:
            names = ", ".join(known) or "none"
            raise ParameterError(given, f"is no parameter of {name}{did_you_mean(given, known)} (known: {names})")
    missing = [key for key, parameter in known.items() if key not in params and parameter.default is parameter.empty]
    if missing:
        raise ParameterError(missing[0], f"is needed by {name}")
    values = {key: params.get(key, parameter.default) for key, parameter in known.items()}
    for key, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ParameterError(key, f"must be finite, got {value}")
    return values


def _number(value: object, name: str) -> float:
    try:
        if not isinstance(value, str | bytes | bytearray):
            return float(value)  # type: ignore[arg-type]
    except OverflowError:  # an integer that no float holds: an error of this row, as infinity is
        return math.inf
    except (TypeError, ValueError):
        pass
    raise ContractError(
        f"{name} returned {value!r:.60}: return a number, a Score, (value, status), or None where it does not apply"
    )
