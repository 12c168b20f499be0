"""Derivations paid step by step, and problems of your own in a JSONL file.

python examples/steps_and_own_problems.py
"""

import json
import tempfile
from pathlib import Path

import gymnasium as gym

import rlenvs  # noqa: F401 - registers the environments
from rlenvs.wrappers import ShapedReward

GAMMA = 0.99
GUIDE = {"class": "LLMPotentialBasedReward", "params": {"potential_function": "progress", "gamma": GAMMA}}
REWARDS = {"reward_components": {"correct": {"class": "CorrectnessReward"}, "guide": GUIDE}}

FACTS = [
    {
        "question": "Tom buys 3 bags of 4 marbles and finds 5 more. How many has he?",
        "answer": "3*4=<<3*4=12>>12\n12+5=<<12+5=17>>17\n#### 17",
    },
    {"question": "A ticket costs 7. What do 6 cost?", "answer": "6*7=<<6*7=42>>42\n#### 42"},
]


def pay(env: gym.Env[str, str], messages: list[str]) -> None:
    """Say some messages and print what each brought; the discounted sums agree, as a potential only moves pay."""
    paid = unshaped = 0.0
    for turn, message in enumerate(messages):
        observation, reward, terminated, truncated, info = env.step(message)
        paid += GAMMA**turn * float(reward)
        unshaped += GAMMA**turn * info["env_reward"]
        print(f"  {message!r}: reward {reward:+.3f}, progress {info['progress']:.2f}  {observation}")
        if terminated or truncated:
            break
    print(f"  discounted: {paid:+.3f}, without the potential {unshaped:+.3f}")


def steps_with_a_potential() -> None:
    """The share of sub-goals as a potential: a derived number pays at once, a wrong one nothing."""
    env = ShapedReward(gym.make("rlenvs/MathSteps-v0", distractors=0), REWARDS)
    prompt, info = env.reset(seed=0)
    print(prompt.split("\n")[0])
    steps = [f"{step['expression']} = {step['value']}" for step in info["task"]["steps"]]
    pay(env, [*steps, f"#### {info['task']['gold']}"])
    print("the same, guessed:")
    env.reset(seed=0)
    pay(env, ["1+1 = 2", "#### 2"])
    env.close()


def problems_of_your_own(folder: Path) -> None:
    """A file in the style of GSM8K, with several attempts at each problem."""
    path = folder / "facts.jsonl"
    path.write_text("".join(json.dumps(fact) + "\n" for fact in FACTS), encoding="utf-8")
    env = gym.make(
        "rlenvs/Dataset-v0", path=str(path), held_out_fraction=0.0, protocol="retry", discount=0.5, render_mode="ansi"
    )
    env.reset(seed=0)
    for answer in ("#### 40", "#### 42", "#### 17"):
        _, _, terminated, truncated, _ = env.step(answer)
        if terminated or truncated:
            break
    print(env.render())
    env.close()


def main() -> None:
    """Run both."""
    steps_with_a_potential()
    with tempfile.TemporaryDirectory() as folder:
        problems_of_your_own(Path(folder))


if __name__ == "__main__":
    main()
