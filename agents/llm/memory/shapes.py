"""A run's model without its memory: sizes of what it holds, and of what its passes need."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from rlenvs.agents.llm.algorithm.logprobs import LinearHead, chosen_logprobs
from rlenvs.agents.llm.config import TrainConfig
from rlenvs.agents.llm.engines.sampling import pick
from rlenvs.agents.llm.engines.scheduling import PREFILL_TOKENS
from rlenvs.agents.llm.memory.tracing import (
    NOT_TRACEABLE,
    fake_tensors,
    give_gradients,
    largest,
    make_fake,
    nbytes,
    peak_bytes,
)
from rlenvs.agents.llm.policy import adapters, checkpointing
from rlenvs.agents.llm.policy.options import ForwardOptions
from rlenvs.errors import ModelLoadError
from rlenvs.extras import require

QUANTISED_BYTES = {"8bit": 1 + 1 / 1024, "4bit": 0.5 + 4 / 64}
"""Bytes per weight of a linear layer: 8 bits and a scale per row, or 4 bits and a float32 scale per 64."""
CACHE_PROBE = 8  # tokens
IN_PROCESS = ("auto", "static", "generate")


class Shapes:
    """The model of a run on fake tensors.

    Args:
        config: the run.
        model_config: of the model.

    Attributes:
        notes: what could not be found out.

    Raises:
        ModelLoadError: `transformers` cannot build the model from its configuration.
    """

    def __init__(self, config: TrainConfig, model_config: Any) -> None:
        self.config = config
        self.options = ForwardOptions.from_config(config.memory)
        self.notes: list[str] = []
        self.fake = fake_tensors()
        policy = config.policy
        dtype = torch.float32 if policy.adapter is None else getattr(torch, policy.dtype)
        # Kernels that need a GPU or a package keep about as much as torch's own does.
        attention = policy.attention if policy.attention in ("eager", "sdpa") else None
        transformers = require("transformers", "llm", "the memory estimate")
        # Built on the device `meta`: peft moves its layers, which fake tensors do not allow.
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            try:
                model = transformers.AutoModelForCausalLM.from_config(
                    model_config, dtype=dtype, attn_implementation=attention
                ).eval()
            except NOT_TRACEABLE as error:
                raise ModelLoadError(f"{type(model_config).__name__} builds no language model: {error}") from error
            self.quantised_away = self._quantised_away(model)
            trunk = self._critic_trunk(model)
            self.model: Any = model if policy.adapter is None else adapters.attach(model, policy.adapter)
            if config.ppo.critic == "adapter" and config.ppo.uses_critic:
                adapters.duplicate(self.model, adapters.CRITIC, trainable=True)
        with self.fake:
            make_fake(self.model)
            self.critic = None if trunk is None else make_fake(trunk)

    def weights(self) -> int:
        """Bytes of the policy's parameters and buffers, adapters included."""
        return nbytes([*self.model.parameters(), *self.model.buffers()]) - self.quantised_away

    def critic_bytes(self) -> int:
        """Bytes of the critic's own trunk, where it has one."""
        return 0 if self.critic is None else nbytes(self.critic.parameters())

    def decode_copy(self) -> int:
        """Bytes of the copy of the weights that the engine decodes with."""
        engine = self.config.rollout.engine
        if engine.dtype is None or engine.name not in ("auto", "static"):
            return 0
        itemsize = getattr(torch, engine.dtype).itemsize
        return sum(parameter.numel() * itemsize for parameter in self.model.parameters())

    def trained(self) -> list[nn.Parameter]:
        """The parameters that have gradients and moments."""
        modules = [self.model, *([] if self.critic is None else [self.critic])]
        return [parameter for module in modules for parameter in module.parameters() if parameter.requires_grad]

    def trained_bytes(self) -> int:
        """Bytes of those."""
        return nbytes(self.trained())

    def rows(self, available: int) -> int:
        """Episodes per micro-batch when all are as long as they may be."""
        memory, length = self.config.memory, self.config.rollout.context_tokens
        rows = min(memory.micro_batch_size, available)
        return rows if memory.micro_batch_tokens is None else max(1, min(rows, memory.micro_batch_tokens // length))

    def decoded_rows(self) -> int:
        """Sequences that are decoded at once."""
        config = self.config
        return min(config.rollout.batch_size, max(config.rollout.episodes, config.evaluation.problems))

    def cache(self) -> int:
        """Bytes of the keys and values of everything that is decoded at once."""
        rollout = self.config.rollout
        if rollout.engine.name not in IN_PROCESS:
            return 0

        held = 0
        with self._tracing("keys and values"), torch.no_grad():
            past = self.model(**_inputs(1, CACHE_PROBE), use_cache=True, logits_to_keep=1).past_key_values
            held = nbytes(tensor for layer in past.layers for tensor in (layer.keys, layer.values))
        dtype = rollout.engine.dtype if rollout.engine.name != "generate" else None
        if dtype is not None:
            held = held * getattr(torch, dtype).itemsize // self.model.dtype.itemsize
        return held // CACHE_PROBE * rollout.context_tokens * self.decoded_rows()

    def rollout_pass(self) -> int:
        """Bytes that reading prompts and choosing tokens need for a while."""
        rollout = self.config.rollout
        if rollout.engine.name not in IN_PROCESS:
            return 0
        rows, length = self.decoded_rows(), rollout.context_tokens - rollout.max_new_tokens
        read = max(1, min(rows, PREFILL_TOKENS // length))

        def choose() -> None:
            logits_BV = self._head()(torch.zeros(rows, self._width(), dtype=self.model.dtype))
            pick(logits_BV, torch.ones(rows), torch.zeros(rows, dtype=torch.float64), greedy=True)

        reading = self._peak("reading prompts", lambda: self._features(self._trunk(), read, length))
        return max(reading, self._peak("choosing tokens", choose))

    def scoring_pass(self) -> int:
        """Bytes that scoring one micro-batch needs for a while."""
        rows, length = self.rows(self.config.rollout.episodes), self.config.rollout.context_tokens

        def score() -> None:
            with self._autocast():
                self._logprobs(self._features(self._trunk(), rows, length))

        return self._peak("scoring", score)

    def update_pass(self) -> int:
        """Bytes that the losses of one micro-batch and their gradients need for a while, gradients not counted."""
        config = self.config
        rows = self.rows(-(-config.rollout.episodes // config.ppo.minibatches))
        length = config.rollout.context_tokens
        layers = self._checkpointed_layers()
        with self.fake:
            give_gradients(self.trained())
        passes = {"copy": [self.critic], "adapter": [self._trunk()]} if config.ppo.uses_critic else {}

        def learn() -> None:
            with self._autocast(), checkpointing.checkpointed(layers):
                loss = self._logprobs(self._features(self._trunk(), rows, length)).sum()
                for trunk in passes.get(config.ppo.critic, []):
                    loss = loss + self._features(trunk, rows, length).float().sum()
            with checkpointing.checkpointed(layers):
                torch.autograd.backward(loss)

        with torch.enable_grad():
            needed = self._peak("the update", learn, gradients=True)
        return needed + self._dequantised()

    def _peak(self, what: str, work: Callable[[], object], gradients: bool = False) -> int:
        modules = [self.model, *([] if self.critic is None else [self.critic])]
        held: list[Tensor] = [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]
        held += [tensor.grad for tensor in held if tensor.grad is not None]
        found = 0
        with self._tracing(what), torch.set_grad_enabled(gradients):
            found = peak_bytes(work, held)
        return found

    @contextmanager
    def _tracing(self, what: str) -> Iterator[None]:
        try:
            with self.fake:
                yield
        except NOT_TRACEABLE as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            self.notes.append(f"not counted: what {what} needs; this model cannot be traced ({reason})")

    def _features(self, trunk: Any, rows: int, length: int) -> Tensor:
        """Return the last hidden states `[rows, length, D]` of one pass."""
        hidden_BLD: Tensor = trunk(**_inputs(rows, length), use_cache=False).last_hidden_state
        return hidden_BLD

    def _logprobs(self, hidden_BLD: Tensor) -> Tensor:
        hidden_MD = hidden_BLD[:, :-1].reshape(-1, hidden_BLD.shape[-1])
        targets_M = torch.zeros(len(hidden_MD), dtype=torch.long)
        return sum(chosen_logprobs(hidden_MD, targets_M, self._head(), 1.0, self.options.logprob_chunk))  # type: ignore[return-value]

    def _trunk(self) -> Any:
        return adapters.base_of(self.model).base_model

    def _head(self) -> LinearHead:
        layer = self.model.get_output_embeddings()
        return LinearHead(layer.weight, getattr(layer, "bias", None))

    def _width(self) -> int:
        return int(self.model.get_output_embeddings().weight.shape[1])

    def _autocast(self) -> Any:
        dtype = self.options.autocast
        return nullcontext() if dtype is None else torch.autocast("cpu", dtype=dtype)

    def _checkpointed_layers(self) -> list[Any]:
        if not self.options.gradient_checkpointing:
            return []
        trunks = [self._trunk(), *([self.critic] if self.critic is not None else [])]
        return [layer for trunk in trunks for layer in checkpointing.prepare(trunk, None)]

    def _critic_trunk(self, model: Any) -> Any:
        """Return the critic's own trunk in float32, where it has one."""
        if not self.config.ppo.uses_critic or self.config.ppo.critic != "copy":
            return None
        return copy.deepcopy(model.base_model).float()

    def _quantised_away(self, model: Any) -> int:
        """Return the bytes that quantisation saves."""
        kind = self.config.policy.quantize
        if kind is None:
            return 0
        quantised = list(_quantised_weights(model))
        return sum(weight.nbytes for weight in quantised) - int(
            sum(weight.numel() for weight in quantised) * QUANTISED_BYTES[kind]
        )

    def _dequantised(self) -> int:
        """Bytes of the largest quantised layer in the type that it is computed in."""
        if self.config.policy.quantize is None:
            return 0
        return largest(_quantised_weights(adapters.base_of(self.model)))


def _quantised_weights(model: Any) -> Iterator[Tensor]:
    """Yield the weights that bitsandbytes holds in few bits: those of all linear layers but the output embedding."""
    head = model.get_output_embeddings()
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and module is not head and "lora_" not in name:
            yield module.weight


def _inputs(rows: int, length: int) -> dict[str, Tensor]:
    ids_BL = torch.zeros(rows, length, dtype=torch.long)
    return {"input_ids": ids_BL, "attention_mask": torch.ones_like(ids_BL)}
