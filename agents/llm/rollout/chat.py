"""How messages become token ids, once and only once.

A prompt is tokenised when an episode begins, feedback when it arrives; what the policy wrote stays the ids that it
sampled. Nothing is ever tokenised again, and no template sees a conversation that has begun: what follows a message of
the policy is cut out of the rendering of a short stand-in conversation. Where a template keeps what it rendered before
(most do), the result is what rendering the whole conversation would give; where it does not (some take earlier
"thinking" away, or move the system message), the policy goes on from what it really said and saw.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from rlenvs.errors import ConfigError

Messages = Sequence[Mapping[str, str]]

# Stand-ins for the messages of a conversation. Letters only: no template has a reason to change them.
_QUESTION, _ANSWER, _REPLY = "standinquestion", "standinanswer", "standinreply"
_CACHED = 4_096  # feedback texts: many environments say the same few things over and over
_PLAIN_INSTEAD = "use policy.prompt_format=plain"


class ChatFormat:
    """Renders prompts and feedback for one tokenizer.

    Args:
        tokenizer: a tokenizer of `transformers`.
        style: `chat` uses the tokenizer's chat template, `plain` the text as it is, `auto` chat where there is one.

    Attributes:
        uses_template: whether messages are rendered by the chat template.
        closing_id: the token with which the format ends a message of the policy.

    Raises:
        ConfigError: `chat` for a tokenizer without a template, or a template that drops or alters what an assistant
            said, so that no conversation can go on from it.
    """

    def __init__(self, tokenizer: Any, style: Literal["auto", "chat", "plain"] = "auto") -> None:
        has_template = bool(getattr(tokenizer, "chat_template", None))
        if style == "chat" and not has_template:
            raise ConfigError("policy.prompt_format is 'chat' but the tokenizer has no chat template; use 'plain'")
        self.tokenizer = tokenizer
        self.uses_template = has_template and style != "plain"
        self.closing_id: int = tokenizer.eos_token_id
        if self.uses_template:
            self._opening = self._usable_opening()
            self.closing_id = self._closing()
        self._following = functools.lru_cache(maxsize=_CACHED)(self._after_answer)

    def prompt_ids(self, messages: Messages) -> list[int]:
        """Return the ids of the messages that open an episode.

        Raises:
            ConfigError: the template refuses them, as some do with a system message.
        """
        if self.uses_template:
            return self._encode(self._render(messages))
        ids = list(self.tokenizer("\n".join(message["content"] for message in messages))["input_ids"])
        # Some tokenizers add an end to every text; a prompt goes on.
        return ids[:-1] if len(ids) > 1 and ids[-1] == self.tokenizer.eos_token_id else ids

    def feedback_ids(self, feedback: str | Messages, closing: int | None) -> list[int]:
        """Return the ids that follow the policy's message: its closing, the feedback, the opening of the next turn.

        Args:
            feedback: what the environment answered: a text of the user, or messages of any roles.
            closing: the token with which the policy closed its message itself; None where it did not: a limit cut the
                message, or a stop text ended it.

        Raises:
            ConfigError: the template has no such role.
        """
        messages = [{"role": "user", "content": feedback}] if isinstance(feedback, str) else feedback
        if not self.uses_template:
            return self._encode("\n".join(message["content"] for message in messages))
        said = tuple((message["role"], message["content"]) for message in messages)
        ids = self._following(said)
        return list(ids if closing is None else self._without_closing(ids, closing))

    def answer_ids(self, text: str) -> list[int]:
        """Return the ids of a message that the policy is to imitate, its closing token included."""
        return [*self._encode(text), self.closing_id]

    def _after_answer(self, said: tuple[tuple[str, str], ...]) -> tuple[int, ...]:
        """Return the ids of all that the template puts after an answer when these messages follow it."""
        messages = [{"role": role, "content": content} for role, content in said]
        return tuple(self._encode(self._render([*self._opening, *messages]).partition(_ANSWER)[2]))

    def _without_closing(self, ids: tuple[int, ...], closing: int) -> Sequence[int]:
        """Leave out the closing of a message that the policy closed itself.

        It is looked for by its id and not by its text, so that what comes after it is tokenised as it would be in the
        whole conversation. Nothing but white space may come before it: later ones close other messages.
        """
        place = ids.index(closing) if closing in ids else None
        if place is None or self.tokenizer.decode(list(ids[:place])).strip():
            return ids
        return ids[place + 1 :]

    def _usable_opening(self) -> list[dict[str, str]]:
        """Return a stand-in conversation up to an answer that the template renders faithfully.

        Raises:
            ConfigError: there is none.
        """
        question, answer = {"role": "user", "content": _QUESTION}, {"role": "assistant", "content": _ANSWER}
        system, reply = {"role": "system", "content": "standinsystem"}, {"role": "user", "content": _REPLY}
        refusal: ConfigError | None = None
        for opening in ([question, answer], [system, question, answer]):
            try:
                text = self._render([*opening, reply])
            except ConfigError as error:  # a template may insist on a system message
                refusal = refusal or error
                continue
            before, found, after = text.partition(_ANSWER)
            if not found or _ANSWER in after or _QUESTION not in before or _REPLY not in after:
                raise ConfigError(
                    "the chat template of the tokenizer drops, repeats or alters earlier messages, so that a "
                    f"conversation cannot go on from what was sampled; {_PLAIN_INSTEAD}"
                )
            return opening
        assert refusal is not None, "both attempts failed"
        raise refusal

    def _closing(self) -> int:
        """Return the first special token that the template puts after an answer; the end of sequence if it has none."""
        text = self._render(self._opening, prompt=False).partition(_ANSWER)[2]
        special = {*self.tokenizer.all_special_ids, *getattr(self.tokenizer, "added_tokens_decoder", {})}
        return next((token for token in self._encode(text) if token in special), int(self.tokenizer.eos_token_id))

    def _render(self, messages: Messages, prompt: bool = True) -> str:
        from jinja2 import TemplateError

        listed = [dict(message) for message in messages]
        render: Callable[..., Any] = self.tokenizer.apply_chat_template
        try:
            return str(render(listed, tokenize=False, add_generation_prompt=prompt))
        except (TemplateError, TypeError, ValueError, LookupError) as error:
            roles = ", ".join(str(message.get("role")) for message in listed)
            problem = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ConfigError(
                f"the chat template of the tokenizer refuses a conversation of {roles}: {problem}; {_PLAIN_INSTEAD}"
            ) from error

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
