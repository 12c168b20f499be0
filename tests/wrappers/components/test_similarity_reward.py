"""Similarity to a reference: edit distance, ROUGE-L and embeddings, each against a second algorithm."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hostile_texts import HOSTILE, UNENDED, any_text, ended, responses
from hypothesis import given
from hypothesis import strategies as st
from tiny_judges import save_encoder

from rlenvs.errors import ComponentError, DeviceError, MissingExtraError, ModelLoadError, ParameterError
from rlenvs.wrappers import RewardPipeline
from rlenvs.wrappers.components.local_models import TextEncoder
from rlenvs.wrappers.components.similarity import SimilarityReward, edit_similarity, rouge_l
from rlenvs.wrappers.components.text_units import words


def levenshtein(first: str, second: str) -> int:
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(second, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]


def longest_common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            table[i + 1][j + 1] = table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


short = st.text(st.characters(exclude_categories=()) | st.sampled_from("ab "), max_size=12)


@given(short, short)
def test_edit_similarity_equals_the_textbook_table(first, second):
    longest = max(len(first), len(second))
    expected = 1.0 if longest == 0 else 1 - levenshtein(first, second) / longest
    assert edit_similarity(first, second) == pytest.approx(expected)


sentences = st.lists(st.sampled_from(["the", "cat", "sat", "on", "mat"]), min_size=1, max_size=10)


@given(sentences, sentences)
def test_rouge_l_equals_the_textbook_table(first, second):
    common = longest_common_subsequence(first, second)
    precision, recall = common / len(first), common / len(second)
    expected = 2 * precision * recall / (precision + recall) if common else 0.0
    assert rouge_l(" ".join(first), " ".join(second)) == pytest.approx(expected)


def test_rouge_l_of_the_paper():
    # Lin 2004, section 3.1: LCS "police the gunman" is 3 of 4 words, "the gunman" 2 of 4.
    reference = "police killed the gunman"
    assert rouge_l("police kill the gunman", reference) == 0.75
    assert rouge_l("the gunman kill police", reference) == 0.5


def test_texts_without_words():
    assert rouge_l("", "") == rouge_l(" + ", "+") == 1.0
    assert rouge_l("", "cat") == rouge_l("cat", "") == rouge_l("+", "-") == 0.0


@pytest.mark.parametrize("metric", ["edit", "rouge_l"])
@given(first=responses, second=responses)
def test_similarity_is_symmetric_in_range_and_one_for_itself(metric, first, second):
    def compare(text: str, reference: str) -> float:
        return SimilarityReward(metric, info_key="gold")(ended(text, gold=reference))

    assert 0 <= compare(first, second) <= 1
    assert compare(first, second) == pytest.approx(compare(second, first))
    assert compare(first, first) == 1.0


def test_the_default_reference_is_the_gold_answer_of_the_problem():
    component = SimilarityReward()
    assert component(ended("kitten", task={"gold": "sitting"})) == pytest.approx(4 / 7)
    with pytest.raises(KeyError, match=r"task\.gold"):
        component(ended("kitten"))
    with pytest.raises(ComponentError, match=r"info has no 'task\.gold'"):
        RewardPipeline({"close": component}).compute([ended("kitten")], 0)


def test_the_nearest_of_several_references_counts():
    component = SimilarityReward("rouge_l", reference=["a dog ran", "the cat sat"])
    assert component(ended("The cat sat.")) == 1.0
    in_info = SimilarityReward("rouge_l", info_key="answers")
    assert in_info(ended("a dog", answers=["a dog ran", "the cat sat"])) == pytest.approx(0.8)


@pytest.mark.parametrize("metric", ["edit", "rouge_l"])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_messages_are_scored(metric, name):
    component = SimilarityReward(metric, reference="the cat sat on the mat " * 20)
    assert 0 <= component(ended(HOSTILE[name])) <= 1
    assert component(UNENDED) == 0.0


# Embeddings


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    save_encoder(folder)
    return folder


def test_embeddings_are_the_mean_over_the_tokens_of_each_text_alone(encoder_folder, tmp_path):
    model, tokenizer = save_encoder(tmp_path)
    texts = ["the cat sat", "dog", "a b c d e f g h", "bad cat bad dog", "x"]
    vectors = TextEncoder(str(encoder_folder), batch_size=2, device="cpu").embed(texts)
    for text, vector in zip(texts, vectors, strict=True):
        with torch.no_grad():  # one at a time: no padding, so no mask
            mean = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(dim=0)
        torch.testing.assert_close(torch.tensor(vector), (mean / mean.norm()).double(), atol=1e-5, rtol=0)


def test_embedding_similarity_is_the_cosine(encoder_folder):
    encoder = TextEncoder(str(encoder_folder), device="cpu")
    component = SimilarityReward("embedding", reference=["cat sat", "bad dog"], model=str(encoder_folder), device="cpu")
    texts = ["cat sat", "good dog", "a b c", "x y z", ""]
    batch = [ended(text) for text in texts]
    references = encoder.embed(["cat sat", "bad dog"])
    expected = (encoder.embed(texts) @ references.T).max(axis=1).clip(0, 1)
    assert component.batch([*batch, UNENDED]) == pytest.approx([*expected, 0.0], abs=1e-6)
    assert component(batch[0]) == pytest.approx(1.0)
    assert component.batch(batch) == pytest.approx([component(message) for message in batch], abs=1e-6)
    assert len({round(value, 3) for value in expected}) > 3  # the random model tells them apart


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_messages_are_embedded(encoder_folder, name):
    component = SimilarityReward("embedding", "the cat sat", model=str(encoder_folder), max_tokens=16, device="cpu")
    assert 0 <= component(ended(HOSTILE[name])) <= 1


@given(text=any_text)
def test_any_text_can_be_embedded(encoder_folder, text):
    assert 0 <= SHARED.setdefault("component", _embedding(encoder_folder))(ended(text)) <= 1


SHARED: dict[str, SimilarityReward] = {}


def _embedding(folder: Path) -> SimilarityReward:
    return SimilarityReward("embedding", "the cat sat", model=str(folder), device="cpu")


def test_only_the_first_tokens_are_read(encoder_folder):
    def embed(text: str, max_tokens: int) -> object:
        return TextEncoder(str(encoder_folder), max_tokens=max_tokens, device="cpu").embed([text]).tolist()

    assert embed("a b c d", 2) == embed("a b x y", 2) != embed("a b x y", 3)
    assert embed("a " * 1_000, 10_000) == embed("a " * 64, 10_000)  # the model has 64 positions


def test_models_are_loaded_on_first_use_and_never_downloaded(tmp_path):
    component = SimilarityReward("embedding", "x", model="sentence-transformers/all-MiniLM-L6-v2")  # a hub id
    assert component(UNENDED) == 0.0
    with pytest.raises(ModelLoadError, match="'sentence-transformers/all-MiniLM-L6-v2' is not a folder"):
        component(ended("y"))
    with pytest.raises(ModelLoadError, match="an embedding: cannot load folder"):
        SimilarityReward("embedding", "x", model=str(tmp_path))(ended("y"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_where_there_is_none(encoder_folder):
    with pytest.raises(DeviceError, match="sees no CUDA device"):
        SimilarityReward("embedding", "x", model=str(encoder_folder), device="cuda")(ended("y"))


@pytest.mark.parametrize(
    ("module", "parameters", "match"),
    [
        ("rapidfuzz", {"metric": "edit"}, r"rlenvs\[text\]"),
        ("rapidfuzz", {"metric": "rouge_l"}, r"rlenvs\[text\]"),
        ("transformers", {"metric": "embedding", "model": "folder"}, r"rlenvs\[llm\]"),
    ],
)
def test_a_missing_library_is_named_on_first_use(monkeypatch, module, parameters, match):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, f"{module}.distance", None)
    component = SimilarityReward(reference="x", **parameters)
    with pytest.raises(MissingExtraError, match=match):
        component(ended("y"))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"metric": "bleu"}, "metric must be one of"),
        ({"reference": "a", "info_key": "b"}, "info_key cannot stand beside reference"),
        ({"reference": ""}, "reference must be a text"),
        ({"reference": []}, "reference must be a text"),
        ({"metric": "embedding", "model": None}, "model belongs to metric 'embedding'"),
        ({"metric": "edit", "model": "folder"}, "model belongs to metric 'embedding'"),
        ({"max_tokens": 0}, "max_tokens must be >= 1"),
        ({"batch_size": 0}, "batch_size must be >= 1"),
        ({"device": "tpu"}, "device must be one of"),
    ],
)
def test_refused_parameters_are_named(parameters, message):
    with pytest.raises(ParameterError, match=message) as caught:
        SimilarityReward(**parameters)
    assert caught.value.parameter in parameters


def test_words_are_compared_without_case_and_marks():
    assert words("The CAT, sat!") == words("the cat sat")
    assert SimilarityReward("rouge_l", reference="the cat sat")(ended("The CAT, sat!")) == 1.0
