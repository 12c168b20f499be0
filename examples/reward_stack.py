"""A composed, scheduled and potential-shaped reward around one environment, part by part.

python examples/reward_stack.py
"""

import gymnasium as gym

import rlenvs  # noqa: F401 - registers the environments
from rlenvs.wrappers import ShapedReward

REWARDS = {
    "reward_components": {
        "correct": {"class": "CorrectnessReward"},
        "digits": {"class": "FormattingReward", "params": {"format": "regex", "pattern": "[0-9]+"}},
        "short": {"class": "LengthPenalty", "params": {"max_length": 3, "penalty_per_token": -0.1, "unit": "chars"}},
        "difficulty": {
            "class": "LLMPotentialBasedReward",
            "params": {"potential_function": "info", "potential_params": {"info_key": "difficulty", "scale": -1.0}},
        },
    },
    "reward_shaping": {"digits": {"initial_weight": 0.5, "decay_schedule": "linear", "decay_steps": 4}},
}


def main() -> None:
    """Answer a few problems in different ways and print what each answer was paid for."""
    env = ShapedReward(gym.make("rlenvs/Arithmetic-v0", digits=2), REWARDS)
    for episode, answer in enumerate(["{gold}", "00{gold}", "it is {gold}", "7"]):
        prompt, info = env.reset(seed=episode)
        response = answer.format(gold=info["task"]["gold"])
        _, reward, _, _, info = env.step(response)
        print(f"{prompt} {response!r}: {reward:+.3f}")
        for name, part in info["reward_components"].items():
            status = info["reward_status"][name]
            print(f"    {name:12} weight {part['weight']:.3f}  contribution {part['contribution']:+.3f}  {status}")


if __name__ == "__main__":
    main()
