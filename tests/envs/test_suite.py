import gymnasium as gym
import pytest

from rlenvs.envs.byte_tokenizer import ByteTokenizer
from rlenvs.envs.char_tokenizer import CharTokenizer
from rlenvs.envs.protocols import Retry
from rlenvs.envs.suite import SuiteEnv, SuiteTokenEnv, SuiteTokenVectorEnv, SuiteVectorEnv, token_limits
from rlenvs.envs.tokenizers import make_tokenizer
from rlenvs.errors import ModelLoadError, UserError
from rlenvs.problems import ArithmeticSource


def test_parameters_go_to_the_part_that_has_them():
    env = SuiteEnv("arithmetic", "retry", digits=1, attempts=2, split="held_out")
    assert (env.source.digits, env.task.protocol.attempts, env.task.split) == (1, 2, "held_out")
    by_mapping = SuiteEnv({"name": "arithmetic", "digits": 1}, {"name": "retry", "attempts": 2}, "held_out")
    assert by_mapping.reset(seed=3) == env.reset(seed=3)
    by_hand = SuiteEnv(ArithmeticSource(digits=1), Retry(attempts=2), "held_out")
    assert by_hand.reset(seed=3) == env.reset(seed=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"digitz": 3}, "unknown parameter 'digitz'; did you mean 'digits'"),
        ({"protocol": "retry", "atempts": 3}, "unknown parameter 'atempts'; did you mean 'attempts'"),
        ({"splitt": "train"}, "unknown parameter 'splitt'; did you mean 'split'"),
        ({"attempts": 3}, "unknown parameter 'attempts'"),
        ({"protocol": "retri"}, "protocol: unknown 'retri'; did you mean 'retry'"),
        ({"source": ArithmeticSource(), "digits": 1}, r"unknown parameter 'digits' \(known: none\)"),
        ({"digits": 99}, r"digits must be an int in 1\.\.9"),
        ({"protocol": "retry", "attempts": 0}, r"attempts must be an int in 1\.\."),
    ],
)
def test_wrong_parameters_are_named_at_construction(arguments, message):
    for kind in (SuiteEnv, SuiteVectorEnv, SuiteTokenEnv, SuiteTokenVectorEnv):
        with pytest.raises(UserError, match=message):
            kind(**arguments)


@pytest.mark.parametrize(
    ("kind", "name", "meant"),
    [
        (SuiteTokenEnv, "tokeniser", "tokenizer"),
        (SuiteTokenVectorEnv, "context_token", "context_tokens"),
        (SuiteVectorEnv, "autoreset", "autoreset_mode"),
        (SuiteEnv, "rendermode", "render_mode"),
    ],
)
def test_the_nearest_parameter_may_be_one_of_the_environment_itself(kind, name, meant):
    with pytest.raises(UserError, match=f"unknown parameter '{name}'; did you mean '{meant}'"):
        kind("word_problems", **{name: 1})


def test_a_parameter_that_both_parts_have_must_say_whose_it_is(monkeypatch):
    monkeypatch.setattr("rlenvs.envs.suite.protocol_parameters", lambda name: ["digits"])
    with pytest.raises(UserError, match=r"parameter 'digits': both .* pass it as source=\{'name'"):
        SuiteEnv("arithmetic", "retry", digits=1)


def test_bytes_are_a_tokenizer_of_any_text():
    tokenizer = ByteTokenizer()
    for text in ("", "12+3", "é中🙂", "a\x00b\n"):
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.decode(tokenizer.encode("a\ud800b")) == "a?b"
    assert tokenizer.decode(tokenizer.encode("é")[:1]) == "\ufffd"
    assert tokenizer.encode("a", add_special_tokens=True) == [2, 100]
    assert len(tokenizer) == 259
    assert {*tokenizer.encode("".join(map(chr, range(256))))} <= set(range(3, 259))
    with pytest.raises(UserError, match=r"token id must be in 0\.\.258"):
        tokenizer.decode([259])


def test_tokenizers_by_name():
    assert make_tokenizer(None) == ByteTokenizer()
    assert make_tokenizer(None, "01") == make_tokenizer("chars", "01") == CharTokenizer("01")
    assert make_tokenizer("bytes", "01") == ByteTokenizer()
    made = CharTokenizer("ab")
    assert make_tokenizer(made) is made
    with pytest.raises(UserError, match="'chars' needs a source whose alphabet is known"):
        make_tokenizer("chars")


def saved_tokenizer(folder, **special):
    tokenizers = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"<end>": 0, "<unk>": 1, "a": 2, "b": 3}, "<unk>"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    transformers.PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", **special).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("special", [{"eos_token": "<end>"}, {"eos_token": "<end>", "pad_token": "<end>"}])
def test_a_tokenizer_from_a_folder_gets_a_padding_token_of_its_own(tmp_path, special):
    tokenizer = make_tokenizer(saved_tokenizer(tmp_path, **special))
    assert tokenizer.encode("a b", add_special_tokens=False) == [2, 3]
    assert tokenizer.pad_token_id not in (None, tokenizer.eos_token_id)
    env = SuiteTokenEnv("arithmetic", tokenizer=str(tmp_path), digits=1)
    assert env.action_space.n == len(tokenizer) == 5
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space


def test_a_tokenizer_that_cannot_be_loaded_is_an_error_of_the_user(tmp_path):
    with pytest.raises(ModelLoadError, match="has no end token"):
        make_tokenizer(saved_tokenizer(tmp_path))
    with pytest.raises(ModelLoadError, match="cannot be loaded"):
        make_tokenizer(str(tmp_path / "nothing"))


def test_token_limits_follow_the_texts_of_the_source():
    source = ArithmeticSource(digits=2)
    assert token_limits(source, SuiteEnv().task.protocol, None, None) == (6 + 4, 4)
    assert token_limits(source, Retry(), None, None) == (40, 4)
    assert token_limits(source, Retry(), 7, 3) == (7, 3)
    assert token_limits(object(), Retry(), None, None) == (4096, 256)


def test_the_token_level_plays_every_turn():
    env = SuiteTokenEnv("arithmetic", "retry", tokenizer="bytes", digits=1, attempts=2, context_tokens=64)
    env.reset(seed=0)
    for text, expected in (("15", (0.0, False)), ("14", (1.0, True))):
        for token in [*env.tokenizer.encode(text), env.tokenizer.eos_token_id]:
            observation, reward, terminated, truncated, info = env.step(token)
        assert (reward, terminated, truncated) == (*expected, False)
        if not terminated:
            assert env.tokenizer.decode(observation.tolist()).endswith("15 is not right. Attempts left: 1.")
    assert info["messages"][-1]["content"] == "14"


def test_a_source_or_protocol_object_works_and_plain_ones_have_a_specification():
    gym.registry.pop("check/Suite-v0", None)
    gym.register("check/Suite-v0", entry_point="rlenvs.envs.suite:SuiteEnv")
    env = gym.make("check/Suite-v0", protocol={"name": "retry", "feedback": {"wrong": "no"}}, digits=1)
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.reset(seed=1) == env.reset(seed=1)
    assert again.step("x")[0] == env.step("x")[0]
