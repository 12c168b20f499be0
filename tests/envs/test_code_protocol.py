import json
import pickle
import re
import time

import gymnasium as gym
import numpy as np
import pytest

from rlenvs.envs import TextEnv, TextVectorEnv
from rlenvs.envs.protocols import WriteRunFix, make_protocol
from rlenvs.envs.protocols.code import shortened
from rlenvs.envs.suite import SuiteEnv, SuiteTokenEnv, SuiteVectorEnv
from rlenvs.errors import DataError, GraderError, ParameterError, SandboxError
from rlenvs.graders.code import visible
from rlenvs.problems import Problem, ProblemSource
from rlenvs.sandbox import default_pool, set_default_pool
from rlenvs.testing import check_text_env

HIDDEN = 918273645
TASK = {
    "type": "function",
    "entry_point": "double",
    "tests": [{"args": [HIDDEN], "expected": 2 * HIDDEN}, {"args": [7], "expected": 14}],
    "visible_tests": [{"args": [1], "expected": 2}, {"args": [4], "expected": 8}],
}
RIGHT = "return 2 * x"
HALF = "return 2 if x == 1 else 0"
SEEN = "return {1: 2, 4: 8}.get(x, 0)"


class OneProblem(ProblemSource):
    """The same problem each time."""

    def __init__(self, task):
        self.only = Problem(id="toy", prompt="Double it.", task=task, demonstration=message(RIGHT))

    def sample(self, rng, split):
        return self.only

    def problems(self, split, limit=None, seed=0):
        return [self.only]


def message(body, name="double"):
    return f"So:\n```python\ndef {name}(x):\n    {body}\n```\n"


def env_of(protocol=None, task=TASK, **parameters):
    env = TextEnv(OneProblem(task), protocol=protocol or WriteRunFix(), **parameters)
    env.reset(seed=0)
    return env


def test_a_program_that_fails_is_told_how_and_the_hidden_tests_decide_in_the_end():
    env = env_of()
    observation, reward, terminated, truncated, info = env.step(message("return x"))
    assert observation == (
        "0 of 2 tests passed.\ndouble(1) returned 1, expected 2\ndouble(4) returned 4, expected 8\nAttempts left: 3."
    )
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert (info["progress"], info["attempts_left"], info["correct"]) == (0.0, 3, False)
    observation, reward, terminated, truncated, info = env.step(message(HALF))
    assert observation == "1 of 2 tests passed.\ndouble(4) returned 0, expected 8\nAttempts left: 2."
    assert (info["progress"], info["visible_passed"], info["visible_total"]) == (0.5, 1, 2)
    observation, reward, terminated, truncated, info = env.step(message(RIGHT))
    assert (observation, reward, terminated, truncated) == ("", 1.0, True, False)
    assert (info["progress"], info["correct"], info["grade_status"], info["attempts_left"]) == (1.0, True, "ok", 1)


def test_whoever_hard_codes_the_visible_tests_ends_with_nothing():
    _, reward, terminated, truncated, info = env_of().step(message(SEEN))
    assert (reward, terminated, truncated, info["correct"], info["progress"]) == (0.0, True, False, False, 1.0)


def test_the_last_attempt_is_judged_by_the_hidden_tests_whatever_it_does_on_the_visible_ones():
    env = env_of(WriteRunFix(attempts=2))
    env.step(message("return x"))
    _, reward, terminated, truncated, info = env.step(message(HALF))
    assert (reward, terminated, truncated, info["progress"], info["attempts_left"]) == (0.0, True, False, 0.5, 0)
    assert info["reason"] == "0 of 2 tests passed; test 1 gave a wrong answer"
    shared = env_of(WriteRunFix(attempts=1), {**TASK, "partial": "share"})
    assert shared.step(message("return 14"))[1:3] == (0.5, True)


def test_later_attempts_are_discounted():
    env = env_of(WriteRunFix(discount=0.5))
    env.step(message("return x"))
    env.step("nothing")
    assert env.step(message(RIGHT))[1] == 0.25


def test_hidden_tests_never_reach_the_policy():
    spy = message(f"raise ValueError(x)\n# {HIDDEN - 1}")
    for protocol in (WriteRunFix(), WriteRunFix(attempts=1)):
        env = env_of(protocol)
        env.step(message("print(x); return x"))
        shown = json.dumps([m["content"] for m in env.episode.messages if m["role"] == "user"])
        assert str(HIDDEN) not in shown
    env = env_of(WriteRunFix(attempts=1))
    info = env.step(spy)[4]
    assert str(HIDDEN) not in info["reason"]
    assert "hidden" not in env.reset()[1]


def test_a_task_without_visible_tests_takes_the_first_program():
    task = {key: value for key, value in TASK.items() if key != "visible_tests"}
    env = env_of(task=task)
    observation, _, terminated, _, info = env.step("I wonder.")
    assert observation == "There is no program to run: no closed ```python block in the response. Attempts left: 3."
    assert (terminated, info["visible_total"], info["progress"]) == (False, 0, 0.0)
    assert env.step(message(RIGHT))[1:4] == (1.0, True, False)
    env.reset()
    assert env.step(message(HALF))[1:4] == (0.0, True, False)


@pytest.mark.parametrize(
    ("text", "said", "status"),
    [
        ("", "There is no program to run: no closed ```python block", "invalid"),
        ("```python\ndef double(x):\n    return 2 * x", "There is no program to run: no closed", "invalid"),
        ("```python\n\n```", "There is no program to run: the last ```python block is empty", "invalid"),
        (
            "```python\n" + "x = 1\n" * 20_000 + "```",
            "There is no program to run: the answer is longer than",
            "invalid",
        ),
        ("x" * 300_000, "There is no program to run: the response is longer than 200000", "invalid"),
        ("```python\ndef double(x):\n    return '\x00'\n```", "0 of 2 tests passed.\nThe program ", "ok"),
        ("```python\ndef double(x):\n    return '\ud800'\n```", "0 of 2 tests passed.\n", "ok"),
        ("```python\ndef double(x:\n```", "0 of 2 tests passed.\nThe program is no Python (SyntaxError", "ok"),
        ("```python\nimport os; os._exit(0)\n```", "0 of 2 tests passed.\nThe program ended before its tests", "ok"),
        ("```python\nprint('passed' * 10**7)\n```", "0 of 2 tests passed.\nThe program printed or returned more", "ok"),
        (message("return {0.__class__}"), "0 of 2 tests passed.\nThe program is no Python", "ok"),
        (message("raise Exception('{passed} {x} \x1b[2J')"), "0 of 2 tests passed.\ndouble(1) raised Exc", "ok"),
        (message(RIGHT, "triple"), "0 of 2 tests passed.\nThe program does not define double", "ok"),
    ],
)
def test_what_cannot_be_run_is_answered_and_costs_an_attempt(text, said, status):
    env = env_of(max_response_chars=200_000)
    observation, reward, terminated, truncated, info = env.step(text)
    assert observation.startswith(said)
    assert observation.endswith("Attempts left: 3.")
    assert (reward, terminated, truncated, info["grade_status"], info["extracted"]) == (0.0, False, False, status, "")
    assert observation.isprintable() or re.fullmatch(r"[^\x00-\x09\x0b-\x1f\ud800-\udfff]*", observation)
    assert env.step(message(RIGHT))[1:3] == (1.0, True)


def test_messages_without_a_program_end_with_the_attempts():
    env = env_of(WriteRunFix(attempts=2))
    env.step(message(HALF))
    _, reward, terminated, truncated, info = env.step("no")
    assert (reward, terminated, truncated, info["grade_status"], info["progress"]) == (0.0, True, False, "invalid", 0.5)
    too_long = env_of(WriteRunFix(attempts=1), max_response_chars=10)
    assert too_long.step(message(RIGHT))[1:4] == (0.0, True, False)


def test_an_earlier_run_is_not_taken_for_that_of_a_message_that_was_never_run():
    env = env_of(max_response_chars=100)
    env.step(message(HALF))
    observation, _, terminated, _, info = env.step("x" * 200)
    assert observation.startswith("There is no program to run: the response is longer than 100")
    assert (terminated, info["progress"]) == (False, 0.5)


def test_the_last_of_several_blocks_is_the_program():
    assert env_of().step(message("return x") + message(RIGHT))[1] == 1.0
    observation, reward, *_ = env_of().step(message(RIGHT) + message("return x"))
    assert (reward, observation[:20]) == (0.0, "0 of 2 tests passed.")


def test_an_endless_loop_costs_one_attempt_and_leaves_the_next_one_whole():
    env = env_of(task={**TASK, "time_limit_s": 0.3})
    started = time.perf_counter()
    observation, *_ = env.step(message("while True: pass"))
    assert observation == "0 of 2 tests passed.\nThe program ran out of time.\nAttempts left: 3."
    assert env.step(message(RIGHT))[1] == 1.0
    assert time.perf_counter() - started < 10


STACK = {
    "type": "asserts",
    "entry_point": "Stack",
    "test_code": "def check(candidate):\n    s = candidate()\n    s.push(918273645)\n    assert s.pop() == 918273645",
    "visible_test_code": "def check(candidate):\n    s = candidate()\n    s.push(1)\n    assert s.pop() == 1, 'pop'",
}
CLASS = "```python\nclass Stack:\n    def push(self, x): self.x = {}\n    def pop(self): return self.x\n```"


def test_visible_asserts_are_one_test_and_the_line_that_fails_is_shown():
    env = env_of(task=STACK)
    observation, _, terminated, _, info = env.step(CLASS.format("x + 1"))
    assert observation == (
        "0 of 1 tests passed.\nassert s.pop() == 1, 'pop' failed: AssertionError: pop\nAttempts left: 3."
    )
    assert (terminated, info["visible_passed"], info["visible_total"], info["progress"]) == (False, 0, 1, 0.0)
    assert "does not define Stack" in env.step("```python\nx = 1\n```")[0]
    noisy = CLASS.format("[][0]").replace("[][0]", "1; raise ValueError('(line 999)\\x1b\\u202e' + 'x' * 9000)")
    observation = env.step(noisy)[0]
    assert "s.push(1) failed: ValueError: (line 999)" in observation
    assert observation.replace("\n", "").isprintable()
    assert len(observation) < 700
    _, reward, terminated, _, info = env.step(CLASS.format("x"))
    assert (reward, terminated, info["progress"]) == (1.0, True, 1.0)


def test_what_passes_visible_asserts_alone_ends_with_nothing():
    env = env_of(task=STACK)
    assert env.step(CLASS.format("1"))[1:4] == (0.0, True, False)
    assert "918273645" not in json.dumps([m["content"] for m in env.episode.messages if m["role"] == "user"])


def test_visible_asserts_must_be_asserts():
    env = TextEnv(OneProblem({**STACK, "visible_test_code": 5}), protocol=WriteRunFix())
    with pytest.raises(GraderError, match="task visible_test_code: must be a text"):
        env.reset(seed=0)


@pytest.mark.parametrize("kind", ["function", "stdio", "asserts"])
@pytest.mark.parametrize("source", ["code", "code_repair"])
def test_demonstrations_pass_and_the_programs_to_repair_do_not(source, kind):
    envs = SuiteVectorEnv(source, "code", num_envs=6, kinds=[kind], autoreset_mode="Disabled")
    envs.reset(seed=3)
    if source == "code_repair":
        broken = [f"```python\n{episode.problem.task['program']}\n```" for episode in envs.episodes]
        observations, rewards, terminated, _, infos = envs.step(broken)
        assert not terminated.any()
        assert all("Attempts left: 3." in text for text in observations)
        assert (infos["progress"] < 1.0).all()
    _, rewards, terminated, _, infos = envs.step([episode.problem.demonstration for episode in envs.episodes])
    assert rewards.tolist() == [1.0] * 6
    assert terminated.all()
    assert infos["progress"].tolist() == [1.0] * 6


def test_one_vector_step_is_one_batch_for_visible_and_one_for_hidden_tests(monkeypatch):
    sizes = []
    pool, run_batch = default_pool(), type(default_pool()).run_batch
    monkeypatch.setattr(pool, "run_batch", lambda programs: sizes.append(len(programs)) or run_batch(pool, programs))
    envs = TextVectorEnv(OneProblem(TASK), 4, autoreset_mode="Disabled", protocol=WriteRunFix())
    envs.reset(seed=0)
    rewards = envs.step([message(RIGHT), message(HALF), "nothing", message(SEEN)])[1]
    assert (sizes, rewards.tolist()) == ([3, 2], [1.0, 0.0, 0.0, 0.0])


def test_a_sandbox_that_fails_raises_and_the_step_can_be_repeated(monkeypatch):
    env = env_of()
    env.step(message(HALF))
    before = json.dumps(env.state_dict())
    with monkeypatch.context() as broken:
        broken.setattr(visible, "run_jobs", lambda *_: (_ for _ in ()).throw(GraderError("the sandbox is gone")))
        with pytest.raises(GraderError, match="the sandbox is gone"):
            env.step(message(RIGHT))
    assert json.dumps(env.state_dict()) == before
    assert env.step(message(RIGHT))[1] == 1.0


def test_without_a_sandbox_every_reset_says_what_to_do(monkeypatch):
    def refuse(*_, **__):
        raise SandboxError("code cannot be isolated on this machine: landlock; run rlenvs doctor for what to change")

    env = TextEnv(OneProblem(TASK), protocol=WriteRunFix())
    tool = gym.make("rlenvs/ToolPython-v0")
    pool = default_pool()
    monkeypatch.setattr("rlenvs.sandbox.pool.choose_tier", refuse)
    set_default_pool(None)
    try:
        for one in (env, tool):
            with pytest.raises(SandboxError, match="run rlenvs doctor"):
                one.reset(seed=0)
    finally:
        set_default_pool(pool)
    env.reset(seed=0)


def test_a_task_that_no_program_answers_is_named():
    env = TextEnv(OneProblem({"type": "math", "gold": "7"}), protocol=WriteRunFix())
    with pytest.raises(
        DataError, match="problem 'toy': protocol 'code' needs a task that a program answers, got type 'm"
    ):
        env.reset(seed=0)
    broken = TextEnv(OneProblem({**TASK, "tests": []}), protocol=WriteRunFix())
    with pytest.raises(GraderError, match="must hold at least one test"):
        broken.reset(seed=0)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"attempts": 0}, r"attempts must be an int in 1\.\.1000"),
        ({"discount": 2}, r"discount must be a number in \[0, 1\]"),
        ({"max_feedback_chars": 10}, r"max_feedback_chars must be an int in 80\.\."),
        ({"instructions": 5}, "instructions must be a text"),
        ({"feedback": {"failed": "{gold}"}}, r"feedback\['failed'\] has the field \{gold\}"),
        ({"feedback": {"faild": ""}}, "unknown key 'faild'; did you mean 'failed'"),
    ],
)
def test_wrong_parameters_are_named(parameters, said):
    with pytest.raises(ParameterError, match=said):
        make_protocol("code", **parameters)


def test_texts_are_parameters():
    feedback = {"failed": "{attempt}: {passed}/{total}", "unreadable": "{attempt}: {reason}"}
    env = env_of(WriteRunFix(instructions="", feedback=feedback))
    assert env.reset(seed=0)[0] == "Double it."
    assert env.step(message(HALF))[0] == "1: 1/2"
    assert env.step("no")[0] == "2: no closed ```python block in the response"


@pytest.mark.parametrize("most", range(80, 400, 7))
def test_failures_are_shown_as_far_as_there_is_room(most):
    lines = [f"f({n}) returned {n}" + "." * n for n in range(0, 60, 3)]
    for shown in (lines, lines[:2], ["x" * 500, "y"]):
        text = shortened(shown, most)
        assert len(text) <= most
        kept = text.split("\n")
        if len("\n".join(shown)) <= most:
            assert kept == shown
        elif shown[0] != "x" * 500:
            assert kept[:-1] == shown[: len(kept) - 1]
            assert kept[-1] == f"... and {len(shown) - len(kept) + 1} more"
        else:
            assert kept[0].startswith("xx")


def test_many_failures_are_cut_in_one_pass():
    started = time.process_time()
    text = shortened(["x"] * 200_000, 300_000)
    assert time.process_time() - started < 2.0
    assert text.count("\n") > 140_000
    assert text.endswith(" more")


def test_values_of_any_length_leave_the_feedback_short():
    task = {**TASK, "visible_tests": [{"args": ["y" * 5000], "expected": n} for n in range(90)]}
    env = env_of(WriteRunFix(max_feedback_chars=500), task)
    observation = env.step(message("return 'z' * 10_000"))[0]
    assert len(observation) < 600
    assert "more\nAttempts left: 3." in observation


def programs(observation, info, rng):
    """What policies write, by what the info tells: nothing, nonsense, a table of the visible tests, and more."""
    name = info["task"]["entry_point"]
    seen = {repr(test.get("args")): test.get("expected") for test in info["task"].get("visible_tests", ())}
    bodies = ["return 1", "raise ValueError('no')", f"return {seen!r}.get(repr(list(a)))", "return a[0]", "retur"]
    body = bodies[rng.integers(len(bodies))]
    return "no program" if rng.random() < 0.2 else f"```python\ndef {name}(*a):\n    {body}\n```"


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("name", ["rlenvs/Code-v0", "rlenvs/CodeRepair-v0"])
def test_the_conformance_suite_passes_with_programs(name):
    report = check_text_env(name, kwargs={"kinds": ["function"]}, actor=programs)
    assert set(report.values()) == {"passed"}


def test_the_token_level_has_the_progress_of_the_visible_tests():
    env = SuiteTokenEnv(OneProblem(TASK), WriteRunFix(), max_response_tokens=200, context_tokens=400)
    env.reset(seed=0)
    for text, progress, reward in ((message(HALF), 0.5, 0.0), (message(RIGHT), 1.0, 1.0)):
        before = None
        for token in [*env.tokenizer.encode(text), env.tokenizer.eos_token_id]:
            _, got, terminated, _, info = env.step(token)
            before, last = info["progress"] if before is None else before, info["progress"]
        assert (last, got, terminated) == (progress, reward, reward == 1.0)
    assert before == 0.5  # it moves with whole messages


def test_copies_share_nothing():
    env = SuiteEnv("code", "code")
    env.reset(seed=1)
    env.step("nothing")
    twin = pickle.loads(pickle.dumps(env))  # noqa: S301 - its own
    right = env.episode.problem.demonstration
    assert env.step(right)[1:] == twin.step(right)[1:]
    assert np.isclose(env.episode.progress, 1.0)
