r"""Whether a program is right: code tasks, their tests, and the split of trust that makes the verdict hold.

A program that a model wrote runs in the sandbox and gets *inputs* only. What it gives comes back as plain data and is
compared here, in the process of the grader: golds, comparison, the order of the tests and the verdict never are where
the program could read or change them. So there is nothing to win by printing "passed", by leaving with exit code 0, by
objects that equal everything, by patching a test framework or by writing on the channel of results: whoever forges a
right answer has to know it.

Keys of a record, besides `type`, `extract` and `require_after_think` (`rlenvs.graders`):

* "function": `entry_point`, the function to write, and `tests`: `[{"args": [...], "kwargs": {...}, "expected": ...}]`.
  The program runs once, then its function is called once per test, in an order that the program cannot foresee.
* "stdio": `tests`: `[{"stdin": "...", "stdout": "..."}]`. The program runs once per test, in a fresh process.
* "asserts": `entry_point`, a function or class, and `test_code`, which defines `check(candidate)` as HumanEval has it;
  `setup_code` runs before it. The asserts run in one sandbox and the program in another; they only exchange plain data
  and handles of objects.
* `visible_tests`: tests that the policy may see (`run_visible`); of the shape of `tests`, for "asserts" of that of
  "function". They do not count in the grade. "asserts" may have `visible_test_code` instead, of the shape of
  `test_code`: one test.
* `float_rtol`, `float_atol` ("function", "stdio"): numbers may differ by max(float_atol, float_rtol * |gold|);
  exact without them.
* `partial`: "share" pays for the share of tests passed; all or nothing without it.
* `time_limit_s`: what one execution may take (all calls of a function together, each run of a stdio program), 2 s by
  default; `memory_mb`.

`rlenvs.graders.code.comparison` says what equals what, `rlenvs.graders.code.admission` refuses tasks that programs
pass which solve nothing.

Statuses of a `Grade`: "ok", the tests judged the program, or it raised or ended before they could; "timeout", it ran
out of time or memory; "invalid", there is no program in the response, or it flooded its channels. All of these are
definite verdicts: what a program can provoke is never an error, and never leaves a mean.
"""

from rlenvs.graders.code.comparison import Closeness, same_output, same_value
from rlenvs.graders.code.questions import CODE_TYPES, AssertsQuestion, CodeQuestion, FunctionQuestion, StdioQuestion
from rlenvs.graders.code.visible import VisibleReport, run_visible

__all__ = [
    "CODE_TYPES",
    "AssertsQuestion",
    "Closeness",
    "CodeQuestion",
    "FunctionQuestion",
    "StdioQuestion",
    "VisibleReport",
    "run_visible",
    "same_output",
    "same_value",
]
