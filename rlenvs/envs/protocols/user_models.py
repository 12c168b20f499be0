"""Models that play the user of a conversation: a function, or a model behind HTTP."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rlenvs.chat_client import ChatClient, ChatSession, EndpointError, request_body
from rlenvs.envs.messages import Message
from rlenvs.errors import UserModelError
from rlenvs.event_loop import gather_rows, raise_interrupts, shared_loop
from rlenvs.problems.checks import check_int, check_real, check_text

PERSONA = (
    "You play the user in a conversation with an assistant. Write the user's next message and nothing else: short, in "
    "the user's own words, and never the assistant's part. When the user has what they came for, write {stop}."
)
FIRST = "Begin the conversation."
"""Said to the model before the user's opening: many chat templates want the first message to be the other side's."""
MAX_SECONDS = 86_400.0
THOUGHTS_START, THOUGHTS_END = "<think>", "</think>"
ROLES = {"user": "assistant", "assistant": "user"}

UserModel = Callable[[list[Message]], str]
"""Says the next message of the user, given the conversation; it may have a method `batch` for many of them."""


def as_the_user_sees(messages: Sequence[Message]) -> list[Message]:
    """A conversation from the other side: what a model that plays the user is to be shown.

    Example:
        >>> as_the_user_sees([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}])
        [{'role': 'assistant', 'content': 'Hi'}, {'role': 'user', 'content': 'Hello!'}]
    """
    return [{"role": ROLES.get(m["role"], m["role"]), "content": m["content"]} for m in messages]


def shortened(text: str, max_chars: int) -> str:
    """A text whose middle is left out if it is too long, in characters that every endpoint takes."""
    if len(text) > max_chars:
        text = f"{text[: max_chars // 2]}\n[...]\n{text[len(text) - max_chars // 2 :]}"
    # Half a surrogate pair is no text to a tokenizer: what the policy wrote must not make the request fail.
    return text.encode("utf-8", "replace").decode()


@dataclass(frozen=True)
class EndpointUser:
    """A user played by a model, from any endpoint that speaks `/v1/chat/completions`.

    The messages of a step are asked for at the same time. Whatever the policy writes is only shown to the model. Where
    the endpoint gives no message, `UserModelError` is raised; the episodes are then where they were before the step,
    which may be repeated. What a model writes up to `</think>` is not said to the policy.

    Args:
        base_url: address of the endpoint (`http://localhost:8000/v1`).
        model: name of the model.
        persona: the system message for the model: who the user is, what they want. {stop} in it stands for `stop`.
        stop: what the model writes to end the conversation; it must be the `stop` of the `Conversation`.
        api_key_env: environment variable that holds the key. Only its name is ever stored or shown.
        temperature: sampling temperature; None leaves the field out.
        max_tokens: limit of a message; None leaves the field out.
        request: further fields of the request body.
        max_chars: of a longer message the middle is left out before the model sees it, >= 100.
        max_concurrency: requests at the same time, >= 1.
        timeout_s: seconds for one request, > 0.
        deadline_s: seconds for all messages of one step, waits and retries included, > 0.
        retries: further requests after a failed one (connection, timeout, 408, 409, 425, 429, 5xx), >= 0.
        backoff_s: seconds before the first retry, doubled for each further one, with jitter.

    Raises:
        ParameterError: a parameter out of range.

    Example:
        >>> user = EndpointUser("http://localhost:8000", "user-7b", persona="You want a refund. Then {stop}.")
        >>> user.client.url
        'http://localhost:8000/v1/chat/completions'
    """

    base_url: str
    model: str
    persona: str = PERSONA
    stop: str = "<stop>"
    api_key_env: str | None = None
    temperature: float | None = None
    max_tokens: int | None = 1024
    request: dict[str, Any] | None = None
    max_chars: int = 8192
    max_concurrency: int = 64
    timeout_s: float = 60.0
    deadline_s: float = 300.0
    retries: int = 4
    backoff_s: float = 0.5
    client: ChatClient = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("base_url", "model", "persona"):
            check_text(name, getattr(self, name))
        check_int("max_chars", self.max_chars, 100, 10**9)
        check_int("max_concurrency", self.max_concurrency, 1, 10_000)
        check_int("retries", self.retries, 0, 1000)
        for name, low in (("timeout_s", 0.001), ("deadline_s", 0.001), ("backoff_s", 0.0)):
            check_real(name, getattr(self, name), low, MAX_SECONDS)
        self.sampling()
        client = ChatClient(
            self.base_url, self.api_key_env, self.timeout_s, self.retries, self.backoff_s, self.deadline_s, seed=0
        )
        object.__setattr__(self, "client", client)

    def sampling(self) -> dict[str, Any]:
        """The fields of a request besides its messages."""
        return request_body(self.model, self.temperature, self.max_tokens, self.request or {})

    def __call__(self, messages: Sequence[Message]) -> str:
        """The next message of the user.

        Raises:
            UserModelError: the endpoint gave none.
        """
        return self.batch([messages])[0]

    def batch(self, conversations: Sequence[Sequence[Message]]) -> list[str]:
        """The next message of the user in each conversation.

        Raises:
            UserModelError: the endpoint did not give all of them.
            ConfigError: the key is not in the environment.
            MissingExtraError: the HTTP library is not installed.
        """
        try:
            said = shared_loop().run(self._ask_all(conversations))
        except TimeoutError:
            raise UserModelError(f"{self.client.url} gave not all messages within {self.deadline_s:g} s") from None
        raise_interrupts(said)
        for one in said:
            if isinstance(one, EndpointError):
                raise UserModelError(str(one)) from None
            if isinstance(one, BaseException):
                raise one
        return [text for text in said if isinstance(text, str)]

    async def _ask_all(self, conversations: Sequence[Sequence[Message]]) -> list[str | BaseException]:
        async with asyncio.timeout(self.deadline_s), self.client.open(self.max_concurrency) as session:
            calls = [lambda messages=messages: self._ask(session, messages) for messages in conversations]
            return await gather_rows(calls, self.max_concurrency)

    async def _ask(self, session: ChatSession, messages: Sequence[Message]) -> str:
        shown = [message for message in as_the_user_sees(messages) if message["role"] in ROLES]
        cut = [{**message, "content": shortened(message["content"], self.max_chars)} for message in shown]
        persona = {"role": "system", "content": self.persona.replace("{stop}", self.stop)}
        asked = [persona, {"role": "user", "content": FIRST}, *cut]
        reply = await session.ask({**self.sampling(), "messages": asked})
        text = reply.content.rpartition(THOUGHTS_END)[2].strip()
        if text.startswith(THOUGHTS_START) or (not text and reply.finish_reason == "length"):
            raise EndpointError(f"{self.client.url} used up max_tokens ({self.max_tokens}) before a message", False)
        return text
