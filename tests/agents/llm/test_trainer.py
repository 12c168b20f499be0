"""The trainer: its clock, its gamma, its control experiment, its state."""

import copy

import numpy as np
import pytest
import torch
from tiny import TINY_RUN, tiny_policy

from rlenvs.agents.llm.algorithm.advantages import generalized_advantages
from rlenvs.agents.llm.config import TrainConfig
from rlenvs.agents.llm.engines import GenerateEngine
from rlenvs.agents.llm.launch import make_envs
from rlenvs.agents.llm.policy.reference import FrozenCopy
from rlenvs.agents.llm.rollout.batch import Episode
from rlenvs.agents.llm.rollout.chat import ChatFormat
from rlenvs.agents.llm.trainer import PPOTrainer, check_gammas, shuffle_rewards
from rlenvs.errors import ConfigError
from rlenvs.wrappers import InfoPotential, LinearSchedule, ProgressPotential, RewardPipeline, Transition
from rlenvs.wrappers.potentials.base import PotentialTerm


def trainer(**ppo) -> PPOTrainer:
    config = TrainConfig.load(TINY_RUN | {"ppo": TINY_RUN["ppo"] | ppo})
    policy, reference = tiny_policy(0), FrozenCopy(tiny_policy(0))
    return PPOTrainer(
        policy, reference, make_envs(config, 24), ChatFormat(policy.tokenizer), config, GenerateEngine(policy)
    )


def numbers(metrics):
    return {key: value for key, value in metrics.items() if not key.startswith("time/")}


def test_the_trainer_keeps_the_reward_clock_for_all_episodes():
    ppo = trainer()
    schedule = LinearSchedule(0.5, 0.0, 200)
    for iteration in range(3):
        metrics, records = ppo.iterate()
        # Constant within an iteration, the number of environment steps before it.
        assert {r["components"]["form"]["weight"] for r in records} == {schedule(24 * iteration)}
        assert metrics["weight/form"] == schedule(24 * iteration)
        assert metrics["step"] == 24 * iteration
        assert {r["step"] for r in records} == {24 * iteration}
        assert metrics["env_steps"] == 24 * (iteration + 1)


def test_a_resumed_trainer_gives_identical_numbers_and_weights():
    straight = trainer()
    straight.iterate()
    state = copy.deepcopy(straight.state_dict())
    resumed = trainer()
    resumed.load_state_dict(state)
    for _ in range(2):
        (mine, my_records), (other, other_records) = straight.iterate(), resumed.iterate()
        assert numbers(mine) == pytest.approx(numbers(other), abs=0, nan_ok=True)
        assert my_records == other_records
    for a, b in zip(straight.policy.parameters(), resumed.policy.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_seed_decides_everything():
    first, second = trainer(), trainer()
    assert numbers(first.iterate()[0]) == pytest.approx(numbers(second.iterate()[0]), abs=0, nan_ok=True)


def test_metrics_are_the_means_of_the_records():
    metrics, records = trainer().iterate()
    assert metrics["reward/total"] == pytest.approx(np.mean([r["reward"] for r in records]))
    for name in ("right", "form", "guide"):
        parts = [r["components"][name] for r in records]
        assert metrics[f"component/{name}/contribution"] == pytest.approx(np.mean([p["contribution"] for p in parts]))
    for record in records:
        total = sum(part["contribution"] for part in record["components"].values())
        assert record["reward"] == pytest.approx(total)
        assert record["correct"] == bool(record["env_reward"])
    assert metrics["invalid/form"] == sum(r["components"]["form"]["status"] == "invalid" for r in records)
    assert metrics["kl"] == pytest.approx(0.0, abs=1e-7)
    assert metrics["engine/logprob_gap"] < 1e-4


def test_a_potential_with_another_gamma_is_refused():
    rewards = copy.deepcopy(TINY_RUN["rewards"])
    rewards["reward_components"]["guide"]["params"]["gamma"] = 0.9
    with pytest.raises(ConfigError, match=r"guide.params.gamma: must equal the learner's ppo.gamma \(1.0\), got 0.9"):
        TrainConfig.load(TINY_RUN | {"rewards": rewards})


def test_a_learner_that_discounts_tokens_needs_a_potential_that_does():
    rewards = copy.deepcopy(TINY_RUN["rewards"])
    params = rewards["reward_components"]["guide"]["params"]
    discounting = TINY_RUN | {"rewards": rewards, "ppo": TINY_RUN["ppo"] | {"gamma": 0.9}}
    params["gamma"] = 0.9
    with pytest.raises(ConfigError, match=r"guide.params.gamma_unit: must be 'token' with ppo.gamma 0.9"):
        TrainConfig.load(discounting)
    params["gamma_unit"] = "token"
    assert TrainConfig.load(discounting).ppo.gamma == 0.9

    def term(gamma, unit="step"):
        return {"guide": PotentialTerm(ProgressPotential(), gamma, gamma_unit=unit)}

    for theirs, learner in [(term(0.9), 0.9), (term(0.9, "token"), 1.0), (term(1.0), 0.9)]:
        with pytest.raises(ConfigError, match="both must be equal"):
            check_gammas(theirs, learner)
    check_gammas(term(1.0), 1.0)
    check_gammas(term(0.9, "token"), 0.9)
    check_gammas({}, 0.9)


@pytest.mark.parametrize("turns", [[(1, 0.0)], [(6, 0.0)], [(3, 2.0), (5, 0.0)], [(1, -1.0), (4, 3.0), (2, 0.0)]])
def test_shaping_per_turn_is_exact_for_a_learner_that_discounts_tokens(turns):
    """Turns of m tokens that end in potential Phi: the shaped return from the first token is -Phi(s0), whatever m."""
    gamma, start = 0.9, 1.5

    def shaped_return(unit: str) -> float:
        phis = iter([start, *(phi for _, phi in turns)])
        pipeline = RewardPipeline({"guide": PotentialTerm(InfoPotential("phi"), gamma, gamma_unit=unit)})
        rewards, before = [], next(phis)
        for place, (tokens, phi) in enumerate(turns):
            step = Transition(
                previous_info={"phi": before},
                info={"phi": phi, "response_tokens": tokens},
                terminated=place == len(turns) - 1,
            )
            rewards += [0.0] * (tokens - 1) + [pipeline.compute([step], 0).total[0]]
            before = phi
        paid = torch.tensor([rewards], dtype=torch.float64)
        mask = torch.ones_like(paid, dtype=torch.bool)
        _, found = generalized_advantages(paid, torch.zeros_like(paid), torch.zeros(1), mask, gamma, 1.0)
        return found[0, 0].item()

    assert shaped_return("token") == pytest.approx(-start, abs=1e-9)
    if turns != [(1, 0.0)]:
        assert shaped_return("step") != pytest.approx(-start, abs=1e-3)  # what the check above refuses


def test_a_gate_opens_by_what_the_evaluation_reports():
    rewards = copy.deepcopy(TINY_RUN["rewards"])
    rewards["reward_shaping"] = {
        "form": {
            "initial_weight": 0.5,
            "decay_schedule": "gated",
            "metric": "accuracy/greedy",
            "threshold": 0.9,
            "window": 1,
        }
    }
    config = TrainConfig.load(TINY_RUN | {"rewards": rewards})
    policy = tiny_policy(0)
    ppo = PPOTrainer(
        policy,
        FrozenCopy(tiny_policy(0)),
        make_envs(config, 24),
        ChatFormat(policy.tokenizer),
        config,
        GenerateEngine(policy),
    )
    weights = []
    for greedy in (0.2, 0.95, 0.1):
        metrics, _ = ppo.iterate()
        weights.append(metrics["weight/form"])
        ppo.report(metrics | {"accuracy/greedy": greedy})
    assert weights == [0.0, 0.0, 0.5]


def test_the_temperature_of_sampling_is_that_of_training():
    config = TrainConfig.load(TINY_RUN | {"rollout": TINY_RUN["rollout"] | {"temperature": 0.6}})
    policy = tiny_policy(0)
    envs = make_envs(config, 24)
    metrics, _ = PPOTrainer(
        policy, FrozenCopy(tiny_policy(0)), envs, ChatFormat(policy.tokenizer), config, GenerateEngine(policy)
    ).iterate()
    assert metrics["engine/logprob_gap"] < 1e-4
    assert metrics["kl"] == pytest.approx(0.0, abs=1e-6)


def test_the_control_deals_every_reward_to_some_episode():
    episodes = [Episode([1], [False]) for _ in range(50)]
    for number, episode in enumerate(episodes):
        episode.add_message([5, 6], [0.0, 0.0])
        episode.credit(float(number))
    shuffle_rewards(episodes, torch.Generator().manual_seed(0))
    dealt = [episode.turn_rewards for episode in episodes]
    assert sorted(reward for [(_, reward)] in dealt) == list(range(50))
    assert [reward for [(_, reward)] in dealt] != list(range(50))
    assert {place for [(place, _)] in dealt} == {1}
