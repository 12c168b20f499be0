"""Conversations as ids: which count, and that a rollout which says the same has the same ids."""

from typing import Any

import pytest
import torch
from tiny import tiny_policy

from rlenvs.agents.llm.config import EmbeddedConfig, EnvConfig
from rlenvs.agents.llm.embedded import build_policy
from rlenvs.agents.llm.engines import Completion, SamplingParams
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.rollout.batch import Episode
from rlenvs.agents.llm.rollout.chat import ChatFormat
from rlenvs.agents.llm.rollout.limits import Limits
from rlenvs.agents.llm.rollout.turns import Speaker, answers
from rlenvs.agents.llm.sft.data import Demonstration, demonstrations_of_env, texts
from rlenvs.agents.llm.sft.encoding import DemonstrationEncoder, encode
from rlenvs.agents.runs.environments import make_vector_env, problem_source
from rlenvs.errors import DataError

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
STEPS = EnvConfig(id="rlenvs/MathSteps-v0")


def chat_policy() -> Policy:
    """A policy whose template closes turns with another token than the tokenizer's end of sequence."""
    policy = build_policy(EmbeddedConfig(hidden_size=16, layers=1, heads=2), ["+=0123456789\nuserassistantno."], 0)
    policy.tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    policy.tokenizer.chat_template = CHATML
    policy.model.resize_token_embeddings(len(policy.tokenizer))
    policy.model.generation_config.eos_token_id = [policy.eos_id, len(policy.tokenizer) - 1]
    return Policy(policy.model, policy.tokenizer)


def pieces(episode: Episode, tokenizer: Any) -> list[tuple[str, bool]]:
    """Token texts with whether the loss counts them."""
    return list(zip(tokenizer.convert_ids_to_tokens(episode.ids), episode.action, strict=True))


def spelled(*parts: tuple[str | list[str], bool]) -> list[tuple[str, bool]]:
    return [(token, counts) for tokens, counts in parts for token in tokens]


TALK = Demonstration(
    [
        {"role": "user", "content": "1+2="},
        {"role": "assistant", "content": "4"},
        {"role": "user", "content": "no."},
        {"role": "assistant", "content": "3"},
        {"role": "user", "content": "a"},
    ],
    "talk",
)


def test_plain_text_written_out_token_by_token():
    policy = chat_policy()
    episode = DemonstrationEncoder(policy, ChatFormat(policy.tokenizer, "plain"))(TALK)
    assert pieces(episode, policy.tokenizer) == spelled(
        ("1+2=", False), (["4", "<eos>"], True), ("no.", False), (["3", "<eos>"], True)
    )  # fmt: skip
    assert len(episode.sampled_logprobs) == 4
    assert episode.terminated


def test_a_chat_template_written_out_token_by_token():
    """Every message of the assistant counts with its closing token; the line break behind that does not."""
    policy = chat_policy()
    episode = DemonstrationEncoder(policy, ChatFormat(policy.tokenizer))(TALK)
    start, end = "<|im_start|>", "<|im_end|>"
    assert pieces(episode, policy.tokenizer) == spelled(
        ([start, *"user\n1+2=", end, "\n", start, *"assistant\n"], False),
        (["4", end], True),
        (["\n", start, *"user\nno.", end, "\n", start, *"assistant\n"], False),
        (["3", end], True),
    )


def test_the_loss_of_a_template_is_that_of_the_whole_rendering():
    """For a template that keeps what it rendered, the ids are those of rendering the conversation at once."""
    policy = chat_policy()
    episode = DemonstrationEncoder(policy, ChatFormat(policy.tokenizer))(TALK)
    whole = policy.tokenizer.apply_chat_template(list(TALK.messages[:4]), tokenize=False)
    assert [*episode.ids, *policy.tokenizer("\n")["input_ids"]] == policy.tokenizer(whole)["input_ids"]


class Parrot:
    """An engine that says what it is told to, as the policy would have to sample it."""

    name = "parrot"

    def __init__(self, tokenizer: Any, closing: int) -> None:
        self.tokenizer, self.closing = tokenizer, closing
        self.lines: list[list[str]] = []

    def generate(self, prompts: Any, params: Any, generator: torch.Generator) -> list[Completion]:
        said = [self.tokenizer(lines.pop(0))["input_ids"] for lines in self.lines if lines]
        assert len(said) == len(prompts)
        return [Completion([*ids, self.closing], [0.0] * (len(ids) + 1), "stop") for ids in said]


@pytest.mark.parametrize("template", [None, CHATML])
def test_a_rollout_that_says_the_same_has_the_same_ids(template):
    """Whole conversations of an environment with steps: prompt, every message, every feedback, every mask."""
    demonstrations = demonstrations_of_env(STEPS, 6, 0)
    policy = build_policy(
        EmbeddedConfig(hidden_size=16, layers=1, heads=2), [*texts(demonstrations), "assistant user"], 0
    )
    policy.tokenizer.chat_template = template
    chat = ChatFormat(policy.tokenizer)
    expected = [DemonstrationEncoder(policy, chat)(one) for one in demonstrations]

    problems = problem_source(STEPS.id, {}).problems("train", 6, 0)
    envs = make_vector_env(STEPS.id, {}, len(problems))
    _, infos = envs.reset(seed=0, options={"problems": problems})
    parrot = Parrot(policy.tokenizer, chat.closing_id)
    parrot.lines = [[m["content"] for m in one.messages if m["role"] == "assistant"] for one in demonstrations]
    speaker = Speaker(policy, parrot, chat, SamplingParams(200), Limits(200))
    episodes = speaker.open(infos, range(len(problems)))
    active, turn = list(episodes), 0
    while active:
        said = speaker.speak({row: episodes[row] for row in active}, infos, torch.Generator())
        observations, _, terminated, truncated, infos = envs.step([said[r].text if r in said else "" for r in episodes])
        turn += 1
        assert all(infos["correct"][row] for row in active if terminated[row]), "what was said ends the task"
        active = [row for row in active if not (terminated[row] or truncated[row])]
        for row in active:
            assert speaker.listen(episodes[row], said[row], turn, answers(infos, observations, row)) is None
    assert turn > 2
    for row, wanted in enumerate(expected):
        assert episodes[row].ids == wanted.ids
        assert episodes[row].action == wanted.action


def test_a_message_that_holds_its_own_end_is_refused():
    policy = chat_policy()
    talk = Demonstration([TALK.messages[0], {"role": "assistant", "content": "4<|im_end|>5"}], "talks.jsonl:3")
    with pytest.raises(DataError, match=r"talks.jsonl:3: message 1 of the assistant holds '<\|im_end\|>'"):
        DemonstrationEncoder(policy, ChatFormat(policy.tokenizer))(talk)


def demonstrations(*pairs: tuple[str, str]) -> list[Demonstration]:
    return [
        Demonstration([{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}], f"set:{number}")
        for number, (prompt, answer) in enumerate(pairs)
    ]


def encoded(
    found: list[Demonstration], context: int = 100, overlong: Any = "refuse", share: float = 0.0, seed: int = 0
):
    policy = tiny_policy()
    return encode(found, DemonstrationEncoder(policy, ChatFormat(policy.tokenizer)), context, overlong, share, seed)


def test_prompts_are_set_aside_with_all_their_answers():
    found = demonstrations(*((f"{i % 10}+{i % 10}=", str(i)) for i in range(40)))
    split = encoded(found, share=0.3)
    learned, aside = ({tuple(e.ids[: e.action.index(True)]) for e in part} for part in (split.learned, split.held_out))
    assert (len(learned), len(aside)) == (7, 3)
    assert not learned & aside
    assert (len(split.learned), len(split.held_out)) == (28, 12)
    again = encoded(found, share=0.3)
    assert [e.ids for e in again.held_out] == [e.ids for e in split.held_out]
    assert [e.ids for e in encoded(found, share=0.3, seed=1).held_out] != [e.ids for e in split.held_out]


def test_something_is_always_left_to_learn():
    assert len(encoded(demonstrations(("1+1=", "2")), share=0.9).learned) == 1


def test_what_is_longer_than_the_context():
    found = demonstrations(("1+1=", "2"), ("1+1=", "22"), ("9+9=", "181818"))
    assert len(encoded(found, context=11).learned) == 3
    with pytest.raises(DataError, match=r"set:2: the demonstration has 11 tokens, rollout.context_tokens is 10"):
        encoded(found, context=10)
    some = encoded(found, context=7, overlong="leave_out")
    assert (len(some.learned), some.left_out) == (2, 1)
    with pytest.raises(DataError, match=r"all 3 demonstrations are longer than rollout.context_tokens=5"):
        encoded(found, context=5, overlong="leave_out")


def test_an_opening_without_tokens():
    with pytest.raises(DataError, match="set:0: what comes before the assistant has no tokens"):
        encoded(demonstrations(("", "2")))
