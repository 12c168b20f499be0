"""A tokenizer with one token per byte: any text, no files, in pure Python."""

from collections.abc import Iterable

from rlenvs.errors import UserError

PAD, EOS, BOS = 0, 1, 2
SPECIAL_TOKENS = 3


class ByteTokenizer:
    r"""One id per byte of UTF-8.

    Ids: 0 padding, 1 end of message, 2 beginning, then the 256 bytes. Method names follow `transformers`, so that
    either kind of tokenizer serves a `TokenEnv`. Bytes that are no character decode to U+FFFD, halves of surrogate
    pairs encode as a question mark.

    Example:
        >>> tokenizer = ByteTokenizer()
        >>> tokenizer.encode("1+é")
        [52, 46, 198, 172]
        >>> tokenizer.decode([52, 46, 198, 172, 1, 0]), len(tokenizer)
        ('1+é', 259)
    """

    pad_token_id = PAD
    eos_token_id = EOS
    bos_token_id = BOS
    unk_token_id = None

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        return SPECIAL_TOKENS + 256

    def __len__(self) -> int:
        return self.vocab_size

    @property
    def characters(self) -> list[str | None]:
        """What each id reads as wherever it stands: ASCII as itself; other bytes are part of a character."""
        return ["", "", "", *[chr(byte) if byte < 128 else None for byte in range(256)]]

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        """Ids of a text; with special tokens, the beginning id first."""
        ids = [SPECIAL_TOKENS + byte for byte in text.encode("utf-8", "replace")]
        return [BOS, *ids] if add_special_tokens else ids

    def decode(self, token_ids: Iterable[int], skip_special_tokens: bool = False) -> str:
        """The text of ids; padding, end and beginning have none.

        Raises:
            UserError: an id out of range.
        """
        data = bytearray()
        for token in token_ids:
            if not 0 <= token < SPECIAL_TOKENS + 256:
                raise UserError(f"token id must be in 0..{SPECIAL_TOKENS + 255}, got {token}")
            if token >= SPECIAL_TOKENS:
                data.append(token - SPECIAL_TOKENS)
        return data.decode("utf-8", "replace")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByteTokenizer)

    def __hash__(self) -> int:
        return hash(ByteTokenizer)

    def __repr__(self) -> str:
        return "ByteTokenizer()"
