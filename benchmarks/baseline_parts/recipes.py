"""Which recipes of Stable-Baselines3 are measured, in which variants, and what they have to reach."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

SHUFFLED = "rewards shuffled"
WHOLE: Mapping[str, Sequence[str]] = {"": ()}


@dataclass(frozen=True)
class Recipe:
    """One file of `configs/train/`, trained with several seeds.

    Args:
        algorithm: what the page calls it.
        task: what is learned, in a few words.
        variants: name -> overrides; each is trained with every seed.
        goal: share of the largest true return that has to be reached; the steps to it are reported.
        note: one or two sentences for the page.
    """

    algorithm: str
    task: str
    variants: Mapping[str, Sequence[str]] = field(default_factory=lambda: dict(WHOLE))
    goal: float = 0.85
    note: str = ""


SUMS = "one-digit sums"
UNSHAPED = "rewards.reward_shaping.derivation.initial_weight=0"
ITS_CRITIC = (
    "algorithm.gae_lambda=0.8",
    "algorithm.ent_coef=0.06",
    "algorithm.vf_coef=0.5",
    "algorithm.normalize_advantage=true",
    "policy.value_net_arch=[128]",
)
"""The settings of sb3_ppo.yaml: a run without a potential cannot learn without a critic."""

RECIPES = {
    "sb3_ppo": Recipe("PPO", SUMS),
    "sb3_maskable_ppo": Recipe("MaskablePPO", SUMS),
    "sb3_a2c": Recipe("A2C", SUMS),
    "sb3_dqn": Recipe("DQN", SUMS),
    "sb3_recurrent_ppo": Recipe("RecurrentPPO", SUMS),
    "sb3_sequence": Recipe("MaskablePPO", "sequences to reverse"),
    "sb3_steps": Recipe(
        "PPO",
        "sums in checked steps",
        {
            "with the potential": (),
            "without it": (UNSHAPED,),
            "without it, a critic": (UNSHAPED, *ITS_CRITIC),
        },
        goal=0.8,
        note=(
            "The environment pays for the final answer; the potential follows the derivation that leads to it. *Without"
            " it* differs in nothing else. *A critic* has "
            "the settings of `sb3_ppo.yaml`, which suit a run without a potential better."
        ),
    ),
}
"""The largest return is 1 in all of them: they are answered right or wrong."""
