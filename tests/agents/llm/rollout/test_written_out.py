"""Conversations of several turns, token by token."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from merging_tokenizers import merging_tokenizer
from scripted_policy import ScriptedEngine
from tiny import tiny_policy

from rlenvs.agents.llm.config import RolloutConfig
from rlenvs.agents.llm.engines import Completion
from rlenvs.agents.llm.rollout.batch import collate
from rlenvs.agents.llm.rollout.chat import ChatFormat
from rlenvs.agents.llm.rollout.collect import RolloutCollector
from rlenvs.envs.protocol import Protocol, Turn
from rlenvs.envs.text_vector_env import TextVectorEnv
from rlenvs.problems import ArithmeticSource
from rlenvs.wrappers import VectorShapedReward

TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'user' %}={{ m.content }}{% else %}+{{ m.content }}<eos>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}+{% endif %}"
)


class Conversation(Protocol):
    """Opens with "12", answers "7" and "8", and pays 0.25, 0.5 and 1."""

    def open(self, problem):
        return [{"role": "user", "content": "12"}]

    def respond(self, problem, turn, grade):
        return Turn(("7", "8", "")[turn - 1], turn == 3, reward=(0.25, 0.5, 1.0)[turn - 1])


def collector(policy, engine, protocol, rows=1, **limits):
    envs = TextVectorEnv(ArithmeticSource(digits=1), rows, autoreset_mode="Disabled", protocol=protocol)
    shaped = VectorShapedReward(envs, {"reward_components": {"paid": {"class": "EnvReward"}}})
    config = RolloutConfig(episodes=rows, **limits)
    generator = torch.Generator().manual_seed(0)
    return RolloutCollector(shaped, policy, engine, ChatFormat(policy.tokenizer), config, generator)


def test_three_turns_token_by_token():
    policy = tiny_policy()
    policy.tokenizer.chat_template = TEMPLATE
    end, plus, equals = policy.eos_id, *policy.tokenizer.convert_tokens_to_ids(["+", "="])
    one, two, three, four, five, six, seven, eight = policy.tokenizer.convert_tokens_to_ids(list("12345678"))
    # The second message has no room for its end: the limit cuts it, and the template's closing follows.
    script = {"=12+": "3", "=12+3<eos>=7+": "45", "=12+3<eos>=7+45<eos>=8+": "6"}
    engine = ScriptedEngine(policy, script.__getitem__)
    (episode,), records = collector(policy, engine, Conversation(), max_new_tokens=2, context_tokens=60).collect(seed=0)
    no, yes = False, True
    expected = [
        (equals, no), (one, no), (two, no), (plus, no),
        (three, yes), (end, yes),
        (equals, no), (seven, no), (plus, no),
        (four, yes), (five, yes),
        (end, no), (equals, no), (eight, no), (plus, no),
        (six, yes), (end, yes),
    ]  # fmt: skip
    assert list(zip(episode.ids, episode.action, strict=True)) == expected
    assert episode.turn_rewards == [(1, 0.25), (3, 0.5), (5, 1.0)]
    assert (episode.terminated, episode.cut, episode.score) == (True, True, 1.75)
    assert [r["response"] for r in records] == ["3", "45", "6"]
    assert [r["finish"] for r in records] == ["stop", "length", "stop"]
    batch = collate([episode], policy.pad_id, policy.device)
    assert batch.turn_rewards_BA.tolist() == [[0.0, 0.25, 0.0, 0.5, 0.0, 1.0]]
    assert batch.sampled_logprobs_BA.tolist() == [[-0.5] * 6]
    assert batch.cut_B.tolist() == [True]


class Ragged(Protocol):
    """Ends after a number of turns that depends on the problem."""

    def respond(self, problem, turn, grade):
        over = turn > int(problem.prompt[0]) % 4
        return Turn("" if over else "not right, try again: 12", over, reward=float(turn))


CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class RandomIds:
    """Says any tokens whatever, as a policy that has learned nothing does."""

    name = "random"

    def __init__(self, tokenizer, seed):
        self.end = tokenizer.convert_tokens_to_ids("<|im_end|>")
        self.tokens = torch.tensor(sorted(set(range(16, len(tokenizer)))))
        self.source = torch.Generator().manual_seed(seed)
        self.calls = []

    def generate(self, prompts, params, generator):
        assert self.end in params.stop_token_ids  # the policy itself knows another end only
        completions = []
        for _ in prompts:
            count = int(torch.randint(1, params.max_new_tokens + 1, (), generator=self.source))
            ids = self.tokens[torch.randint(len(self.tokens), (count,), generator=self.source)].tolist()
            ended = count < params.max_new_tokens
            ids = [*ids, self.end] if ended else ids
            completions.append(Completion(ids, [-1.0] * len(ids), "stop" if ended else "length"))
        self.calls.append(([list(prompt) for prompt in prompts], completions))
        return completions

    def sync(self, policy):
        pass


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31))
def test_every_prompt_continues_the_very_ids_that_were_sampled(seed):
    policy = tiny_policy()
    tokenizer = policy.tokenizer = merging_tokenizer(CHATML)
    policy.eos_ids = (tokenizer.eos_token_id,)
    engine = RandomIds(tokenizer, seed)
    rows, end = 6, tokenizer.convert_tokens_to_ids("<|im_end|>")
    play = collector(policy, engine, Ragged(), rows, max_new_tokens=6, context_tokens=400)
    episodes, records = play.collect(seed=seed % 1000)
    turn_rows = [[r["env"] for r in records if r["turn"] == turn] for turn in range(len(engine.calls))]
    assert [len(prompts) for prompts, _ in engine.calls] == list(map(len, turn_rows))
    so_far: dict[int, list[int]] = {}
    changed = 0
    for turn, ((prompts, completions), played) in enumerate(zip(engine.calls, turn_rows, strict=True)):
        for row, prompt, completion in zip(played, prompts, completions, strict=True):
            before = so_far.get(row, [])
            assert prompt[: len(before)] == before
            so_far[row] = prompt + completion.ids
            content = completion.ids[:-1] if completion.finish == "stop" else completion.ids
            text = next(r["response"] for r in records if r["env"] == row and r["turn"] == turn)
            assert text == tokenizer.decode(content, skip_special_tokens=False, clean_up_tokenization_spaces=False)
            changed += tokenizer(text, add_special_tokens=False)["input_ids"] != content
            assert end not in content
    for row, episode in enumerate(episodes):
        assert episode.ids == so_far[row]
        turns = [r for r in records if r["env"] == row]
        assert sum(episode.action) == sum(r["tokens"] for r in turns) == len(episode.sampled_logprobs)
        assert sum(reward for _, reward in episode.turn_rewards) == pytest.approx(sum(r["reward"] for r in turns))
        assert episode.terminated
    assert changed > 0, "tokenised again, these messages would be others"
