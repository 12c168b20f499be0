"""PPO for language models: collect, score, update, and a state that resumes to the same numbers."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from rlenvs.agents.llm.config import TrainConfig
from rlenvs.agents.llm.engines import Engine
from rlenvs.agents.llm.engines.configured import source_of_old_logprobs
from rlenvs.agents.llm.learner.learner import Learner
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.policy.reference import Reference
from rlenvs.agents.llm.processes import ALONE, Processes
from rlenvs.agents.llm.processes.metrics import join_rollout_metrics
from rlenvs.agents.llm.rollout.batch import Episode, collate
from rlenvs.agents.llm.rollout.chat import ChatFormat
from rlenvs.agents.llm.rollout.collect import RolloutCollector
from rlenvs.errors import ConfigError, RunFolderError
from rlenvs.wrappers.layers.vector_shaped import VectorShapedReward
from rlenvs.wrappers.potentials.base import PotentialTerm

Metrics = dict[str, float]


class PPOTrainer:
    """Trains a policy on a shaped vector environment.

    Args:
        policy: changed in place.
        reference: what the KL penalty holds the policy to; None where `kl_coef` is 0.
        envs: shaped turn-level vector environment, autoreset mode DISABLED, one episode each per iteration.
        chat: how messages become ids.
        config: the run.
        engine: samples from the policy.
        processes: who else trains the same policy.

    Raises:
        ConfigError: a potential discounts differently from the learner.
    """

    def __init__(
        self,
        policy: Policy,
        reference: Reference | None,
        envs: VectorShapedReward,
        chat: ChatFormat,
        config: TrainConfig,
        engine: Engine,
        processes: Processes = ALONE,
    ) -> None:
        check_gammas(envs.pipeline.potentials, config.ppo.gamma)
        old = source_of_old_logprobs(config, policy, engine)
        config = config.model_copy(update={"ppo": config.ppo.model_copy(update={"old_logprobs": old})})
        self.policy = policy
        self.engine = engine
        self.envs = envs
        self.config = config
        self.processes = processes
        self.sampling_rng, self.dealing_rng = _generators(config.seed, processes.rank, policy.device)
        self.learner = Learner(policy, reference, config, self.dealing_rng, processes)
        self.iteration = 0
        self.env_steps = 0
        self.tokens = 0
        self.collector = RolloutCollector(
            envs,
            policy,
            engine,
            chat,
            config.rollout,
            self.sampling_rng,
            "any" if config.ppo.importance is not None else "usual",  # importance weights correct for temperatures
        )

    def iterate(
        self, on_rollout: Callable[[Metrics, Sequence[Mapping[str, Any]]], None] | None = None
    ) -> tuple[Metrics, list[dict[str, Any]]]:
        """Run one iteration: one rollout and its updates.

        Args:
            on_rollout: shown the rollout's metrics and records before anything is learned from them.

        Returns:
            Metrics (means over episodes or action tokens; `time/...` in seconds) and one record per turn.

        A rollout that fails leaves no trace: environments, rewards and random streams are where they were, so that the
        iteration can be tried again, and a checkpoint made then is that of the iteration before.

        Raises:
            TrainingDivergedError: a loss or gradient is not finite.
            ComponentError: a reward component failed and its policy is `raise`.
            EngineError: the engine could not finish.
        """
        started = time.perf_counter()
        clock = self.env_steps
        self.envs.set_global_step(clock)
        episodes, records, played = self._play(clock)
        collected = time.perf_counter()
        rolled = rollout_metrics(records) | played
        if on_rollout is not None:
            on_rollout(rolled, records)
        if self.config.ppo.shuffle_rewards:
            shuffle_rewards(episodes, self.dealing_rng)
        batch = collate(episodes, self.policy.pad_id, self.policy.device)
        learned = self.learner.learn(batch)
        tokens = int(self.processes.sum(batch.mask_BA.sum()))
        self.iteration += 1
        self.env_steps += len(records)
        self.tokens += tokens
        self._sync_engine()
        updated = time.perf_counter()
        times = {
            "time/rollout": collected - started,
            "time/update": updated - collected,
            "time/tokens_per_second": tokens / (updated - started),
        }
        # `step` is the reward clock that the weights of this iteration were read at; `env_steps` counts to its end.
        counts = {"iteration": self.iteration, "step": clock, "env_steps": self.env_steps, "tokens": self.tokens}
        return counts | rolled | learned | times, records

    def _play(self, clock: int) -> tuple[list[Episode], list[dict[str, Any]], Metrics]:
        """Return the episodes that this process played, and the records and metrics of all processes."""
        seed = process_seed(self.config.seed, self.processes.rank) if self.iteration == 0 else None
        with self.processes.whole_weights(self.policy):
            episodes, records = self.processes.together(lambda: self.collector.collect(seed=seed))
        everyones = self.processes.gather((self.envs.num_envs, records, self.collector.metrics))
        first = 0
        for envs, theirs, _ in everyones:
            for record in theirs:
                record |= {"iteration": self.iteration + 1, "step": clock, "env": record["env"] + first}
            first += envs
        if not episodes and self.processes.lockstep:  # all groups were uniform: takes part in the passes of the others
            episodes = [idle_episode(self.policy)]
        metrics = join_rollout_metrics([measured for _, _, measured in everyones])
        return episodes, [record for _, theirs, _ in everyones for record in theirs], metrics

    def _sync_engine(self) -> None:
        with self.processes.whole_weights(self.policy):
            self.processes.together(lambda: self.engine.sync(self.policy))

    def report(self, metrics: Metrics) -> None:
        """Show reactive reward schedules what was measured in or after the last iteration."""
        self.envs.pipeline.report_metrics(metrics, int(metrics["step"]))

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next iteration depends on: tensors and plain data, the same in every process."""
        own = {
            "sampling_rng": self.sampling_rng.get_state(),
            "dealing_rng": self.dealing_rng.get_state(),
            "envs": self.envs.unwrapped.state_dict(),  # type: ignore[attr-defined]
            "rewards": self.envs.state_dict(),
        }
        return {
            "learner": self.learner.state_dict(),
            "processes": self.processes.gather(own),
            "counters": {"iteration": self.iteration, "env_steps": self.env_steps, "tokens": self.tokens},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            RunFolderError: it is the state of another number of processes, whose episodes cannot go on.
        """
        if len(state["processes"]) != self.processes.count:
            raise RunFolderError(
                f"the checkpoint is one of {len(state['processes'])} processes, and this run has "
                f"{self.processes.count}: environments and random streams go on per process, so resume with as many "
                f"(torchrun --nproc-per-node; with one, without torchrun)"
            )
        own = state["processes"][self.processes.rank]
        self.learner.load_state_dict(state["learner"])
        self.sampling_rng.set_state(own["sampling_rng"])
        self.dealing_rng.set_state(own["dealing_rng"])
        self.envs.unwrapped.load_state_dict(own["envs"])  # type: ignore[attr-defined]
        self.envs.load_state_dict(own["rewards"])
        self._sync_engine()
        counters = state["counters"]
        self.iteration, self.env_steps, self.tokens = (counters[k] for k in ("iteration", "env_steps", "tokens"))


def check_gammas(potentials: Mapping[str, PotentialTerm], gamma: float) -> None:
    """Refuse potentials that discount differently from the learner, who discounts tokens.

    Raises:
        ConfigError: shaping would not leave the optimal policy alone.
    """
    for name, term in potentials.items():
        if term.gamma != gamma or (gamma != 1.0 and term.gamma_unit != "token"):
            raise ConfigError(
                f"potential {name!r} has gamma {term.gamma} per {term.gamma_unit}, the learner ppo.gamma {gamma} per "
                "token: both must be equal, and gamma_unit 'token' unless they are 1"
            )


def shuffle_rewards(episodes: Sequence[Episode], generator: torch.Generator) -> None:
    """Deal the episodes' total rewards to random episodes: a control that must not learn.

    Every episode gets another's total on its last action token.
    """
    totals = [sum(reward for _, reward in episode.turn_rewards) for episode in episodes]
    order = torch.randperm(len(episodes), generator=generator).tolist()
    for episode, source in zip(episodes, order, strict=True):
        episode.turn_rewards = [(episode.newest_action, totals[source])]


def rollout_metrics(records: Sequence[Mapping[str, Any]]) -> Metrics:
    """Return means over the turns of a rollout: rewards, their parts, lengths; accuracy is that of last turns."""
    lengths = np.array([record["tokens"] for record in records])
    last = {(record.get("refill", 0), record["env"]): record["correct"] for record in records}
    metrics: Metrics = {
        "reward/total": float(np.mean([record["reward"] for record in records])),
        "reward/env": float(np.mean([record["env_reward"] for record in records])),
        "reward/potential": float(np.mean([record["potential"] for record in records])),
        "accuracy/train": float(np.mean(list(last.values()))),
        "length/mean": float(lengths.mean()),
        "length/max": float(lengths.max()),
        "length/cut": float(np.mean([record["finish"] == "length" for record in records])),
    }
    for name in records[0]["components"]:
        parts = [record["components"][name] for record in records]
        statuses = [part["status"] for part in parts]
        judged = [part["raw"] for part in parts if not np.isnan(part["raw"])]
        metrics |= {
            f"component/{name}/raw": float(np.mean(judged)) if judged else float("nan"),
            f"component/{name}/contribution": float(np.mean([part["contribution"] for part in parts])),
            f"weight/{name}": parts[0]["weight"],
            f"failures/{name}": float(statuses.count("error")),
            f"invalid/{name}": float(statuses.count("invalid") + statuses.count("timeout")),
        }
    return metrics


def idle_episode(policy: Policy) -> Episode:
    """Return an episode that nothing is learned from, for a process that has no other but has to pass with the rest."""
    return Episode(ids=[policy.eos_id], action=[False])


def process_seed(seed: int, rank: int) -> int:
    """Return what the environments of a process are seeded with: the run's seed in the first, others in others."""
    return seed if rank == 0 else int(np.random.SeedSequence([seed, 0x656E76, rank]).generate_state(1)[0] >> 1)


def _generators(seed: int, rank: int, device: torch.device) -> tuple[torch.Generator, torch.Generator]:
    """Return independent streams for sampling (on the device) and for dealing minibatches (on the CPU)."""
    sampling, dealing = np.random.SeedSequence([seed, 0x7261, rank]).generate_state(2).tolist()
    return torch.Generator(device).manual_seed(sampling), torch.Generator().manual_seed(dealing)
