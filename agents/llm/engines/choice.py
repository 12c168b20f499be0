"""Which engine: by name, or the fastest of those in this process, measured on the device."""

import json
import time
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch

from rlenvs.agents.llm.engines.generate import GenerateEngine
from rlenvs.agents.llm.engines.protocol import Engine, SamplingParams
from rlenvs.agents.llm.engines.static import StaticEngine
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.errors import ConfigError, UnsupportedModelError

EngineName = Literal["auto", "static", "generate", "vllm", "http"]
PROMPT_TOKENS, NEW_TOKENS, ROWS, REPEATS = 16, 16, 32, 3
MARGIN = 1.25  # by how much `generate` must be faster to be chosen


@dataclass(frozen=True)
class Choice:
    """What was chosen and why.

    Attributes:
        name: the engine.
        reason: one line.
        tokens_per_second: what was measured, by engine; empty where there was nothing to choose from.
    """

    name: Literal["static", "generate"]
    reason: str
    tokens_per_second: dict[str, float]


_CHOICES: dict[str, Choice] = {}


def make_engine(name: EngineName, policy: Policy, batch_size: int = 64, **options: Any) -> Engine:
    """Build an engine.

    Args:
        name: `static` (Llama-, Mistral-, Qwen2- and Qwen3-shaped models), `generate` (every model), `vllm`, `http`, or
            `auto`, which measures the first two. A run that is to be repeated records the name that was chosen: the
            log-probabilities of two engines differ in the last bits.
        policy: what samples.
        batch_size: sequences processed at once.
        options: further arguments of the engine's class.

    Raises:
        ConfigError: there is no such engine.
        UnsupportedModelError: `static` was asked for and does not know the model.
        MissingExtraError: `vllm` was asked for and is not installed.
    """
    if name == "auto":
        name = choose_engine(policy, batch_size, **options).name
    if name == "static":
        return StaticEngine(policy, batch_size, **options)
    if name == "generate":
        options = {key: value for key, value in options.items() if key not in ("dtype", "compiled")}
        return GenerateEngine(policy, batch_size, **options)
    if name == "http":
        from rlenvs.agents.llm.engines.http import HttpEngine

        return HttpEngine(policy, concurrency=batch_size, **options)
    if name == "vllm":
        from rlenvs.agents.llm.engines.vllm import VllmEngine

        return VllmEngine(policy, **options)
    raise ConfigError(f"there is no engine {name!r}; engines are {', '.join(get_args(EngineName))}")


def choose_engine(policy: Policy, batch_size: int = 64, **options: Any) -> Choice:
    """Measure `static` against `generate` on the policy's device; asked again, answer from memory.

    Args:
        policy: what samples; its weights do not matter, its shape does.
        batch_size: sequences processed at once.
        options: further arguments of `StaticEngine`.
    """
    shape = json.dumps(policy.model.config.to_dict(), sort_keys=True, default=str)
    key = f"{policy.device} {policy.model.dtype} {batch_size} {sorted(options)} {shape}"
    if key not in _CHOICES:
        _CHOICES[key] = _choose(policy, batch_size, options)
    return _CHOICES[key]


def _choose(policy: Policy, batch_size: int, options: dict[str, Any]) -> Choice:
    try:
        static = StaticEngine(policy, batch_size, **options)
    except UnsupportedModelError as error:
        return Choice("generate", error.reason, {})
    rates = {"static": _rate(static, policy, batch_size)}
    static.close()
    rates["generate"] = _rate(GenerateEngine(policy, batch_size), policy, batch_size)
    # Where both are about as fast, noise must not decide: their log-probabilities differ in the last bits.
    name: Literal["static", "generate"] = "static" if rates["static"] * MARGIN >= rates["generate"] else "generate"
    measured = ", ".join(f"{engine} {rate:.0f}" for engine, rate in rates.items())
    return Choice(name, f"{measured} tokens/s on {policy.device}", rates)


def _rate(engine: Engine, policy: Policy, batch_size: int) -> float:
    """Return the best tokens per second of a few short calls, after one that warms up."""
    generator = torch.Generator().manual_seed(0)  # not the run's: measuring changes no sample
    vocabulary = policy.model.get_input_embeddings().weight.shape[0]
    prompts = torch.randint(vocabulary, (min(batch_size, ROWS), PROMPT_TOKENS), generator=generator).tolist()
    rates = []
    for _ in range(1 + REPEATS):
        engine.sync(policy)  # no prompt is remembered from the call before
        started = time.perf_counter()
        completions = engine.generate(prompts, SamplingParams(NEW_TOKENS), generator)
        rates.append(sum(len(completion.ids) for completion in completions) / (time.perf_counter() - started))
    return max(rates[1:])
