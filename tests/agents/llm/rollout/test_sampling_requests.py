"""What an environment may ask of the next message."""

import pytest
import torch
from scripted_policy import ScriptedEngine
from tiny import tiny_policy

from rlenvs.agents.llm.config import RolloutConfig
from rlenvs.agents.llm.engines import GenerateEngine, SamplingParams
from rlenvs.agents.llm.rollout.chat import ChatFormat
from rlenvs.agents.llm.rollout.collect import RolloutCollector
from rlenvs.agents.llm.rollout.requests import requested
from rlenvs.envs.protocol import Protocol, Turn
from rlenvs.envs.text_vector_env import TextVectorEnv
from rlenvs.errors import DataError
from rlenvs.problems import ArithmeticSource
from rlenvs.wrappers import VectorShapedReward

USUAL = SamplingParams(8, 0.7, stop=("###",))


def test_wishes_are_carried_out_within_the_runs_limits():
    assert requested(None, USUAL, "p") is USUAL
    assert requested({}, USUAL, "p") == USUAL
    assert requested({"max_new_tokens": 3}, USUAL, "p") == SamplingParams(3, 0.7, ("###",))
    assert requested({"max_new_tokens": 300}, USUAL, "p").max_new_tokens == 8
    assert requested({"stop": "</a>"}, USUAL, "p").stop == ("###", "</a>")
    assert requested({"stop": ["</a>", "###"]}, USUAL, "p").stop == ("###", "</a>")
    assert requested({"temperature": 0.7, "stop": None}, USUAL, "p") == USUAL
    assert requested({"temperature": 1.5}, USUAL, "p", "any").temperature == 1.5
    assert requested({"temperature": 1.5}, USUAL, "p", "ignored") == USUAL


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        (7, "must be a mapping with some of max_new_tokens, stop, temperature, got 7"),
        ({"max_tokens": 3}, "unknown key 'max_tokens'; did you mean 'max_new_tokens'"),
        ({"max_new_tokens": 0}, "max_new_tokens must be a whole number >= 1, got 0"),
        ({"max_new_tokens": True}, "max_new_tokens must be a whole number >= 1, got True"),
        ({"max_new_tokens": 2.5}, "max_new_tokens must be a whole number >= 1, got 2.5"),
        ({"stop": ""}, "stop must be a text or a list of texts, none empty, got ''"),
        ({"stop": ["a", 3]}, "stop must be a text or a list of texts"),
        ({"temperature": 0}, "temperature must be a number > 0, got 0"),
        ({"temperature": float("nan")}, "temperature must be a number > 0, got nan"),
        ({"temperature": "hot"}, "temperature must be a number > 0, got 'hot'"),
        ({"temperature": 1.0}, r"temperature 1.0 is not the run's rollout.temperature \(0.7\): .* ppo.importance set"),
    ],
)
def test_what_cannot_be_done_names_the_problem_and_the_key(wish, message):
    with pytest.raises(DataError, match=rf"^info\['sampling'\] of problem 'p': {message}"):
        requested(wish, USUAL, "p")


class Asking(Protocol):
    """Asks for short first messages that may end with "1", then for nothing, then for a long one; three turns."""

    def __init__(self, wishes=({"max_new_tokens": 2, "stop": ["1"]}, None, {"max_new_tokens": 99})):
        self.wishes = wishes

    def respond(self, problem, turn, grade):
        return Turn("" if turn == 3 else "-1+", turn == 3)

    def info(self, episode):
        wish = self.wishes[min(episode.turns, 2)]
        return {} if wish is None else {"sampling": wish}


def collector(policy, engine, protocol, temperatures="usual", rows=3, **options):
    envs = TextVectorEnv(ArithmeticSource(digits=1), rows, autoreset_mode="Disabled", protocol=protocol)
    rewards = {"reward_components": {"right": {"class": "CorrectnessReward"}}}
    config = RolloutConfig(**{"episodes": rows, "max_new_tokens": 5, "context_tokens": 80} | options)
    generator = torch.Generator().manual_seed(0)
    chat = ChatFormat(policy.tokenizer)
    return RolloutCollector(VectorShapedReward(envs, rewards), policy, engine, chat, config, generator, temperatures)


def test_each_message_is_sampled_as_the_environment_asks():
    policy = tiny_policy()
    engine = ScriptedEngine(policy, lambda text: "222222")
    episodes, records = collector(policy, engine, Asking(), stop=["77"]).collect(seed=0)
    first, second, third = ({*params} for params in engine.params)
    assert first == {SamplingParams(2, 1.0, ("77", "1"))}
    assert second == third == {SamplingParams(5, 1.0, ("77",))}
    assert [r["tokens"] for r in records] == [2] * 3 + [5] * 6
    # The environment's own limit is a rule of its task; the run's limit cuts.
    assert all(e.cut for e in episodes)
    short = Asking(({"max_new_tokens": 2},) * 3)
    episodes, _ = collector(policy, ScriptedEngine(policy, lambda text: "222222"), short).collect(seed=0)
    assert not any(e.cut for e in episodes)


def test_a_message_that_a_stop_text_ended_is_closed_before_the_feedback():
    policy = tiny_policy()
    policy.tokenizer.chat_template = (
        "{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}<eos>{% endif %}{% endfor %}"
    )
    seen = []

    class Stopping(GenerateEngine):
        def generate(self, prompts, params, generator):
            completions = super().generate(prompts, params, generator)
            seen.extend(zip([list(p) for p in prompts], completions, strict=True))
            return completions

    play = collector(policy, Stopping(policy), Asking(), stop=["1", "2", "3", "4"], max_new_tokens=4, context_tokens=80)
    episodes, records = play.collect(seed=0)
    eos = policy.eos_id
    by_stop = [c for _, c in seen if c.finish == "stop" and c.ids[-1] != eos]
    assert by_stop
    feedback = policy.tokenizer("-1+", add_special_tokens=False)["input_ids"]
    checked = 0
    for row, episode in enumerate(episodes):
        place = episode.action.index(True)
        turns = [r for r in records if r["env"] == row]
        for turn in turns[:-1]:
            place += turn["tokens"]
            own = episode.ids[place - 1] == eos
            closing = [] if own else [eos]
            assert episode.ids[place : place + len(closing) + 3] == [*closing, *feedback]
            assert not any(episode.action[place : place + len(closing) + 3])
            checked += not own
            place += len(closing) + 3
    assert checked


def test_another_temperature_needs_a_learner_that_corrects_for_it():
    policy = tiny_policy()
    hot = Asking(({"temperature": 2.0},) * 3)
    with pytest.raises(DataError, match=r"of problem 'arithmetic:.*temperature 2.0 is not the run's"):
        collector(policy, GenerateEngine(policy), hot).collect(seed=0)
    engine = ScriptedEngine(policy, lambda text: "2")
    collector(policy, engine, hot, temperatures="any").collect(seed=0)
    assert {one.temperature for call in engine.params for one in call} == {2.0}


def test_rows_ask_for_different_things_at_once():
    class Choosy(Protocol):
        def info(self, episode):
            first = int(episode.problem.prompt[0])
            wishes = [{}, {"sampling": {"stop": "1"}}, {"sampling": {"max_new_tokens": 2, "stop": ["3", "4"]}}]
            return wishes[first % 3]

    policy = tiny_policy()
    engine = ScriptedEngine(policy, lambda text: "222222")
    _, records = collector(policy, engine, Choosy(), rows=12).collect(seed=0)
    expected = [SamplingParams(5), SamplingParams(5, stop=("1",)), SamplingParams(2, stop=("3", "4"))]
    kinds = [int(r["prompt"][0]) % 3 for r in records]
    assert set(kinds) == {0, 1, 2}
    assert engine.params == [[expected[kind] for kind in kinds]]
