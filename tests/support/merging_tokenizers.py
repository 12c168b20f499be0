"""Tokenizers that merge across all boundaries that there are."""

from typing import Any

import tokenizers
from transformers import PreTrainedTokenizerFast

SPECIAL = [
    "<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
    "<start_of_turn>", "<end_of_turn>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>", "[INST]", "[/INST]",
]  # fmt: skip
TEXT = (
    "the answer is not right\nuser\nassistant\n\nno, try again: 12 + 34 = 46\n model user: assistant: system 1111 2222"
)


def merging_tokenizer(template: str | None = None, eos: str = "</s>") -> Any:
    """A byte-level BPE trained on a little text."""
    core = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>"))
    core.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=SPECIAL,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator([TEXT] * 3, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token=eos, unk_token="<unk>", additional_special_tokens=SPECIAL[1:]
    )
    tokenizer.chat_template = template
    return tokenizer
