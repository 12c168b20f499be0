"""Values that the engine reports, decoding under autocast, and what scoring saves by them."""

import pytest
import torch
from tiny import tiny_policy
from tiny_models import tiny_model

from rlenvs.agents.llm.config import MemoryConfig, PPOConfig, TrainConfig
from rlenvs.agents.llm.engines import Engine, SamplingParams, StaticEngine
from rlenvs.agents.llm.engines.configured import source_of_old_logprobs
from rlenvs.agents.llm.engines.generate import GenerateEngine
from rlenvs.agents.llm.learner.scoring import score_rollout
from rlenvs.agents.llm.memory.micro_batches import MicroBatches
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.policy.options import ForwardOptions
from rlenvs.agents.llm.processes import ALONE
from rlenvs.agents.llm.rollout.batch import Episode, RolloutBatch, collate

PROMPTS = [[5, 6, 7], [8], [9, 10, 11, 12, 5], [7, 7], [8, 5], [6]]


def valued_policy(kind: str, critic: str = "detached") -> Policy:
    policy = Policy(*tiny_model(kind), critic)
    with torch.no_grad():
        policy.value_head.weight.normal_(generator=torch.Generator().manual_seed(3))
        policy.value_head.bias.fill_(0.25)
    return policy


def play(policy: Policy, engine: Engine, turns: int = 2) -> RolloutBatch:
    """Some rows end by themselves, some by the limit, some wait for a slot; every other one has ended."""
    generator = torch.Generator().manual_seed(1)
    episodes = [Episode(list(prompt), [False] * len(prompt)) for prompt in PROMPTS]
    for turn in range(turns):
        completions = engine.generate([episode.ids for episode in episodes], SamplingParams(6 + turn), generator)
        for row, (episode, completion) in enumerate(zip(episodes, completions, strict=True)):
            episode.add_message(completion.ids, completion.logprobs, completion.values, completion.entropies)
            episode.credit(0.5 * row + turn)
            if turn + 1 < turns:
                episode.add_feedback([4 + row % 3, 6])
    for row, episode in enumerate(episodes):
        episode.terminated = row % 2 == 0
    return collate(episodes, policy.pad_id, policy.device)


def score(policy: Policy, batch: RolloutBatch, old_logprobs: str) -> tuple:
    config = PPOConfig(old_logprobs=old_logprobs, gamma=0.99, gae_lambda=0.9, kl_coef=0.0)
    return score_rollout(batch, policy, None, config, 1.0, MicroBatches(MemoryConfig(micro_batch_size=4)), ALONE)


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", "mistral-window"])
@pytest.mark.parametrize("batch_size", [2, 8])
def test_the_engine_reports_the_values_that_a_forward_pass_gives(kind: str, batch_size: int) -> None:
    policy = valued_policy(kind)
    batch = play(policy, StaticEngine(policy, batch_size))
    assert batch.sampled_values_BA is not None
    with torch.no_grad():
        found = policy.evaluate(*batch.rows(torch.arange(len(batch))), 1.0)
    torch.testing.assert_close(batch.sampled_values_BA[batch.mask_BA], found.values_M, atol=1e-4, rtol=1e-4)
    assert found.values_M.std() > 0.1, "values that are all alike would show nothing"


@pytest.mark.parametrize("engine", [StaticEngine, GenerateEngine])
def test_the_engine_reports_the_entropies_that_a_forward_pass_gives(engine: type) -> None:
    policy = valued_policy("llama")
    batch = play(policy, engine(policy, 4))
    assert batch.sampled_entropies_BA is not None
    with torch.no_grad():
        found = policy.evaluate(*batch.rows(torch.arange(len(batch))), 1.0)
    torch.testing.assert_close(batch.sampled_entropies_BA[batch.mask_BA], found.entropies_M, atol=1e-4, rtol=1e-4)
    assert (batch.sampled_entropies_BA[~batch.mask_BA] == 0).all()
    trusted, recomputed = (score(policy, batch, old).metrics["entropy"] for old in ("engine", "recompute"))
    assert trusted == pytest.approx(recomputed, abs=1e-4)
    assert recomputed > 0.1


def test_what_the_engine_left_out_of_one_episode_counts_for_none() -> None:
    policy = valued_policy("llama")
    episodes = [Episode([5, 6], [False, False]) for _ in range(2)]
    episodes[0].add_message([7, 8], [-1.0, -1.0], [0.5, 0.5], [1.0, 2.0])
    episodes[1].add_message([7], [-1.0])
    batch = collate(episodes, policy.pad_id, policy.device)
    assert batch.sampled_values_BA is None
    assert batch.sampled_entropies_BA is None
    assert "entropy" not in score(policy, batch, "engine").metrics


OURS = {
    "env": {"id": "rlenvs/Arithmetic-v0"},
    "rewards": {"reward_components": {"right": {"class": "CorrectnessReward"}}},
}


def test_left_to_itself_the_trainer_trusts_an_engine_that_computes_what_it_does() -> None:
    def chosen(engine: Engine | None = None, dtype: torch.dtype = torch.float32, *overrides: str) -> str:
        policy = valued_policy("llama").to(dtype)
        engine = engine or StaticEngine(policy, 4)
        return source_of_old_logprobs(TrainConfig.load(OURS, overrides), policy, engine)

    policy = valued_policy("llama")
    assert chosen() == "engine"
    assert chosen(GenerateEngine(policy, 4)) == "recompute"
    assert chosen(StaticEngine(policy, 4, dtype=torch.bfloat16)) == "recompute"
    assert chosen(None, torch.bfloat16) == "recompute"
    assert chosen(None, torch.float32, "memory.autocast=bfloat16") == "recompute"
    assert chosen(None, torch.float32, "ppo.importance=token_truncate") == "recompute"
    assert chosen(None, torch.float32, "ppo.old_logprobs=recompute") == "recompute"
    assert chosen(GenerateEngine(policy, 4), torch.float32, "ppo.old_logprobs=engine") == "engine"


@pytest.mark.parametrize("critic", ["detached", "shared"])
def test_scoring_by_the_engine_equals_scoring_again(critic: str) -> None:
    policy = valued_policy("llama", critic)
    batch = play(policy, StaticEngine(policy, 4))
    expected, found = (score(policy, batch, old) for old in ("recompute", "engine"))
    for name in ("logprobs_BA", "values_BA", "returns_BA", "advantages_BA"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), atol=1e-3, rtol=1e-3, msg=name)


def test_only_states_after_which_an_episode_goes_on_are_valued_again(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = valued_policy("llama")
    batch = play(policy, StaticEngine(policy, 8))
    scored: list[int] = []
    evaluate = policy.evaluate

    def counting(ids_BL: torch.Tensor, *args: object, **kwargs: object) -> object:
        scored.append(len(ids_BL))
        assert kwargs["with_logprobs"] is False
        return evaluate(ids_BL, *args, **kwargs)

    monkeypatch.setattr(policy, "evaluate", counting)
    score(policy, batch, "engine")
    assert sum(scored) == int((~batch.terminated_B).sum()) == 3
    scored.clear()
    batch.terminated_B[:] = True
    score(policy, batch, "engine")
    assert scored == [], "where all have ended, no pass is left to make"


def test_an_engine_whose_features_are_not_the_critics_reports_no_values() -> None:
    for policy, dtype in (
        (Policy(*tiny_model("llama"), "copy"), None),
        (frozen(valued_policy("llama")), torch.bfloat16),
    ):
        engine = StaticEngine(policy, 4, dtype=dtype)
        completions = engine.generate(PROMPTS, SamplingParams(3), torch.Generator().manual_seed(0))
        assert [completion.values for completion in completions] == [None] * len(PROMPTS)
        batch = play(policy, engine)
        assert batch.sampled_values_BA is None
        assert score(policy, batch, "engine").values_BA.shape == batch.mask_BA.shape


def frozen(policy: Policy) -> Policy:
    policy.model.requires_grad_(False)
    return policy


def test_new_weights_of_the_critic_show_in_the_next_call() -> None:
    policy = valued_policy("llama")
    engine = StaticEngine(policy, 8)

    def values() -> torch.Tensor:
        [completion] = engine.generate([[5, 6, 7]], SamplingParams(4), torch.Generator().manual_seed(0))
        return torch.tensor(completion.values)

    before = values()
    with torch.no_grad():
        policy.value_head.weight.mul_(2.0)
        policy.value_head.bias.mul_(2.0)
    torch.testing.assert_close(values(), 2 * before)


def test_decoding_in_bfloat16_is_the_trainers_pass_under_autocast() -> None:
    """As close as two orders of sums in bfloat16 are, and closer than a pass in float32."""
    policy = tiny_policy(hidden_size=64)
    engine = StaticEngine(policy, 8, dtype=torch.bfloat16)
    assert engine._shadow is None, "trained weights are cast, not copied"
    batch = play(policy, engine)
    assert batch.sampled_values_BA is not None
    rows = batch.rows(torch.arange(len(batch)))
    with torch.no_grad():
        single = policy.evaluate(*rows, 1.0)
        policy.options = ForwardOptions(autocast=torch.bfloat16)
        mixed = policy.evaluate(*rows, 1.0)
    sampled = batch.sampled_logprobs_BA[batch.mask_BA]
    assert (sampled - mixed.logprobs_M).abs().mean() < (sampled - single.logprobs_M).abs().mean()
    torch.testing.assert_close(sampled, mixed.logprobs_M, atol=0.15, rtol=0.1)
    assert policy.model.dtype == torch.float32
