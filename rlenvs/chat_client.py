"""A small client for chat completions behind HTTP: retried, bounded, and silent about its key."""

import asyncio
import json
import math
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np

from rlenvs.errors import ConfigError, ParameterError
from rlenvs.extras import require

TRANSIENT_STATUSES = frozenset({408, 409, 425, 429})
"""Besides 5xx: what may go better a moment later."""
EXCERPT = 200  # characters of an endpoint's answer that an error message shows
ANSWER_LIMIT = 1 << 24  # bytes of one answer, unpacked; far above any message, so that a flood ends
OWN_FIELDS = ("messages", "model", "stream", "n")
"""Fields of a request that its maker decides."""


class EndpointError(Exception):
    """The endpoint gave no usable answer.

    Args:
        message: what happened, without the key.
        transient: whether asking again may help.
        retry_after: seconds that the endpoint asked to wait.
    """

    def __init__(self, message: str, transient: bool, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.transient = transient
        self.retry_after = retry_after


class Reply(NamedTuple):
    """What the model wrote, and why it stopped (`stop`, `length`, ...)."""

    content: str
    finish_reason: str


class ChatClient:
    """Asks one OpenAI-compatible endpoint.

    Args:
        base_url: address that `/chat/completions` follows; `/v1` is added to an address without a path.
        api_key_env: environment variable that holds the key; None for endpoints without one. The key is read when
            it is needed and kept nowhere.
        timeout_s: seconds for one request, from connecting to the last byte, > 0.
        retries: further requests after a transient failure, >= 0. An endpoint that has used all of them up gets
            a single request each time, until one succeeds.
        backoff_s: seconds before the first retry; doubled for each further one, times a random factor in [0.5, 1].
        max_wait_s: longest wait; an endpoint that asks for more (`Retry-After`) has failed.
        seed: of the random factors.

    Raises:
        ParameterError: a parameter out of range.
    """

    def __init__(
        self,
        base_url: str,
        api_key_env: str | None,
        timeout_s: float,
        retries: int,
        backoff_s: float,
        max_wait_s: float,
        seed: int,
    ) -> None:
        _check_positive(timeout_s=timeout_s, max_wait_s=max_wait_s)
        if not (math.isfinite(backoff_s) and backoff_s >= 0):
            raise ParameterError("backoff_s", f"must be >= 0 seconds, got {backoff_s}")
        for name, value in (("retries", retries), ("seed", seed)):
            if value < 0:
                raise ParameterError(name, f"must be >= 0, got {value}")
        self.url = _completions_url(base_url)
        self.api_key_env = api_key_env
        self.timeout_s = timeout_s
        self.retries = retries
        self.backoff_s = backoff_s
        self.max_wait_s = max_wait_s
        self._jitter = np.random.default_rng(seed)
        self._answers = True  # whether the endpoint answered when it was last asked

    @asynccontextmanager
    async def open(self, max_concurrency: int) -> AsyncIterator["ChatSession"]:
        """Open connections for one batch of requests.

        Raises:
            ConfigError: the key is not in the environment.
            MissingExtraError: the HTTP library is not installed.
        """
        httpx = require("httpx2", "judge", "a model behind HTTP")
        key = self._key()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limits = httpx.Limits(max_connections=max_concurrency, max_keepalive_connections=max_concurrency)
        async with httpx.AsyncClient(headers=headers, limits=limits, timeout=None) as http:
            yield ChatSession(self, http, httpx, key)

    def wait_s(self, retry: int, retry_after: float | None) -> float:
        """Return the seconds before the n-th retry, counted from 0.

        Raises:
            EndpointError: the endpoint asks for a longer wait than allowed.
        """
        if retry_after is not None and retry_after > self.max_wait_s:
            raise EndpointError(
                f"{self.url} asks to wait {retry_after:.0f} s, longer than max_wait_s {self.max_wait_s:g}", False
            )
        planned = self.backoff_s * 2.0 ** min(retry, 60) * self._jitter.uniform(0.5, 1.0)
        return max(min(float(planned), self.max_wait_s), retry_after or 0.0)

    def _key(self) -> str:
        if self.api_key_env is None:
            return ""
        key = os.environ.get(self.api_key_env, "").strip()
        if not key:
            raise ConfigError(f"api_key_env: the environment variable {self.api_key_env!r} is not set")
        if not (key.isascii() and key.isprintable()):
            raise ConfigError(f"api_key_env: the key in {self.api_key_env!r} has characters that no header may hold")
        return key


class ChatSession:
    """Open connections to an endpoint; see `ChatClient.open`."""

    def __init__(self, client: ChatClient, http: Any, httpx: Any, key: str) -> None:
        self._client = client
        self._http = http
        self._transport_errors = (httpx.TransportError, httpx.DecodingError)
        self._key = key

    async def ask(self, body: Mapping[str, Any]) -> Reply:
        """Send one request, again after transient failures.

        Raises:
            EndpointError: no usable answer; the message says what the last one was.
        """
        client = self._client
        data = json.dumps(body).encode()
        retries = client.retries if client._answers else 0
        for retry in range(retries + 1):
            try:
                reply = await self._once(data)
            except EndpointError as error:
                if not error.transient:
                    raise
                if retry == retries:
                    client._answers = False
                    raise EndpointError(f"{error} ({retries + 1} requests)", False) from None
                await asyncio.sleep(client.wait_s(retry, error.retry_after))
            else:
                client._answers = True
                return reply
        raise AssertionError("the loop returns or raises")

    async def _once(self, data: bytes) -> Reply:
        url, limit = self._client.url, self._client.timeout_s
        headers = {"Content-Type": "application/json"}
        content = bytearray()
        try:
            async with (
                asyncio.timeout(limit),
                self._http.stream("POST", url, content=data, headers=headers) as response,
            ):
                async for part in response.aiter_bytes():
                    content += part
                    if len(content) > ANSWER_LIMIT:
                        raise EndpointError(f"{url} sent more than {ANSWER_LIMIT >> 20} MiB", False)
        except TimeoutError:
            raise EndpointError(f"{url} gave no answer within {limit:g} s", True) from None
        except self._transport_errors as error:
            # Without the cause: it holds the request, and the request holds the key.
            raise EndpointError(self._clean(f"{url}: {type(error).__name__}: {error}"), True) from None
        if response.status_code != 200:
            transient = response.status_code in TRANSIENT_STATUSES or response.status_code >= 500
            said = f"{url} answered {response.status_code}: {self._excerpt(content)}"
            raise EndpointError(said, transient, _seconds(response.headers.get("retry-after")))
        reply = _read_reply(content)
        if reply is None:
            raise EndpointError(f"{url} sent no chat completion: {self._excerpt(content)}", True)
        return reply._replace(content=self._clean(reply.content))

    def _excerpt(self, content: bytearray) -> str:
        # Cleaned before it is cut or escaped: half a key is a secret, too. Not by the charset that the endpoint names.
        return repr(self._clean(content.decode("utf-8", "replace"))[:EXCERPT])

    def _clean(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


def _read_reply(content: bytearray) -> Reply | None:
    try:
        choice = json.loads(content)["choices"][0]
        text, reason = choice["message"].get("content"), choice.get("finish_reason")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    if not (text is None or isinstance(text, str)):
        return None
    return Reply(text or "", str(reason))


def _seconds(retry_after: str | None) -> float | None:
    """Read a `Retry-After` header, which holds seconds or a date."""
    if retry_after is None:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            date = parsedate_to_datetime(retry_after)
        except ValueError:
            return None
        seconds = (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _completions_url(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid:
        raise ParameterError("base_url", f"must look like http://host:8000/v1, got {base_url!r:.80}")
    if parts.username or parts.password or parts.query or parts.fragment:
        # Not shown: what stands there may be a secret.
        raise ParameterError("base_url", "must be an address alone: put a key into the variable that api_key_env names")
    path = parts.path.rstrip("/") or "/v1"
    return f"{parts.scheme}://{parts.netloc}{path.removesuffix('/chat/completions')}/chat/completions"


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise ParameterError(name, f"must be > 0 seconds, got {value}")


def request_body(
    model: str, temperature: float | None, max_tokens: int | None, request: Mapping[str, Any]
) -> dict[str, Any]:
    """The fields of a request besides its messages.

    Args:
        model: name of the model.
        temperature: sampling temperature, >= 0; None leaves the field out.
        max_tokens: limit of the message, >= 1; None leaves the field out.
        request: further fields.

    Raises:
        ParameterError: a value out of range, or a field that is not the user's to set.
    """
    if temperature is not None and not (math.isfinite(temperature) and temperature >= 0):
        raise ParameterError("temperature", f"must be >= 0, got {temperature}")
    if max_tokens is not None and max_tokens < 1:
        raise ParameterError("max_tokens", f"must be >= 1, got {max_tokens}")
    for field in OWN_FIELDS:
        if field in request:
            raise ParameterError("request", f"must not set {field!r}")
    sampling = {"temperature": temperature, "max_tokens": max_tokens}
    return {"model": model, **{key: value for key, value in sampling.items() if value is not None}, **request}
