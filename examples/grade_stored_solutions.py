"""Grade stored solutions and compare the verdicts with the labels that came with them.

    python examples/grade_stored_solutions.py SOLUTIONS.jsonl

Each line has `question`, `ground_truth`, `response` and `is_correct`; answers stand behind "A:".
"""

import json
import sys
from pathlib import Path

from rlenvs.graders import grade_batch

SAMPLE = [
    {"question": "6*7?", "ground_truth": "A: 42", "response": "6 * 7 = 42\nA: 42", "is_correct": True},
    {"question": "6*7?", "ground_truth": "A: 42", "response": "It is 42.", "is_correct": False},
]


def main() -> None:
    """Print how many verdicts agree with the labels; without a file, on a sample of two."""
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines() if len(sys.argv) > 1 else []
    rows = [json.loads(line) for line in lines] or SAMPLE
    policy = {"type": "gsm8k", "extract": "last_marker", "markers": ["A:"]}
    tasks = [policy | {"question": row["question"], "gold": row["ground_truth"]} for row in rows]
    grades = grade_batch(tasks, [row["response"] for row in rows])
    agreed = sum(grade.correct == row["is_correct"] for grade, row in zip(grades, rows, strict=True))
    print(f"agreement {agreed}/{len(rows)}")


if __name__ == "__main__":
    main()
