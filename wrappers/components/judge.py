"""A language model behind an HTTP endpoint as judge."""

import asyncio
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from rlenvs.chat_client import ChatClient, ChatSession, request_body
from rlenvs.errors import ParameterError
from rlenvs.event_loop import gather_rows, raise_interrupts, shared_loop
from rlenvs.wrappers.base import ERROR, INVALID, BaseReward, Score
from rlenvs.wrappers.component_registry import register_reward
from rlenvs.wrappers.judge.cache import ScoreCache
from rlenvs.wrappers.judge.prompt import (
    ASK_AGAIN,
    DEFAULT_RUBRIC,
    DEFAULT_TEMPLATE,
    check_template,
    question,
    read_verdict,
)
from rlenvs.wrappers.transition import Transition

SHOWN_REPLY = 2000  # characters of an unreadable reply that the judge sees again


class UnreadableVerdictError(ValueError):
    """The judge answered, several times, without a valid score."""


@register_reward()
class JudgeReward(BaseReward):
    """The score that a judge model gives, from any endpoint that speaks `/v1/chat/completions`.

    (score - scale[0]) / (scale[1] - scale[0]), or the score itself with `normalize` off; 0 before a message ends.
    The messages of a batch are judged at the same time, equal ones once. An endpoint that gives no answer is an
    error. A judge that gives no valid score is asked again, `asks` times in all; after that the message gets the worst
    score with status `invalid`, which no error policy leaves out of the mean, because a policy may learn to write what
    makes a judge fail. With `on_unreadable: error` it is an error of the component instead.

    Args:
        base_url: address of the endpoint (`http://localhost:8000/v1`).
        model: name of the judge model.
        rubric: what a good response is.
        prompt_template: the whole question, with `{prompt}`, `{response}`, `{conversation}`, `{reference}` (inserted
            as JSON, so that they cannot end their own quotation), `{rubric}`, `{scale_min}` and `{scale_max}`.
        system_prompt: a system message before it; none when omitted.
        reference_key: key of `info` with the right answer, for `{reference}`.
        api_key_env: environment variable that holds the key. Only its name is ever stored or shown.
        scale: worst and best score that the judge may give.
        normalize: map the scale to [0, 1].
        on_unreadable: what becomes of a message for which the judge gives no valid score.
        asks: how often the judge is asked for a valid score, >= 1.
        max_concurrency: requests at the same time, >= 1.
        timeout_s: seconds for one request, > 0.
        retries: further requests after a failed one (connection, timeout, 408, 409, 425, 429, 5xx), >= 0.
        backoff_s: seconds before the first retry, doubled for each further one, with jitter; `Retry-After` is kept.
        max_wait_s: longest wait before a retry, in seconds, > 0.
        temperature: sampling temperature of the judge; null leaves the field out.
        max_tokens: limit of the judge's message; null leaves the field out.
        request: further fields of the request body.
        max_chars: longest text put into the question; of a longer one the middle is left out, >= 100.
        cache_size: scores kept in memory, by everything that the judge was asked with; 0 for no cache.
        cache_path: SQLite file that keeps them over runs.
        seed: of the jitter.

    Range: [0, 1], or `scale` with `normalize` off.

    Raises:
        ParameterError: a parameter out of range.

    Source: Zheng et al. 2023, "Judging LLM-as-a-Judge" (https://arxiv.org/abs/2306.05685).

    Example:
        >>> judge = JudgeReward("http://localhost:8000/v1", "judge-7b", rubric="Is it polite?", scale=(1, 5))
        >>> judge.client.url
        'http://localhost:8000/v1/chat/completions'
    """

    effect: ClassVar[str] = "writing what the judge model likes: long, confident or flattering text"

    def __init__(
        self,
        base_url: str,
        model: str,
        rubric: str = DEFAULT_RUBRIC,
        prompt_template: str = DEFAULT_TEMPLATE,
        system_prompt: str | None = None,
        reference_key: str | None = None,
        api_key_env: str | None = None,
        scale: tuple[float, float] = (0.0, 10.0),
        normalize: bool = True,
        on_unreadable: Literal["invalid", "error"] = "invalid",
        asks: int = 3,
        max_concurrency: int = 16,
        timeout_s: float = 60.0,
        retries: int = 4,
        backoff_s: float = 0.5,
        max_wait_s: float = 60.0,
        temperature: float | None = 0.0,
        max_tokens: int | None = 1024,
        request: dict[str, Any] | None = None,
        max_chars: int = 20_000,
        cache_size: int = 100_000,
        cache_path: str | None = None,
        seed: int = 0,
    ) -> None:
        self.client = ChatClient(base_url, api_key_env, timeout_s, retries, backoff_s, max_wait_s, seed)
        check_template(prompt_template)
        _check_reference(prompt_template, reference_key)
        self.scale = _checked_scale(scale)
        for name, value, low in (
            ("asks", asks, 1),
            ("max_concurrency", max_concurrency, 1),
            ("max_chars", max_chars, 100),
            ("cache_size", cache_size, 0),
        ):
            if value < low:
                raise ParameterError(name, f"must be >= {low}, got {value}")
        if on_unreadable not in ("error", "invalid"):
            raise ParameterError("on_unreadable", f"must be 'error' or 'invalid', got {on_unreadable!r}")
        self.rubric, self.prompt_template, self.system_prompt = rubric, prompt_template, system_prompt
        self.reference_key = reference_key
        self.normalize = normalize
        self.on_unreadable = on_unreadable
        self.asks = asks
        self.max_concurrency = max_concurrency
        self.max_chars = max_chars
        self.cache = ScoreCache(cache_size, cache_path)
        self._body = request_body(model, temperature, max_tokens, request or {})

    def __call__(self, transition: Transition) -> float | Score:
        """Judge one message.

        Raises:
            EndpointError: the endpoint gave no answer.
            UnreadableVerdictError: the judge gave no valid score.
            KeyError: `info` lacks the reference.
            ConfigError: the key is not in the environment.
        """
        (item,) = self.batch([transition])
        return item

    def batch(self, transitions: Sequence[Transition]) -> list[float | Score]:
        """Judge N messages. A row that fails is an error alone; a batch of one raises, so that the reason shows."""
        results: list[float | BaseException] = [0.0] * len(transitions)
        questions: dict[str, list[dict[str, str]]] = {}
        digests: dict[int, str] = {}
        for row, transition in enumerate(transitions):
            if transition.message_ended:
                try:
                    messages = self._messages(transition)
                except KeyError as error:
                    results[row] = error
                else:
                    digests[row] = self._digest(messages)
                    questions[digests[row]] = messages
        verdicts = self._verdicts(questions)
        for row, digest in digests.items():
            results[row] = verdicts[digest]
        if len(results) == 1 and isinstance(results[0], BaseException) and not self._is_verdict(results[0]):
            raise results[0]
        return [self._score(result, row in digests) for row, result in enumerate(results)]

    def _verdicts(self, questions: Mapping[str, list[dict[str, str]]]) -> dict[str, float | BaseException]:
        known = self.cache.get(questions)
        pending = [digest for digest in questions if digest not in known]
        if not pending:
            return dict(known)
        answers = shared_loop().run(self._ask_all([questions[digest] for digest in pending]))
        raise_interrupts(answers)
        verdicts = dict(zip(pending, answers, strict=True))
        self.cache.add({digest: score for digest, score in verdicts.items() if isinstance(score, float)})
        return known | verdicts

    async def _ask_all(self, questions: Sequence[list[dict[str, str]]]) -> list[float | BaseException]:
        async with self.client.open(self.max_concurrency) as session:
            calls = [lambda messages=messages: self._ask(session, messages) for messages in questions]
            return await gather_rows(calls, self.max_concurrency)

    async def _ask(self, session: ChatSession, messages: list[dict[str, str]]) -> float:
        asked = list(messages)
        reply = None
        for _ in range(self.asks):
            if reply is not None:
                shown = [{"role": "assistant", "content": reply.content[:SHOWN_REPLY]}] if reply.content else []
                asked = [*messages, *shown, {"role": "user", "content": ASK_AGAIN}]
            reply = await session.ask({**self._body, "messages": asked})
            # A message that was cut may end in "Score: 1" of "Score: 10".
            score = None if reply.finish_reason == "length" else read_verdict(reply.content, self.scale)
            if score is not None:
                return score
            await asyncio.sleep(0)
        last = reply.content[-80:] if reply else ""
        raise UnreadableVerdictError(
            f"the judge gave no score from {self.scale[0]:g} to {self.scale[1]:g} in {self.asks} replies; "
            f"the last one ends with {last!r}"
        )

    def _messages(self, transition: Transition) -> list[dict[str, str]]:
        reference = None
        if self.reference_key is not None:
            if self.reference_key not in transition.info:
                raise KeyError(f"info has no {self.reference_key!r}, the reference that the judge compares with")
            reference = transition.info[self.reference_key]
        text = question(
            self.prompt_template,
            transition,
            rubric=self.rubric,
            scale=self.scale,
            reference=reference,
            max_chars=self.max_chars,
        )
        system = [{"role": "system", "content": self.system_prompt}] if self.system_prompt else []
        return [*system, {"role": "user", "content": text}]

    def _digest(self, messages: list[dict[str, str]]) -> str:
        asked = [self.client.url, self._body, list(self.scale), messages]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()

    def _is_verdict(self, result: BaseException) -> bool:
        return isinstance(result, UnreadableVerdictError) and self.on_unreadable == "invalid"

    def _score(self, result: float | BaseException, judged: bool) -> float | Score:
        if isinstance(result, BaseException):
            return Score(self._value(self.scale[0]), INVALID) if self._is_verdict(result) else Score(math.nan, ERROR)
        return self._value(result) if judged else 0.0

    def _value(self, score: float) -> float:
        low, high = self.scale
        return (score - low) / (high - low) if self.normalize else score


def _checked_scale(scale: Sequence[float]) -> tuple[float, float]:
    if len(scale) != 2 or not all(math.isfinite(bound) for bound in scale) or not scale[0] < scale[1]:
        raise ParameterError("scale", f"must be [worst, best] with worst < best, got {list(scale)}")
    return float(scale[0]), float(scale[1])


def _check_reference(template: str, reference_key: str | None) -> None:
    if ("{reference}" in template) != (reference_key is not None):
        raise ParameterError("reference_key", "and {reference} in prompt_template belong together: use both or none")
