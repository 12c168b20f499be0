"""Supervised training: which demonstrations when, and a state that resumes to the same numbers."""

import hashlib
import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from rlenvs.agents.llm.config import PPOConfig
from rlenvs.agents.llm.learner.optimizer import make_optimizer, set_learning_rate
from rlenvs.agents.llm.memory.micro_batches import MicroBatches
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.processes import ALONE, Processes
from rlenvs.agents.llm.sft.config import SFTConfig
from rlenvs.agents.llm.sft.encoding import EncodedDemonstrations
from rlenvs.agents.llm.sft.imitation import Imitation, Metrics
from rlenvs.errors import RunFolderError


class SFTTrainer:
    """Imitates demonstrations, an optimiser step at a time.

    Every epoch is an order of its own, drawn from the seed and the epoch's number alone; batches never cross epochs.

    Args:
        policy: changed in place.
        demonstrations: what it imitates, and what measures the loss.
        config: the run.
        processes: who else trains the same policy; each has a share of every batch.
    """

    def __init__(
        self, policy: Policy, demonstrations: EncodedDemonstrations, config: SFTConfig, processes: Processes = ALONE
    ) -> None:
        self.policy = policy
        self.demonstrations = demonstrations
        self.config = config
        self.processes = processes
        learning = config.sft
        self.steps_per_epoch = math.ceil(len(demonstrations.learned) / learning.batch_size)
        planned = learning.epochs * self.steps_per_epoch
        self.total_steps = min(planned, learning.max_steps or planned)
        # What optimiser and learning rate ask of a configuration: one step per iteration, and no critic that learns.
        self.schedule = PPOConfig(
            iterations=self.total_steps,
            minibatches=1,
            learning_rate=learning.learning_rate,
            warmup_steps=learning.warmup_steps,
            lr_schedule=learning.lr_schedule,
            weight_decay=learning.weight_decay,
        )
        self.optimizer = make_optimizer(policy, self.schedule, config.memory)
        micro_batches = MicroBatches(config.memory, packed=bool(policy.options.packing))
        self.imitation = Imitation(policy, self.optimizer, micro_batches, learning.max_grad_norm, processes)
        self.steps = 0
        self.tokens = 0

    def step(self) -> Metrics:
        """Take one optimiser step.

        Returns:
            Metrics of the step; `loss/train` in nats per token of the assistant, `epoch` passes begun or done.

        Raises:
            TrainingDivergedError: the loss or its gradient is not finite.
        """
        started = time.perf_counter()
        rows = self._batch(self.steps)[self.processes.rank :: self.processes.count]
        set_learning_rate(self.optimizer, self.schedule, self.steps)
        metrics = self.imitation.step([self.demonstrations.learned[row] for row in rows])
        seconds = time.perf_counter() - started
        self.steps += 1
        tokens = int(metrics.pop("batch_tokens"))
        self.tokens += tokens
        counts = {"iteration": self.steps, "epoch": self.steps / self.steps_per_epoch, "tokens": self.tokens}
        times = {"time/update": seconds, "time/tokens_per_second": tokens / seconds}
        return counts | metrics | {"learning_rate": self.optimizer.param_groups[0]["lr"]} | times

    def held_out_loss(self) -> Metrics:
        """Return the loss on the demonstrations that are not learned; nothing where there are none."""
        if not self.demonstrations.held_out:
            return {}
        share = self.demonstrations.held_out[self.processes.rank :: self.processes.count]
        return {"loss/held_out": self.imitation.loss(share)}

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next step depends on: tensors and plain data."""
        return {
            "policy": self.policy.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "counters": {"steps": self.steps, "tokens": self.tokens},
            "demonstrations": self._fingerprint(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Raises:
            RunFolderError: the demonstrations are others than they were.
        """
        if state["demonstrations"] != self._fingerprint():
            raise RunFolderError(
                "the demonstrations have changed since the checkpoint, so that the run cannot go on as it was: "
                "restore them, or start the run anew"
            )
        self.policy.load_state_dict(state["policy"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps, self.tokens = state["counters"]["steps"], state["counters"]["tokens"]

    def _batch(self, step: int) -> list[int]:
        """Return which demonstrations are learned at a step."""
        epoch, position = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng([self.config.seed, 0x0DE, epoch]).permutation(len(self.demonstrations.learned))
        size = self.config.sft.batch_size
        return [int(row) for row in order[position * size : (position + 1) * size]]

    def _fingerprint(self) -> str:
        """Return a hash of the ids that are learned, in order."""
        digest = hashlib.sha256()
        for episode in self.demonstrations.learned:
            digest.update(np.array([len(episode.ids), *episode.ids], dtype=np.int64).tobytes())
            digest.update(np.array(episode.action, dtype=np.bool_).tobytes())
        return digest.hexdigest()
