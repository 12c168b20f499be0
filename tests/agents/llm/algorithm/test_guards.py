"""The first update that breaks the policy is noticed, and healthy ones are not."""

import math

import pytest

from rlenvs.agents.llm.algorithm.guards import broken_first_update


@pytest.mark.parametrize(("clip_fraction", "kl"), [(0.0, 0.0), (0.3, 0.5), (0.08, 0.02)])
def test_a_healthy_update_passes(clip_fraction, kl):
    assert broken_first_update(clip_fraction, kl) is None


@pytest.mark.parametrize(
    ("clip_fraction", "kl", "said", "unsaid"),
    [
        (0.5, 0.01, "50% of the tokens left the clip range (limit 30%)", "nats"),
        (0.1, 9.0, "it moved by 9 nats per token (limit 0.5)", "clip range"),
        (0.5, 9.0, "(limit 30%) and it moved by 9 nats", "nan"),
        (math.nan, 0.0, "nan% of the tokens", "nats"),
        (0.0, math.inf, "it moved by inf nats", "clip range"),
    ],
)
def test_a_broken_update_says_what_happened_and_what_to_lower(clip_fraction, kl, said, unsaid):
    message = broken_first_update(clip_fraction, kl)
    assert message.startswith("the first update already broke the policy: ")
    assert said in message
    assert unsaid not in message
    assert "lower ppo.learning_rate" in message
    assert "\n" not in message


def test_limits_can_be_moved():
    assert broken_first_update(0.5, 0.6, max_clip_fraction=0.9, max_kl=1.0) is None
    assert broken_first_update(0.05, 0.0, max_clip_fraction=0.01) is not None
