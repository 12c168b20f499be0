import random
import re
import subprocess
import sys
import threading

import gymnasium as gym
import numpy as np
import pytest

import rlenvs
from rlenvs.envs import Protocol, SuiteEnv, SuiteVectorEnv, TextEnv, Turn
from rlenvs.errors import UserError
from rlenvs.problems import ArithmeticSource
from rlenvs.testing import CHECKS, check_text_env


class ThreeTries(Protocol):
    def respond(self, problem, turn, grade):
        return Turn("" if grade.correct or turn >= 3 else "again", grade.correct or turn >= 3)


class Sound(TextEnv):
    """An environment of more than one turn with nothing wrong; the defects below are added to it."""

    def __init__(self, render_mode=None):
        super().__init__(ArithmeticSource(digits=1), protocol=ThreeTries(), render_mode=render_mode)


class TextReward(Sound):
    def step(self, action):
        observation, reward, *rest = super().step(action)
        return observation, str(reward), *rest


class NotANumberReward(Sound):
    def step(self, action):
        observation, _, *rest = super().step(action)
        return observation, float("nan"), *rest


class TruthReward(Sound):
    def step(self, action):
        observation, reward, *rest = super().step(action)
        return observation, bool(reward), *rest


class NumpyFlag(Sound):
    def step(self, action):
        observation, reward, terminated, *rest = super().step(action)
        return observation, reward, np.bool_(terminated), *rest


class ObservationOutside(Sound):
    def step(self, action):
        observation, *rest = super().step(action)
        return observation or None, *rest


class FourValues(Sound):
    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward, terminated or truncated, info


class ResetWithoutInfo(Sound):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed, options=options)[0]


class ResetWithoutOptions(Sound):
    def reset(self, *, seed=None):
        return super().reset(seed=seed)


class SeedIgnored(Sound):
    def reset(self, *, seed=None, options=None):
        return super().reset(options=options)


class OneSeedForAll(Sound):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=None if seed is None else 5, options=options)


class Unpicklable(Sound):
    def __init__(self, render_mode=None):
        super().__init__(render_mode)
        self.lock = threading.Lock()


class SmallSpace(Sound):
    def __init__(self, render_mode=None):
        super().__init__(render_mode)
        self.action_space = gym.spaces.Text(3)
        self.action_space.contains = lambda x: False


class Unseeded(Sound):
    def reset(self, *, seed=None, options=None):
        observation, info = super().reset(seed=seed, options=options)
        return observation, {**info, "here": id(self)}


class GlobalDraw(Sound):
    def reset(self, *, seed=None, options=None):
        observation, info = super().reset(seed=seed, options=options)
        return observation, {**info, "draw": random.random()}


class GlobalNumpyDraw(Sound):
    def step(self, action):
        *rest, info = super().step(action)
        return *rest, {**info, "draw": np.random.random()}


class ObjectInInfo(Sound):
    def reset(self, *, seed=None, options=None):
        observation, info = super().reset(seed=seed, options=options)
        return observation, {**info, "problem": Sound}


class NotANumber(Sound):
    def reset(self, *, seed=None, options=None):
        observation, info = super().reset(seed=seed, options=options)
        return observation, {**info, "judge": float("nan")}


class SharedInfo(Sound):
    def reset(self, *, seed=None, options=None):
        observation, info = super().reset(seed=seed, options=options)
        info["task"] = self.episode.problem.task
        return observation, info


class BothFlags(Sound):
    def step(self, action):
        observation, reward, terminated, _, info = super().step(action)
        return observation, reward, terminated, terminated, info


class GoesOnAfterTheEnd(Sound):
    def step(self, action):
        if self.episode is not None:
            self.episode.over = False
        return super().step(action)


class ClosesOnce(Sound):
    def close(self):
        if getattr(self, "closed", False):
            raise RuntimeError("closed already")
        self.closed = True


class FreshCopies(Sound):
    def __deepcopy__(self, memory):
        copied = type(self)()
        copied.reset(seed=0)
        return copied


class ForgetsItsGenerator(Sound):
    def load_state_dict(self, state):
        generator = self.np_random
        super().load_state_dict(state)
        self.np_random = generator


class RawRendering(Sound):
    def render(self):
        return "\n".join(message["content"] for message in self.episode.messages)


class FailsOnNul(Sound):
    def step(self, action):
        if isinstance(action, str) and "\x00" in action:
            raise RuntimeError("NUL")
        return super().step(action)


class TakesEverything(Sound):
    def step(self, action):
        return super().step(str(action))


class CountsRefusedActions(Sound):
    def step(self, action):
        if self.episode is not None and not isinstance(action, str):
            self.episode.turns += 1
        return super().step(action)


class OtherSeeds(SuiteVectorEnv):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=None if seed is None else seed + 1, options=options)


def registered(name, **arguments):
    gym.registry.pop(name, None)
    gym.register(name, **arguments)
    return name


DEFECTS = {
    TextReward: "reset_and_step_keep_their_contract",
    NotANumberReward: "reset_and_step_keep_their_contract",
    TruthReward: "reset_and_step_keep_their_contract",
    NumpyFlag: "reset_and_step_keep_their_contract",
    ObservationOutside: "reset_and_step_keep_their_contract",
    FourValues: "reset_and_step_keep_their_contract",
    ResetWithoutInfo: "reset_and_step_keep_their_contract",
    ResetWithoutOptions: "reset_and_step_keep_their_contract",
    SeedIgnored: "seeds_decide_everything",
    OneSeedForAll: "seeds_lead_to_different_episodes",
    Unpicklable: "copies_go_on_alone",
    SmallSpace: "actions_belong_to_their_space",
    Unseeded: "seeds_decide_everything",
    GlobalDraw: "global_randomness_is_left_alone",
    GlobalNumpyDraw: "global_randomness_is_left_alone",
    ObjectInInfo: "infos_are_plain",
    NotANumber: "infos_are_plain",
    SharedInfo: "infos_belong_to_the_caller",
    BothFlags: "episodes_end_in_one_way",
    GoesOnAfterTheEnd: "steps_need_an_open_episode",
    ClosesOnce: "closing_twice_is_fine",
    FreshCopies: "copies_go_on_alone",
    ForgetsItsGenerator: "saved_states_resume",
    FailsOnNul: "hostile_actions_score",
    TakesEverything: "wrong_actions_are_refused",
    CountsRefusedActions: "wrong_actions_are_refused",
}
BY_ID = {"the_specification_survives_json", "rendering_is_safe_to_print", "vector_rows_are_single_environments"}


def failed(error):
    return re.findall(r"^  (\w+): ", str(error.value), flags=re.MULTILINE)


def test_a_sound_environment_passes():
    report = check_text_env(Sound)
    assert report.keys() == CHECKS.keys()
    assert {name for name, result in report.items() if result != "passed"} == BY_ID
    assert check_text_env(Sound()) == report


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.__name__)
def test_each_defect_is_found_by_its_check(defect):
    with pytest.raises(AssertionError, match=rf"^{defect.__name__}: \d+ of {len(CHECKS)} checks failed") as error:
        check_text_env(defect)
    assert DEFECTS[defect] in failed(error)


@pytest.mark.parametrize(
    ("defect", "message"),
    [
        (NotANumberReward, "step 1: the reward must be a finite float, got nan"),
        (TruthReward, "step 1: the reward must be a finite float, got False"),
        (NumpyFlag, "step 1: terminated must be a bool, got numpy.bool"),
        (ObservationOutside, "gives None, not in the observation space"),
        (
            FourValues,
            r"step\(\) must return .* got \(str, float, bool, dict\); the checks after this one have not been run",
        ),
        (ResetWithoutInfo, r"reset\(\) must return \(observation, info\), got str; "),
        (ResetWithoutOptions, "unexpected keyword argument 'options'"),
        (OneSeedForAll, "all of 20 seeds the same one; it must use its seed"),
        (Unpicklable, "copies_go_on_alone: a deep copy of the environment fails: TypeError: cannot pickle"),
    ],
)
def test_a_finding_says_what_is_wrong(defect, message):
    with pytest.raises(AssertionError, match=message):
        check_text_env(defect)


def test_an_environment_of_one_episode_is_told_so():
    class OneEpisode(Sound):
        def reset(self, *, seed=None, options=None):
            return super().reset(seed=5, options=options)

    assert check_text_env(OneEpisode, skip=["copies_go_on_alone"])["seeds_lead_to_different_episodes"] == (
        "all of 20 seeds open the same episode, and so does reset() without one"
    )


def test_every_check_has_a_defect_that_it_finds():
    assert {*DEFECTS.values(), *BY_ID} == CHECKS.keys()


def test_a_specification_that_is_no_json_is_found():
    name = registered("check/NoJson-v0", entry_point=Sound)
    with pytest.raises(AssertionError, match="the_specification_survives_json: ") as error:
        check_text_env(name)
    assert failed(error) == ["the_specification_survives_json"]


def test_a_rendering_that_acts_on_the_terminal_is_found():
    name = registered("check/Raw-v0", entry_point=RawRendering)
    with pytest.raises(AssertionError, match=r"rendering_is_safe_to_print: the rendered text holds '\\x1b'"):
        check_text_env(name, skip=["the_specification_survives_json"])


def test_a_vector_form_that_is_no_row_of_singles_is_found():
    name = registered("check/Rows-v0", entry_point=SuiteEnv, vector_entry_point=OtherSeeds)
    with pytest.raises(AssertionError, match="vector_rows_are_single_environments: row 0, SameStep, reset") as error:
        check_text_env(name, kwargs={"digits": 1}, skip=["the_specification_survives_json"])
    assert len(failed(error)) == 1


def test_wrong_arguments_are_named():
    with pytest.raises(
        UserError, match="skip: unknown check 'closing_twice_is_fin'; did you mean 'closing_twice_is_fine'"
    ):
        check_text_env(Sound, skip=["closing_twice_is_fin"])
    with pytest.raises(UserError, match="kwargs: only for an id"):
        check_text_env(Sound, kwargs={"digits": 1})
    with pytest.raises(UserError, match="env must be an id, an environment or a function"):
        check_text_env(5)


def test_the_suite_needs_no_test_framework():
    code = "import sys, rlenvs.testing; assert not {'pytest', 'torch'} & set(sys.modules)"
    assert rlenvs.__version__
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
