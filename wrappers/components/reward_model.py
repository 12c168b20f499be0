"""Reward models: sequence classifiers of `transformers` that score a response to a prompt."""

import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from rlenvs.errors import DeviceError, ModelLoadError, ParameterError
from rlenvs.extras import require
from rlenvs.wrappers.base import BaseReward, FloatArray
from rlenvs.wrappers.component_registry import register_reward
from rlenvs.wrappers.judge.prompt import conversation
from rlenvs.wrappers.transition import Transition

if TYPE_CHECKING:
    import torch

MIN_LENGTH = 8
CHARS_PER_TOKEN = 64
"""Characters beyond this many per token are cut before tokenising, so that no text costs more than the model."""
Encoded = dict[str, list[int]]


@register_reward()
class HuggingFaceRewardModel(BaseReward):
    """The logit that a reward model gives to a response; 0 before a message ends.

    The chat goes through the tokenizer's chat template where there is one; otherwise the tokenizer gets prompt and
    response as a pair (as cross-encoders such as OpenAssistant's DeBERTa take them). What is longer than
    `max_length` tokens loses its beginning: first of the prompt, then of the response; a leading start token stays.
    Each score depends on its own row alone, to float32 rounding, whatever else is in the batch.

    Args:
        model_id: a folder made by `save_pretrained`, or a hub id. Loaded when it is first needed; only safetensors,
            no code of the repository.
        device: `auto` (CUDA where there is one), `cpu`, `cuda`, `cuda:1`, `mps`.
        max_length: tokens of prompt and response together, >= 8; fewer where the model has fewer positions.
        label_index: which logit; needed by models with several labels.
        normalize: map to [0, 1] by the model's own probability of the label: the sigmoid of the logit, or the
            softmax over labels that exclude each other. A fixed map without statistics.
        batch_size: rows in one forward pass, >= 1.
        dtype: of the weights.
        inputs: `chat`, `pair`, `text` (prompt, newline and response as one text), or `auto`: `chat` where the
            tokenizer has a template, else `pair`.
        revision: branch, tag or commit of a hub id.

    Range: (-inf, inf); [0, 1] with `normalize`.

    Raises:
        ParameterError: a parameter out of range, or a `label_index` that the model does not have.
        ModelLoadError: the model cannot be loaded, has no trained classification head, or no template for `chat`.
        DeviceError: the device does not exist here.
        MissingExtraError: torch or transformers is not installed.

    Source: Ouyang et al. 2022 (https://arxiv.org/abs/2203.02155);
    https://huggingface.co/OpenAssistant/reward-model-deberta-v3-large-v2.

    Example:
        >>> HuggingFaceRewardModel("OpenAssistant/reward-model-deberta-v3-large-v2").name
        'hf_OpenAssistant_reward_model_deberta_v3_large_v2'
    """

    effect: ClassVar[str] = (
        "writing what the reward model overrates: the length, style and phrases of its training data"
    )

    def __init__(
        self,
        model_id: str,
        device: str = "auto",
        max_length: int = 512,
        label_index: int | None = None,
        normalize: bool = False,
        batch_size: int = 8,
        dtype: Literal["float32", "bfloat16", "float16"] = "float32",
        inputs: Literal["auto", "chat", "pair", "text"] = "auto",
        revision: str | None = None,
    ) -> None:
        if not model_id:
            raise ParameterError("model_id", "must be a folder or a hub id, got ''")
        if max_length < MIN_LENGTH:
            raise ParameterError("max_length", f"must be >= {MIN_LENGTH}, got {max_length}")
        if batch_size < 1:
            raise ParameterError("batch_size", f"must be >= 1, got {batch_size}")
        if label_index is not None and label_index < 0:
            raise ParameterError("label_index", f"must be >= 0, got {label_index}")
        if dtype not in ("float32", "bfloat16", "float16"):
            raise ParameterError("dtype", f"must be float32, bfloat16 or float16, got {dtype!r}")
        if inputs not in ("auto", "chat", "pair", "text"):
            raise ParameterError("inputs", f"must be auto, chat, pair or text, got {inputs!r}")
        self.model_id = model_id
        self.device = device
        self.max_length = max_length
        self.label_index = label_index
        self.normalize = normalize
        self.batch_size = batch_size
        self.dtype = dtype
        self.inputs = inputs
        self.revision = revision
        self._loaded: _Classifier | None = None

    @property
    def name(self) -> str:
        """The name under which such a model's rewards are usually logged."""
        return "hf_" + self.model_id.replace("/", "_").replace("-", "_")

    def __call__(self, transition: Transition) -> float:
        """Score one message."""
        return float(self.batch([transition])[0])

    def batch(self, transitions: Sequence[Transition]) -> FloatArray:
        """Score N messages, `[N]`."""
        values = np.zeros(len(transitions))
        rows = [row for row, transition in enumerate(transitions) if transition.message_ended]
        if rows:
            values[rows] = self._score([conversation(transitions[row]) for row in rows])
        return values

    def score(self, prompts: Sequence[str], responses: Sequence[str]) -> FloatArray:
        """Score N responses to N prompts, `[N]`."""
        pairs = zip(prompts, responses, strict=True)
        return self.batch([Transition(prompt=prompt, response=response) for prompt, response in pairs])

    def warm_up(self) -> None:
        """Load the model now rather than with the first score."""
        if self._loaded is None:
            self._loaded = _load(self)

    def __getstate__(self) -> dict[str, object]:
        # Another process loads the model itself.
        return vars(self) | {"_loaded": None}

    def _score(self, chats: Sequence[list[dict[str, str]]]) -> FloatArray:
        self.warm_up()
        model = self._loaded
        assert model is not None
        encoded = [model.encode(chat) for chat in chats]
        values = np.empty(len(chats))
        for rows in _by_length([len(item["input_ids"]) for item in encoded], self.batch_size if model.pads else 1):
            values[rows] = model.forward([encoded[row] for row in rows])
        return values


class _Classifier:
    """A loaded model and how its inputs are written."""

    def __init__(self, model: Any, tokenizer: Any, settings: HuggingFaceRewardModel) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.max_length = min(settings.max_length, _positions(model))
        self.label = _label(model.config, settings.label_index)
        self.normalize = settings.normalize
        has_template = bool(getattr(tokenizer, "chat_template", None))
        if settings.inputs == "chat" and not has_template:
            raise ModelLoadError(
                f"the tokenizer of {settings.model_id!r} has no chat template; use inputs=pair or text"
            )
        self.inputs = ("chat" if has_template else "pair") if settings.inputs == "auto" else settings.inputs
        config = model.config.get_text_config()
        if config.pad_token_id is None:
            config.pad_token_id = tokenizer.pad_token_id
        # Without padding every row is a batch of its own. A stand-in token would be taken for padding where it is
        # the last token of a text, and the score would be read one token too early.
        self.pads = config.pad_token_id is not None and tokenizer.pad_token_id is not None

    def encode(self, chat: list[dict[str, str]]) -> Encoded:
        """Return the token ids of a chat, its beginning cut where it is too long."""
        limit = self.max_length * CHARS_PER_TOKEN
        chat = [{**message, "content": _encodable(message["content"])[-limit:]} for message in chat]
        prompt = "\n".join(message["content"] for message in chat[:-1])[-limit:]
        response = chat[-1]["content"]
        if self.inputs == "chat":
            text = self.tokenizer.apply_chat_template(chat, tokenize=False)
            encoded = self.tokenizer(text, add_special_tokens=False, return_special_tokens_mask=True, verbose=False)
        elif self.inputs == "pair":
            encoded = self.tokenizer(prompt, response, return_special_tokens_mask=True, verbose=False)
        else:
            encoded = self.tokenizer(f"{prompt}\n{response}", return_special_tokens_mask=True, verbose=False)
        columns = {name: list(values) for name, values in encoded.items()}
        kept = self._kept(columns.pop("special_tokens_mask"), columns["input_ids"])
        return {name: [values[place] for place in kept] for name, values in columns.items()}

    def _kept(self, special: list[int], ids: list[int]) -> list[int]:
        """Return the places that stay: the tokens that the tokenizer added, and the last ones of the text."""
        excess = len(ids) - self.max_length
        if excess <= 0:
            return list(range(len(ids)))
        fixed = [bool(mark) for mark in special]
        fixed[0] = fixed[0] or ids[0] == self.tokenizer.bos_token_id
        text = [place for place, is_fixed in enumerate(fixed) if not is_fixed]
        dropped = set(text[:excess])
        return [place for place in range(len(ids)) if place not in dropped]

    def forward(self, encoded: Sequence[Encoded]) -> FloatArray:
        """Return the values of one batch, `[B]`."""
        torch = require("torch", "llm", "HuggingFaceRewardModel")
        width = max(len(item["input_ids"]) for item in encoded)
        fill = {"input_ids": self.model.config.get_text_config().pad_token_id or 0}
        inputs = {
            name: torch.tensor(
                [item[name] + [fill.get(name, 0)] * (width - len(item[name])) for item in encoded],
                device=self.model.device,
            )
            for name in encoded[0]
        }
        with torch.inference_mode():
            logits_BC = self.model(**inputs).logits.float()
        values: FloatArray = self._values(logits_BC).double().cpu().numpy()
        return values

    def _values(self, logits_BC: "torch.Tensor") -> "torch.Tensor":
        if not self.normalize:
            return logits_BC[:, self.label]
        exclusive = logits_BC.shape[1] > 1 and self.model.config.problem_type != "multi_label_classification"
        return (logits_BC.softmax(-1) if exclusive else logits_BC.sigmoid())[:, self.label]


def _load(settings: HuggingFaceRewardModel) -> _Classifier:
    torch = require("torch", "llm", "HuggingFaceRewardModel")
    transformers = require("transformers", "llm", "HuggingFaceRewardModel")
    safetensors = require("safetensors", "llm", "HuggingFaceRewardModel")
    device = _device(settings.device)
    source = {"pretrained_model_name_or_path": settings.model_id, "trust_remote_code": False}
    if settings.revision is not None:
        source["revision"] = settings.revision
    # What they raise for folders that are not what they claim to be.
    load_errors = (OSError, ValueError, LookupError, TypeError, RuntimeError, AttributeError, ImportError)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(**source)
        model, report = transformers.AutoModelForSequenceClassification.from_pretrained(
            **source, use_safetensors=True, dtype=getattr(torch, settings.dtype), output_loading_info=True
        )
    except (*load_errors, safetensors.SafetensorError) as error:
        here = Path(settings.model_id).exists()
        kind = "folder" if here else "hub id (and no folder of that name exists here)"
        first_line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ModelLoadError(f"cannot load {kind} {settings.model_id!r} as a reward model: {first_line}") from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelLoadError(
            f"{settings.model_id!r} is no reward model: it has no weights for {', '.join(missing[:3])}, "
            "which would be random; use a sequence classifier"
        )
    return _Classifier(model.to(device), tokenizer, settings)


def _device(name: str) -> "torch.device":
    torch = require("torch", "llm", "HuggingFaceRewardModel")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device: Any = torch.device(name)
    except RuntimeError:
        raise ParameterError("device", f"must be auto, cpu, cuda, cuda:N or mps, got {name!r}") from None
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (device.index or 0) >= there.get(device.type, 0):
        raise DeviceError(
            f"device {name!r} was asked for but torch does not see it here; use device=auto or device=cpu"
        )
    return device  # type: ignore[no-any-return]


def _label(config: Any, label_index: int | None) -> int:
    labels = {int(index): str(label) for index, label in config.id2label.items()}
    if label_index is None and len(labels) > 1:
        raise ParameterError(
            "label_index", f"is needed: the model has {len(labels)} labels ({_listed(labels.items())})"
        )
    if label_index is not None and label_index >= len(labels):
        raise ParameterError("label_index", f"must be < {len(labels)} ({_listed(labels.items())}), got {label_index}")
    return label_index or 0


def _positions(model: Any) -> int:
    """Return how many tokens the model has positions for, with those that RoBERTa's kind leaves out for padding."""
    limit = int(getattr(model.config.get_text_config(), "max_position_embeddings", None) or sys.maxsize)
    for name, module in model.named_modules():
        padding = getattr(module, "padding_idx", None)
        if name.endswith("position_embeddings") and padding is not None:
            limit = min(limit, int(module.num_embeddings) - padding - 1)
    return limit


def _listed(labels: Iterable[tuple[int, str]]) -> str:
    return ", ".join(f"{index}: {label}" for index, label in sorted(labels)[:8])


def _by_length(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Yield rows of about the same length together: padding is work for nothing."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    for start in range(0, math.ceil(len(order) / batch_size) * batch_size, batch_size):
        yield order[start : start + batch_size]


def _encodable(text: str) -> str:
    """Replace halves of surrogate pairs, which tokenizers refuse."""
    return text.encode("utf-8", "replace").decode()
