"""Each callback by itself: what it does with a sequence of metrics, and what it remembers."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from rlenvs.agents.llm.callbacks import (
    BestModel,
    Callback,
    HackMonitor,
    KLEarlyStop,
    ParameterSchedule,
    RunState,
    SampleLogger,
    TargetStop,
)
from rlenvs.agents.llm.callbacks.several import Callbacks
from rlenvs.agents.llm.callbacks.watching import value_of
from rlenvs.agents.llm.config import TrainConfig
from rlenvs.errors import CallbackError, ConfigError, ParameterError, RunFolderError

BASE = {
    "env": {"id": "rlenvs/Arithmetic-v0"},
    "rewards": {"reward_components": {"right": {"class": "CorrectnessReward"}, "form": {"class": "FormattingReward"}}},
}

CONFIG = TrainConfig.load(BASE)


def run_state(folder=None, *, components=None, **metrics) -> RunState:
    pipeline = SimpleNamespace(parts=SimpleNamespace(components=components or {}), potentials={})
    trainer = SimpleNamespace(envs=SimpleNamespace(pipeline=pipeline))
    return RunState(trainer, folder, CONFIG, lambda line: None, metrics=metrics)


def feed(callback: Callback, hook: str, metrics: list[dict[str, float]], state: RunState | None = None) -> RunState:
    """Show a callback the metrics of iterations 1, 2, ... until it stops the run."""
    state = state or run_state()
    for row in metrics:
        state.iteration += 1
        state.metrics = dict(row)
        getattr(callback, hook)(state)
        if state.stop_reason:
            break
    return state


@pytest.mark.parametrize(
    ("values", "stopped_at"),
    [
        ([0.2, 0.2, 0.2], 3),
        ([0.2, 0.2, 0.15, 0.2, 0.2, 0.2], 6),  # at the threshold is not above it
        ([0.2, 0.2, float("nan")], 3),
        ([0.2, None, 0.2, 0.2], 4),  # an iteration that learned nothing neither counts nor breaks the row
        ([0.1] * 9, None),
    ],
)
def test_kl_early_stop_counts_iterations_in_a_row(values, stopped_at):
    rows = [{} if value is None else {"kl": value} for value in values]
    state = feed(KLEarlyStop(threshold=0.15, patience=3), "on_update_end", rows)
    assert (state.iteration if state.stop_reason else None) == stopped_at
    if stopped_at:
        assert state.stop_reason.startswith("kl above 0.15 for 3 iterations (now ")


@pytest.mark.parametrize(
    ("values", "stopped_at"),
    [([0.8, 0.9, 0.9], 3), ([0.9, 0.8, 0.9, 0.95], 4), ([0.9, float("nan"), 0.9], None)],
)
def test_target_stop_counts_evaluations_in_a_row(values, stopped_at):
    callback = TargetStop(0.9, evaluations=2)
    state = feed(callback, "on_evaluation_end", [{"accuracy/greedy": value} for value in values])
    assert (state.iteration if state.stop_reason else None) == stopped_at


def test_a_target_may_be_one_to_fall_to():
    state = feed(
        TargetStop(2.0, "length/mean", mode="min"), "on_evaluation_end", [{"length/mean": 3}, {"length/mean": 2}]
    )
    assert state.stop_reason == "length/mean reached 2 (now 2)"


def test_an_evaluation_that_nobody_makes_is_missed_before_training():
    measured = {"accuracy/greedy": 0.5, "accuracy/problems": 20}
    for metric in ("accuracy/train", "accuracy/first", "reward/env"):
        assert value_of(metric, run_state(**measured)) is None
    with pytest.raises(ConfigError, match=r"no metric 'accuracy/gredy'; did you mean 'accuracy/greedy'\?"):
        value_of("accuracy/gredy", run_state(**measured))


def test_a_metric_that_does_not_exist_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match=r"no metric 'acuracy/greedy'; did you mean 'accuracy/greedy'\?"):
        feed(TargetStop(0.9, "acuracy/greedy"), "on_evaluation_end", [{"accuracy/greedy": 0.5}])
    state = run_state(**{"accuracy/greedy": 0.5})
    TargetStop(0.9, "accuracy/train").on_evaluation_end(state)  # before training there is no such metric yet
    assert not state.stop_reason


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("linear", [0.1, 0.0775, 0.055, 0.0325, 0.01]),
        ("exponential", [0.1, 0.1 * 10**-0.25, 0.1 * 10**-0.5, 0.1 * 10**-0.75, 0.01]),
        ("cosine", [0.055 + 0.045 * np.cos(np.pi * x) for x in (0, 0.25, 0.5, 0.75, 1)]),
    ],
)
def test_a_schedule_goes_from_start_to_end_and_stays(shape, expected):
    schedule = ParameterSchedule("entropy_coef", 0.1, 0.01, iterations=5, shape=shape)
    found = [schedule.value(iteration, planned=100) for iteration in range(1, 9)]
    np.testing.assert_allclose(found, [*expected, 0.01, 0.01, 0.01], rtol=1e-12)
    assert found[4:] == [0.01] * 4  # exactly
    assert ParameterSchedule("entropy_coef", 0.1, 0.01).value(7, planned=7) == 0.01


def test_a_schedule_sets_the_learner_before_the_rollout():
    state = run_state()
    given = []
    state.trainer.learner = SimpleNamespace(set_coefficients=given.append)
    state.iteration = 3
    ParameterSchedule("kl_coef", 0.2, 0.1, iterations=5).on_iteration_begin(state)
    assert given == [{"kl_coef": pytest.approx(0.15)}]


@pytest.mark.parametrize(
    ("build", "parameter", "message"),
    [
        (lambda: KLEarlyStop(threshold=0.0), "threshold", "must be > 0"),
        (lambda: KLEarlyStop(patience=0), "patience", "whole number >= 1"),
        (lambda: KLEarlyStop(threshold=float("nan")), "threshold", "finite"),
        (lambda: TargetStop(float("inf")), "value", "finite"),
        (lambda: BestModel("reward/total"), "metric", "must be one of the task"),
        (lambda: BestModel("component/right/raw"), "metric", "must be one of the task"),
        (lambda: BestModel(folder="../x"), "folder", "must be a name"),
        (lambda: BestModel(folder="model"), "folder", "must be a name"),
        (lambda: SampleLogger(top=0, bottom=0, random=0), "top", "nothing would be shown"),
        (lambda: SampleLogger(every=0), "every", "whole number >= 1"),
        (lambda: ParameterSchedule("entropy_coef", -0.1, 0.0), "start", "must be >= 0"),
        (lambda: ParameterSchedule("clip_range", 0.2, 0.0), "end", "must be > 0"),
        (lambda: ParameterSchedule("entropy_coef", 0.1, 0.0, shape="exponential"), "end", "must be > 0"),
        (lambda: HackMonitor(window=1), "window", "whole number >= 2"),
        (lambda: HackMonitor(max_share=1.1), "max_share", r"in \(0, 1\]"),
        (lambda: HackMonitor(max_growth=1.0), "max_growth", "> 1"),
    ],
)
def test_parameters_out_of_range_are_refused(build, parameter, message):
    with pytest.raises(ParameterError, match=message) as caught:
        build()
    assert caught.value.parameter == parameter


@pytest.mark.parametrize(
    ("callback", "ppo", "message"),
    [
        (KLEarlyStop(), {"kl_coef": 0.0}, "needs a reference model, which ppo.kl_coef 0 leaves out"),
        (ParameterSchedule("kl_coef", 0.1, 0.0), {"kl_coef": 0.0}, "needs a reference model"),
        (ParameterSchedule("kl_coef", 0.1, 0.0), {"kl_target": 0.1}, "moved by ppo.kl_target already"),
        (ParameterSchedule("value_coef", 0.1, 0.0), {"estimator": "reinforce"}, "'reinforce' has no critic"),
    ],
)
def test_a_run_in_which_a_callback_could_not_work_is_refused(callback, ppo, message):
    config = TrainConfig.load(BASE | {"ppo": ppo})
    with pytest.raises(ConfigError, match=message):
        callback.check(config)
    callback.check(TrainConfig.load(BASE))


def test_a_policy_that_needs_no_reference_is_watched_without_one():
    KLEarlyStop(metric="approx_kl").check(TrainConfig.load(BASE | {"ppo": {"kl_coef": 0.0}}))


# --- samples


def record(env: int, turn: int, reward: float, response: str = "7", correct: bool = True) -> dict:
    parts = {"right": {"contribution": reward, "status": "ok"}, "form": {"contribution": 0.0, "status": "invalid"}}
    return {
        "env": env,
        "turn": turn,
        "reward": reward,
        "prompt": "3+4=",
        "response": response,
        "correct": correct,
        "components": parts,
    }


class Folder:
    """The part of a run folder that a callback writes to."""

    def __init__(self, path):
        self.path = path
        self.texts: dict[str, str] = {}

    def log_file(self, name):
        return SimpleNamespace(write=lambda text: self.texts.update({name: self.texts.get(name, "") + text}))


def test_samples_are_the_best_the_worst_and_some_at_random(tmp_path):
    folder = Folder(tmp_path)
    lines = []
    state = RunState(None, folder, CONFIG, lines.append, iteration=1)
    state.records = [record(env, 0, reward) for env, reward in enumerate([0.5, -1.0, 2.0, 0.1, 0.2])]
    SampleLogger(every=10, top=1, bottom=2, random=1).on_iteration_end(state)
    assert [line.split(":")[0] for line in lines] == [
        "sample top 1 of 5 episodes, reward +2.000, right",
        "sample bottom 1 of 5 episodes, reward -1.000, right",
        "sample bottom 2 of 5 episodes, reward +0.100, right",
        lines[3].split(":")[0],
    ]
    assert lines[3].startswith("sample random of 5 episodes, reward +0.")
    assert folder.texts["samples.txt"].count("=== iteration 1") == 4
    state.iteration = 2
    SampleLogger(every=10).on_iteration_end(state)
    assert len(lines) == 4  # not due


def test_no_episode_is_shown_twice_and_small_rollouts_are_shown_whole(tmp_path):
    lines = []
    state = RunState(None, Folder(tmp_path), CONFIG, lines.append, iteration=1)
    state.records = [record(env, 0, float(env)) for env in range(3)]
    SampleLogger(top=2, bottom=2, random=5).on_iteration_end(state)
    assert [line.split(",")[1] for line in lines] == [" reward +2.000", " reward +1.000", " reward 0"]


def test_random_samples_are_the_same_after_a_resume(tmp_path):
    def shown():
        lines = []
        state = RunState(None, Folder(tmp_path), CONFIG, lines.append, iteration=20)
        state.records = [record(env, 0, float(env)) for env in range(500)]
        SampleLogger(top=0, bottom=0, random=3).on_iteration_end(state)
        return lines

    assert shown() == shown()
    assert len(set(shown())) == 3


def test_a_sample_has_all_turns_and_is_harmless(tmp_path):
    folder = Folder(tmp_path)
    lines = []
    state = RunState(None, folder, CONFIG, lines.append, iteration=1)
    state.records = [
        record(0, 0, -1.0, "\x1b[2Jno\u202e", False),
        record(1, 0, 0.0, "x" * 5_000),
        record(0, 1, 2.0, "yes\nindeed"),
    ]
    SampleLogger(top=1, bottom=1, random=0, max_chars=100).on_iteration_end(state)
    text = folder.texts["samples.txt"]
    assert "=== iteration 1: top 1 of 2 episodes, reward +1.000, right, 2 turns\n" in text
    assert "--- turn 0: -1.000 [right -1.000, form 0 (invalid)]\n> 3+4=\n< \\x1b[2Jno\\u202e\n" in text
    assert "--- turn 1: +2.000 [right +2.000, form 0 (invalid)]\n> 3+4=\n< yes\n  indeed\n" in text
    assert "[... 4900 characters ...]" in text
    assert all("\x1b" not in line and "\n" not in line and len(line) < 400 for line in lines)


# --- reward hacking


def monitored(true, shaped, lengths=None, records=None, **params):
    """Feed a monitor and return it with the messages it gave."""
    lines = []
    components = {"right": SimpleNamespace(is_task=True), "form": SimpleNamespace(is_task=False)}
    state = run_state(components=components)
    state.log = lines.append
    monitor = HackMonitor(**params)
    for index, (t, s) in enumerate(zip(true, shaped, strict=True)):
        state.iteration = index + 1
        state.metrics = {"accuracy/train": t, "reward/total": s + 0.3, "reward/potential": 0.3}
        state.metrics["length/mean"] = 10.0 if lengths is None else lengths[index]
        state.records = [] if records is None else [records(index)]
        monitor.on_update_end(state)
    return monitor, lines, state


def curves(seed, length=200):
    """An over-optimisation curve: the metric rises, then falls; the reward always rises."""
    rng = np.random.default_rng(seed)
    time = np.arange(length)
    true = np.where(time < 80, 0.4 + 0.4 * time / 80, 0.8 - 0.5 * (time - 80) / 120)
    return true + 0.03 * rng.standard_normal(length), 0.01 * time + 0.05 * rng.standard_normal(length)


@pytest.mark.parametrize("seed", range(5))
def test_over_optimisation_is_noticed_soon_after_the_peak(seed):
    true, shaped = curves(seed)
    monitor, lines, state = monitored(true, shaped)
    assert monitor.alarms == ["divergence"]
    assert len(lines) == 1  # told once
    assert "the reward has risen from" in lines[0]
    assert state.metrics["hack/alarms"] == 1.0
    assert state.metrics["hack/divergence"] > 3.0
    early, _, _ = monitored(true[:85], shaped[:85])
    assert early.alarms == []
    soon, _, _ = monitored(true[:125], shaped[:125])
    assert soon.alarms == ["divergence"]


def test_noise_alone_gives_hardly_any_alarm():
    alarms = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        _, lines, _ = monitored(0.5 + 0.05 * rng.standard_normal(200), rng.standard_normal(200), min_drop=0.0)
        alarms += bool(lines)
    assert alarms <= 2


def test_learning_gives_no_alarm():
    rng = np.random.default_rng(0)
    rising = np.linspace(0.2, 0.9, 150) + 0.02 * rng.standard_normal(150)
    assert monitored(rising, 2 * rising)[1] == []
    falling = rising[::-1]
    assert monitored(falling, falling)[1] == []  # reward and metric fall together: bad, but no hacking


def test_longer_messages_that_are_no_better_are_noticed():
    rng = np.random.default_rng(0)
    flat = 0.5 + 0.02 * rng.standard_normal(60)
    lengths = np.linspace(10, 40, 60)
    monitor, lines, _ = monitored(flat, flat, lengths)
    assert monitor.alarms == ["length"]
    assert "messages have grown from 15 to 30 tokens" in lines[0]
    better = np.linspace(0.2, 0.8, 60) + 0.02 * rng.standard_normal(60)
    assert monitored(better, better, lengths)[0].alarms == []  # they may grow where the answers get better


def test_a_component_that_comes_to_make_up_the_reward_is_noticed():
    rng = np.random.default_rng(0)
    flat = 0.5 + 0.02 * rng.standard_normal(60)

    def of(share):
        return {"components": {"right": {"contribution": 1 - share}, "form": {"contribution": -share}}}

    monitor, lines, _ = monitored(flat, flat, records=lambda index: of(min(0.3 + index / 60, 0.95)))
    assert monitor.alarms == ["share form"]
    assert "component 'form' makes up 8" in lines[0]
    assert monitored(flat, flat, records=lambda index: of(0.9))[0].alarms == []  # it did from the start: a choice


def test_the_monitor_can_end_the_run():
    true, shaped = curves(0)
    _, _, state = monitored(true, shaped, action="stop")
    assert state.stop_reason.startswith("reward hacking? since iteration ")


# --- state


def test_state_makes_no_difference_to_going_on():
    """A callback that is saved, put through JSON and loaded in the middle does what one does that never stopped."""
    true, shaped = curves(1)
    whole, _, _ = monitored(true, shaped)
    first, _, _ = monitored(true[:70], shaped[:70])
    second = HackMonitor()
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    state = run_state(components={"right": SimpleNamespace(is_task=True), "form": SimpleNamespace(is_task=False)})
    for index in range(70, len(true)):
        state.iteration = index + 1
        state.metrics = {"accuracy/train": true[index], "reward/total": shaped[index] + 0.3, "reward/potential": 0.3}
        state.metrics["length/mean"] = 10.0
        second.on_update_end(state)
    assert second.state_dict() == whole.state_dict()


@pytest.mark.parametrize("callback", [KLEarlyStop(), TargetStop(0.9), BestModel(), HackMonitor()])
def test_states_are_plain_data(callback):
    callback.load_state_dict(json.loads(json.dumps(callback.state_dict())))


class Counter(Callback):
    def __init__(self, step=1):
        self.step = step
        self.count = 0

    def on_iteration_end(self, state):
        self.count += self.step

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


class Broken(Counter):
    def on_update_end(self, state):
        raise KeyError("no such thing")


def test_two_callbacks_of_one_class_get_their_own_states():
    callbacks = Callbacks([Counter(1), KLEarlyStop(), Counter(5)])
    callbacks.call("on_iteration_end", run_state())
    again = [Counter(1), Counter(5), KLEarlyStop()]
    Callbacks(again).load_state_dict(callbacks.state_dict())
    assert [again[0].count, again[1].count] == [1, 5]


def test_one_that_raises_is_named_and_the_others_go_on():
    counter, broken = Counter(), Broken()
    callbacks = Callbacks([broken, counter])
    state = run_state()
    state.iteration = 4
    for hook in ("on_update_end", "on_iteration_end"):
        callbacks.call(hook, state)
    assert counter.count == 1
    assert broken.count == 0  # called no more
    assert str(callbacks.failure) == "callback Broken failed in on_update_end at iteration 4: KeyError: 'no such thing'"
    assert isinstance(callbacks.failure.__cause__, KeyError)


def test_a_state_that_no_callback_takes_is_an_error_unless_callbacks_were_changed():
    states = Callbacks([Counter()]).state_dict()
    with pytest.raises(RunFolderError, match=r"state of a callback Counter.*resume\(callbacks="):
        Callbacks([]).load_state_dict(states)
    Callbacks([]).load_state_dict(states, all_must_be_here=False)


def test_a_state_that_cannot_be_loaded_is_the_callbacks_failure():
    with pytest.raises(CallbackError, match="callback Counter does not take its state from the checkpoint: KeyError"):
        Callbacks([Counter()]).load_state_dict([{"class": "Counter", "state": {"cuont": 1}}])


@pytest.mark.parametrize(
    "value", [np.float64(1.0), {1, 2}, object(), [np.zeros(2)], {"a": {"b": lambda: 0}}, {(1,): 2}]
)
def test_a_state_that_a_checkpoint_could_not_give_back_is_refused_when_it_is_saved(value):
    callback = Counter()
    callback.state_dict = lambda: {"it": value}
    callbacks = Callbacks([callback])
    assert callbacks.state_dict() == []
    assert "callback Counter failed in state_dict: TypeError: " in str(callbacks.failure)
    assert "is no plain data" in str(callbacks.failure)
