"""The trainer: its clock, its gamma, its control experiment, its state."""

import copy

import numpy as np
import pytest
import torch
from tiny import TINY_RUN, tiny_policy

from rlenvs.agents.llm.advantages import generalized_advantages
from rlenvs.agents.llm.batch import Episode
from rlenvs.agents.llm.chat import ChatFormat
from rlenvs.agents.llm.config import TrainConfig
from rlenvs.agents.llm.launch import make_envs
from rlenvs.agents.llm.trainer import PPOTrainer, check_gammas, shuffle_rewards
from rlenvs.errors import ConfigError
from rlenvs.wrappers import LinearSchedule


def trainer(**ppo) -> PPOTrainer:
    config = TrainConfig.load(TINY_RUN | {"ppo": TINY_RUN["ppo"] | ppo})
    policy, reference = tiny_policy(0), tiny_policy(0)
    return PPOTrainer(policy, reference, make_envs(config, 24), ChatFormat(policy.tokenizer), config)


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


def test_a_learner_that_discounts_tokens_cannot_be_shaped_per_turn():
    with pytest.raises(ConfigError, match=r"ppo.gamma: must be 1 with a potential \('guide'\), got 0.9"):
        TrainConfig.load(TINY_RUN | {"ppo": TINY_RUN["ppo"] | {"gamma": 0.9}})
    for theirs, learner in [(0.9, 0.9), (0.9, 1.0), (1.0, 0.9)]:
        with pytest.raises(ConfigError, match="both must be 1"):
            check_gammas({"guide": theirs}, learner)
    check_gammas({"guide": 1.0}, 1.0)
    check_gammas({}, 0.9)


def test_discounting_tokens_would_make_shaping_depend_on_the_length_of_an_answer():
    """Why it is refused: one terminated turn, Phi(s0) = 1, and the shaped return moves with the number of tokens."""
    returns = []
    for tokens in (1, 3, 6):
        rewards = torch.zeros(1, tokens)
        rewards[0, -1] = -1.0  # F = 0 - Phi(s0), paid on the turn's last token
        mask = torch.ones(1, tokens, dtype=torch.bool)
        _, found = generalized_advantages(rewards, torch.zeros(1, tokens), torch.zeros(1), mask, 0.9, 1.0)
        returns.append(found[0, 0].item())
    assert returns == pytest.approx([-1.0, -0.81, -0.59049])


def test_the_temperature_of_sampling_is_that_of_training():
    config = TrainConfig.load(TINY_RUN | {"rollout": TINY_RUN["rollout"] | {"temperature": 0.6}})
    policy = tiny_policy(0)
    envs = make_envs(config, 24)
    metrics, _ = PPOTrainer(policy, tiny_policy(0), envs, ChatFormat(policy.tokenizer), config).iterate()
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
