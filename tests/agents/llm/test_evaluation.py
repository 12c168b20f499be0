"""Evaluations play whole episodes, in chunks, within the run's limits."""

import numpy as np
import pytest
import torch
from scripted_policy import ScriptedEngine, scripted
from tiny import tiny_policy

from rlenvs.agents.llm.config import SamplingConfig
from rlenvs.agents.llm.engines import GenerateEngine, SamplingParams
from rlenvs.agents.llm.evaluation import Examination, HeldOutEvaluation, held_out_problems
from rlenvs.agents.llm.rollout.chat import ChatFormat
from rlenvs.agents.llm.rollout.limits import Limits
from rlenvs.envs.protocol import Protocol, Turn
from rlenvs.envs.protocols import Retry
from rlenvs.envs.text_vector_env import TextVectorEnv
from rlenvs.errors import DataError
from rlenvs.problems import ArithmeticSource

SOURCE = ArithmeticSource(digits=1, operators="+")
PROBLEMS = SOURCE.problems("train", limit=7, seed=0)
WRONG = "- not right"


def examination(protocol=None, chunk=512, problems=PROBLEMS):
    found = Examination("rlenvs/Arithmetic-v0", {"digits": 1, "operators": "+"}, problems, chunk)
    rows = found.envs.num_envs
    found.envs = TextVectorEnv(SOURCE, rows, autoreset_mode="Disabled", protocol=protocol)
    return found


def total(text):
    first, second = text.partition("=")[0].split("+")
    return str(int(first) + int(second))


def mark(found, script, limits=None, temperature=0.0, length=8):
    policy, engine = scripted(script)
    generator = torch.Generator().manual_seed(0)
    chat = ChatFormat(policy.tokenizer)
    return found.mark(policy, engine, chat, SamplingParams(length, temperature), generator, limits), engine


def attempts(text):
    """Wrong the first time, right from the second on; the feedback of `Retry` says how many are left."""
    return "0" if text.endswith("=") else total(text)


feedback = {"wrong": "-1+", "unreadable": "-1+"}


@pytest.mark.parametrize("chunk", [512, 3, 1])
def test_the_last_answer_counts_and_the_first_is_told_apart(chunk):
    marks, engine = mark(examination(Retry(attempts=3, discount=0.5, feedback=feedback), chunk), attempts)
    assert marks.correct.tolist() == [True] * 7
    assert marks.first.tolist() == [False] * 7
    assert marks.rewards.tolist() == [0.5] * 7
    assert marks.turns.tolist() == [2] * 7
    assert not marks.cut.any()
    assert sum(map(len, engine.calls)) == 14
    assert max(map(len, engine.calls)) == min(chunk, 7)
    for first, second in zip(engine.calls[0], engine.calls[1], strict=True):
        assert second[: len(first)] == first  # nothing that was said is rendered again


def test_answers_are_those_of_the_problems_in_their_order():
    right = {problem.prompt for problem in PROBLEMS[::2]}
    marks, _ = mark(examination(chunk=4), lambda text: total(text) if text in right else "x")
    assert marks.correct.tolist() == [True, False] * 3 + [True]


def test_chunks_change_no_sample():
    policy = tiny_policy()
    problems = SOURCE.problems("train", limit=30, seed=1)
    found = []
    for chunk in (512, 7):
        generator = torch.Generator().manual_seed(3)
        marks = examination(Retry(attempts=1), chunk, problems).mark(
            policy, GenerateEngine(policy), ChatFormat(policy.tokenizer), SamplingParams(3), generator
        )
        found.append((marks.correct.tolist(), marks.cut.tolist()))
    assert found[0] == found[1]
    assert any(found[0][1])


class Endless(Protocol):
    """Never ends, and pays a point for every message."""

    def respond(self, problem, turn, grade):
        return Turn("1", False, reward=1.0)


def test_the_runs_limits_cut_as_in_training():
    marks, _ = mark(examination(Endless()), lambda text: "7", Limits(8, None, 5))
    assert marks.turns.tolist() == [5] * 7
    assert marks.rewards.tolist() == [5.0] * 7
    assert marks.cut.all()
    # 4 tokens of prompt, then 2 + 1 in each turn: the fourth message has one token left of its 2.
    marks, engine = mark(examination(Endless(), 3), lambda text: "7", Limits(4, 15, 50))
    assert marks.turns.tolist() == [4] * 7
    assert all(len(prompt) <= 15 for call in engine.calls for prompt in call)
    # Without limits of a run: those of the model and the usual number of turns.
    marks, _ = mark(examination(Endless()), lambda text: "7")
    assert (marks.turns <= 64).all()


def test_a_prompt_that_cannot_be_asked_names_the_problem():
    chat = ChatFormat(tiny_policy().tokenizer)
    examination().check_prompts(chat, Limits(4, 8))
    with pytest.raises(DataError, match=r"prompt of problem 'arithmetic:\d\+\d' has 4 tokens, it must have 1 to 3"):
        examination(chunk=2).check_prompts(chat, Limits(4, 7))


def evaluate(found, script, **sampling):
    policy, engine = scripted(script)
    chat = ChatFormat(policy.tokenizer)
    config = SamplingConfig(**{"max_new_tokens": 8, "context_tokens": 200} | sampling)
    return HeldOutEvaluation(found, chat, config, seed=0)(policy, engine), engine


def test_numbers_of_several_turns():
    metrics, engine = evaluate(
        examination(Retry(attempts=3, discount=0.5, feedback=feedback)), attempts, stop=["77"], temperature=0.5
    )
    assert metrics == {
        "accuracy/greedy": 1.0,
        "accuracy/greedy_stderr": 0.0,
        "accuracy/first": 0.0,
        "return/greedy": 0.5,
        "accuracy/sampled": 1.0,
        "accuracy/sampled_stderr": 0.0,
        "accuracy/first_sampled": 0.0,
        "return/sampled": 0.5,
        "accuracy/problems": 7,
    }
    assert [{(p.temperature, p.stop) for p in call} for call in engine.params] == [
        {(t, ("77",))} for t in (0, 0, 0.5, 0.5)
    ]


def test_numbers_of_one_turn_have_no_first():
    metrics, _ = evaluate(examination(), total)
    assert not any("first" in key for key in metrics)
    assert (metrics["accuracy/greedy"], metrics["return/greedy"]) == (1.0, 1.0)


def test_an_environment_that_does_not_say_what_is_correct_has_a_return_only():
    found = examination(Endless())
    step = found.envs.step

    def silent(actions):
        *rest, infos = step(actions)
        return *rest, {key: value for key, value in infos.items() if key not in ("correct", "_correct")}

    found.envs.step = silent
    metrics, _ = evaluate(found, lambda text: "7", max_turns=3)
    assert metrics == {"return/greedy": 3.0, "return/sampled": 3.0, "accuracy/problems": 7}


def test_an_environments_temperature_is_not_that_of_an_evaluation():
    class Hot(Protocol):
        def info(self, episode):
            return {"sampling": {"temperature": 3.0, "max_new_tokens": 2}}

    _, engine = mark(examination(Hot()), total, temperature=0.0)
    assert {(p.temperature, p.max_new_tokens) for p in engine.params[0]} == {(0.0, 2)}


def test_held_out_problems_of_a_retry_environment():
    problems = held_out_problems("rlenvs/MathRetry-v0", {}, 5, seed=0)
    found = Examination("rlenvs/MathRetry-v0", {}, problems, chunk=2)
    policy = tiny_policy()
    engine = ScriptedEngine(policy, lambda text: "1")
    marks = found.mark(policy, engine, ChatFormat(policy.tokenizer), SamplingParams(4, 0.0), torch.Generator())
    assert marks.turns.max() > 1
    assert np.array_equal(marks.correct, marks.rewards > 0)
