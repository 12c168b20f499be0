"""When a completion ends: end tokens, stop texts, the limit."""

from collections.abc import Collection, Sequence
from typing import Any

from rlenvs.agents.llm.engines.protocol import Finish, SamplingParams


def finish_of(ids: Sequence[int], params: SamplingParams, eos_ids: Collection[int], tokenizer: Any) -> Finish | None:
    """Tell how a completion ended with its last token; None where it goes on.

    Called after every token, so that only matches that the last token completes are looked for.

    Args:
        ids: sampled so far, at least one.
        params: what ends it.
        eos_ids: tokens that end every completion.
        tokenizer: decodes, for stop texts.
    """
    if ids[-1] in eos_ids or ids[-1] in params.stop_token_ids:
        return "stop"
    if params.stop and ends_in_stop_text(ids, params.stop, tokenizer):
        return "stop"
    return "length" if len(ids) >= params.max_new_tokens else None


def ends_in_stop_text(ids: Sequence[int], stop: Sequence[str], tokenizer: Any) -> bool:
    """Tell whether the text of `ids` holds a stop text that needs the last token.

    Only a tail is decoded, long enough for the longest stop text: a token may be a word, a letter, a part of a letter
    or nothing visible, so its length is found by decoding.
    """
    needed = max(map(len, stop))
    size = needed + 4
    while size < len(ids) and len(_text(ids[-size:-1], tokenizer)) < needed:
        size *= 2
    text = _text(ids[-size:], tokenizer)
    return any(one in text for one in stop)


def _text(ids: Sequence[int], tokenizer: Any) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))
