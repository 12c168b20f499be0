"""The policy that needs no download: tokenizer, warm start, cache."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import TINY_RUN
from transformers import AutoTokenizer

from rlenvs.agents.llm import embedded
from rlenvs.agents.llm.config import EmbeddedConfig, EnvConfig, WarmStartConfig
from rlenvs.agents.llm.embedded import build_policy, character_tokenizer, embedded_policy_folder
from rlenvs.agents.llm.engines import GenerateEngine, SamplingParams
from rlenvs.agents.llm.evaluation import Examination
from rlenvs.agents.llm.policy.loading import load_policy
from rlenvs.agents.llm.rollout.chat import ChatFormat
from rlenvs.agents.llm.sft.data import demonstrations_of_env, texts
from rlenvs.agents.llm.warm_start import warm_start
from rlenvs.errors import RunFolderError, TrainingDivergedError
from rlenvs.problems import ArithmeticSource

CPU = torch.device("cpu")
TINY = EmbeddedConfig.model_validate(TINY_RUN["policy"]["embedded"])
ENV = EnvConfig.model_validate(TINY_RUN["env"])
TOKENIZER = character_tokenizer("0123456789+-*= \né中")


@given(st.text("0123456789+-*= \né中", max_size=30))
def test_every_character_is_one_token_and_comes_back(text):
    ids = TOKENIZER(text)["input_ids"]
    assert len(ids) == len(text)
    assert TOKENIZER.decode(ids) == text


def test_an_unknown_character_is_the_unknown_token():
    assert TOKENIZER("4x")["input_ids"][1] == TOKENIZER.unk_token_id


def test_the_tokenizer_survives_save_pretrained(tmp_path):
    TOKENIZER.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again("12+3=")["input_ids"] == TOKENIZER("12+3=")["input_ids"]
    assert (again.pad_token_id, again.eos_token_id) == (0, 1)
    assert again.decode(again("12+3=")["input_ids"]) == "12+3="


def test_weights_depend_on_the_seed_and_leave_the_global_stream_alone():
    before = torch.random.get_rng_state()
    first, second, third = (build_policy(TINY, ["0123456789+="], seed) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    weights = [p.model.get_output_embeddings().weight for p in (first, second, third)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_warm_start_reaches_its_target_and_is_cached(tmp_path, monkeypatch):
    monkeypatch.setenv("RLENVS_CACHE", str(tmp_path))
    seen = []
    folder = embedded_policy_folder(TINY, ENV, 4, 0, CPU, lambda step, reached: seen.append(reached))
    assert seen[-1] >= 0.25
    policy = load_policy(folder, CPU)
    problems = ArithmeticSource(**ENV.kwargs).problems("train")
    chat = ChatFormat(policy.tokenizer)
    examination = Examination(ENV.id, ENV.kwargs, problems)
    assert examination.accuracy(policy, GenerateEngine(policy), chat, SamplingParams(4, 0.0), torch.Generator()) > 0.15
    seen.clear()
    assert embedded_policy_folder(TINY, ENV, 4, 0, CPU, lambda *_: seen.append(1)) == folder
    assert not seen, "the second call must not train again"
    assert [p.name for p in folder.parent.iterdir()] == [folder.name], "no drafts left behind"


def test_an_interrupted_warm_start_leaves_no_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RLENVS_CACHE", str(tmp_path))

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(embedded, "warm_start", interrupt)
    with pytest.raises(KeyboardInterrupt):
        embedded_policy_folder(TINY, ENV, 4, 0, CPU)
    assert not list((tmp_path / "warm-start").iterdir())


def test_a_target_out_of_reach_is_an_error_not_an_endless_loop():
    problems, demonstrations = ArithmeticSource(**ENV.kwargs).problems("train"), demonstrations_of_env(ENV, 100, 0)
    policy = build_policy(TINY, texts(demonstrations), 0)
    goal = WarmStartConfig(target_accuracy=1.0, max_accuracy=1.0, max_steps=3, check_every=2, batch_size=8)
    with pytest.raises(TrainingDivergedError, match="3 steps, not 100%"):
        warm_start(policy, demonstrations, problems, ENV, goal, 4, 0)


def test_an_overshoot_goes_back_to_the_best_policy_under_the_ceiling(monkeypatch):
    problems, demonstrations = ArithmeticSource(**ENV.kwargs).problems("train"), demonstrations_of_env(ENV, 100, 0)
    policy = build_policy(TINY, texts(demonstrations), 0)
    readings = iter([0.1, 0.3, 0.8, 0.2, 0.9, 0.95])
    weights = []

    def reading(*_):
        weights.append(policy.model.get_output_embeddings().weight.clone())
        return next(readings)

    monkeypatch.setattr(Examination, "accuracy", reading)
    goal = WarmStartConfig(target_accuracy=0.5, max_accuracy=0.6, check_every=1, batch_size=8)
    assert warm_start(policy, demonstrations, problems, ENV, goal, 4, 0) == 0.3
    assert len(weights) == 6
    assert torch.equal(policy.model.get_output_embeddings().weight, weights[1])


def test_a_cache_that_cannot_be_written_is_known_before_training(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RLENVS_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(embedded, "warm_start", lambda *_: pytest.fail("trained first"))
    with pytest.raises(RunFolderError, match="set RLENVS_CACHE to a folder that can be written to"):
        embedded_policy_folder(TINY, ENV, 4, 0, CPU)
