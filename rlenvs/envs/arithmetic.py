"""Procedural arithmetic as environments: one episode, many episodes, and token by token."""

from typing import Any, Unpack

from gymnasium.vector import AutoresetMode

from rlenvs.envs.char_tokenizer import CharTokenizer
from rlenvs.envs.episode import DEFAULT_MAX_CHARS
from rlenvs.envs.text_env import TextEnv
from rlenvs.envs.text_vector_env import TextVectorEnv
from rlenvs.envs.token_env import TokenEnv
from rlenvs.envs.token_vector_env import TokenVectorEnv
from rlenvs.errors import UserError
from rlenvs.problems import ArithmeticParameters, ArithmeticSource
from rlenvs.suggestions import did_you_mean


def arithmetic_source(parameters: ArithmeticParameters) -> ArithmeticSource:
    """A source from keyword parameters.

    Raises:
        UserError: an unknown parameter, with the nearest known one, or a value out of range.
    """
    known = sorted(ArithmeticParameters.__annotations__)
    for name in parameters:
        if name not in known:
            hint = did_you_mean(name, known)
            raise UserError(f"unknown parameter {name!r}{hint} (known: {', '.join(known)})")
    return ArithmeticSource(**parameters)


class ArithmeticEnv(TextEnv):
    """`TextEnv` over `ArithmeticSource`, id "rlenvs/Arithmetic-v0"; all parameters are plain JSON values.

    Args:
        split: "train" or "held_out".
        max_prompt_chars: length limit of observations.
        max_response_chars: length limit of actions.
        render_mode: None, "ansi" or "human".
        **parameters: those of `rlenvs.problems.ArithmeticSource`.

    Example:
        >>> env = ArithmeticEnv(operands=3, digits=1, operators="+*")
        >>> env.reset(seed=1)[0]
        '4*5+7='
        >>> env.step("27")[1]
        1.0
    """

    def __init__(
        self,
        split: str = "train",
        max_prompt_chars: int = DEFAULT_MAX_CHARS,
        max_response_chars: int = DEFAULT_MAX_CHARS,
        render_mode: str | None = None,
        **parameters: Unpack[ArithmeticParameters],
    ) -> None:
        super().__init__(
            arithmetic_source(parameters),
            split=split,
            max_prompt_chars=max_prompt_chars,
            max_response_chars=max_response_chars,
            render_mode=render_mode,
        )


class ArithmeticVectorEnv(TextVectorEnv):
    """`TextVectorEnv` over `ArithmeticSource`: what `gym.make_vec("rlenvs/Arithmetic-v0", num_envs=N)` makes.

    Args:
        num_envs: episodes side by side.
        max_episode_steps: answers after which an unfinished episode is truncated; None for no limit.
        autoreset_mode: "SameStep", "NextStep" or "Disabled".
        split: "train" or "held_out".
        max_prompt_chars: length limit of observations.
        max_response_chars: length limit of actions.
        render_mode: None, "ansi" or "human".
        **parameters: those of `rlenvs.problems.ArithmeticSource`.
    """

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        autoreset_mode: str | AutoresetMode = "SameStep",
        split: str = "train",
        max_prompt_chars: int = DEFAULT_MAX_CHARS,
        max_response_chars: int = DEFAULT_MAX_CHARS,
        render_mode: str | None = None,
        **parameters: Unpack[ArithmeticParameters],
    ) -> None:
        super().__init__(
            arithmetic_source(parameters),
            num_envs,
            max_episode_steps,
            autoreset_mode,
            split=split,
            max_prompt_chars=max_prompt_chars,
            max_response_chars=max_response_chars,
            render_mode=render_mode,
        )


def token_limits(
    source: ArithmeticSource, context_tokens: int | None, max_response_tokens: int | None
) -> tuple[int, int]:
    """The lengths of the window and of a message; None is what the source's texts need at one token per character."""
    if max_response_tokens is None:
        max_response_tokens = source.max_demonstration_chars + 1
    if context_tokens is None:
        context_tokens = source.max_prompt_chars + max_response_tokens
    return context_tokens, max_response_tokens


class ArithmeticTokenEnv(TokenEnv):
    """`TokenEnv` over `ArithmeticEnv`, id "rlenvs/ArithmeticTokens-v0".

    The tokenizer has one token per character that a prompt or a demonstration of these parameters can have.

    Args:
        context_tokens: length of the observed window; None fits the longest prompt and response.
        max_response_tokens: tokens after which a message is submitted as it stands; None fits the longest
            demonstration and its end token.
        split: "train" or "held_out".
        render_mode: None, "ansi" or "human".
        **parameters: those of `rlenvs.problems.ArithmeticSource`.
    """

    def __init__(
        self,
        context_tokens: int | None = None,
        max_response_tokens: int | None = None,
        split: str = "train",
        render_mode: str | None = None,
        **parameters: Unpack[ArithmeticParameters],
    ) -> None:
        source = arithmetic_source(parameters)
        context_tokens, max_response_tokens = token_limits(source, context_tokens, max_response_tokens)
        env: Any = ArithmeticEnv(split=split, render_mode=render_mode, **parameters)
        super().__init__(
            env,
            CharTokenizer(source.alphabet),
            context_tokens=context_tokens,
            max_response_tokens=max_response_tokens,
        )


class ArithmeticTokenVectorEnv(TokenVectorEnv):
    """`TokenVectorEnv` over `ArithmeticSource`: what `gym.make_vec("rlenvs/ArithmeticTokens-v0", num_envs=N)` makes.

    Args:
        num_envs: episodes side by side.
        max_episode_steps: tokens after which an unfinished episode is truncated; None for no limit.
        autoreset_mode: "SameStep", "NextStep" or "Disabled".
        context_tokens: as in `ArithmeticTokenEnv`.
        max_response_tokens: as in `ArithmeticTokenEnv`.
        split: "train" or "held_out".
        render_mode: None, "ansi" or "human".
        **parameters: those of `rlenvs.problems.ArithmeticSource`.
    """

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        autoreset_mode: str | AutoresetMode = "SameStep",
        context_tokens: int | None = None,
        max_response_tokens: int | None = None,
        split: str = "train",
        render_mode: str | None = None,
        **parameters: Unpack[ArithmeticParameters],
    ) -> None:
        source = arithmetic_source(parameters)
        context_tokens, max_response_tokens = token_limits(source, context_tokens, max_response_tokens)
        super().__init__(
            source,
            CharTokenizer(source.alphabet),
            num_envs,
            max_episode_steps,
            autoreset_mode,
            context_tokens=context_tokens,
            max_response_tokens=max_response_tokens,
            split=split,
            render_mode=render_mode,
        )
