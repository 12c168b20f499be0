"""The http engine over a real connection to a real server with a real model."""

import time

import pytest
import torch
from completions_server import completions_server
from peft import LoraConfig, get_peft_model
from tiny_models import tiny_model_policy

from rlenvs.agents.llm.engines import GenerateEngine, SamplingParams, make_engine
from rlenvs.agents.llm.engines import http as http_module
from rlenvs.agents.llm.engines.vllm import AdapterOnServer
from rlenvs.errors import EngineError, ParameterError

POLICY = tiny_model_policy("llama", scale=2.0)
PROMPTS = [[4, 5, 6], [7, 8], [9] * 7, [3], [11, 12]]


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(http_module, "FIRST_PAUSE", 0.01)
    with completions_server(POLICY) as running:
        yield running


def engine_for(server, **options):
    return make_engine("http", POLICY, 3, url=server.url, model="tiny", **options)


@pytest.mark.parametrize("temperature", [0.0, 1.0, 0.7])
def test_samples_what_the_model_would_sample_here(server, temperature):
    params = [SamplingParams(3 + 4 * row, temperature, stop=("77",)) for row in range(5)]
    theirs = engine_for(server).generate(PROMPTS, params, stream())
    ours = GenerateEngine(POLICY).generate(PROMPTS, params, stream())
    assert [(c.ids, c.finish) for c in theirs] == [(c.ids, c.finish) for c in ours]
    for one, other in zip(theirs, ours, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-5)


def test_requests_say_all_that_decides_a_sample(server, monkeypatch):
    monkeypatch.setenv("KEY_OF_SERVER", "secret")
    params = SamplingParams(4, stop=("1", "22"), stop_token_ids=(9,))
    engine_for(server, api_key_variable="KEY_OF_SERVER").generate(PROMPTS[:2], params, stream())
    (path, headers, body), (_, _, other) = sorted(server.requests, key=lambda request: len(request[2]["prompt"]))
    assert path == "/v1/completions"
    assert headers["Authorization"] == "Bearer secret"
    assert body["prompt"] == [7, 8]
    assert body["stop"] == ["1", "22"]
    assert body["stop_token_ids"] == sorted({*POLICY.eos_ids, 9})
    assert (body["top_p"], body["top_k"], body["repetition_penalty"]) == (1.0, 0, 1.0)
    assert body["return_token_ids"] is True
    assert body["seed"] != other["seed"]


@pytest.mark.parametrize("fault", [503, 429, "drop"])
def test_a_busy_server_is_asked_again(server, fault):
    server.faults = [fault] * 3
    expected = GenerateEngine(POLICY).generate(PROMPTS, SamplingParams(4), stream())
    completions = engine_for(server).generate(PROMPTS, SamplingParams(4), stream())
    assert [c.ids for c in completions] == [c.ids for c in expected]
    assert len(server.requests) == len(PROMPTS) + 3


@pytest.mark.parametrize(
    ("faults", "message", "requests"),
    [
        ([401], "refused the request, status 401: busy or not allowed", 1),
        ([503] * 9, "gave no answer in time; the last attempt: status 503", 3),
        (["drop"] * 9, "gave no answer in time; the last attempt: IncompleteRead", 3),
        (["no json"], "answered with something else than JSON", 1),
        (['{"choices": []}'], "answered without exactly one choice", 1),
        (["[1]"], "answered without exactly one choice", 1),
    ],
)
def test_a_server_that_does_not_answer(server, faults, message, requests):
    server.faults = faults
    with pytest.raises(EngineError, match=message):
        engine_for(server, retries=2).generate([[4, 5]], SamplingParams(4), stream())
    assert len(server.requests) == requests


def test_the_deadline_ends_an_answer_that_does_not_end(server):
    server.faults = ["slow"]
    started = time.monotonic()
    with pytest.raises(EngineError, match=r"the deadline passed|timed out"):
        engine_for(server, deadline=0.3).generate([[4, 5]], SamplingParams(4), stream())
    assert time.monotonic() - started < 3


def test_the_first_failure_ends_the_batch(server):
    server.faults = [400]
    with pytest.raises(EngineError, match="status 400"):
        make_engine("http", POLICY, 1, url=server.url, model="tiny").generate([[4]] * 50, SamplingParams(2), stream())
    assert len(server.requests) < 10


def test_nobody_listens():
    engine = make_engine("http", POLICY, url="http://127.0.0.1:9/v1", model="tiny", retries=0)
    with pytest.raises(EngineError, match="gave no answer in time; the last attempt: ConnectionRefusedError"):
        engine.generate([[4]], SamplingParams(2), stream())


def without(key):
    return lambda choice: {name: value for name, value in choice.items() if name != key}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (without("token_ids"), "returned no token ids"),
        (without("logprobs"), "without one log-probability each"),
        (lambda c: c | {"logprobs": {"token_logprobs": [-1.0]}}, "without one log-probability each"),
        (
            lambda c: c | {"logprobs": {"token_logprobs": [None] * len(c["token_ids"])}},
            "log-probabilities that are none",
        ),
        (
            lambda c: c | {"logprobs": {"token_logprobs": [0.5] * len(c["token_ids"])}},
            "log-probabilities that are none",
        ),
        (lambda c: c | {"finish_reason": "abort"}, "ended a completion of .* tokens with 'abort'"),
        (lambda c: c | {"finish_reason": "stop"}, "left out the token that ended a completion"),
        (
            lambda c: (
                c | {"token_ids": c["token_ids"] * 9, "logprobs": {"token_logprobs": [-1.0] * 9 * len(c["token_ids"])}}
            ),
            "ended a completion of",
        ),
    ],
)
def test_answers_that_cannot_be_trained_on(server, edit, message):
    server.edit = edit
    with pytest.raises(EngineError, match=message):
        engine_for(server).generate([[4, 5]], SamplingParams(2, stop_token_ids=()), stream(1))


def test_log_probabilities_that_ignore_the_temperature_are_noticed(server):
    server.tempered = False
    engine = engine_for(server)
    engine.generate([[4, 5]], SamplingParams(2), stream())  # at temperature 1 they are the same
    with pytest.raises(EngineError, match=r"untempered distribution, temperature 0\.7 .*processed_logprobs"):
        engine.generate([[4, 5]], SamplingParams(2, 0.7), stream())


def test_sync_without_a_way_to_bring_weights_is_refused(server):
    with pytest.raises(EngineError, match="cannot bring new weights"):
        engine_for(server).sync(POLICY)
    synced = []
    engine_for(server, update=synced.append).sync(POLICY)
    assert synced == [POLICY]


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_an_adapter_is_saved_and_the_server_told(server, tmp_path):
    update = AdapterOnServer(server.url, "policy", tmp_path)
    with pytest.raises(EngineError, match="has no adapter"):
        update(POLICY)
    policy = tiny_model_policy("llama")
    policy.model = get_peft_model(policy.model, LoraConfig(r=2, target_modules="all-linear"))
    for _ in range(3):
        update(policy)
    assert [path for path, _, _ in server.requests] == ["/v1/load_lora_adapter"] * 3
    bodies = [body for _, _, body in server.requests]
    assert [body["load_inplace"] for body in bodies] == [False, True, True]
    assert [body["lora_path"] for body in bodies] == [str(tmp_path / f"policy-{version}") for version in (1, 0, 1)]
    assert (tmp_path / "policy-1" / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x/v1", ""])
def test_addresses_that_are_none(url):
    with pytest.raises(ParameterError, match="url must be like http://localhost:8000/v1"):
        make_engine("http", POLICY, url=url, model="tiny")


def test_a_key_that_is_not_set(monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(ParameterError, match="api_key_variable names 'NO_SUCH_KEY', which is not set"):
        make_engine("http", POLICY, url="http://localhost:1/v1", model="tiny", api_key_variable="NO_SUCH_KEY")
