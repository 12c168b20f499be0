"""Environments tell a curriculum how their episodes end, whichever form they have."""

import json

import gymnasium as gym
import numpy as np
import pytest

from rlenvs.envs import TextEnv, TextVectorEnv, TokenEnv, TokenVectorEnv
from rlenvs.envs.byte_tokenizer import ByteTokenizer
from rlenvs.envs.protocols import make_protocol
from rlenvs.envs.suite import SuiteEnv, SuiteVectorEnv
from rlenvs.errors import ParameterError, UserError
from rlenvs.problems import CurriculumSource, MixtureSource, MultipleChoiceSource, Problem, TextPromptSource

MODES = ("SameStep", "NextStep", "Disabled")
TOKENS = {"context_tokens": 32, "max_response_tokens": 8}


def curriculum(**parameters):
    levels = [{"source": "arithmetic", "digits": digits} for digits in (1, 2, 3)]
    return CurriculumSource(sources=levels, **{"window": 4, "review": 0.0, **parameters})


def answer_to(task, number):
    """Right four times, wrong five times, and so on: the level goes up and down."""
    return task["gold"] if number % 9 < 4 else "no"


def levels_of_single(env, steps, last_seed=0):
    """Play; the level that each answer was given at."""
    levels = []
    _, info = env.reset(seed=last_seed)
    for number in range(steps):
        levels.append(info["task"]["curriculum_level"])
        _, _, terminated, truncated, info = env.step(answer_to(info["task"], number))
        if terminated or truncated:
            _, info = env.reset()
    return levels


def levels_of_vector(envs, steps):
    levels = []
    _, infos = envs.reset(seed=0)
    for number in range(steps):
        levels.append(int(infos["task"]["curriculum_level"][0]))
        answer = answer_to({"gold": infos["task"]["gold"][0]}, number)
        _, _, terminated, truncated, infos = envs.step([answer])
        if (terminated | truncated)[0] and envs.autoreset_mode.value == "NextStep":
            infos = envs.step([""])[-1]
        elif (terminated | truncated)[0] and envs.autoreset_mode.value == "Disabled":
            infos = envs.reset(options={"reset_mask": np.array([True])})[1]
    return levels


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("protocol", ["single", "retry"])
@pytest.mark.parametrize("limit", [None, 2])
def test_every_form_moves_the_level_alike(mode, protocol, limit):
    env = TextEnv(curriculum(), protocol=make_protocol(protocol))
    if limit:
        env = gym.wrappers.TimeLimit(env, limit)
    envs = TextVectorEnv(
        curriculum(), 1, max_episode_steps=limit, autoreset_mode=mode, protocol=make_protocol(protocol)
    )
    levels = levels_of_single(env, 60)
    assert {0, 1} <= set(levels)
    assert levels_of_vector(envs, 60) == levels
    assert envs.source.state_dict() == env.unwrapped.source.state_dict()


def test_rows_are_heard_in_their_order():
    envs = TextVectorEnv(curriculum(window=3), 4)
    _, infos = envs.reset(seed=0)
    _, _, _, _, infos = envs.step([infos["task"]["gold"][0], *infos["task"]["gold"][1:3], "no"])
    # Three right ones move the level up; the fourth is of the level before, and the next ones are of the new level.
    assert (envs.source.level, envs.source.outcomes) == (1, [])
    assert infos["task"]["curriculum_level"].tolist() == [1] * 4


def test_an_answer_beyond_the_length_limit_counts_as_wrong():
    envs = TextVectorEnv(curriculum(), 2, max_response_chars=3)
    envs.reset(seed=0)
    envs.step(["9" * 10, "no"])
    assert envs.source.outcomes == [0.0, 0.0]


@pytest.mark.parametrize("form", ["single", "vector"])
def test_the_token_level_reports_whole_messages(form):
    tokenizer, source = ByteTokenizer(), curriculum(window=50)
    if form == "single":
        env = TokenEnv(TextEnv(source), tokenizer, **TOKENS)
    else:
        env = TokenVectorEnv(source, tokenizer, 1, **TOKENS)
    for number in range(6):
        _, info = env.reset(seed=number)
        gold = info["task"]["gold"] if form == "single" else info["task"]["gold"][0]
        for token in [*tokenizer.encode(gold if number % 2 else "x"), tokenizer.eos_token_id]:
            env.step(token if form == "single" else np.array([token]))
    assert source.outcomes == [0.0, 1.0] * 3


@pytest.mark.parametrize("form", [SuiteEnv, SuiteVectorEnv])
def test_a_saved_environment_goes_on_at_its_level(form):
    def made():
        several = {"num_envs": 3} if form is SuiteVectorEnv else {}
        sources = [{"source": "arithmetic", "digits": digits} for digits in (1, 2, 3)]
        return form({"name": "curriculum", "sources": sources, "window": 5}, **several)

    def play(env, infos, steps):
        seen = []
        for number in range(steps):
            golds = infos["task"]["gold"]
            answers = [answer_to({"gold": gold}, number) for gold in ([golds] if form is SuiteEnv else golds)]
            observation, *_, infos = env.step(answers[0] if form is SuiteEnv else answers)
            if form is SuiteEnv:
                observation, infos = env.reset()
            seen.append((observation, env.source.level, len(env.source.outcomes)))
        return seen, infos

    env = made()
    _, infos = play(env, env.reset(seed=3)[1], 7)
    state = json.loads(json.dumps(env.state_dict()))
    assert state["source"] == env.source.state_dict() != made().source.state_dict()
    other = made()
    other.reset(seed=99)
    other.load_state_dict(state)
    assert play(other, infos, 20)[0] == play(env, infos, 20)[0]
    with pytest.raises(UserError, match="not a state of a curriculum"):
        other.load_state_dict({key: value for key, value in state.items() if key != "source"})


def test_what_is_held_out_teaches_nothing_and_keeps_no_state():
    source = curriculum(window=1)
    envs = TextVectorEnv(source, 4, split="held_out")
    _, infos = envs.reset(seed=0)
    for _ in range(5):
        infos = envs.step(list(infos["task"]["gold"]))[-1]
    assert (source.level, envs.state_dict()["source"]) == (0, {})
    single = TextEnv(source, split="held_out")
    _, info = single.reset(seed=0)
    single.step(info["task"]["gold"])
    assert source.level == 0


def test_an_episode_that_is_left_counts_once_it_has_an_answer():
    source = curriculum(window=50)
    env = TextEnv(source, protocol=make_protocol("retry"))
    env.reset(seed=0)
    env.reset()
    assert source.outcomes == []
    env.step("no")
    assert source.outcomes == []
    env.reset()
    assert source.outcomes == [0.0]


def test_problems_of_others_are_played_and_not_counted():
    source = curriculum(window=1)
    task = {"type": "math", "question": "2+3=", "gold": "5", "extract": "whole"}
    made = Problem(id="toy:1", prompt="2+3=", task=task, demonstration="5")
    foreign = Problem(id="toy:1", prompt="2+3=", task=task, demonstration="5", split="train")
    env, envs = TextEnv(source), TextVectorEnv(source, 2)
    for problem in (made, foreign):
        env.reset(options={"problem": problem})
        assert env.step("5")[1] == 1.0
    envs.reset(options={"problems": [made, foreign]})
    assert envs.step(["5", "5"])[1].tolist() == [1.0, 1.0]
    assert (source.level, source.outcomes) == (0, [])


def test_a_mixture_passes_reports_on_to_its_curriculum():
    inner = curriculum(window=50)
    env = TextEnv(MixtureSource([inner, "countdown"]))
    kinds = set()
    for seed in range(30):
        _, info = env.reset(seed=seed)
        kinds.add(info["task"]["type"])
        env.step(env.episode.problem.demonstration)
    assert kinds == {"math", "countdown"}
    assert 0 < len(inner.outcomes) < 30
    assert env.state_dict()["source"] == inner.state_dict()
    fresh = TextEnv(MixtureSource([curriculum(window=50), "countdown"]))
    fresh.load_state_dict(env.state_dict())
    assert fresh.source.state_dict() == inner.state_dict()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MixtureSource([curriculum(), curriculum()]), "sources must not have more than one curriculum"),
        (lambda: CurriculumSource(sources=["algebra", curriculum()]), r"sources\[1\] must not be a curriculum itself"),
        (lambda: CurriculumSource(curriculum()), "source must not be a curriculum itself"),
        (lambda: MultipleChoiceSource(curriculum()), "source must not be a curriculum: make a curriculum of multiple"),
    ],
)
def test_curricula_that_could_not_be_told_apart_are_refused(make, message):
    with pytest.raises(ParameterError, match=message):
        make()


def test_the_source_brings_its_grader():
    env = TextEnv(TextPromptSource(["Describe a bridge."], held_out_fraction=0.0))
    env.reset(seed=0)
    assert env.step("It is long.")[1] == 0.0
    envs = TextVectorEnv(TextPromptSource(["Describe a bridge."], held_out_fraction=0.0), 2)
    envs.reset(seed=0)
    assert envs.step(["It is long.", ""])[-1]["final_info"]["grade_status"].tolist() == ["ok", "invalid"]


def test_a_source_that_adapts_must_listen():
    class Deaf(TextPromptSource):
        adapts = True

    env = TextEnv(Deaf(["Describe a bridge."], held_out_fraction=0.0))
    env.reset(seed=0)
    with pytest.raises(TypeError, match="Deaf adapts: it must define episode_ended"):
        env.step("It is long.")
    with pytest.raises(UserError, match="TextPromptSource has no state, got"):
        TextPromptSource(["Describe a bridge."]).load_state_dict({"level": 1})
