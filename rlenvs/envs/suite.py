"""One environment class for every combination of problem source and protocol, configured by plain keyword arguments."""

import inspect
from collections.abc import Mapping
from typing import Any

from gymnasium.vector import AutoresetMode

from rlenvs.envs.episode import DEFAULT_MAX_CHARS
from rlenvs.envs.protocols import Protocol, make_protocol, protocol_parameters
from rlenvs.envs.text_env import TextEnv
from rlenvs.envs.text_vector_env import TextVectorEnv
from rlenvs.envs.token_env import TokenEnv, Tokenizer
from rlenvs.envs.token_vector_env import TokenVectorEnv
from rlenvs.envs.tokenizers import make_tokenizer
from rlenvs.errors import UserError
from rlenvs.problems import ProblemSource
from rlenvs.problems.grading import grade_tasks
from rlenvs.problems.registry import make_source, source_parameters
from rlenvs.suggestions import did_you_mean

SourceLike = str | Mapping[str, Any] | ProblemSource
ProtocolLike = str | Mapping[str, Any] | Protocol

DEFAULT_CONTEXT_TOKENS = 1024
DEFAULT_RESPONSE_TOKENS = 256
MAX_DEFAULT_CONTEXT = 4096
TURNS_IN_WINDOW = 4
"""How many turns the default window of a protocol of more than one turn holds."""


def sources_and_protocols(
    source: SourceLike, protocol: ProtocolLike, parameters: Mapping[str, Any], kind: type | None = None
) -> tuple[ProblemSource, Protocol]:
    """A source and a protocol, and the parameters given to whichever of the two has them.

    Args:
        source: as in `SuiteEnv`.
        protocol: as in `SuiteEnv`.
        parameters: those of both.
        kind: the class that takes them, whose own parameters are worth a hint too.

    Raises:
        UserError: a name or parameter that does not exist, with the nearest one that does; a parameter that both have.

    Example:
        >>> source, protocol = sources_and_protocols("arithmetic", "retry", {"digits": 1, "attempts": 2})
        >>> source.digits, protocol.attempts
        (1, 2)
    """
    of_source = known_parameters(source, source_parameters)
    of_protocol = known_parameters(protocol, protocol_parameters)
    for name in parameters:
        if name not in of_source and name not in of_protocol:
            known = [*of_source, *of_protocol]
            own = inspect.signature(kind).parameters if kind is not None else ()
            hint = did_you_mean(name, [*known, *(other for other in own if other != "parameters")])
            raise UserError(f"unknown parameter {name!r}{hint} (known: {', '.join(sorted(known)) or 'none'})")
        if name in of_source and name in of_protocol:
            raise UserError(
                f"parameter {name!r}: both the source and the protocol have one; pass it as "
                f"source={{'name': ..., {name!r}: ...}} or protocol={{'name': ..., {name!r}: ...}}"
            )
    mine = {name: value for name, value in parameters.items() if name in of_source}
    yours = {name: value for name, value in parameters.items() if name in of_protocol}
    return make_source(source, **mine), make_protocol(protocol, **yours)


def known_parameters(part: Any, names: Any) -> list[str]:
    """The parameters that may be given to a source or protocol that is named; none to one that is made already."""
    if isinstance(part, Mapping):
        part = part.get("name", part.get("source"))
    return list(names(part)) if isinstance(part, str) else []


class SuiteEnv(TextEnv):
    """A turn-level environment from the names of a source and a protocol.

    Args:
        source: a name, a mapping with "name" and parameters, or a `ProblemSource`; see `rlenvs.problems`.
        protocol: a name, a mapping with "name" and parameters, or a `Protocol`; see `rlenvs.envs.protocols`.
        split: "train" or "held_out".
        max_prompt_chars: length limit of observations.
        max_response_chars: length limit of actions.
        render_mode: None, "ansi" or "human".
        **parameters: those of the source and of the protocol.

    Raises:
        UserError: an unknown name or parameter, with the nearest known one, or a value out of range.

    Example:
        >>> env = SuiteEnv("arithmetic", "retry", digits=1, attempts=2)
        >>> env.reset(seed=0)[0], env.step("15")[0]
        ('8+6=', '15 is not right. Attempts left: 1.')
    """

    def __init__(
        self,
        source: SourceLike = "arithmetic",
        protocol: ProtocolLike = "single",
        split: str = "train",
        max_prompt_chars: int = DEFAULT_MAX_CHARS,
        max_response_chars: int = DEFAULT_MAX_CHARS,
        render_mode: str | None = None,
        **parameters: Any,
    ) -> None:
        made_source, made_protocol = sources_and_protocols(source, protocol, parameters, type(self))
        super().__init__(
            made_source,
            grader=grade_tasks,
            protocol=made_protocol,
            split=split,
            max_prompt_chars=max_prompt_chars,
            max_response_chars=max_response_chars,
            render_mode=render_mode,
        )


class SuiteVectorEnv(TextVectorEnv):
    """The vector form of `SuiteEnv`; parameters as there and in `TextVectorEnv`.

    Example:
        >>> envs = SuiteVectorEnv("arithmetic", "retry", num_envs=2, digits=1)
        >>> envs.reset(seed=0)[0]
        ('8+6=', '4+5=')
    """

    def __init__(
        self,
        source: SourceLike = "arithmetic",
        protocol: ProtocolLike = "single",
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        autoreset_mode: str | AutoresetMode = "SameStep",
        split: str = "train",
        max_prompt_chars: int = DEFAULT_MAX_CHARS,
        max_response_chars: int = DEFAULT_MAX_CHARS,
        render_mode: str | None = None,
        **parameters: Any,
    ) -> None:
        made_source, made_protocol = sources_and_protocols(source, protocol, parameters, type(self))
        super().__init__(
            made_source,
            num_envs,
            max_episode_steps,
            autoreset_mode,
            grader=grade_tasks,
            protocol=made_protocol,
            split=split,
            max_prompt_chars=max_prompt_chars,
            max_response_chars=max_response_chars,
            render_mode=render_mode,
        )


def token_limits(
    source: ProblemSource, protocol: Protocol, context: int | None, response: int | None
) -> tuple[int, int]:
    """The length of the window and of a message: those given, else what the source's texts need.

    A window without a given length holds the longest prompt and response, one token per character, where the source
    knows them; of a protocol of more than one turn it holds a few turns.
    """
    several_turns = type(protocol).__name__ not in ("SingleAnswer", "Completion")
    if response is None:
        longest = getattr(source, "max_demonstration_chars", None)
        response = int(longest) + 1 if longest else DEFAULT_RESPONSE_TOKENS
    if context is None:
        longest = getattr(source, "max_prompt_chars", None)
        context = int(longest) + response if longest else DEFAULT_CONTEXT_TOKENS
        context = min(context * (TURNS_IN_WINDOW if several_turns else 1), MAX_DEFAULT_CONTEXT)
    return context, response


class SuiteTokenEnv(TokenEnv):
    """The token level of `SuiteEnv`.

    Args:
        source: as in `SuiteEnv`.
        protocol: as in `SuiteEnv`.
        tokenizer: "chars", "bytes", or the name or folder of a `transformers` tokenizer; None is "chars" where the
            source knows its characters, else "bytes".
        context_tokens: length of the observed window; None fits the texts of the source, where it knows their lengths.
        max_response_tokens: tokens after which a message is submitted as it stands; None fits the longest
            demonstration.
        split: "train" or "held_out".
        max_prompt_chars: length limit of observations of the turn level.
        max_response_chars: length limit of messages.
        render_mode: None, "ansi" or "human".
        **parameters: those of the source and of the protocol.

    Example:
        >>> env = SuiteTokenEnv("arithmetic", "retry", tokenizer="bytes", digits=1)
        >>> observation, info = env.reset(seed=0)
        >>> env.tokenizer.decode(observation.tolist())
        '8+6='
    """

    def __init__(
        self,
        source: SourceLike = "arithmetic",
        protocol: ProtocolLike = "single",
        tokenizer: "str | Tokenizer | None" = None,
        context_tokens: int | None = None,
        max_response_tokens: int | None = None,
        split: str = "train",
        max_prompt_chars: int = DEFAULT_MAX_CHARS,
        max_response_chars: int = DEFAULT_MAX_CHARS,
        render_mode: str | None = None,
        **parameters: Any,
    ) -> None:
        made_source, made_protocol = sources_and_protocols(source, protocol, parameters, type(self))
        env = SuiteEnv(made_source, made_protocol, split, max_prompt_chars, max_response_chars, render_mode)
        made = make_tokenizer(tokenizer, getattr(env.source, "alphabet", None))
        context, response = token_limits(env.source, env.task.protocol, context_tokens, max_response_tokens)
        super().__init__(env, made, context_tokens=context, max_response_tokens=response)


class SuiteTokenVectorEnv(TokenVectorEnv):
    """The vector form of `SuiteTokenEnv`; parameters as there and in `TokenVectorEnv`.

    Example:
        >>> envs = SuiteTokenVectorEnv("arithmetic", tokenizer="bytes", num_envs=2, digits=1)
        >>> windows, infos = envs.reset(seed=0)
        >>> [envs.tokenizer.decode(window.tolist()) for window in windows]
        ['8+6=', '4+5=']
    """

    def __init__(
        self,
        source: SourceLike = "arithmetic",
        protocol: ProtocolLike = "single",
        tokenizer: "str | Tokenizer | None" = None,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        autoreset_mode: str | AutoresetMode = "SameStep",
        context_tokens: int | None = None,
        max_response_tokens: int | None = None,
        split: str = "train",
        max_prompt_chars: int = DEFAULT_MAX_CHARS,
        max_response_chars: int = DEFAULT_MAX_CHARS,
        render_mode: str | None = None,
        **parameters: Any,
    ) -> None:
        made_source, made_protocol = sources_and_protocols(source, protocol, parameters, type(self))
        context, response = token_limits(made_source, made_protocol, context_tokens, max_response_tokens)
        super().__init__(
            made_source,
            make_tokenizer(tokenizer, getattr(made_source, "alphabet", None)),
            num_envs,
            max_episode_steps,
            autoreset_mode,
            context_tokens=context,
            max_response_tokens=response,
            grader=grade_tasks,
            protocol=made_protocol,
            split=split,
            max_prompt_chars=max_prompt_chars,
            max_response_chars=max_response_chars,
            render_mode=render_mode,
        )
