"""Log-probabilities of chosen tokens without ever holding the logits of a whole batch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

Head = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class LinearHead:
    """Logits as `cap(scale * (weight @ hidden + bias))`: the output layers of nearly all language models.

    Attributes:
        weight: `[V, D]`.
        bias: `[V]`, or None.
        scale: factor of the logits (Cohere, Granite).
        softcap: the logits are `softcap * tanh(logits / softcap)` (Gemma); None for no cap.
    """

    weight: Tensor
    bias: Tensor | None = None
    scale: float = 1.0
    softcap: float | None = None

    def __call__(self, hidden_mD: Tensor) -> Tensor:
        """Return logits `[m, V]`."""
        return bend(F.linear(hidden_mD, self.weight, self.bias), self.scale, self.softcap)


def bend(logits: Tensor, scale: float, softcap: float | None) -> Tensor:
    """Scale and cap what a linear layer gave."""
    if scale != 1.0:
        logits = logits * scale
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    return logits


def chosen_logprobs(
    hidden_MD: Tensor, targets_M: Tensor, head: Head, temperature: float, chunk: int
) -> tuple[Tensor, Tensor]:
    """Log-probability of each target token and entropy of its distribution.

    Logits exist for `chunk` tokens at a time; where gradients are needed they are computed again in the backward
    pass instead of being kept. Under autocast the matrix products take its type; everything after them is float32,
    and so are the sums over chunks that gradients of the head are.

    Args:
        hidden_MD: `[M, D]` final hidden states at the positions that predict the targets.
        targets_M: `[M]` token ids.
        head: maps `[m, D]` hidden states to `[m, V]` logits; a `LinearHead` takes the least memory.
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
    if not len(targets_M):
        return hidden_MD.new_zeros(0, dtype=torch.float32), hidden_MD.new_zeros(0, dtype=torch.float32)
    mixed = torch.is_autocast_enabled(hidden_MD.device.type)
    several = hidden_MD.shape[0] > chunk
    if isinstance(head, LinearHead) and (several or mixed):
        dtype = torch.get_autocast_dtype(hidden_MD.device.type) if mixed else head.weight.dtype
        arguments = hidden_MD, head.weight, head.bias, targets_M, head, temperature, chunk, dtype
        found: tuple[Tensor, Tensor] = _LinearLogprobs.apply(*arguments)  # type: ignore[no-untyped-call]
        return found

    def score(hidden_mD: Tensor, targets_m: Tensor) -> tuple[Tensor, Tensor]:
        log_probs_mV = torch.log_softmax(head(hidden_mD).float() / temperature, dim=-1)
        entropy_m = -(log_probs_mV.exp() * log_probs_mV).sum(dim=-1)
        return log_probs_mV.gather(1, targets_m[:, None])[:, 0], entropy_m

    needs_gradient = torch.is_grad_enabled() and hidden_MD.requires_grad
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
    return torch.cat(logprobs), torch.cat(entropies)


class _LinearLogprobs(torch.autograd.Function):
    """`chosen_logprobs` of a linear head with its derivative written out.

    Autograd would round the head's gradient to the type of the products after every chunk; here chunks are summed in
    float32. It would also keep softmax and entropy of a chunk apart; here two buffers of logits are all there are.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden_MD: Tensor,
        weight_VD: Tensor,
        bias_V: Tensor | None,
        targets_M: Tensor,
        head: LinearHead,
        temperature: float,
        chunk: int,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        form = (head.scale, head.softcap)
        logprobs_M = hidden_MD.new_empty(len(targets_M), dtype=torch.float32)
        entropies_M = torch.empty_like(logprobs_M)
        with torch.autocast(hidden_MD.device.type, enabled=False):
            cast = _cast(weight_VD, bias_V, dtype)
            for part in _slices(len(targets_M), chunk):
                logits_mV = bend(F.linear(hidden_MD[part].to(dtype), *cast).float(), *form)
                log_probs_mV = torch.log_softmax(logits_mV / temperature, dim=-1)
                logprobs_M[part] = log_probs_mV.gather(1, targets_M[part, None])[:, 0]
                entropies_M[part] = -(log_probs_mV.exp().mul_(log_probs_mV)).sum(dim=-1)
        ctx.save_for_backward(hidden_MD, weight_VD, bias_V, targets_M, entropies_M)
        ctx.form, ctx.temperature, ctx.chunk, ctx.dtype = form, temperature, chunk, dtype
        return logprobs_M, entropies_M

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, logprob_grad_M: Tensor, entropy_grad_M: Tensor) -> tuple[Tensor | None, ...]:
        hidden_MD, weight_VD, bias_V, targets_M, entropies_M = ctx.saved_tensors
        temperature, dtype, (scale, softcap) = ctx.temperature, ctx.dtype, ctx.form
        wants_hidden, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        # float32, whatever the type of the products: rounding after each chunk would bias the training
        hidden_grad = torch.empty_like(hidden_MD, dtype=torch.float32) if wants_hidden else None
        weight_grad = torch.zeros_like(weight_VD, dtype=torch.float32) if wants_weight else None
        bias_grad = torch.zeros_like(bias_V, dtype=torch.float32) if wants_bias else None
        with torch.autocast(hidden_MD.device.type, enabled=False):
            cast = _cast(weight_VD, bias_V, dtype)
            for part in _slices(len(targets_M), ctx.chunk):
                hidden_mD = hidden_MD[part].to(dtype)
                logits_mV = bend(F.linear(hidden_mD, *cast).float(), scale, softcap)
                log_probs_mV = torch.log_softmax(logits_mV / temperature, dim=-1)
                # d logprob = onehot - p;  d entropy = -p * (log p + entropy)
                slope_m1, entropy_slope_m1 = logprob_grad_M[part, None], entropy_grad_M[part, None]
                probs_mV = log_probs_mV.exp()
                grad_mV = log_probs_mV.add_(entropies_M[part, None]).mul_(entropy_slope_m1).add_(slope_m1)
                grad_mV = grad_mV.mul_(probs_mV).neg_()
                grad_mV.scatter_add_(1, targets_M[part, None], slope_m1)
                grad_mV.mul_(scale / temperature)
                if softcap is not None:
                    grad_mV.mul_(1.0 - (logits_mV / softcap).square_())
                grad_cast = grad_mV.to(dtype)
                if hidden_grad is not None:
                    hidden_grad[part] = (grad_cast @ cast[0]).float()
                if weight_grad is not None:
                    weight_grad += (grad_cast.t() @ hidden_mD).float()
                if bias_grad is not None:
                    bias_grad += grad_mV.sum(dim=0)
        return hidden_grad, weight_grad, bias_grad, None, None, None, None, None


def _cast(weight_VD: Tensor, bias_V: Tensor | None, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
    return weight_VD.to(dtype), None if bias_V is None else bias_V.to(dtype)


def _slices(count: int, chunk: int) -> list[slice]:
    return [slice(start, start + chunk) for start in range(0, count, chunk)]
