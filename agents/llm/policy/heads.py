"""Finding out what a model makes of its last hidden state."""

from typing import Any

import torch
from torch import Tensor

from rlenvs.agents.llm.algorithm.logprobs import bend
from rlenvs.agents.llm.policy.adapters import base_of

LOUD = 100.0  # largest logit of the second trial: a cap that small logits hide shows there
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 2e-2, torch.float16: 5e-3}  # of the largest logit


@torch.no_grad()
def form_of_logits(model: Any) -> tuple[float, float | None] | None:
    """Find scale and soft-cap of the logits, by the configuration and by trial.

    Args:
        model: a causal language model, with or without adapters.

    Returns:
        `(scale, softcap)` with which logits are those of the output embedding; None for a model that does something
        else: its own forward pass must give the logits then.
    """
    base = base_of(model)
    trunk, head = base.base_model, base.get_output_embeddings()
    if trunk is base or head is None:
        return None
    config = base.config.get_text_config()
    cap = getattr(config, "final_logit_softcapping", None)
    scale = getattr(config, "logit_scale", None) or 1.0
    scale = float(scale) / float(getattr(config, "logits_scaling", None) or 1.0)
    form = (scale, None if cap is None else float(cap))
    return form if _trial(base, trunk, head, config.vocab_size, form) else None


def _trial(base: Any, trunk: Any, head: Any, vocabulary: int, form: tuple[float, float | None]) -> bool:
    """Compare with the model's own logits, once as they are and once loud."""
    probe = torch.arange(min(8, vocabulary), device=base.device)[None]
    hidden = trunk(input_ids=probe, use_cache=False).last_hidden_state
    raw = head(hidden)
    volume = LOUD / max(float(raw.abs().max()), 1e-6)
    tolerance = TOLERANCE.get(raw.dtype, 2e-2)
    for factor in (1.0, volume):
        hook = head.register_forward_hook(lambda _module, _inputs, output, by=factor: output * by)
        try:
            theirs = base(input_ids=probe, use_cache=False).logits.float()
        finally:
            hook.remove()
        ours = bend(raw.float() * factor, *form)
        if ours.shape != theirs.shape or not _close(ours, theirs, tolerance):
            return False
    return True


def _close(ours: Tensor, theirs: Tensor, tolerance: float) -> bool:
    return bool((ours - theirs).abs().max() <= tolerance * theirs.abs().max().clamp(min=1.0))
