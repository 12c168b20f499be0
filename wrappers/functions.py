"""Plain functions and methods as reward components.

A function says by the *names* of its arguments what it needs, as in TRL and verifiers, and stays the function that
it was. Read `function_arguments` for the names.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, overload

from rlenvs.errors import ConfigError, ParameterError
from rlenvs.suggestions import did_you_mean
from rlenvs.wrappers.base import ERROR, BaseReward, Score
from rlenvs.wrappers.component_registry import component_registry
from rlenvs.wrappers.event_loop import gather_rows, raise_interrupts, shared_loop
from rlenvs.wrappers.function_arguments import ArgumentPlan, plan_of
from rlenvs.wrappers.scoring import ContractError
from rlenvs.wrappers.transition import Transition

Per = Literal["message", "step"]
FunctionT = TypeVar("FunctionT", bound=Callable[..., object])
_OPTIONS = "__reward_options__"


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
        self.plan = _checked_plan(function, options)
        self.params = _checked_params(self.plan, options.name, params)
        self._per_message = (options.per or ("message" if self.plan.reads_text else "step")) == "message"
        self._is_async = inspect.iscoroutinefunction(function)
        # Instances of one class differ in both; a class made for one function has them already.
        vars(self).update(effect=_effect(options), is_task=options.is_task)

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


@overload
def reward(function: FunctionT, /) -> FunctionT: ...
@overload
def reward(
    *,
    name: str | None = None,
    per: Per | None = None,
    effect: str | None = None,
    is_task: bool = False,
    max_concurrency: int = 16,
    timeout_s: float | None = None,
) -> Callable[[FunctionT], FunctionT]: ...
def reward(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    per: Per | None = None,
    effect: str | None = None,
    is_task: bool = False,
    max_concurrency: int = 16,
    timeout_s: float | None = None,
) -> Any:
    """Make a reward component of a function; the function itself stays as it is.

    The component is registered under the function's name, so that `class: that_name` in a configuration finds it;
    in Python, `component_of(function)` builds it. A method is not registered, because it needs its object:
    `components_of(object)` collects the decorated methods.

    Arguments are filled by name. One row: `prompt`, `response` (or `completion`), `messages`, `info`,
    `previous_info`, `state` or `observation`, `action`, `next_state` or `next_observation`, `env_reward`,
    `terminated`, `truncated`, `step`, `transition`. The whole batch, as lists of N: `prompts`, `responses` (or
    `completions`), `conversations`, `answers`, `infos` and the other plurals (`terminations`, `truncations`); such a
    function returns N values. Any other name is a key of `info` (`answer`; in a function of a batch a list); a row
    without that key is an error, unless the argument has a default. `**kwargs` takes what else is in `info`.
    Keyword-only arguments are parameters of the component (`params:`) and need annotations.

    A function returns a number, a `Score`, or (value, status). None says that the function does not apply to the
    row: an `error`, which raises unless the component's `on_error` says otherwise; with `mask` such rows are left out,
    as in TRL. The rows of an `async` function run at the same time.

    Args:
        function: the function, where the decorator is used bare.
        name: name in the registry; the function's own when omitted.
        per: `message` calls the function once per message, where it ended (0 before, at token level); `step` at
            every step. When omitted: `message` where the function reads `response`, `completion` or `messages` or
            their plurals, else `step`.
        effect: what it makes a policy prefer, as the end of "a policy can gain by ...".
        is_task: whether this is the task's own reward.
        max_concurrency: rows of an `async` function at the same time, >= 1.
        timeout_s: seconds for each row of an `async` function, > 0; a row that takes longer is an error. A plain
            function cannot be stopped from inside: see `DeadlineReward`.

    Raises:
        ConfigError: a signature that cannot be filled, or another component has the name.

    Source: argument names of TRL's reward functions (https://github.com/huggingface/trl) and of verifiers
    (https://github.com/PrimeIntellect-ai/verifiers).

    Example:
        >>> @reward
        ... def brevity(response, *, limit: int = 3):
        ...     return float(len(response.split()) <= limit)
        >>> brevity("one two")
        1.0
        >>> component_of(brevity, limit=1)(Transition(response="one two"))
        0.0
        >>> @reward(name="same_length")
        ... def lengths(responses, answer):
        ...     return [len(text) == len(gold) for text, gold in zip(responses, answer, strict=True)]
        >>> rows = [Transition(response=text, info={"answer": "42"}) for text in ("41", "7")]
        >>> component_of(lengths).batch(rows)
        [1.0, 0.0]
    """
    return _decorated(function, RewardOptions(name or "", per, effect, is_task, max_concurrency, timeout_s))


@overload
def llm_reward(function: FunctionT, /) -> FunctionT: ...
@overload
def llm_reward(
    *,
    name: str | None = None,
    effect: str | None = None,
    is_task: bool = False,
    max_concurrency: int = 16,
    timeout_s: float | None = None,
) -> Callable[[FunctionT], FunctionT]: ...
def llm_reward(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    effect: str | None = None,
    is_task: bool = False,
    max_concurrency: int = 16,
    timeout_s: float | None = None,
) -> Any:
    """`reward` for functions and methods that judge a message: called once per message, whatever they read.

    Args:
        function: see `reward`, as for the others.
        name: name in the registry.
        effect: what it makes a policy prefer.
        is_task: whether this is the task's own reward.
        max_concurrency: rows of an `async` function at the same time.
        timeout_s: seconds for each row of an `async` function.

    Raises:
        ConfigError: as `reward`.

    Example:
        >>> class Style:
        ...     @llm_reward
        ...     def ends_well(self, prompt: str, response: str) -> float:
        ...         return float(response.endswith("."))
        >>> components_of(Style())["ends_well"](Transition(response="Yes."))
        1.0
    """
    return _decorated(function, RewardOptions(name or "", "message", effect, is_task, max_concurrency, timeout_s))


def component_of(source: BaseReward | Callable[..., Any], /, **params: Any) -> BaseReward:
    """Return the component that a function or bound method makes; a component is returned as it is.

    Args:
        source: a function, decorated or not, a bound method, or a component.
        params: the function's configuration parameters.

    Raises:
        ParameterError: a parameter that the function does not have, that is missing, or that is not finite.
        ConfigError: not a function, or one whose signature cannot be filled.

    Example:
        >>> component_of(lambda response: len(response))(Transition(response="abc"))
        3.0
    """
    if isinstance(source, BaseReward):
        if params:
            raise ParameterError(next(iter(params)), f"belongs in the constructor of {type(source).__name__}")
        return source
    if not (inspect.isfunction(source) or inspect.ismethod(source)):
        raise ConfigError(f"a reward is a component, a function or a method, got {source!r:.60}")
    return FunctionReward(source, _options_of(source) or RewardOptions(source.__name__), params)


def components_of(instance: object) -> dict[str, BaseReward]:
    """Return the components that the decorated methods of an object make, by their names.

    Base classes come first, then the order of the class body. A method that is overridden without a decorator is
    no reward any more.

    Raises:
        ConfigError: two methods with the same name, or a method that cannot be filled.

    Example:
        >>> class Mine:
        ...     @llm_reward
        ...     def short(self, response):
        ...         return float(len(response) < 10)
        ...
        ...     @reward(name="alive")
        ...     def survives(self, terminated):
        ...         return float(not terminated)
        >>> list(components_of(Mine()))
        ['short', 'alive']
    """
    found: dict[str, BaseReward] = {}
    attributes = dict.fromkeys(name for cls in reversed(type(instance).__mro__) for name in vars(cls))
    for attribute in attributes:
        # Looked up without binding first: a property must not run only because somebody looks for rewards.
        static = inspect.getattr_static(type(instance), attribute)
        options = _options_of(getattr(static, "__func__", static))
        if options is None:
            continue
        if options.name in found:
            raise ConfigError(f"{type(instance).__name__} has two rewards called {options.name!r}")
        found[options.name] = component_of(getattr(instance, attribute))
    return found


def _decorated(function: Callable[..., Any] | None, options: RewardOptions) -> Any:
    if function is None:
        return lambda inner: _decorated(inner, options)
    if not inspect.isfunction(function):
        raise ConfigError(f"a reward decorator belongs on a function or method, got {function!r:.60}")
    options = replace(options, name=options.name or function.__name__)
    if options.name == "<lambda>":
        raise ConfigError("a lambda has no name of its own: give the decorator a name=")
    if _is_method(function):
        # Everything but the object is known now, so that a wrong signature fails where it is written.
        _checked_plan(function.__get__(object()), options)
    else:
        plan = _checked_plan(function, options)
        component_registry.add(options.name, _registered_class(function, options, plan))
    setattr(function, _OPTIONS, options)
    return function


def _registered_class(function: Callable[..., Any], options: RewardOptions, plan: ArgumentPlan) -> type[FunctionReward]:
    """Return a class whose signature is that of the function's parameters, as configurations need it."""

    def init(self: FunctionReward, **params: Any) -> None:
        FunctionReward.__init__(self, function, options, params)

    namespace = {
        "__init__": init,
        "__signature__": inspect.Signature(plan.parameters),
        "__doc__": function.__doc__,
        "__module__": function.__module__,
        "__qualname__": function.__qualname__,
        "effect": _effect(options),
        "is_task": options.is_task,
    }
    return type(function.__name__, (FunctionReward,), namespace)


def _rebuilt(function: Callable[..., Any], options: RewardOptions, params: Mapping[str, Any]) -> BaseReward:
    return FunctionReward(function, options, params)


def _options_of(function: object) -> RewardOptions | None:
    options = getattr(function, _OPTIONS, None)
    return options if isinstance(options, RewardOptions) else None


def _is_method(function: Callable[..., Any]) -> bool:
    return next(iter(inspect.signature(function).parameters), "") == "self"


def _effect(options: RewardOptions) -> str:
    return options.effect or f"whatever the function {options.name} rewards"


def _checked_plan(function: Callable[..., Any], options: RewardOptions) -> ArgumentPlan:
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
    if isinstance(value, str) or not (hasattr(value, "__float__") or hasattr(value, "__index__")):
        raise ContractError(
            f"{name} returned {value!r:.60}: return a number, a Score, (value, status), or None where it does not apply"
        )
    return float(value)  # type: ignore[arg-type]
