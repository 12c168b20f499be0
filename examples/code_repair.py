"""Programs written, run on visible tests, fixed, and judged by hidden tests, with guidance by the visible ones.

    python examples/code_repair.py

Each row of the vector environment gets a program with a bug. This policy hands the bug back first, then either the
right program or a table of the visible tests. The potential pays both of them alike for passing visible tests, and
takes it back at the end: what is left of the return is the verdict of the hidden tests.
"""

from importlib.resources import files
from typing import Any

import gymnasium as gym
import numpy as np

import rlenvs  # noqa: F401 - registers the environments
from rlenvs.wrappers import VectorShapedReward

ROWS = 8


def block(code: str) -> str:
    """A message with a program."""
    return f"```python\n{code}\n```"


def memorised(task: dict[str, Any]) -> str:
    """A program that knows the visible tests by heart."""
    table = [(test["args"], test["expected"]) for test in task["visible_tests"]]
    return f"def {task['entry_point']}(*args):\n    return next((e for a, e in {table!r} if a == list(args)), None)"


def main() -> None:
    """Play one episode per row and print what each message was paid for."""
    rewards = str(files("rlenvs.configs") / "rewards" / "code.yaml")
    envs = VectorShapedReward(
        gym.make_vec("rlenvs/CodeRepair-v0", num_envs=ROWS, kinds=["function"], autoreset_mode="Disabled"), rewards
    )
    envs.reset(seed=0)
    problems = [episode.problem for episode in envs.unwrapped.episodes]
    broken = [block(problem.task["program"]) for problem in problems]
    # Every second row fixes its program, the others learn the visible tests by heart.
    better = [p.demonstration if row % 2 == 0 else block(memorised(p.task)) for row, p in enumerate(problems)]
    first, paid_first, _, _, _ = envs.step(broken)
    _, paid_then, ended, _, infos = envs.step(better)
    print(f"what the policy of row 0 is told:\n{first[0]}\n")
    for row in range(ROWS):
        kind = "fixed" if row % 2 == 0 else "memorised"
        verdict = "right" if infos["correct"][row] else "wrong"
        total = paid_first[row] + paid_then[row]
        print(f"{kind:9}  {paid_first[row]:+.3f}  {paid_then[row]:+.3f}  sum {total:+.3f}  hidden tests: {verdict}")
    assert ended.all()
    assert np.allclose(paid_first + paid_then, infos["correct"])
    envs.close()


if __name__ == "__main__":
    main()
