"""TRL's trainers as contenders of `benchmarks/llm_ppo.py`; runs under an interpreter that has TRL.

GRPO is in every TRL of today. The PPO trainer left it in 1.13: its last version is 1.12. An iteration is one rollout
and all optimiser steps on it, reference and (PPO) critic and reward model included.
"""

import argparse
import logging
import random
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
import transformers
import trl
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, TrainerCallback

sys.path.insert(0, str(Path(__file__).parents[1]))
from turn_taking import Contender

MANY = 10_000  # iterations: the parent says when it is enough


class Turns(TrainerCallback):
    """Takes turns at the ends of iterations of `steps` optimiser steps."""

    def __init__(self, contender: Contender, steps: int) -> None:
        self.contender = contender
        self.steps = steps
        self.taken = 0
        self.tokens = 0

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        """Everything is built."""
        facts = {"trl": trl.__version__, "torch": torch.__version__, "transformers": transformers.__version__}
        if not self.contender.ready(**facts):
            raise SystemExit

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """An optimiser step of GRPO, a whole iteration of PPO."""
        self.taken += 1
        if self.taken % self.steps == 0:
            tokens, self.tokens = self.tokens, 0
            if not self.contender.done(tokens=tokens):
                raise SystemExit

    def reward(self, completions: list[str], completion_ids: list[list[int]], **kwargs: Any) -> list[float]:
        """Pay for digits, cheaply; count the tokens."""
        self.tokens += sum(map(len, completion_ids))
        return [sum(letter.isdigit() for letter in text) / max(1, len(text)) for text in completions]


def prompts(count: int) -> list[str]:
    """Return sums of two numbers of seven digits: sixteen bytes each."""
    draw = random.Random(0)
    return [f"{draw.randrange(10**7):07d}+{draw.randrange(10**7):07d}=" for _ in range(count)]


def grpo(args: argparse.Namespace, turns: Turns, common: dict[str, Any], tokenizer: Any) -> Any:
    """Build the GRPO trainer: groups of eight, reference, no critic."""
    from trl import GRPOConfig, GRPOTrainer

    forced = {} if args.ragged else {"min_new_tokens": args.new}
    config = GRPOConfig(
        per_device_train_batch_size=args.samples // args.minibatches,
        gradient_accumulation_steps=1,
        steps_per_generation=args.minibatches,
        num_iterations=1,
        num_generations=args.group,
        max_completion_length=args.new,
        beta=args.kl,
        temperature=1.0,
        max_steps=MANY * args.minibatches,
        max_grad_norm=1.0,
        generation_kwargs=forced or None,
        **common,
    )
    return GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32),
        reward_funcs=turns.reward,
        args=config,
        train_dataset=Dataset.from_list([{"prompt": prompt} for prompt in prompts(4096)]),
        processing_class=tokenizer,
        callbacks=[turns],
    )


def ppo(args: argparse.Namespace, turns: Turns, common: dict[str, Any], tokenizer: Any) -> Any:
    """Build the PPO trainer: policy, reference, critic and reward model, all of the same size."""
    from trl.experimental.ppo import PPOConfig, PPOTrainer

    config = PPOConfig(
        per_device_train_batch_size=args.samples,
        gradient_accumulation_steps=1,
        num_mini_batches=args.minibatches,
        num_ppo_epochs=1,
        local_rollout_forward_batch_size=args.samples,
        response_length=args.new,
        temperature=1.0,
        kl_coef=args.kl,
        total_episodes=args.samples * MANY,
        num_sample_generations=0,
        stop_token="eos" if args.ragged else None,
        **common,
    )
    rows = Dataset.from_list([{"input_ids": tokenizer(prompt)["input_ids"]} for prompt in prompts(4096)])

    def scorer() -> Any:
        return AutoModelForSequenceClassification.from_pretrained(args.model, dtype=torch.float32, num_labels=1)

    return PPOTrainer(
        args=config,
        processing_class=tokenizer,
        model=AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32),
        ref_model=AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32),
        reward_model=scorer(),
        value_model=scorer(),
        train_dataset=rows,
        eval_dataset=rows.select(range(args.samples)),
        callbacks=[turns],
    )


def main() -> None:
    """Build a trainer and let it train until the parent ends it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("algorithm", choices=["grpo", "ppo"])
    parser.add_argument("--model", required=True, help="folder of the model to train")
    for name in ("samples", "new", "minibatches", "group", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    for name in ("kl", "learning-rate"):
        parser.add_argument(f"--{name}", type=float, required=True)
    parser.add_argument("--ragged", action="store_true", help="answers end where the model ends them")
    parser.add_argument("--bf16", action="store_true", help="autocast")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    logging.disable(logging.WARNING)
    torch.set_num_threads(args.threads)
    turns = Turns(Contender(), args.minibatches if args.algorithm == "grpo" else 1)
    tokenizer = AutoTokenizer.from_pretrained(args.model, padding_side="left")
    common = {
        "output_dir": tempfile.gettempdir(),  # nothing is saved
        "learning_rate": args.learning_rate,
        "report_to": [],
        "save_strategy": "no",
        "logging_steps": 10**6,
        "disable_tqdm": True,
        "use_cpu": True,
        "bf16": args.bf16,
        "lr_scheduler_type": "constant",
        "gradient_checkpointing": False,
        "seed": 0,
    }
    (grpo if args.algorithm == "grpo" else ppo)(args, turns, common, tokenizer).train()


if __name__ == "__main__":
    main()
