"""The token level: a turn-level environment seen through a tokenizer."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.error import ResetNeeded

from rlenvs.envs.episode import Episode
from rlenvs.envs.incremental_text import IncrementalText, PrefixProgress
from rlenvs.envs.state import STATE_VERSION, check_state
from rlenvs.envs.text_env import RENDER_MODES, TextEnv
from rlenvs.errors import UserError
from rlenvs.problems.checks import check_int


class Tokenizer(Protocol):
    """What a `TokenEnv` needs of a tokenizer; `CharTokenizer` and those of `transformers` have it."""

    @property
    def pad_token_id(self) -> int | None:
        """The id that fills unused places."""

    @property
    def eos_token_id(self) -> int | None:
        """The id that ends a message."""

    def __len__(self) -> int: ...

    def encode(self, text: str, add_special_tokens: bool = ...) -> list[int]:
        """Ids of a text."""

    def decode(self, token_ids: Sequence[int], /) -> str:
        """Text of ids."""


def token_ids(tokenizer: Tokenizer) -> tuple[int, int, int]:
    """Padding id, end id and number of ids of a tokenizer.

    Raises:
        UserError: it lacks one of the two, or they are one.
    """
    pad, eos = tokenizer.pad_token_id, tokenizer.eos_token_id
    if pad is None or eos is None or pad == eos:
        raise UserError(f"the tokenizer needs a padding and an end token that differ, got {pad!r} and {eos!r}")
    return int(pad), int(eos), len(tokenizer)


class TokenEnv(gym.Env[npt.NDArray[np.int32], int]):
    """A `TextEnv` whose messages are written one token per step.

    An action is a token id. The end token submits the message; so does the `max_response_tokens`-th token of
    a message, which is then graded as it stands. Until then the reward is 0.0. The padding token is not a
    legal action (`action_masks`); an agent that plays it anyway writes nothing and has used up a token.

    An observation is the window of the last `context_tokens` ids of prompt and response, the newest last,
    padding in front. It is a new array each time.

    `info` has what the turn level has, plus on every token `response_so_far` and `progress`: the share of the
    demonstration's characters that the response has matched from its start (see
    `rlenvs.envs.incremental_text.PrefixProgress`), unless the protocol has a progress of its own
    (`Protocol.follows_demonstration`); when a message ends, `response_tokens` counts its tokens.

    Args:
        env: the turn level: a `TextEnv`, possibly wrapped.
        tokenizer: see `Tokenizer`; its padding and end ids must exist and differ.
        context_tokens: length of the window.
        max_response_tokens: most tokens of one message, the end token included.

    Raises:
        UserError: a parameter out of range, an environment or a tokenizer that cannot serve.

    Example:
        >>> from rlenvs.envs import SuiteEnv, CharTokenizer
        >>> tokenizer = CharTokenizer("0123456789+=")
        >>> env = TokenEnv(SuiteEnv(digits=1), tokenizer, context_tokens=8, max_response_tokens=3)
        >>> observation, info = env.reset(seed=0)
        >>> tokenizer.decode(observation.tolist())
        '8+6='
        >>> for token in [*tokenizer.encode("14"), tokenizer.eos_token_id]:
        ...     observation, reward, terminated, truncated, info = env.step(token)
        ...     print(info["response_so_far"], info["progress"], reward, terminated)
        1 0.5 0.0 False
        14 1.0 0.0 False
        14 1.0 1.0 True
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 1}  # noqa: RUF012
    state_kind = "TokenEnv"

    def __init__(
        self, env: gym.Env[str, str], tokenizer: Tokenizer, *, context_tokens: int, max_response_tokens: int
    ) -> None:
        base = env.unwrapped
        if not isinstance(base, TextEnv):
            raise UserError(f"TokenEnv needs a turn-level TextEnv, got {type(base).__name__}")
        self.pad_id, self.eos_id, self.vocab_size = token_ids(tokenizer)
        self.env, self.base, self.tokenizer = env, base, tokenizer
        self.context_tokens = check_int("context_tokens", context_tokens, 1, 10**6)
        self.max_response_tokens = check_int("max_response_tokens", max_response_tokens, 1, 10**6)
        self.render_mode = env.render_mode
        self.observation_space = gym.spaces.Box(0, self.vocab_size - 1, (self.context_tokens,), np.int32)
        self.action_space: gym.Space[Any] = gym.spaces.Discrete(self.vocab_size)
        self.masks = np.ones(self.vocab_size, dtype=np.bool_)
        self.masks[self.pad_id] = False
        self.window = np.full(self.context_tokens, self.pad_id, dtype=np.int32)
        self.tokens: list[int] = []
        self._begin_message("")

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.int32], dict[str, Any]]:
        """Open an episode; arguments as in `TextEnv.reset`."""
        super().reset(seed=seed)
        prompt, info = self.env.reset(seed=seed, options=options)
        self.window.fill(self.pad_id)
        self._write(self.tokenizer.encode(prompt, add_special_tokens=False))
        self._begin_message(self._episode().problem.demonstration)
        return self.window.copy(), self._with_progress(info)

    def step(self, action: int) -> tuple[npt.NDArray[np.int32], float, bool, bool, dict[str, Any]]:
        """Append one token to the message.

        Raises:
            ResetNeeded: there is no episode, or it is over.
            UserError: the action is no token id.
        """
        episode = self._episode()
        token = self._token(action)
        self.tokens.append(token)
        self._write([token])
        if token not in (self.eos_id, self.pad_id):
            self.progress.push(self.text.push(token))
        if token != self.eos_id and len(self.tokens) < self.max_response_tokens:
            info = self._with_progress(self.base.task.info(episode))
            return self.window.copy(), 0.0, False, False, info
        return self._submit(episode)

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """[vocab_size] True for every legal action: all but padding. A new array each time."""
        return self.masks.copy()

    def render(self) -> Any:
        """The conversation of the turn level."""
        return self.env.render()

    def close(self) -> None:
        """Close the turn level."""
        self.env.close()

    def state_dict(self) -> dict[str, Any]:
        """Turn level, window and unfinished message as a JSON-serialisable dict."""
        return {
            "kind": self.state_kind,
            "version": STATE_VERSION,
            "env": self.base.state_dict(),
            "window": self.window.tolist(),
            "tokens": list(self.tokens),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where `state_dict` was called; the parameters must be those of that environment.

        Raises:
            UserError: the state is of another kind of environment, or of another window.
        """
        check_state(state, self.state_kind)
        try:
            window, tokens = (
                np.array(state["window"], dtype=np.int32),
                [self._token(token) for token in state["tokens"]],
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise UserError(f"state: it cannot be read ({type(error).__name__}: {error})") from error
        if window.shape != (self.context_tokens,):
            raise UserError(f"state: its window has {window.size} tokens, not {self.context_tokens}")
        self.base.load_state_dict(state.get("env", {}))
        self.window[:] = window
        episode = self.base.episode
        self._begin_message("" if episode is None else episode.problem.demonstration)
        for token in tokens:
            self.tokens.append(token)
            if token not in (self.eos_id, self.pad_id):
                self.progress.push(self.text.push(token))

    def _submit(self, episode: Episode) -> tuple[npt.NDArray[np.int32], float, bool, bool, dict[str, Any]]:
        self.progress.push(self.text.finish())
        answer, reward, terminated, truncated, info = self.env.step(self.text.value)
        info = self._with_progress(info)
        info["response_tokens"] = len(self.tokens)
        if not (terminated or truncated):
            self._write(self.tokenizer.encode(answer, add_special_tokens=False))
            self._begin_message(episode.problem.demonstration)
        return self.window.copy(), float(reward), bool(terminated), bool(truncated), info

    def _episode(self) -> Episode:
        episode = self.base.episode
        if episode is None or episode.over:
            state = "has not started" if episode is None else "is over"
            raise ResetNeeded(f"the episode {state}: call reset() before step()")
        return episode

    def _token(self, action: object) -> int:
        if isinstance(action, np.ndarray) and action.ndim == 0:
            action = action.item()
        if isinstance(action, bool) or not isinstance(action, int | np.integer):
            raise UserError(f"an action must be a token id (int), got {action!r:.80}")
        if not 0 <= action < self.vocab_size:
            raise UserError(f"an action must be a token id in 0..{self.vocab_size - 1}, got {action}")
        return int(action)

    def _begin_message(self, demonstration: str) -> None:
        self.tokens = []
        self.text = IncrementalText(self.tokenizer.decode)
        self.progress = PrefixProgress(demonstration)

    def _write(self, tokens: Sequence[int]) -> None:
        """Shift the window to the left and put tokens at its end."""
        tokens = tokens[-self.context_tokens :]
        if tokens:
            self.window[: -len(tokens)] = self.window[len(tokens) :]
            self.window[-len(tokens) :] = tokens

    def _with_progress(self, info: dict[str, Any]) -> dict[str, Any]:
        if self.base.task.protocol.follows_demonstration:
            info["progress"] = self.progress.share
        info["response_so_far"] = self.text.value
        return info
