r"""Whether an answer is right.

`grade(task, response)` reads one task record and returns one `Grade`; `grade_batch` does many. A record is a
plain dict, so that it can be a line of a JSONL file:

* `type`: "math" | "gsm8k" | "qa_exact" (required)
* `gold`: the right answer, a text (required; for "gsm8k" it may be a whole solution)
* `question`: what was asked (not read by these graders)
* `extract`: which part of the response is the answer, see `rlenvs.graders.extraction`; by default
  "last_boxed" for math, "last_hash" for gsm8k, "whole" for qa_exact
* `markers`: what starts an answer line, for extract="last_marker"
* `require_after_think`: true if an answer before the last `</think>` does not count

Other keys are the caller's own and are left alone.

A response cannot raise: whatever a model wrote is graded, and what cannot be read is "invalid". A record
without a readable gold raises `GraderError`, because no response could be graded by it.
"""

from rlenvs.graders.extraction import EXTRACTORS, MAX_ANSWER_CHARS, Extraction, extract_answer
from rlenvs.graders.grading import TASK_TYPES, BatchGrader, Grade, GradeStatus, grade, grade_batch
from rlenvs.graders.numbers import parse_number

__all__ = [
    "EXTRACTORS",
    "MAX_ANSWER_CHARS",
    "TASK_TYPES",
    "BatchGrader",
    "Extraction",
    "Grade",
    "GradeStatus",
    "extract_answer",
    "grade",
    "grade_batch",
    "parse_number",
]
