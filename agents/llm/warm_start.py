"""Supervised learning on demonstrations: what gives reinforcement learning something to start from."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from rlenvs.agents.llm.config import EnvConfig, MemoryConfig, WarmStartConfig
from rlenvs.agents.llm.engines import StaticEngine
from rlenvs.agents.llm.memory.micro_batches import MicroBatches
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.rollout.chat import ChatFormat
from rlenvs.agents.llm.rollout.limits import Limits
from rlenvs.agents.llm.sft.data import Demonstration
from rlenvs.agents.llm.sft.encoding import DemonstrationEncoder
from rlenvs.agents.llm.sft.imitation import Imitation
from rlenvs.agents.llm.sft.target import TargetWatch, greedy_accuracy
from rlenvs.errors import TrainingDivergedError
from rlenvs.problems import Problem

Progress = Callable[[int, float | None], None]
MAX_GRAD_NORM = 1.0


def warm_start(
    policy: Policy,
    demonstrations: Sequence[Demonstration],
    problems: Sequence[Problem],
    env: EnvConfig,
    config: WarmStartConfig,
    max_new_tokens: int,
    seed: int,
    progress: Progress | None = None,
) -> float | None:
    """Imitate demonstrations until the policy answers a middling share of training problems greedily.

    Held-out problems are never looked at, neither for learning nor for stopping. Unlike a run of `rlenvs sft`, it
    draws its batches with replacement and keeps its learning rate: where it ends is decided by accuracy alone, or, in
    environments that do not say what is correct, by the number of steps.

    Args:
        policy: changed in place.
        demonstrations: what it imitates.
        problems: training problems of the accuracy checks.
        env: the environment that they are from; its grader judges the checks.
        config: when to stop and how fast to go.
        max_new_tokens: limit per answer in the accuracy checks.
        seed: of the order of demonstrations and of the checks.
        progress: called with the optimiser step and the newest accuracy, None where nobody measures it.

    Returns:
        The greedy accuracy of the policy that is left, None without a target.

    Raises:
        ConfigError: there is a target and the environment does not say what is correct.
        TrainingDivergedError: the target was not reached within `max_steps`.
    """
    chat = ChatFormat(policy.tokenizer, "plain")
    rng = np.random.default_rng(seed)
    watch = _watch(policy, problems, env, config, max_new_tokens, chat, rng, seed)
    encoder = DemonstrationEncoder(policy, chat)
    episodes = [encoder(demonstration) for demonstration in demonstrations]
    optimizer = torch.optim.AdamW(policy.model.parameters(), lr=config.learning_rate, weight_decay=0.0)
    whole = MicroBatches(MemoryConfig(micro_batch_size=config.batch_size))
    imitation = Imitation(policy, optimizer, whole, MAX_GRAD_NORM)
    for step in range(1, config.max_steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * min(1.0, step / max(1, config.warmup_steps))
        imitation.step([episodes[i] for i in rng.integers(len(episodes), size=config.batch_size)])
        if step % config.check_every:
            continue
        reached, enough = watch.check() if watch is not None else (None, False)
        if progress is not None:
            progress(step, reached)
        if watch is not None and enough:
            return watch.best
    if watch is None:
        return None
    raise TrainingDivergedError(
        f"warm start reached {watch.best:.0%} greedy accuracy in {config.max_steps} steps, not "
        f"{config.target_accuracy:.0%}: raise policy.embedded.warm_start.max_steps or make the task easier"
    )


def _watch(
    policy: Policy,
    problems: Sequence[Problem],
    env: EnvConfig,
    config: WarmStartConfig,
    max_new_tokens: int,
    chat: ChatFormat,
    rng: np.random.Generator,
    seed: int,
) -> TargetWatch | None:
    """Return what says when the policy is good enough; None where nobody asks."""
    if config.target_accuracy is None:
        return None
    checked = [problems[i] for i in rng.choice(len(problems), min(config.check_problems, len(problems)), replace=False)]
    engine = StaticEngine(policy, len(checked))
    limits = Limits(max_new_tokens, policy.model.config.max_position_embeddings)
    return TargetWatch(policy, config, greedy_accuracy(policy, engine, chat, env, checked, limits, seed))
