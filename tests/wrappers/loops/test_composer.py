"""The doors for hand-written loops: the snippets of the guide and the cookbook run, with the pipeline's numbers."""

import json
import math

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.errors import ComponentError, ConfigError
from rlenvs.wrappers.base import BaseReward
from rlenvs.wrappers.component_registry import component_registry
from rlenvs.wrappers.components import CorrectnessReward, EnvReward, InfoValueReward, LengthPenalty
from rlenvs.wrappers.config.rewards import RewardConfig, build_pipeline
from rlenvs.wrappers.layers.shaped import ShapedReward
from rlenvs.wrappers.loops.composer import RewardComposer
from rlenvs.wrappers.loops.shaper import RewardShaper
from rlenvs.wrappers.potentials.base import LLMPotentialBasedReward, PotentialTerm, ProgressPotential
from rlenvs.wrappers.reducers import GateReducer
from rlenvs.wrappers.registry import Registry
from rlenvs.wrappers.schedules.fixed import ConstantSchedule
from rlenvs.wrappers.schedules.ramps import LinearSchedule
from rlenvs.wrappers.transition import Transition

relaxed = settings(deadline=None, max_examples=50)
finite = st.floats(-5, 5, allow_nan=False)


class Recorded(BaseReward):
    """Counts how often it was asked, one by one and in batches."""

    effect = "counting"

    def __init__(self) -> None:
        self.ones = self.batches = 0

    def __call__(self, transition):
        self.ones += 1
        return float(len(transition.response))

    def batch(self, transitions):
        self.batches += 1
        return [float(len(transition.response)) for transition in transitions]


class TestComposer:
    def parts(self):
        return {"score": InfoValueReward("score"), "long": LengthPenalty(2, -0.5, unit="words")}

    def test_compute_and_combine_are_get_reward(self):
        state, action, info = "q", "one two three four", {"score": 0.75}
        weights = {"score": 2.0, "long": 0.5}
        apart, together = RewardComposer(self.parts()), RewardComposer(self.parts())
        raw = apart.compute_rewards(state, action, "", info)
        assert raw == {"score": 0.75, "long": -1.0}
        assert apart.combine_rewards(raw, weights) == 1.0
        assert together.get_reward(state, action, "", info, weights) == 1.0

    @relaxed
    @given(st.lists(st.tuples(finite, finite), min_size=1, max_size=40), finite, finite)
    def test_combining_raw_values_is_what_the_pipeline_computes(self, rows, first, second):
        composer = RewardComposer(
            {"a": InfoValueReward("a"), "b": InfoValueReward("b")}, "z_score", norm_window=7, norm_warmup_steps=3
        )
        pipeline = build_pipeline(
            RewardConfig.load(
                {
                    "composer_settings": {"normalization_strategy": "z_score", "norm_window": 7, "norm_warmup": 3},
                    "reward_components": {
                        key: {"class": "InfoValueReward", "params": {"info_key": key}} for key in ("a", "b")
                    },
                    "reward_shaping": {"a": {"initial_weight": first}, "b": {"initial_weight": second}},
                }
            )
        )
        for a, b in rows:
            expected = pipeline.compute([Transition(info={"a": a, "b": b})], 0).total[0]
            assert composer.combine_rewards({"a": a, "b": b}, {"a": first, "b": second}) == pytest.approx(
                expected, rel=1e-9, abs=1e-9
            )

    def test_computing_alone_teaches_the_statistics_nothing(self):
        composer = RewardComposer({"score": InfoValueReward("score")}, "running", norm_warmup_steps=1)
        before = composer.state_dict()
        for value in (1.0, 9.0):
            composer.compute_rewards(None, 0, None, {"score": value})
        assert composer.state_dict() == before
        composer.combine_rewards({"score": 1.0}, {"score": 1.0})
        assert composer.state_dict() != before

    def test_values_that_are_combined_are_not_scored_again(self):
        part = Recorded()
        composer = RewardComposer({"part": part})
        assert composer.combine_rewards({"part": 0.25}) == 0.25
        assert (part.ones, part.batches) == (0, 0)
        assert composer.get_reward("q", "four", "", {}) == 4.0
        assert part.ones + part.batches == 1

    def test_components_without_names_are_called_after_their_classes(self):
        composer = RewardComposer([EnvReward(), LengthPenalty(1), LengthPenalty(2)])
        assert composer.names == ("EnvReward", "LengthPenalty", "LengthPenalty_2")

    def test_a_reducer_by_name_and_by_object(self):
        raw = {"score": 0.5, "long": -2.0}
        assert RewardComposer(self.parts(), reducer="minimum").combine_rewards(raw) == -2.0
        assert RewardComposer(self.parts(), reducer=GateReducer("score", 0.75)).combine_rewards(raw) == 0.5

    @pytest.mark.parametrize(
        ("raw", "weights", "message"),
        [
            ({"scroe": 1.0, "long": 0.0}, None, r"raw_rewards.scroe: no component .*did you mean 'score'"),
            ({"score": 1.0}, None, "raw_rewards: missing key 'long'"),
            ({"score": 1.0, "long": 0.0}, {"score": 1.0}, "weights: missing key 'long'"),
            ({"score": 1.0, "long": 0.0}, {"score": 1.0, "long": 1.0, "lnog": 2.0}, "did you mean 'long'"),
        ],
    )
    def test_names_that_do_not_fit_are_refused(self, raw, weights, message):
        with pytest.raises(ConfigError, match=message):
            RewardComposer(self.parts()).combine_rewards(raw, weights)

    def test_a_value_that_is_not_finite_is_no_reward(self):
        with pytest.raises(ComponentError, match="score"):
            RewardComposer(self.parts()).combine_rewards({"score": math.nan, "long": 0.0})

    def test_whole_answers_one_by_one_and_in_one_batch(self):
        part = Recorded()
        composer = RewardComposer({"length": part, "long": LengthPenalty(2, -0.5, unit="words")})
        prompts, responses = ["a?", "b?"], ["one two three", "x"]
        single = [composer.compose(*pair) for pair in zip(prompts, responses, strict=True)]
        asked = part.batches
        rewards, breakdown = composer.compose_batch(prompts, responses)
        assert rewards == single == [12.5, 1.0]
        assert breakdown == {"length": [13.0, 1.0], "long": [-0.5, 0.0]}
        assert part.batches == asked + 1
        assert composer.get_reward_breakdown("a?", "one two three") == {"length": 13.0, "long": -0.5}
        with pytest.raises(ConfigError, match="2 prompts, 1 responses"):
            composer.compose_batch(prompts, ["one"])

    def test_infos_of_a_batch_reach_the_components(self):
        composer = RewardComposer({"right": CorrectnessReward()})
        infos = [{"correct": True}, {"correct": False}]
        assert composer.compose_batch(["a", "b"], ["c", "d"], infos)[0] == [1.0, 0.0]

    def test_a_composer_resumes(self):
        kwargs = {"normalization_strategy": "ema", "norm_warmup_steps": 1}
        first, second = (RewardComposer({"s": InfoValueReward("s")}, **kwargs) for _ in range(2))
        for value in (1.0, 2.0, 4.0):
            first.combine_rewards({"s": value})
        second.load_state_dict(first.state_dict())
        assert second.combine_rewards({"s": 3.0}) == first.combine_rewards({"s": 3.0})

    def test_a_name_of_the_registry_is_a_key_of_a_table(self):
        assert "GoalReward" in component_registry
        assert "GaolReward" not in component_registry
        assert component_registry["GoalReward"](target_reward=2.0).target_reward == 2.0
        with pytest.raises(ConfigError, match="did you mean 'GoalReward'"):
            component_registry["GaolReward"]
        assert list(Registry[object]("thing")) == []


class TestShaper:
    def test_the_loop_of_the_guide_runs_as_it_is_written(self):
        trial_config = {
            "reward_shaping": {
                "goal_reward": {
                    "class": "GoalReward",
                    "params": {"target_reward": 1.0},
                    "weight_schedule": {"initial_weight": 10.0, "schedule_type": "constant"},
                },
                "step_penalty": {
                    "class": "StepPenalty",
                    "params": {"penalty": -0.01},
                    "weight_schedule": {
                        "initial_weight": 1.0,
                        "schedule_type": "exponential",
                        "decay_rate": 0.9995,
                        "decay_steps": 1,
                        "min_weight": 0.0,
                    },
                },
            }
        }
        env = gym.make("FrozenLake-v1")
        reward_shaping_config = trial_config.get("reward_shaping", {})
        components = {}
        for name, comp_config in reward_shaping_config.items():
            cls_name = comp_config.get("class")
            params = comp_config.get("params", {})
            if cls_name in component_registry:
                components[name] = component_registry[cls_name](**params)
        composer = RewardComposer(components)
        shaper = RewardShaper(composer, reward_shaping_config)
        twin = ShapedReward(gym.make("FrozenLake-v1"), trial_config)

        global_step, reached = 0, 0
        actions = np.random.default_rng(0)
        for episode in range(60):
            _, info = env.reset(seed=episode)
            twin.reset(seed=episode)
            terminated = truncated = False
            while not terminated and not truncated:
                shaper.update_weights(global_step)
                action = int(actions.integers(4))
                _, raw_reward, terminated, truncated, info = env.step(action)
                context = {"global_step": global_step, "terminated": terminated, "truncated": truncated}
                shaped_reward = shaper.shape(raw_reward, info, context)
                expected = 10.0 * float(raw_reward > 0) - 0.01 * 0.9995**global_step
                assert shaped_reward == pytest.approx(twin.step(action)[1], abs=1e-9)
                assert shaped_reward == pytest.approx(expected, abs=1e-9)
                reached += raw_reward > 0
                global_step += 1
        assert reached >= 1  # a reward of the goal was among them
        assert shaper.get_weights() == {
            "goal_reward": 10.0,
            "step_penalty": pytest.approx(0.9995 ** (global_step - 1)),
        }

    def test_weights_in_both_dialects_and_as_objects(self):
        parts = {"a": EnvReward()}
        entries = [
            {"initial_weight": 2.0, "decay_schedule": "linear", "decay_steps": 100},
            {"class": "EnvReward", "weight_schedule": {"initial_weight": 2.0, "schedule_type": "linear", "decay_steps": 100}},
            LinearSchedule(2.0, 0.0, 100),
            RewardConfig.load(
                {"reward_components": {"a": {"class": "EnvReward"}}, "reward_shaping": {"a": {"initial_weight": 2.0, "decay_schedule": "linear", "decay_steps": 100}}}
            ).reward_shaping["a"],
        ]  # fmt: skip
        for entry in entries:
            shaper = RewardShaper(RewardComposer(parts), {"a": entry})
            shaper.update_weights(25)
            assert shaper.get_weights() == {"a": 1.5}

    @pytest.mark.parametrize(
        ("weights", "message"),
        [
            ({"b": {"initial_weight": 1.0}}, r"reward_shaping\.b: no component has this name .*known: a"),
            ({"a": {"initial_wieght": 1.0}}, r"reward_shaping\.a\.initial_wieght: unknown key .*'initial_weight'"),
            (
                {"a": {"class": "EnvReward", "weight_schedule": {"schedule_type": "linear"}}},
                r"reward_shaping\.a\.weight_schedule\.schedule_type: 'linear' needs 'decay_steps' beside it",
            ),
        ],
    )
    def test_weights_that_cannot_be_used_are_named(self, weights, message):
        with pytest.raises(ConfigError, match=message):
            RewardShaper(RewardComposer({"a": EnvReward()}), weights)

    def test_one_composer_has_one_shaper(self):
        composer = RewardComposer({"a": EnvReward()})
        RewardShaper(composer, {})
        with pytest.raises(ConfigError, match="make another composer"):
            RewardShaper(composer, {"a": ConstantSchedule(2.0)})

    @relaxed
    @given(
        phi=st.lists(finite, min_size=2, max_size=12),
        gamma=st.floats(0.5, 1.0),
        terminated=st.booleans(),
        weight=st.floats(0.1, 3),
    )
    def test_potential_terms_telescope_over_calls(self, phi, gamma, terminated, weight):
        composer = RewardComposer({"env": EnvReward(), "guide": PotentialTerm(ProgressPotential(), gamma)})
        shaper = RewardShaper(composer, {"guide": LinearSchedule(weight, 0.0, decay_steps=20)})
        shaper.update_weights(0)
        shaper.reset({"progress": phi[0]})
        total = 0.0
        for step, value in enumerate(phi[1:]):
            last = step == len(phi) - 2
            context = {"global_step": step, "terminated": last and terminated, "truncated": last and not terminated}
            total += gamma**step * shaper.shape(0.0, {"progress": value}, context)
        at = LinearSchedule(weight, 0.0, decay_steps=20)
        end = 0.0 if terminated else gamma ** (len(phi) - 1) * at(len(phi) - 2) * phi[-1]
        assert total == pytest.approx(end - at(0) * phi[0], abs=1e-9)

    def test_potential_terms_need_to_know_where_an_episode_begins(self):
        parts = {"guide": LLMPotentialBasedReward("progress", gamma=0.9)}
        shaper = RewardShaper(RewardComposer(parts), {})
        with pytest.raises(ResetNeeded, match=r"call reset\(info\) first"):
            shaper.shape(0.0, {"progress": 0.5})
        shaper.reset({"progress": 0.5})
        assert shaper.shape(0.0, {"progress": 1.0}, {"truncated": True}) == pytest.approx(0.9 - 0.5)
        with pytest.raises(ResetNeeded):
            shaper.shape(0.0, {"progress": 1.0})

    def test_without_a_clock_steps_are_counted(self):
        shaper = RewardShaper(RewardComposer({"env": EnvReward()}), {"env": LinearSchedule(1.0, 0.0, decay_steps=4)})
        assert [shaper.shape(1.0, {}) for _ in range(5)] == [1.0, 0.75, 0.5, 0.25, 0.0]

    def test_the_context_reaches_the_components(self):
        seen = []

        class Looks(BaseReward):
            def __call__(self, transition):
                seen.append(transition)
                return 0.0

        shaper = RewardShaper(RewardComposer({"look": Looks()}), {})
        shaper.reset({"turn": 0}, {"observation": "q"})
        shaper.shape(0.5, {"turn": 1}, {"action": "a", "next_observation": "r", "truncated": True, "global_step": 7})
        (step,) = seen
        assert (step.prompt, step.response, step.observation, step.next_observation) == ("q", "a", "q", "r")
        assert (step.env_reward, step.truncated, step.terminated, step.step) == (0.5, True, False, 7)
        assert step.previous_info["turn"] == 0
        assert (step.state_after().observation, step.state_after().info) == ("r", {"turn": 1})
        with pytest.raises(ConfigError, match="unknown key 'termnated'; did you mean 'terminated'"):
            shaper.shape(0.0, {}, {"termnated": True})

    def test_combining_takes_the_weights_of_now(self):
        composer = RewardComposer(
            {"env": EnvReward(), "guide": PotentialTerm(ProgressPotential(), 0.9, gamma_unit="token")}
        )
        shaper = RewardShaper(composer, {"env": LinearSchedule(1.0, 0.0, decay_steps=4)})
        shaper.update_weights(2)
        raw = composer.compute_rewards(0, 1, 2, {}, env_reward=3.0)
        assert raw == {"env": 3.0}
        assert composer.combine_rewards(raw) == composer.combine_rewards(raw, shaper.get_weights()) == 1.5

    def test_state_goes_on_in_the_middle_of_an_episode(self):
        def fresh():
            composer = RewardComposer(
                {"score": InfoValueReward("score"), "guide": PotentialTerm(ProgressPotential(), 0.5)},
                normalization_strategy="z_score",
                norm_warmup_steps=1,
            )
            return RewardShaper(composer, {"guide": LinearSchedule(1.0, 0.0, 10), "score": ConstantSchedule(2.0)})

        infos = [{"score": float(k * k), "progress": 0.1 * k} for k in range(8)]
        shaper = fresh()
        shaper.reset(infos[0], {"observation": np.zeros(2)})
        for info in infos[1:4]:
            shaper.shape(0.0, info)
        state = json.loads(json.dumps(shaper.state_dict()))
        again = fresh()
        again.load_state_dict(state)
        assert [shaper.shape(0.0, info) for info in infos[4:]] == [again.shape(0.0, info) for info in infos[4:]]

    def test_what_a_composer_has_learned_stays_when_its_weights_get_schedules(self):
        composer = RewardComposer(
            {"score": InfoValueReward("score")}, normalization_strategy="running", norm_warmup_steps=1
        )
        for value in (1.0, 3.0):
            composer.combine_rewards({"score": value})
        shaper = RewardShaper(composer, {"score": ConstantSchedule(2.0)})
        assert shaper.shape(0.0, {"score": 3.0}, {"terminated": True}) == pytest.approx(2.0, abs=1e-6)
