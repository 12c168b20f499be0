"""Log-probabilities of chosen tokens without ever holding the logits of a whole batch."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

Head = Callable[[Tensor], Tensor]


def chosen_logprobs(
    hidden_MD: Tensor, targets_M: Tensor, head: Head, temperature: float, chunk: int
) -> tuple[Tensor, Tensor]:
    """Log-probability of each target token and entropy of its distribution.

    Logits exist for `chunk` tokens at a time; where gradients are needed they are computed again in the backward
    pass instead of being kept.

    Args:
        hidden_MD: `[M, D]` final hidden states at the positions that predict the targets.
        targets_M: `[M]` token ids.
        head: maps `[m, D]` hidden states to `[m, V]` logits.
        temperature: divides the logits, > 0.
        chunk: tokens whose logits exist at the same time, >= 1.

    Returns:
        log-probabilities `[M]` and entropies `[M]` (nats), both float32.

    Example:
        >>> uniform = lambda hidden: torch.zeros(hidden.shape[0], 4)
        >>> logprob, entropy = chosen_logprobs(torch.zeros(1, 2), torch.tensor([3]), uniform, 1.0, 8)
        >>> round(logprob.item(), 4), round(entropy.item(), 4)
        (-1.3863, 1.3863)
    """

    def score(hidden_mD: Tensor, targets_m: Tensor) -> tuple[Tensor, Tensor]:
        log_probs_mV = torch.log_softmax(head(hidden_mD).float() / temperature, dim=-1)
        entropy_m = -(log_probs_mV.exp() * log_probs_mV).sum(dim=-1)
        return log_probs_mV.gather(1, targets_m[:, None])[:, 0], entropy_m

    needs_gradient = torch.is_grad_enabled() and hidden_MD.requires_grad
    several = hidden_MD.shape[0] > chunk
    logprobs, entropies = [], []
    for hidden_mD, targets_m in zip(hidden_MD.split(chunk), targets_M.split(chunk), strict=True):
        if needs_gradient and several:
            # preserve_rng_state costs a copy of the generator per chunk, and nothing in `score` is random
            logprob_m, entropy_m = checkpoint(
                score, hidden_mD, targets_m, use_reentrant=False, preserve_rng_state=False
            )
        else:
            logprob_m, entropy_m = score(hidden_mD, targets_m)
        logprobs.append(logprob_m)
        entropies.append(entropy_m)
    if not logprobs:
        return hidden_MD.new_zeros(0, dtype=torch.float32), hidden_MD.new_zeros(0, dtype=torch.float32)
    return torch.cat(logprobs), torch.cat(entropies)
