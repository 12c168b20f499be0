"""Likeness to a target: closed forms, the order of the sources, and a model on disk."""

import copy
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlenvs.errors import ModelLoadError, ParameterError
from rlenvs.wrappers import RewardState
from rlenvs.wrappers.potentials import EmbeddingSimilarityPotential, hash_embedding

vectors = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=3, max_size=3)


def embedded(vector: object, text: str = "some text") -> RewardState:
    return RewardState(info={"embedding": vector, "response_so_far": text})


def writing(text: str) -> RewardState:
    return RewardState(info={"response_so_far": text})


def exact_cosine(one: list[float], other: list[float]) -> float:
    """With the largest coordinate divided out and exactly rounded sums."""
    one, other = ([x / max(map(abs, v)) for x in v] for v in (one, other))
    dot = math.fsum(a * b for a, b in zip(one, other, strict=True))
    return dot / math.sqrt(math.fsum(a * a for a in one) * math.fsum(b * b for b in other))


@given(state=vectors.filter(any), target=vectors.filter(any))
def test_it_is_the_cosine_whatever_the_lengths(state, target):
    found = EmbeddingSimilarityPotential(target)(embedded(state))
    assert found == pytest.approx(exact_cosine(state, target), abs=1e-9)
    assert -1.0 <= found <= 1.0


@pytest.mark.parametrize(("state", "cosine"), [([3, 4], 1.0), ([-3, -4], -1.0), ([4, -3], 0.0), ([0, 0], 0.0)])
@pytest.mark.parametrize("kind", [list, tuple, np.array])
def test_cases(state, cosine, kind):
    assert EmbeddingSimilarityPotential([3.0, 4.0])(embedded(kind(state))) == pytest.approx(cosine, abs=1e-12)


def test_without_an_embedding_the_text_is_hashed_into_the_targets_dimension():
    target = hash_embedding(["the answer is four"], 100)[0]
    like = EmbeddingSimilarityPotential(target.tolist())
    assert like(writing("The answer is  four")) == pytest.approx(1.0)
    assert like(writing("the answer is five")) == pytest.approx(
        float(target @ hash_embedding(["the answer is five"], 100)[0]), abs=1e-12
    )
    assert like(writing("the answer is five")) > like(writing("no idea")) + 0.3


def test_a_target_text_is_hashed_and_embeddings_of_another_space_are_not_mixed_in():
    like = EmbeddingSimilarityPotential(target_text="the answer is four")
    assert like(writing("the answer is four")) == pytest.approx(1.0)
    assert like(embedded([1.0, 2.0], "the answer is four")) == pytest.approx(1.0)


def test_closeness_grows_as_the_target_is_written():
    goal = "so the sum of both is 42"
    like = EmbeddingSimilarityPotential(target_text=goal)
    values = [like(writing(goal[:cut])) for cut in range(0, len(goal) + 1, 6)]
    assert values[0] == 0.0
    assert values == sorted(values)
    assert values[-1] == pytest.approx(1.0)


@pytest.mark.parametrize("state", [RewardState(), writing(""), writing(" \n"), RewardState("prompt")])
def test_states_without_text_are_worth_nothing(state):
    assert EmbeddingSimilarityPotential([1.0, 2.0])(state) == 0.0
    assert EmbeddingSimilarityPotential(target_text="goal")(state) == 0.0


@pytest.mark.parametrize("wrong", [[1.0], [1.0, 2.0, 3.0], [[1.0, 2.0]], [1.0, math.nan], [math.inf, 0.0], 3.0])
def test_an_embedding_that_does_not_fit_is_an_error_and_not_a_zero(wrong):
    with pytest.raises(ValueError, match=r"info\['embedding'\] must be 2 finite numbers"):
        EmbeddingSimilarityPotential([1.0, 2.0])(embedded(wrong))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "target_embedding or target_text must be given"),
        ({"target_embedding": [1.0], "target_text": "x"}, "and not both"),
        ({"target_embedding": []}, "finite numbers that are not all 0"),
        ({"target_embedding": [0.0, 0.0]}, "not all 0"),
        ({"target_embedding": [1.0, math.nan]}, "finite numbers"),
        ({"target_text": " "}, "target_text must not be blank"),
        ({"target_text": "x", "max_tokens": 0}, "max_tokens must be >= 1"),
    ],
)
def test_wrong_parameters_are_refused(arguments, message):
    with pytest.raises(ParameterError, match=message):
        EmbeddingSimilarityPotential(**arguments)


WORDS = ["[PAD]", "[UNK]", "the", "answer", "is", "four", "five", "no", "idea"]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    """A random two-layer encoder over nine words, saved like any other model."""
    torch = pytest.importorskip("torch")
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("encoder")
    words = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BertModel(
            BertConfig(
                vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                intermediate_size=32, max_position_embeddings=8, pad_token_id=0,
            )
        )  # fmt: skip
    model.save_pretrained(folder)
    return str(folder)


def pooled(folder: str, text: str) -> np.ndarray:
    """One text alone, without padding."""
    import torch
    from transformers import AutoModel

    ids = [WORDS.index(word) if word in WORDS else 1 for word in text.split()]
    with torch.inference_mode():
        hidden = AutoModel.from_pretrained(folder).eval()(input_ids=torch.tensor([ids])).last_hidden_state
    return hidden[0].numpy().astype(np.float64).mean(axis=0)


def test_a_model_embeds_the_mean_of_its_states_whatever_the_padding(model_folder):
    like = EmbeddingSimilarityPotential(target_text="the answer is four", model_id=model_folder)
    texts = ["five", "the answer is five", "no idea", "the answer is four", "words nobody knows"]
    goal = pooled(model_folder, "the answer is four")
    expected = [exact_cosine(pooled(model_folder, text).tolist(), goal.tolist()) for text in texts]
    found = like.batch([writing(text) for text in [*texts, ""]])
    np.testing.assert_allclose(found, [*expected, 0.0], atol=1e-5)
    assert len({round(value, 3) for value in found}) == 6


def test_a_models_target_vector_meets_embeddings_of_infos_and_of_texts(model_folder):
    goal = pooled(model_folder, "the answer is four").tolist()
    like = EmbeddingSimilarityPotential(target_embedding=goal, model_id=model_folder)
    assert like(writing("the answer is four")) == pytest.approx(1.0, abs=1e-5)
    assert like(embedded([-x for x in goal])) == pytest.approx(-1.0, abs=1e-9)


def test_hostile_texts_reach_the_model(model_folder):
    like = EmbeddingSimilarityPotential(target_text="four", model_id=model_folder, max_tokens=8)
    hostile = [writing(text) for text in ("\ud800", "\x00", "the " * 100_000, "\u200b", "four")]
    found = like.batch(hostile)
    assert np.isfinite(found).all()
    assert found[-1] == pytest.approx(1.0, abs=1e-5)


def test_the_model_is_loaded_late_and_left_out_of_copies(model_folder):
    EmbeddingSimilarityPotential(target_text="four", model_id="/nowhere/at/all")
    like = EmbeddingSimilarityPotential(target_text="four", model_id=model_folder)
    value = like(writing("five"))
    pickled = pickle.loads(pickle.dumps(like))  # noqa: S301 - our own bytes
    for twin in (pickled, copy.deepcopy(like)):
        assert len(pickle.dumps(twin)) < 5_000
        assert twin(writing("five")) == value


def test_a_model_that_is_not_there_says_so(tmp_path):
    pytest.importorskip("transformers")
    like = EmbeddingSimilarityPotential(target_text="x", model_id=str(tmp_path / "absent"))
    with pytest.raises(ModelLoadError, match=r"embedding model .*absent.* cannot be loaded"):
        like(writing("x"))


def test_a_target_of_another_size_than_the_models_says_both(model_folder):
    like = EmbeddingSimilarityPotential([1.0, 2.0], model_id=model_folder)
    with pytest.raises(ValueError, match=r"has 2 coordinates, model .* gives 16"):
        like(writing("four"))
