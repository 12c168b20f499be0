"""What learns from a rollout, and the state that it goes on from."""

from collections.abc import Mapping
from typing import Any

import torch

from rlenvs.agents.llm.algorithm.guards import broken_first_update
from rlenvs.agents.llm.algorithm.kl import AdaptiveKLCoefficient, FixedKLCoefficient, KLCoefficient
from rlenvs.agents.llm.config import PPOConfig, TrainConfig
from rlenvs.agents.llm.learner.optimizer import make_optimizer
from rlenvs.agents.llm.learner.scoring import Metrics, score_rollout
from rlenvs.agents.llm.learner.update import Update
from rlenvs.agents.llm.memory.micro_batches import MicroBatches
from rlenvs.agents.llm.memory.offload import ParkedOptimizer, offload_reference
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.policy.reference import Reference
from rlenvs.agents.llm.processes import ALONE, Processes
from rlenvs.agents.llm.rollout.batch import RolloutBatch
from rlenvs.errors import TrainingDivergedError


class Learner:
    """Improves a policy, rollout by rollout.

    Args:
        policy: changed in place.
        reference: what the KL term holds the policy to; None for no such term.
        config: of the run.
        generator: deals episodes to minibatches, on the CPU.
        processes: who else trains the same policy.
    """

    def __init__(
        self,
        policy: Policy,
        reference: Reference | None,
        config: TrainConfig,
        generator: torch.Generator,
        processes: Processes = ALONE,
    ) -> None:
        self.policy = policy
        self.reference = offload_reference(reference, policy.device) if config.memory.offload_reference else reference
        self.config = config
        self.generator = generator
        self.processes = processes
        self.iteration = 0
        self.kl_coefficient = make_kl_coefficient(config.ppo)
        self.micro_batches = MicroBatches(config.memory, not processes.lockstep, bool(policy.options.packing))
        self.optimizer = make_optimizer(policy, config.ppo, config.memory)
        offloads = config.memory.offload_optimizer and policy.device.type != "cpu"
        self.moments = ParkedOptimizer(self.optimizer, policy.device, offloads)
        rollout = config.rollout
        self.update = Update(
            policy,
            self.optimizer,
            config.ppo,
            rollout.temperature,
            rollout.max_new_tokens,
            self.micro_batches,
            processes,
        )

    def learn(self, batch: RolloutBatch) -> Metrics:
        """Do one iteration's learning.

        Args:
            batch: a rollout of the present policy.

        Returns:
            Means over action tokens.

        Raises:
            TrainingDivergedError: a loss or gradient is not finite, or the first update broke the policy.
        """
        ppo, kl_coef = self.config.ppo, self.kl_coefficient.value
        if len(batch) == 0 and self.processes.count == 1:  # no episode was worth keeping
            self.iteration += 1
            return {}
        rollout = score_rollout(
            batch,
            self.policy,
            self.reference,
            ppo,
            self.config.rollout.temperature,
            self.micro_batches,
            self.processes,
            kl_coef,
            self.config.rollout.mask_overlong,
        )
        metrics = rollout.metrics
        if not self.processes.any(bool(rollout.mask_BA.any())):  # every episode was left out: nothing to learn or lose
            self.iteration += 1
            return metrics
        critic_only = self.iteration < ppo.value_warmup
        first_step = self.iteration * ppo.epochs * ppo.minibatches
        is_first = not critic_only and not self._has_moved()
        with self.moments.on_device():
            metrics |= self.update(rollout, first_step, self.generator, kl_coef, critic_only)
            self.optimizer.zero_grad(set_to_none=True)  # nobody needs gradients while the next rollout is sampled
        if is_first:
            broken = broken_first_update(metrics["clip_fraction"], metrics["approx_kl"])
            if broken is not None:
                raise TrainingDivergedError(broken)
        self.iteration += 1
        if "kl" in metrics:
            metrics["kl_coef"] = kl_coef
            self.kl_coefficient.update(metrics["kl"], int(self.processes.sum(torch.tensor(len(batch)))))
        return metrics | {"learning_rate": self.optimizer.param_groups[0]["lr"]}

    def _has_moved(self) -> bool:
        """Whether the policy was ever updated: earlier iterations may have had nothing to learn from."""
        policy_group = self.optimizer.param_groups[0]
        return any(parameter in self.optimizer.state for parameter in policy_group["params"])

    def set_coefficients(self, values: Mapping[str, float]) -> None:
        """Change numbers of the algorithm from the next rollout on.

        Args:
            values: by their keys in `ppo`, such as `entropy_coef`; a `kl_coef` must not be adaptive.
        """
        ppo = self.config.ppo.model_copy(update=dict(values))
        self.config = self.config.model_copy(update={"ppo": ppo})
        self.update.config = ppo
        if "kl_coef" in values:
            self.kl_coefficient = make_kl_coefficient(ppo)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next update depends on but the generator: the same in every process."""
        return {
            "policy": self.processes.whole(self.policy.state_dict()),
            "optimizer": self.processes.whole(self.optimizer.state_dict()),
            "kl_coefficient": self.kl_coefficient.state_dict(),
            "iteration": self.iteration,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.policy.load_state_dict(self.processes.shares(state["policy"], self.policy.state_dict()))
        settings = [{k: v for k, v in group.items() if k != "params"} for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(self.processes.optimizer_shares(state["optimizer"], self.optimizer))
        for group, own in zip(self.optimizer.param_groups, settings, strict=True):
            group.update(own)  # the moments are the checkpoint's, the learning rate is the configuration's
        if self.moments.enabled:
            self.moments.leave()
        self.kl_coefficient.load_state_dict(state["kl_coefficient"])
        self.iteration = state["iteration"]


def make_kl_coefficient(config: PPOConfig) -> KLCoefficient:
    """Return the coefficient of the KL term, fixed or adaptive."""
    if config.kl_target is None:
        return FixedKLCoefficient(config.kl_coef)
    return AdaptiveKLCoefficient(config.kl_coef, config.kl_target, config.kl_horizon)
