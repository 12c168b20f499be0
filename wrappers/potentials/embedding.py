"""A potential that grows as what has been written comes to resemble a target."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rlenvs.errors import ModelLoadError, ParameterError
from rlenvs.extras import require
from rlenvs.wrappers.base import FloatArray
from rlenvs.wrappers.potentials.base import Potential, register_potential
from rlenvs.wrappers.potentials.hashing import hash_embedding
from rlenvs.wrappers.potentials.state_text import newest_response
from rlenvs.wrappers.transition import RewardState

HASHED_DIMENSION = 256
MODEL_BATCH = 32


@register_potential("embedding_similarity")
class EmbeddingSimilarityPotential(Potential):
    """Phi(s) = cosine(embedding of the newest message so far, embedding of the target).

    Give the target as a vector or as a text. The state's embedding is, in this order:

    1. `info[embedding_key]`, where the environment or agent provides one;
    2. the mean of the last hidden states of the local model `model_id` (extra `llm`);
    3. `hash_embedding` of the text, with as many coordinates as the target vector.

    A target text without a `model_id` is hashed, and so are all states: embeddings of another model would be vectors
    of another space, so `info[embedding_key]` is not read then. A state without text and a zero vector have Phi = 0.

    Args:
        target_embedding: D finite numbers, not all 0, from the model that embeds the states.
        target_text: what the message should resemble; not blank.
        model_id: folder or hub name of a Transformers model, loaded when the first text is embedded.
        embedding_key: key of the state's embedding in `info`.
        max_tokens: texts are cut there before the model reads them, >= 1.
        device: where the model runs.

    Range: [-1, 1].

    Raises:
        ParameterError: not exactly one target, or a target that is empty, zero or not finite.

    Example:
        >>> like = EmbeddingSimilarityPotential(target_embedding=[1.0, 1.0])
        >>> round(like(RewardState(info={"embedding": [1.0, 0.0]})), 4)
        0.7071
        >>> like(RewardState())
        0.0
    """

    def __init__(
        self,
        target_embedding: Sequence[float] | None = None,
        target_text: str | None = None,
        model_id: str | None = None,
        embedding_key: str = "embedding",
        max_tokens: int = 512,
        device: str = "cpu",
    ) -> None:
        if (target_embedding is None) == (target_text is None):
            raise ParameterError("target_embedding", "or target_text must be given, and not both")
        if target_text is not None and not target_text.strip():
            raise ParameterError("target_text", f"must not be blank, got {target_text!r}")
        if max_tokens < 1:
            raise ParameterError("max_tokens", f"must be >= 1, got {max_tokens}")
        self.target_embedding = None if target_embedding is None else _checked_target(target_embedding)
        self.target_text = target_text
        self.model_id = model_id
        self.embedding_key = embedding_key
        self.max_tokens = max_tokens
        self.device = device
        self._embedder = None if model_id is None else ModelEmbedder(model_id, max_tokens, device)
        self._target: FloatArray | None = None

    def __call__(self, state: RewardState) -> float:
        """Return Phi(state).

        Raises:
            ValueError: `info[embedding_key]` is not a vector of the target's length, or not finite.
            ModelLoadError: the model cannot be loaded.
        """
        return float(self.batch([state])[0])

    def batch(self, states: Sequence[RewardState]) -> FloatArray:
        """Return Phi of N states, `[N]`; texts go through the embedder together."""
        target = self._unit_target()
        vectors = np.zeros((len(states), len(target)))
        rows, texts = [], []
        for row, state in enumerate(states):
            given = state.info.get(self.embedding_key) if self._reads_info else None
            if given is not None:
                vectors[row] = _checked_embedding(given, len(target), self.embedding_key)
            elif text := newest_response(state).strip():
                rows.append(row)
                texts.append(text)
        if texts:
            vectors[rows] = self._embed(texts, len(target))
        # One row at a time in the same order of summation, so that a batch and its rows give the same bits.
        cosines: FloatArray = np.clip((_unit(vectors) * target).sum(axis=1), -1.0, 1.0)
        return cosines

    @property
    def _reads_info(self) -> bool:
        return self.target_text is None or self.model_id is not None

    def _unit_target(self) -> FloatArray:
        if self._target is None:
            if self.target_embedding is not None:
                vector = np.array([self.target_embedding])
            else:
                assert self.target_text is not None
                vector = self._embed([self.target_text], HASHED_DIMENSION)
            self._target = _unit(vector)[0]
        return self._target

    def _embed(self, texts: list[str], dimension: int) -> FloatArray:
        if self._embedder is None:
            return hash_embedding(texts, dimension)
        vectors = self._embedder(texts)
        if self._target is not None and vectors.shape[1] != dimension:
            raise ValueError(
                f"target_embedding has {dimension} coordinates, model {self.model_id!r} gives {vectors.shape[1]}"
            )
        return vectors


class ModelEmbedder:
    """Texts to vectors by a Transformers model: the mean of the last hidden states over a text's tokens.

    Nothing is loaded before the first call.

    Args:
        model_id: folder or hub name.
        max_tokens: texts are cut there.
        device: where the model runs.
    """

    def __init__(self, model_id: str, max_tokens: int, device: str) -> None:
        self.model_id = model_id
        self.max_tokens = max_tokens
        self.device = device
        self._loaded: tuple[Any, Any] | None = None

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        """Return `[N, D]`, float64; N >= 1.

        Raises:
            MissingExtraError: torch or transformers is not installed.
            ModelLoadError: the model cannot be loaded.
        """
        torch = require("torch", "llm", "an embedding model")
        tokenizer, model = self._load()
        parts = []
        for start in range(0, len(texts), MODEL_BATCH):
            # What cannot be encoded as UTF-8 cannot be tokenised: lone surrogates become question marks.
            chunk = [text.encode("utf-8", "replace").decode() for text in texts[start : start + MODEL_BATCH]]
            ids = tokenizer(chunk, truncation=True, max_length=self.max_tokens)["input_ids"]
            vectors = np.zeros((len(chunk), model.config.hidden_size))
            rows = [row for row in range(len(chunk)) if ids[row]]  # attention over no tokens at all is NaN
            if rows:
                batch = tokenizer.pad({"input_ids": [ids[row] for row in rows]}, return_tensors="pt").to(self.device)
                mask = batch["attention_mask"]
                with torch.inference_mode():
                    hidden = model(input_ids=batch["input_ids"], attention_mask=mask).last_hidden_state.double()
                means = (hidden * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
                vectors[rows] = means.cpu().numpy()
            parts.append(vectors)
        return np.concatenate(parts)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the loaded model out of copies and pickles: it is loaded again where it is needed."""
        return {**self.__dict__, "_loaded": None}

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            transformers = require("transformers", "llm", "an embedding model")
            try:
                tokenizer = transformers.AutoTokenizer.from_pretrained(self.model_id)
                model = transformers.AutoModel.from_pretrained(self.model_id).to(self.device).eval()
            except (OSError, ValueError) as error:
                first_line = str(error).strip().partition("\n")[0]
                raise ModelLoadError(f"embedding model {self.model_id!r} cannot be loaded: {first_line}") from error
            if tokenizer.pad_token is None:
                tokenizer.pad_token = tokenizer.eos_token
            tokenizer.padding_side = "right"
            self._loaded = tokenizer, model
        return self._loaded


def _checked_target(target: Sequence[float]) -> list[float]:
    values = [float(value) for value in target]
    if not values or not np.isfinite(values).all() or not any(values):
        raise ParameterError("target_embedding", "must be finite numbers that are not all 0")
    return values


def _checked_embedding(given: Any, dimension: int, key: str) -> FloatArray:
    vector = np.asarray(given, dtype=np.float64)
    if vector.shape != (dimension,) or not np.isfinite(vector).all():
        raise ValueError(f"info[{key!r}] must be {dimension} finite numbers like the target, got shape {vector.shape}")
    return vector


def _unit(vectors: FloatArray) -> FloatArray:
    """Return `[N, D]` rows of length 1; zero rows stay zero."""
    # The largest coordinate is divided out first: squares of numbers near the largest float would overflow.
    peaks = np.abs(vectors).max(axis=1, keepdims=True)
    scaled = np.divide(vectors, peaks, out=np.zeros_like(vectors), where=peaks > 0)
    norms = np.sqrt(np.square(scaled).sum(axis=1, keepdims=True))
    units: FloatArray = np.divide(scaled, norms, out=np.zeros_like(vectors), where=norms > 0)
    return units
