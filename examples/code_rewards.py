"""A reward function for programs, called once per batch of prompts with responses, as RLHF trainers call one.

    python examples/code_rewards.py

A reward function that is often copied writes the response to a file, runs `python -m pytest` on it, and pays 1.0 for
`"passed" in stdout`, 0.3 for "failed", -0.5 for a timeout and -1.0 for a crash. It pays for the wrong thing:

* `"passed" in stdout` pays for `print("passed")`. Pytest repeats what a failing program printed and raised, so the
  policy writes the verdict itself: a test that prints "passed" and then fails is worth 1.0, and so is a bare
  `raise ValueError("passed")`. What is judged and what judges must not share a channel.
* The tests are whatever the response brings along: the label never reaches them. `def test(): pass` is worth 1.0, and
  the honest function without a test of its own is worth 0.0.
* One failing test of a hundred, or a hundred, "failed" is worth 0.3: a wrong program earns more than no program.
* The program runs as the trainer does: it can read the labels, the keys in the environment and other responses, and
  leave files for the next run. Its children survive the timeout.
* What goes wrong in the grader itself lands in the same `except Exception` as a syntax error, and becomes a reward.

Here the program runs in the sandbox and gets inputs only. What it returns is compared outside, so that all it can win
with is right answers; a failure that it cannot provoke raises instead of paying.
"""

import json
from collections.abc import Sequence
from typing import Any

from rlenvs.graders import grade_batch

PROMPT = "Write `double(n: int) -> int`, which returns twice n. Example: double(2) == 4\n"
TESTS = [{"args": [n], "expected": 2 * n} for n in (2, 0, -3, 10**12)]
LABEL = json.dumps({"type": "function", "entry_point": "double", "tests": TESTS, "partial": "share"})

RESPONSES = {
    "right": "```python\ndef double(n):\n    return 2 * n\n```",
    "right for one test": "```python\ndef double(n):\n    return 4\n```",
    'print("passed")': '```python\ndef test():\n    print("1 passed in 0.01s")\n    assert False\n```',
    "brings its own test": "```python\ndef double(n):\n    return 0 - 1\n\ndef test():\n    pass\n```",
    "equal to everything": (
        "```python\nclass Any:\n    def __eq__(self, other):\n        return True\n\n"
        "def double(n):\n    return Any()\n```"
    ),
    "leaves early": "```python\nimport os\nos._exit(0)\n```",
    "never ends": "```python\ndef double(n):\n    while True:\n        pass\n```",
    "no code": "It doubles n.",
}


def reward_func(queries: Sequence[str], prompts: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
    """Rewards of a batch.

    Args:
        queries: [N] prompt and response, joined.
        prompts: [N] prompts.
        labels: [N] task records as JSON; `rlenvs.graders.code` has their schema.

    Returns:
        "rewards": [N] in [0, 1]; "scores": the same, to filter prompts by difficulty; "extra_logs": for a dashboard.
        Lists of floats, to be made tensors of by whoever needs them.
    """
    responses = [query.removeprefix(prompt) for query, prompt in zip(queries, prompts, strict=True)]
    grades = grade_batch([json.loads(label) for label in labels], responses)
    scores = [verdict.score for verdict in grades]
    count = max(len(grades), 1)
    return {
        "rewards": scores,
        "scores": scores,
        "extra_logs": {
            "code_correctness": sum(verdict.correct for verdict in grades) / count,
            "timeouts": sum(verdict.status == "timeout" for verdict in grades) / count,
            "without_code": sum(verdict.status == "invalid" for verdict in grades) / count,
        },
    }


def main() -> None:
    """Show what each response is paid."""
    queries = [PROMPT + response for response in RESPONSES.values()]
    result = reward_func(queries, [PROMPT] * len(queries), [LABEL] * len(queries))
    for name, reward in zip(RESPONSES, result["rewards"], strict=True):
        print(f"{reward:4.2f}  {name}")
    print(f"solved {result['extra_logs']['code_correctness']:.1%}, timeouts {result['extra_logs']['timeouts']:.1%}")


if __name__ == "__main__":
    main()
