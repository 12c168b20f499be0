"""A learned value: its regression against a second solution, its file, and what shaping with it does."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.errors import DataError, ParameterError
from rlenvs.wrappers import RewardState
from rlenvs.wrappers.potentials import (
    StateValue,
    StateValuePotential,
    fit_state_value,
    rollout_states,
    state_value,
)
from rlenvs.wrappers.potentials.state_value import ridge_regression, text_features

WORDS = ["add", "carry", "sum", "so", "check", "42"]


def writing(text: str, **info: object) -> RewardState:
    return RewardState("2+2=", info={"response_so_far": text, **info})


def random_states(rng: np.random.Generator, count: int) -> list[RewardState]:
    return [
        writing(" ".join(rng.choice(WORDS, size=int(rng.integers(0, 6)))), difficulty=float(rng.random()))
        for _ in range(count)
    ]


@settings(deadline=None)
@given(rows=st.integers(1, 12), columns=st.integers(1, 12), seed=st.integers(0, 10**6), ridge=st.floats(0.01, 10.0))
def test_both_systems_give_the_weights_of_the_augmented_least_squares_problem(rows, columns, seed, ridge):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(rows, columns)), rng.normal(size=rows)
    penalty = np.column_stack([math.sqrt(ridge) * np.eye(columns), np.zeros(columns)])  # the intercept has none
    augmented = np.vstack([np.column_stack([X, np.ones(rows)]), penalty])
    expected, *_ = np.linalg.lstsq(augmented, np.concatenate([y, np.zeros(columns)]), rcond=None)
    weights, intercept = ridge_regression(X.__getitem__, y, ridge, columns)
    np.testing.assert_allclose([*weights, intercept], expected, atol=1e-8)


def test_a_few_rows_at_a_time_give_the_same_fit(monkeypatch):
    states = random_states(np.random.default_rng(6), 90)
    returns = np.random.default_rng(7).normal(size=90)
    whole = fit_state_value(states, returns, dimension=16, info_keys=["difficulty"])
    monkeypatch.setattr(state_value, "ROWS_AT_ONCE", 7)
    parts = fit_state_value(states, returns, dimension=16, info_keys=["difficulty"])
    np.testing.assert_allclose(parts.predict(states), whole.predict(states), atol=1e-9)


@pytest.mark.parametrize("count", [5, 200])
def test_the_fit_minimises_its_objective(count):
    rng = np.random.default_rng(0)
    states = random_states(rng, count)
    returns = rng.normal(size=count)
    value = fit_state_value(states, returns, dimension=16, blocks=["response"], info_keys=["difficulty"], ridge=0.5)
    numbers = np.array([state.info["difficulty"] for state in states])
    X = np.column_stack([text_features(states, ["response"], 16), (numbers - numbers.mean()) / numbers.std()])
    w = np.array([*value.weights, value.info[0].weight])
    b = returns.mean() - X.mean(axis=0) @ w

    def objective(weights, intercept):
        return np.sum((intercept + X @ weights - returns) ** 2) + 0.5 * weights @ weights

    best = objective(w, b)
    np.testing.assert_allclose(value.predict(states), b + X @ w, atol=1e-9)
    for _ in range(20):
        assert objective(w + 1e-3 * rng.normal(size=len(w)), b + 1e-3 * rng.normal()) > best


def test_it_learns_what_is_in_the_text_and_generalises():
    rng = np.random.default_rng(1)
    train, test = random_states(rng, 400), random_states(rng, 100)

    def truth(states):
        return np.array([("sum" in s.info["response_so_far"]) - 0.5 * s.info["difficulty"] for s in states])

    value = fit_state_value(train, truth(train), dimension=256, info_keys=["difficulty"], ridge=0.1)
    errors = value.predict(test) - truth(test)
    assert np.mean(errors**2) < 0.25 * np.var(truth(test))


def test_fitting_is_deterministic_and_the_file_reads_back_exactly(tmp_path):
    states = random_states(np.random.default_rng(2), 30)
    returns = np.random.default_rng(3).normal(size=30)
    one, two = (fit_state_value(states, returns, dimension=32, info_keys=["difficulty"]) for _ in range(2))
    assert one == two
    one.save(tmp_path / "value.json")
    again = StateValue.load(tmp_path / "value.json")
    assert again == one
    np.testing.assert_array_equal(again.predict(states), one.predict(states))
    potential = StateValuePotential(str(tmp_path / "value.json"), scale=-2.0)
    np.testing.assert_array_equal(potential.batch(states), -2.0 * one.predict(states))
    assert [potential(state) for state in states] == potential.batch(states).tolist()


def test_one_return_for_all_is_the_value_of_all():
    value = fit_state_value(random_states(np.random.default_rng(0), 10), [0.25] * 10, dimension=8)
    assert value.predict([RewardState(), writing("anything else")]).tolist() == pytest.approx([0.25, 0.25])


def test_no_text_and_no_number_can_make_the_value_large():
    rng = np.random.default_rng(4)
    states = random_states(rng, 50)
    value = fit_state_value(states, rng.normal(size=50), dimension=32, info_keys=["difficulty"], ridge=0.1)
    blocks = np.linalg.norm(np.array(value.weights).reshape(2, 32), axis=1).sum()
    (number,) = value.info
    reach = abs(number.weight) * max(abs(number.low - number.mean), abs(number.high - number.mean)) / number.scale
    hostile = [writing(text, difficulty=1e300) for text in ("sum " * 50_000, "\ud800", "\x00" * 1000, "")]
    assert np.abs(value.predict(hostile)).max() <= abs(value.intercept) + blocks + reach + 1e-9


def test_missing_and_infinite_numbers_are_errors():
    value = fit_state_value([writing("a", x=1.0), writing("b", x=2.0)], [0.0, 1.0], dimension=4, info_keys=["x"])
    with pytest.raises(KeyError, match="no 'x'"):
        value.predict([writing("a")])
    with pytest.raises(ValueError, match="must be finite"):
        value.predict([writing("a", x=math.inf)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"returns": [1.0]}, "returns must be one finite number per state"),
        ({"returns": [1.0, math.nan]}, "returns must be"),
        ({"ridge": 0.0}, "ridge must be"),
        ({"ridge": math.inf}, "ridge must be"),
        ({"blocks": ["prompt"]}, "blocks must be different ones of response, assistant, context"),
        ({"blocks": ["context", "context"]}, "blocks must be different"),
        ({"dimension": 0}, "dimension must lie in"),
    ],
)
def test_wrong_fits_are_refused(arguments, message):
    with pytest.raises(ParameterError, match=message):
        fit_state_value(**{"states": [writing("a"), writing("b")], "returns": [0.0, 1.0]} | arguments)


STORED = {"kind": "rlenvs.state_value", "version": 1, "dimension": 1, "blocks": [], "intercept": 0.5, "weights": []}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "Invalid JSON"),
        ("[]", "is no stored state value"),
        (b"\xff\xfe{}", "is no stored state value"),
        (STORED | {"version": 2}, "version"),
        (STORED | {"kind": "pickle"}, "kind"),
        (STORED | {"extra": 1}, "extra"),
        (STORED | {"weights": [1.0]}, "need as many weights"),
        (STORED | {"intercept": "0.5"}, "intercept"),
        (json.dumps(STORED | {"intercept": math.nan}), "intercept"),
        (json.dumps(STORED).replace("0.5", "1e999"), "intercept"),
        ({key: value for key, value in STORED.items() if key != "weights"}, "weights: Field required"),
        ("[" * 100_000, "is no stored state value"),
    ],
)
def test_a_file_that_is_not_exactly_a_stored_value_is_refused(tmp_path, content, message):
    path = tmp_path / "value.json"
    if isinstance(content, dict):
        content = json.dumps(content)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message):
        StateValue.load(path)
    with pytest.raises(ParameterError, match=f"^path .*{message}"):
        StateValuePotential(str(path))


def test_an_absent_file_and_an_infinite_scale_name_their_parameters(tmp_path):
    with pytest.raises(ParameterError, match=r"^path .*absent.json: cannot be read: No such file"):
        StateValuePotential(str(tmp_path / "absent.json"))
    with pytest.raises(ParameterError, match=r"^scale must be finite"):
        StateValuePotential(str(tmp_path / "absent.json"), scale=math.inf)


def turn(iteration, env, number, prompt, response, reward):
    return {"iteration": iteration, "env": env, "turn": number, "prompt": prompt, "response": response, "env_reward": reward}  # fmt: skip


def test_stored_rollouts_become_states_and_discounted_returns():
    records = [
        turn(0, 1, 1, "again", "four", 1.0),
        turn(0, 0, 0, "1+1=", "3", 7.0),
        turn(0, 1, 0, "2+2=", "five", 0.25),
        turn(0, 0, 0, "1+1=", "2", 0.5),  # repeated by a resumed run: the last one counts
        turn(1, 0, 0, "9+9=", "", -1.0),
    ]
    states, returns = rollout_states(records, gamma=0.5)
    told = [[message["content"] for message in state.messages] for state in states]
    assert dict(zip(map(tuple, told), returns, strict=True)) == {
        ("2+2=",): 0.75,
        ("2+2=", "five", "again"): 1.0,
        ("1+1=",): 0.5,
        ("9+9=",): -1.0,
    }
    assert {state.prompt for state in states} == {"2+2=", "1+1=", "9+9="}


def test_prefixes_are_states_within_a_message():
    states, returns = rollout_states([turn(0, 0, 0, "p", "abcdef", 1.0)], prefixes=2)
    assert [state.info for state in states] == [{}, {"response_so_far": "ab"}, {"response_so_far": "abcd"}]
    assert returns == [1.0] * 3


@pytest.mark.parametrize(
    ("records", "options", "error", "message"),
    [
        ([{"iteration": 0}], {}, DataError, "record 0: has no 'env'"),
        ([], {"gamma": 1.5}, ParameterError, "gamma must lie"),
        ([], {"prefixes": -1}, ParameterError, "prefixes must be >= 0"),
    ],
)
def test_rollouts_that_cannot_be_used_are_refused(records, options, error, message):
    with pytest.raises(error, match=message):
        rollout_states(records, **options)


def test_from_stored_rollouts_to_a_potential(tmp_path):
    """The whole way: rollouts in which "check" pays, a fitted value, and states that the potential tells apart."""
    rng = np.random.default_rng(5)
    records = []
    for episode in range(200):
        response = " ".join(rng.choice(WORDS, size=4))
        records.append(turn(episode, 0, 0, "prove it", response, float("check" in response)))
    fit_state_value(*rollout_states(records, prefixes=3), dimension=128, ridge=0.1).save(tmp_path / "v.json")
    potential = StateValuePotential(str(tmp_path / "v.json"))
    chat = [{"role": "user", "content": "prove it"}]

    def phi(text):
        return potential(RewardState("prove it", chat, None, {"response_so_far": text}))

    assert phi("add check") > phi("add carry") + 0.2
