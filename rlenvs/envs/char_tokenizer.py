"""A tokenizer with one token per character, in pure Python."""

from collections.abc import Iterable

from rlenvs.errors import UserError

PAD, EOS, BOS = 0, 1, 2
SPECIAL_TOKENS = 3
UNKNOWN_CHARACTER = "\u25a1"
"""What the unknown token reads as: no alphabet may hold it, so it is never part of a right answer."""


class CharTokenizer:
    """One id per character of an alphabet.

    Ids: 0 padding, 1 end of message, 2 beginning and unknown, then the alphabet in its order. Method names
    follow `transformers`, so that either kind of tokenizer serves a `TokenEnv`.

    Args:
        alphabet: the characters, each once.

    Raises:
        UserError: the alphabet is empty, repeats a character or holds the sign for unknown ones.

    Example:
        >>> tokenizer = CharTokenizer("0123456789+=")
        >>> tokenizer.encode("1+2=?")
        [4, 13, 5, 14, 2]
        >>> tokenizer.decode([4, 13, 5, 14, 1, 0])
        '1+2='
    """

    pad_token_id = PAD
    eos_token_id = EOS
    bos_token_id = BOS
    unk_token_id = BOS

    def __init__(self, alphabet: str) -> None:
        if not isinstance(alphabet, str) or not alphabet or len(set(alphabet)) != len(alphabet):
            raise UserError(f"alphabet must be a non-empty text of different characters, got {alphabet!r:.80}")
        if UNKNOWN_CHARACTER in alphabet:
            raise UserError(f"alphabet must not hold {UNKNOWN_CHARACTER!r}: it stands for unknown characters")
        self.alphabet = alphabet
        self.ids = {character: SPECIAL_TOKENS + place for place, character in enumerate(alphabet)}
        self.pieces = ["", "", UNKNOWN_CHARACTER, *alphabet]

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        return len(self.pieces)

    def __len__(self) -> int:
        return len(self.pieces)

    @property
    def characters(self) -> list[str | None]:
        """What each id reads as, wherever it stands; what lets a vector environment work on all rows at once."""
        return list(self.pieces)

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        """Ids of a text, one per character; with special tokens, the beginning id first."""
        ids = [self.ids.get(character, BOS) for character in text]
        return [BOS, *ids] if add_special_tokens else ids

    def decode(self, token_ids: Iterable[int], skip_special_tokens: bool = False) -> str:
        """The text of ids.

        Args:
            token_ids: ids in 0..vocab_size-1.
            skip_special_tokens: True leaves unknown characters out; padding and end have no text in any case.

        Raises:
            UserError: an id out of range.
        """
        pieces = []
        for token in token_ids:
            if not 0 <= token < len(self.pieces):
                raise UserError(f"token id must be in 0..{len(self.pieces) - 1}, got {token}")
            if token != BOS or not skip_special_tokens:
                pieces.append(self.pieces[token])
        return "".join(pieces)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CharTokenizer) and other.alphabet == self.alphabet

    def __hash__(self) -> int:
        return hash((CharTokenizer, self.alphabet))

    def __repr__(self) -> str:
        return f"CharTokenizer({self.alphabet!r})"
