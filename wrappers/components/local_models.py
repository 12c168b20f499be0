"""Models from a local folder that judge texts: loaded on first use, never downloaded."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rlenvs.errors import DeviceError, ModelLoadError
from rlenvs.extras import require
from rlenvs.suggestions import did_you_mean
from rlenvs.wrappers.base import FloatArray

Device = Literal["auto", "cpu", "cuda"]

MAX_CHARS_PER_TOKEN = 64
"""Text beyond this many characters per token is cut before tokenisation, whose time grows with the text."""


class LocalModel:
    """A transformers model and its tokenizer, loaded when they are first needed.

    Args:
        folder: folder made by `save_pretrained`.
        max_tokens: tokens of a text that are read; the model's own limit where that is lower.
        batch_size: texts per forward pass.
        device: `cpu`, `cuda`, or `auto` for CUDA where there is one.
        head: name of the transformers class that loads the model.
        purpose: who needs transformers, for the message where it is not installed.
    """

    def __init__(self, folder: str, max_tokens: int, batch_size: int, device: Device, head: str, purpose: str) -> None:
        self.folder = folder
        self.max_tokens = max_tokens
        self.batch_size = batch_size
        self.device = device
        self.head = head
        self.purpose = purpose
        self._loaded: tuple[Any, Any] | None = None

    def load(self) -> tuple[Any, Any]:
        """Return model and tokenizer.

        Raises:
            MissingExtraError: torch or transformers is not installed.
            DeviceError: CUDA was asked for and there is none.
            ModelLoadError: the folder holds no such model.
        """
        if self._loaded is None:
            torch = require("torch", "llm", self.purpose)
            transformers = require("transformers", "llm", self.purpose)
            cuda = torch.cuda.is_available()
            if self.device == "cuda" and not cuda:
                raise DeviceError(f"device 'cuda' was asked for by {self.purpose} but torch sees no CUDA device")
            if not Path(self.folder).is_dir():
                raise ModelLoadError(f"{self.purpose}: {self.folder!r} is not a folder on this machine")
            try:
                tokenizer = transformers.AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
                model = getattr(transformers, self.head).from_pretrained(
                    self.folder, local_files_only=True, dtype=torch.float32
                )
            except (OSError, ValueError, KeyError, RuntimeError) as error:
                first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
                raise ModelLoadError(f"{self.purpose}: cannot load folder {self.folder!r}: {first_line}") from error
            use_cuda = cuda and self.device != "cpu"
            self._loaded = (model.to("cuda" if use_cuda else "cpu").eval(), tokenizer)
        return self._loaded

    def batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], Any, Any]]:
        """Yield rows, token ids `[B, T]` and attention mask `[B, T]`, padded on the right; short texts first.

        A text without a single token is left out.
        """
        torch = require("torch", "llm", self.purpose)
        model, tokenizer = self.load()
        limit = self._token_limit(model, tokenizer)
        encoded = tokenizer(
            [_readable(text[: limit * MAX_CHARS_PER_TOKEN]) for text in texts], truncation=True, max_length=limit
        )["input_ids"]
        rows = sorted((row for row in range(len(texts)) if encoded[row]), key=lambda row: len(encoded[row]))
        padding = pad_id(model, tokenizer)
        for start in range(0, len(rows), self.batch_size):
            chosen = rows[start : start + self.batch_size]
            width = len(encoded[chosen[-1]])
            ids_BT = [encoded[row] + [padding] * (width - len(encoded[row])) for row in chosen]
            mask_BT = [[1] * len(encoded[row]) + [0] * (width - len(encoded[row])) for row in chosen]
            yield chosen, torch.tensor(ids_BT, device=model.device), torch.tensor(mask_BT, device=model.device)

    def _token_limit(self, model: Any, tokenizer: Any) -> int:
        positions = getattr(model.config, "max_position_embeddings", None) or self.max_tokens
        if model.config.model_type in ("roberta", "xlm-roberta", "camembert", "mpnet"):
            positions -= 2  # their first positions belong to padding
        return int(min(self.max_tokens, positions, tokenizer.model_max_length))


class TextEncoder(LocalModel):
    """Texts to unit vectors: the mean of a model's last hidden states over the tokens of the text.

    Args:
        folder: folder of a transformers or sentence-transformers model.
        max_tokens: tokens of a text that are read.
        batch_size: texts per forward pass.
        device: `cpu`, `cuda`, or `auto` for CUDA where there is one.
    """

    def __init__(self, folder: str, max_tokens: int = 256, batch_size: int = 32, device: Device = "auto") -> None:
        super().__init__(folder, max_tokens, batch_size, device, "AutoModel", "an embedding")

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """Return unit vectors `[N, D]`; zeros for a text of white space or without a token.

        Raises:
            MissingExtraError: torch or transformers is not installed.
            DeviceError: CUDA was asked for and there is none.
            ModelLoadError: the folder holds no such model.
        """
        if not texts:
            return np.zeros((0, 0))
        torch = require("torch", "llm", self.purpose)
        model, _ = self.load()
        vectors_ND = np.zeros((len(texts), int(model.config.hidden_size)))
        written = [row for row, text in enumerate(texts) if text.strip()]
        for chosen, ids_BT, mask_BT in self.batches([texts[row] for row in written]):
            with torch.inference_mode():
                hidden_BTD = model(input_ids=ids_BT, attention_mask=mask_BT).last_hidden_state.double()
            weights_BT1 = mask_BT.unsqueeze(-1).double()
            mean_BD = (hidden_BTD * weights_BT1).sum(dim=1) / weights_BT1.sum(dim=1)
            unit_BD = torch.nn.functional.normalize(mean_BD, dim=-1)
            vectors_ND[[written[row] for row in chosen]] = unit_BD.cpu().numpy()
        return vectors_ND


class TextClassifier(LocalModel):
    """Texts to the probability of one label of a text-classification model.

    Args:
        folder: folder of a transformers sequence-classification model.
        label: the label, as the model's `id2label` names it, case aside.
        max_tokens: tokens of a text that are read.
        batch_size: texts per forward pass.
        device: `cpu`, `cuda`, or `auto` for CUDA where there is one.
    """

    def __init__(
        self, folder: str, label: str, max_tokens: int = 512, batch_size: int = 32, device: Device = "auto"
    ) -> None:
        super().__init__(folder, max_tokens, batch_size, device, "AutoModelForSequenceClassification", "a classifier")
        self.label = label

    def probabilities(self, texts: Sequence[str]) -> list[float]:
        """Return the probability of the label for each text; 0 for a text without a token.

        Labels that exclude each other share a softmax; a model of several labels or of a single one has a sigmoid
        each.

        Raises:
            MissingExtraError: torch or transformers is not installed.
            DeviceError: CUDA was asked for and there is none.
            ModelLoadError: the folder holds no such model, or the model has no such label.
        """
        if not texts:
            return []
        torch = require("torch", "llm", self.purpose)
        model, _ = self.load()
        column = self._column(model)
        independent = model.config.num_labels == 1 or model.config.problem_type == "multi_label_classification"
        values = [0.0] * len(texts)
        for chosen, ids_BT, mask_BT in self.batches(texts):
            with torch.inference_mode():
                logits_BL = model(input_ids=ids_BT, attention_mask=mask_BT).logits.double()
            shares_BL = logits_BL.sigmoid() if independent else logits_BL.softmax(dim=-1)
            for row, value in zip(chosen, shares_BL[:, column].tolist(), strict=True):
                values[row] = value
        return values

    def _column(self, model: Any) -> int:
        labels = {str(name).casefold(): int(column) for column, name in model.config.id2label.items()}
        wanted = self.label.casefold()
        if wanted not in labels:
            known = ", ".join(labels)
            raise ModelLoadError(
                f"{self.folder!r} has no label {self.label!r}{did_you_mean(wanted, labels)} (known: {known})"
            )
        return labels[wanted]


def pad_id(model: Any, tokenizer: Any) -> int:
    """Return the token id to pad with, and let the model know it: without one, some refuse batches."""
    known = (model.config.pad_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
    padding = next(int(token) for token in known if token is not None)
    model.config.pad_token_id = padding
    return padding


def _readable(text: str) -> str:
    """Return `text` with "?" for lone surrogates, which tokenizers refuse."""
    return text.encode("utf-8", "replace").decode("utf-8")
