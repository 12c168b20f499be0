"""The engines of vLLM: in this process on the same GPU, or behind `vllm serve`.

No test of this project runs vLLM: it needs a GPU, and its releases pin another torch. What is tested is everything on
our side of it (`checkpoint_weights`, the server's protocol in `http`). Written against the documentation of vLLM 0.32.

Colocated: `VllmEngine` holds an `LLM` in this process and loads the policy's weights into it at every `sync`.

Behind a server, `HttpEngine` samples and one of these is its `update`:

* `AdapterOnServer` saves the LoRA adapter to a folder that the server sees and has it load that
  (`VLLM_ALLOW_RUNTIME_LORA_UPDATING=True vllm serve ... --enable-lora`).
* `SharedGpuWeights` hands all weights over through CUDA memory, where both share a GPU
  (`VLLM_SERVER_DEV_MODE=1 VLLM_ALLOW_INSECURE_SERIALIZATION=1 vllm serve ... --weight-transfer-config
  '{"backend": "ipc"}'`, the second variable in this process as well).

Either server is started with `--logprobs-mode processed_logprobs`.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from rlenvs.agents.llm.engines.http import Server
from rlenvs.agents.llm.engines.protocol import Completion, SamplingParams, params_of_each
from rlenvs.agents.llm.engines.sampling import row_seeds
from rlenvs.agents.llm.engines.weights import checkpoint_weights
from rlenvs.agents.llm.policy.adapters import base_of
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.errors import EngineError
from rlenvs.extras import require

UPDATE_SECONDS = 600.0


class VllmEngine:
    """Samples with vLLM in this process.

    Args:
        policy: what samples. Its weights are copied at every `sync`.
        memory_share: of the GPU's memory for vLLM, weights and cache; the rest is for training.
        options: further arguments of `vllm.LLM`.

    Raises:
        MissingExtraError: vllm is not installed.
    """

    name = "vllm"

    def __init__(self, policy: Policy, memory_share: float = 0.4, **options: Any) -> None:
        # The worker must live in this process: weights are then handed over as they are, without pickling.
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        self.vllm = require("vllm", "vllm", "engine 'vllm'")
        self.options = {"gpu_memory_utilization": memory_share, "dtype": "bfloat16"} | options
        self.policy = policy
        self._llm: Any = None

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        params: Sequence[SamplingParams] | SamplingParams,
        generator: torch.Generator,
    ) -> list[Completion]:
        """Sample one completion for each prompt; see `Engine.generate`."""
        each = params_of_each(prompts, params)
        if not prompts:
            return []
        seeds = row_seeds(len(prompts), generator).tolist()
        if self._llm is None:
            self.sync(self.policy)
        theirs = [self._sampling(one, seed) for one, seed in zip(each, seeds, strict=True)]
        try:
            outputs = self._llm.generate([{"prompt_token_ids": list(p)} for p in prompts], theirs, use_tqdm=False)
        except (RuntimeError, ValueError, LookupError, TypeError) as error:
            self.close()
            raise EngineError(f"engine 'vllm' failed on {len(prompts)} prompts: {error}") from error
        return [_completion(output.outputs[0], one) for output, one in zip(outputs, each, strict=True)]

    def sync(self, policy: Policy) -> None:
        """Load the policy's weights, and forget keys and values of the former ones."""
        self.policy = policy
        if self._llm is None:
            with TemporaryDirectory() as folder:
                base_of(policy.model).config.save_pretrained(folder)
                policy.tokenizer.save_pretrained(folder)
                self._llm = self.vllm.LLM(
                    model=folder, load_format="dummy", logprobs_mode="processed_logprobs", **self.options
                )
        self._llm.apply_model(lambda model: len(model.load_weights(checkpoint_weights(policy.model))))
        self._llm.reset_prefix_cache()

    def close(self) -> None:
        """Give the GPU's memory back."""
        self._llm = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _sampling(self, params: SamplingParams, seed: int) -> Any:
        return self.vllm.SamplingParams(
            max_tokens=params.max_new_tokens,
            temperature=params.temperature,
            seed=seed,
            logprobs=0,  # of the sampled token alone
            stop=list(params.stop) or None,
            stop_token_ids=sorted({*self.policy.eos_ids, *params.stop_token_ids}),
            include_stop_str_in_output=True,
        )


class AdapterOnServer:
    """Brings a LoRA adapter to a server, by a folder that both see.

    Args:
        url: of the server, up to `/v1`.
        name: of the adapter; the `model` that requests then ask for.
        folder: where it is saved.
        api_key: of the server; "" sends none.
    """

    def __init__(self, url: str, name: str, folder: str | Path, api_key: str = "") -> None:
        self.server = Server(url, api_key)
        self.name = name
        self.folder = Path(folder)
        self.version = 0

    def __call__(self, policy: Policy) -> None:
        """Save and load."""
        if not hasattr(policy.model, "peft_config"):
            raise EngineError("the policy has no adapter that a server could load; train with LoRA, or share the GPU")
        self.version += 1
        # A new folder each time: the server may still be reading the one before.
        folder = self.folder / f"{self.name}-{self.version % 2}"
        policy.model.save_pretrained(folder)
        body = {"lora_name": self.name, "lora_path": str(folder.absolute()), "load_inplace": self.version > 1}
        self.server.post_text("/load_lora_adapter", body, time.monotonic() + UPDATE_SECONDS)


class SharedGpuWeights:
    """Brings all weights to a server on the same GPU, through CUDA memory (vLLM's weight transfer).

    Args:
        url: of the server, without `/v1`.

    Raises:
        MissingExtraError: vllm is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.server = Server(self.url)
        self.transfer = require("vllm.distributed.weight_transfer", "vllm", "handing weights to a server")
        self.ipc = require("vllm.distributed.weight_transfer.ipc_engine", "vllm", "handing weights to a server")
        self._sender: Any = None

    def __call__(self, policy: Policy) -> None:
        """Pause the server, send, go on."""
        if hasattr(policy.model, "peft_config"):
            raise EngineError("weights under an adapter are not sent; use AdapterOnServer")
        if self._sender is None:
            self._sender = self.transfer.WeightTransferTrainerFactory.trainer_init(
                init_info=self.ipc.IPCTrainerInitInfo(rank=0, packed=False),
                client=self.transfer.HTTPVLLMWeightSyncClient(self.url),
                source=self.transfer.ModuleSource(policy.model),
            )
        until = time.monotonic() + UPDATE_SECONDS
        self.server.post_text("/pause", {}, until)
        try:
            self._sender.send_weights()
        finally:
            self.server.post_text("/resume", {}, until)


def _completion(output: Any, params: SamplingParams) -> Completion:
    ids = list(output.token_ids)
    if output.finish_reason not in ("stop", "length") or len(output.logprobs or ()) != len(ids):
        raise EngineError(f"engine 'vllm' ended a completion with {output.finish_reason!r}")
    logprobs = [float(at[token].logprob) for at, token in zip(output.logprobs, ids, strict=True)]
    return Completion(ids, [0.0] * len(ids) if params.temperature == 0 else logprobs, output.finish_reason)
