"""How the arguments of a reward function are filled: by their names, from a transition and its info.

`plan_of` reads a signature once, when a function is decorated, and refuses what could not be filled later.
"""

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

from rlenvs.errors import ConfigError
from rlenvs.wrappers.transition import Transition

ROW_ARGUMENTS: dict[str, Callable[[Transition], Any]] = {
    "prompt": lambda t: t.prompt,
    "response": lambda t: t.response,
    "completion": lambda t: t.response,
    "messages": lambda t: t.messages,
    "info": lambda t: t.info,
    "previous_info": lambda t: t.previous_info,
    "state": lambda t: t.observation,
    "observation": lambda t: t.observation,
    "action": lambda t: t.action,
    "next_state": lambda t: t.next_observation,
    "next_observation": lambda t: t.next_observation,
    "env_reward": lambda t: t.env_reward,
    "terminated": lambda t: t.terminated,
    "truncated": lambda t: t.truncated,
    "step": lambda t: t.step,
    "transition": lambda t: t,
}
"""Names of what a function of one row may ask for. Every other name is a key of `info`."""

BATCH_ARGUMENTS: dict[str, str] = {
    "prompts": "prompt",
    "responses": "response",
    "completions": "completion",
    "conversations": "messages",
    "answers": "answer",
    "infos": "info",
    "previous_infos": "previous_info",
    "states": "state",
    "observations": "observation",
    "actions": "action",
    "next_states": "next_state",
    "next_observations": "next_observation",
    "env_rewards": "env_reward",
    "terminations": "terminated",
    "truncations": "truncated",
    "steps": "step",
    "transitions": "transition",
}
"""Plural names, each a list with one item per row; they make a function one of the whole batch."""

TEXT_ARGUMENTS = frozenset({"response", "completion", "messages"})


@dataclass(frozen=True, slots=True)
class ArgumentPlan:
    """What to call a function with.

    Attributes:
        whole_batch: whether the function takes lists, one item per row, and returns as many values.
        sources: name of each argument -> the row argument or the key of `info` that fills it.
        defaults: values of the arguments that `info` may lack.
        takes_rest: whether `**kwargs` takes what else is in `info`.
        parameters: the keyword-only arguments: configuration, not data.
        reads_text: whether the function reads what the policy wrote.
    """

    whole_batch: bool
    sources: Mapping[str, str]
    defaults: Mapping[str, Any]
    takes_rest: bool
    parameters: tuple[inspect.Parameter, ...]
    reads_text: bool

    def row(self, transition: Transition) -> dict[str, Any]:
        """Return the arguments for one row.

        Raises:
            KeyError: `info` lacks a key that an argument without default asks for.
        """
        filled = {name: self._fill(name, source, transition) for name, source in self.sources.items()}
        if self.takes_rest:
            named = {*filled, *(parameter.name for parameter in self.parameters)}
            rest = {key: value for key, value in transition.info.items() if isinstance(key, str) and key not in named}
            return rest | filled
        return filled

    def columns(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
        """Return the arguments for a whole batch from those of its rows; None where a row lacks a key."""
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: [row.get(name) for row in rows] for name in names}

    def _fill(self, name: str, source: str, transition: Transition) -> Any:
        getter = ROW_ARGUMENTS.get(source)
        if getter is not None:
            return getter(transition)
        if source in transition.info:
            return transition.info[source]
        if name in self.defaults:
            return self.defaults[name]
        known = ", ".join(sorted(map(str, transition.info))) or "nothing"
        raise KeyError(f"info has no {source!r}, which argument {name!r} asks for; it has {known}")


def plan_of(function: Callable[..., Any], name: str) -> ArgumentPlan:
    """Read the signature of a reward function.

    Args:
        function: a function, or a bound method.
        name: what error messages call it.

    Raises:
        ConfigError: an argument that cannot be filled; the message says why and what to write instead.
    """
    data, parameters, takes_rest = _split(function, name)
    plural = [argument for argument in data if argument in BATCH_ARGUMENTS]
    singular = [argument for argument in data if argument in ROW_ARGUMENTS]
    if plural and singular:
        instead = {row: batch for batch, row in BATCH_ARGUMENTS.items()}[singular[0]]
        raise _refused(
            name,
            f"{plural[0]!r} takes the whole batch and {singular[0]!r} one row: write {instead!r} with {plural[0]!r}",
        )
    sources = {argument: BATCH_ARGUMENTS.get(argument, argument) for argument in data}
    return ArgumentPlan(
        whole_batch=bool(plural),
        sources=sources,
        defaults={argument: parameter.default for argument, parameter in data.items() if _has_default(parameter)},
        takes_rest=takes_rest,
        parameters=parameters,
        reads_text=not TEXT_ARGUMENTS.isdisjoint(sources.values()),
    )


def _split(
    function: Callable[..., Any], name: str
) -> tuple[dict[str, inspect.Parameter], tuple[inspect.Parameter, ...], bool]:
    """Return data arguments, configuration parameters, and whether there is a `**kwargs`."""
    data: dict[str, inspect.Parameter] = {}
    parameters: list[inspect.Parameter] = []
    takes_rest = False
    for argument, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            takes_rest = True
        elif parameter.kind is parameter.VAR_POSITIONAL:
            raise _refused(name, f"'*{argument}' cannot be filled by name: list the arguments that it needs")
        elif parameter.kind is parameter.POSITIONAL_ONLY:
            raise _refused(name, f"{argument!r} is positional-only but arguments are filled by name: remove the '/'")
        elif parameter.kind is parameter.KEYWORD_ONLY:
            parameters.append(_checked_parameter(parameter, name))
        else:
            data[argument] = parameter
    if not data and not takes_rest:
        raise _refused(
            name, f"it takes no data: name at least one argument, such as 'response' ({', '.join(ROW_ARGUMENTS)})"
        )
    return data, _with_types(function, parameters, name), takes_rest


def _checked_parameter(parameter: inspect.Parameter, name: str) -> inspect.Parameter:
    if parameter.name in ROW_ARGUMENTS or parameter.name in BATCH_ARGUMENTS:
        raise _refused(
            name, f"{parameter.name!r} is data, but arguments after '*' are configuration: write it before the '*'"
        )
    if parameter.annotation is parameter.empty:
        raise _refused(name, f"parameter {parameter.name!r} needs an annotation: configurations are checked against it")
    return parameter


def _with_types(
    function: Callable[..., Any], parameters: Sequence[inspect.Parameter], name: str
) -> tuple[inspect.Parameter, ...]:
    """Resolve annotations that are texts, of the configuration parameters only: others may name what is not there."""

    def shell() -> None: ...

    inner = inspect.unwrap(function)
    bare = types.FunctionType(shell.__code__, getattr(inner, "__globals__", {}))
    bare.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    try:
        hints = get_type_hints(bare, include_extras=True)
    except (NameError, TypeError, SyntaxError, AttributeError) as error:
        raise _refused(name, f"an annotation of its parameters cannot be resolved: {error}") from error
    return tuple(parameter.replace(annotation=hints[parameter.name]) for parameter in parameters)


def _has_default(parameter: inspect.Parameter) -> bool:
    return parameter.default is not parameter.empty


def _refused(name: str, reason: str) -> ConfigError:
    return ConfigError(f"reward function {name!r}: {reason}")
