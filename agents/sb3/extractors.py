"""Features of token windows: what stands between a window of ids and the heads of a Stable-Baselines3 policy.

A window is `[L]` ids, the newest last, padding in front. Read as numbers, ids mean nothing, and as one-hot vectors they
are slow; so each extractor here embeds them first. `TokenEmbedding` then gives every place of the window weights of its
own, and is the one to begin with: on a CPU it is many times as fast as the other two. `TokenGRU` and `TokenTransformer`
use the same weights in every place, which is worth their price where windows are long.

All three serve as `policy_kwargs={"features_extractor_class": TokenEmbedding}` of PPO, A2C, DQN, MaskablePPO and
RecurrentPPO.
"""

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn
from torch.nn import functional as F

from rlenvs.errors import ParameterError, UserError


def window_shape(space: gym.Space[Any], pad_id: int) -> tuple[int, int]:
    """Length of the windows of a space, and number of ids in it.

    Args:
        space: what is observed: `Box(0, V - 1, (L,))` of an integer type, or of the float type that wrappers of
            Stable-Baselines3 may turn it into.
        pad_id: the id that fills unused places, in 0..V-1.

    Raises:
        UserError: the space is no window of token ids.
        ParameterError: the padding is none of the ids.

    Example:
        >>> window_shape(gym.spaces.Box(0, 16, (7,), np.int32), pad_id=0)
        (7, 17)
    """
    if not isinstance(space, gym.spaces.Box) or len(space.shape) != 1:
        raise UserError(
            f"a token extractor needs windows of token ids, Box(0, V - 1, (L,)) as the ids ending in "
            f"Tokens-v0 have them, got {space}"
        )
    low, high = float(space.low.min()), float(space.high.max())
    if low != 0 or not np.isfinite(high) or high < 1 or high != int(high):
        raise UserError(f"a token extractor needs ids from 0 to V - 1, got a Box from {low:g} to {high:g}")
    vocabulary = int(high) + 1
    if not 0 <= pad_id < vocabulary:
        raise ParameterError("pad_id", f"must be an id in 0..{vocabulary - 1}, got {pad_id}")
    # Sizes of layers must be plain ints: PyTorch refuses those of NumPy.
    return int(space.shape[0]), vocabulary


def check_size(name: str, value: int) -> int:
    """Return the size of a layer.

    Raises:
        ParameterError: it is no int, or less than 1.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ParameterError(name, f"must be an int >= 1, got {value!r}")
    return value


def trimmed(ids: Tensor, pad_id: int) -> tuple[Tensor, Tensor]:
    """Cut off the columns in which all windows are still empty.

    Args:
        ids: `[N, L]` windows.
        pad_id: what fills unused places in front. Padding after the first id is a token like others: a policy that
            plays it has used up a place.

    Returns:
        `[N, l]` ids with 1 <= l <= L, and `[N, l]` bool: True from the first id of each window on, and always in the
        newest place.

    Example:
        >>> ids, used = trimmed(torch.tensor([[0, 0, 5, 0], [0, 0, 0, 7]]), pad_id=0)
        >>> ids.tolist(), used.tolist()
        ([[5, 0], [0, 7]], [[True, True], [False, True]])
    """
    used = (ids != pad_id).long().cumsum(dim=1) > 0
    used[:, -1] = True
    first = int(used.any(dim=0).long().argmax())
    return ids[:, first:], used[:, first:]


class TokenEmbedding(BaseFeaturesExtractor):
    """Embeddings of all places side by side, and one layer over them: ReLU(W [e(x_1); ...; e(x_L)] + b).

    Padding has the embedding 0, so an unused place contributes nothing, and learns nothing.

    Args:
        observation_space: `Box(0, V - 1, (L,))`.
        embedding_dim: E, width of an embedding.
        features_dim: F, number of features.
        pad_id: the id that fills unused places.

    Raises:
        UserError: the space is no window of token ids.
        ParameterError: a value out of range.

    Example:
        >>> extractor = TokenEmbedding(gym.spaces.Box(0, 16, (7,), np.int32), features_dim=32)
        >>> extractor(torch.zeros(2, 7)).shape
        torch.Size([2, 32])
    """

    def __init__(
        self, observation_space: gym.Space[Any], embedding_dim: int = 16, features_dim: int = 256, pad_id: int = 0
    ) -> None:
        length, vocabulary = window_shape(observation_space, pad_id)
        super().__init__(observation_space, check_size("features_dim", features_dim))
        self.embedding = nn.Embedding(vocabulary, check_size("embedding_dim", embedding_dim), padding_idx=pad_id)
        self.network = nn.Sequential(nn.Linear(length * embedding_dim, features_dim), nn.ReLU())

    def forward(self, observations: Tensor) -> Tensor:
        """Map ids `[N, L]`, of any number type, to features `[N, F]`."""
        features: Tensor = self.network(self.embedding(observations.long()).flatten(1))
        return features


class TokenGRU(BaseFeaturesExtractor):
    """A GRU that reads the window from the oldest to the newest id; its last state, and one layer over it.

    The GRU has no biases and padding has the embedding 0: from its initial state 0 it stays there until the first id
    comes, so a window means the same however much of it is empty.

    Args:
        observation_space: `Box(0, V - 1, (L,))`.
        embedding_dim: E, width of an embedding.
        hidden_dim: H, width of the state.
        features_dim: F, number of features.
        pad_id: the id that fills unused places.

    Raises:
        UserError: the space is no window of token ids.
        ParameterError: a value out of range.

    Example:
        >>> extractor = TokenGRU(gym.spaces.Box(0, 16, (7,), np.int32), features_dim=32)
        >>> extractor(torch.zeros(2, 7)).shape
        torch.Size([2, 32])
    """

    def __init__(
        self,
        observation_space: gym.Space[Any],
        embedding_dim: int = 16,
        hidden_dim: int = 128,
        features_dim: int = 256,
        pad_id: int = 0,
    ) -> None:
        _, vocabulary = window_shape(observation_space, pad_id)
        super().__init__(observation_space, check_size("features_dim", features_dim))
        self.pad_id = pad_id
        self.embedding = nn.Embedding(vocabulary, check_size("embedding_dim", embedding_dim), padding_idx=pad_id)
        self.gru = nn.GRU(embedding_dim, check_size("hidden_dim", hidden_dim), bias=False, batch_first=True)
        self.network = nn.Sequential(nn.Linear(hidden_dim, features_dim), nn.ReLU())

    def forward(self, observations: Tensor) -> Tensor:
        """Map ids `[N, L]`, of any number type, to features `[N, F]`."""
        ids, _ = trimmed(observations.long(), self.pad_id)
        states, _ = self.gru(self.embedding(ids))
        features: Tensor = self.network(states[:, -1])
        return features


class AttentionBlock(nn.Module):
    """A transformer layer with its normalisation in front: x + attention(norm(x)), then the same with a small MLP.

    Args:
        width: D of the vectors.
        heads: attention heads, a divisor of D.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor, used: Tensor, newest_only: bool) -> Tensor:
        """Return `[N, l, D]`, or `[N, 1, D]`, of vectors `[N, l, D]`.

        Args:
            x: the vectors.
            used: `[N, l]` bool, which of them may be attended to; the newest always may.
            newest_only: whether only the vector of the newest place is wanted.
        """
        normed = self.norm(x)
        asking, asked = (normed[:, -1:], x[:, -1:]) if newest_only else (normed, x)
        keys, values = self.key_value(normed).chunk(2, dim=-1)
        mixed = F.scaled_dot_product_attention(
            self._split(self.query(asking)), self._split(keys), self._split(values), attn_mask=used[:, None, None, :]
        )
        asked = asked + self.output(mixed.transpose(1, 2).flatten(2))
        result: Tensor = asked + self.feed_forward(asked)
        return result

    def _split(self, x: Tensor) -> Tensor:
        """From `[N, l, D]` to `[N, heads, l, D / heads]`."""
        parts: Tensor = x.unflatten(-1, (self.heads, -1))
        return parts.transpose(1, 2)


class TokenTransformer(BaseFeaturesExtractor):
    """A small transformer over the window, read out at the newest id, and one layer over that.

    Places are counted back from the newest one, and unused ones are not attended to, so a window means the same however
    much of it is empty. Every id sees all others: nothing is predicted inside a window that could be looked up there.

    Args:
        observation_space: `Box(0, V - 1, (L,))`.
        embedding_dim: D, width of embeddings and layers.
        layers: how many.
        heads: attention heads, a divisor of D.
        features_dim: F, number of features.
        pad_id: the id that fills unused places.

    Raises:
        UserError: the space is no window of token ids.
        ParameterError: a value out of range, or heads that do not divide the width.

    Example:
        >>> extractor = TokenTransformer(gym.spaces.Box(0, 16, (7,), np.int32), features_dim=32)
        >>> extractor(torch.zeros(2, 7)).shape
        torch.Size([2, 32])
    """

    def __init__(
        self,
        observation_space: gym.Space[Any],
        embedding_dim: int = 64,
        layers: int = 1,
        heads: int = 4,
        features_dim: int = 256,
        pad_id: int = 0,
    ) -> None:
        length, vocabulary = window_shape(observation_space, pad_id)
        super().__init__(observation_space, check_size("features_dim", features_dim))
        if check_size("embedding_dim", embedding_dim) % check_size("heads", heads):
            raise ParameterError("heads", f"must divide embedding_dim={embedding_dim}, got {heads}")
        self.pad_id = pad_id
        self.embedding = nn.Embedding(vocabulary, embedding_dim)
        self.places = nn.Embedding(length, embedding_dim)
        blocks = [AttentionBlock(embedding_dim, heads) for _ in range(check_size("layers", layers))]
        self.blocks = nn.ModuleList(blocks)
        self.network = nn.Sequential(nn.LayerNorm(embedding_dim), nn.Linear(embedding_dim, features_dim), nn.ReLU())

    def forward(self, observations: Tensor) -> Tensor:
        """Map ids `[N, L]`, of any number type, to features `[N, F]`."""
        ids, used = trimmed(observations.long(), self.pad_id)
        distance = torch.arange(ids.shape[1] - 1, -1, -1, device=ids.device)
        x = self.embedding(ids) + self.places(distance)
        for block in self.blocks:
            x = block(x, used, newest_only=block is self.blocks[-1])
        features: Tensor = self.network(x[:, -1])
        return features
