"""Everything that the next step of a training depends on, as tensors and plain data.

Stable-Baselines3's own `save` leaves out what makes a resumed run another run: the observations and memories at hand,
the random generators, the replay buffer, the environments. Its zip holds pickled objects too, which whoever loads it
executes; what is here does not.
"""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.vec_env import VecNormalize

from rlenvs.errors import RunFolderError

COUNTERS = (
    "num_timesteps",
    "_episode_num",
    "_n_updates",
    "_n_calls",
    "exploration_rate",
    "_current_progress_remaining",
)
"""Numbers that an algorithm counts with; each has those it needs."""

LAST = ("_last_obs", "_last_original_obs", "_last_episode_starts")
"""Arrays that the next step begins from."""

REPLAYED = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


def algorithm_state(model: BaseAlgorithm) -> dict[str, Any]:
    """Return the state of an algorithm between two rounds."""
    state: dict[str, Any] = {
        "parameters": model.get_parameters(),
        "counters": {name: getattr(model, name) for name in COUNTERS if hasattr(model, name)},
        "last": {name: _tensor(getattr(model, name)) for name in LAST if getattr(model, name) is not None},
        "action_rng": model.action_space.np_random.bit_generator.state,
    }
    memory = getattr(model, "_last_lstm_states", None)
    if memory is not None:
        state["memory"] = {"pi": list(memory.pi), "vf": list(memory.vf)}
    buffer = getattr(model, "replay_buffer", None)
    if buffer is not None:
        state["replay"] = _replay_state(buffer)
    return state


def load_algorithm_state(model: BaseAlgorithm, state: Mapping[str, Any]) -> None:
    """Restore what `algorithm_state` returned, in an algorithm made from the same configuration.

    Raises:
        RunFolderError: it is the state of another kind of algorithm.
    """
    try:
        model.set_parameters(dict(state["parameters"]), exact_match=True, device=model.device)
    except (ValueError, RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise RunFolderError(f"the checkpoint does not fit {type(model).__name__} ({reason})") from error
    for name, value in state["counters"].items():
        setattr(model, name, value)
    for name, value in state["last"].items():
        setattr(model, name, value.numpy())
    model.action_space.np_random.bit_generator.state = state["action_rng"]
    if "memory" in state:
        kept = {key: tuple(part.to(model.device) for part in state["memory"][key]) for key in ("pi", "vf")}
        model._last_lstm_states = type(model._last_lstm_states)(**kept)  # type: ignore[attr-defined]
    if "replay" in state:
        _load_replay(model.replay_buffer, state["replay"])  # type: ignore[attr-defined]


def random_state() -> dict[str, Any]:
    """Return the state of the generators that are shared by the whole process: Python's, NumPy's, torch's."""
    numpys = np.random.get_state(legacy=False)
    assert isinstance(numpys, dict)
    key = numpys["state"]["key"].tolist()
    state = {
        "python": random.getstate(),
        "numpy": numpys | {"state": {"key": key, "pos": int(numpys["state"]["pos"])}},
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def load_random_state(state: Mapping[str, Any]) -> None:
    """Restore what `random_state` returned; where there is no GPU now, those of GPUs are left out."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    numpys = state["numpy"]
    key = np.array(numpys["state"]["key"], dtype=np.uint32)
    np.random.set_state(dict(numpys) | {"state": {"key": key, "pos": numpys["state"]["pos"]}})
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


@contextmanager
def own_randomness(seed: int) -> Iterator[None]:
    """Seed the shared generators inside the block, and leave them as they were behind it.

    Args:
        seed: what the block draws from.
    """
    before = random_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        load_random_state(before)


def normalizer_state(normalizer: VecNormalize) -> dict[str, Any]:
    """Return the statistics of the rewards, and the discounted sums of the episodes at hand."""
    rewards = normalizer.ret_rms
    return {
        "mean": float(rewards.mean),
        "var": float(rewards.var),
        "count": float(rewards.count),
        "returns": normalizer.returns.tolist(),
    }


def load_normalizer_state(normalizer: VecNormalize, state: Mapping[str, Any]) -> None:
    """Restore what `normalizer_state` returned."""
    rewards = normalizer.ret_rms
    rewards.mean, rewards.var = np.array(state["mean"]), np.array(state["var"])
    rewards.count = state["count"]
    normalizer.returns = np.array(state["returns"], dtype=np.float64)


def _tensor(values: Any) -> torch.Tensor:
    return torch.from_numpy(np.array(values))


def _replay_state(buffer: ReplayBuffer) -> dict[str, Any]:
    """Return the transitions that are in a replay buffer; the unused rest is left out."""
    used = buffer.buffer_size if buffer.full else buffer.pos
    arrays = {name: torch.from_numpy(getattr(buffer, name)[:used]) for name in REPLAYED}
    return {"position": buffer.pos, "full": buffer.full, "arrays": arrays}


def _load_replay(buffer: ReplayBuffer, state: Mapping[str, Any]) -> None:
    buffer.pos, buffer.full = state["position"], state["full"]
    for name, values in state["arrays"].items():
        getattr(buffer, name)[: len(values)] = values.numpy()
