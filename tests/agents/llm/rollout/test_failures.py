"""What can go wrong in a rollout: one clear line, and nothing half done."""

import copy
import math

import numpy as np
import pytest
import torch
from scripted_policy import ScriptedEngine, scripted
from tiny import TINY_RUN, tiny_policy

from rlenvs.agents.llm.config import RolloutConfig, TrainConfig
from rlenvs.agents.llm.engines import Completion, GenerateEngine, StaticEngine
from rlenvs.agents.llm.policy.reference import FrozenCopy
from rlenvs.agents.llm.rollout.batch import Episode, collate
from rlenvs.agents.llm.rollout.chat import ChatFormat
from rlenvs.agents.llm.rollout.collect import RolloutCollector
from rlenvs.agents.llm.trainer import PPOTrainer
from rlenvs.envs.protocol import Protocol, Turn
from rlenvs.envs.protocols import Retry
from rlenvs.envs.text_vector_env import TextVectorEnv
from rlenvs.errors import ComponentError, ConfigError, DataError, EngineError, GraderError, ParameterError
from rlenvs.problems import ArithmeticSource
from rlenvs.wrappers import BaseReward, VectorShapedReward
from rlenvs.wrappers.layers.single_purpose import VectorComposedReward

RIGHT = {"reward_components": {"right": {"class": "CorrectnessReward"}}}


def collector(policy, engine, protocol=None, wrap=lambda envs: VectorShapedReward(envs, RIGHT), rows=4, **options):
    envs = TextVectorEnv(ArithmeticSource(digits=1), rows, autoreset_mode="Disabled", protocol=protocol)
    config = RolloutConfig(**{"episodes": rows, "max_new_tokens": 4, "context_tokens": 120} | options)
    generator = torch.Generator().manual_seed(0)
    return RolloutCollector(wrap(envs), policy, engine, ChatFormat(policy.tokenizer), config, generator)


def trainer():
    rewards = TINY_RUN["rewards"]["reward_components"] | {
        "length": {
            "class": "LengthPenalty",
            "params": {"max_length": 1},
            "normalization": {"strategy": "z_score", "window": 30},
        }
    }
    config = TrainConfig.load(
        TINY_RUN
        | {
            "rollout": {"episodes": 12, "max_new_tokens": 4, "context_tokens": 200},
            "rewards": {"reward_components": rewards},
        }
    )
    policy = tiny_policy(0)
    engine = StaticEngine(policy)
    envs = TextVectorEnv(ArithmeticSource(digits=1), 12, autoreset_mode="Disabled", protocol=Retry(attempts=3))
    return PPOTrainer(
        policy,
        FrozenCopy(tiny_policy(0)),
        VectorShapedReward(envs, config.rewards),
        ChatFormat(policy.tokenizer),
        config,
        engine,
    )


class Dying:
    """An engine that dies in its n-th call and lives again afterwards."""

    name = "dying"

    def __init__(self, engine, call):
        self.engine, self.left = engine, call

    def generate(self, prompts, params, generator):
        self.left -= 1
        if self.left == 0:
            torch.rand(3, generator=generator)  # whatever it drew before it died
            raise EngineError("the engine is gone")
        return self.engine.generate(prompts, params, generator)

    def sync(self, policy):
        self.engine.sync(policy)


def same(first, second):
    assert {k: v for k, v in first.items() if "time/" not in k} == pytest.approx(
        {k: v for k, v in second.items() if "time/" not in k}, abs=0, nan_ok=True
    )


@pytest.mark.parametrize(("call", "done"), [(2, 0), (1, 1), (3, 1)])
def test_an_engine_that_dies_leaves_the_trainer_as_before_the_iteration(call, done):
    undisturbed, disturbed = trainer(), trainer()
    for _ in range(done):
        undisturbed.iterate(), disturbed.iterate()
    living = disturbed.engine
    disturbed.collector.speaker.engine = Dying(living, call)
    with pytest.raises(EngineError, match="the engine is gone"):
        disturbed.iterate()
    assert (disturbed.iteration, disturbed.env_steps, disturbed.tokens) == (
        undisturbed.iteration,
        undisturbed.env_steps,
        undisturbed.tokens,
    )
    state = copy.deepcopy(disturbed.state_dict())
    disturbed.collector.speaker.engine = living
    expected = undisturbed.iterate()
    again = disturbed.iterate()
    same(again[0], expected[0])
    assert again[1] == expected[1]
    # A checkpoint made after the failure is that of the iteration before.
    resumed = trainer()
    resumed.load_state_dict(state)
    other = resumed.iterate()
    same(other[0], expected[0])
    assert other[1] == expected[1]


class Failing(BaseReward):
    """Fails in every call after its n-th, until it is mended."""

    def __init__(self, calls=0):
        self.left = calls

    def __call__(self, transition):
        self.left -= 1
        return math.nan if self.left < 0 else float(len(transition.response))


def test_a_reward_that_fails_leaves_nothing_half_done_either():
    def playing(judge):
        policy = tiny_policy()
        wrap = lambda envs: VectorComposedReward(envs, {"judge": judge})  # noqa: E731
        return collector(policy, GenerateEngine(policy), Retry(attempts=3), wrap)

    judge = Failing(6)  # the first turn of 4 rows, and into the second
    disturbed, undisturbed = playing(judge), playing(Failing(10_000))
    with pytest.raises(ComponentError, match=r"reward component 'judge' failed twice .*NaN"):
        disturbed.collect(seed=0)
    judge.left = 10_000
    assert disturbed.collect(seed=0)[1] == undisturbed.collect(seed=0)[1]
    assert disturbed.collect()[1] == undisturbed.collect()[1]


def test_a_reward_that_is_no_number_stops_the_iteration():
    policy, engine = scripted(lambda text: "7")
    play = collector(policy, engine, wrap=lambda envs: VectorComposedReward(envs, {"judge": Failing()}))
    with pytest.raises(ComponentError, match=r"'judge' failed twice on transition 0.*NaN or infinity"):
        play.collect(seed=0)


def test_an_environment_that_pays_no_number_is_told_so_by_name():
    class Broken(Protocol):
        def respond(self, problem, turn, grade):
            return Turn("", True, reward=math.inf if turn == 1 else 0.0)

    policy, engine = scripted(lambda text: "7")
    with pytest.raises(GraderError, match=r"^the environment paid inf for problem 'arithmetic:.*', no number"):
        collector(policy, engine, Broken()).collect(seed=0)


def test_an_environment_without_messages_is_one_clear_line():
    policy, engine = scripted(lambda text: "7")
    play = collector(policy, engine)
    plain = play.envs.source.reset

    def without(**options):
        observations, infos = plain(**options)
        return observations, {key: value for key, value in infos.items() if key not in ("messages", "_messages")}

    play.envs.source.reset = without
    with pytest.raises(
        ConfigError, match=r"infos after reset need 'messages'.*row 0 has None \(keys: .*problem_id.*\)"
    ):
        play.collect(seed=0)


def test_a_prompt_longer_than_the_context_names_the_problem():
    policy, engine = scripted(lambda text: "7")
    with pytest.raises(DataError, match=r"prompt of problem 'arithmetic:\d.\d' has 4 tokens, it must have 1 to 2"):
        collector(policy, engine, context_tokens=6).collect(seed=0)


def batch(*episodes):
    return collate(episodes, 0, torch.device("cpu"))


def test_a_reward_before_any_action_goes_to_the_first_action():
    episode = Episode([5], [False])
    episode.credit(2.0)  # for an empty message
    episode.add_feedback([6])
    episode.add_message([7, 8], [0.0, 0.0])
    episode.credit(1.0)
    episode.add_message([], [])
    episode.credit(0.25)  # an empty message after others: to the newest action token that there is
    other = Episode([5], [False])
    other.add_message([1, 2, 3], [0.0] * 3)
    other.credit(4.0)
    found = batch(episode, other)
    assert found.turn_rewards_BA.tolist() == [[2.0, 1.25, 0.0], [0.0, 0.0, 4.0]]


def test_a_reward_without_any_action_is_refused_and_none_is_no_reward():
    silent = Episode([5, 6], [False, False])
    silent.credit(0.0)
    spoken = Episode([5], [False])
    spoken.add_message([1], [0.0])
    spoken.credit(1.0)
    assert batch(spoken, silent).mask_BA.tolist() == [[True], [False]]
    silent.credit(-1.0)
    with pytest.raises(ParameterError, match="must not pay an episode without action tokens, as row 1 does"):
        batch(spoken, silent)
    assert batch().ids_BL.shape == (0, 0)


def test_an_engine_that_says_nothing_is_played_on():
    """An empty completion is a message like any other; its reward is not lost."""

    class Silent(ScriptedEngine):
        def generate(self, prompts, params, generator):
            completions = super().generate(prompts, params, generator)
            return [Completion([], [], "length")] * len(prompts) if len(self.calls) == 1 else completions

    policy = tiny_policy()
    wrap = lambda envs: VectorComposedReward(envs, {"one": lambda prompt, response: 1.0})  # noqa: E731
    play = collector(policy, Silent(policy, lambda text: "77"), Retry(attempts=2), wrap)
    episodes, records = play.collect(seed=0)
    assert [r["tokens"] for r in records] == [0] * 4 + [3] * 4
    found = collate(episodes, policy.pad_id, policy.device)
    assert found.turn_rewards_BA.tolist() == [[1.0, 0.0, 1.0]] * 4


def test_time_is_told_apart():
    policy, engine = scripted(lambda text: "77")
    play = collector(policy, engine, Retry(attempts=3))
    play.collect(seed=0)
    assert {"time/generate", "time/env", "time/reward"} <= play.metrics.keys()
    assert all(play.metrics[f"time/{name}"] > 0 for name in ("generate", "env", "reward"))
    before = play.envs.env_seconds, play.envs.reward_seconds
    play.collect()
    assert play.metrics["time/env"] == pytest.approx(play.envs.env_seconds - before[0])
    assert np.isfinite(play.metrics["time/reward"])
