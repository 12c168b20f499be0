import json
import os
import pickle
import time
from fractions import Fraction
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.envs import TextEnv, TextVectorEnv
from rlenvs.envs.protocols import (
    PROTOCOLS,
    Completion,
    Conversation,
    Protocol,
    Retry,
    SingleAnswer,
    Steps,
    ToolCalls,
    Turn,
    as_the_user_sees,
    make_protocol,
    protocol_parameters,
)
from rlenvs.envs.protocols.steps import equation_in
from rlenvs.envs.protocols.tools import calculator, calls_in
from rlenvs.envs.suite import SuiteEnv, SuiteTokenEnv
from rlenvs.errors import DataError, ParameterError, UserError
from rlenvs.graders import Grade
from rlenvs.problems import ArithmeticSource, Problem, ProblemSource
from rlenvs.problems.registry import make_source

DATA = Path(os.environ.get("RLENVS_TEST_DATA", Path(__file__).parents[2].parent / "shared" / "data"))

STEPS = [
    {"expression": "3*4", "value": "12"},
    {"expression": "12+5", "value": "17"},
    {"expression": "20/2", "value": "10"},
    {"expression": "17-10", "value": "7"},
]
PROMPT = "Tom has 3 bags of 4 marbles, finds 5 more, and gives away half of 20. How many are left?"
MATH = {"type": "math", "question": PROMPT, "gold": "7", "extract": "last_hash", "steps": STEPS}


def problem(**task):
    return Problem(id="toy:1", prompt=PROMPT, task={**MATH, **task}, demonstration="#### 7")


class OneProblem(ProblemSource):
    """The same problem each time."""

    def __init__(self, only):
        self.only = only

    def sample(self, rng, split):
        return self.only

    def problems(self, split, limit=None, seed=0):
        return [self.only]


def env_of(protocol, only=None, **parameters):
    return TextEnv(OneProblem(only or problem()), protocol=protocol, **parameters)


def play(env, messages):
    """The steps until the end, which must come with the last message and not before."""
    env.reset(seed=0)
    steps = [env.step(message) for message in messages]
    assert [terminated or truncated for _, _, terminated, truncated, _ in steps] == [False] * (len(steps) - 1) + [True]
    return steps


# --- retry


def test_a_right_answer_ends_retrying_and_a_wrong_one_gets_feedback_without_the_gold():
    steps = play(env_of(Retry(attempts=3)), ["#### 8", "no idea", "so: #### 7"])
    assert [step[1] for step in steps] == [0.0, 0.0, 1.0]
    assert [step[2:4] for step in steps] == [(False, False), (False, False), (True, False)]
    assert steps[0][0] == "8 is not right. Attempts left: 2."
    assert steps[1][0] == "There is no readable answer in this. End with #### and the answer. Attempts left: 1."
    assert [step[4]["attempts_left"] for step in steps] == [2, 1, 0]
    assert all("7" not in step[0] for step in steps)


def test_the_last_attempt_terminates_right_or_wrong():
    steps = play(env_of(Retry(attempts=2)), ["#### 1", "#### 2"])
    assert steps[-1][:4] == ("", 0.0, True, False)


def test_one_attempt_is_a_single_answer():
    once, single = TextEnv(ArithmeticSource(), protocol=Retry(attempts=1)), TextEnv(ArithmeticSource())
    for seed in range(5):
        _, info = once.reset(seed=seed)
        single.reset(seed=seed)
        for one, other in zip(once.step(info["task"]["gold"])[:4], single.step(info["task"]["gold"])[:4], strict=True):
            assert one == other


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_half_right_attempts_give_no_more_than_the_best_of_them(scores):
    def grader(tasks, responses):
        return [Grade(scores[int(r)], False, "ok", r, "") for r in responses]

    env = TextEnv(OneProblem(problem()), protocol=Retry(attempts=len(scores)), grader=grader)
    steps = play(env, [str(turn) for turn in range(len(scores))])
    assert sum(step[1] for step in steps) == pytest.approx(max(scores))


def test_later_attempts_are_discounted():
    assert play(env_of(Retry(attempts=3, discount=0.5)), ["#### 1", "#### 2", "#### 7"])[-1][1] == 0.25


def test_feedback_is_a_parameter_and_is_checked():
    env = env_of(Retry(feedback={"wrong": "Nope ({attempt})."}))
    env.reset(seed=0)
    assert env.step("#### 3")[0] == "Nope (1)."
    with pytest.raises(ParameterError, match="feedback has an unknown key 'wrnog'; did you mean 'wrong'"):
        Retry(feedback={"wrnog": "x"})
    for text in ("{gold}", "{answer.real}", "{answer!r}", "{", "{left:>9}"):
        with pytest.raises(ParameterError, match=r"feedback\['wrong'\]"):
            Retry(feedback={"wrong": text})
    with pytest.raises(ParameterError, match=r"discount must be a number in \[0, 1\], got 2"):
        Retry(discount=2)
    with pytest.raises(UserError, match=r"attempts must be an int in 1\.\.1000, got 0"):
        Retry(attempts=0)


def test_what_the_policy_wrote_is_said_back_short():
    env = env_of(Retry(attempts=2), problem(type="qa_exact", extract="whole"))
    env.reset(seed=0)
    assert len(env.step("blah {left} " * 300)[0]) < 150


# --- steps


def test_steps_in_any_valid_order_then_the_answer():
    steps = play(env_of(Steps()), ["20 / 2 = 10", "4*3 = 12", "5+12=17.", "Then 17 - 10 = 7.", "#### 7"])
    assert [step[4]["progress"] for step in steps] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert [step[1] for step in steps] == [0.0, 0.0, 0.0, 0.0, 1.0]
    assert steps[0][0] == "Right: 20 / 2 = 10. Steps done: 1 of 4."
    assert steps[-1][:4] == ("", 1.0, True, False)
    assert [step[4]["grade_status"] for step in steps] == ["ok"] * 5


@pytest.mark.parametrize(
    ("message", "feedback"),
    [
        ("3*4 = 13", "3*4 is not 13."),
        ("12 = 12", "12 = 12 is true, but no step"),
        ("6+6 = 12", "6+6 = 12 is true, but no step"),
        ("12+5 = 17", "12+5 = 17 uses a number that has not been derived yet."),
        ("17-10 = 7", "17-10 = 7 uses a number"),
        ("hello", "Write exactly one step"),
        ("3*4 = 12\n20/2 = 10", "Write exactly one step"),
        ("3*4 = 2*6 = 12", "Write exactly one step"),
        ("x = 12", "Write exactly one step"),
        ("1/0 = 12", "Write exactly one step"),
        ("(3*4 = 12", "Write exactly one step"),
        ("9**9**9 = 12", "Write exactly one step"),
        ("=" * 100_000, "Write exactly one step"),
        ("\ud800 = \x00", "Write exactly one step"),
    ],
)
def test_what_is_no_step_forward_changes_nothing(message, feedback):
    env = env_of(Steps(), max_response_chars=10**6)
    env.reset(seed=0)
    observation, reward, terminated, truncated, info = env.step(message)
    assert observation.startswith(feedback)
    assert observation.endswith("Steps done: 0 of 4.")
    assert (reward, terminated, truncated, info["progress"], info["steps_done"]) == (0.0, False, False, 0.0, 0)


def test_a_step_counts_once():
    env = env_of(Steps())
    env.reset(seed=0)
    env.step("3*4 = 12")
    observation, *_, info = env.step("4*3 = 12")
    assert observation == "4*3 = 12 is known already. Steps done: 1 of 4."
    assert info["progress"] == 0.25


def test_the_same_step_twice_in_a_solution_is_to_be_done_twice():
    twice = problem(steps=[{"expression": "2*3", "value": "6"}, {"expression": "2*3", "value": "6"}])
    env = env_of(Steps(), twice)
    env.reset(seed=0)
    assert [env.step("2*3 = 6")[4]["progress"] for _ in range(3)] == [0.5, 1.0, 1.0]


@pytest.mark.parametrize(
    ("message", "equation"),
    [
        ("1. 3*4 = 12", ("3*4", "12")),
        ("Step 2) 3*4 = 12 marbles", ("3*4", "12")),
        ("So $3 * 4 = $12, I think.", ("$3 * 4", "$12")),
        ("It is 3*4 = <<3*4=12>>12.", ("3*4", "12")),
        ("first words\n\n3 \u00d7 4 = 12", ("3 \u00d7 4", "12")),
        ("1/3+1/3 = 2/3", ("1/3+1/3", "2/3")),
        ("1,000+1 = 1,001", ("1,000+1", "1,001")),
        ("3*4", None),
        ("3*4 = twelve", None),
    ],
)
def test_equations_are_found_in_words(message, equation):
    assert equation_in(message) == equation


def test_a_wrong_answer_ends_and_keeps_the_share_that_was_done():
    steps = play(env_of(Steps()), ["3*4 = 12", "#### 8"])
    assert steps[-1][1:4] == (0.0, True, False)
    assert steps[-1][4]["progress"] == 0.25


def test_a_step_beside_the_answer_is_not_a_step():
    steps = play(env_of(Steps()), ["3*4 = 12 #### 12"])
    assert steps[0][2]
    assert steps[0][4]["progress"] == 0.0


def test_with_the_whole_message_as_answer_an_equals_sign_tells_steps_apart():
    whole = problem(extract="whole")
    steps = play(env_of(Steps(), whole), ["3*4 = 12", "7"])
    assert (steps[-1][1], steps[-1][4]["progress"]) == (1.0, 1.0)
    assert play(env_of(Steps(), whole), ["dunno"])[0][4]["grade_status"] == "invalid"


def test_the_turn_limit_truncates_and_an_answer_at_the_limit_terminates():
    steps = play(env_of(Steps(max_turns=2)), ["hm", "3*4 = 12"])
    assert steps[-1][2:4] == (False, True)
    assert steps[-1][0] == "Right: 3*4 = 12. Steps done: 1 of 4."
    assert play(env_of(Steps(max_turns=2)), ["hm", "#### 7"])[-1][2:4] == (True, False)


def test_step_rewards_add_up_to_what_was_asked_for():
    steps = play(
        env_of(Steps(step_reward=0.4)), ["3*4=12", "3*4=12", "12+5=17", "20/2=10", "17-10=7", "17-10=7", "#### 8"]
    )
    assert sum(step[1] for step in steps) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (None, "needs a task with 'steps'"),
        ([], "needs a task with 'steps'"),
        ([{"expression": "3*4"}], r"steps\[0\] must have 'expression' and 'value'"),
        ([{"expression": "3*4", "value": "13"}], r"steps\[0\]: '3\*4' is not '13'"),
        ([{"expression": "x", "value": "13"}], r"steps\[0\]: 'x' = '13' cannot be read"),
    ],
)
def test_a_task_without_usable_steps_is_an_error_at_reset(steps, message):
    with pytest.raises(DataError, match=message):
        env_of(Steps(), problem(steps=steps)).reset(seed=0)


def test_a_task_without_steps_can_be_played_for_its_answer():
    without = problem()
    del without.task["steps"]
    steps = play(env_of(Steps(require_steps=False, step_reward=1.0), without), ["3*4 = 12", "#### 7"])
    assert steps[0][0] == "3*4 = 12 is true, but no step of the solution. Steps done: 0 of 0."
    assert [(step[1], step[4]["progress"]) for step in steps] == [(0.0, 0.0), (1.0, 1.0)]


def test_a_step_that_computes_nothing_is_given_and_no_sub_goal():
    # As in published solutions: <<55=55>> reads a number out of the words of the question.
    steps = [
        {"expression": "55", "value": "55"},
        {"expression": "110-55", "value": "55"},
        {"expression": "55*2", "value": "110"},
    ]
    env = env_of(Steps(), problem(steps=steps))
    env.reset(seed=0)
    assert env.step("55 = 55")[4]["progress"] == 0.0
    assert env.step("55*2 = 110")[4]["progress"] == 0.5
    assert env.step("110-55 = 55")[4]["progress"] == 1.0


def test_published_solutions_can_be_played_step_by_step():
    path = DATA / "gsm8k_train_1000.jsonl"
    if not path.exists():
        pytest.skip("the data set is not here")
    source = make_source("jsonl", path=str(path), held_out_fraction=0.0)
    env = TextEnv(source, protocol=Steps(max_turns=100, require_steps=False))
    played = 0
    for one in source.problems("train"):
        _, info = env.reset(options={"problem": one})
        for step in one.task.get("steps", ()):
            info = env.step(f"{step['expression']} = {step['value']}")[4]
        assert info["steps_done"] == info["steps_total"], one.task["steps"]
        played += info["steps_total"] > 0
        assert env.step(f"#### {one.task['gold']}")[1:3] == (1.0, True)
    assert played > 800


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_order_that_derives_before_it_uses_reaches_everything(data):
    numbers = data.draw(st.lists(st.integers(2, 9), min_size=3, max_size=6))
    # Each step uses the result before it, which no question states; so there is exactly one valid order.
    steps, value = [], 1000
    for number in numbers:
        steps.append({"expression": f"{value}*{number}+1", "value": str(value * number + 1)})
        value = value * number + 1
    only = Problem(id="chain", prompt="Start at 1000.", task={**MATH, "steps": steps}, demonstration="")
    order = data.draw(st.permutations(range(len(steps))))
    env = env_of(Steps(max_turns=1000), only)
    env.reset(seed=0)
    done = 0
    for place in order:
        info = env.step(f"{steps[place]['expression']} = {steps[place]['value']}")[4]
        done += place == done
        assert info["progress"] == done / len(steps)


# --- tools


def test_tool_calls_are_answered_and_the_message_without_one_is_graded():
    steps = play(env_of(ToolCalls()), ["<calculator>3*4</calculator> <calculator>12+5", "#### 7"])
    assert steps[0][:4] == ("<result>12</result>\n<result>17</result>", 0.0, False, False)
    assert steps[1][:4] == ("", 1.0, True, False)
    assert [step[4]["tool_calls"] for step in steps] == [2, 2]


def test_an_answer_beside_a_call_is_not_graded():
    env = env_of(ToolCalls())
    env.reset(seed=0)
    _, reward, terminated, _, info = env.step("<calculator>1+1</calculator> #### 7")
    assert (reward, terminated, info["correct"]) == (0.0, False, False)


def test_calls_beyond_the_limit_are_refused_and_turns_beyond_it_truncate():
    env = env_of(ToolCalls(max_calls=2))
    env.reset(seed=0)
    call = "<calculator>1</calculator>"
    observation, _, terminated, truncated, info = env.step(call * 5)
    assert observation == "<result>1</result>\n<result>1</result>\nNo calls are left. Write the answer."
    assert (terminated, truncated, info["tool_calls"]) == (False, False, 2)
    assert env.step(call)[0] == "No calls are left. Write the answer."
    assert env.step(call)[2:4] == (False, True)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("(1 + 2) * 3 - 4 / 8", "8.5"),
        ("2^10", "1024"),
        ("-2**2", "-4"),
        ("0.1+0.2", "0.3"),
        ("1/3", "1/3"),
        ("50% * 20", "10"),
        ("$1,250 + $3", "1253"),
        ("1/0", "error: division by zero"),
        ("0^-1", "error: division by zero"),
        ("9**9**9**9", "error: the result is too large"),
        ("2^0.5", "error: an exponent must be an integer"),
        ("__import__('os').system('x')", "error: unexpected '_'"),
        ("(" * 100, "error: more than 40 levels of nesting"),
        ("-" * 100 + "1", "error: more than 40 levels of nesting"),
        ("2^" * 100 + "2", "error: more than 40 levels of nesting"),
        ("1" * 600, "error: longer than 500 characters"),
        ("", "error: expected a number, found the end"),
        ("\ud800", "error: unexpected '\\ud800'"),
        ("\u0663+1", "error: unexpected '\u0663'"),
        ("1_000", "error: unexpected '_'"),
    ],
)
def test_the_calculator_is_exact_and_bounded(expression, result):
    assert calculator(expression) == result


@st.composite
def expressions(draw, depth=3):
    if depth == 0 or draw(st.booleans()):
        return str(draw(st.integers(0, 50)))
    left, right = draw(expressions(depth=depth - 1)), draw(expressions(depth=depth - 1))
    return draw(st.sampled_from(["({}+{})", "({}-{})", "{}*({})", "({})/({})", "-({})+{}"])).format(left, right)


@settings(max_examples=200, deadline=None)
@given(expressions())
def test_the_calculator_agrees_with_python_fractions(expression):
    from rlenvs.envs.protocols.exact import ExpressionError, parse_expression

    wrapped = __import__("re").sub(r"\d+", lambda found: f"Fraction({found.group()})", expression)
    try:
        expected = eval(wrapped, {"Fraction": Fraction})  # noqa: S307 - the test's own expression
    except ZeroDivisionError:
        with pytest.raises(ExpressionError, match="division by zero"):
            parse_expression(expression)
        return
    assert parse_expression(expression).value == expected


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("0123456789+-*/^().,%$ \u00d7e_=\ud800\x00<>calculator"), max_size=120))
def test_no_text_makes_tools_or_steps_raise(text):
    for protocol in (ToolCalls(max_calls=2), Steps(max_turns=3), Retry(), Conversation(), Completion()):
        env = env_of(protocol)
        env.reset(seed=0)
        observation, _, terminated, truncated, info = env.step(text)
        assert observation in env.observation_space
        assert not (terminated and truncated)
        observation.encode()  # no halves of surrogate pairs said back
        json.dumps(info)


def test_calls_are_found_in_linear_time():
    few, many = "<calculator>" * 20_000, "<calculator>" * 200_000
    assert calls_in(few, ["calculator"]) == [("calculator", "<calculator>" * 19_999)]
    started = time.perf_counter()
    calls_in(many, ["calculator"])
    calls_in("<calculator>1</calculator>" * 100_000, ["calculator"])
    assert time.perf_counter() - started < 2


def test_wrong_tools_are_named():
    with pytest.raises(ParameterError, match="tools has an unknown 'calculater'; did you mean 'calculator'"):
        ToolCalls(tools=["calculater"])
    with pytest.raises(ParameterError, match="tools must be a non-empty list"):
        ToolCalls(tools="calculator")
    with pytest.raises(ParameterError, match="tools must be a non-empty list"):
        ToolCalls(tools=5)
    with pytest.raises(ParameterError, match=r"tools has an unknown \['a'\]"):
        ToolCalls(tools=[["a"]])


# --- conversation, completion


TALK = Problem(
    id="talk",
    prompt="Hi!",
    task={"type": "conversation", "turns": ["Really?", "Bye."], "system": "Be kind."},
    demonstration="",
)


def test_a_scripted_user_says_its_turns_and_ends():
    env = env_of(Conversation(), TALK)
    assert env.reset(seed=0)[0] == "Hi!"
    steps = play(env, ["Hello!", "Yes.", "Bye!"])
    assert [step[0] for step in steps] == ["Really?", "Bye.", ""]
    assert [step[1:4] for step in steps] == [(0.0, False, False)] * 2 + [(0.0, True, False)]
    messages = steps[-1][4]["messages"]
    assert [m["role"] for m in messages] == ["system", "user", "assistant", "user", "assistant", "user", "assistant"]
    assert [step[4]["progress"] for step in steps] == [1 / 3, 2 / 3, 1.0]


def test_the_last_message_can_be_graded():
    task = {**MATH, "turns": ["And now the answer, please."]}
    graded = Problem(id="graded", prompt="Think first.", task=task, demonstration="")
    steps = play(env_of(Conversation(graded=True), graded), ["#### 7", "#### 7"])
    assert [step[1] for step in steps] == [0.0, 1.0]


def test_a_turn_limit_cuts_a_conversation():
    assert play(env_of(Conversation(max_replies=1), TALK), ["Hello!"])[0][2:4] == (False, True)


class EchoUser:
    """Repeats what it was told, and counts its calls."""

    def __init__(self):
        self.calls = 0

    def __call__(self, messages):
        return self.batch([messages])[0]

    def batch(self, conversations):
        self.calls += 1
        return [
            "<stop>" if chat[-1]["content"] == "bye" else f"you said {chat[-1]['content']}" for chat in conversations
        ]


def test_a_model_plays_the_user_in_one_call_for_all_rows():
    user = EchoUser()
    envs = TextVectorEnv(
        OneProblem(TALK), 3, autoreset_mode="Disabled", protocol=Conversation(user=user, max_replies=2)
    )
    envs.reset(seed=0)
    observations, rewards, terminated, truncated, _ = envs.step(["a", "bye", "c"])
    assert observations == ("you said a", "", "you said c")
    assert terminated.tolist() == [False, True, False]
    assert not truncated.any()
    assert user.calls == 1
    observations, rewards, terminated, truncated, _ = envs.step(["d", "", "bye"])
    assert (terminated.tolist(), truncated.tolist()) == ([False, False, True], [True, False, False])
    assert not rewards.any()


def test_a_user_that_says_no_text_is_an_error_of_the_caller():
    env = env_of(Conversation(user=lambda messages: None), TALK)
    env.reset(seed=0)
    with pytest.raises(UserError, match="user: it must return one text per conversation"):
        env.step("hello")
    with pytest.raises(ParameterError, match="user must be callable"):
        Conversation(user="gpt")


def test_a_model_that_plays_the_user_sees_the_roles_from_its_side():
    chat = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]
    assert [message["role"] for message in as_the_user_sees(chat)] == ["system", "assistant", "user"]


def test_a_script_that_is_none_is_an_error_at_reset():
    with pytest.raises(DataError, match="task turns must be a list of texts"):
        env_of(Conversation(), problem(turns="Really?")).reset(seed=0)


def test_free_text_is_not_graded():
    def never(tasks, responses):
        raise AssertionError("nothing is to be graded")

    env = TextEnv(OneProblem(problem(type="anything")), protocol=Completion(), grader=never)
    (step,) = play(env, ["Once upon a time"])
    assert step[:4] == ("", 0.0, True, False)
    assert (step[4]["grade_status"], step[4]["correct"]) == ("ok", False)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_system_message_comes_first(name):
    protocol, only, _ = example(name)
    spoken = Problem(id="s", prompt=only.prompt, task={**only.task, "system": "Be brief."}, demonstration="")
    messages = env_of(protocol, spoken).reset(seed=0)[1]["messages"]
    assert [message["role"] for message in messages] == ["system", "user"]
    assert messages[0]["content"] == "Be brief."
    assert messages[1]["content"].startswith(only.prompt)
    envs = TextVectorEnv(OneProblem(spoken), 2, protocol=protocol)
    assert envs.reset(seed=0)[1]["messages"].tolist() == [messages] * 2
    single = env_of(protocol, spoken)
    single.reset(seed=0)
    infos = envs.step(["#### 1"] * 2)[4]
    assert infos.get("final_info", infos)["messages"].tolist() == [single.step("#### 1")[4]["messages"]] * 2


# --- all of them


FENCED = "```python\ndef double(x):\n    {}\n```"
EXAMPLES = {
    "single": ({}, ["#### 7"]),
    "retry": ({"attempts": 4}, ["#### 1", "hm", "#### 2", "#### 3"]),
    "steps": ({"max_turns": 5}, ["3*4 = 12", "3*4 = 12", "20/2 = 10", "12+5 = 17", "what?"]),
    "tools": ({"max_calls": 2}, ["<calculator>3*4</calculator>", "<calculator>1</calculator>", "#### 7"]),
    "conversation": ({}, ["one", "two", "three"]),
    "completion": ({}, ["a text"]),
    "python_tool": (
        {"max_calls": 3},
        ["<python>x = 3</python>", "<python>x += 9\nx</python><python>1 / 0</python>", "<python>x", "#### 7"],
    ),
    "code": ({}, [FENCED.format("return 1"), "hm", FENCED.format("return x +"), FENCED.format("return x + 1")]),
}
DOUBLE = Problem(
    id="toy:double",
    prompt=PROMPT,
    task={
        "type": "function",
        "entry_point": "double",
        "tests": [{"args": [n], "expected": 2 * n} for n in range(5, 9)],
        "visible_tests": [{"args": [1], "expected": 2}, {"args": [3], "expected": 6}],
    },
    demonstration="",
)


def example(name):
    parameters, messages = EXAMPLES[name]
    only = {"conversation": TALK, "code": DOUBLE}.get(name, problem())
    return make_protocol(name, **parameters), only, messages


def test_there_is_an_example_of_each():
    assert EXAMPLES.keys() == PROTOCOLS.keys()


@pytest.mark.parametrize("name", PROTOCOLS)
def test_state_resumes_exactly_after_every_turn(name):
    protocol, only, messages = example(name)
    env = env_of(protocol, only)
    expected = play(env, messages)
    for cut in range(len(messages)):
        first = env_of(protocol, only)
        first.reset(seed=0)
        for message in messages[:cut]:
            first.step(message)
        second = env_of(protocol, only)
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        assert [second.step(message) for message in messages[cut:]] == expected[cut:]
        copied = pickle.loads(pickle.dumps(first))  # noqa: S301 - its own
        assert [copied.step(message) for message in messages[cut:]] == expected[cut:]


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("mode", ["SameStep", "NextStep", "Disabled"])
def test_the_vector_form_equals_single_environments(name, mode):
    protocol, only, messages = example(name)
    envs = TextVectorEnv(OneProblem(only), 2, autoreset_mode=mode, protocol=protocol)
    single = env_of(protocol, only)
    envs.reset(seed=0)
    single.reset(seed=0)
    for message in messages:
        observation, reward, terminated, truncated, info = single.step(message)
        observations, rewards, terminations, truncations, infos = envs.step([message] * 2)
        over = terminated or truncated
        if over and mode == "SameStep":
            observations, infos = tuple(infos["final_obs"]), infos["final_info"]
        assert observations == (observation,) * 2
        assert rewards.tolist() == [reward] * 2
        assert (terminations.tolist(), truncations.tolist()) == ([terminated] * 2, [truncated] * 2)
        for key, value in info.items():
            found = infos[key] if not isinstance(value, dict) else None
            assert found is None or [found[row] for row in range(2)] == [value] * 2
    assert over


@pytest.mark.parametrize("name", PROTOCOLS)
def test_parameters_are_plain_and_make_the_same_protocol_again(name):
    protocol, _, _ = example(name)
    parameters = {key: getattr(protocol, key) for key in protocol_parameters(name)}
    again = make_protocol({"name": name, **json.loads(json.dumps(parameters))})
    assert again == protocol
    assert hash(again) == hash(protocol)
    assert repr(again) == repr(protocol)


def test_unknown_names_and_parameters_get_the_nearest():
    with pytest.raises(UserError, match="protocol: unknown 'retri'; did you mean 'retry'"):
        make_protocol("retri")
    with pytest.raises(UserError, match="protocol 'retry': unknown parameter 'atempts'; did you mean 'attempts'"):
        make_protocol("retry", atempts=2)
    with pytest.raises(UserError, match="protocol: it is made already"):
        make_protocol(SingleAnswer(), attempts=2)
    with pytest.raises(UserError, match=r"protocol: unknown .None"):
        make_protocol({"attempts": 2})


@pytest.mark.parametrize("name", PROTOCOLS)
def test_infos_have_the_same_keys_at_every_step(name):
    protocol, only, messages = example(name)
    env = env_of(protocol, only)
    _, start = env.reset(seed=0)
    keys = [step[4].keys() for step in play(env, messages)]
    assert all(one == keys[0] for one in keys)
    assert start.keys() < keys[0]


def test_a_time_limit_of_gymnasium_and_a_limit_of_the_protocol_both_truncate():
    env = gym.wrappers.TimeLimit(env_of(Steps(max_turns=3)), 2)
    env.reset(seed=0)
    env.step("hm")
    assert env.step("hm")[2:4] == (False, True)
    both = TextVectorEnv(OneProblem(problem()), 1, max_episode_steps=3, protocol=Steps(max_turns=2))
    both.reset(seed=0)
    both.step(["hm"])
    _, _, terminated, truncated, _ = both.step(["hm"])
    assert (terminated.tolist(), truncated.tolist()) == ([False], [True])


class Forever(Protocol):
    """Goes on whatever is said."""

    def respond(self, problem, turn, grade):
        return Turn("go on", False)


def test_a_turn_costs_the_same_however_long_the_conversation_is():
    # Objects that a turn makes, rather than seconds: the same count on a busy machine.
    import sys

    env = TextEnv(OneProblem(problem()), protocol=Forever())
    env.reset(seed=0)
    env.step("x")

    def lines():
        count = 0

        def trace(frame, event, argument):
            nonlocal count
            count += event == "line"
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            env.step("x")
        finally:
            sys.settrace(before)
        return count

    early = lines()
    for _ in range(64):
        env.step("x")
    assert lines() <= early + 2


def test_what_a_caller_writes_into_an_info_stays_there():
    env = TextEnv(OneProblem(problem()), protocol=Forever())
    env.reset(seed=0)
    _, _, _, _, info = env.step("first")
    info["messages"][0]["content"] = "hacked"
    info["messages"][1].update(role="system")
    del info["messages"][2]["role"]
    info["messages"].clear()
    _, _, _, _, after = env.step("second")
    assert [m["content"] for m in after["messages"]] == [PROMPT, "first", "go on", "second", "go on"]
    assert [m["role"] for m in after["messages"]] == ["user", "assistant", "user", "assistant", "user"]
    assert json.loads(json.dumps(after["messages"])) == after["messages"]
    assert type(pickle.loads(pickle.dumps(after["messages"]))[0]) is dict  # noqa: S301 - its own


def test_the_token_level_keeps_the_progress_of_a_derivation():
    env = SuiteTokenEnv(OneProblem(problem()), Steps(), tokenizer="bytes", context_tokens=100, max_response_tokens=40)
    env.reset(seed=0)
    seen = []
    for message in ("3*4 = 12", "20/2 = 10", "#### 7"):
        for token in [*env.tokenizer.encode(message), env.tokenizer.eos_token_id]:
            info = env.step(token)[4]
            seen.append(info["progress"])
    assert sorted(set(seen)) == [0.0, 0.25, 0.5, 1.0]
    assert seen == sorted(seen)


def test_rewards_of_turns_are_shown():
    env = env_of(Retry(attempts=2), render_mode="ansi")
    play(env, ["#### 1", "#### 7"])
    text = env.render()
    assert "assistant (reward 0):\n    #### 1\n" in text
    assert text.endswith("assistant (reward 1):\n    #### 7")


def test_rows_of_different_lengths_do_not_disturb_each_other():
    envs = TextVectorEnv(OneProblem(problem()), 3, autoreset_mode="Disabled", protocol=Retry(attempts=3))
    envs.reset(seed=0)
    envs.step(["#### 7", "#### 1", "#### 1"])
    observations, rewards, *_ = envs.step(["", "#### 7", "#### 2"])
    assert observations == ("", "", "2 is not right. Attempts left: 1.")
    assert rewards.tolist() == [0.0, 1.0, 0.0]
    envs.reset(options={"reset_mask": np.array([True, True, False])})
    assert envs.step(["#### 1", "#### 1", "#### 7"])[2].tolist() == [False, False, True]


# --- demonstrations


def replayed(env, messages):
    """The last step of an episode whose policy says what the demonstration says, and what it was told."""
    problem = next(one for one in env.source.problems("train", 20, 3) if one.prompt in messages[0]["content"])
    observation, _ = env.reset(options={"problem": problem})
    told, step = [observation], None
    for message in messages:
        if message["role"] == "assistant":
            step = env.step(message["content"])
            told.append(step[0])
    return step, told


@pytest.mark.parametrize("extract", ["last_hash", "last_boxed", "last_answer_tag"])
@pytest.mark.parametrize("name", ["single", "retry", "steps", "tools"])
def test_demonstrations_earn_everything_when_they_are_played(name, extract):
    env = SuiteEnv("word_problems", name, extract=extract, numbers=["integer", "money", "percent", "fraction"])
    shown = env.demonstrations(limit=20, seed=3)
    assert len(shown) == 20
    for messages in shown:
        (_, reward, terminated, truncated, info), told = replayed(env, messages)
        assert (reward, terminated, truncated, info["progress"]) == (1.0, True, False, 1.0)
        assert told == [*(m["content"] for m in messages if m["role"] == "user"), ""]
        steps = len(info["task"]["steps"])
        if name == "steps":
            assert info["steps_done"] == info["steps_total"] > 0
        if name == "tools":
            assert info["tool_calls"] == steps
        assert [m["role"] for m in messages] == ["user", "assistant"] * (len(messages) // 2)


def test_a_demonstration_fits_the_limits_of_its_protocol():
    for protocol in ({"name": "steps", "max_turns": 1}, {"name": "tools", "max_calls": 1}):
        env = SuiteEnv("word_problems", protocol, min_steps=3)
        for messages in env.demonstrations(limit=3, seed=3):
            (_, reward, terminated, *_), _ = replayed(env, messages)
            assert (reward, terminated) == (1.0, True)


def test_what_shows_no_way_is_an_error():
    for env in (SuiteEnv("conversation", "conversation"), SuiteEnv("text_prompts", "completion")):
        with pytest.raises(UserError, match=r"\.demonstration\(\) shows no episode from start to end"):
            env.demonstrations(limit=1)
    env = SuiteEnv("instructions", "completion")
    assert [message["role"] for message in env.demonstrations(limit=1)[0]] == ["user", "assistant"]
