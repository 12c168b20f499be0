"""From the section `rollout.engine` to an engine."""

import socket
import time

import pytest
import torch
from tiny import tiny_policy

from rlenvs.agents.llm.config import EngineConfig
from rlenvs.agents.llm.engines import SamplingParams
from rlenvs.agents.llm.engines.configured import configured_engine
from rlenvs.agents.llm.engines.http import HttpEngine
from rlenvs.errors import ConfigError, EngineError


@pytest.fixture
def url():
    """Where something listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v1"


@pytest.mark.parametrize("name", ["auto", "static", "generate"])
def test_every_option_reaches_an_engine_that_samples(name):
    policy = tiny_policy()
    engine = configured_engine(EngineConfig(name=name, dtype="bfloat16"), policy, 4)
    assert engine.name in ("static", "generate") if name == "auto" else engine.name == name
    found = engine.generate([[4, 5], [6]], SamplingParams(3), torch.Generator().manual_seed(0))
    assert [0 < len(completion.ids) <= 3 for completion in found] == [True, True]
    if engine.name == "static":
        assert engine.dtype == torch.bfloat16


def test_what_a_run_chose_is_what_it_goes_on_with():
    for name in ("static", "generate"):
        assert configured_engine(EngineConfig(name="auto"), tiny_policy(), 4, name).name == name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "url must say where the server listens, for engine 'http'"),
        ({"url": "http://localhost:1/v1"}, "model must say which of the server's models to ask, for engine 'http'"),
        (
            {"url": "http://localhost:1/v1", "model": "m", "weights": "adapter"},
            "weights_dir must name a folder that the server sees, for weights: adapter",
        ),
    ],
)
def test_servers_need_what_it_takes_to_reach_them(options, message):
    with pytest.raises((ConfigError, ValueError), match=message.split(" ", 1)[1]):
        EngineConfig(name="http", **options)


def test_a_server_keeps_its_weights_unless_told_how_to_get_others(url):
    config = EngineConfig(name="http", url=url, model="m")
    engine = configured_engine(config, tiny_policy(), 4)
    assert isinstance(engine, HttpEngine)
    with pytest.raises(EngineError, match="cannot bring new weights"):
        engine.sync(tiny_policy())


def test_an_adapter_is_what_goes_to_a_server_by_a_folder(tmp_path, url):
    options = {"url": url, "model": "m", "weights": "adapter", "weights_dir": str(tmp_path)}
    engine = configured_engine(EngineConfig(name="http", **options), tiny_policy(), 4)
    with pytest.raises(EngineError, match="has no adapter"):
        engine.sync(tiny_policy())


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            "http://127.0.0.1:1/v1",
            "rollout.engine.url: http://127.0.0.1:1/v1: nothing answers there .*start the server",
        ),
        ("localhost:8000", "rollout.engine.url: must be like http://"),
    ],
)
def test_a_server_that_is_not_there_is_missed_before_a_run_begins(address, message, monkeypatch):
    pauses = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    with pytest.raises(ConfigError, match=message) as caught:
        configured_engine(EngineConfig(name="http", url=address, model="m"), tiny_policy(), 4)
    assert "\n" not in str(caught.value)
    assert pauses == ([0.25, 0.5, 1.0, 2.0] if "127" in address else []), "a server that is starting gets time"
