"""Where demonstrations come from, and what is refused, with its place."""

import json
from pathlib import Path

import pytest

from rlenvs.agents.llm.config import EnvConfig
from rlenvs.agents.llm.sft.config import DataConfig, SFTConfig, load_language_model_run
from rlenvs.agents.llm.sft.data import (
    check_messages,
    demonstrations_of_env,
    demonstrations_of_jsonl,
    demonstrations_of_rollouts,
    read_demonstrations,
)
from rlenvs.errors import ConfigError, DataError, RunFolderError

TALK = [{"role": "user", "content": "2+2="}, {"role": "assistant", "content": "4"}]


def written(path: Path, *rows: object) -> Path:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


def test_both_forms_of_a_line_are_the_same_conversation(tmp_path):
    path = written(
        tmp_path / "talks.jsonl",
        {"messages": TALK, "source": "a book"},
        "",
        {"prompt": "2+2=", "response": "4"},
        {"prompt": TALK[:1], "response": "4"},
    )
    found = list(demonstrations_of_jsonl(path))
    assert [one.messages for one in found] == [TALK] * 3
    assert [one.where for one in found] == [f"{path}:{line}" for line in (1, 3, 4)]
    assert list(found[0].opening) == TALK[:1]
    config = DataConfig(source="jsonl", path=str(path), limit=2)
    assert len(read_demonstrations(config, None, 0)) == 2


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "not JSON"),
        ("[1]", "expected an object"),
        ({"text": "hello"}, "expected the field 'messages', or 'prompt' and 'response' .found: text."),
        ({"prompt": "2+2="}, "field 'response' is missing"),
        ({"prompt": "2+2=", "response": 4}, "field 'response': expected text, got 4"),
        ({"prompt": 3, "response": "4"}, "expected a list of messages"),
        ({"messages": "hello"}, "expected a list of messages"),
        ({"messages": []}, "nothing to imitate"),
        ({"messages": TALK[:1]}, "no message of the assistant"),
        ({"messages": TALK[1:]}, r"messages\[0\]: a message of the assistant follows nothing"),
        ({"messages": [*TALK, TALK[1]]}, r"messages\[2\]: a message of the assistant follows another"),
        ({"messages": [{"role": "human", "content": "hi"}]}, "role: expected one of system, user, assistant, tool"),
        ({"messages": [{"role": "user", "content": None}]}, "content: expected text, got null"),
        ({"messages": ["hello"]}, r"messages\[0\]: expected an object with role and content"),
    ],
)
def test_a_bad_line_is_named_by_file_and_line(tmp_path, row, message):
    path = written(tmp_path / "talks.jsonl", {"messages": TALK}, row)
    with pytest.raises(DataError, match=f"talks.jsonl:2: .*{message}") as caught:
        list(demonstrations_of_jsonl(path))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_absent_or_empty(tmp_path):
    with pytest.raises(DataError, match=r"none\.jsonl: no such file"):
        list(demonstrations_of_jsonl(tmp_path / "none.jsonl"))
    empty = DataConfig(source="jsonl", path=str(written(tmp_path / "empty.jsonl")))
    with pytest.raises(DataError, match=r"empty\.jsonl: there is nothing to imitate"):
        read_demonstrations(empty, None, 0)


def turn(env: int, turn: int, prompt: str, response: str, reward: float, **others: object) -> dict[str, object]:
    """A line of `rollouts.jsonl`."""
    return {
        "iteration": 1, "env": env, "turn": turn, "problem_id": f"p{env % 2}", "prompt": prompt, "response": response,
        "tokens": 2, "finish": "stop", "correct": reward > 0, "reward": reward + 0.5, "env_reward": reward,
        "terminated": True, "truncated": False, "info": {},
    } | others  # fmt: skip


ROLLOUTS = [
    turn(0, 0, "1+1=", "2", 1.0, opening=[{"role": "system", "content": "Add."}, {"role": "user", "content": "1+1="}]),
    turn(1, 0, "1+2=", "5", 0.0, terminated=False),
    turn(2, 0, "1+1=", "two", 0.25),
    turn(3, 0, "1+2=", "3333", 1.0, finish="length"),
    turn(1, 1, "Wrong.", "3", 1.0),
    turn(
        0,
        0,
        "1+1=",
        "2",
        1.0,
        iteration=2,
        opening=[{"role": "system", "content": "Add."}, {"role": "user", "content": "1+1="}],
    ),
    turn(1, 0, "1+2=", "3", 1.0, iteration=2),
    turn(2, 0, "1+1=", "2.", 0.75, iteration=2, terminated=False, next_prompt="Again?"),
    turn(3, 0, "1+2=", "4", 0.0, iteration=2),
]


def answers(path: Path, **settings: object) -> list[list[str]]:
    config = DataConfig(source="rollouts", path=str(path), **settings)
    return [[message["content"] for message in one.messages] for one in demonstrations_of_rollouts(path, config)]


def test_rollouts_are_put_together_and_those_that_earned_enough_are_kept(tmp_path):
    """Each once; none that a limit cut; turns of several episodes lie between each other in the file."""
    path = written(tmp_path / "rollouts.jsonl", *ROLLOUTS)
    assert answers(path, min_reward=1.0) == [
        ["Add.", "1+1=", "2"],
        ["1+2=", "5", "Wrong.", "3"],
        ["1+2=", "3"],
    ]
    assert answers(path, min_reward=0.25) == [
        ["Add.", "1+1=", "2"],
        ["1+1=", "two"],
        ["1+2=", "5", "Wrong.", "3"],
        ["1+2=", "3"],
    ]
    assert answers(path, best_of=1) == [["Add.", "1+1=", "2"], ["1+2=", "5", "Wrong.", "3"]]
    assert answers(path, best_of=1, reward="shaped") == [["Add.", "1+1=", "2"], ["1+2=", "5", "Wrong.", "3"]]
    assert answers(path, min_reward=2.0, reward="shaped") == [["1+2=", "5", "Wrong.", "3"]], "0.5 per turn of shaping"
    assert answers(tmp_path, min_reward=1.0) == answers(path, min_reward=1.0), "a run folder is as good as its file"


def test_a_torn_last_line_is_what_a_killed_run_leaves(tmp_path):
    path = written(tmp_path / "rollouts.jsonl", ROLLOUTS[0])
    path.write_text(path.read_text() + '{"iteration": 2, "env')
    assert answers(path, min_reward=1.0) == [["Add.", "1+1=", "2"]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROLLOUTS[:4], r"none of 4 episodes \(2 of them not cut\) earned data.min_reward=7.0; the best earned 1"),
        ([ROLLOUTS[3]], r"none of 1 episodes ended by itself: a limit cut each of them"),
        ([ROLLOUTS[4]], r"rollouts.jsonl:1: turn 1 of an episode whose first turn is not in the file"),
        ([{"prompt": "2+2=", "response": "4"}], r"rollouts.jsonl:1: no turn of a run"),
        ([turn(0, 0, "1+1=", "2", 1.0, env_reward=None)], r"rollouts.jsonl:1: the env reward .* is not stored"),
        ([{**ROLLOUTS[0], "response": 5}], r"rollouts.jsonl:1: field 'response': expected text, got 5"),
    ],
)
def test_rollouts_that_cannot_be_used(tmp_path, rows, message):
    path = written(tmp_path / "rollouts.jsonl", *rows)
    with pytest.raises(DataError, match=message):
        answers(path, min_reward=7.0)


def test_a_folder_without_rollouts(tmp_path):
    with pytest.raises(RunFolderError, match=r"no rollouts\.jsonl in it"):
        answers(tmp_path, min_reward=1.0)


def test_an_environment_shows_its_training_problems_only():
    env = EnvConfig(id="rlenvs/Arithmetic-v0", kwargs={"digits": 1})
    shown = {one.messages[0]["content"] for one in demonstrations_of_env(env, 1_000, 0)}
    from rlenvs.problems import ArithmeticSource

    source = ArithmeticSource(digits=1)
    assert shown == {problem.prompt for problem in source.problems("train")}
    assert not shown & {problem.prompt for problem in source.problems("held_out")}


def test_an_environment_of_several_turns_shows_whole_conversations():
    (one, *_) = demonstrations_of_env(EnvConfig(id="rlenvs/MathSteps-v0"), 3, 0)
    roles = [message["role"] for message in one.messages]
    assert roles == ["user", "assistant"] * (len(roles) // 2)
    assert len(roles) >= 4
    assert one.messages[-1]["content"].startswith("####")


def test_an_environment_that_cannot_show_how_it_is_done():
    with pytest.raises(ConfigError, match=r"rlenvs/TextGeneration-v0"):
        demonstrations_of_env(EnvConfig(id="rlenvs/TextGeneration-v0"), 3, 0)
    with pytest.raises(ConfigError, match="Did you mean: `Arithmetic`"):
        demonstrations_of_env(EnvConfig(id="rlenvs/Arithmetc-v0"), 3, 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "env: must name the environment that shows demonstrations"),
        ({"data": {"source": "jsonl"}}, "data.path: must name what source 'jsonl' reads"),
        ({"data": {"path": "x"}, "env": {"id": "x"}}, "data.path: source 'env' reads no file"),
        ({"data": {"source": "rollouts", "path": "x"}}, "data.min_reward: must say which rollouts are good enough"),
        ({"data": {"source": "jsonl", "path": "x", "best_of": 2}}, "data.best_of: only rollouts have rewards"),
        ({"env": {"id": "x", "kwargs": {"split": "held_out"}}}, "env.kwargs.split: is not yours to set"),
        ({"data": {"source": "jsonl", "path": "x"}, "sft": {"target_accuracy": 0.5}}, "needs an environment"),
        ({"env": {"id": "x"}, "sft": {"target_accuracy": 0.5, "max_accuracy": 0.4}}, "max_accuracy: must be >= target"),
        ({"env": {"id": "x"}, "rollout": {"max_new_tokens": 2000}}, "rollout.max_new_tokens: must be < "),
        (
            {"env": {"id": "x"}, "policy": {"adapter": {}}},
            "policy.adapter: the embedded policy starts from random weights",
        ),
        (
            {"env": {"id": "x"}, "memory": {"offload_reference": True}},
            "memory.offload_reference: is for runs with rollouts",
        ),
        (
            {"env": {"id": "x"}, "distributed": {"strategy": "fsdp2"}},
            "distributed.strategy: must be .ddp. in a supervised run",
        ),
        ({"env": {"id": "x"}, "ppo": {}}, "unknown key 'ppo'"),
    ],
)
def test_a_configuration_that_contradicts_itself(settings, message):
    with pytest.raises(ConfigError, match=message):
        SFTConfig.load(settings)


def test_a_run_folder_says_which_kind_of_run_it_is(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("env: {id: x}\nsft: {epochs: 2}\n")
    found = load_language_model_run(path)
    assert isinstance(found, SFTConfig)
    assert found.sft.epochs == 2


def test_messages_are_copied_without_what_nobody_reads():
    given = [{"role": "user", "content": "hi", "name": "Ann"}, {"role": "assistant", "content": "hello", "weight": 1}]
    assert check_messages(given, "here") == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello"},
    ]
