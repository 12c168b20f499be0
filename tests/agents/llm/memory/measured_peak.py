"""Run in a process of its own: what one rollout, scoring and update add to the process's peak memory.

python measured_peak.py CONFIG.json
"""

import json
import resource
import sys

import torch
from transformers import LlamaForCausalLM

from rlenvs.agents.llm.config import TrainConfig
from rlenvs.agents.llm.embedded import character_tokenizer
from rlenvs.agents.llm.engines import SamplingParams, StaticEngine
from rlenvs.agents.llm.learner.learner import Learner
from rlenvs.agents.llm.memory.estimate import embedded_config
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.policy.options import ForwardOptions
from rlenvs.agents.llm.policy.reference import FrozenCopy
from rlenvs.agents.llm.rollout.batch import Episode, collate


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def play(config: TrainConfig) -> None:
    """One iteration on episodes that fill their context."""
    tokenizer = character_tokenizer(config.policy.embedded.alphabet)
    options = ForwardOptions.from_config(config.memory)
    models = [Policy(LlamaForCausalLM(embedded_config(config)), tokenizer, options=options) for _ in range(2)]
    policy = models[0]
    policy.eos_ids = ()  # no episode ends early
    learner = Learner(policy, FrozenCopy(models[1]), config, torch.Generator().manual_seed(0))
    engine = StaticEngine(policy, config.rollout.batch_size)
    limits, episodes = config.rollout, []
    prompts = [[3 + row % 7] * (limits.context_tokens - limits.max_new_tokens) for row in range(limits.episodes)]
    for prompt, done in zip(
        prompts, engine.generate(prompts, SamplingParams(limits.max_new_tokens), torch.Generator()), strict=True
    ):
        episode = Episode(ids=list(prompt), action=[False] * len(prompt))
        episode.add_message(done.ids, done.logprobs)
        episode.credit(1.0)
        episodes.append(episode)
    learner.learn(collate(episodes, policy.pad_id, policy.device))


def main() -> None:
    torch.set_num_threads(1)
    config = TrainConfig.load(json.loads(sys.argv[1]))
    # What the first matrix products and backward passes load once is part of no model.
    layer = torch.nn.Linear(8, 8)
    layer(torch.ones(4, 8)).sum().backward()
    before = peak()
    play(config)
    print(peak() - before)


main()
