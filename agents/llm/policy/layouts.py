"""How sequences lie in the tensors of a pass: padded beside each other, or packed one behind the other."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(slots=True)
class Layout:
    """Inputs of a forward pass, and where what is wanted lies in its outputs.

    Attributes:
        inputs: keyword arguments of the model.
        before: bool, like the ids: True where the next token is an action token. It is predicted from, and valued at,
            this position.
        last: index of each sequence's last token.
    """

    inputs: dict[str, Any]
    before: Tensor
    last: tuple[Tensor, Tensor]


def padded(ids_BL: Tensor, attention_BL: Tensor, action_BL: Tensor) -> Layout:
    """Leave the sequences where they are; padding may be on either side."""
    inputs: dict[str, Any] = {"input_ids": ids_BL, "attention_mask": attention_BL.long(), "use_cache": False}
    if not bool(attention_BL[:, 0].all()):
        inputs["position_ids"] = (attention_BL.long().cumsum(dim=1) - 1).clamp(min=0)
    before_BL = torch.zeros_like(action_BL)
    before_BL[:, :-1] = action_BL[:, 1:]
    places_L = torch.arange(ids_BL.shape[1], device=ids_BL.device)
    last_B = (attention_BL * places_L).amax(dim=1)
    return Layout(inputs, before_BL, (torch.arange(len(last_B), device=last_B.device), last_B))


def packed(ids_BL: Tensor, attention_BL: Tensor, action_BL: Tensor) -> Layout:
    """Put the sequences one behind the other, with positions that begin anew with each.

    transformers reads the boundaries off the positions where there is no attention mask, and lets no sequence see
    another. The kernels for sequences of various lengths get the boundaries as numbers.
    """
    lengths_B = attention_BL.sum(dim=1)
    ends_B = lengths_B.cumsum(dim=0)
    positions_BL = attention_BL.long().cumsum(dim=1) - 1
    action_T = action_BL[attention_BL]
    before_1T = torch.zeros_like(action_T)[None]
    before_1T[0, :-1] = action_T[1:]  # no sequence begins with an action token: nothing reaches over a boundary
    boundaries = torch.nn.functional.pad(ends_B, (1, 0)).int()
    longest = int(lengths_B.max())
    inputs = {
        "input_ids": ids_BL[attention_BL][None],
        "attention_mask": None,
        "position_ids": positions_BL[attention_BL][None],
        "use_cache": False,
        "cu_seq_lens_q": boundaries,
        "cu_seq_lens_k": boundaries,
        "max_length_q": longest,
        "max_length_k": longest,
    }
    return Layout(inputs, before_1T, (torch.zeros_like(ends_B), ends_B - 1))
