"""Keywords: what counts as mentioned, and the three ratios."""

import pytest
from hostile_texts import HOSTILE, UNENDED, ended, lines_run, responses
from hypothesis import given
from hypothesis import strategies as st

from rlenvs.errors import ParameterError
from rlenvs.wrappers.components.keywords import FUNCTION_WORDS, KeywordOverlapReward, content_words


@pytest.mark.parametrize(
    ("keyword", "text", "mentioned"),
    [
        ("art", "The ART of war", True),
        ("art", "start the cart", False),
        ("New York", "in new york.", True),
        ("New York", "new in York", False),
        ("straße", "STRASSE", True),
        ("café", "Cafe\u0301", True),
        ("Germany", "Germany's capital", True),
        ("C++", "I like C++.", True),
        ("C++", "I like C.", False),
        ("state-of-the-art", "a state-of-the-art method", True),
        ("北京", "我爱北京", True),
        ("3.5", "3.5 kg", True),
        ("x y", "x", False),
    ],
)
def test_a_keyword_is_mentioned_as_a_whole(keyword, text, mentioned):
    assert KeywordOverlapReward([keyword])(ended(text)) == float(mentioned)


@pytest.mark.parametrize(("metric", "value"), [("recall", 2 / 3), ("precision", 2 / 4), ("f1", 4 / 7)])
def test_ratios(metric, value):
    # Two of three keywords; the content words are red, fox, hunts, night.
    component = KeywordOverlapReward(["fox", "red", "blue"], metric=metric)
    assert component(ended("The red fox hunts at night, the fox!")) == pytest.approx(value)


single = st.sampled_from(["red", "fox", "blue", "owl", "night", "tree"])


@given(st.sets(single, min_size=1), st.lists(single))
def test_ratios_of_single_words_are_those_of_sets(keywords, written):
    message, common = ended(" ".join(written)), len(keywords & set(written))
    recall = common / len(keywords)
    precision = common / len(set(written)) if written else 0.0
    f1 = 2 * precision * recall / (precision + recall) if common else 0.0
    for metric, expected in {"recall": recall, "precision": precision, "f1": f1}.items():
        assert KeywordOverlapReward(sorted(keywords), metric=metric)(message) == pytest.approx(expected)


def test_keywords_from_the_prompt():
    component = KeywordOverlapReward()
    prompt = "What is the capital of France?"
    assert component(ended("Paris is the capital.", prompt=prompt)) == 0.5
    assert component(ended("I do not know what it is.", prompt=prompt)) == 0.0


def test_keywords_from_the_gold_answer():
    component = KeywordOverlapReward(info_key="task.gold", metric="f1")
    assert component(ended("Paris", task={"gold": "It is Paris"})) == 1.0
    assert KeywordOverlapReward(info_key="tags")(ended("cats", tags=["cats", "dogs"])) == 0.5


def test_text_of_function_words_alone_keeps_them():
    assert content_words("To be, or not to be") == {"to", "be", "or", "not"}
    assert content_words("the cat") == {"cat"}
    assert not any("'s" in word for word in FUNCTION_WORDS)  # possessives are cut before the comparison


@pytest.mark.parametrize(
    ("info", "error", "match"),
    [
        ({}, KeyError, "info has no 'task.gold': 'task' is not in"),
        ({"task": {"answer": "7"}}, KeyError, r"'gold' is not in \['answer'\]"),
        ({"task": {"gold": 7}}, TypeError, "must be a text or a list of texts, got 7"),
        ({"task": {"gold": []}}, TypeError, "must be a text or a list of texts"),
        ({"task": {"gold": "?"}}, ValueError, "has no words to look for"),
    ],
)
def test_what_the_text_cannot_provoke_is_a_failure(info, error, match):
    with pytest.raises(error, match=match):
        KeywordOverlapReward(info_key="task.gold")(ended("x", **info))


def test_a_prompt_without_words_is_a_failure():
    with pytest.raises(ValueError, match="the prompt has no words"):
        KeywordOverlapReward()(ended("x", prompt="..."))


@given(responses, st.sampled_from(["recall", "precision", "f1"]))
def test_range_and_case(text, metric):
    component = KeywordOverlapReward(["cat", "3.5", "don't", "the"], metric=metric)
    value = component(ended(text))
    assert 0 <= value <= 1
    if text.isascii():
        assert component(ended(text.upper())) == value


@given(responses)
def test_more_text_never_loses_a_keyword(text):
    component = KeywordOverlapReward(["cat", "sat", "the cat"])
    assert component(ended(f"{text} the cat")) >= component(ended(text))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_messages_are_scored(name):
    for metric in ("recall", "f1"):
        assert 0 <= KeywordOverlapReward(["a", "f u", "!!"], metric=metric)(ended(HOSTILE[name])) <= 1


def test_cost_is_linear():
    component = KeywordOverlapReward(["a a a a b", "a b", "b"])
    short, long = (lines_run(lambda n=n: component(ended("a a a b " * n))) for n in (100, 1_000))
    assert long <= 11 * short


def test_unended_message():
    assert KeywordOverlapReward(["so"])(UNENDED) == 0.0


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"keywords": []}, "keywords must name at least one"),
        ({"keywords": ["ok", " \u200b"]}, "keywords must have a visible character each"),
        ({"keywords": ["a"], "info_key": "gold"}, "info_key cannot stand beside keywords"),
        ({"keywords": ["a"], "metric": "accuracy"}, "metric must be one of"),
    ],
)
def test_refused_parameters_are_named(parameters, message):
    with pytest.raises(ParameterError, match=message) as caught:
        KeywordOverlapReward(**parameters)
    assert caught.value.parameter in parameters
