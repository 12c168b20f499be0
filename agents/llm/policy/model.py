"""A causal language model with a critic."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rlenvs.agents.llm.algorithm.logprobs import Head, LinearHead, bend, chosen_logprobs
from rlenvs.agents.llm.policy import adapters, beside, checkpointing, varlen
from rlenvs.agents.llm.policy.adapters import CRITIC, DEFAULT, base_of
from rlenvs.agents.llm.policy.critics import Critic, CriticKind
from rlenvs.agents.llm.policy.folders import save_policy
from rlenvs.agents.llm.policy.heads import form_of_logits
from rlenvs.agents.llm.policy.layouts import Layout, packed, padded
from rlenvs.agents.llm.policy.options import ForwardOptions
from rlenvs.errors import ConfigError, ModelLoadError, RunFolderError

PACKING_TOLERANCE = 1e-3  # of hidden states of about 1; half precision differs by less, a leak by far more


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
    """Any `AutoModelForCausalLM` with its tokenizer and a critic.

    Dropout is off for good: the ratio between new and old policy would be noise otherwise.

    Args:
        model: a causal language model of `transformers`, or a `PeftModel` around one: then its adapter `default` is
            trained and the base stays as it is.
        tokenizer: its tokenizer, with an end-of-sequence token.
        critic: where values come from; see `critics`.
        options: how passes are computed.

    Raises:
        ModelLoadError: the tokenizer has no end-of-sequence token.
        ConfigError: this model cannot have that critic or those options.
    """

    def __init__(
        self, model: Any, tokenizer: Any, critic: CriticKind = "detached", options: ForwardOptions | None = None
    ) -> None:
        super().__init__()
        self.model = model.eval()
        self.tokenizer = tokenizer
        if tokenizer.eos_token_id is None:
            raise ModelLoadError(f"the tokenizer of {model.name_or_path!r} has no eos_token: answers could never end")
        self.eos_id = int(tokenizer.eos_token_id)
        self.eos_ids = _closing_ids(model, self.eos_id)
        # Padding is masked everywhere: for models without a token of its own for it, any will do.
        self.pad_id = int(self.eos_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id)
        self.critic = Critic(critic, model)
        self._layers = adapters.switchable_layers(model)
        self._form = form_of_logits(model)
        self._compiled: dict[str, Any] = {}
        self._checkpointed: dict[str, list[Any]] = {}
        self.options = options or ForwardOptions()
        if self.options.packing == "auto":
            self.options = replace(self.options, packing=self._packs_well())
        elif self.options.packing:
            self._check_packing()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.critic.head.weight.device
        return device

    @property
    def value_head(self) -> nn.Module:
        """The layer that makes values of features."""
        return self.critic.head

    @property
    def has_adapters(self) -> bool:
        """Whether an adapter is trained on a frozen base."""
        return adapters.has_adapters(self.model)

    @property
    def head_is_linear(self) -> bool:
        """Whether logits are the output embedding of the last hidden state, but for a scale and a cap."""
        return self._form is not None

    def parameter_count(self) -> int:
        """Number of parameters of the language model and the critic."""
        return sum(parameter.numel() for parameter in self.parameters())

    def policy_parameters(self) -> list[nn.Parameter]:
        """What the policy loss trains."""
        others = {id(parameter) for parameter in self.critic_parameters()}
        return [p for p in self.model.parameters() if p.requires_grad and id(p) not in others]

    def critic_parameters(self) -> list[nn.Parameter]:
        """What only the value loss trains."""
        own = list(self.critic.parameters())
        if self.critic.kind == "adapter":
            own += [parameter for _, parameter in adapters.adapter_parameters(self.model, CRITIC)]
        return own

    def train(self, mode: bool = True) -> "Policy":
        """Stay as it is: there is no dropout in training either."""
        return self

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
        """Score the action tokens of padded sequences.

        Args:
            ids_BL: `[B, L]` token ids, padded on either side.
            attention_BL: `[B, L]` bool, False on padding.
            action_BL: `[B, L]` bool, True where the token was sampled by the policy; never on a sequence's first.
            temperature: divides the logits, as it did in sampling.
            with_logprobs: compute log-probabilities and entropies.
            with_values: compute values.
            detach_features: keep the gradient of the values from reaching the policy, whatever kind of critic it is.
        """
        layout = (packed if self.options.packing else padded)(ids_BL, attention_BL, action_BL)
        detach = detach_features or self.critic.kind == "detached"
        empty = torch.zeros(0, device=ids_BL.device)
        found = Evaluation(empty, empty, empty, empty)
        hidden = None
        if with_logprobs or (with_values and not self.critic.has_own_pass):
            with torch.set_grad_enabled(torch.is_grad_enabled() and (with_logprobs or not detach)):
                hidden, features_MX, head = self._policy_pass(layout, with_logprobs)
                if with_logprobs:
                    with self._precision():
                        found.logprobs_M, found.entropies_M = chosen_logprobs(
                            features_MX, ids_BL[action_BL], head, temperature, self.options.logprob_chunk
                        )
        if with_values:
            if hidden is None or self.critic.has_own_pass:
                hidden, detach = self._critic_pass(layout), False
            features_MD = hidden[layout.before]
            found.values_M = self.critic.values(features_MD.detach() if detach else features_MD)
            found.last_values_B = self.critic.values(hidden[layout.last].detach())
        return found

    def message_text(self, ids: Sequence[int]) -> str:
        """Decode what the policy sampled. Only its closing token goes; other special tokens stay visible to graders."""
        content = ids[:-1] if ids and ids[-1] in self.eos_ids else ids
        return str(self.tokenizer.decode(content, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def save(self, folder: str | Path) -> None:
        """Write an ordinary `save_pretrained` folder, or one of PEFT, and the critic beside it in files of its own."""
        save_policy(self.model, self.tokenizer, self.critic, folder)

    def name_base(self, source: str | Path) -> None:
        """Let saved adapters say that this is what they were trained on; nothing where all weights are trained."""
        if self.has_adapters:
            self.model.peft_config[DEFAULT].base_model_name_or_path = str(source)

    def using_adapter(self, name: str | None) -> AbstractContextManager[None]:
        """Evaluate with another adapter for a while; None for the bare base."""
        return adapters.using(self._layers, name)

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Return the weights that training changes: all, or adapters and critic where the base is frozen."""
        state: dict[str, Any] = super().state_dict(*args, **kwargs)
        if not self.has_adapters or args or kwargs.get("prefix"):
            return state
        trained = {DEFAULT, CRITIC}
        return {
            name: tensor
            for name, tensor in state.items()
            if not name.startswith("model.") or trained & set(name.split("."))
        }

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Take the weights that `state_dict` returned.

        Raises:
            RunFolderError: they are of another model; nothing was changed.
        """
        there, wanted = set(state_dict), set(self.state_dict())
        if strict and there != wanted:
            raise RunFolderError(
                f"the weights are of another model: {len(wanted - there)} missing, {len(there - wanted)} too many, "
                f"such as {min(there ^ wanted)!r}"
            )
        return super().load_state_dict(state_dict, strict=False, assign=assign)

    def _policy_pass(self, layout: Layout, with_logits: bool) -> tuple[Tensor, Tensor, Head]:
        """Return hidden states, what the head takes at the places that predict action tokens, and the head."""
        base = base_of(self.model)
        if self._form is not None or not with_logits:
            hidden = self._hidden(base.base_model, layout)
            return hidden, hidden[layout.before], self._head()
        inputs, before = layout.inputs, layout.before
        columns = torch.arange(before.shape[1], device=before.device)
        if "logits_to_keep" in inspect.signature(base.forward).parameters:
            columns = before.any(dim=0).nonzero()[:, 0]
            inputs = inputs | {"logits_to_keep": columns}
        with self._pass(base, layout):
            output = base(**inputs, output_hidden_states=True)
        return output.hidden_states[-1], output.logits[before[:, columns]], _identity

    def _critic_pass(self, layout: Layout) -> Tensor:
        if self.critic.trunk is not None:
            return self._hidden(self.critic.trunk, layout)
        with self.using_adapter(CRITIC):
            return self._hidden(base_of(self.model).base_model, layout)

    def _hidden(self, trunk: Any, layout: Layout) -> Tensor:
        run = trunk
        if self.options.compile:
            owner = self._owner(trunk)
            if owner not in self._compiled:
                self._compiled[owner] = torch.compile(trunk, dynamic=True)
            run = self._compiled[owner]
        with self._pass(trunk, layout):
            hidden: Tensor = run(**layout.inputs).last_hidden_state
        return hidden

    @contextmanager
    def _pass(self, trunk: Any, layout: Layout) -> Iterator[None]:
        """Precision, attention kernel and checkpoints of a pass."""
        layers: list[Any] = []
        if self.options.gradient_checkpointing and torch.is_grad_enabled():
            owner = self._owner(trunk)
            if owner not in self._checkpointed:
                self._checkpointed[owner] = checkpointing.prepare(trunk, self._contexts(trunk.config))
            layers = self._checkpointed[owner]
        with self._precision(), self._kernel(trunk, layout), checkpointing.checkpointed(layers):
            yield

    def _owner(self, trunk: Any) -> str:
        return "critic" if trunk is self.critic.trunk else "policy"

    def _precision(self) -> AbstractContextManager[None]:
        if self.options.autocast is None:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.options.autocast)

    def _kernel(self, trunk: Any, layout: Layout) -> AbstractContextManager[None]:
        in_pack = "cu_seq_lens_q" in layout.inputs
        if in_pack and varlen.fits(trunk, self.device, self.options.autocast or trunk.dtype):
            varlen.register()
            return varlen.attention(trunk.config, varlen.NAME)
        if in_pack and not self.options.compile and beside.fits(trunk, self.device):
            beside.register()
            return varlen.attention(trunk.config, beside.NAME)
        return nullcontext()

    def _contexts(self, config: Any) -> checkpointing.Contexts | None:
        """Return what makes a layer's second run use what its first run used; None where nothing ever changes.

        Args:
            config: of the trunk that the layer is in; its layers look up their attention kernel there.
        """
        if self.options.compile or (self.critic.kind != "adapter" and not self.options.packing):
            return None  # compiled layers run again as they were traced

        def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
            return nullcontext(), self._as_now(config, config._attn_implementation, adapters.in_use(self._layers))

        return contexts

    @contextmanager
    def _as_now(self, config: Any, kernel: str, adapter: str | None) -> Iterator[None]:
        with varlen.attention(config, kernel), self.using_adapter(adapter):
            yield

    def _head(self) -> Head:
        layer = base_of(self.model).get_output_embeddings()
        scale, softcap = self._form or (1.0, None)
        if type(layer) is nn.Linear:  # subclasses hold their weights otherwise
            return LinearHead(layer.weight, layer.bias, scale, softcap)
        return _BentHead(layer, scale, softcap)

    def _packs_well(self) -> bool:
        """Whether packing saves time here and changes nothing."""
        trunk = base_of(self.model).base_model
        if self.options.compile or not beside.fits(trunk, self.device):
            return False
        try:
            self._check_packing()
        except (ConfigError, TypeError, ValueError, RuntimeError):  # models that cannot fail each in its own way
            return False
        return True

    @torch.no_grad()
    def _check_packing(self) -> None:
        """Try whether sequences of a pack see each other.

        Raises:
            ConfigError: they do.
        """
        ids_BL = torch.tensor([[3, 4, 5, 6], [7, 8, 9, 10]], device=self.device) % self._vocabulary()
        mask_BL = torch.ones_like(ids_BL, dtype=torch.bool)
        trunk = base_of(self.model).base_model
        side_by_side = self._hidden(trunk, padded(ids_BL, mask_BL, mask_BL)).flatten(0, 1)
        behind = self._hidden(trunk, packed(ids_BL, mask_BL, mask_BL))[0]
        limit = PACKING_TOLERANCE * (1 if side_by_side.dtype == torch.float32 and self.options.autocast is None else 50)
        if (side_by_side - behind).abs().max() > limit * side_by_side.abs().max().clamp(min=1.0):
            raise ConfigError(
                f"memory.packing: layers of {trunk.config.model_type!r} see across packed sequences; leave it off"
            )

    def _vocabulary(self) -> int:
        return int(base_of(self.model).get_input_embeddings().weight.shape[0])


@dataclass(frozen=True)
class _BentHead:
    """A head that is a module of its own kind: quantised, adapted."""

    layer: nn.Module
    scale: float
    softcap: float | None

    def __call__(self, hidden_mD: Tensor) -> Tensor:
        raw: Tensor = self.layer(hidden_mD)
        return bend(raw, self.scale, self.softcap)


def _identity(logits: Tensor) -> Tensor:
    return logits


def _closing_ids(model: Any, eos_id: int) -> tuple[int, ...]:
    """Return every id that ends a message: chat models often close turns with another token than the tokenizer's."""
    configured = model.generation_config.eos_token_id if model.generation_config is not None else None
    listed = configured if isinstance(configured, list) else [configured]
    return tuple(sorted({eos_id, *(int(token) for token in listed if token is not None)}))
