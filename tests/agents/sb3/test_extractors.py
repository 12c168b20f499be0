"""Features of token windows: against a second way of computing them, and inside every algorithm."""

import math

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import rlenvs  # noqa: F401 - registers the environments
from rlenvs.agents.sb3.extractors import TokenEmbedding, TokenGRU, TokenTransformer, trimmed
from rlenvs.errors import ParameterError, UserError

LENGTH, VOCABULARY, FEATURES = 6, 9, 5
SPACE = gym.spaces.Box(0, VOCABULARY - 1, (LENGTH,), np.int32)
KINDS = {
    "flat": lambda space=SPACE, **more: TokenEmbedding(space, embedding_dim=4, features_dim=FEATURES, **more),
    "gru": lambda space=SPACE, **more: TokenGRU(space, embedding_dim=4, hidden_dim=7, features_dim=FEATURES, **more),
    "transformer": lambda space=SPACE, **more: TokenTransformer(
        space, embedding_dim=8, layers=2, heads=2, features_dim=FEATURES, **more
    ),
}
messages = st.lists(st.integers(1, VOCABULARY - 1), max_size=LENGTH)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def made(kind, seed=0, **more):
    torch.manual_seed(seed)
    return KINDS[kind](**more)


def window(ids, length=LENGTH, pad=0):
    return torch.tensor([pad] * (length - len(ids)) + list(ids), dtype=torch.int32)


def test_features_are_positive_finite_and_of_the_stated_width(kind):
    extractor = made(kind)
    assert (extractor.features_dim, type(extractor.features_dim)) == (FEATURES, int)
    features = extractor(torch.randint(0, VOCABULARY, (11, LENGTH)))
    assert features.shape == (11, FEATURES)
    assert features.dtype == torch.float32
    assert (features >= 0).all()
    assert features.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.int64, torch.float32, torch.float64])
def test_the_number_type_of_the_ids_does_not_matter(kind, dtype):
    extractor, ids = made(kind), torch.randint(0, VOCABULARY, (4, LENGTH))
    torch.testing.assert_close(extractor(ids.to(dtype)), extractor(ids), rtol=0, atol=0)


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(messages, min_size=1, max_size=6))
@pytest.mark.parametrize("name", KINDS)
def test_a_window_means_the_same_whatever_it_is_batched_with(name, rows):
    extractor = made(name)
    together = extractor(torch.stack([window(row) for row in rows]))
    for row, features in zip(rows, together, strict=True):
        torch.testing.assert_close(features, extractor(window(row)[None])[0], rtol=1e-5, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(ids=messages)
def test_the_flat_features_are_a_sum_over_used_places(ids):
    extractor = made("flat")
    table, layer = extractor.embedding.weight, extractor.network[0]
    total = layer.bias.clone()
    for place, token in enumerate(ids, start=LENGTH - len(ids)):
        total += layer.weight[:, 4 * place : 4 * (place + 1)] @ table[token]
    torch.testing.assert_close(extractor(window(ids)[None])[0], total.relu(), rtol=1e-5, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(ids=messages)
def test_the_gru_reads_what_was_written_and_nothing_before_it(ids):
    extractor = made("gru")
    state = torch.zeros(7)
    weights = extractor.gru.weight_ih_l0.split(7), extractor.gru.weight_hh_l0.split(7)
    for token in ids:
        x = extractor.embedding.weight[token]
        (reset_in, update_in, new_in), (reset_state, update_state, new_state) = weights
        reset = torch.sigmoid(reset_in @ x + reset_state @ state)
        update = torch.sigmoid(update_in @ x + update_state @ state)
        new = torch.tanh(new_in @ x + reset * (new_state @ state))
        state = (1 - update) * new + update * state
    expected = extractor.network(state)
    torch.testing.assert_close(extractor(window(ids)[None])[0], expected, rtol=1e-5, atol=1e-6)


def attended(block, x):
    """A layer of the transformer over vectors `[l, D]`, head by head and place by place."""
    normed = block.norm(x)
    query, (key, value) = block.query(normed), block.key_value(normed).chunk(2, dim=-1)
    width = x.shape[-1] // block.heads
    mixed = torch.zeros_like(x)
    for head in range(block.heads):
        part = slice(head * width, (head + 1) * width)
        for place in range(len(x)):
            scores = torch.stack([query[place, part] @ other for other in key[:, part]]) / math.sqrt(width)
            mixed[place, part] = scores.softmax(0) @ value[:, part]
    x = x + block.output(mixed)
    return x + block.feed_forward(x)


@settings(max_examples=20, deadline=None)
@given(ids=st.lists(st.integers(1, VOCABULARY - 1), min_size=1, max_size=LENGTH))
def test_the_transformer_attends_to_what_was_written_and_nothing_before_it(ids):
    extractor = made("transformer")
    x = torch.stack(
        [extractor.embedding.weight[token] + extractor.places.weight[len(ids) - 1 - at] for at, token in enumerate(ids)]
    )
    for block in extractor.blocks:
        x = attended(block, x)
    expected = extractor.network(x[-1])
    torch.testing.assert_close(extractor(window(ids)[None])[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["gru", "transformer"])
def test_padding_that_was_played_is_read(name):
    extractor = made(name, seed=3)
    plain, played = extractor(torch.stack([window([3, 5]), window([3, 0, 5])]))
    assert not torch.allclose(plain, played)


def test_gradients_reach_the_embeddings_of_what_was_written_and_no_others(kind):
    extractor = made(kind)
    ids = torch.stack([window([3, 5, 7]), window([5])])
    extractor(ids).square().sum().backward()
    moved = extractor.embedding.weight.grad.abs().sum(dim=1) > 0
    assert set(torch.flatten(moved.nonzero()).tolist()) == {3, 5, 7}
    assert all(parameter.grad is not None for parameter in extractor.parameters())


def test_another_padding_id(kind):
    usual, other = made(kind), made(kind, pad_id=VOCABULARY - 1)
    other.load_state_dict(usual.state_dict())
    with torch.no_grad():
        other.embedding.weight[-1] = usual.embedding.weight[0]
    torch.testing.assert_close(other(window([3, 5], pad=VOCABULARY - 1)[None]), usual(window([3, 5])[None]))


def test_what_all_windows_leave_empty_is_cut_off():
    ids, used = trimmed(torch.stack([window([1, 2]), window([4, 0, 3]), window([])]), pad_id=0)
    assert ids.tolist() == [[0, 1, 2], [4, 0, 3], [0, 0, 0]]
    assert used.tolist() == [[False, True, True], [True, True, True], [False, False, True]]
    ids, used = trimmed(window([])[None], pad_id=0)
    assert (ids.tolist(), used.tolist()) == ([[0]], [[True]])


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (gym.spaces.Discrete(5), r"needs windows of token ids, Box\(0, V - 1, \(L,\)\).*got Discrete\(5\)"),
        (gym.spaces.Box(0, 5, (2, 3), np.int32), "needs windows of token ids"),
        (gym.spaces.MultiDiscrete([5, 5]), "needs windows of token ids"),
        (gym.spaces.Dict({"tokens": SPACE}), "needs windows of token ids"),
        (gym.spaces.Box(-1, 5, (3,), np.int32), "needs ids from 0 to V - 1, got a Box from -1 to 5"),
        (gym.spaces.Box(0, np.inf, (3,), np.float32), "needs ids from 0 to V - 1, got a Box from 0 to inf"),
        (gym.spaces.Box(0, 1.5, (3,), np.float32), "needs ids from 0 to V - 1, got a Box from 0 to 1.5"),
    ],
    ids=str,
)
def test_other_spaces_are_refused(kind, space, message):
    with pytest.raises(UserError, match=message) as caught:
        made(kind, space=space)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind_of", "parameters", "message"),
    [
        (TokenEmbedding, {"embedding_dim": 0}, "embedding_dim must be an int >= 1, got 0"),
        (TokenEmbedding, {"features_dim": 2.5}, "features_dim must be an int >= 1, got 2.5"),
        (TokenEmbedding, {"pad_id": 9}, r"pad_id must be an id in 0\.\.8, got 9"),
        (TokenGRU, {"hidden_dim": True}, "hidden_dim must be an int >= 1, got True"),
        (TokenTransformer, {"layers": 0}, "layers must be an int >= 1, got 0"),
        (TokenTransformer, {"heads": 3}, "heads must divide embedding_dim=64, got 3"),
    ],
)
def test_sizes_out_of_range_are_named(kind_of, parameters, message):
    with pytest.raises(ParameterError, match=message):
        kind_of(SPACE, **parameters)


def algorithms():
    from sb3_contrib import MaskablePPO, RecurrentPPO
    from stable_baselines3 import A2C, DQN, PPO

    onward = {"n_steps": 8, "batch_size": 16, "n_epochs": 1}
    return {
        "ppo": (PPO, "MlpPolicy", onward),
        "a2c": (A2C, "MlpPolicy", {"n_steps": 8}),
        "dqn": (DQN, "MlpPolicy", {"learning_starts": 8, "buffer_size": 64, "batch_size": 8}),
        "maskable_ppo": (MaskablePPO, "MlpPolicy", onward),
        "recurrent_ppo": (RecurrentPPO, "MlpLstmPolicy", onward),
    }


@pytest.mark.parametrize("algorithm", ["ppo", "a2c", "dqn", "maskable_ppo", "recurrent_ppo"])
def test_every_algorithm_learns_its_embeddings_and_keeps_them(algorithm, kind, tmp_path):
    from stable_baselines3.common.env_util import make_vec_env

    make, policy, parameters = algorithms()[algorithm]
    extractor = {"flat": TokenEmbedding, "gru": TokenGRU, "transformer": TokenTransformer}[kind]
    envs = make_vec_env("rlenvs/ArithmeticTokens-v0", n_envs=2, seed=0, env_kwargs={"digits": 1, "render_mode": None})
    shape = {"features_extractor_class": extractor, "features_extractor_kwargs": {"features_dim": 16}, "net_arch": [8]}
    if algorithm == "recurrent_ppo":
        shape["lstm_hidden_size"] = 8
    model = make(policy, envs, seed=0, device="cpu", policy_kwargs=shape, **parameters)
    # Rewards are rare in so few steps: the entropy moves what rewards do not.
    if hasattr(model, "ent_coef"):
        model.ent_coef = 0.1
    before = {name: value.clone() for name, value in model.policy.named_parameters() if "embedding" in name}
    assert before
    model.learn(64)
    after = dict(model.policy.named_parameters())
    moved = [name for name, value in before.items() if not torch.equal(value, after[name])]
    assert moved
    model.save(tmp_path / "model.zip")
    again = make.load(tmp_path / "model.zip", device="cpu")
    windows = np.random.default_rng(0).integers(0, 17, (5, envs.observation_space.shape[0]), dtype=np.int32)
    assert (again.predict(windows, deterministic=True)[0] == model.predict(windows, deterministic=True)[0]).all()
