"""Whole updates against numbers recorded from the last PPO trainer that TRL had.

`trl_ppo_updates.json`, made by `record_trl_ppo_updates.py`, holds two runs of `PPOTrainer.train` of trl 1.12.0 in
float64, with gamma = lambda = 1 and with gamma 0.99, lambda 0.9: four answers of 3, 2, 5 and 5 tokens (the first two
end with the end-of-sequence token), a one-layer Llama as policy, reference, critic and reward model each, two passes of
two minibatches, k1 as a reward, no dropout. Recorded are the rollout, rewards, advantages, returns, and before each
optimiser step the new log-probabilities and values, the losses and their gradients. From equal gradients an optimiser
takes equal steps.

Our functions give the same numbers to 1e-6 once they are fed TRL's choices. We choose differently in five places:

| | TRL | here | why |
|---|---|---|---|
| score of an answer that ended | on the padding slot after the end, with a value of its own | on the last token | no token is sampled there: with gamma * lambda < 1 it delays and shrinks the score, and the critic learns a state that has no action |
| whitening | variance over n - 1, plus 1e-8 | over n; a constant batch is only shifted | one token is no error, and rounding is not blown up to signal |
| loss over micro-batches | mean of each one's mean | sum over the minibatch's tokens | the micro-batch size must change nothing |
| answer cut at the length limit | ended: no value follows | the value of what follows | it could have gone on |
| gradient norm | not limited | `ppo.max_grad_norm` | one bad batch |
"""

import json
from pathlib import Path

import pytest
import torch

from rlenvs.agents.llm.algorithm.advantages import generalized_advantages, token_rewards, whiten
from rlenvs.agents.llm.algorithm.losses import loss_scale, mean_loss, policy_loss, value_loss

RUNS = json.loads((Path(__file__).parent / "trl_ppo_updates.json").read_text(encoding="utf-8"))


class Run:
    """One recorded run as tensors."""

    def __init__(self, record):
        self.record = record
        self.gamma, self.lam = record["gamma"], record["gae_lambda"]
        for name in ("logprobs", "ref_logprobs", "values", "scores", "rewards", "advantages", "returns"):
            setattr(self, name, torch.tensor(record[name], dtype=torch.float64))
        self.raw_advantages = torch.tensor(record["advantages_before_whitening"], dtype=torch.float64)
        self.lengths = torch.tensor(record["sequence_lengths"]) + 1
        columns = torch.arange(self.values.shape[1])
        self.mask = columns < self.lengths[:, None]
        self.mask_and_slot = columns < self.lengths[:, None] + 1  # with the slot after the end, where there is one
        self.ended = self.lengths < self.values.shape[1]

    def rewards_at(self, index):
        """KL on every token, the score at the given column of each row."""
        paid = torch.zeros_like(self.values)
        paid[torch.arange(len(paid)), index] = self.scores
        kl = token_rewards(torch.zeros_like(paid), self.logprobs, self.ref_logprobs, self.mask, self.record["kl_coef"])
        return paid + kl

    def gae(self, rewards, values, mask):
        nothing = torch.zeros(len(values), dtype=torch.float64)
        return generalized_advantages(rewards, values, nothing, mask, self.gamma, self.lam)


@pytest.fixture(params=range(len(RUNS)), ids=["undiscounted", "discounted"])
def run(request) -> Run:
    return Run(RUNS[request.param])


def near(found, expected):
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_the_record_is_worth_a_test(run):
    assert run.lengths.tolist() == [3, 2, 5, 5]
    clipped = [(run.record["steps"][k]["grad_logprobs"][r][t] == 0) for k in (2, 3) for r in (0, 1) for t in range(2)]
    assert any(clipped), "no ratio left the clip range"
    assert run.raw_advantages[run.mask].std() > 0.1


def test_rewards_advantages_and_returns(run):
    slot = torch.where(run.ended, run.lengths, run.lengths - 1)
    rewards = run.rewards_at(slot)
    near(rewards, run.rewards)
    advantages, returns = run.gae(rewards, run.values, run.mask_and_slot)
    near(advantages[run.mask_and_slot], run.raw_advantages[run.mask_and_slot])
    near(returns[run.mask_and_slot], run.returns[run.mask_and_slot])
    count = int(run.mask.sum())
    near(whiten(advantages, run.mask) * ((count - 1) / count) ** 0.5, run.advantages)


def test_losses_and_gradients_of_every_step(run):
    assert len(run.record["steps"]) == 4
    for step in run.record["steps"]:
        rows = torch.tensor(step["rows"])
        mask, mask_and_slot = run.mask[rows], run.mask_and_slot[rows]
        logprobs, values = (
            torch.tensor(step[name], dtype=torch.float64).requires_grad_() for name in ("logprobs", "values")
        )
        actor, _ = policy_loss(
            logprobs[mask],
            run.logprobs[rows][mask],
            run.advantages[rows][mask],
            run.record["cliprange"],
            loss_scale(mask)[1],
        )
        critic = value_loss(
            values[mask_and_slot],
            run.values[rows][mask_and_slot],
            run.returns[rows][mask_and_slot],
            run.record["cliprange_value"],
            loss_scale(mask_and_slot)[1],
        )
        (actor + run.record["vf_coef"] * critic).backward()
        assert actor.item() == pytest.approx(step["policy_loss"], abs=1e-6)
        assert critic.item() == pytest.approx(step["value_loss"], abs=1e-6)
        near(logprobs.grad, torch.tensor(step["grad_logprobs"], dtype=torch.float64))
        near(values.grad, torch.tensor(step["grad_values"], dtype=torch.float64))


def test_the_slot_after_the_end_costs_credit_unless_nothing_is_discounted(run):
    """Our advantages differ by (gamma lambda)^k * (R (1 - gamma lambda) - gamma (1 - lambda) V_slot), k to the end."""
    ours, _ = run.gae(run.rewards_at(run.lengths - 1), run.values, run.mask)
    decay = run.gamma * run.lam
    for row in range(len(ours)):
        n = int(run.lengths[row])
        gap = torch.zeros(n, dtype=torch.float64)
        if run.ended[row]:
            slot_value = float(run.values[row, n])
            size = float(run.scores[row]) * (1 - decay) - run.gamma * (1 - run.lam) * slot_value
            gap = size * decay ** torch.arange(n - 1, -1, -1, dtype=torch.float64)
            assert bool(gap.abs().max() > 0.1) is (decay < 1)
        near(ours[row, :n] - run.raw_advantages[row, :n], gap)


def test_the_mean_of_means_depends_on_the_micro_batch_and_ours_does_not(run):
    losses = -run.advantages
    whole = mean_loss(losses[run.mask], loss_scale(run.mask)[1])
    denominator = loss_scale(run.mask)[1]
    ours, theirs = [], []
    for rows in torch.arange(4).split(1):
        mask = run.mask[rows]
        ours.append(mean_loss(losses[rows][mask], denominator))
        theirs.append(losses[rows][mask].mean() / 4)
    near(sum(ours), whole)
    assert abs(sum(theirs) - whole) > 1e-2
