"""What potentials read of a state: what the policy has written so far, and what it was told."""

from typing import Literal

from rlenvs.wrappers.transition import Message, RewardState

TextBlock = Literal["response", "assistant", "context"]
SEPARATOR = "\n"


def newest_response(state: RewardState) -> str:
    """Return the message that the policy wrote last, or is writing now; "" before it wrote anything.

    That is `info["response_so_far"]` where the environment steps token by token, else the newest assistant message
    of the chat, else `info["response"]` where there is no chat.

    Example:
        >>> newest_response(RewardState(messages=[{"role": "user", "content": "2+2="}]))
        ''
        >>> newest_response(RewardState(info={"response_so_far": "fo"}))
        'fo'
    """
    so_far = state.info.get("response_so_far")
    if isinstance(so_far, str):
        return so_far
    for message in reversed(state.messages):
        if message.get("role") == "assistant":
            return _content(message)
    response = state.info.get("response")
    return response if isinstance(response, str) and not state.messages else ""


def assistant_text(state: RewardState) -> str:
    r"""Return everything that the policy has written in this episode, one message per line.

    Example:
        >>> chat = [{"role": "assistant", "content": "four"}, {"role": "user", "content": "sure?"}]
        >>> assistant_text(RewardState(messages=chat, info={"response_so_far": "ye"}))
        'four\nye'
    """
    written = [_content(message) for message in state.messages if message.get("role") == "assistant"]
    # A step that ended a message has the whole of it in the chat already.
    if not written or ("response_so_far" in state.info and "response" not in state.info):
        written.append(newest_response(state))
    return SEPARATOR.join(written)


def context_text(state: RewardState) -> str:
    """Return everything that the policy was told in this episode, the prompt included, one message per line.

    Example:
        >>> context_text(RewardState(messages=[{"role": "user", "content": "2+2="}]))
        '2+2='
    """
    told = [_content(message) for message in state.messages if message.get("role") != "assistant"]
    return SEPARATOR.join(told) if told else state.prompt


def text_block(state: RewardState, block: TextBlock) -> str:
    """Return the `response` (newest message), all of the `assistant`, or the `context` it was given."""
    if block == "context":
        return context_text(state)
    return assistant_text(state) if block == "assistant" else newest_response(state)


def _content(message: Message) -> str:
    content: object = message.get("content")
    return content if isinstance(content, str) else ""
