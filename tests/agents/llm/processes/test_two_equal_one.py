"""Two processes take the step that one takes with all episodes."""

import numpy as np
import pytest
from shared_learning import config, gradients, learn

SIZES = {"layers": 2, "hidden_size": 16, "heads": 2}
EVEN, RAGGED, LOPSIDED = (6, 4), (8, 2), (2, 8)
CASES = {
    "gae": ({}, RAGGED),
    "gae, no whitening, over-long answers left out": ({"ppo": {"whiten": False}, "rollout": {"mask_overlong": True}}, EVEN),
    "gae, length-adaptive": ({"ppo": {"length_adaptive_alpha": 0.3, "gae_lambda": 0.9, "gamma": 1.0}}, LOPSIDED),
    "reinforce": ({"ppo": {"estimator": "reinforce", "kl_estimator": "k2"}}, RAGGED),
    "reinforce_baseline": ({"ppo": {"estimator": "reinforce_baseline", "whiten": False}}, LOPSIDED),
    "rloo, mean over episodes": ({"ppo": {"estimator": "rloo", "loss_normalization": "sequence"}}, RAGGED),
    "grpo, constant length": (
        {"ppo": {"estimator": "grpo", "whiten": False, "loss_normalization": "constant", "kl_in": "loss", "kl_estimator": "k3"}},
        EVEN,
    ),
    "gae, mean over episodes, k1 loss": ({"ppo": {"loss_normalization": "sequence", "kl_in": "loss"}}, EVEN),
    "gae, constant length, k2 loss": (
        {"ppo": {"loss_normalization": "constant", "kl_in": "loss", "kl_estimator": "k2"}},
        LOPSIDED,
    ),
    "importance weights per token": ({"ppo": {"importance": "token_truncate"}}, RAGGED),
    "importance weights per episode": ({"ppo": {"importance": "sequence_mask", "dual_clip": 3.0}}, EVEN),
    "engine's log-probabilities": ({"ppo": {"old_logprobs": "engine", "value_clip_range": 0.2}}, EVEN),
    "minibatches": ({"ppo": {"minibatches": 2, "kl_in": "loss", "kl_estimator": "k3"}}, RAGGED),
    "minibatches of which one process has no share": ({"ppo": {"minibatches": 4}}, (8, 2)),
    "a process without episodes": ({"ppo": {"minibatches": 2, "importance": "token_mask"}}, (10, 0)),
    "clipping of the gradient": ({"ppo": {"max_grad_norm": 0.1}}, RAGGED),
}  # fmt: skip


def check(found: list[dict], expected: dict) -> None:
    for mine in found:
        assert mine["metrics"] == pytest.approx(expected["metrics"], abs=1e-6, rel=1e-5, nan_ok=True)
        assert mine["gradients"].keys() == expected["gradients"].keys()
        for name, gradient in expected["gradients"].items():
            np.testing.assert_allclose(mine["gradients"][name], gradient, atol=1e-6, rtol=1e-5, err_msg=name)
    advantages = [row for mine in found for row in mine["advantages"] if row]
    for row, other in zip(advantages, [row for row in expected["advantages"] if row], strict=True):
        assert row == pytest.approx(other, abs=1e-6, rel=1e-5)
    assert found[0]["metrics"] == pytest.approx(found[1]["metrics"], abs=0, nan_ok=True)  # decisions are the same
    assert max(np.abs(gradient).max() for gradient in expected["gradients"].values()) > 1e-3


@pytest.mark.parametrize("case", CASES)
def test_loss_gradient_and_metrics_of_two_processes_are_those_of_one(pair, case):
    sections, shares = CASES[case]
    run = config(**sections)
    expected = gradients(run, None, shares, SIZES)
    check(pair.run(gradients, run, "ddp", shares, SIZES), expected)


@pytest.mark.parametrize(
    "case",
    ["gae", "minibatches of which one process has no share", "a process without episodes", "clipping of the gradient"],
)
def test_a_model_in_shares_gives_the_same(pair, case):
    sections, shares = CASES[case]
    run = config(**sections)
    expected = gradients(run, None, shares, SIZES)
    check(pair.run(gradients, run, "fsdp2", shares, SIZES), expected)


def test_a_critic_that_warms_up_alone_moves_no_other_weight_in_any_process(pair):
    run = config(ppo={"value_warmup": 2, "learning_rate": 1e-2, "weight_decay": 0.1, "iterations": 10})
    alone = learn(run, None, 2)
    for strategy in ("ddp", "fsdp2"):
        for mine in pair.run(learn, run, strategy, 2):
            for name, weights in alone["weights"].items():
                np.testing.assert_allclose(mine["weights"][name], weights, atol=2e-5, err_msg=name)


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_several_iterations_stay_together_and_go_on_from_a_state(pair, strategy):
    """The adaptive KL coefficient, the schedule and Adam's moments are the same in both, and resume bit for bit."""
    run = config(ppo={"kl_target": 0.01, "kl_horizon": 20, "learning_rate": 1e-3, "iterations": 10, "critic": "shared"})
    alone = learn(run, None, 4)
    both = pair.run(learn, run, strategy, 4)
    resumed = pair.run(learn, run, strategy, 4, 2)
    for mine, again in zip(both, resumed, strict=True):
        assert mine["history"] == again["history"]
        for name, weights in both[0]["weights"].items():
            assert np.array_equal(mine["weights"][name], weights), name
            assert np.array_equal(again["weights"][name], weights), name
            np.testing.assert_allclose(alone["weights"][name], weights, atol=1e-4, err_msg=name)
        assert mine["history"] == both[0]["history"]
        for one, two in zip(alone["history"], mine["history"], strict=True):
            assert two == pytest.approx(one, abs=1e-3, rel=1e-2, nan_ok=True)
    assert alone["history"][-1]["kl_coef"] != alone["history"][0]["kl_coef"]
