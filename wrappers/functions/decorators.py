"""Plain functions and methods as reward components.

A function says by the *names* of its arguments what it needs, as in TRL and verifiers, and stays the function that
it was. Read `arguments` for the names and `component` for what a call becomes.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar, overload

from rlenvs.errors import ConfigError, ParameterError
from rlenvs.wrappers.base import BaseReward
from rlenvs.wrappers.component_registry import component_registry
from rlenvs.wrappers.functions.arguments import ArgumentPlan
from rlenvs.wrappers.functions.component import FunctionReward, Per, RewardOptions, checked_plan, effect_of

FunctionT = TypeVar("FunctionT", bound=Callable[..., object])
_OPTIONS = "__reward_options__"


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
        >>> from rlenvs.wrappers import Transition
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
        >>> from rlenvs.wrappers import Transition
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
        >>> from rlenvs.wrappers import Transition
        >>> component_of(lambda response: len(response))(Transition(response="abc"))
        3.0
    """
    if isinstance(source, BaseReward):
        if params:
            raise ParameterError(next(iter(params)), f"belongs in the constructor of {type(source).__name__}")
        return source
    if not (inspect.isfunction(source) or inspect.ismethod(source)):
        raise ConfigError(f"a reward is a component, a function or a method, got {source!r:.60}{_instead(source)}")
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
        hint = _instead(function)
        raise ConfigError(f"a reward decorator belongs on a function or method, got {function!r:.60}{hint}")
    options = replace(options, name=options.name or function.__name__)
    if options.name == "<lambda>":
        raise ConfigError("a lambda has no name of its own: give the decorator a name=")
    if _is_method(function):
        # Everything but the object is known now, so that a wrong signature fails where it is written.
        checked_plan(function.__get__(object()), options)
    else:
        plan = checked_plan(function, options)
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
        "effect": effect_of(options),
        "is_task": options.is_task,
    }
    return type(function.__name__, (FunctionReward,), namespace)


def _instead(source: object) -> str:
    """Return what to write instead of something that is nearly a function."""
    if isinstance(source, classmethod | staticmethod):
        return f": write @{type(source).__name__} above it, not below"
    if isinstance(source, functools.partial):
        return ": give the function itself, with keyword-only arguments as parameters"
    if inspect.isclass(source):
        return f": give an object, {source.__name__}(...)"
    if inspect.ismethod(getattr(source, "__call__", None)):  # noqa: B004 - the method is wanted, not whether it is
        return ": give its method, .__call__"
    return ""


def _options_of(function: object) -> RewardOptions | None:
    options = getattr(function, _OPTIONS, None)
    return options if isinstance(options, RewardOptions) else None


def _is_method(function: Callable[..., Any]) -> bool:
    return next(iter(inspect.signature(function).parameters), "") == "self"
