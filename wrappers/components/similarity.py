"""How close the response is to a reference text."""

from collections.abc import Hashable, Sequence
from typing import ClassVar, Literal, get_args

import numpy as np

from rlenvs.errors import ParameterError
from rlenvs.extras import require
from rlenvs.wrappers.base import BaseReward, FloatArray
from rlenvs.wrappers.component_registry import register_reward
from rlenvs.wrappers.components.local_models import Device, TextEncoder
from rlenvs.wrappers.components.text_parameters import GOLD_KEY, check_choice, check_number, info_texts
from rlenvs.wrappers.components.text_units import words
from rlenvs.wrappers.transition import Transition

SimilarityMetric = Literal["edit", "rouge_l", "embedding"]


def edit_similarity(text: str, reference: str) -> float:
    """Return 1 - Levenshtein distance / length of the longer text, over code points.

    Cost: len(text) * len(reference) / 64 machine words.

    Example:
        >>> edit_similarity("kitten", "sitting")
        0.5714285714285714
    """
    distance = require("rapidfuzz.distance", "text", "SimilarityReward")
    return float(distance.Levenshtein.normalized_similarity(text, reference))


def rouge_l(text: str, reference: str) -> float:
    """Return ROUGE-L F1 over words, 2 LCS / (words + words); texts without words are alike if they are equal.

    Source: Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries", without stemming.

    Example:
        >>> rouge_l("the cat sat", "the black cat sat down")
        0.75
    """
    numbers: dict[str, int] = {}
    first, second = ([numbers.setdefault(word, len(numbers)) for word in words(part)] for part in (text, reference))
    if not first or not second:
        return float(text.strip() == reference.strip())
    distance = require("rapidfuzz.distance", "text", "SimilarityReward")
    common: int = distance.LCSseq.similarity(first, second)
    return 2 * common / (len(first) + len(second))


@register_reward()
class SimilarityReward(BaseReward):
    """Similarity of a message to the nearest reference text.

    * `edit`: 1 - Levenshtein distance / length of the longer text, over characters as they are.
    * `rouge_l`: F1 of the longest common subsequence of words, without case and marks.
    * `embedding`: max(0, cosine) between mean-pooled embeddings of a local transformers or sentence-transformers
      model; 0 for a message of white space.

    Args:
        metric: `edit`, `rouge_l` or `embedding`.
        reference: the text or the texts to compare with, the same for every problem.
        info_key: where `info` holds them instead; "task.gold", the right answer of the problem, when both are
            omitted.
        model: for `embedding`: folder of the model; never downloaded.
        max_tokens: for `embedding`: tokens of a text that are read, >= 1.
        batch_size: for `embedding`: texts per forward pass, >= 1.
        device: for `embedding`: `cpu`, `cuda`, or `auto` for CUDA where there is one.

    Range: [0, 1].

    Raises:
        ParameterError: a reference beside an info_key, no reference text, a model beside a metric that needs none or
            none beside `embedding`, or a number out of its range.
        MissingExtraError: on first use, rapidfuzz (extra `text`) or transformers (extra `llm`) is not installed.
        ModelLoadError: on first use, the model cannot be loaded.

    Example:
        >>> reward = SimilarityReward("rouge_l", reference="the black cat sat down")
        >>> reward(Transition(response="The cat sat."))
        0.75
    """

    effect: ClassVar[str] = "copying the wording of the reference, right or wrong"

    def __init__(
        self,
        metric: SimilarityMetric = "edit",
        reference: str | list[str] | None = None,
        info_key: str | None = None,
        model: str | None = None,
        max_tokens: int = 256,
        batch_size: int = 32,
        device: Device = "auto",
    ) -> None:
        check_choice("metric", metric, get_args(SimilarityMetric))
        if reference is not None and info_key is not None:
            raise ParameterError("info_key", "cannot stand beside reference: give one of the two")
        if reference is not None and not reference:
            raise ParameterError("reference", f"must be a text or a list of texts, got {reference!r}")
        if (metric == "embedding") != (model is not None):
            raise ParameterError("model", f"belongs to metric 'embedding', got metric {metric!r} and {model=}")
        check_number("max_tokens", max_tokens, at_least=1)
        check_number("batch_size", batch_size, at_least=1)
        check_choice("device", device, get_args(Device))
        self.metric = metric
        self.reference = reference
        self.info_key = GOLD_KEY if reference is None and info_key is None else info_key
        self.model = model
        self.max_tokens = max_tokens
        self.batch_size = batch_size
        self.device = device
        self._encoder = TextEncoder(model, max_tokens, batch_size, device) if model is not None else None

    def __call__(self, transition: Transition) -> float:
        """Score one transition.

        Raises:
            KeyError: info has nothing under `info_key`.
            TypeError: it has no text there.
        """
        return self.batch([transition])[0]

    def batch(self, transitions: Sequence[Transition]) -> list[float]:
        """Score N transitions."""
        values = [0.0] * len(transitions)
        ended = [row for row, transition in enumerate(transitions) if transition.message_ended]
        texts = [transitions[row].response for row in ended]
        references = [self._references(transitions[row]) for row in ended]
        for row, value in zip(ended, self._compare(texts, references), strict=True):
            values[row] = value
        return values

    def _references(self, transition: Transition) -> list[str]:
        if self.info_key is not None:
            return info_texts(transition, self.info_key)
        assert self.reference is not None
        return [self.reference] if isinstance(self.reference, str) else self.reference

    def _compare(self, texts: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
        if self._encoder is not None:
            return nearest_cosines(self._encoder, texts, references)
        compare = edit_similarity if self.metric == "edit" else rouge_l
        return [
            max(compare(text, reference) for reference in allowed)
            for text, allowed in zip(texts, references, strict=True)
        ]


def nearest_cosines(encoder: TextEncoder, texts: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """Return the cosine similarity of each text to the nearest of its references, 0 where it is negative."""
    distinct = list(dict.fromkeys([*texts, *(reference for allowed in references for reference in allowed)]))
    vectors: dict[Hashable, FloatArray] = dict(zip(distinct, encoder.embed(distinct), strict=True))
    # Clipped, because rounding can leave the range by the last bit.
    return [
        float(np.clip(max(vectors[text] @ vectors[reference] for reference in allowed), 0.0, 1.0))
        for text, allowed in zip(texts, references, strict=True)
    ]
