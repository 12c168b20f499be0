"""Tokenizers by name: those that are built in, and those of `transformers`."""

from typing import Any

from rlenvs.envs.byte_tokenizer import ByteTokenizer
from rlenvs.envs.char_tokenizer import CharTokenizer
from rlenvs.envs.token_env import Tokenizer
from rlenvs.errors import ModelLoadError, UserError
from rlenvs.extras import require
from rlenvs.shown import shown

PAD_TOKEN = "<|pad|>"
"""What is added to a tokenizer without a padding token of its own."""


def make_tokenizer(tokenizer: "str | Tokenizer | None", alphabet: str | None = None) -> Tokenizer:
    """A tokenizer by name.

    Args:
        tokenizer: "chars" (one token per character of `alphabet`), "bytes", the name or folder of a `transformers`
            tokenizer, or a tokenizer, which is returned as it is. None is "chars" if there is an alphabet, "bytes" if
            there is none.
        alphabet: every character that matters, where that is known.

    Raises:
        UserError: "chars" without an alphabet, or something that is no tokenizer.
        ModelLoadError: a name or folder that cannot be loaded.
        MissingExtraError: `transformers` is needed and not installed.

    Example:
        >>> make_tokenizer(None, alphabet="01+="), make_tokenizer("bytes")
        (CharTokenizer('01+='), ByteTokenizer())
    """
    if tokenizer is None:
        return ByteTokenizer() if alphabet is None else CharTokenizer(alphabet)
    if not isinstance(tokenizer, str):
        if not callable(getattr(tokenizer, "decode", None)):
            raise UserError(f"tokenizer: must be a name, a folder or a tokenizer, got {shown(tokenizer)}")
        return tokenizer
    if tokenizer == "bytes":
        return ByteTokenizer()
    if tokenizer == "chars":
        if alphabet is None:
            raise UserError("tokenizer: 'chars' needs a source whose alphabet is known; use 'bytes'")
        return CharTokenizer(alphabet)
    return pretrained(tokenizer)


def pretrained(name: str) -> Tokenizer:
    """A tokenizer of `transformers`, with a padding token that differs from the end token.

    Raises:
        ModelLoadError: it cannot be loaded, or has no end token.
    """
    transformers = require("transformers", "llm", f"the tokenizer {name!r}")
    try:
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError, KeyError) as error:
        raise ModelLoadError(f"tokenizer: {name!r} cannot be loaded: {str(error).splitlines()[0]}") from error
    if tokenizer.eos_token_id is None:
        raise ModelLoadError(f"tokenizer: {name!r} has no end token")
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        tokenizer.add_special_tokens({"pad_token": PAD_TOKEN})
    loaded: Tokenizer = tokenizer
    return loaded
