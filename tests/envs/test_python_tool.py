import json
import os
import pickle
import select
import signal
import threading
import time

import gymnasium as gym
import numpy as np
import pytest

from rlenvs.envs import TextEnv, TextVectorEnv
from rlenvs.envs.protocols import PythonTool, make_protocol, python_sessions
from rlenvs.envs.protocols.python_sessions import IdleSessions, Work, key_of, run_cells
from rlenvs.envs.protocols.python_tool import shortened
from rlenvs.envs.suite import SuiteEnv
from rlenvs.errors import GraderError, ParameterError, SandboxError
from rlenvs.graders import grade_batch
from rlenvs.problems import Problem, ProblemSource
from rlenvs.sandbox import Limits, SandboxPool, Session, default_pool, set_default_pool
from rlenvs.testing import check_text_env

LIMITS = Limits(wall_s=2.0)


class OneProblem(ProblemSource):
    """The same problem each time."""

    only = Problem(id="toy", prompt="3*4?", task={"type": "gsm8k", "gold": "12"}, demonstration="#### 12")

    def sample(self, rng, split):
        return self.only

    def problems(self, split, limit=None, seed=0):
        return [self.only]


@pytest.fixture
def kept(monkeypatch):
    """The idle sessions of this test alone."""
    mine = IdleSessions(8)
    monkeypatch.setattr(python_sessions, "idle", mine)
    yield mine
    mine.close()


@pytest.fixture
def started(monkeypatch):
    """The limits of every session that the test starts."""
    limits, session = [], SandboxPool.session
    monkeypatch.setattr(SandboxPool, "session", lambda pool, given=None: limits.append(given) or session(pool, given))
    return limits


def env_of(**parameters):
    env = TextEnv(OneProblem(), protocol=PythonTool(**parameters))
    env.reset(seed=0)
    return env


def call(*cells):
    return "".join(f"<python>{cell}</python>" for cell in cells)


def results(*texts):
    return "\n".join(f"<result>{text}</result>" for text in texts)


def test_state_is_kept_from_call_to_call_in_one_session(kept, started):
    env = env_of()
    assert env.step(call("import math\nx = 3"))[0] == results("(no output)")
    assert env.step(call("def f(n):\n    return x * n", "print(f(4))\nf(5)"))[0] == results("(no output)", "12\n15")
    observation, reward, terminated, truncated, info = env.step(call("x += 1", "f(4)", "_ + 1"))
    assert (observation, reward, terminated, truncated) == (results("(no output)", "16", "17"), 0.0, False, False)
    assert (info["tool_calls"], info["progress"], info["grade_status"]) == (6, 0.0, "ok")
    assert env.step("#### 12")[:4] == ("", 1.0, True, False)
    assert len(started) == 1
    assert not kept.entries  # it ended with its episode


def test_errors_are_shown_and_end_nothing():
    env = env_of()
    observation = env.step(call("y = 1\nz = 1 / 0"))[0]
    assert observation.endswith("ZeroDivisionError: division by zero</result>")
    assert 'File "<cell 1>", line 2' in observation
    assert "rlenvs" not in observation
    assert env.step(call("y"))[0] == results("1")
    assert "SyntaxError" in env.step(call("y +"))[0]
    assert "SystemExit" in env.step(call("exit()"))[0] or "NameError" in env.step(call("exit()"))[0]
    assert env.step(call("y"))[0] == results("1")


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("while True: pass", "took more than 0.5 s"),
        ("import os; os._exit(3)", "ended the session (exit code 3)"),
        ("print('x' * 2**21)", "wrote more than 1048576 bytes to stdout"),
    ],
)
def test_a_call_that_goes_beyond_a_limit_ends_the_session_and_nothing_else(cell, reason):
    env = env_of(time_limit_s=0.5, max_result_chars=300)
    env.step(call("x = 1"))
    observation, reward, terminated, truncated, _ = env.step(call(cell, "x"))
    first, second = observation.split("</result>\n")
    assert first.endswith(f"The call {reason}. Nothing is defined any more.")
    assert second.endswith("NameError: name 'x' is not defined</result>")
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert env.step(call("x = 2"))[0] == results("(no output)")
    assert env.step(call("x"))[0] == results("2")


@pytest.mark.parametrize(
    "cell",
    [
        "exit()",
        "import os; os._exit(0)",
        "import os\nfor each in range(64):\n  try: os.close(each)\n  except OSError: pass",
        "import os\nfor each in range(3, 40):\n  try: os.write(each, b'x' * 100)\n  except OSError: pass",
        "import os; os.close(1)",
        "import builtins; builtins.compile = builtins.exec = builtins.repr = builtins.len = None",
        "import builtins\nfor each in list(vars(builtins)):\n  try: delattr(builtins, each)\n  except Exception: pass",
        "import sys; sys.stdout = sys.stderr = sys.displayhook = sys.excepthook = None",
        "import sys; sys.settrace(lambda *_: 1 / 0)",
        "import sys; sys.modules.clear()",
        "import gc\nfor each in gc.get_objects():\n  try: each.clear()\n  except BaseException: pass",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(100,)).start()",
        "print('a' * 10**7)",
        "class Evil:\n  def __repr__(self): raise SystemExit\nEvil()",
        "raise GeneratorExit",
        "def deep(): return deep()\ndeep()",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    ],
)
def test_a_call_harms_its_own_session_at_most(kept, cell):
    hostile, other = env_of(time_limit_s=1.0), env_of()
    other.step(call("kept = 41"))
    hostile.step(call("kept = 1", cell))
    assert other.step(call("kept + 1"))[0] == results("42")
    observation, reward, terminated, truncated, info = hostile.step(call("6 * 7"))
    assert observation.startswith("<result>")
    assert (reward, terminated, truncated, info["tool_calls"]) == (0.0, False, False, 3)
    if "delattr" not in cell:  # what cannot be compiled any more cannot go beyond a limit either
        ended = hostile.step(call("import os; os._exit(0)", "while True: pass", "6 * 7"))[0]
        assert ended.endswith(results("42"))
    assert hostile.step("#### 12")[1:3] == (1.0, True)


def test_memory_is_limited():
    observation = env_of(memory_mb=64).step(call("x = 5", "y = [0] * 10**8", "x"))[0]
    assert "MemoryError" in observation
    assert observation.endswith("\n" + results("5"))


def test_calls_and_messages_are_limited():
    env = env_of(max_calls=3)
    assert env.step(call("x = 1", "x"))[0] == results("(no output)", "1")
    assert env.step(call("x + 1", "x + 2"))[0] == results("2") + "\nNo calls are left. Write the answer."
    observation, _, terminated, truncated, info = env.step(call("x"))
    assert (observation, terminated, truncated) == ("No calls are left. Write the answer.", False, False)
    assert info["tool_calls"] == 3
    assert env.step(call("x"))[2:4] == (False, True)
    short = env_of(max_turns=1)
    assert short.step(call("1 + 1"))[:4] == (results("2"), 0.0, False, True)


def test_a_message_with_a_call_is_no_answer_and_an_unclosed_call_counts():
    env = env_of()
    assert env.step("#### 12 <python>1 + 1")[:4] == (results("2"), 0.0, False, False)
    assert env.step("<python>")[:4] == (results("(no output)"), 0.0, False, False)
    assert env.step("it is\n#### 11")[:4] == ("", 0.0, True, False)


def test_a_message_that_is_too_long_runs_nothing(started):
    env = TextEnv(OneProblem(), protocol=PythonTool(), max_response_chars=100)
    env.reset(seed=0)
    observation, reward, terminated, _, info = env.step(call("x = 1") + " " * 100)
    assert (observation, reward, terminated, info["grade_status"], info["tool_calls"]) == ("", 0.0, True, "invalid", 0)
    assert not started


@pytest.mark.parametrize(
    "cell", ["x = '\x00'", "x = '\ud800'", "'\ud800'", "print('\x1b[2J')", "{0.__class__} %s", "é = 1"]
)
def test_texts_of_any_kind_are_run_or_refused(cell):
    env = env_of()
    observation, *_ = env.step(call(cell))
    assert observation in env.observation_space
    observation.encode()
    assert env.step(call("1 + 1"))[0] == results("2")


def test_ten_megabytes_of_code_are_run_or_refused():
    env = TextEnv(OneProblem(), protocol=PythonTool(time_limit_s=0.5), max_response_chars=2 * 10**7)
    env.reset(seed=0)
    started = time.perf_counter()
    observation, *_ = env.step(call("x = " + "1 + " * 2_500_000 + "1"))
    assert time.perf_counter() - started < 10
    assert observation.startswith("<result>")
    assert len(observation) < 2000
    assert env.step(call("1 + 1"))[0] == results("2")


def test_long_results_lose_their_middle():
    env = env_of(max_result_chars=100)
    observation = env.step(call("print('a' * 500 + 'b' * 500)"))[0]
    inner = observation.removeprefix("<result>").removesuffix("</result>")
    assert len(inner) <= 100
    assert (inner[:20], inner[-20:]) == ("a" * 20, "b" * 20)
    assert "characters left out" in inner
    whole = "".join(map(chr, range(1000, 1200)))
    for most in range(80, 210):
        assert len(shortened(whole, most)) <= most
    assert shortened(whole, 200) == whole


def test_the_calls_of_an_episode_see_no_network_files_or_other_episodes():
    env, other = env_of(), env_of()
    other.step(call("secret = 42"))
    assert "NameError" in env.step(call("secret"))[0]
    for attack in ("open('/etc/passwd').read()", "__import__('socket').socket()", "__import__('os').fork()"):
        assert "Error" in env.step(call(attack))[0], attack


# --- sessions that are kept, lost and brought back


def test_chance_is_the_same_in_every_session(kept):
    cells = ["import random, os\nrandom.random(), random.getrandbits(60)", "hash('a'), {*'abcdef'}", "random.random()"]
    first = env_of()
    seen = [first.step(call(cell))[0] for cell in cells]
    second = env_of()
    assert [second.step(call(cell))[0] for cell in cells] == seen


@pytest.mark.parametrize("capacity", [0, 1, 8])
def test_a_session_that_is_not_kept_is_brought_back(kept, capacity):
    kept.capacity = capacity
    cells = ["import random\nx = [random.random()]", "x.append(random.random()); 1 / 0", "len(x)", "x"]
    envs = [env_of(), env_of()]
    for cell in cells:
        first, second = (env.step(call(cell))[0] for env in envs)
        assert first == second
        assert len(kept.entries) <= capacity
    assert first.count("0.") == 2


def test_saved_states_and_pickles_resume_the_session(kept):
    env = env_of()
    env.step(call("import random\nx = random.random()", "1 / 0"))
    saved, pickled = json.dumps(env.state_dict()), pickle.dumps(env)
    expected = [env.step(call("x += 1\nx, random.random()"))[:4], env.step(call("x"))[:4]]
    kept.close()
    resumed = env_of()
    resumed.load_state_dict(json.loads(saved))
    for twin in (resumed, pickle.loads(pickled)):  # noqa: S301 - its own
        assert [twin.step(call("x += 1\nx, random.random()"))[:4], twin.step(call("x"))[:4]] == expected


def test_two_copies_of_an_episode_do_not_share_a_session(kept):
    env = env_of()
    env.step(call("x = []"))
    twin = pickle.loads(pickle.dumps(env))  # noqa: S301 - its own
    assert env.step(call("x.append(1)\nx"))[0] == results("[1]")
    assert twin.step(call("x.append(2)\nx"))[0] == results("[2]")
    assert env.step(call("x"))[0] == results("[1]")


def test_episodes_with_the_same_calls_have_a_session_each(kept, started):
    envs = TextVectorEnv(OneProblem(), 3, protocol=PythonTool())
    envs.reset(seed=0)
    for _ in range(3):
        envs.step([call("x = globals().get('x', 0) + 1\nx")] * 3)
    assert envs.observations == [results("3")] * 3
    assert len(started) == 3
    assert len(kept.entries) == 3
    envs.step(["#### 12"] * 3)
    assert not kept.entries


def test_a_session_that_dies_while_it_waits_is_brought_back(kept):
    env = env_of()
    env.step(call("x = 20"))
    for session in list(kept.entries):
        session.execution.worker.kill()
    assert env.step(call("x + 1"))[0] == results("21")


def test_a_failure_that_no_call_can_provoke_raises_and_the_step_can_be_repeated(kept, monkeypatch):
    env = env_of()
    env.step(call("x = 20"))
    before = json.dumps(env.state_dict())
    run, tries = Session.run, []

    def lose(session, cell):
        tries.append(cell)
        session.execution.worker.kill()
        return run(session, cell)

    with monkeypatch.context() as broken:
        broken.setattr(Session, "run", lose)
        with pytest.raises(SandboxError, match="failed twice, by no fault of what it ran"):
            env.step(call("x + 1"))
    assert json.dumps(env.state_dict()) == before
    assert env.step(call("x + 1"))[0] == results("21")
    assert len(tries) >= 2


def test_a_step_whose_grader_fails_can_be_repeated_and_counts_its_calls_once(kept):
    fails = [True, False]

    def grader(tasks, responses):
        if fails.pop(0):
            raise GraderError("the grader is gone")
        return grade_batch(tasks, responses)

    envs = TextVectorEnv(OneProblem(), 2, protocol=PythonTool(), grader=grader, autoreset_mode="Disabled")
    envs.reset(seed=0)
    envs.step([call("x = 1")] * 2)
    messages = [call("x += 1\nx"), "#### 12"]
    with pytest.raises(GraderError, match="the grader is gone"):
        envs.step(messages)
    observations, rewards, _, _, infos = envs.step(messages)
    assert (observations[0], rewards.tolist()) == (results("2"), [0.0, 1.0])
    assert infos["tool_calls"].tolist() == [2, 1]
    assert envs.episodes[0].memory["cells"] == ["x = 1", "x += 1\nx"]


def test_what_runs_on_between_calls_is_bounded():
    env = env_of(time_limit_s=0.5, max_calls=2)
    busy = "import threading\ndef spin():\n    while True: pass\nthreading.Thread(target=spin, daemon=True).start()"
    assert env.step(call(busy))[0] == results("(no output)")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not ended_alone(env):
        time.sleep(0.1)
    assert "Nothing is defined any more." in env.step(call("1 + 1"))[0]


def ended_alone(env):
    """Whether the session of an episode has ended while nobody used it."""
    session = python_sessions.idle.take(key_of(env.episode.memory["cells"], env.task.protocol.limits), default_pool())
    watched = select.poll()
    watched.register(session.execution.lease, select.POLLIN)
    try:
        return bool(watched.poll(0))
    finally:
        python_sessions.idle.put(key_of(env.episode.memory["cells"], env.task.protocol.limits), session, default_pool())


def test_a_call_that_behaves_when_it_first_runs_and_not_when_it_is_replayed_raises_nothing(kept, monkeypatch):
    env = env_of(time_limit_s=0.5)
    cell = "import time\nstart = time.time()\nif time.time() - start > 0: pass"
    env.step(call(cell))
    kept.close()
    replay = Session.run

    def slow(session, text):
        return replay(session, "while True: pass" if text == cell else text)

    monkeypatch.setattr(Session, "run", slow)
    observation, reward, terminated, *_ = env.step(call("start"))
    assert observation == results("The call took more than 0.5 s. Nothing is defined any more.")
    assert (reward, terminated) == (0.0, False)
    assert env.step(call("1 + 1"))[0] == results("2")


def test_at_most_so_many_sessions_wait_and_the_latest_stay(kept):
    kept.capacity = 2
    for number in range(4):
        run_cells([Work((), [f"x = {number}"])], LIMITS)
    pool = default_pool()
    assert len(kept.entries) == 2
    assert kept.take(key_of(["x = 1"], LIMITS), pool) is None
    session = kept.take(key_of(["x = 3"], LIMITS), pool)
    assert session.run("x").stdout == "3\n"
    assert kept.take(key_of(["x = 3"], LIMITS), pool) is None
    session.close()


def test_sessions_belong_to_a_pool_and_to_limits(kept):
    usual = default_pool()
    run_cells([Work((), ["x = 1"])], LIMITS)
    assert kept.take(key_of(["x = 1"], Limits(wall_s=1.0)), usual) is None
    with SandboxPool(workers=1) as other:
        set_default_pool(other)
        try:
            assert kept.take(key_of(["x = 1"], LIMITS), other) is None
            (done,) = run_cells([Work(["x = 1"], ["x"])], LIMITS)
            assert done.results[0].stdout == "1\n"
        finally:
            set_default_pool(usual)
    assert len(kept.entries) == 2
    run_cells([Work((), ["y = 1"])], LIMITS)
    assert {its for _, its in kept.entries.values()} == {usual}  # those of a closed pool are gone


def test_keys_tell_cells_apart():
    chains = [[], ["a"], ["a", "b"], ["ab"], ["b", "a"], ["a", ""], ["", "a"], ["\ud800"]]
    assert len({key_of(chain, LIMITS) for chain in chains}) == len(chains)


def test_a_forked_process_has_sessions_of_its_own(kept):
    env = env_of()
    env.step(call("x = 20"))
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, env.step(call("x + 1"))[0].encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        assert answer.read() == results("21")
    os.waitpid(pid, 0)
    assert env.step(call("x + 2"))[0] == results("22")


def test_many_threads_step_their_environments_at_once(kept):
    envs, seen = [env_of() for _ in range(4)], [None] * 4

    def play(place):
        for number in range(3):
            seen[place] = envs[place].step(call(f"x = {place} * 10 + {number}", "x"))[0]

    threads = [threading.Thread(target=play, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [results("(no output)", str(place * 10 + 2)) for place in range(4)]


def test_an_interrupt_loses_no_state(kept):
    env = env_of()
    env.step(call("x = 20"))
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        env.step(call("x = 0\nwhile True: pass"))
    timer.join()
    assert len(kept.entries) == 0
    assert env.step(call("x + 1"))[0] == results("21")


@pytest.mark.slow
def test_a_thousand_episodes_side_by_side_keep_their_states_in_few_descriptors(monkeypatch):
    mine, rows = IdleSessions(100), 1024
    monkeypatch.setattr(python_sessions, "idle", mine)
    envs = TextVectorEnv(OneProblem(), rows, protocol=PythonTool())
    envs.reset(seed=0)
    before = len(os.listdir("/proc/self/fd"))
    for turn in range(1, 3):
        seen = envs.step([call(f"x = {row} + globals().get('x', 0)\nx") for row in range(rows)])[0]
        assert list(seen) == [results(str(row * turn)) for row in range(rows)]
        assert len(mine.entries) == mine.capacity
        assert len(os.listdir("/proc/self/fd")) <= before + 16 + 4 * mine.capacity
    assert envs.step(["#### 12"] * rows)[2].all()
    assert not mine.entries
    assert len(os.listdir("/proc/self/fd")) <= before + 16


def test_rows_run_side_by_side(kept):
    workers = default_pool().size
    rows = 2 * workers
    envs = TextVectorEnv(OneProblem(), rows, protocol=PythonTool(time_limit_s=1.0))
    envs.reset(seed=0)
    envs.step([call("import time")] * rows)
    started = time.perf_counter()
    envs.step([call("time.sleep(0.4)")] * rows)
    assert time.perf_counter() - started < (0.4 * rows if workers > 1 else 2.0)


def test_what_an_episode_remembers_is_plain_and_holds_no_results():
    env = env_of()
    env.step(call("x = 'something long'", "x"))
    assert env.episode.memory == {"calls": 2, "cells": ["x = 'something long'", "x"]}


# --- the id


def cells(observation, info, rng):
    """What policies write: calls that define, use and break things, two at a time, and answers."""
    known = (
        "x = 7",
        "x",
        "x += 1",
        "import random\nrandom.random()",
        "1 / 0",
        "print('<result>')",
        "import os; os._exit(1)",
    )
    drawn = [known[place] for place in rng.integers(len(known), size=2)]
    return call(*drawn) if rng.random() < 0.7 else f"#### {rng.integers(20)}"


def test_the_conformance_suite_passes_with_calls():
    report = check_text_env("rlenvs/ToolPython-v0", actor=cells)
    assert set(report.values()) == {"passed"}


def test_the_vector_forms_of_gymnasium_play_the_same_episodes():
    seen = []
    for mode, more in (
        ("sync", {}),
        ("async", {"vector_kwargs": {"shared_memory": False}}),
        ("vector_entry_point", {}),
    ):
        envs = gym.make_vec("rlenvs/ToolPython-v0", num_envs=2, vectorization_mode=mode, **more)
        try:
            first = envs.reset(seed=3)[0]
            turns = [(call("x = 1"), "<python>2 * 3"), (call("x + 1"), call("x"))]
            seen.append([first, *[[*map(list, envs.step(messages)[:4])] for messages in turns]])
        finally:
            envs.close()
    assert seen[1] == seen[0] == seen[2]
    assert seen[0][2][0][0] == results("2")


def test_demonstrations_compute_and_answer():
    env = SuiteEnv("word_problems", "python_tool")
    for problem in env.source.problems("train", 10, 3):
        env.reset(options={"problem": problem})
        *called, answer = env.task.protocol.demonstration(problem)
        assert called
        for message in called:
            observation, _, terminated, _, info = env.step(message)
            assert not terminated
            assert "Error" not in observation
        assert env.step(answer)[1:4] == (1.0, True, False)
        assert info["tool_calls"] == len(called)
    assert PythonTool(max_calls=1).demonstration(problem)[-1] == problem.demonstration
    assert len(PythonTool(max_calls=1).demonstration(problem)) <= 2
    assert PythonTool().demonstration(Problem(id="p", prompt="?", task={}, demonstration="")) == []


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"max_calls": 0}, r"max_calls must be an int in 1\.\.1000"),
        ({"max_turns": 0}, r"max_turns must be an int in 1\.\."),
        ({"time_limit_s": 0}, r"time_limit_s must be a number in \[0\.01, 60\]"),
        ({"time_limit_s": True}, "time_limit_s must be a number"),
        ({"time_limit_s": float("nan")}, "time_limit_s must be a number"),
        ({"memory_mb": 1}, r"memory_mb must be an int in 32\.\."),
        ({"max_result_chars": 5}, r"max_result_chars must be an int in 80\.\."),
        ({"feedback": {"ended": "{gold}"}}, r"feedback\['ended'\] has the field \{gold\}"),
        ({"instructions": None}, "instructions must be a text"),
    ],
)
def test_wrong_parameters_are_named(parameters, said):
    with pytest.raises(ParameterError, match=said):
        make_protocol("python_tool", **parameters)


def test_texts_are_parameters():
    feedback = {"result": "[{result}]", "silent": "-", "ended": "END {reason}", "refused": "NO"}
    env = env_of(feedback=feedback, instructions="", max_calls=3)
    assert env.reset(seed=0)[0] == "3*4?"
    assert env.step(call("x = 1", "x", "import os; os._exit(2)", "x"))[0] == (
        "[-]\n[1]\n[END ended the session (exit code 2)]\nNO"
    )
    assert np.isfinite(env.step("#### 1")[1])
