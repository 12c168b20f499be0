"""What a run will hold at once, worked out before anything is loaded.

Only the model's configuration is read. Its parameters get shapes and no memory, and the passes of the run (reading
prompts, scoring, the update with its backward pass) are traced on fake tensors; see `tracing`. All figures are for the
worst case that the configuration allows: every episode fills `rollout.context_tokens`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rlenvs.agents.llm.config import TrainConfig
from rlenvs.agents.llm.embedded import SPECIAL, llama_config
from rlenvs.agents.llm.memory.shapes import Shapes
from rlenvs.errors import ModelLoadError
from rlenvs.extras import require

PARTS = ("weights", "decode copy", "critic", "reference", "moments", "gradients", "cache", "passes")
HUB_TIMEOUT = 10  # seconds
LARGE = 8 * 2**30  # from here on figures are in GiB
ALPHABET = 100  # about as many as a keyboard has


@dataclass
class MemoryEstimate:
    """What the device holds in each phase of an iteration.

    Attributes:
        device: `cpu` or `cuda`.
        context: tokens per episode that it holds for.
        parts: bytes by phase and part.
        notes: what is not in the figures.

    Example:
        >>> estimate = MemoryEstimate("cpu", 256, {"update": {"weights": 2 * 2**30, "moments": 2**30}})
        >>> estimate.peak / 2**30, estimate.peak_phase
        (3.0, 'update')
    """

    device: str
    context: int
    parts: dict[str, dict[str, int]]
    notes: list[str] = field(default_factory=list)

    def total(self, phase: str) -> int:
        """Return the bytes of a phase."""
        return sum(self.parts[phase].values())

    @property
    def peak_phase(self) -> str:
        """The phase that holds the most."""
        return max(self.parts, key=self.total)

    @property
    def peak(self) -> int:
        """Bytes of that phase."""
        return self.total(self.peak_phase)

    def lines(self) -> list[str]:
        """Return it as a table."""
        unit, scale, digits = ("GiB", 2**30, 2) if self.peak >= LARGE else ("MiB", 2**20, 1)

        def shown(size: int) -> str:
            return f"{size / scale:,.{digits}f}" if size else "-"

        used = [part for part in PARTS if any(parts.get(part) for parts in self.parts.values())]
        rows = [["", *used, "total"]]
        for phase, parts in self.parts.items():
            rows.append([phase, *(shown(parts.get(part, 0)) for part in used), shown(self.total(phase))])
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        table = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        head = f"memory on {self.device} in {unit}, at most: every episode {self.context} tokens long"
        return [head, *table, f"peak {shown(self.peak)} {unit}, in the {self.peak_phase}", *self.notes]


def memory_report(config: TrainConfig) -> list[str]:
    """Return the estimate of a run as lines, or one line that says why there is none."""
    try:
        return estimate_memory(config).lines()
    except ModelLoadError as error:
        return [f"memory cannot be estimated without the model's config.json: {error}"]


def estimate_memory(config: TrainConfig, model_config: Any = None) -> MemoryEstimate:
    """Work out what a run holds, phase by phase.

    Args:
        config: the run.
        model_config: of the model, from `transformers`; None reads it from the folder or hub id of the run.

    Raises:
        ModelLoadError: there is no configuration of that model here or on the hub.
    """
    if model_config is None:
        model_config = read_model_config(config)
    device = "cuda" if config.device == "cuda" or (config.device == "auto" and torch.cuda.is_available()) else "cpu"
    shapes = Shapes(config, model_config)
    offload = device == "cuda"
    gradients = shapes.trained_bytes()
    reference = 0 if config.ppo.kl_coef == 0 or config.policy.adapter is not None else shapes.weights()
    moments = moment_bytes(shapes.trained(), config.memory.optimizer)
    held = {
        "weights": shapes.weights(),
        "decode copy": shapes.decode_copy(),
        "critic": shapes.critic_bytes(),
        "reference": reference,
        "moments": moments,
        "cache": shapes.cache(),
    }
    away = {
        "reference": offload and config.memory.offload_reference,
        "moments": offload and config.memory.offload_optimizer,
    }
    there = {part: 0 if away.get(part) else size for part, size in held.items()}
    parts = {
        "rollout": there | {"passes": shapes.rollout_pass()},
        "scoring": there | {"reference": reference, "passes": shapes.scoring_pass()},
        "update": there | {"moments": moments, "gradients": gradients, "passes": shapes.update_pass()},
    }
    return MemoryEstimate(device, config.rollout.context_tokens, parts, _notes(config, shapes, device))


def moment_bytes(parameters: Iterable[Tensor], optimizer: str) -> int:
    """Return the bytes of AdamW's two moments.

    Args:
        parameters: those that are trained.
        optimizer: of `memory.optimizer`.

    Example:
        >>> moment_bytes([torch.zeros(100, 100)], "adamw"), moment_bytes([torch.zeros(100, 100)], "adamw_8bit")
        (80000, 20320)
    """
    if optimizer != "adamw_8bit":
        return sum(2 * parameter.nbytes for parameter in parameters)
    # 8 bits each and a float32 scale per block of 256; small tensors keep 32 bits
    return sum(8 * p.numel() if p.numel() < 4_096 else 2 * p.numel() + 2 * 4 * -(-p.numel() // 256) for p in parameters)


def read_model_config(config: TrainConfig) -> Any:
    """Return the configuration of the run's model: of the embedded policy, a folder, or a hub id.

    Raises:
        ModelLoadError: there is none to be had.
    """
    transformers = require("transformers", "llm", "the memory estimate")
    if config.policy.model == "embedded":
        return embedded_config(config)
    source = config.policy.model
    try:
        if (Path(source) / "adapter_config.json").is_file():
            source = require("peft", "llm", "an adapter").PeftConfig.from_pretrained(source).base_model_name_or_path
        if not Path(source).is_dir():
            _reach(source)
        return transformers.AutoConfig.from_pretrained(source)
    except Exception as error:  # dozens of kinds, all of them about the folder or the hub
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelLoadError(first_line) from error


def _reach(repository: str) -> None:
    """See that the hub, or its cache here, has the configuration; without a network that shows at once."""
    hub = require("huggingface_hub", "llm", "reading a model's config.json")
    if hub.try_to_load_from_cache(repository, "config.json") is None:
        hub.get_hf_file_metadata(hub.hf_hub_url(repository, "config.json"), timeout=HUB_TIMEOUT)


def embedded_config(config: TrainConfig) -> Any:
    """Return the shape of the embedded policy. An alphabet that has yet to be found is taken for `ALPHABET` letters."""
    alphabet = config.policy.embedded.alphabet
    letters = ALPHABET if alphabet is None else len(set(alphabet))
    return llama_config(config.policy.embedded, len(SPECIAL) + letters)


def _notes(config: TrainConfig, shapes: Shapes, device: str) -> list[str]:
    notes = [*shapes.notes]
    if device == "cuda":
        notes.append("not counted: about 0.5 GiB of CUDA itself, recorded graphs, fragments (allow a tenth)")
        if torch.cuda.is_available():
            notes.append(f"the device has {torch.cuda.mem_get_info()[1] / 2**30:.2f} GiB")
    else:
        notes.append("not counted: about 0.5 GiB of Python and its libraries, the environments, reward models")
    if config.rollout.engine.name == "vllm":
        notes.append("not counted: what vLLM reserves for itself in this process or another")
    return notes
