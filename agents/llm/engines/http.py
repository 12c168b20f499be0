"""The engine for a server that speaks the OpenAI completions API and returns token ids (`vllm serve` does).

What the server has to do, and what is checked of every answer: take prompts as token ids, and return the ids it
sampled, the end token included, with one log-probability each, taken after the division by the temperature
(`vllm serve --logprobs-mode processed_logprobs`). A server that only returns text cannot be used: text tokenised again
is not what was sampled. That is so for `transformers serve` (5.23), which takes and returns text alone.
"""

import http.client
import json
import math
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any
from urllib.parse import urlsplit

import torch

from rlenvs.agents.llm.engines.protocol import Completion, SamplingParams, params_of_each
from rlenvs.agents.llm.engines.sampling import row_seeds
from rlenvs.agents.llm.engines.stopping import finish_of
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.errors import EngineError, ParameterError

RETRY_STATUSES = (408, 409, 425, 429, 500, 502, 503, 504)
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 8.0  # seconds between attempts
PIECE = 1 << 16  # bytes read at once, so that the deadline is looked at in between


class HttpEngine:
    """Samples on a server.

    Args:
        policy: its tokenizer and end tokens; the weights are the server's.
        url: of the server, up to `/v1` (`http://localhost:8000/v1`).
        model: name that the server knows the model by.
        update: brings new weights to the server at every `sync`; without it the engine refuses to sync, because the
            server would go on sampling from old weights.
        api_key_variable: environment variable with the server's key; "" sends none.
        deadline: seconds that a call of `generate` may take.
        retries: attempts after the first, for a server that is busy or restarting.
        concurrency: requests under way at once.

    Raises:
        ParameterError: the url is none, or the variable is not set.
    """

    name = "http"

    def __init__(
        self,
        policy: Policy,
        url: str,
        model: str,
        update: Callable[[Policy], None] | None = None,
        api_key_variable: str = "",
        deadline: float = 600.0,
        retries: int = 4,
        concurrency: int = 64,
    ) -> None:
        self.policy = policy
        self.model = model
        self.update = update
        self.deadline = deadline
        self.concurrency = concurrency
        key = os.environ.get(api_key_variable, "") if api_key_variable else ""
        if api_key_variable and not key:
            raise ParameterError("api_key_variable", f"names {api_key_variable!r}, which is not set")
        self.server = Server(url, key, retries)
        self._reports_tempered = False

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        params: Sequence[SamplingParams] | SamplingParams,
        generator: torch.Generator,
    ) -> list[Completion]:
        """Sample one completion for each prompt; see `Engine.generate`. Each request has a seed of its own."""
        each = params_of_each(prompts, params)
        if not prompts:
            return []
        seeds = row_seeds(len(prompts), generator).tolist()
        until = time.monotonic() + self.deadline
        tempered = [row for row, one in enumerate(each) if one.temperature not in (0.0, 1.0)]
        if tempered and not self._reports_tempered:
            self._check_temperature(prompts[tempered[0]], each[tempered[0]].temperature, until)
        pool = ThreadPoolExecutor(min(self.concurrency, len(prompts)))
        try:
            futures = [
                pool.submit(self._complete, prompt, one, seed, until)
                for prompt, one, seed in zip(prompts, each, seeds, strict=True)
            ]
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()  # raises what the first failure raised, without waiting for the others
            return [future.result() for future in futures]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def sync(self, policy: Policy) -> None:
        """Bring the policy's weights to the server.

        Raises:
            EngineError: the engine was built without a way to do so.
        """
        self.policy = policy
        if self.update is None:
            raise EngineError(
                f"engine 'http' cannot bring new weights to {self.server.url}: give it `update`, or train with an "
                "engine of this process"
            )
        self.update(policy)

    def close(self) -> None:
        """Nothing is held: every request has its own connection."""

    def _complete(self, prompt: Sequence[int], params: SamplingParams, seed: int, until: float) -> Completion:
        body = {
            "model": self.model,
            "prompt": list(prompt),
            "max_tokens": params.max_new_tokens,
            "temperature": params.temperature,
            "seed": seed,
            "logprobs": 1,
            "return_token_ids": True,
            "stop": list(params.stop) or None,
            "stop_token_ids": sorted({*self.policy.eos_ids, *params.stop_token_ids}),
            "include_stop_str_in_output": True,
            "top_p": 1.0,  # a server's defaults often come from the model's generation_config
            "top_k": 0,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
        }
        choice = _only_choice(self.server.post("/completions", body, until), self.server.url)
        return _completion(choice, params, self.policy, self.server.url)

    def _check_temperature(self, prompt: Sequence[int], temperature: float, until: float) -> None:
        """See whether log-probabilities follow the temperature: those of the likeliest token must change with it.

        Raises:
            EngineError: they do not.
        """
        best = []
        for value in (1.0, temperature):
            body = {
                "model": self.model,
                "prompt": list(prompt),
                "max_tokens": 1,
                "temperature": value,
                "logprobs": 1,
                "return_token_ids": True,
            }
            choice = _only_choice(self.server.post("/completions", body, until), self.server.url)
            tops = (choice.get("logprobs") or {}).get("top_logprobs") or [{}]
            best.append(max((float(logprob) for logprob in tops[0].values()), default=0.0))
        if abs(best[0] - best[1]) < 1e-6 and best[0] < -1e-3:
            raise EngineError(
                f"{self.server.url} reports log-probabilities of the untempered distribution, temperature "
                f"{temperature} needs the tempered one; start vllm with --logprobs-mode processed_logprobs"
            )
        self._reports_tempered = True


class Server:
    """Posts JSON, again where a server is busy, within a deadline.

    Args:
        url: address that paths are added to.
        key: sent as a bearer token; "" sends none.
        retries: attempts after the first.

    Raises:
        ParameterError: the url is none.
    """

    def __init__(self, url: str, key: str = "", retries: int = 4) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ParameterError("url", f"must be like http://localhost:8000/v1, got {url!r}")
        self.url = url.rstrip("/")
        self.key = key
        self.retries = retries

    def check_listens(self) -> None:
        """Wait, as long as for an answer, until something listens there.

        Raises:
            ParameterError: nothing does.
        """
        parts = urlsplit(self.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        pause = FIRST_PAUSE
        for attempt in range(self.retries + 1):
            try:
                socket.create_connection((str(parts.hostname), port), timeout=LONGEST_PAUSE).close()
            except OSError as error:
                problem = error.strerror or str(error)
            else:
                return
            if attempt < self.retries:
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
        raise ParameterError("url", f"{self.url}: nothing answers there ({problem}); start the server first")

    def post(self, path: str, body: Mapping[str, Any], until: float) -> Any:
        """Return the decoded JSON of the answer; see `post_text`.

        Raises:
            EngineError: no usable answer in time.
        """
        try:
            return json.loads(self.post_text(path, body, until))
        except ValueError as error:
            raise EngineError(f"{self.url}{path} answered with something else than JSON") from error

    def post_text(self, path: str, body: Mapping[str, Any], until: float) -> bytes:
        """Return the body of the answer.

        Args:
            path: added to the url.
            body: sent as JSON.
            until: `time.monotonic()` after which no attempt goes on.

        Raises:
            EngineError: no answer in time, or a refusal.
        """
        payload = json.dumps(body).encode()
        pause, problem = FIRST_PAUSE, "none was made"
        for _ in range(self.retries + 1):
            if time.monotonic() >= until:
                break
            try:
                status, answer = self._attempt(path, payload, until)
            except (OSError, http.client.HTTPException) as error:
                problem = f"{type(error).__name__}: {error}"
            else:
                if status == http.HTTPStatus.OK:
                    return answer
                problem = f"status {status}: {answer[:300].decode(errors='replace').strip()}"
                if status not in RETRY_STATUSES:
                    raise EngineError(f"{self.url}{path} refused the request, {problem}")
            time.sleep(max(0.0, min(pause, until - time.monotonic())))
            pause = min(2 * pause, LONGEST_PAUSE)
        raise EngineError(f"{self.url}{path} gave no answer in time; the last attempt: {problem}")

    def _attempt(self, path: str, payload: bytes, until: float) -> tuple[int, bytes]:
        parts = urlsplit(self.url)
        connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = connect(str(parts.hostname), parts.port, timeout=max(0.01, until - time.monotonic()))
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        try:
            connection.request("POST", parts.path + path, payload, headers)
            response = connection.getresponse()
            pieces = []
            while piece := response.read1(PIECE):
                if time.monotonic() >= until:
                    raise TimeoutError("the deadline passed in the middle of the answer")
                pieces.append(piece)
            if response.length:  # read1 ends quietly where the connection did
                raise http.client.IncompleteRead(b"".join(pieces), response.length)
            return response.status, b"".join(pieces)
        finally:
            connection.close()


def _only_choice(answer: Any, url: str) -> dict[str, Any]:
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        raise EngineError(f"{url} answered without exactly one choice")
    choice: dict[str, Any] = choices[0]
    return choice


def _completion(choice: Mapping[str, Any], params: SamplingParams, policy: Policy, url: str) -> Completion:
    """Read one choice.

    Raises:
        EngineError: it lacks something that training needs, or contradicts itself.
    """
    ids = choice.get("token_ids")
    if not isinstance(ids, list) or not ids or not all(isinstance(token, int) for token in ids):
        raise EngineError(f"{url} returned no token ids, and text tokenised again is not what was sampled")
    logprobs = (choice.get("logprobs") or {}).get("token_logprobs")
    if not isinstance(logprobs, list) or len(logprobs) != len(ids):
        raise EngineError(f"{url} returned {len(ids)} token ids without one log-probability each")
    if not all(isinstance(value, int | float) and math.isfinite(value) and value <= 1e-3 for value in logprobs):
        raise EngineError(f"{url} returned log-probabilities that are none")
    finish = choice.get("finish_reason")
    if finish not in ("stop", "length") or len(ids) > params.max_new_tokens:
        raise EngineError(f"{url} ended a completion of {len(ids)} tokens with {finish!r}")
    if finish == "stop" and finish_of(ids, params, policy.eos_ids, policy.tokenizer) != "stop":
        raise EngineError(f"{url} left out the token that ended a completion; it was sampled and has to be trained")
    kept = [0.0] * len(ids) if params.temperature == 0 else [min(0.0, float(value)) for value in logprobs]
    return Completion(ids, kept, finish)
