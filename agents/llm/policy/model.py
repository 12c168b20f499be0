"""A causal language model with a value head on its trunk."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from rlenvs.agents.llm.algorithm.logprobs import chosen_logprobs
from rlenvs.errors import DeviceError, ModelLoadError
from rlenvs.extras import require

# What transformers, tokenizers and safetensors raise for folders that are not what they claim to be.
LOAD_ERRORS = (OSError, ValueError, LookupError, TypeError, RuntimeError, AttributeError, ImportError, SafetensorError)
VALUE_HEAD_FILE = "value_head.safetensors"
PROBE_TOLERANCE = 1e-3  # of log-probabilities; bfloat16 heads differ by less, a missed soft-cap by far more


@dataclass(slots=True)
class Evaluation:
    """What a policy says of the action tokens of some sequences, all float32.

    Attributes:
        logprobs_M: log-probability of each action token, row by row; empty where not asked for.
        entropies_M: entropy of the distribution that each was drawn from, nats; empty where not asked for.
        values_M: V before each action token; empty where not asked for.
        last_values_B: V of the state after each row's last token; empty where not asked for.
    """

    logprobs_M: Tensor
    entropies_M: Tensor
    values_M: Tensor
    last_values_B: Tensor


class Policy(nn.Module):
    """Any `AutoModelForCausalLM` with its tokenizer and a linear value head on the last hidden state.

    The head starts at zero, so that V = 0 until it has learned something. Dropout is off for good: the ratio
    between new and old policy would be noise otherwise.

    Args:
        model: a causal language model of `transformers`.
        tokenizer: its tokenizer, with an end-of-sequence token.

    Raises:
        ModelLoadError: the tokenizer has no end-of-sequence token.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__()
        self.model = model.eval()
        self.tokenizer = tokenizer
        if tokenizer.eos_token_id is None:
            raise ModelLoadError(f"the tokenizer of {model.name_or_path!r} has no eos_token: answers could never end")
        self.eos_id = int(tokenizer.eos_token_id)
        self.eos_ids = _closing_ids(model, self.eos_id)
        self.pad_id = int(self.eos_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id)
        hidden_size = model.get_output_embeddings().weight.shape[1]
        # skip_init: the usual random weights would be drawn from the global stream only to be overwritten.
        self.value_head = nn.utils.skip_init(nn.Linear, hidden_size, 1, dtype=torch.float32, device=model.device)
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)
        self.forward_arguments = frozenset(inspect.signature(model.forward).parameters)
        self.head_is_linear = _head_is_linear(model)
        self.critic_is_detached = True
        self.logprob_chunk = 1_024

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.value_head.weight.device
        return device

    def parameter_count(self) -> int:
        """Number of parameters of the language model and the value head."""
        return sum(parameter.numel() for parameter in self.parameters())

    def policy_parameters(self) -> list[nn.Parameter]:
        """What the policy loss trains."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def critic_parameters(self) -> list[nn.Parameter]:
        """What only the value loss trains."""
        return list(self.value_head.parameters())

    def evaluate(
        self,
        ids_BL: Tensor,
        attention_BL: Tensor,
        action_BL: Tensor,
        temperature: float,
        *,
        with_logprobs: bool = True,
        with_values: bool = True,
        detach_features: bool = False,
    ) -> Evaluation:
        """Score the action tokens of right-padded sequences.

        Args:
            ids_BL: `[B, L]` token ids.
            attention_BL: `[B, L]` bool, False on padding.
            action_BL: `[B, L]` bool, True where the token was sampled by the policy; never at position 0.
            temperature: divides the logits, as it did in sampling.
            with_logprobs: compute log-probabilities and entropies.
            with_values: compute values.
            detach_features: keep the gradient of the values from reaching the trunk, whatever kind of critic it is.
        """
        hidden_BLD, logits_BLV = self._forward(ids_BL, attention_BL)
        # The state before token t is predicted from, and valued at, position t - 1.
        before_BL = torch.zeros_like(action_BL)
        before_BL[:, :-1] = action_BL[:, 1:]
        hidden_MD = hidden_BLD[before_BL]
        targets_M = ids_BL[action_BL]
        nothing = hidden_MD.new_zeros(0, dtype=torch.float32)
        found = Evaluation(nothing, nothing, nothing, nothing)
        if with_logprobs:
            features_MX = hidden_MD if logits_BLV is None else logits_BLV[before_BL]
            head = self._head() if logits_BLV is None else _identity
            found.logprobs_M, found.entropies_M = chosen_logprobs(
                features_MX, targets_M, head, temperature, self.logprob_chunk
            )
        if with_values:
            detached = detach_features or self.critic_is_detached
            found.values_M = self.value_head((hidden_MD.detach() if detached else hidden_MD).float())[:, 0]
            last_B = attention_BL.long().sum(dim=1) - 1
            last_hidden_BD = hidden_BLD[torch.arange(len(last_B), device=last_B.device), last_B]
            found.last_values_B = self.value_head(last_hidden_BD.detach().float())[:, 0]
        return found

    def message_text(self, ids: Sequence[int]) -> str:
        """Decode what the policy sampled. Only its closing token goes; other special tokens stay visible to graders."""
        content = ids[:-1] if ids and ids[-1] in self.eos_ids else ids
        return str(self.tokenizer.decode(content, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def save(self, folder: str | Path) -> None:
        """Write an ordinary `save_pretrained` folder, and the value head beside it in a file of its own."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        head = {name: tensor.detach().cpu().contiguous() for name, tensor in self.value_head.state_dict().items()}
        save_file(head, Path(folder) / VALUE_HEAD_FILE)

    def _forward(self, ids_BL: Tensor, attention_BL: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return last hidden states, and logits only where the model does more than a linear head."""
        inputs = {"input_ids": ids_BL, "attention_mask": attention_BL.long(), "use_cache": False}
        if self.head_is_linear:
            return self.model.base_model(**inputs).last_hidden_state, None
        output = self.model(**inputs, output_hidden_states=True)
        return output.hidden_states[-1], output.logits

    def _head(self) -> Callable[[Tensor], Tensor]:
        head: Callable[[Tensor], Tensor] = self.model.get_output_embeddings()
        return head


def _identity(logits: Tensor) -> Tensor:
    return logits


def _closing_ids(model: Any, eos_id: int) -> tuple[int, ...]:
    """Return every id that ends a message: chat models often close turns with another token than the tokenizer's."""
    configured = model.generation_config.eos_token_id if model.generation_config is not None else None
    listed = configured if isinstance(configured, list) else [configured]
    return tuple(sorted({eos_id, *(int(token) for token in listed if token is not None)}))


@torch.no_grad()
def _head_is_linear(model: Any) -> bool:
    """Tell by trial whether logits are just the output embedding of the trunk's last hidden state.

    Some architectures scale or soft-cap their logits. For them the model's own forward pass gives the logits, a
    micro-batch at a time. A soft-cap hardly shows in the small logits of a trial, so the configuration is asked too.
    """
    config = model.config.get_text_config()
    scales = (getattr(config, key, None) for key in ("final_logit_softcapping", "logit_scale", "logits_scaling"))
    if any(scale not in (None, 1, 1.0) for scale in scales):
        return False
    probe = torch.arange(min(8, model.config.get_text_config().vocab_size), device=model.device)[None]
    trunk = model.base_model
    if trunk is model:
        return False
    ours = model.get_output_embeddings()(trunk(input_ids=probe, use_cache=False).last_hidden_state)
    theirs = model(input_ids=probe, use_cache=False).logits
    if ours.shape != theirs.shape:
        return False
    difference = ours.float().log_softmax(-1) - theirs.float().log_softmax(-1)
    return bool(difference.abs().max() < PROBE_TOLERANCE)


def resolve_device(name: str) -> torch.device:
    """Return the device that `auto`, `cpu` or `cuda` means here.

    Raises:
        DeviceError: CUDA was asked for and there is none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError("device 'cuda' was asked for but torch sees no CUDA device; use device=auto or device=cpu")
    return torch.device(name)


def load_policy(source: str | Path, device: torch.device) -> Policy:
    """Load a folder or a hub id in float32, with the value head where the folder has one.

    Args:
        source: a folder made by `save_pretrained`, or a hub id.
        device: where the weights go.

    Raises:
        ModelLoadError: it cannot be loaded; the message says why.
        MissingExtraError: transformers is not installed.
    """
    transformers = require("transformers", "llm", "loading a language model")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(source)
        model = transformers.AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
        policy = Policy(model.to(device), tokenizer)
        head = Path(source) / VALUE_HEAD_FILE
        if head.is_file():
            policy.value_head.load_state_dict(load_file(head, device=str(device)))
    except LOAD_ERRORS as error:
        if isinstance(error, ModelLoadError):
            raise
        kind = "folder" if Path(source).exists() else "hub id (and no folder of that name exists here)"
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelLoadError(f"cannot load {kind} {str(source)!r} as a causal language model: {first_line}") from error
    return policy
