"""Record `trl_ppo_updates.json` from TRL's last PPO trainer. Not a test: needs `pip install trl==1.12.0 datasets`.

    TRL_EXPERIMENTAL_SILENCE=1 python tests/agents/llm/algorithm/record_trl_ppo_updates.py

The seed is the first whose answers end at different lengths and whose ratios leave the clip range in the second pass.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import trl.experimental.ppo.ppo_trainer as source
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification, PreTrainedTokenizerFast
from trl.experimental.ppo import PPOConfig, PPOTrainer

WORDS = ["<pad>", "<bos>", "<eos>", *"abcdef"]
SWITCHES = {"kl_coef": 0.1, "cliprange": 0.2, "cliprange_value": 0.2, "vf_coef": 0.1}
SEED = 17
ROLLOUT = ("responses", "sequence_lengths", "scores", "logprobs", "ref_logprobs", "values", "rewards")


def llama(**more):
    return LlamaConfig(
        vocab_size=len(WORDS), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2, initializer_range=0.5, **more,
    )  # fmt: skip


def trainer(gamma, lam, folder):
    torch.manual_seed(SEED)
    torch.set_default_dtype(torch.float64)
    policy, reference = LlamaForCausalLM(llama()), LlamaForCausalLM(llama())
    value, reward = (LlamaForSequenceClassification(llama(num_labels=1)) for _ in range(2))
    torch.set_default_dtype(torch.float32)
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="a"))
    special = {"pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "a"}
    prompts = [{"input_ids": [3, 4, 5]}] * 8
    config = PPOConfig(
        output_dir=folder, learning_rate=2e-2, report_to=[], save_strategy="no", seed=SEED, use_cpu=True, bf16=False,
        per_device_train_batch_size=4, gradient_accumulation_steps=1, num_mini_batches=2, num_ppo_epochs=2,
        local_rollout_forward_batch_size=4, response_length=5, total_episodes=4, num_sample_generations=0,
        stop_token="eos", gamma=gamma, lam=lam, lr_scheduler_type="constant", **SWITCHES,
    )  # fmt: skip
    return PPOTrainer(
        args=config, processing_class=PreTrainedTokenizerFast(tokenizer_object=words, padding_side="left", **special),
        model=policy, ref_model=reference, reward_model=reward, value_model=value,
        train_dataset=prompts, eval_dataset=prompts,
    )  # fmt: skip


def record(gamma, lam, folder):
    """Run one update and read the local variables of `train` each time it calls `backward`."""
    ppo, found, steps = trainer(gamma, lam, folder), {}, []
    backward, whiten = ppo.accelerator.backward, source.masked_whiten

    def note_whitening(values, mask, shift_mean=True):
        found["advantages_before_whitening"] = values.tolist()
        return whiten(values, mask, shift_mean)

    def note_step(loss):
        local = sys._getframe(1).f_locals
        if not steps:
            found.update({name: local[name].tolist() for name in (*ROLLOUT, "advantages", "returns")})
        slopes = torch.autograd.grad(loss, [local["new_logprobs"], local["vpred"]], retain_graph=True)
        steps.append({
            "rows": local["micro_batch_inds"].tolist(),
            "logprobs": local["new_logprobs"].tolist(), "values": local["vpred"].tolist(),
            "policy_loss": local["pg_loss"].item(), "value_loss": local["vf_loss"].item(),
            "grad_logprobs": slopes[0].tolist(), "grad_values": slopes[1].tolist(),
        })  # fmt: skip
        backward(loss)

    source.masked_whiten, ppo.accelerator.backward = note_whitening, note_step
    np.random.seed(SEED)  # deals the minibatches
    ppo.train()
    source.masked_whiten = whiten
    names = (*ROLLOUT, "advantages_before_whitening", "advantages", "returns")
    return {"gamma": gamma, "gae_lambda": lam, **SWITCHES, **{name: found[name] for name in names}, "steps": steps}


def text(value, indent=0):
    """JSON with one row of a matrix per line and ten digits per number."""
    lead = "\n" + " " * (indent + 1)
    if isinstance(value, dict):
        parts = [f'"{key}": {text(entry, indent + 1)}' for key, entry in value.items()]
        return "{" + lead + f",{lead}".join(parts) + lead[:-1] + "}"
    if isinstance(value, list) and value and isinstance(value[0], dict | list):
        return "[" + lead + f",{lead}".join(text(entry, indent + 1) for entry in value) + lead[:-1] + "]"
    return json.dumps([float(f"{x:.10g}") if isinstance(x, float) else x for x in value] if isinstance(value, list)
                      else float(f"{value:.10g}") if isinstance(value, float) else value)  # fmt: skip


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        runs = [record(gamma, lam, folder) for gamma, lam in ((1.0, 1.0), (0.99, 0.9))]
    Path(__file__).with_name("trl_ppo_updates.json").write_text(text(runs) + "\n", encoding="utf-8")
