"""What a step is: the protocols that ship, by name.

| name | what a message is | ends |
|---|---|---|
| `single` | the answer | with it |
| `retry` | an attempt; a wrong one gets feedback | with a right one, or with the last attempt |
| `steps` | one step of a derivation, checked exactly | with the final answer; truncated after `max_turns` |
| `tools` | tool calls, or the answer | with the answer; truncated after `max_turns` |
| `python_tool` | calls of a Python session, or the answer | with the answer; truncated after `max_turns` |
| `code` | a program; one that fails visible tests is told how | with one that passes them, or with the last attempt |
| `conversation` | one turn of a talk with a user | when the user has nothing more to say |
| `completion` | a free text | with it |

Read `rlenvs.envs.protocols.base` first: what a protocol may decide, and what it may remember.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from rlenvs.envs.protocols.base import UNGRADED, Episode, Protocol, SingleAnswer, Turn
from rlenvs.envs.protocols.code import WriteRunFix
from rlenvs.envs.protocols.conversation import Completion, Conversation
from rlenvs.envs.protocols.python_tool import PythonTool
from rlenvs.envs.protocols.retry import Retry
from rlenvs.envs.protocols.steps import Steps
from rlenvs.envs.protocols.tools import TOOLS, ToolCalls, calculator
from rlenvs.envs.protocols.user_models import EndpointUser, as_the_user_sees
from rlenvs.errors import UserError
from rlenvs.suggestions import did_you_mean

__all__ = [
    "PROTOCOLS",
    "TOOLS",
    "UNGRADED",
    "Completion",
    "Conversation",
    "EndpointUser",
    "Episode",
    "Protocol",
    "PythonTool",
    "Retry",
    "SingleAnswer",
    "Steps",
    "ToolCalls",
    "Turn",
    "WriteRunFix",
    "as_the_user_sees",
    "calculator",
    "make_protocol",
    "protocol_parameters",
]

PROTOCOLS: dict[str, type[Protocol]] = {
    "single": SingleAnswer,
    "retry": Retry,
    "steps": Steps,
    "tools": ToolCalls,
    "python_tool": PythonTool,
    "code": WriteRunFix,
    "conversation": Conversation,
    "completion": Completion,
}


def protocol_class(name: str) -> type[Protocol]:
    """The class of a protocol by name.

    Raises:
        UserError: there is none of that name.
    """
    if not isinstance(name, str) or name not in PROTOCOLS:
        hint = did_you_mean(str(name), PROTOCOLS)
        raise UserError(f"protocol: unknown {name!r}{hint} (known: {', '.join(PROTOCOLS)})")
    return PROTOCOLS[name]


def protocol_parameters(name: str) -> list[str]:
    """The names of the parameters of a protocol.

    Example:
        >>> protocol_parameters("retry"), protocol_parameters("single")
        (['attempts', 'discount', 'feedback'], [])
    """
    found = protocol_class(name)
    return [] if found.__init__ is object.__init__ else list(inspect.signature(found).parameters)


def make_protocol(protocol: "str | Mapping[str, Any] | Protocol", **parameters: Any) -> Protocol:
    """A protocol by name.

    Args:
        protocol: a name, a mapping with "name" and parameters, or a protocol, which is returned as it is.
        **parameters: those of the protocol, in addition to those of the mapping.

    Raises:
        UserError: an unknown name or parameter, with the nearest known one, or a value out of range.

    Example:
        >>> make_protocol("retry", attempts=2).attempts, make_protocol({"name": "retry", "attempts": 4}).attempts
        (2, 4)
    """
    if isinstance(protocol, Protocol):
        if parameters:
            raise UserError(f"protocol: it is made already, and takes no {', '.join(parameters)}")
        return protocol
    if isinstance(protocol, Mapping):
        parameters = {**protocol, **parameters}
        protocol = parameters.pop("name", None)
    name = str(protocol)
    found, known = protocol_class(name), protocol_parameters(name)
    for parameter in parameters:
        if parameter not in known:
            hint = did_you_mean(parameter, known)
            raise UserError(f"protocol {name!r}: unknown parameter {parameter!r}{hint} (known: {', '.join(known)})")
    return found(**parameters)
