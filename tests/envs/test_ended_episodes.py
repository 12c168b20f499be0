"""What is known of a step before its infos are written is what they say once they are."""

import gymnasium as gym
import numpy as np
import pytest
from collated_results import equal

import rlenvs  # noqa: F401 - registers the ids

IDS = {
    "rlenvs/ArithmeticTokens-v0": {"digits": 1},
    "rlenvs/MathWordTokens-v0": {"max_response_tokens": 4},
    "rlenvs/MathRetryTokens-v0": {"max_response_tokens": 4},
    "rlenvs/MathStepsTokens-v0": {"max_turns": 2, "max_response_tokens": 5},
}


def right_tokens(envs, infos):
    """The next token of the demonstration, or the end."""
    base = envs.unwrapped
    written = [base.tokenizer.encode(e.problem.demonstration, add_special_tokens=False) for e in base.episodes]
    counts = base.messages.counts.tolist()
    return np.array([w[c] if c < len(w) else base.eos_id for w, c in zip(written, counts, strict=True)])


def check_known(infos, written):
    for key, (values, present) in dict(infos.known).items():
        np.testing.assert_array_equal(present, written.get(f"_{key}", np.zeros(5, dtype=bool)))
        if present.any():
            np.testing.assert_array_equal(values[present], written[key][present])


@pytest.mark.parametrize("mode", ["SameStep", "NextStep", "Disabled"])
@pytest.mark.parametrize("env_id", IDS)
def test_known_columns_and_ends_are_those_of_the_infos(env_id, mode):
    envs = gym.make_vec(env_id, num_envs=5, autoreset_mode=mode, max_episode_steps=11, **IDS[env_id])
    _, infos = envs.reset(seed=0)
    check_known(infos, infos)
    rng, right, ends = np.random.default_rng(1), 0, 0
    over = np.zeros(5, dtype=bool)
    for _ in range(60):
        if mode == "Disabled" and over.any():
            envs.reset(options={"reset_mask": over})
        tokens = np.where(rng.random(5) < 0.7, right_tokens(envs, infos), envs.unwrapped.eos_id)
        _, _, terminated, truncated, infos = envs.step(tokens)
        over = terminated | truncated
        last = infos.ended
        assert (last is not None) == (mode == "SameStep" and over.any())
        if last is None:
            check_known(infos, infos)
            continue
        assert last.infos.pending
        check_known(infos, infos)
        check_known(last.infos, infos["final_info"])
        np.testing.assert_array_equal(last.rows, np.flatnonzero(over))
        final = infos["final_info"]
        assert equal(dict(last.infos), final)
        for place, row in enumerate(last.rows.tolist()):
            np.testing.assert_array_equal(last.observations[place], infos["final_obs"][row])
            np.testing.assert_array_equal(last.observation(row), infos["final_obs"][row])
            verdict = bool("correct" in final and final["_correct"][row] and final["correct"][row])
            assert last.correct[place] == verdict
            right, ends = right + verdict, ends + 1
    if mode == "SameStep":
        assert ends > 5
        assert right > 0 or env_id != "rlenvs/ArithmeticTokens-v0"
