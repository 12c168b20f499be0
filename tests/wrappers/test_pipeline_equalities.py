"""Every way through the pipeline gives the same rewards: one row or many, rows or columns, in any order, resumed."""

import json
import math

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st
from reward_strategies import schedules

from rlenvs.errors import ComponentError
from rlenvs.wrappers import (
    BaseReward,
    EnvReward,
    ErrorPolicy,
    InfoPotential,
    LLMPotentialBasedReward,
    RewardPipeline,
    Score,
    Transition,
    VectorShapedReward,
)
from rlenvs.wrappers.components.environment import GoalReward, InfoValueReward, StepPenalty
from rlenvs.wrappers.normalization.strategies import NORMALIZATION_STRATEGIES, Normalization
from rlenvs.wrappers.potentials.base import PotentialTerm
from rlenvs.wrappers.reducers import (
    GateReducer,
    HybridReducer,
    MinimumReducer,
    ProductReducer,
    WeightedSumReducer,
)
from rlenvs.wrappers.schedules.reactive import GatedSchedule, LagrangianSchedule


class Told(BaseReward):
    """Returns what the transition says it should, with the status that it says."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, transition: Transition) -> Score | float:
        value, status = transition.info[self.name]
        return value if status == "plain" else Score(value, status)


values = st.floats(-3, 3)
verdicts = st.tuples(values, st.sampled_from(["plain", "plain", "ok", "invalid", "timeout", "error"]))
rows = st.builds(
    lambda a, b, reward, phi, before, over: Transition(
        prompt="p",
        env_reward=reward,
        terminated=over,
        info={"a": a, "b": b, "phi": phi},
        previous_info={"phi": before},
    ),
    verdicts, verdicts, values, values, values, st.booleans(),
)  # fmt: skip
REDUCERS = {
    "sum": WeightedSumReducer,
    "weighted": lambda: WeightedSumReducer({"a": 0.5}, default_weight=2.0),
    "product": ProductReducer,
    "minimum": MinimumReducer,
    "gate": lambda: GateReducer("a", threshold=0.5),
    "hybrid": lambda: HybridReducer(["b"], alpha=0.25),
}
policies = st.sampled_from([ErrorPolicy("mask"), ErrorPolicy("penalty", -1.0), ErrorPolicy("default", 0.25)])


def told_pipeline(reducer, policy, schedule=None, normalization=None) -> RewardPipeline:
    return RewardPipeline(
        {
            "a": Told("a"),
            "b": Told("b"),
            "env": EnvReward(),
            "guide": LLMPotentialBasedReward("info", 0.9, {"info_key": "phi"}),
        },
        schedules={"a": schedule, "guide": schedule} if schedule else None,
        policies={"a": policy, "b": policy},
        reducer=REDUCERS[reducer](),
        normalizations={"a": normalization, "env": normalization} if normalization else None,
        output_normalization=Normalization("running", warmup=3) if normalization else None,
    )


@settings(deadline=None, max_examples=12)
@given(st.lists(rows, min_size=2, max_size=8), policies, schedules(), st.integers(0, 20), st.lists(values, max_size=9))
@pytest.mark.parametrize("reducer", REDUCERS)
@pytest.mark.parametrize("strategy", ["none", "z_score", "min_max", "running", "ema"])
def test_many_rows_at_once_equal_one_at_a_time(strategy, reducer, transitions, policy, schedule, step, warm):
    """With statistics that stand still, because a batch is normalised by what came before it."""
    spec = None if strategy == "none" else Normalization(strategy, window=5, warmup=2)
    together, alone = (told_pipeline(reducer, policy, schedule, spec) for _ in range(2))
    for pipeline in (together, alone):
        for value in warm:
            told = (value, "plain")
            seen = Transition(env_reward=value, info={"a": told, "b": told, "phi": 0.0}, previous_info={"phi": 0.0})
            pipeline.compute([seen], 0)
        pipeline.freeze_statistics()
    batch = together.compute(transitions, step)
    for row, transition in enumerate(transitions):
        single = alone.compute([transition], step)
        for part in ("total", "raw", "normalized", "contributions", "potential", "visited"):
            np.testing.assert_allclose(
                getattr(single, part)[0], getattr(batch, part)[row], atol=1e-9, rtol=1e-9, err_msg=part
            )
        assert single.status[0].tolist() == batch.status[row].tolist()
        if reducer in ("sum", "weighted", "hybrid") and strategy == "none":
            assert single.total[0] == pytest.approx(single.contributions[0].sum(), abs=1e-9)
    assert together.failures == alone.failures


@given(st.lists(rows, min_size=1, max_size=5), st.permutations(["a", "b", "env", "guide", "step"]), policies)
def test_the_order_of_components_never_matters_for_the_sum(transitions, order, policy):
    parts = {
        "a": Told("a"),
        "b": Told("b"),
        "env": EnvReward(),
        "guide": LLMPotentialBasedReward("info", 0.9, {"info_key": "phi"}),
        "step": StepPenalty(),
    }

    def totals(names):
        pipeline = RewardPipeline({name: parts[name] for name in names}, policies={"a": policy, "b": policy})
        return pipeline.compute(transitions, 0).total

    np.testing.assert_allclose(totals(order), totals(list(parts)), atol=1e-9)


def learning_pipeline(strategy: str) -> RewardPipeline:
    return RewardPipeline(
        {"x": InfoValueReward("x"), "y": InfoValueReward("y"), "env": EnvReward()},
        schedules={
            "x": GatedSchedule(1.0, metric="env", threshold=0.0, window=3, decay_steps=4),
            "y": LagrangianSchedule(0.5, target=0.5, learning_rate=0.05),
        },
        normalizations=dict.fromkeys(["x", "y"], Normalization(strategy, window=7, warmup=2)),
        output_normalization=Normalization("z_score", window=4, warmup=1),
    )


def steps_of(numbers: list[list[float]]) -> list[list[Transition]]:
    return [
        [Transition(prompt=str(n % 2), env_reward=x, info={"x": x, "y": -x}) for n, x in enumerate(batch)]
        for batch in numbers
    ]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.lists(values, min_size=1, max_size=4), min_size=2, max_size=12), st.integers(1, 11), st.booleans())
@pytest.mark.parametrize("strategy", NORMALIZATION_STRATEGIES[1:])
def test_a_state_taken_anywhere_goes_on_to_the_same_bits(strategy, numbers, cut, one_by_one):
    stream = steps_of([[x] for batch in numbers for x in batch] if one_by_one else numbers)
    cut = min(cut, len(stream) - 1)
    pipeline = learning_pipeline(strategy)
    for step, batch in enumerate(stream[:cut]):
        pipeline.compute(batch, step)
    other = learning_pipeline(strategy)
    other.load_state_dict(json.loads(json.dumps(pipeline.state_dict())))
    for step, batch in enumerate(stream[cut:], start=cut):
        assert pipeline.compute(batch, step).total.tolist() == other.compute(batch, step).total.tolist()
        assert pipeline.weights(step + 1).tolist() == other.weights(step + 1).tolist()


SCRIPTS = [
    ([0.5, -1.0, 2.0, 0.0], [1.0, 3.0, -2.0, 0.5, 4.0]),
    ([1.0, 2.0], [0.5, 1.0, 4.0]),
    ([0.0, 1.0, 3.0], [2.0, 0.0, 1.0, 5.0]),
]
COLUMNS = {
    "composer_settings": {"normalization_strategy": "z_score", "norm_window": 6, "norm_warmup": 2},
    "reward_components": {
        "env": {"class": "EnvReward"},
        "goal": {"class": "GoalReward", "params": {"target_reward": 3.0}},
        "step": {"class": "StepPenalty"},
        "phi": {"class": "InfoValueReward", "params": {"info_key": "phi"}},
        "absent": {"class": "InfoValueReward", "params": {"info_key": "nowhere", "default_value": 0.5}},
        "guide": {
            "class": "LLMPotentialBasedReward",
            "params": {"potential_function": "info", "gamma": 0.9, "potential_params": {"info_key": "phi"}},
        },
    },
    "reward_shaping": {"guide": {"decay_schedule": "cosine", "decay_steps": 17, "min_weight": 0.1}},
}


class Twice(RewardPipeline):
    """Scores the columns of a vector environment, and the same transitions as rows in a pipeline of its own."""

    def compute(self, transitions, step, visited=None):
        twin = self.__dict__.setdefault("twin", RewardPipeline.from_config(COLUMNS))
        rows = twin.compute([transitions[row] for row in range(len(transitions))], step, visited)
        columns = super().compute(transitions, step, visited)
        for part in ("total", "raw", "normalized", "contributions", "visited"):
            np.testing.assert_allclose(getattr(columns, part), getattr(rows, part), atol=1e-12, err_msg=part)
        self.compared = getattr(self, "compared", 0) + len(transitions)
        return columns


@pytest.mark.parametrize("ending", ["terminated", "truncated"])
@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_columns_and_rows_give_the_same_rewards_in_every_autoreset_mode(scripted, mode, ending):
    envs = VectorShapedReward(
        SyncVectorEnv([lambda r=r, p=p: scripted(r, p, ending) for r, p in SCRIPTS], autoreset_mode=mode), COLUMNS
    )
    envs.pipeline.__class__ = Twice
    envs.reset()
    over = np.zeros(3, dtype=bool)
    for _ in range(12):
        if mode is AutoresetMode.DISABLED and over.any():
            envs.reset(options={"reset_mask": over})
        _, _, terminated, truncated, _ = envs.step(np.zeros(3, dtype=int))
        over = terminated | truncated
    assert envs.pipeline.compared >= 24


def test_a_goal_is_read_from_columns_as_from_rows():
    steps = [
        Transition(info={"goal_reached": True}),
        Transition(info={"goal_reached": False}, env_reward=1.0, terminated=True),
        Transition(env_reward=1.0, terminated=True),
        Transition(env_reward=1.0),
        Transition(terminated=True),
    ]
    goal = GoalReward(2.0)
    assert goal.batch(steps).tolist() == [goal(step) for step in steps] == [2.0, 0.0, 2.0, 0.0, 0.0]


def test_a_none_in_info_is_no_number():
    assert InfoValueReward("x", default_value=0.5)(Transition(info={"x": None})) == 0.5
    with pytest.raises(KeyError, match=r"info\['x'\] is None"):
        InfoValueReward("x")(Transition(info={"x": None}))


def test_a_pipeline_of_potentials_alone_pays_only_shaping():
    pipeline = RewardPipeline({"guide": PotentialTerm(InfoPotential("phi"))})
    steps = [Transition(previous_info={"phi": 1.0}, info={"phi": 3.0}, env_reward=9.0)] * 2
    assert pipeline.compute(steps, 0).total.tolist() == [2.0, 2.0]
    assert pipeline.compute(steps[:1], 0).total.tolist() == [2.0]


def test_a_potential_of_turns_is_kept_between_messages():
    """At token level the interior tokens get (gamma - 1) * Phi, however the state is described there."""
    pipeline = RewardPipeline({"guide": PotentialTerm(InfoPotential("phi"), gamma=0.9, level="turn")})
    step_level = RewardPipeline({"guide": PotentialTerm(InfoPotential("phi"), gamma=0.9)})
    interior = Transition(action=3, info={"phi": math.pi}, previous_info={"phi": 2.0})
    last = Transition(action=3, info={"phi": 5.0, "response": "done"}, previous_info={"phi": 2.0})
    visited = np.array([[[2.0, 2.0]]])
    assert pipeline.compute([interior], 0, visited).total[0] == pytest.approx(-0.2)
    assert pipeline.compute([interior], 0, visited).visited.tolist() == [[[2.0, 2.0]]]
    assert pipeline.compute([last], 0, visited).total[0] == pytest.approx(0.9 * 5.0 - 2.0)
    both = pipeline.compute([interior, last], 0, np.repeat(visited, 2, axis=0))
    assert both.total == pytest.approx([-0.2, 2.5])
    assert step_level.compute([interior], 0, visited).total[0] == pytest.approx(0.9 * math.pi - 2.0)


def test_a_function_is_a_component_as_it_is():
    pipeline = RewardPipeline({"long": lambda response: float(len(response)), "env": EnvReward()})
    step = Transition(response="abc", env_reward=1.0)
    assert pipeline.compute([step], 0).raw.tolist() == [[3.0, 1.0]]
    assert pipeline.compute([step] * 2, 0).total.tolist() == [4.0, 4.0]


def test_a_broken_contract_is_covered_by_no_policy_in_a_batch_either():
    pipeline = RewardPipeline({"text": lambda response: "much"}, policies={"text": ErrorPolicy("mask")})
    for rows in (1, 3):
        with pytest.raises(ComponentError, match="'text' breaks its contract"):
            pipeline.compute([Transition(response="abc")] * rows, 0)


def test_frozen_statistics_and_weights_stay():
    pipeline = learning_pipeline("z_score")
    stream = steps_of([[1.0, 2.0], [3.0], [0.5, 4.0]])
    for step, batch in enumerate(stream):
        pipeline.compute(batch, step)
    before = json.dumps(pipeline.state_dict())
    pipeline.freeze_statistics()
    for step, batch in enumerate(stream, start=3):
        pipeline.compute(batch, step)
    assert json.dumps(pipeline.state_dict()) == before
    pipeline.freeze_statistics(False)
    pipeline.compute(stream[0], 9)
    assert json.dumps(pipeline.state_dict()) != before
