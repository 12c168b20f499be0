"""Reward models: small random ones of several architectures, written to folders and loaded like any other."""

import math
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors

from rlenvs.errors import DeviceError, ModelLoadError, ParameterError
from rlenvs.wrappers import RewardPipeline, Transition
from rlenvs.wrappers.components.reward_model import HuggingFaceRewardModel, _by_length
from rlenvs.wrappers.deadline.component import DeadlineReward

SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "<s>", "</s>"]
CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789 .?!:<|>\n_"
TEMPLATE = "{% for m in messages %}<s>{{ m['role'] }}: {{ m['content'] }}</s>\n{% endfor %}"
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def tokenizer_of(kind: str, pad: bool = True, template: str | None = None) -> Any:
    """One token per character; pairs as the architecture has them."""
    vocabulary = {token: index for index, token in enumerate([*SPECIAL, *CHARACTERS])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    core.decoder = decoders.Fuse()
    if kind == "llama":
        core.post_processor = processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 4)]
        )
        names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "[PAD]" if pad else None}
    else:
        core.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
        )
        names = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=core, unk_token="[UNK]", **names)
    tokenizer.chat_template = template
    return tokenizer


def save_model(folder: Path, kind: str, labels: int = 1, pad: bool = True, template: str | None = None) -> Path:
    """Write a random sequence classifier whose logits are far from each other."""
    tokenizer = tokenizer_of(kind, pad, template)
    common = {"vocab_size": len(tokenizer), "num_labels": labels, **SIZES}
    configs = {
        "bert": lambda: transformers.BertConfig(max_position_embeddings=128, **common),
        "deberta": lambda: transformers.DebertaV2Config(
            max_position_embeddings=128,
            relative_attention=True,
            pos_att_type=["p2c", "c2p"],
            type_vocab_size=2,
            **common,
        ),
        "roberta": lambda: transformers.RobertaConfig(
            max_position_embeddings=40, type_vocab_size=2, pad_token_id=0, **common
        ),
        "llama": lambda: transformers.LlamaConfig(
            pad_token_id=0 if pad else None, bos_token_id=4, eos_token_id=5, num_key_value_heads=2, **common
        ),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = transformers.AutoModelForSequenceClassification.from_config(configs[kind]())
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter.normal_(0.0, 0.4)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("models")
    made = {
        "bert": save_model(root / "bert", "bert"),
        "deberta": save_model(root / "deberta", "deberta"),
        "roberta": save_model(root / "roberta", "roberta"),
        "llama": save_model(root / "llama", "llama"),
        "llama-chat": save_model(root / "llama-chat", "llama", template=TEMPLATE),
        "llama-no-pad": save_model(root / "llama-no-pad", "llama", pad=False),
        "classes": save_model(root / "classes", "bert", labels=3),
    }
    return {name: str(folder) for name, folder in made.items()}


PROMPTS = ["2+2?", "say hello", "", "a long prompt " * 3, "x"]
RESPONSES = ["4", "hello there.", "nothing to answer", "", "a much longer response than all the others " * 2]


def by_hand(folder: str, tokenize, label: int = 0) -> list[float]:
    """Each row alone, by nothing but transformers."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        return [
            float(model(**tokenize(tokenizer, prompt, response)).logits[0, label])
            for prompt, response in zip(PROMPTS, RESPONSES, strict=True)
        ]


def as_pair(tokenizer, prompt, response):
    return tokenizer(prompt, response, return_tensors="pt")


def as_text(tokenizer, prompt, response):
    return tokenizer(f"{prompt}\n{response}", return_tensors="pt")


def as_chat(tokenizer, prompt, response):
    chat = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
    text = tokenizer.apply_chat_template(chat, tokenize=False)
    return tokenizer(text, add_special_tokens=False, return_tensors="pt")


@pytest.mark.parametrize(
    ("name", "inputs", "tokenize"),
    [
        ("bert", "auto", as_pair),
        ("bert", "text", as_text),
        ("deberta", "auto", as_pair),
        ("llama", "auto", as_pair),
        ("llama", "text", as_text),
        ("llama-chat", "auto", as_chat),
        ("llama-chat", "pair", as_pair),
        ("llama-no-pad", "auto", as_pair),
    ],
)
def test_scores_are_those_of_transformers_row_by_row_in_every_batch(folders, name, inputs, tokenize):
    expected = by_hand(folders[name], tokenize)
    assert np.ptp(expected) > 0.1  # otherwise the comparison would say nothing
    for batch_size in (1, 2, 8):
        model = HuggingFaceRewardModel(folders[name], inputs=inputs, batch_size=batch_size)
        np.testing.assert_allclose(model.score(PROMPTS, RESPONSES), expected, atol=1e-5)
        np.testing.assert_allclose(model.score(PROMPTS[::-1], RESPONSES[::-1]), expected[::-1], atol=1e-5)


def test_a_row_scores_alike_whatever_is_beside_it(folders):
    model = HuggingFaceRewardModel(folders["deberta"], batch_size=64)
    alone = float(model.score(["q"], ["answer"])[0])
    for beside in (["z" * n] for n in (0, 1, 50, 400)):
        assert model.score(["q", "q"], ["answer", *beside])[0] == pytest.approx(alone, abs=1e-5)
    assert model(Transition(prompt="q", response="answer")) == pytest.approx(alone, abs=1e-5)
    assert model.batch([]).tolist() == []


def test_the_whole_chat_goes_through_the_template(folders):
    model = HuggingFaceRewardModel(folders["llama-chat"])
    chat = [
        {"role": "user", "content": "2+2?"},
        {"role": "assistant", "content": "5"},
        {"role": "user", "content": "no"},
        {"role": "assistant", "content": "4"},
    ]
    with_feedback = [*chat, {"role": "user", "content": "right!"}]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folders["llama-chat"])
    classifier = transformers.AutoModelForSequenceClassification.from_pretrained(folders["llama-chat"]).eval()
    text = tokenizer.apply_chat_template(chat, tokenize=False)
    with torch.no_grad():
        expected = float(classifier(**tokenizer(text, add_special_tokens=False, return_tensors="pt")).logits[0, 0])
    for messages in (chat, with_feedback):
        seen = Transition(prompt="2+2?", response="4", messages=messages)
        assert model(seen) == pytest.approx(expected, abs=1e-5)


def test_a_message_that_has_not_ended_is_not_scored(folders):
    model = HuggingFaceRewardModel(folders["bert"])
    unfinished = Transition(action=3, response="so f", info={"response_so_far": "so f"})
    assert model.batch([unfinished]).tolist() == [0.0]
    assert model._loaded is None
    scores = model.batch([unfinished, Transition(prompt="p", response="r")])
    assert scores[0] == 0.0
    assert scores[1] == pytest.approx(model.score(["p"], ["r"])[0], abs=1e-6)


# --- labels and normalisation ---------------------------------------------------------------------------------------


def test_normalisation_is_the_models_own_probability(folders):
    raw = HuggingFaceRewardModel(folders["deberta"]).score(PROMPTS, RESPONSES)
    normalised = HuggingFaceRewardModel(folders["deberta"], normalize=True).score(PROMPTS, RESPONSES)
    np.testing.assert_allclose(normalised, 1.0 / (1.0 + np.exp(-raw)), atol=1e-6)
    logits = np.array([by_hand(folders["classes"], as_pair, label) for label in range(3)])
    shares = np.exp(logits) / np.exp(logits).sum(axis=0)
    for label in range(3):
        model = HuggingFaceRewardModel(folders["classes"], label_index=label)
        np.testing.assert_allclose(model.score(PROMPTS, RESPONSES), logits[label], atol=1e-5)
        model = HuggingFaceRewardModel(folders["classes"], label_index=label, normalize=True)
        np.testing.assert_allclose(model.score(PROMPTS, RESPONSES), shares[label], atol=1e-5)


def test_labels_that_do_not_exclude_each_other_are_normalised_alone(folders, tmp_path):
    folder = shutil.copytree(folders["classes"], tmp_path / "multi")
    config = transformers.AutoConfig.from_pretrained(folder)
    config.problem_type = "multi_label_classification"
    config.save_pretrained(folder)
    logits = np.array(by_hand(folders["classes"], as_pair, 1))
    model = HuggingFaceRewardModel(str(folder), label_index=1, normalize=True)
    np.testing.assert_allclose(model.score(PROMPTS, RESPONSES), 1.0 / (1.0 + np.exp(-logits)), atol=1e-5)


def test_a_label_has_to_be_chosen_and_to_exist(folders):
    with pytest.raises(ParameterError, match=r"label_index is needed: the model has 3 labels \(0: LABEL_0, 1: LABEL_1"):
        HuggingFaceRewardModel(folders["classes"]).warm_up()
    with pytest.raises(ParameterError, match=r"label_index must be < 3 .*got 3"):
        HuggingFaceRewardModel(folders["classes"], label_index=3).warm_up()
    assert HuggingFaceRewardModel(folders["bert"], label_index=0).score(["p"], ["r"]).shape == (1,)


# --- long and odd texts ---------------------------------------------------------------------------------------------


def shown(folder: str, prompt: str, response: str, max_length: int) -> str:
    model = HuggingFaceRewardModel(folder, max_length=max_length)
    model.warm_up()
    assert model._loaded is not None
    chat = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
    ids = model._loaded.encode(chat)["input_ids"]
    assert len(ids) <= max_length
    return "".join(model._loaded.tokenizer.convert_ids_to_tokens(ids))


@pytest.mark.parametrize(
    ("name", "max_length", "expected"),
    [
        ("bert", 20, "[CLS]prompt[SEP]response[SEP]"),
        ("bert", 17, "[CLS]prompt[SEP]response[SEP]"),
        ("bert", 14, "[CLS]mpt[SEP]response[SEP]"),
        ("bert", 11, "[CLS][SEP]response[SEP]"),
        ("bert", 8, "[CLS][SEP]ponse[SEP]"),
        ("llama", 12, "<s>mptresponse"),
        ("llama", 8, "<s>esponse"),
        ("llama-chat", 16, "<s>ant: response</s>\n"),
    ],
)
def test_what_is_too_long_loses_its_beginning_the_prompt_first(folders, name, max_length, expected):
    text = shown(folders[name], "prompt", "response", max_length)
    assert text == expected


def test_a_very_long_text_costs_no_more_than_its_end(folders):
    model = HuggingFaceRewardModel(folders["bert"], max_length=32)
    tail = "b" * 100
    long, short = model.score(["p", "p"], ["a" * 1_000_000 + tail, "a" * 40 + tail])
    assert long == pytest.approx(short, abs=1e-6)


@pytest.mark.parametrize("name", ["bert", "llama-chat"])
@pytest.mark.parametrize("response", ["\ud800", "\x00", "", " ", "\U0001f600" * 300, "[PAD]", "</s>", "{{ messages }}"])
def test_odd_texts_get_a_number(folders, name, response):
    assert math.isfinite(HuggingFaceRewardModel(folders[name], max_length=64).score(["p"], [response])[0])


@pytest.mark.parametrize(("name", "positions"), [("bert", 128), ("deberta", 128), ("roberta", 39)])
def test_no_text_is_longer_than_the_model_has_positions(folders, name, positions):
    model = HuggingFaceRewardModel(folders[name], max_length=512)
    long, cut = model.score(["p", "p"], ["a" * 40 + "b" * 1000, "b" * 200])
    assert model._loaded.max_length == positions  # type: ignore[union-attr]
    assert long == pytest.approx(cut, abs=1e-6)


def test_rows_of_about_the_same_length_go_together():
    assert list(_by_length([5, 1, 4, 2, 3], 2)) == [[1, 3], [4, 2], [0]]
    assert list(_by_length([], 2)) == []


# --- loading --------------------------------------------------------------------------------------------------------


def test_the_model_is_loaded_with_the_first_score_and_not_copied(folders):
    model = HuggingFaceRewardModel(folders["bert"])
    assert model._loaded is None
    first = model.score(["p"], ["r"])[0]
    assert not model._loaded.model.training  # type: ignore[union-attr]
    copied = pickle.loads(pickle.dumps(model))  # noqa: S301
    assert copied._loaded is None
    assert copied.score(["p"], ["r"])[0] == first
    assert len(pickle.dumps(model)) < 2000


def test_it_draws_nothing_from_the_global_generators(folders):
    before = torch.get_rng_state()
    HuggingFaceRewardModel(folders["deberta"]).score(["p"], ["r"])
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", ["nowhere/at-all", "./no-such-folder"])
def test_what_is_not_there_cannot_be_loaded(name, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelLoadError, match=f"cannot load hub id .*{name!r} as a reward model") as caught:
        HuggingFaceRewardModel(name).warm_up()
    assert "\n" not in str(caught.value)


def test_a_damaged_folder_cannot_be_loaded(folders, tmp_path):
    folder = Path(shutil.copytree(folders["bert"], tmp_path / "damaged"))
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ModelLoadError, match=r"cannot load folder .*damaged"):
        HuggingFaceRewardModel(str(folder)).warm_up()
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelLoadError, match=r"cannot load folder .*damaged"):
        HuggingFaceRewardModel(str(folder)).warm_up()


def test_a_language_model_without_a_head_would_score_at_random_and_is_refused(folders, tmp_path):
    transformers.AutoModel.from_pretrained(folders["bert"]).save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(folders["bert"]).save_pretrained(tmp_path)
    with pytest.raises(ModelLoadError, match=r"is no reward model: it has no weights for classifier.bias, classifier"):
        HuggingFaceRewardModel(str(tmp_path)).warm_up()


def test_pickled_weights_are_never_loaded(folders, tmp_path):
    class Canary:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "canary",))

    folder = Path(shutil.copytree(folders["bert"], tmp_path / "pickled"))
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Canary()))
    with pytest.raises(ModelLoadError, match=r"cannot load folder .*pickled"):
        HuggingFaceRewardModel(str(folder)).warm_up()
    assert not (tmp_path / "canary").exists()


def test_code_of_a_folder_never_runs(folders, tmp_path):
    folder = Path(shutil.copytree(folders["bert"], tmp_path / "coded"))
    config = (folder / "config.json").read_text()
    (folder / "own.py").write_text(f"open({str(tmp_path / 'canary')!r}, 'w')\n")
    auto_map = '"auto_map": {"AutoConfig": "own.C", "AutoModelForSequenceClassification": "own.M"},'
    (folder / "config.json").write_text(config.replace("{", "{" + auto_map, 1).replace('"bert"', '"own-kind"'))
    with pytest.raises(ModelLoadError):
        HuggingFaceRewardModel(str(folder)).warm_up()
    assert not (tmp_path / "canary").exists()


def test_no_template_for_chat(folders):
    with pytest.raises(ModelLoadError, match="no chat template; use inputs=pair or text"):
        HuggingFaceRewardModel(folders["bert"], inputs="chat").warm_up()


def test_devices(folders):
    assert HuggingFaceRewardModel(folders["bert"], device="cpu").score(["p"], ["r"]).shape == (1,)
    with pytest.raises(ParameterError, match="device must be auto, cpu, cuda"):
        HuggingFaceRewardModel(folders["bert"], device="tpu!").warm_up()
    with pytest.raises(DeviceError, match="device 'cuda:99' was asked for but torch does not see it"):
        HuggingFaceRewardModel(folders["bert"], device="cuda:99").warm_up()


def test_half_precision_is_close(folders):
    full = HuggingFaceRewardModel(folders["bert"]).score(PROMPTS, RESPONSES)
    half = HuggingFaceRewardModel(folders["bert"], dtype="bfloat16").score(PROMPTS, RESPONSES)
    assert not np.array_equal(full, half)
    np.testing.assert_allclose(half, full, atol=0.3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model_id": ""}, "model_id must be"),
        ({"max_length": 4}, "max_length must be >= 8, got 4"),
        ({"batch_size": 0}, "batch_size must be >= 1"),
        ({"label_index": -1}, "label_index must be >= 0"),
        ({"dtype": "int8"}, "dtype must be float32, bfloat16 or float16"),
        ({"inputs": "both"}, "inputs must be auto, chat, pair or text"),
    ],
)
def test_parameters_out_of_range(arguments, message):
    with pytest.raises(ParameterError, match=message):
        HuggingFaceRewardModel(**{"model_id": "x", **arguments})


@pytest.mark.slow
@pytest.mark.ci
def test_in_a_pipeline_and_under_a_deadline(folders):
    model = HuggingFaceRewardModel(folders["bert"])
    rows = [Transition(prompt=p, response=r) for p, r in zip(PROMPTS, RESPONSES, strict=True)]
    inside = RewardPipeline({model.name: model}).compute(rows, 0).total
    # The model is loaded when the process starts, not on the first row's time.
    with DeadlineReward(model, seconds=5.0) as guarded:
        np.testing.assert_allclose(guarded.batch(rows), inside, atol=1e-6)
