"""Learning that ends where a policy is good enough, and not better than wanted."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from rlenvs.agents.llm.config import AccuracyTarget, EnvConfig
from rlenvs.agents.llm.engines import Engine, SamplingParams
from rlenvs.agents.llm.examination import Examination
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.rollout.chat import ChatFormat
from rlenvs.agents.llm.rollout.limits import Limits
from rlenvs.agents.runs.environments import are_graded
from rlenvs.errors import ConfigError
from rlenvs.problems import Problem

MAX_OVERSHOOTS = 3  # by then the policy is better than wanted, and waiting would not bring it back


class TargetWatch:
    """Checks a policy now and then, and keeps the best one seen at or under the ceiling.

    Accuracy may jump from one check to the next, so that a check may overshoot; then the best before counts.

    Args:
        policy: what learns.
        config: target and ceiling.
        examine: measures greedy accuracy on training problems.
    """

    def __init__(self, policy: Policy, config: AccuracyTarget, examine: Callable[[], float]) -> None:
        self.policy = policy
        self.config = config
        self.examine = examine
        self.best = 0.0
        self.overshoots = 0
        self.kept: dict[str, Any] | None = None

    def is_due(self, step: int) -> bool:
        """Whether there is a target and a check after this many steps."""
        return self.config.target_accuracy is not None and step % self.config.check_every == 0

    def check(self) -> tuple[float, bool]:
        """Measure; where it is enough, leave the best policy in place.

        Returns:
            The accuracy now, and whether learning ends.
        """
        config, reached = self.config, self.examine()
        if self.best <= reached <= config.max_accuracy:
            self.best = reached
            # Without a ceiling nothing is ever taken back: the policy that reaches the target is the one that is left.
            self.kept = copy.deepcopy(self.policy.state_dict()) if config.max_accuracy < 1.0 else None
        self.overshoots += reached > config.max_accuracy
        is_there = config.target_accuracy is not None and self.best >= config.target_accuracy
        enough = is_there or (self.overshoots == MAX_OVERSHOOTS and self.kept is not None)
        if enough and self.kept is not None:
            self.policy.load_state_dict(self.kept)
        return reached, enough

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next check depends on."""
        return {"best": self.best, "overshoots": self.overshoots, "kept": self.kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.best, self.overshoots, self.kept = state["best"], state["overshoots"], state["kept"]


def check_target(env: EnvConfig, problems: Sequence[Problem]) -> None:
    """Refuse a target of accuracy where no answer is right.

    Raises:
        ConfigError: the environment does not say what is correct.
    """
    if not are_graded(problems):
        raise ConfigError(
            f"target_accuracy: env.id {env.id!r} does not say what is correct, so that there is no accuracy to reach: "
            "set it to null and learn for a number of steps"
        )


def greedy_accuracy(
    policy: Policy,
    engine: Engine,
    chat: ChatFormat,
    env: EnvConfig,
    problems: Sequence[Problem],
    limits: Limits,
    seed: int,
    stop: Sequence[str] = (),
) -> Callable[[], float]:
    """Return what measures a policy's greedy accuracy on some problems, by the environment's own grader.

    Args:
        policy: what answers.
        engine: samples from it.
        chat: how messages become ids.
        env: the environment.
        problems: what is asked.
        limits: of messages and episodes.
        seed: of whatever is random in sampling.
        stop: texts that end a message.

    Raises:
        ConfigError: the environment does not say what is correct.
    """
    check_target(env, problems)
    examination = Examination(env.id, env.kwargs, problems)
    greedy = SamplingParams(limits.max_new_tokens, temperature=0.0, stop=tuple(stop))

    def examine() -> float:
        engine.sync(policy)
        generator = torch.Generator(policy.device).manual_seed(seed)
        return examination.accuracy(policy, engine, chat, greedy, generator, limits)

    return examine
