"""Small random models that judge texts, in folders such as `save_pretrained` makes."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    PreTrainedTokenizerFast,
)

WORDS = ["[PAD]", "[UNK]", *"abcdefghijklmnopqrstuvwxyz", "good", "bad", "cat", "dog", "sat"]


def word_tokenizer(max_tokens: int = 512, pad_token: str | None = "[PAD]") -> PreTrainedTokenizerFast:
    """A tokenizer of whole words; it adds no special tokens, so an empty text has none."""
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token=pad_token, model_max_length=max_tokens
    )


def bert_config(**settings: object) -> BertConfig:
    return BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=1.0,  # large, so that different texts get clearly different vectors
        **settings,
    )


def save_encoder(folder: Path, seed: int = 0) -> tuple[BertModel, PreTrainedTokenizerFast]:
    """Save a random encoder and its tokenizer; returns them in evaluation mode."""
    torch.manual_seed(seed)
    model, tokenizer = BertModel(bert_config()).eval(), word_tokenizer()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, tokenizer


def save_classifier(
    folder: Path, labels: list[str], problem_type: str | None = None, seed: int = 0
) -> tuple[BertForSequenceClassification, PreTrainedTokenizerFast]:
    """Save a random classifier and its tokenizer; returns them in evaluation mode."""
    torch.manual_seed(seed)
    names = dict(enumerate(labels))
    config = bert_config(id2label=names, label2id={name: number for number, name in names.items()})
    config.problem_type = problem_type
    model, tokenizer = BertForSequenceClassification(config).eval(), word_tokenizer()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, tokenizer
