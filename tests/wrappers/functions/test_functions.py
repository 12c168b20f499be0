"""Functions become components by the names of their arguments, and stay functions."""

import asyncio
import functools
import inspect
import math
import os
import pickle
import signal
import subprocess
import sys
import threading
import time

import cloudpickle
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlenvs.config_params import validate_params
from rlenvs.errors import ComponentError, ConfigError, ParameterError
from rlenvs.event_loop import LoopThread, shared_loop
from rlenvs.wrappers import BaseReward, ErrorPolicy, RewardConfig, RewardPipeline, Score, Transition
from rlenvs.wrappers.component_registry import component_registry
from rlenvs.wrappers.functions.arguments import BATCH_ARGUMENTS, ROW_ARGUMENTS
from rlenvs.wrappers.functions.component import FunctionReward
from rlenvs.wrappers.functions.decorators import component_of, components_of, llm_reward, reward
from rlenvs.wrappers.scoring import ContractError


@pytest.fixture(autouse=True)
def registry_as_before(monkeypatch):
    """What a test registers must not be seen by the next."""
    monkeypatch.setattr(component_registry, "_classes", dict(component_registry._classes))


@reward(name="importable_brevity")
def importable(response, *, limit: int = 3, scale: float = 1.0):
    """1 for at most `limit` words."""
    return scale * (len(response.split()) <= limit)


FULL = Transition(
    prompt="2+2?",
    response="4",
    messages=[{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}],
    observation="2+2?",
    action="4",
    next_observation="",
    env_reward=0.5,
    terminated=True,
    truncated=False,
    info={"answer": "4", "difficulty": 3, 7: "no text key"},
    previous_info={"progress": 0.0},
    step=11,
)
EXPECTED = {
    "prompt": "2+2?",
    "response": "4",
    "completion": "4",
    "messages": FULL.messages,
    "info": FULL.info,
    "previous_info": FULL.previous_info,
    "state": "2+2?",
    "observation": "2+2?",
    "action": "4",
    "next_state": "",
    "next_observation": "",
    "env_reward": 0.5,
    "terminated": True,
    "truncated": False,
    "step": 11,
    "transition": FULL,
}


def recorder(arguments: str, seen: list[object], result: object = 1.0):
    """A function with these arguments that notes what it was called with."""
    namespace: dict[str, object] = {"seen": seen, "result": result}
    exec(f"def noted({arguments}):\n    seen.append(dict(locals()))\n    return result", namespace)  # noqa: S102
    return namespace["noted"]


# --- arguments ------------------------------------------------------------------------------------------------------


def test_every_name_of_a_row_brings_what_it_says():
    assert EXPECTED.keys() == ROW_ARGUMENTS.keys()
    for name, value in EXPECTED.items():
        seen: list[object] = []
        component_of(recorder(name, seen))(FULL)
        assert seen == [{name: value}], name


def test_every_plural_brings_the_column_of_its_singular():
    other = Transition(prompt="1+1?", response="2", action="2", info={"answer": "2"})
    for plural, singular in BATCH_ARGUMENTS.items():
        seen: list[dict[str, list[object]]] = []
        component_of(recorder(plural, seen, result=[1.0, 2.0])).batch([FULL, other])
        expected = EXPECTED[singular] if singular != "answer" else "4"
        assert seen[0][plural][0] == expected, plural
        assert len(seen[0][plural]) == 2
    assert set(BATCH_ARGUMENTS.values()) == {*ROW_ARGUMENTS, "answer"}


def test_other_names_are_keys_of_info_as_trl_passes_columns():
    seen: list[object] = []
    component_of(recorder("answer, difficulty, absent='none'", seen))(FULL)
    assert seen == [{"answer": "4", "difficulty": 3, "absent": "none"}]
    columns: list[object] = []
    component_of(recorder("completions, answer, absent=0", columns, [1.0])).batch([FULL])
    assert columns == [{"completions": ["4"], "answer": ["4"], "absent": [0]}]


def test_a_missing_key_is_an_error_of_its_row_that_names_it():
    component = component_of(lambda response, answer: float(response == answer))
    with pytest.raises(KeyError, match="info has no 'answer', which argument 'answer' asks for; it has gold"):
        component(Transition(response="4", info={"gold": "4"}))
    scores = component.batch([FULL, Transition(response="4"), FULL])
    assert scores[0] == scores[2] == 1.0
    assert scores[1].status == "error"


def test_a_batch_function_sees_only_the_rows_that_can_be_filled():
    seen: list[object] = []
    scores = component_of(recorder("responses, answers", seen, [1.0, 2.0])).batch([FULL, Transition(), FULL])
    assert seen == [{"responses": ["4", "4"], "answers": ["4", "4"]}]
    assert scores[0] == 1.0
    assert scores[1].status == "error"
    assert scores[2] == 2.0


def test_kwargs_take_the_rest_of_info_and_nothing_that_is_named():
    seen: list[object] = []
    component_of(recorder("response, answer, **rest", seen))(FULL)
    assert seen == [{"response": "4", "answer": "4", "rest": {"difficulty": 3}}]
    batch: list[object] = []
    component_of(recorder("responses, **rest", batch, [1.0, 1.0])).batch([FULL, Transition(info={"topic": "sums"})])
    assert batch[0] == {
        "responses": ["4", ""],
        "rest": {"answer": ["4", None], "difficulty": [3, None], "topic": [None, "sums"]},
    }


def test_info_cannot_reach_a_parameter():
    component = component_of(importable, limit=1)
    assert component(Transition(response="a b", info={"limit": 9, "scale": 5})) == 0.0
    rest: list[object] = []
    component_of(recorder("response, *, limit: int = 1, **others", rest))(Transition(info={"limit": 9}))
    assert rest == [{"response": "", "limit": 1, "others": {}}]


# --- decoration -----------------------------------------------------------------------------------------------------


def test_the_function_stays_the_function():
    def shout(response):
        return response.isupper()

    assert reward(shout) is shout
    assert shout("HI") is True
    assert reward(name="twice")(shout) is shout
    assert {"shout", "twice"} <= set(component_registry.names())


def test_a_registered_function_is_configured_like_any_component(tmp_path):
    path = tmp_path / "rewards.yaml"
    path.write_text(
        "reward_components:\n  short:\n    class: importable_brevity\n    params: {limit: 1, scale: 2}\n",
        encoding="utf-8",
    )
    pipeline = RewardPipeline.from_config(path)
    rows = [Transition(response="one"), Transition(response="one two")]
    assert pipeline.compute(rows, 0).total.tolist() == [2.0, 0.0]
    path.write_text(path.read_text().replace("limit: 1", "limits: 1"))
    with pytest.raises(ConfigError, match=r"rewards.yaml:4.*limits.*did you mean 'limit'"):
        RewardConfig.load(path)
    path.write_text(path.read_text().replace("limits: 1", "limit: one"))
    with pytest.raises(ConfigError, match=r"rewards.yaml:4.*limit.*integer"):
        RewardConfig.load(path)


def test_the_registered_class_has_the_signature_of_the_parameters():
    cls = component_registry.get("importable_brevity")
    assert str(inspect.signature(cls)) == "(*, limit: int = 3, scale: float = 1.0)"
    assert cls.__doc__ == importable.__doc__
    assert issubclass(cls, FunctionReward)
    assert validate_params(cls, {"limit": 2}) == {"limit": 2}


def test_a_cell_that_runs_again_replaces_its_function_but_another_module_may_not_take_the_name():
    def define(factor):
        @reward
        def again(response):
            return factor

        return again

    define(1.0)
    define(2.0)
    assert component_registry.get("again")()(Transition()) == 2.0

    with pytest.raises(ConfigError, match="'again' is already"):

        @reward(name="again")
        def other(response):
            return 0.0


def test_annotations_that_are_texts_are_resolved_and_others_are_left_alone():
    namespace: dict[str, object] = {"__name__": "texts"}
    source = "def f(response: 'NotImported', *, words: 'list[str]' = []) -> 'Nowhere': return 0.0"
    exec(source, namespace)  # noqa: S102
    function = reward(name="texts")(namespace["f"])
    assert inspect.signature(component_registry.get("texts")).parameters["words"].annotation == list[str]
    assert component_of(function, words=["a"])(Transition()) == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("responses, prompt", "'responses' takes the whole batch and 'prompt' one row: write 'prompts'"),
        ("responses, terminated", "write 'terminations' with 'responses'"),
        ("responses, messages", "write 'conversations' with 'responses'"),
        ("*rows", "'\\*rows' cannot be filled by name"),
        ("response, /", "'response' is positional-only"),
        ("", "takes no data"),
        ("*, limit: int = 3", "takes no data"),
        ("response, *, limit=3", "parameter 'limit' needs an annotation"),
        ("response, *, prompt: str", "'prompt' is data, but arguments after '\\*' are configuration"),
        ("response, *, limit: 'Unknown' = 3", "cannot be resolved: name 'Unknown'"),
    ],
)
def test_signatures_that_cannot_be_filled_are_refused_where_they_are_written(arguments, message):
    with pytest.raises(ConfigError, match=f"^reward function 'noted': .*{message}") as caught:
        reward(recorder(arguments, []))
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match=message):
        component_of(recorder(arguments, []))


def test_what_is_no_function_is_refused():
    class Callable:
        def __call__(self, response):
            return 1.0

    with pytest.raises(ConfigError, match="belongs on a function or method"):
        reward(Callable())
    with pytest.raises(ConfigError, match="a component, a function or a method"):
        component_of(Callable())
    with pytest.raises(ConfigError, match=r"give its method, \.__call__"):
        component_of(Callable())
    assert component_of(Callable().__call__)(FULL) == 1.0
    with pytest.raises(ConfigError, match=r"give an object, Callable\(...\)"):
        component_of(Callable)
    with pytest.raises(ConfigError, match="give the function itself, with keyword-only arguments"):
        component_of(functools.partial(importable, limit=2))
    for kind in (classmethod, staticmethod):
        with pytest.raises(ConfigError, match=f"write @{kind.__name__} above it, not below"):
            reward(kind(importable))
    with pytest.raises(ConfigError, match="lambda has no name"):
        reward(lambda response: 1.0)

    def stream(response):
        yield 1.0

    with pytest.raises(ConfigError, match="yields values"):
        reward(stream)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"per": "turn"}, "per must be"),
        ({"max_concurrency": 0}, "max_concurrency must be >= 1"),
        ({"timeout_s": 0.0}, "timeout_s must be > 0"),
        ({"timeout_s": math.nan}, "timeout_s must be > 0"),
        ({"timeout_s": 1.0}, "needs an async function.*DeadlineReward"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ParameterError, match=message):
        reward(**options)(recorder("response", []))


def test_parameters_are_checked():
    with pytest.raises(ParameterError, match=r"limti is no parameter of importable_brevity; did you mean 'limit'"):
        component_of(importable, limti=2)
    with pytest.raises(ParameterError, match="scale must be finite, got inf"):
        component_of(importable, scale=math.inf)
    with pytest.raises(ParameterError, match="word is needed by noted"):
        component_of(recorder("response, *, word: str", []))
    with pytest.raises(ParameterError, match="limit belongs in the constructor of FunctionReward"):
        component_of(component_of(importable), limit=1)


def test_effect_and_task_are_those_of_the_decorator():
    decorated = reward(effect="shouting", is_task=True)(recorder("response", []))
    for component in (component_of(decorated), component_registry.get("noted")()):
        assert (component.effect, component.is_task) == ("shouting", True)
    assert component_registry.get("noted").effect == "shouting"
    assert component_of(importable).effect == "whatever the function importable_brevity rewards"
    assert not component_of(importable).is_task


# --- when -----------------------------------------------------------------------------------------------------------

UNFINISHED = Transition(action=3, response="so f", info={"response_so_far": "so f"})


@pytest.mark.parametrize(
    ("decorator", "arguments", "calls"),
    [
        (reward, "response", 1),
        (reward, "messages", 1),
        (reward, "completion", 1),
        (reward, "action, next_state", 2),
        (reward, "terminated", 2),
        (reward(per="step"), "response", 2),
        (reward(per="message"), "action", 1),
        (llm_reward, "action", 1),
        (llm_reward(name="x"), "prompt", 1),
    ],
)
def test_text_is_judged_once_per_message_and_the_rest_at_every_step(decorator, arguments, calls):
    seen: list[object] = []
    component = component_of(decorator(recorder(arguments, seen, 5.0)))
    scores = component.batch([UNFINISHED, FULL])
    assert len(seen) == calls
    assert scores == [0.0 if calls == 1 else 5.0, 5.0]


def test_a_batch_function_gets_the_ended_messages_only_and_is_not_called_for_none():
    seen: list[object] = []
    component = component_of(recorder("responses", seen, [5.0]))
    assert component.batch([UNFINISHED, FULL, UNFINISHED]) == [0.0, 5.0, 0.0]
    assert seen == [{"responses": ["4"]}]
    assert component.batch([UNFINISHED]) == [0.0]
    assert component.batch([]) == []
    assert len(seen) == 1


# --- what comes back ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (0.25, 0.25),
        (3, 3.0),
        (True, 1.0),
        (np.float32(0.5), 0.5),
        (np.bool_(True), 1.0),
        (np.array(2.0), 2.0),
        (Score(0.5, "invalid"), Score(0.5, "invalid")),
        ((-1, "timeout"), Score(-1.0, "timeout")),
    ],
)
def test_what_a_function_may_return(returned, expected):
    row = component_of(recorder("response", [], returned))(FULL)
    assert row == expected
    assert component_of(recorder("responses", [], [returned])).batch([FULL]) == [expected]
    assert type(row) in (float, Score)


def test_none_means_that_it_does_not_apply_and_is_never_a_silent_zero():
    @reward(name="only_sums")
    def only_sums(response, topic):
        return 1.0 if topic == "sums" else None

    rows = [Transition(info={"topic": topic}) for topic in ("sums", "poems")]
    with pytest.raises(ComponentError, match=r"transition 1 .*only_sums returned None.*set its on_error to mask"):
        RewardPipeline({"s": component_of(only_sums)}).compute(rows, 0)
    masked = RewardPipeline({"s": component_of(only_sums)}, policies={"s": ErrorPolicy("mask")}).compute(rows, 0)
    assert masked.raw[0, 0] == 1.0
    assert np.isnan(masked.raw[1, 0])
    assert masked.status[:, 0].tolist() == ["ok", "error"]


NO_VALUES = ["0.5", b"1", {"rewards": [1.0]}, [1.0, 2.0], object(), 1 + 2j, np.ones((1, 1)), np.ones(2)]


@pytest.mark.parametrize("returned", NO_VALUES)
def test_what_is_no_value_breaks_the_contract(returned):
    with pytest.raises(ContractError, match=r"noted returned .*return a number"):
        component_of(recorder("response", [], returned))(FULL)


def test_a_number_that_no_float_holds_is_an_error_of_its_row_alone():
    component = component_of(lambda response: 10 ** len(response))
    assert component.batch([Transition(response="a"), Transition(response="a" * 400)]) == [10.0, math.inf]
    policy = {"it": ErrorPolicy("mask")}
    batch = RewardPipeline({"it": component}, policies=policy).compute([Transition(response="a" * 400)], 0)
    assert batch.status.tolist() == [["error"]]


@pytest.mark.parametrize("returned", [[1.0], [1.0] * 3, 1.0, "ab", {"rewards": [1.0, 2.0]}, None])
def test_a_batch_function_returns_one_value_per_row(returned):
    with pytest.raises(ContractError, match=r"one value per row|values for 2 rows"):
        component_of(recorder("responses", [], returned)).batch([FULL, FULL])


def test_one_failing_row_keeps_the_others():
    component = component_of(lambda response: 1.0 / len(response))
    assert component.batch([FULL, FULL])[1] == 1.0
    scores = component.batch([FULL, Transition(response=""), FULL])
    assert (scores[0], scores[2]) == (1.0, 1.0)
    assert scores[1].status == "error"
    assert math.isnan(scores[1].value)
    with pytest.raises(ZeroDivisionError):
        component(Transition(response=""))
    with pytest.raises(ComponentError, match="transition 1 of the batch: ZeroDivisionError: float division by zero"):
        RewardPipeline({"inverse": component}).compute([FULL, Transition(response="")], 0)


@given(st.lists(st.text(max_size=5), max_size=12))
def test_rows_and_batches_agree(texts):
    rows = [Transition(response=text) for text in texts]
    by_row = component_of(lambda response: len(response) * 0.5)
    by_batch = component_of(lambda responses: [len(response) * 0.5 for response in responses])

    async def later(response):
        return len(response) * 0.5

    expected = [len(text) * 0.5 for text in texts]
    assert by_row.batch(rows) == by_batch.batch(rows) == component_of(later).batch(rows) == expected
    assert [by_row(row) for row in rows] == expected


def test_interrupts_are_not_swallowed():
    def interrupted(response):
        raise KeyboardInterrupt

    async def interrupted_later(response):
        await asyncio.sleep(0)
        raise SystemExit(3)

    with pytest.raises(KeyboardInterrupt):
        component_of(interrupted).batch([FULL, FULL])
    with pytest.raises(SystemExit):
        component_of(interrupted_later).batch([FULL, FULL])
    assert shared_loop().run(asyncio.sleep(0, "alive")) == "alive"


# --- async ----------------------------------------------------------------------------------------------------------


class Gauge:
    """How many run at the same time."""

    def __init__(self) -> None:
        self.now = self.most = 0

    async def __call__(self, seconds: float) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(seconds)
        self.now -= 1


@pytest.mark.parametrize(("limit", "most"), [(1, 1), (5, 5), (64, 20)])
def test_async_rows_run_at_the_same_time_up_to_the_limit(limit, most):
    gauge = Gauge()

    async def slow(response):
        await gauge(0.01)
        return float(response)

    component = component_of(reward(max_concurrency=limit)(slow))
    assert component.batch([Transition(response=str(n)) for n in range(20)]) == [float(n) for n in range(20)]
    assert gauge.most == most


def test_async_failures_cancellations_and_timeouts_are_errors_of_their_rows():
    async def moody(response):
        if response == "raise":
            raise ValueError("moody")
        if response == "cancel":
            raise asyncio.CancelledError
        if response == "hang":
            await asyncio.sleep(60)
        if response == "none":
            return None
        return 1.0

    component = component_of(reward(timeout_s=0.2)(moody))
    rows = [Transition(response=text) for text in ("fine", "raise", "cancel", "hang", "none", "fine")]
    scores = component.batch(rows)
    assert [getattr(score, "status", "ok") for score in scores] == ["ok", "error", "error", "error", "error", "ok"]
    for row, kind, message in (
        (1, ValueError, "^moody$"),
        (2, RuntimeError, "moody was cancelled"),
        (3, TimeoutError, "took longer than 0.2 s"),
        (4, ValueError, "returned None"),
    ):
        with pytest.raises(kind, match=message):
            component(rows[row])


def test_async_functions_work_inside_a_running_loop():
    async def later(response):
        await asyncio.sleep(0.001)
        return 2.0

    component = component_of(later)

    async def notebook():
        return component.batch([FULL, FULL]), component(FULL)

    assert asyncio.run(notebook()) == ([2.0, 2.0], 2.0)


def test_what_belongs_to_a_loop_survives_from_call_to_call():
    loops = []

    async def remembers(response):
        loops.append(asyncio.get_running_loop())
        return 1.0

    component = component_of(remembers)
    component(FULL)
    component(FULL)
    assert loops[0] is loops[1]
    assert not loops[0].is_closed()


def test_async_batch_functions_are_awaited_once():
    calls = []

    async def judged(responses):
        calls.append(len(responses))
        await asyncio.sleep(0)
        return [float(len(response)) for response in responses]

    assert component_of(judged).batch([FULL, Transition(response="abc")]) == [1.0, 3.0]
    assert calls == [2]


def test_many_threads_may_share_the_loop():
    async def later(response):
        await asyncio.sleep(0.01)
        return float(response)

    component, results = component_of(later), {}
    rows = {n: [Transition(response=str(n))] * 3 for n in range(8)}

    def work(n):
        results[n] = component.batch(rows[n])

    threads = [threading.Thread(target=work, args=(n,)) for n in rows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: [float(n)] * 3 for n in rows}


def test_an_async_reward_that_scores_with_another_one_is_told_so_instead_of_waiting_for_ever():
    async def inner(response):
        return 1.0

    async def outer(response):
        return component_of(inner)(FULL)

    with pytest.raises(RuntimeError, match="await that function instead"):
        component_of(outer)(FULL)


def test_a_forked_process_gets_a_loop_of_its_own():
    script = """
import asyncio, os, sys
from rlenvs.wrappers import Transition
from rlenvs.wrappers.functions.decorators import component_of
async def later(response):
    await asyncio.sleep(0.001)
    return 1.0
component = component_of(later)
assert component(Transition()) == 1.0
child = os.fork()
if child == 0:
    os._exit(0 if component(Transition()) == 1.0 else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert component(Transition()) == 1.0
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_interrupt_ends_waiting_and_cancels_the_rows():
    cancelled = threading.Event()

    async def endless(response):
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    # A shell starts what runs in the background with Ctrl-C ignored, the tests too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    start = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            component_of(endless).batch([FULL])
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - start < 10
    assert cancelled.wait(5)


def test_a_loop_can_be_closed():
    loop = LoopThread()
    assert loop.run(asyncio.sleep(0, 3)) == 3
    loop.close()
    assert not any(thread is loop._thread for thread in threading.enumerate())


# --- methods --------------------------------------------------------------------------------------------------------


class Base:
    @llm_reward
    def inherited(self, response):
        return 1.0

    @llm_reward
    def dropped(self, response):
        return 1.0

    @llm_reward
    def replaced(self, response):
        return 1.0


class Mine(Base):
    def __init__(self, word="please"):
        self.word = word

    @property
    def costly(self):
        raise AssertionError("looking for rewards must not run properties")

    @llm_reward
    def zeal(self, prompt: str, response: str, *, bonus: float = 1.0) -> float:
        return bonus * (self.word in response)

    @reward(name="alive")
    def survives(self, terminated):
        return not terminated

    def dropped(self, response):
        return 2.0

    @llm_reward
    def replaced(self, response):
        return 3.0

    @llm_reward
    async def asked(self, responses):
        return [len(self.word)] * len(responses)

    @staticmethod
    @llm_reward(name="static_words")
    def words(response):
        return len(response.split())


def test_methods_are_collected_by_name_in_the_order_of_the_class():
    components = components_of(Mine("thanks"))
    assert list(components) == ["inherited", "replaced", "zeal", "alive", "asked", "static_words"]
    row = Transition(response="many thanks")
    assert {name: component(row) for name, component in components.items()} == {
        "inherited": 1.0,
        "replaced": 3.0,
        "zeal": 1.0,
        "alive": 1.0,
        "asked": 6.0,
        "static_words": 2.0,
    }
    assert all(isinstance(component, BaseReward) for component in components.values())
    assert component_of(Mine("x").zeal, bonus=4.0)(Transition(response="x")) == 4.0
    assert components_of(object()) == {}


def test_methods_are_not_registered_because_they_need_their_object():
    assert not {"zeal", "alive", "inherited"} & set(component_registry.names())
    assert Mine().zeal("", "please") == 1.0


def test_two_methods_of_one_name_are_refused():
    class Twice:
        @llm_reward(name="same")
        def one(self, response):
            return 1.0

        @llm_reward(name="same")
        def two(self, response):
            return 1.0

    with pytest.raises(ConfigError, match="Twice has two rewards called 'same'"):
        components_of(Twice())


def test_a_wrong_method_is_refused_in_the_class_body():
    with pytest.raises(ConfigError, match="'bad': parameter 'limit' needs an annotation"):

        class Wrong:
            @llm_reward
            def bad(self, response, *, limit=3):
                return 1.0


# --- as data --------------------------------------------------------------------------------------------------------


def test_components_of_functions_travel_to_other_processes():
    again = pickle.loads(pickle.dumps(component_of(importable, limit=1)))  # noqa: S301
    assert again(Transition(response="a b")) == 0.0
    assert again.params == {"limit": 1, "scale": 1.0}
    assert again.function is importable

    @reward(name="local_one", effect="being local")
    def local(response, *, factor: float = 2.0):
        return factor

    copied = pickle.loads(cloudpickle.dumps(component_of(local, factor=3.0)))  # noqa: S301
    assert copied(FULL) == 3.0
    assert copied.effect == "being local"
    registered = pickle.loads(pickle.dumps(component_registry.get("importable_brevity")(limit=2)))  # noqa: S301
    assert registered(Transition(response="a b")) == 1.0
