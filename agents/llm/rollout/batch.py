"""Episodes as tensors. The masks made here are the only place that says which tokens count."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from rlenvs.errors import ParameterError


@dataclass(slots=True)
class Episode:
    """Token ids of one episode and what they earned.

    Attributes:
        ids: prompt, messages of the policy and feedback, in order; never re-tokenised.
        action: True where the policy sampled the token.
        sampled_logprobs: one per action token, as the engine reported it.
        sampled_values: V before each action token, as far as the engine reported it.
        sampled_entropies: of what each was sampled from, as far as the engine reported it.
        turn_rewards: (index into the action tokens, reward): each turn's reward on its last action token.
        terminated: whether the task ended; otherwise the state after the last token still has a value.
        cut: whether a limit of the run, on tokens or on turns, ended a message or the episode.
        group: number of the problem; episodes with equal numbers are samples of the same prompt.
        score: what the environment itself paid, without shaping.
    """

    ids: list[int]
    action: list[bool]
    sampled_logprobs: list[float] = field(default_factory=list)
    turn_rewards: list[tuple[int, float]] = field(default_factory=list)
    terminated: bool = False
    cut: bool = False
    group: int = 0
    score: float = 0.0
    sampled_values: list[float] = field(default_factory=list)
    sampled_entropies: list[float] = field(default_factory=list)

    def add_message(
        self,
        ids: Sequence[int],
        logprobs: Sequence[float],
        values: Sequence[float] | None = None,
        entropies: Sequence[float] | None = None,
    ) -> None:
        """Append what the policy sampled."""
        self.ids.extend(ids)
        self.action.extend([True] * len(ids))
        self.sampled_logprobs.extend(logprobs)
        self.sampled_values.extend(values or ())
        self.sampled_entropies.extend(entropies or ())

    def add_feedback(self, ids: Sequence[int]) -> None:
        """Append tokens that the policy did not sample."""
        self.ids.extend(ids)
        self.action.extend([False] * len(ids))

    @property
    def newest_action(self) -> int:
        """Index of the newest action token; before the first one, of the one that is to come."""
        return max(len(self.sampled_logprobs) - 1, 0)

    def credit(self, reward: float) -> None:
        """Put a reward on the newest action token, or on the first one where none is there yet."""
        self.turn_rewards.append((self.newest_action, reward))


@dataclass(slots=True)
class RolloutBatch:
    """B episodes; `L` tokens of the longest, `A` action tokens of the one with the most.

    Attributes:
        ids_BL: token ids, right-padded.
        attention_BL: bool, False on padding.
        action_BL: bool, True on action tokens.
        mask_BA: bool, True where an episode has an a-th action token.
        turn_rewards_BA: each turn's reward on its last action token.
        sampled_logprobs_BA: as the engine reported them.
        terminated_B: bool.
        cut_B: bool, True where a limit of tokens or turns ended a message or the episode.
        group_B: number of each episode's problem, on the CPU.
        lengths_B: tokens of each episode, on the CPU.
        sampled_values_BA: V before each action token, as the engine reported them; None where it did not for all.
        sampled_entropies_BA: of what each was sampled from, likewise.
    """

    ids_BL: Tensor
    attention_BL: Tensor
    action_BL: Tensor
    mask_BA: Tensor
    turn_rewards_BA: Tensor
    sampled_logprobs_BA: Tensor
    terminated_B: Tensor
    cut_B: Tensor
    group_B: Tensor
    lengths_B: Tensor
    sampled_values_BA: Tensor | None = None
    sampled_entropies_BA: Tensor | None = None

    def __len__(self) -> int:
        return self.ids_BL.shape[0]

    def rows(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return ids, attention and action mask of some rows, without the padding that all of them share."""
        longest = int(self.lengths_B[index].max())
        return self.ids_BL[index, :longest], self.attention_BL[index, :longest], self.action_BL[index, :longest]


def collate(episodes: Sequence[Episode], pad_id: int, device: torch.device) -> RolloutBatch:
    """Stack episodes into tensors.

    Args:
        episodes: any number; none gives tensors without rows.
        pad_id: fills `ids_BL` beyond an episode's end.
        device: where the tensors go.

    Raises:
        ParameterError: an episode has a reward and no action token to credit it to.
    """
    length = max((len(episode.ids) for episode in episodes), default=0)
    actions = max((len(episode.sampled_logprobs) for episode in episodes), default=0)
    count = len(episodes)
    ids = torch.full((count, length), pad_id, dtype=torch.long)
    attention = torch.zeros(count, length, dtype=torch.bool)
    action = torch.zeros(count, length, dtype=torch.bool)
    mask = torch.zeros(count, actions, dtype=torch.bool)
    rewards = torch.zeros(count, actions)
    logprobs = torch.zeros(count, actions)
    for row, episode in enumerate(episodes):
        ids[row, : len(episode.ids)] = torch.tensor(episode.ids)
        attention[row, : len(episode.ids)] = True
        action[row, : len(episode.ids)] = torch.tensor(episode.action)
        mask[row, : len(episode.sampled_logprobs)] = True
        logprobs[row, : len(episode.sampled_logprobs)] = torch.tensor(episode.sampled_logprobs)
        for position, reward in episode.turn_rewards:
            if episode.sampled_logprobs:
                rewards[row, position] += reward
            elif reward != 0:
                raise ParameterError("episodes", f"must not pay an episode without action tokens, as row {row} does")
    return RolloutBatch(
        ids.to(device),
        attention.to(device),
        action.to(device),
        mask.to(device),
        rewards.to(device),
        logprobs.to(device),
        terminated_B=torch.tensor([episode.terminated for episode in episodes], dtype=torch.bool, device=device),
        cut_B=torch.tensor([episode.cut for episode in episodes], dtype=torch.bool, device=device),
        group_B=torch.tensor([episode.group for episode in episodes], dtype=torch.long),
        lengths_B=torch.tensor([len(episode.ids) for episode in episodes], dtype=torch.long),
        sampled_values_BA=_reported([episode.sampled_values for episode in episodes], mask, device),
        sampled_entropies_BA=_reported([episode.sampled_entropies for episode in episodes], mask, device),
    )


def _reported(rows: Sequence[Sequence[float]], mask_BA: Tensor, device: torch.device) -> Tensor | None:
    """Return `[B, A]` of what an engine reported of every action token; None where it left one out."""
    if any(len(row) != count for row, count in zip(rows, mask_BA.sum(dim=1).tolist(), strict=True)):
        return None
    found_BA = torch.zeros(mask_BA.shape)
    found_BA[mask_BA] = torch.tensor([number for row in rows for number in row])
    return found_BA.to(device)
