"""The potentials around real environments: shaping telescopes, token by token, and the vector form pays the same."""

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rlenvs  # noqa: F401
from rlenvs.wrappers import RewardState, ShapedReward, VectorShapedReward
from rlenvs.wrappers.potentials import (
    EmbeddingSimilarityPotential,
    KeywordCoveragePotential,
    TargetLengthPotential,
    fit_state_value,
)
from rlenvs.wrappers.potentials.base import potential_class

GAMMA = 0.9
texts = st.text(alphabet=st.characters(), max_size=60)
PARAMS = {
    "target_length": {"target": 2, "unit": "chars"},
    "keyword_coverage": {"keywords": ["1", "12", "3"], "whole_words": False},
    "embedding_similarity": {"target_text": "123"},
    "state_value": {},
}


@pytest.fixture(scope="module")
def params(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("value") / "value.json")
    states = [RewardState("1+2=", info={"response_so_far": text}) for text in ("", "1", "12", "3")]
    fit_state_value(states, [0.0, 0.2, 0.1, 1.0], dimension=16).save(path)
    return PARAMS | {"state_value": {"path": path}}


def shaped(name, params, **term):
    guide = {"potential_function": name, "gamma": GAMMA, "potential_params": params[name], **term}
    return {
        "reward_components": {
            "env": {"class": "EnvReward"},
            "guide": {"class": "LLMPotentialBasedReward", "params": guide},
        },
        "reward_shaping": {"guide": {"initial_weight": 2.0, "decay_schedule": "linear", "decay_steps": 9}},
    }


def weight(clock):
    return 2.0 * (1.0 - clock / 9)


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("name", PARAMS)
def test_token_by_token_the_terms_telescope(name, params, cut):
    steps = 3 if cut else 4
    env = gym.make("rlenvs/ArithmeticTokens-v0").unwrapped
    if cut:
        env = gym.wrappers.TimeLimit(env, max_episode_steps=steps)
    wrapped = ShapedReward(env, shaped(name, params))
    observation, info = wrapped.reset(seed=0)
    phi = potential_class(name)(**params[name])
    prompt = info["messages"][0]["content"]
    first = phi(RewardState(prompt, info["messages"], observation, info))
    terms, potentials = [], []
    base = env.unwrapped
    for token in [*base.tokenizer.encode("123"), base.eos_id][:steps]:
        observation, _, terminated, truncated, info = wrapped.step(token)
        terms.append(info["reward_potential"])
        potentials.append(info["reward_components"]["guide"]["raw"])
    assert (terminated, truncated) == (not cut, cut)
    last = phi(RewardState(prompt, info["messages"], observation, info)) if cut else 0.0
    assert potentials[-1] == pytest.approx(last, abs=1e-12)
    total = sum(GAMMA**t * term for t, term in enumerate(terms))
    kept = GAMMA**steps * weight(steps - 1) * potentials[-1] if cut else 0.0
    assert total == pytest.approx(kept - weight(0) * first, abs=1e-9)
    assert len({round(value, 6) for value in potentials}) > 1  # it does see what is written


@pytest.mark.parametrize("name", PARAMS)
def test_the_vector_form_pays_what_the_single_form_pays(name, params):
    answers = ["1", "12", "", "3 and more"]
    alone = []
    for seed, answer in enumerate(answers):
        env = ShapedReward(gym.make("rlenvs/Arithmetic-v0"), shaped(name, params))
        env.reset(seed=seed)
        alone.append(env.step(answer)[1])
    envs = VectorShapedReward(gym.make_vec("rlenvs/Arithmetic-v0", num_envs=4), shaped(name, params))
    envs.reset(seed=0)
    np.testing.assert_allclose(envs.step(answers)[1], alone, atol=1e-12)


@given(text=texts, told=texts)
@pytest.mark.parametrize(
    ("potential", "low", "high"),
    [
        (TargetLengthPotential(5), 0.0, 1.0),
        (TargetLengthPotential(5, "chars", scale=2.5), 0.0, 1.0),
        (KeywordCoveragePotential(["a", "b c"]), 0.0, 1.0),
        (KeywordCoveragePotential(["a", "\u00df"], whole_words=False), 0.0, 1.0),
        (EmbeddingSimilarityPotential(target_text="a b c"), -1.0, 1.0),
    ],
)
def test_any_text_stays_in_the_stated_range(potential, low, high, text, told):
    chat = [{"role": "user", "content": told}, {"role": "assistant", "content": text}]
    for state in (RewardState(told, chat), RewardState(told, chat[:1], told, {"response_so_far": text})):
        value = potential(state)
        assert low <= value <= high
        assert value == potential.batch([RewardState(), state])[1]
