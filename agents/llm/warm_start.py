"""Supervised learning on demonstrations: what gives reinforcement learning something to start from."""

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from rlenvs.agents.llm.config import EnvConfig, WarmStartConfig
from rlenvs.agents.llm.engines import SamplingParams, StaticEngine
from rlenvs.agents.llm.evaluation import Examination
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.rollout.batch import Episode, collate
from rlenvs.agents.llm.rollout.chat import ChatFormat
from rlenvs.errors import TrainingDivergedError
from rlenvs.problems import Problem

Progress = Callable[[int, float], None]

MAX_OVERSHOOTS = 3  # by then the policy is better than wanted, and waiting would not bring it back


def warm_start(
    policy: Policy,
    problems: Sequence[Problem],
    env: EnvConfig,
    config: WarmStartConfig,
    max_new_tokens: int,
    seed: int,
    progress: Progress | None = None,
) -> float:
    """Train on demonstrations until the policy answers a middling share of training problems greedily.

    Held-out problems are never looked at, neither for learning nor for stopping. Accuracy jumps by a fifth from one
    check to the next, so a check may overshoot; the policy that is left is the best one seen at or under
    `max_accuracy`.

    Args:
        policy: changed in place; its tokenizer ends every demonstration with the end-of-sequence token.
        problems: training problems with demonstrations.
        env: the environment that they are from; its grader judges the checks.
        config: when to stop and how fast to go.
        max_new_tokens: limit per answer in the accuracy checks.
        seed: of the order of demonstrations and of the checks.
        progress: called with the optimiser step and the newest accuracy.

    Returns:
        The greedy accuracy of the policy that is left.

    Raises:
        TrainingDivergedError: the target was not reached within `max_steps`.
    """
    chat = ChatFormat(policy.tokenizer, "plain")
    rng = np.random.default_rng(seed)
    checked = [problems[i] for i in rng.choice(len(problems), min(config.check_problems, len(problems)), replace=False)]
    examination = Examination(env.id, env.kwargs, checked)
    engine = StaticEngine(policy, len(checked))
    demonstrations = [_demonstration(problem, chat, policy) for problem in problems]
    optimizer = torch.optim.AdamW(policy.model.parameters(), lr=config.learning_rate, weight_decay=0.0)
    greedy = SamplingParams(max_new_tokens, temperature=0.0)
    best, kept, overshoots = 0.0, None, 0
    for step in range(1, config.max_steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * min(1.0, step / max(1, config.warmup_steps))
        _imitate(policy, optimizer, [demonstrations[i] for i in rng.integers(len(problems), size=config.batch_size)])
        if step % config.check_every:
            continue
        generator = torch.Generator(policy.device).manual_seed(seed)
        engine.sync(policy)
        reached = examination.accuracy(policy, engine, chat, greedy, generator)
        if progress is not None:
            progress(step, reached)
        if best <= reached <= config.max_accuracy:
            best, kept = reached, copy.deepcopy(policy.state_dict())
        overshoots += reached > config.max_accuracy
        if kept is not None and (best >= config.target_accuracy or overshoots == MAX_OVERSHOOTS):
            policy.load_state_dict(kept)
            return best
    raise TrainingDivergedError(
        f"warm start reached {best:.0%} greedy accuracy in {config.max_steps} steps, not {config.target_accuracy:.0%}: "
        "raise policy.embedded.warm_start.max_steps or make the task easier"
    )


def imitation_loss(policy: Policy, demonstrations: Sequence[Episode]) -> Tensor:
    """Mean cross-entropy of the demonstrations' action tokens (prompt and padding do not count)."""
    batch = collate(demonstrations, policy.pad_id, policy.device)
    found = policy.evaluate(batch.ids_BL, batch.attention_BL, batch.action_BL, 1.0, with_values=False)
    return -found.logprobs_M.mean()


def _imitate(policy: Policy, optimizer: torch.optim.Optimizer, demonstrations: Sequence[Episode]) -> None:
    """Take one optimiser step."""
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(imitation_loss(policy, demonstrations))
    torch.nn.utils.clip_grad_norm_(policy.model.parameters(), 1.0)
    optimizer.step()


def _demonstration(problem: Problem, chat: ChatFormat, policy: Policy) -> Episode:
    prompt = chat.prompt_ids([{"role": "user", "content": problem.prompt}])
    answer = policy.tokenizer(problem.demonstration, add_special_tokens=False)["input_ids"]
    episode = Episode(ids=list(prompt), action=[False] * len(prompt))
    episode.add_message([*answer, policy.eos_id], [0.0] * (len(answer) + 1))
    return episode
