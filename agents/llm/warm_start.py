"""Supervised learning on demonstrations: what gives reinforcement learning something to start from."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from rlenvs.agents.llm.batch import Episode, collate
from rlenvs.agents.llm.chat import ChatFormat
from rlenvs.agents.llm.config import WarmStartConfig
from rlenvs.agents.llm.engine import SamplingParams
from rlenvs.agents.llm.evaluation import accuracy
from rlenvs.agents.llm.policy import Policy
from rlenvs.errors import TrainingDivergedError
from rlenvs.problems import Problem

Progress = Callable[[int, float], None]


def warm_start(
    policy: Policy,
    problems: Sequence[Problem],
    config: WarmStartConfig,
    max_new_tokens: int,
    seed: int,
    progress: Progress | None = None,
) -> float:
    """Train on demonstrations until the policy answers a share of training problems greedily.

    Held-out problems are never looked at, neither for learning nor for stopping.

    Args:
        policy: changed in place; its tokenizer ends every demonstration with the end-of-sequence token.
        problems: training problems with demonstrations.
        config: when to stop and how fast to go.
        max_new_tokens: limit per answer in the accuracy checks.
        seed: of the order of demonstrations and of the checks.
        progress: called with the optimiser step and the newest accuracy.

    Returns:
        The greedy accuracy at which it stopped.

    Raises:
        TrainingDivergedError: the target was not reached within `max_steps`.
    """
    chat = ChatFormat(policy.tokenizer, "plain")
    rng = np.random.default_rng(seed)
    checked = [problems[i] for i in rng.choice(len(problems), min(config.check_problems, len(problems)), replace=False)]
    demonstrations = [_demonstration(problem, chat, policy) for problem in problems]
    optimizer = torch.optim.AdamW(policy.model.parameters(), lr=config.learning_rate, weight_decay=0.0)
    reached = 0.0
    for step in range(config.max_steps):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * min(1.0, (step + 1) / max(1, config.warmup_steps))
        chosen = rng.integers(len(demonstrations), size=config.batch_size)
        loss = imitation_loss(policy, [demonstrations[i] for i in chosen])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.model.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % config.check_every == 0:
            generator = torch.Generator(policy.device).manual_seed(seed)
            greedy = SamplingParams(max_new_tokens, temperature=0.0)
            reached = accuracy(policy, chat, checked, greedy, generator, len(checked))
            if progress is not None:
                progress(step + 1, reached)
            if reached >= config.target_accuracy:
                return reached
    raise TrainingDivergedError(
        f"warm start reached {reached:.0%} greedy accuracy in {config.max_steps} steps, "
        f"not {config.target_accuracy:.0%}: "
        "raise policy.embedded.warm_start.max_steps or make the task easier"
    )


def imitation_loss(policy: Policy, demonstrations: Sequence[Episode]) -> Tensor:
    """Mean cross-entropy of the demonstrations' action tokens (prompt and padding do not count)."""
    batch = collate(demonstrations, policy.pad_id, policy.device)
    logprobs, _, _, _ = policy.evaluate(batch.ids_BL, batch.attention_BL, batch.action_BL, 1.0, 8_192)
    return -logprobs.mean()


def _demonstration(problem: Problem, chat: ChatFormat, policy: Policy) -> Episode:
    prompt = chat.prompt_ids([{"role": "user", "content": problem.prompt}])
    answer = policy.tokenizer(problem.demonstration, add_special_tokens=False)["input_ids"]
    episode = Episode(ids=list(prompt), action=[False] * len(prompt))
    episode.add_message([*answer, policy.eos_id], [0.0] * (len(answer) + 1))
    return episode
