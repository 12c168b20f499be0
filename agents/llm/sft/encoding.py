"""Demonstrations as token ids: the ids that the policy will meet when it plays such an episode itself."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.rollout.batch import Episode
from rlenvs.agents.llm.rollout.chat import ChatFormat
from rlenvs.agents.llm.sft.data import ASSISTANT, Demonstration
from rlenvs.errors import DataError


class DemonstrationEncoder:
    """Turns conversations into episodes, part by part, as a rollout does.

    The opening is rendered once; every message of the assistant is tokenised by itself and closed; what is answered
    is rendered as feedback is. Only the assistant's messages and their closing tokens count as actions.

    Args:
        policy: whose ids they become; it says which tokens close a message.
        chat: how messages become ids.
    """

    def __init__(self, policy: Policy, chat: ChatFormat) -> None:
        self.policy = policy
        self.chat = chat
        self.closers = frozenset([*policy.eos_ids, chat.closing_id])

    def __call__(self, demonstration: Demonstration) -> Episode:
        """Return the demonstration as an episode that ends with the assistant's last message.

        Raises:
            ConfigError: the chat template refuses its messages.
            DataError: the opening has no tokens, or a message holds a token that closes messages.
        """
        opening = demonstration.opening
        prompt = self.chat.prompt_ids(opening)
        if not prompt:
            raise DataError(f"{demonstration.where}: what comes before the assistant has no tokens")
        episode = Episode(ids=list(prompt), action=[False] * len(prompt), terminated=True)
        rest = demonstration.messages[len(opening) :]
        turns = [index for index, message in enumerate(rest) if message["role"] == ASSISTANT]
        for turn, (index, following) in enumerate(zip(turns, [*turns[1:], None], strict=True), start=1):
            ids = self._answer(rest[index]["content"], demonstration.where, turn)
            episode.add_message(ids, [0.0] * len(ids))
            if following is not None:
                episode.add_feedback(self.chat.feedback_ids(rest[index + 1 : following], self.chat.closing_id))
        return episode

    def _answer(self, text: str, where: str, turn: int) -> list[int]:
        ids = self.chat.answer_ids(text)
        if found := self.closers.intersection(ids[:-1]):
            token = self.policy.tokenizer.convert_ids_to_tokens(min(found))
            raise DataError(f"{where}: message {turn} of the assistant holds {token!r}, which would end it there")
        return ids


@dataclass(frozen=True, slots=True)
class EncodedDemonstrations:
    """What is learned from and what measures it.

    Attributes:
        learned: episodes to imitate.
        held_out: episodes that only measure the loss; none of their prompts is among those that are learned.
        left_out: how many were longer than the context.
    """

    learned: list[Episode]
    held_out: list[Episode]
    left_out: int = 0


def encode(
    demonstrations: Iterable[Demonstration],
    encoder: DemonstrationEncoder,
    context_tokens: int,
    overlong: Literal["refuse", "leave_out"],
    held_out_share: float,
    seed: int,
) -> EncodedDemonstrations:
    """Encode demonstrations and set some aside.

    Args:
        demonstrations: at least one.
        encoder: how.
        context_tokens: most tokens of a demonstration.
        overlong: what is done with longer ones.
        held_out_share: share of the prompts that are set aside; at least one prompt stays to be learned.
        seed: which ones.

    Raises:
        DataError: a demonstration cannot be used, or all are too long.
    """
    episodes: list[Episode] = []
    left_out = 0
    for demonstration in demonstrations:
        episode = encoder(demonstration)
        if len(episode.ids) <= context_tokens:
            episodes.append(episode)
            continue
        left_out += 1
        if overlong == "refuse":
            raise DataError(
                f"{demonstration.where}: the demonstration has {len(episode.ids)} tokens, rollout.context_tokens is "
                f"{context_tokens}: raise it, or set data.overlong=leave_out"
            )
    if not episodes:
        raise DataError(f"all {left_out} demonstrations are longer than rollout.context_tokens={context_tokens}")
    aside = _set_aside([_prompt(episode) for episode in episodes], held_out_share, seed)
    return EncodedDemonstrations(
        learned=[episode for episode in episodes if _prompt(episode) not in aside],
        held_out=[episode for episode in episodes if _prompt(episode) in aside],
        left_out=left_out,
    )


def _prompt(episode: Episode) -> tuple[int, ...]:
    return tuple(episode.ids[: episode.action.index(True)])


def _set_aside(prompts: Sequence[tuple[int, ...]], share: float, seed: int) -> set[tuple[int, ...]]:
    """Choose prompts, not demonstrations: two answers to one prompt are alike."""
    distinct = list(dict.fromkeys(prompts))
    count = min(round(share * len(distinct)), len(distinct) - 1)
    chosen = np.random.default_rng([seed, 0x5E7]).permutation(len(distinct))[:count]
    return {distinct[index] for index in chosen}
