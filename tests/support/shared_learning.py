"""Learning from a fixed rollout, as a whole or as one of two processes with a share of it."""

import copy
import functools
from typing import Any

import torch
from tiny import TINY_RUN, tiny_policy

from rlenvs.agents.llm.config import TrainConfig
from rlenvs.agents.llm.learner.learner import Learner
from rlenvs.agents.llm.learner.optimizer import make_optimizer
from rlenvs.agents.llm.learner.scoring import score_rollout
from rlenvs.agents.llm.learner.update import Update
from rlenvs.agents.llm.memory.micro_batches import MicroBatches
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.policy.reference import FrozenCopy
from rlenvs.agents.llm.processes import ALONE, Processes
from rlenvs.agents.llm.processes.data_parallel import DataParallel
from rlenvs.agents.llm.processes.sharded import Sharded
from rlenvs.agents.llm.rollout.batch import Episode, collate
from rlenvs.agents.llm.trainer import idle_episode

SEED = 5


def config(**sections: dict[str, Any]) -> TrainConfig:
    """A small learner without a learning rate of consequence; `ppo={...}` and so on change it."""
    ppo = {"minibatches": 1, "max_grad_norm": 1e9, "entropy_coef": 0.01, "value_coef": 0.5, "kl_coef": 0.1}
    base = TINY_RUN | {"memory": {"micro_batch_size": 3}, "rollout": TINY_RUN["rollout"] | {"samples_per_prompt": 2}}
    changed = {name: base.get(name, {}) | values for name, values in sections.items()}
    changed["ppo"] = TINY_RUN["ppo"] | ppo | sections.get("ppo", {})
    return TrainConfig.load(base | changed)


def episodes(count: int = 10) -> list[Episode]:
    """Random episodes of one or two turns, in groups of two."""
    generator = torch.Generator().manual_seed(0)
    draw = lambda n: torch.randint(3, 14, (n,), generator=generator).tolist()  # noqa: E731
    made = []
    for number in range(count):
        prompt = draw(1 + number % 3)
        episode = Episode(ids=prompt, action=[False] * len(prompt), group=number // 2)
        for turn in range(1 + number % 2):
            if turn:
                episode.add_feedback([5, 6])
            message = draw(1 + (number + turn) % 4)
            episode.add_message(message, torch.rand(len(message), generator=generator).sub(2.5).tolist())
            episode.credit(float(number % 3 + turn) - 0.3 * number)
        episode.terminated = number % 4 != 0
        episode.cut = number % 5 == 4
        made.append(episode)
    return made


@functools.cache
def _made_policy(seed: int, sizes: tuple[tuple[str, int], ...]) -> Policy:
    return tiny_policy(seed, **dict(sizes))


def new_policy(seed: int, **sizes: int) -> Policy:
    """Return a policy of its own; making one anew takes longer than what is done with it."""
    return copy.deepcopy(_made_policy(seed, tuple(sizes.items())))


def processes_of(strategy: str | None) -> Processes:
    if strategy is None:
        return ALONE
    return DataParallel() if strategy == "ddp" else Sharded("cpu")


def share(shares: tuple[int, ...], rank: int) -> slice:
    return slice(sum(shares[:rank]), sum(shares[: rank + 1]))


def minibatch_rows(shares: tuple[int, ...], counted: torch.Tensor, minibatches: int) -> list[torch.Tensor]:
    """The rows of the whole batch that all processes together take in each minibatch."""
    parts: list[list[torch.Tensor]] = [[] for _ in range(minibatches)]
    for rank in range(len(shares)):
        rows = share(shares, rank)
        own = counted[rows].nonzero()[:, 0] + rows.start
        order = own[torch.randperm(len(own), generator=torch.Generator().manual_seed(SEED + rank))]
        dealt = order.tensor_split(minibatches)
        for number in range(minibatches):
            parts[number].append(dealt[(number + rank) % minibatches])
    return [torch.cat(rows) for rows in parts]


def gradients(run: TrainConfig, strategy: str | None, shares: tuple[int, ...], sizes: dict[str, int]) -> dict[str, Any]:
    """Score a rollout and take its steps with learning rate 0; return what came of it.

    Args:
        run: the configuration.
        strategy: None for one process with the whole batch, which takes the minibatches of the others together.
        shares: episodes of each process.
        sizes: of the model.
    """
    processes = processes_of(strategy)
    policy, held = new_policy(0, **sizes), new_policy(1, **sizes)
    processes.prepare(policy, held)
    reference = FrozenCopy(held)
    rows = slice(None) if strategy is None else share(shares, processes.rank)
    own = episodes()[rows] or ([idle_episode(policy)] if processes.lockstep else [])
    batch = collate(own, policy.pad_id, torch.device("cpu"))
    micro_batches = MicroBatches(run.memory)
    temperature, rollout = run.rollout.temperature, run.rollout
    scored = score_rollout(
        batch, policy, reference, run.ppo, temperature, micro_batches, processes, None, rollout.mask_overlong
    )
    optimizer = make_optimizer(policy, run.ppo.model_copy(update={"learning_rate": 1e-30}))
    update = Update(policy, optimizer, run.ppo, temperature, rollout.max_new_tokens, micro_batches, processes)
    if strategy is None:
        dealt = minibatch_rows(shares, scored.mask_BA.any(dim=1), run.ppo.minibatches)
        history = [update._step(scored, index, run.ppo.kl_coef, False) for index in dealt]
        metrics = {key: sum(entry[key] for entry in history) / len(history) for key in history[0]}
    else:
        metrics = update(scored, 0, torch.Generator().manual_seed(SEED + processes.rank), run.ppo.kl_coef)
    named = {name: parameter.grad for name, parameter in policy.named_parameters() if parameter.grad is not None}
    return {
        "advantages": [row[mask].tolist() for row, mask in zip(scored.advantages_BA, scored.mask_BA, strict=True)],
        "gradients": {name: gradient.numpy() for name, gradient in processes.whole(named).items()},
        "metrics": scored.metrics | metrics,
    }


def learn(run: TrainConfig, strategy: str | None, iterations: int, break_after: int | None = None) -> dict[str, Any]:
    """Learn from the same episodes again and again, in minibatches of all of them, perhaps going on in a new learner."""
    processes = processes_of(strategy)
    dealing = torch.Generator().manual_seed(0)  # belongs to the trainer, as does its state

    def learner() -> Learner:
        policy, held = new_policy(0), new_policy(1)
        processes.prepare(policy, held)
        return Learner(policy, FrozenCopy(held), run, dealing, processes)

    made = learner()
    own = episodes()[share((6, 4), processes.rank)] if strategy else episodes()
    history = []
    for iteration in range(iterations):
        if iteration == break_after:
            state, made = made.state_dict(), learner()
            made.load_state_dict(state)
        history.append(made.learn(collate(own, made.policy.pad_id, torch.device("cpu"))))
    weights = {name: tensor.numpy() for name, tensor in made.state_dict()["policy"].items()}
    return {"history": history, "weights": weights}
