"""Several samples of one problem, and groups that tell nothing."""

import copy

import pytest
import torch
from scripted_policy import ScriptedEngine, scripted
from tiny import TINY_RUN, tiny_policy

from rlenvs.agents.llm.config import RolloutConfig, TrainConfig
from rlenvs.agents.llm.engines import GenerateEngine
from rlenvs.agents.llm.launch import make_envs
from rlenvs.agents.llm.policy.reference import FrozenCopy
from rlenvs.agents.llm.rollout.batch import Episode
from rlenvs.agents.llm.rollout.chat import ChatFormat
from rlenvs.agents.llm.rollout.collect import RolloutCollector
from rlenvs.agents.llm.rollout.groups import Groups
from rlenvs.agents.llm.trainer import PPOTrainer
from rlenvs.envs.protocols import Retry
from rlenvs.envs.text_vector_env import TextVectorEnv
from rlenvs.errors import ConfigError
from rlenvs.problems import ArithmeticSource
from rlenvs.wrappers import RewardPipeline, VectorShapedReward
from rlenvs.wrappers.rescoring.rescore import rescore
from rlenvs.wrappers.rescoring.stored_steps import StoredFields

REWARDS = {
    "reward_components": {
        "right": {"class": "CorrectnessReward", "normalization": {"strategy": "z_score", "window": 50, "warmup": 2}},
        "long": {"class": "LengthPenalty", "params": {"max_length": 1, "unit": "chars"}, "normalization": "group"},
    }
}


def collector(policy, engine, rows=8, protocol=None, **options):
    envs = TextVectorEnv(ArithmeticSource(digits=1, operators="+"), rows, autoreset_mode="Disabled", protocol=protocol)
    config = RolloutConfig(
        **{"episodes": rows, "max_new_tokens": 4, "context_tokens": 60, "samples_per_prompt": 4} | options
    )
    generator = torch.Generator().manual_seed(0)
    return RolloutCollector(
        VectorShapedReward(envs, REWARDS), policy, engine, ChatFormat(policy.tokenizer), config, generator
    )


def test_samples_of_a_problem_share_the_prompt_and_nothing_else():
    policy = tiny_policy()
    episodes, records = collector(policy, GenerateEngine(policy)).collect(seed=3)
    assert [e.group for e in episodes] == [0, 0, 0, 0, 1, 1, 1, 1]
    prompts = [tuple(e.ids[: e.action.index(True)]) for e in episodes]
    assert len(set(prompts[:4])) == len(set(prompts[4:])) == 1
    assert prompts[0] != prompts[4]
    assert len({tuple(e.ids) for e in episodes[:4]}) > 1
    for row, episode in enumerate(episodes):
        assert episode.score == sum(r["env_reward"] for r in records if r["env"] == row)


def test_scores_are_sums_over_turns():
    # The second attempt is right and pays half; the shaped reward is another number.
    policy, engine = scripted(lambda text: "0" if text.count("=") == 1 and "not" not in text else "1")
    protocol = Retry(attempts=3, discount=0.5)
    episodes, records = collector(policy, engine, protocol=protocol, context_tokens=200).collect(seed=0)
    for row, episode in enumerate(episodes):
        paid = [r["env_reward"] for r in records if r["env"] == row]
        assert episode.score == pytest.approx(sum(paid))


def test_an_environment_that_cannot_share_problems_is_refused():
    policy = tiny_policy()
    play = collector(policy, GenerateEngine(policy))
    plain = play.envs.source.reset
    play.envs.source.reset = lambda seed=None, options=None: plain(seed=seed)
    with pytest.raises(
        ConfigError, match=r"samples_per_prompt=4: environments 0 and 1 began with different messages; .*'group_size'"
    ):
        play.collect(seed=0)
    with pytest.raises(ConfigError, match="samples_per_prompt must divide the 9 environments, got 4"):
        Groups(9, 4)


class Alternating(ScriptedEngine):
    """Answers sums right in the samples that a plan says: (round, group, sample) -> bool."""

    def __init__(self, policy, plan):
        super().__init__(policy, lambda text: "")
        self.plan = plan
        self.round = 0

    def generate(self, prompts, params, generator):
        sums = [str(sum(map(int, self.policy.tokenizer.decode(list(p)).rstrip("=").split("+")))) for p in prompts]
        right = [self.plan(self.round, place // 4, place % 4) for place in range(len(prompts))]
        answers = iter([total if is_right else "x" for total, is_right in zip(sums, right, strict=True)])
        self.script = lambda _: next(answers)
        self.round += 1
        return super().generate(prompts, params, generator)


def test_uniform_groups_are_left_out_and_others_played_in_their_rows():
    policy = tiny_policy()
    # Round 0: group 0 agrees (all wrong), 1 differs. Round 1 (one group): all right. Round 2: differs.
    engine = Alternating(policy, lambda turn, group, sample: turn == 1 or (sample < 2 and (turn, group) != (0, 0)))
    play = collector(policy, engine, drop_uniform_groups=True, max_refills=5)
    episodes, records = play.collect(seed=0)
    assert [len(call) for call in engine.calls] == [8, 4, 4]
    assert [e.score for e in episodes] == [1, 1, 0, 0] * 2
    assert [e.group for e in episodes] == [0] * 4 + [1] * 4
    assert (play.metrics["rollout/dropped_groups"], play.metrics["rollout/refills"]) == (2.0, 2.0)
    assert play.metrics["rollout/episodes"] == 16
    assert [r["env"] for r in records] == [*range(8), *range(4), *range(4)]
    assert [r.get("refill", 0) for r in records] == [0] * 8 + [1] * 4 + [2] * 4
    assert [r.get("dropped", False) for r in records] == [True] * 4 + [False] * 4 + [True] * 4 + [False] * 4
    assert play.envs.clock.step == 16  # what was dropped was played


def test_when_the_refills_are_used_up_there_are_fewer_episodes_or_none():
    policy = tiny_policy()
    play = collector(
        policy,
        Alternating(policy, lambda turn, group, sample: group == 1 and sample < 2),
        drop_uniform_groups=True,
        max_refills=1,
    )
    episodes, records = play.collect(seed=0)
    assert [e.group for e in episodes] == [1] * 4
    assert len(records) == 12
    play = collector(policy, Alternating(policy, lambda *_: True), drop_uniform_groups=True, max_refills=0)
    assert play.collect(seed=0)[0] == []
    assert play.metrics["rollout/refills"] == 0.0


def test_dropped_episodes_reach_the_statistics_and_can_be_scored_again():
    policy = tiny_policy()
    play = collector(
        policy,
        GenerateEngine(policy),
        rows=16,
        drop_uniform_groups=True,
        max_refills=3,
        protocol=Retry(attempts=2),
        context_tokens=120,
    )
    stored, clock = [], 0
    for iteration in (1, 2):
        play.envs.set_global_step(clock)
        _, records = play.collect(seed=0 if iteration == 1 else None)
        assert play.metrics["rollout/refills"] > 0
        stored += [r | {"iteration": iteration, "step": clock} for r in records]
        clock += len(records)
    steps = [StoredFields().read(row, f"line {n}", n) for n, row in enumerate(stored, start=1)]
    pipeline = RewardPipeline.from_config(REWARDS)
    totals = [float(x) for batch in rescore(steps, pipeline) for x in batch.result.total]
    assert totals == [r["reward"] for r in stored]
    theirs, ours = pipeline.state_dict(), play.envs.pipeline.state_dict()
    assert theirs["normalizers"] == ours["normalizers"]


def grouped_trainer(**rollout):
    options = {"samples_per_prompt": 4, "drop_uniform_groups": True, "max_refills": 2} | rollout
    config = TrainConfig.load(
        TINY_RUN | {"rollout": TINY_RUN["rollout"] | options, "ppo": TINY_RUN["ppo"] | {"estimator": "grpo"}}
    )
    policy = tiny_policy(0)
    envs, chat = make_envs(config, 24), ChatFormat(policy.tokenizer)
    return PPOTrainer(policy, FrozenCopy(tiny_policy(0)), envs, chat, config, GenerateEngine(policy))


def test_a_resumed_run_with_groups_gives_the_same_numbers():
    straight = grouped_trainer()
    straight.iterate()
    state = copy.deepcopy(straight.state_dict())
    resumed = grouped_trainer()
    resumed.load_state_dict(state)
    for _ in range(2):
        (mine, my_records), (other, other_records) = straight.iterate(), resumed.iterate()
        assert my_records == other_records
        for key in mine:
            if not key.startswith("time/"):
                assert mine[key] == pytest.approx(other[key], abs=0, nan_ok=True), key
    assert mine["env_steps"] == straight.env_steps


def test_an_iteration_without_an_informative_group_learns_nothing_and_counts():
    trainer = grouped_trainer(max_refills=0)
    trainer.engine = trainer.collector.speaker.engine = ScriptedEngine(trainer.policy, lambda text: "x")
    before = [p.clone() for p in trainer.policy.parameters()]
    metrics, records = trainer.iterate()
    assert metrics["rollout/dropped_groups"] == 6
    assert (trainer.iteration, trainer.learner.iteration, trainer.env_steps) == (1, 1, len(records))
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.policy.parameters(), strict=True))
    trainer.engine = trainer.collector.speaker.engine = GenerateEngine(trainer.policy)
    assert "policy_loss" in trainer.iterate()[0] or trainer.collector.metrics["rollout/dropped_groups"] == 6


def test_groups_are_uniform_where_all_scores_are_equal():
    groups = Groups(6, 2)

    def episode(score):
        return Episode([1], [False], score=score)

    played = {row: episode(score) for row, score in enumerate([0.5, 0.5, 0.0, 1.0, 1.0, 1.0])}
    assert groups.uniform(played) == [0, 1, 4, 5]
    assert groups.uniform({4: episode(0.0), 5: episode(0.1)}) == []
    assert groups.uniform({}) == []
