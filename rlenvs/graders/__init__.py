r"""Whether an answer is right.

`grade(task, response)` reads one task record and returns one `Grade`; `grade_batch` does many. A record is a
plain dict, so that it can be a line of a JSONL file:

* `type`: "math" | "gsm8k" | "qa_exact" | "countdown" | "mcq" | "json" | "function" | "stdio" | "asserts" (required)
* `gold`: the right answer; a text, for "gsm8k" also a whole solution, for "json" any JSON value
* `question`: what was asked (not read by these graders)
* `extract`: which part of the response is the answer, see `rlenvs.graders.extraction`; by default "last_boxed" for
  math, "last_hash" for gsm8k, "last_answer_tag" for countdown, "last_answer_line" for mcq, "last_python_block" for
  function, stdio and asserts, "whole" for the others
* `markers`: what starts an answer line, for extract="last_marker"
* `require_after_think`: true if an answer before the last `</think>` does not count
* `require_evaluated` (math): true accepts only finished results, in lowest terms; false accepts whatever is equal, also
  `6 \times 7`; by default arithmetic has to be done where the gold is a rational number
* `tolerance` (math, gsm8k): `{"abs": a}`, `{"rel": r}` or both: |answer - gold| <= max(a, r |gold|); exact without it
* `numbers`, `target`, `use` (countdown): each number once ("all", the default), or at most once ("some")
* `choices`, `options` (mcq): the labels (A to D by default), and the text of each
* `schema` (json): a JSON Schema, in the place of `gold` or beside it
* `time_limit_s` (math, json): what comparing one answer may take, 1 s by default

The last three types are answered by programs, which run in the sandbox; `rlenvs.graders.code` has their keys.

Other keys are the caller's own and are left alone.

A response cannot raise: whatever a model wrote is graded, and what cannot be read is "invalid". A record that no
response could be graded by raises `GraderError`.

Math answers are compared as exact values first (`rlenvs.graders.reading`), without any CAS. What is beyond those goes
to Math-Verify (extra `reasoning`) in a worker process, which is killed at the deadline (`rlenvs.graders.deadline`).
"""

from rlenvs.graders.extraction import EXTRACTORS, MAX_ANSWER_CHARS, Extraction, extract_answer
from rlenvs.graders.grading import BatchGrader, grade, grade_batch
from rlenvs.graders.numbers import parse_number
from rlenvs.graders.question import Grade, GradeStatus, Question
from rlenvs.graders.reading import read_value
from rlenvs.graders.tasks import TASK_TYPES, compile_task
from rlenvs.graders.values import Value

__all__ = [
    "EXTRACTORS",
    "MAX_ANSWER_CHARS",
    "TASK_TYPES",
    "BatchGrader",
    "Extraction",
    "Grade",
    "GradeStatus",
    "Question",
    "Value",
    "compile_task",
    "extract_answer",
    "grade",
    "grade_batch",
    "parse_number",
    "read_value",
]
