"""Token in, token out: what is trained on is what was sampled, turn by turn."""

import pytest
import tokenizers
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from rlenvs.agents.llm.config import RolloutConfig
from rlenvs.agents.llm.embedded import character_tokenizer
from rlenvs.agents.llm.engines import GenerateEngine
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.rollout.batch import collate
from rlenvs.agents.llm.rollout.chat import ChatFormat
from rlenvs.agents.llm.rollout.collect import RolloutCollector
from rlenvs.envs.protocol import Protocol, SingleAnswer, Turn
from rlenvs.envs.text_vector_env import TextVectorEnv
from rlenvs.errors import ConfigError, DataError
from rlenvs.problems import ArithmeticSource
from rlenvs.wrappers import VectorShapedReward

REWARDS = {
    "reward_components": {
        "right": {"class": "CorrectnessReward"},
        "long": {"class": "LengthPenalty", "params": {"max_length": 0, "penalty_per_token": -1.0}},
    }
}


class ThreeTries(SingleAnswer, Protocol):
    """A wrong answer is answered by "-1+" and another try, up to three."""

    def respond(self, problem, turn, grade):
        over = grade.correct or turn == 3
        return Turn(observation="" if over else "-1+", terminated=over)


def collector(policy, protocol=None, rows=6, context=40, limit=3, max_episode_steps=None, **options):
    envs = TextVectorEnv(
        ArithmeticSource(digits=1), rows, max_episode_steps, "Disabled", protocol=protocol or SingleAnswer()
    )
    return RolloutCollector(
        VectorShapedReward(envs, REWARDS),
        policy,
        GenerateEngine(policy),
        ChatFormat(policy.tokenizer),
        RolloutConfig(episodes=rows, max_new_tokens=limit, context_tokens=context, **options),
        torch.Generator().manual_seed(0),
    )


def test_several_turns_are_the_sampled_ids_with_feedback_between(policy):
    episodes, records = collector(policy, ThreeTries()).collect(seed=0)
    feedback = policy.tokenizer("-1+")["input_ids"]
    for row, episode in enumerate(episodes):
        turns = [r for r in records if r["env"] == row]
        rebuilt = policy.tokenizer(turns[0]["prompt"])["input_ids"]
        mask = [False] * len(rebuilt)
        place = len(rebuilt)
        for number, turn in enumerate(turns):
            assert turn["turn"] == number
            message = episode.ids[place : place + turn["tokens"]]
            assert policy.message_text(message) == turn["response"]
            rebuilt, mask, place = [*rebuilt, *message], mask + [True] * len(message), place + len(message)
            if number < len(turns) - 1:
                assert turn["correct"] is False
                rebuilt, mask, place = [*rebuilt, *feedback], mask + [False] * 3, place + 3
        assert (episode.ids, episode.action) == (rebuilt, mask)
        assert len(turns) == 3 or turns[-1]["correct"]
        assert episode.terminated


def test_each_turns_reward_sits_on_its_last_action_token_and_none_is_lost(policy):
    episodes, records = collector(policy, ThreeTries()).collect(seed=0)
    batch = collate(episodes, policy.pad_id, torch.device("cpu"))
    for row in range(len(episodes)):
        turns = [r for r in records if r["env"] == row]
        ends = torch.tensor([t["tokens"] for t in turns]).cumsum(0) - 1
        assert batch.turn_rewards_BA[row, ends].tolist() == pytest.approx([t["reward"] for t in turns])
        assert batch.turn_rewards_BA[row].sum().item() == pytest.approx(sum(t["reward"] for t in turns))
        # The length penalty counts the agent's own tokens, so every reward is tied to its own turn.
        assert [t["reward"] for t in turns] == [t["correct"] - t["tokens"] for t in turns]
    assert not batch.turn_rewards_BA[~batch.mask_BA].any()
    assert int(batch.action_BL.sum()) == int(batch.mask_BA.sum()) == sum(r["tokens"] for r in records)


def merging_tokenizer():
    """A tokenizer with merges: "1" "2" is "12" once it is tokenised as text."""
    characters = ["<pad>", "<eos>", *"0123456789+-="]
    merges = [(a, b) for a in "0123456789" for b in "0123456789"]
    vocabulary = {token: i for i, token in enumerate([*characters, *(a + b for a, b in merges)])}
    core = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges))
    core.decoder = tokenizers.decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="<eos>")


def test_sampled_ids_are_kept_where_encoding_their_text_again_would_change_them():
    tokenizer = merging_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        pad_token_id=0, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip
    policy = Policy(LlamaForCausalLM(config), tokenizer)
    episodes, records = collector(policy, ThreeTries(), rows=12, limit=5).collect(seed=0)
    changed = 0
    for row, episode in enumerate(episodes):
        turns = [r for r in records if r["env"] == row]
        assert sum(episode.action) == sum(t["tokens"] for t in turns)
        spots = [i for i, acted in enumerate(episode.action) if acted][: turns[0]["tokens"]]
        sampled = [episode.ids[i] for i in spots]
        content = sampled[:-1] if sampled[-1] == policy.eos_id else sampled
        assert policy.message_text(sampled) == turns[0]["response"]
        changed += tokenizer(turns[0]["response"])["input_ids"] != content
    assert changed > 0, "the example must contain what a second tokenisation would get wrong"


def test_the_environments_turn_limit_truncates(policy):
    episodes, records = collector(policy, ThreeTries(), max_episode_steps=2).collect(seed=1)
    assert max(r["turn"] for r in records) == 1
    by_row = {r["env"]: r["correct"] for r in records}
    assert [e.terminated for e in episodes] == [by_row[row] for row in range(len(episodes))]


def test_running_out_of_context_cuts_without_terminating(policy):
    # Room for prompt (4), one message (3), feedback (3) and no token more.
    play = collector(policy, ThreeTries(), context=10)
    episodes, records = play.collect(seed=0)
    first_right = {r["env"] for r in records if r["turn"] == 0 and r["correct"]}
    longest = {r["env"] for r in records if r["turn"] == 0 and r["tokens"] == 3} - first_right
    assert longest
    for row in longest:
        (record,) = (r for r in records if r["env"] == row)
        assert (record["cut"], record["terminated"], record["next_prompt"]) == ("context", False, "-1+")
        assert episodes[row].cut
        assert not episodes[row].terminated
        assert not any(episodes[row].action[:4])
        assert len(episodes[row].ids) == 7
    assert all(len(e.ids) <= 10 for e in episodes)
    assert play.metrics["rollout/cut_by_context"] == sum(r.get("cut") == "context" for r in records) / 6


def test_a_message_shortens_to_the_room_that_is_left(policy):
    # After prompt (4), message (3) and feedback (3) there is room for 2 tokens of the 3 that a message may have.
    episodes, records = collector(policy, ThreeTries(), context=12).collect(seed=0)
    seconds = [r for r in records if r["turn"] == 1]
    shortened = [r for r in seconds if len(episodes[r["env"]].ids) == 12 and r["tokens"] == 2]
    assert shortened
    for record in shortened:
        assert record["finish"] == "length"
        assert episodes[record["env"]].cut
    assert all(len(episode.ids) <= 12 for episode in episodes)


class Endless(SingleAnswer, Protocol):
    """Never ends."""

    def respond(self, problem, turn, grade):
        return Turn(observation="1", terminated=False)


def test_an_environment_that_never_ends_is_cut_after_the_runs_turns(policy):
    play = collector(policy, Endless(), max_turns=4, context=40)
    episodes, records = play.collect(seed=0)
    assert [max(r["turn"] for r in records if r["env"] == row) for row in range(6)] == [3] * 6
    assert all(e.cut and not e.terminated for e in episodes)
    assert [r["cut"] for r in records if "cut" in r] == ["turns"] * 6
    assert all(r["turn"] == 3 for r in records if "cut" in r)
    assert (play.metrics["rollout/cut_by_turns"], play.metrics["rollout/turns"]) == (1.0, 4.0)
    assert play.envs.unwrapped.over.all()  # the environment does not play them on beside longer ones


def test_a_message_that_the_limit_ended_marks_its_episode(policy):
    episodes, records = collector(policy, limit=1).collect(seed=0)
    by_row = {r["env"]: r["finish"] == "length" for r in records}
    assert [e.cut for e in episodes] == [by_row[row] for row in range(6)]
    assert any(by_row.values())


def test_a_prompt_without_room_for_an_answer_names_the_problem(policy):
    with pytest.raises(
        DataError, match=r"prompt of problem 'arithmetic:.*' has 4 tokens, it must have 1 to 3.*context_tokens=6"
    ):
        collector(policy, context=6).collect(seed=0)


def test_same_seeds_same_rollout(policy):
    first, second = (collector(policy, ThreeTries()).collect(seed=3) for _ in range(2))
    assert first[1] == second[1]
    assert [e.ids for e in first[0]] == [e.ids for e in second[0]]


TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'user' %}={{ m.content }}{% else %}+{{ m.content }}<eos>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}+{% endif %}"
)


def test_a_chat_template_is_rendered_once_and_continued():
    tokenizer = character_tokenizer("0123456789+=")
    tokenizer.chat_template = TEMPLATE
    chat = ChatFormat(tokenizer)
    encode = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]  # noqa: E731
    assert chat.prompt_ids([{"role": "user", "content": "12"}]) == encode("=12+")
    # The policy closed its message itself: the closing token is already there.
    assert chat.feedback_ids("7", closing=tokenizer.eos_token_id) == encode("=7+")
    assert chat.feedback_ids("7", closing=None) == encode("<eos>=7+")
    whole = [{"role": "user", "content": "12"}, {"role": "assistant", "content": "3"}, {"role": "user", "content": "7"}]
    rendered = tokenizer.apply_chat_template(whole, tokenize=False, add_generation_prompt=True)
    answer = [*encode("3"), tokenizer.eos_token_id]
    grown = [*chat.prompt_ids(whole[:1]), *answer, *chat.feedback_ids("7", closing=tokenizer.eos_token_id)]
    assert grown == encode(rendered)


def test_chat_is_refused_without_a_template_and_plain_is_always_possible():
    tokenizer = character_tokenizer("12")
    with pytest.raises(ConfigError, match="no chat template; use 'plain'"):
        ChatFormat(tokenizer, "chat")
    tokenizer.chat_template = TEMPLATE
    assert ChatFormat(tokenizer, "plain").prompt_ids([{"role": "user", "content": "12"}]) == [3, 4]
