"""One seed, one set of episodes: on every vectorisation, whatever else the process does with chance."""

import copy
import pickle
import random

import gymnasium as gym
import numpy as np
import pytest
from collated_results import equal
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode

import rlenvs  # noqa: F401
from rlenvs.envs import SuiteTokenEnv, TextEnv, TokenEnv
from rlenvs.envs.token_vector_env import TokenVectorEnv
from rlenvs.errors import UserError
from rlenvs.problems import ArithmeticSource

TURN_ID, TOKEN_ID = "rlenvs/Arithmetic-v0", "rlenvs/ArithmeticTokens-v0"
MODES = list(AutoresetMode)


def made(env_id, kind, num_envs, mode):
    if kind == "own":
        return gym.make_vec(env_id, num_envs=num_envs, autoreset_mode=mode)
    kwargs = {"autoreset_mode": mode}
    if kind == "async" and env_id == TURN_ID:
        kwargs["shared_memory"] = False
    return gym.make_vec(env_id, num_envs=num_envs, vectorization_mode=kind, vector_kwargs=kwargs)


def some_actions(env_id, rng, num_envs):
    if env_id == TURN_ID:
        return tuple(str(number) for number in rng.integers(0, 200, num_envs))
    return rng.integers(1, 13, num_envs)


def played(env_id, kind, num_envs, mode, steps=12):
    """Everything that some episodes of each row gave, up to the end of the first in mode DISABLED."""
    envs = made(env_id, kind, num_envs, mode)
    rng, over = np.random.default_rng(9), np.zeros(num_envs, dtype=bool)
    try:
        results = [envs.reset(seed=5)]
        for _ in range(steps):
            if over.any():
                results.append(envs.reset(options={"reset_mask": over}))
            results.append(envs.step(some_actions(env_id, rng, num_envs)))
            over = results[-1][2] | results[-1][3] if mode is AutoresetMode.DISABLED else over
    finally:
        envs.close()
        envs.close()
    return results


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("env_id", [TURN_ID, TOKEN_ID])
def test_own_sync_and_async_vector_environments_play_the_same_episodes(env_id, mode):
    own, sync, parallel = (played(env_id, kind, 2, mode) for kind in ("own", "sync", "async"))
    for ours, theirs, others in zip(own, sync, parallel, strict=True):
        assert equal(ours[0], theirs[0])
        assert equal(theirs[0], others[0])
        assert equal(ours[1:-1], theirs[1:-1])
        assert equal(theirs[1:-1], others[1:-1])
        for infos in (ours[-1], theirs[-1], others[-1]):
            assert infos.keys() == ours[-1].keys()
            assert equal(infos.get("problem_id"), ours[-1].get("problem_id"))


@pytest.mark.parametrize("env_id", [TURN_ID, TOKEN_ID])
def test_a_row_is_the_single_environment_of_its_seed(env_id):
    envs = gym.make_vec(env_id, num_envs=3)
    singles = [gym.make(env_id) for _ in range(3)]
    observations, _ = envs.reset(seed=40)
    assert all(
        equal(o, single.reset(seed=40 + i)[0]) for i, (o, single) in enumerate(zip(observations, singles, strict=True))
    )
    rng = np.random.default_rng(0)
    for _ in range(20):
        actions = some_actions(env_id, rng, 3)
        observations, rewards, terminated, truncated, _ = envs.step(actions)
        for row, single in enumerate(singles):
            observation, *outcome, _ = single.step(actions[row])
            assert outcome == [rewards[row], terminated[row], truncated[row]]
            if terminated[row] or truncated[row]:
                observation, _ = single.reset()
            assert equal(observation, observations[row])


@pytest.mark.parametrize("env_id", [TURN_ID, TOKEN_ID])
def test_other_users_of_chance_change_nothing(env_id):
    """The global generators of `random`, NumPy and PyTorch are neither read nor moved."""
    torch = pytest.importorskip("torch")

    def run(disturb):
        envs, rng, results = gym.make_vec(env_id, num_envs=3), np.random.default_rng(1), []
        disturb(0)
        results.append(envs.reset(seed=3))
        for step in range(10):
            disturb(step)
            results.append(envs.step(some_actions(env_id, rng, 3)))
        return results

    def first(step):
        random.seed(step)
        np.random.seed(step)
        torch.manual_seed(step)

    def second(step):
        random.random()
        np.random.rand(step)
        torch.rand(step + 1)

    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    quiet = run(lambda step: None)
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    assert before == after
    assert equal(run(first), quiet)
    assert equal(run(second), quiet)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda envs: pickle.loads(pickle.dumps(envs))])  # noqa: S301
@pytest.mark.parametrize("env_id", [TURN_ID, TOKEN_ID, "rlenvs/MathRetry-v0", "rlenvs/MathRetryTokens-v0"])
def test_copies_in_the_middle_of_episodes_go_on_alike(env_id, copied):
    envs = gym.make_vec(env_id, num_envs=3)
    tokens = env_id.endswith("Tokens-v0")
    envs.reset(seed=7)
    step = (
        (lambda vector: vector.step(np.array([5, 6, 7]))) if tokens else (lambda vector: vector.step(("1", "2", "3")))
    )
    step(envs)
    twin = copied(envs)
    for _ in range(6):
        assert equal(step(envs), step(twin))
    assert equal(envs.reset(), twin.reset())


@pytest.mark.parametrize("env_id", [TURN_ID, TOKEN_ID])
def test_closing_twice_and_stepping_before_a_reset(env_id):
    for env, action in (
        (gym.make_vec(env_id, num_envs=2), some_actions(env_id, np.random.default_rng(0), 2)),
        (gym.make(env_id), some_actions(env_id, np.random.default_rng(0), 1)[0]),
    ):
        with pytest.raises(ResetNeeded, match="reset"):
            env.step(action)
        env.close()
        env.close()


class NoEnd:
    pad_token_id, eos_token_id = 0, None

    def __len__(self):
        return 3

    def encode(self, text, add_special_tokens=True):
        return []

    def decode(self, token_ids):
        return ""


def test_a_tokenizer_without_an_end_token_is_refused():
    parts = {"context_tokens": 4, "max_response_tokens": 2}
    source = ArithmeticSource()
    for make in (lambda: TokenEnv(TextEnv(source), NoEnd(), **parts), lambda: TokenVectorEnv(source, NoEnd(), **parts)):
        with pytest.raises(UserError, match="needs a padding and an end token that differ, got 0 and None"):
            make()


def merging_tokenizer():
    """Byte pairs of `tokenizers`: "12" and "1=" are tokens of their own, beside their characters."""
    tokenizers = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    pieces = ["<pad>", "<eos>", *"0123456789+=", "12", "1=", "+1"]
    model = tokenizers.models.BPE(
        vocab={piece: place for place, piece in enumerate(pieces)}, merges=[("1", "2"), ("1", "="), ("+", "1")]
    )
    fast = tokenizers.Tokenizer(model)
    fast.decoder = tokenizers.decoders.Fuse()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=fast, pad_token="<pad>", eos_token="<eos>")


def test_tokens_that_a_tokenizer_would_merge_stay_as_they_were_sampled():
    tokenizer = merging_tokenizer()
    assert len(tokenizer.encode("12", add_special_tokens=False)) == 1
    parts = {"context_tokens": 12, "max_response_tokens": 5}
    source = ArithmeticSource(digits=1, operators="+")
    nine = next(problem for problem in source.problems("train") if problem.demonstration == "12")
    single, envs = TokenEnv(TextEnv(source), tokenizer, **parts), TokenVectorEnv(source, tokenizer, 2, **parts)
    single.reset(seed=0, options={"problem": nine})
    envs.reset(seed=0, options={"problems": [nine, nine]})
    one, two = tokenizer.convert_tokens_to_ids(["1", "2"])
    written = single.step(one)[0], single.step(two)[0]
    assert written[1][-2:].tolist() == [one, two]
    envs.step(np.array([one, one]))
    windows = envs.step(np.array([two, two]))[0]
    assert (windows == written[1]).all()
    assert single.step(tokenizer.eos_token_id)[1] == 1.0
    assert envs.step(np.array([tokenizer.eos_token_id] * 2))[1].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("action", [-1, 99, 1.0, np.float64(2), True, np.bool_(True), "1", None, [1], np.array([1])])
def test_what_is_no_token_id_is_one_clear_error(action):
    single, envs = SuiteTokenEnv(), gym.make_vec(TOKEN_ID, num_envs=2)
    single.reset(seed=0)
    envs.reset(seed=0)
    with pytest.raises(UserError, match="an action must be a token id"):
        single.step(action)
    with pytest.raises(UserError, match="token id"):
        envs.step([action, action])


@pytest.mark.parametrize("actions", [None, 5, {0: "1", 1: "2"}, iter("12"), b"12", ["1"], np.array([["1"], ["2"]])])
def test_what_is_no_row_of_texts_is_one_clear_error(actions):
    envs = gym.make_vec(TURN_ID, num_envs=2)
    envs.reset(seed=0)
    with pytest.raises(UserError, match="actions must be a sequence of 2 texts"):
        envs.step(actions)


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([[1], [2, 3]], "actions must be 2 token ids"),
        (np.array([2**63, 1], np.uint64), "got 9223372036854775808 in row 0"),
    ],
)
def test_actions_that_numpy_cannot_hold_are_named_as_they_are(actions, message):
    envs = gym.make_vec(TOKEN_ID, num_envs=2)
    envs.reset(seed=0)
    with pytest.raises(UserError, match=message):
        envs.step(actions)


@pytest.mark.parametrize("env_id", [TURN_ID, TOKEN_ID])
def test_seeds_and_problems_of_the_wrong_kind(env_id):
    envs = gym.make_vec(env_id, num_envs=2)
    with pytest.raises(UserError, match=r"seed must be an int or a list of one per environment, got 1\.5"):
        envs.reset(seed=1.5)
    with pytest.raises(UserError, match="'problems' must have one entry per environment"):
        envs.reset(options={"problems": 5})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": [[99], []]}, "token ids must be in"),
        ({"tokens": [[1]]}, "must be of 2 rows"),
        ({"tokens": [["1"], []]}, "cannot be read"),
        ({"tokens": None}, "cannot be read"),
        ({"steps": [1]}, "must be of 2 rows"),
        ({"windows": "x"}, "cannot be read"),
    ],
)
def test_a_broken_state_is_refused_and_leaves_the_environment_as_it_was(change, message):
    envs, twin = (gym.make_vec(TOKEN_ID, num_envs=2).unwrapped for _ in range(2))
    for each in (envs, twin):
        each.reset(seed=0)
        each.step(np.array([5, 6]))
    with pytest.raises(UserError, match=f"state: .*{message}"):
        envs.load_state_dict({**envs.state_dict(), **change})
    assert equal(envs.step(np.array([7, 8])), twin.step(np.array([7, 8])))


def test_a_broken_state_of_one_message_is_refused():
    env = SuiteTokenEnv()
    env.reset(seed=0)
    for change in ({"tokens": [99]}, {"tokens": None}, {"window": "x"}):
        with pytest.raises(UserError, match=r"state: it cannot be read|a token id in"):
            env.load_state_dict({**env.state_dict(), **change})


def test_rows_that_idle_hold_no_history():
    envs = gym.make_vec(TOKEN_ID, num_envs=2, autoreset_mode="Disabled").unwrapped
    envs.reset(seed=0)
    envs.step(np.array([1, 5]))
    envs.load_state_dict(envs.state_dict())
    for _ in range(200):
        over = envs.step(np.array([5, 5]))[2]
        if over[1]:
            envs.reset(options={"reset_mask": np.array([False, True])})
    envs.step(np.array([-5, 10**6]) if envs.over.all() else np.array([-5, 5]))  # nobody looks at the first
    assert envs.over[0]
    assert len(envs.messages.history) <= 65
