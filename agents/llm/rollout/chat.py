"""How messages become token ids, once and only once.

A prompt is tokenised when an episode begins, feedback when it arrives; what the policy wrote stays the ids that it
sampled. Nothing is ever tokenised again.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from rlenvs.errors import ConfigError

_MARK = "\u2063answer\u2063"  # stands for the policy's message while the text after it is cut out of the template


class ChatFormat:
    """Renders prompts and feedback for one tokenizer.

    Args:
        tokenizer: a tokenizer of `transformers`.
        style: `chat` uses the tokenizer's chat template, `plain` the text as it is, `auto` chat where there is one.

    Raises:
        ConfigError: `chat` for a tokenizer without a template.
    """

    def __init__(self, tokenizer: Any, style: Literal["auto", "chat", "plain"] = "auto") -> None:
        has_template = bool(getattr(tokenizer, "chat_template", None))
        if style == "chat" and not has_template:
            raise ConfigError("policy.prompt_format is 'chat' but the tokenizer has no chat template; use 'plain'")
        self.tokenizer = tokenizer
        self.uses_template = has_template and style != "plain"

    def prompt_ids(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Return the ids of the messages that open an episode."""
        if self.uses_template:
            return self._encode(self._render([dict(message) for message in messages]))
        text = "\n".join(message["content"] for message in messages)
        return list(self.tokenizer(text)["input_ids"])

    def feedback_ids(self, feedback: str, closing: int | None) -> list[int]:
        """Return the ids that follow the policy's message: its closing, the feedback, the opening of the next turn.

        Args:
            feedback: what the environment answered.
            closing: the token with which the policy closed its message itself; None where the limit cut it.
        """
        if not self.uses_template:
            return self._encode(feedback)
        text = self._render(
            [
                {"role": "user", "content": "?"},
                {"role": "assistant", "content": _MARK},
                {"role": "user", "content": feedback},
            ]
        )
        after = text.rpartition(_MARK)[2]
        if closing is not None:
            after = after.removeprefix(self.tokenizer.decode([closing]))
        return self._encode(after)

    def _render(self, messages: list[dict[str, str]]) -> str:
        return str(self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
