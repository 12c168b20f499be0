"""The policy's side of many conversations, turn by turn: ids in, texts out, within the limits of a run."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from rlenvs.agents.llm.engines.protocol import Completion, Engine, SamplingParams
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.rollout.batch import Episode
from rlenvs.agents.llm.rollout.chat import ChatFormat, Messages
from rlenvs.agents.llm.rollout.limits import Cut, Limits
from rlenvs.agents.llm.rollout.requests import Temperatures, requested
from rlenvs.errors import ConfigError
from rlenvs.wrappers.infos import row_info


@dataclass(frozen=True, slots=True)
class Said:
    """One message of the policy.

    Attributes:
        completion: what was sampled.
        text: what the environment gets.
        closing: the token with which the policy closed its message; None where a limit or a stop text ended it.
        overlong: whether a limit of the run ended it, and not one that the environment asked for.
    """

    completion: Completion
    text: str
    closing: int | None
    overlong: bool


class Speaker:
    """Speaks for the policy in any number of conversations.

    Args:
        policy: says how ids become text.
        engine: samples from it.
        chat: how messages become ids.
        params: how it samples, where the environment does not ask for something else.
        limits: of messages and episodes.
        temperatures: which ones the environment may ask for.

    Attributes:
        seconds: time spent in the engine so far.
    """

    def __init__(
        self,
        policy: Policy,
        engine: Engine,
        chat: ChatFormat,
        params: SamplingParams,
        limits: Limits,
        temperatures: Temperatures = "usual",
    ) -> None:
        self.policy = policy
        self.engine = engine
        self.chat = chat
        self.limits = limits
        self.temperatures = temperatures
        self.closers = frozenset([*policy.eos_ids, chat.closing_id])
        unknown = self.closers - {*policy.eos_ids, *params.stop_token_ids}  # the engine knows the policy's own
        self.params = replace(params, stop_token_ids=(*params.stop_token_ids, *sorted(unknown)))
        self.seconds = 0.0

    def open(self, infos: Mapping[str, Any], rows: Sequence[int]) -> dict[int, Episode]:
        """Begin the episodes of some rows.

        Args:
            infos: the collated infos of the reset.
            rows: numbers of sub-environments.

        Raises:
            ConfigError: the environment does not say what its conversations open with.
            DataError: a prompt leaves no room for an answer.
        """
        episodes = {}
        for row in rows:
            ids = self.chat.prompt_ids(opening(infos, row))
            self.limits.check_prompt(ids, problem_id(infos, row))
            episodes[row] = Episode(ids=ids, action=[False] * len(ids))
        return episodes

    def speak(
        self, episodes: Mapping[int, Episode], infos: Mapping[str, Any], generator: torch.Generator
    ) -> dict[int, Said]:
        """Sample the next message of some conversations, in one call of the engine, and append it to them.

        Args:
            episodes: by row.
            infos: the newest collated infos.
            generator: source of the sampling randomness.

        Raises:
            EngineError: the engine could not finish; no conversation has been changed.
            DataError: an environment asks for something that cannot be done.
        """
        asks = "sampling" in infos
        params, binding = [], []
        for row, episode in episodes.items():
            wish = row_info({key: infos[key] for key in ("sampling", "_sampling") if key in infos}, row) if asks else {}
            own = self.params if not wish else self._obey(wish["sampling"], infos, row)
            room = self.limits.room(len(episode.ids))
            binding.append(own.max_new_tokens >= room)
            params.append(own if own.max_new_tokens <= room else replace(own, max_new_tokens=room))
        started = time.perf_counter()
        completions = self.engine.generate([episode.ids for episode in episodes.values()], _shared(params), generator)
        self.seconds += time.perf_counter() - started
        said = {}
        for (row, episode), completion, ours in zip(episodes.items(), completions, binding, strict=True):
            episode.add_message(completion.ids, completion.logprobs, completion.values, completion.entropies)
            said[row] = self._said(completion, ours)
            episode.cut = said[row].overlong or episode.cut
        return said

    def listen(self, episode: Episode, said: Said, turns: int, messages: Messages) -> Cut | None:
        """Append what the environment answered, or say why the episode is cut.

        Args:
            episode: ends with the message of the policy.
            said: that message.
            turns: messages of the policy so far.
            messages: what the environment answered.
        """
        reason: Cut | None = "turns" if self.limits.cut(turns) else None
        if reason is None:
            feedback = self.chat.feedback_ids(messages, said.closing)
            if self.limits.room(len(episode.ids) + len(feedback)) >= 1:
                episode.add_feedback(feedback)
                return None
            reason = "context"
        episode.cut = True
        return reason

    def _said(self, completion: Completion, ours: bool) -> Said:
        ids = completion.ids
        closing = ids[-1] if ids and ids[-1] in self.closers else None
        # A closing token of the chat format that the policy does not know as its own is left out of the text here.
        content = ids if closing is None or closing in self.policy.eos_ids else ids[:-1]
        return Said(completion, self.policy.message_text(content), closing, ours and completion.finish == "length")

    def _obey(self, wish: object, infos: Mapping[str, Any], row: int) -> SamplingParams:
        return requested(wish, self.params, problem_id(infos, row), self.temperatures)


def opening(infos: Mapping[str, Any], row: int) -> Messages:
    """Return the messages that a conversation opens with.

    Raises:
        ConfigError: the infos do not have them.
    """
    chat = _column(infos, "messages", row)
    usable = (
        isinstance(chat, list | tuple)
        and bool(chat)
        and all(
            isinstance(message, Mapping)
            and isinstance(message.get("role"), str)
            and isinstance(message.get("content"), str)
            for message in chat
        )
    )
    if not usable:
        raise ConfigError(
            f"the environment's infos after reset need 'messages', the chat so far as a list of role and content; row "
            f"{row} has {chat!r:.80} (keys: {', '.join(sorted(key for key in infos if key[0] != '_')) or 'none'})"
        )
    messages: Messages = chat
    return messages


def answers(infos: Mapping[str, Any], observations: Sequence[Any], row: int) -> Messages:
    """Return what an environment answered in a step: the messages after the policy's own.

    Their roles are the environment's. One that keeps no chat in its infos after a step answers as the user.

    Example:
        >>> chat = [{"role": "assistant", "content": "8"}, {"role": "tool", "content": "error"}]
        >>> answers({"messages": [chat]}, ["error"], 0)
        [{'role': 'tool', 'content': 'error'}]
    """
    chat = _column(infos, "messages", row)
    newest: list[Mapping[str, str]] = []
    for message in reversed(chat or ()):
        if message["role"] == "assistant":
            break
        newest.append(message)
    else:
        newest = []  # no message of the policy in it: it does not tell what is new
    return newest[::-1] or [{"role": "user", "content": str(observations[row])}]


def problem_id(infos: Mapping[str, Any], row: int) -> str:
    """Return the name of a row's problem, "?" where the environment has none."""
    found = _column(infos, "problem_id", row)
    return "?" if found is None else str(found)


def _column(infos: Mapping[str, Any], key: str, row: int) -> Any:
    """Return one value of collated infos, None where the row has none."""
    values, present = infos.get(key), infos.get(f"_{key}")
    if values is None or (present is not None and not present[row]):
        return None
    return values[row]


def _shared(params: list[SamplingParams]) -> list[SamplingParams] | SamplingParams:
    return params[0] if all(one == params[0] for one in params) else params
