"""The probability of a language."""

import sys

import pytest
from hostile_texts import HOSTILE, UNENDED, ended, responses
from hypothesis import given, settings

from rlenvs.errors import MissingExtraError, ParameterError
from rlenvs.wrappers.components import language
from rlenvs.wrappers.components.language import LanguageReward

SENTENCES = {
    "en": "The weather is lovely today, but it will rain tomorrow.",
    "de": "Das Wetter ist heute schön, aber morgen wird es regnen.",
    "fr": "Il fait beau aujourd'hui, mais il va pleuvoir demain.",
    "es": "Hoy hace buen tiempo, pero mañana va a llover.",
    "ru": "Сегодня хорошая погода, но завтра будет дождь.",
    "zh": "今天天气很好 但是明天会下雨 所以请你记得带上雨伞再出门去上班。",
}


@pytest.mark.parametrize("wanted", SENTENCES)
def test_each_language_is_told_from_all_others(wanted):
    component = LanguageReward(wanted)
    for written, sentence in SENTENCES.items():
        value = component(ended(sentence))
        assert value > 0.8 if written == wanted else value < 0.05, (written, value)


def test_probabilities_over_the_candidates_sum_to_one():
    candidates = ["en", "de", "nl"]
    message = ended("Hallo, dat is een test of ein Test, who knows that?")
    shares = [LanguageReward(code, candidates)(message) for code in candidates]
    assert sum(shares) == pytest.approx(1.0, abs=1e-5)
    assert all(0 < share < 1 for share in shares)


def test_candidates_are_the_whole_model_renormalised():
    # A softmax over fewer classes keeps the ratios: a second way to the same number.
    candidates = ["en", "de", "nl"]
    message = ended("Hallo, dat is een test of ein Test, who knows that?")
    whole = {code: LanguageReward(code)(message) for code in candidates}
    for code in candidates:
        expected = whole[code] / sum(whole.values())
        assert LanguageReward(code, candidates)(message) == pytest.approx(expected, rel=1e-3)


def test_restricting_one_component_leaves_the_others_alone():
    free, restricted = LanguageReward("fr"), LanguageReward("fr", ["fr", "de"])
    before = free(ended(SENTENCES["es"]))
    assert restricted(ended(SENTENCES["es"])) > 0.5 > before
    assert free(ended(SENTENCES["es"])) == before


def test_too_few_letters_to_tell():
    component = LanguageReward("en", min_letters=5, short_value=0.25)
    for text in ("", "Yes.", "12345678 + 1234 = 12346912", "\ud800" * 99):
        assert component(ended(text)) == 0.25
    assert component(ended("Certainly, yes.")) != 0.25


def test_short_texts_need_no_model(monkeypatch):
    monkeypatch.setattr(language, "identifier", lambda candidates: pytest.fail("loaded a model for nothing"))
    assert LanguageReward("en")(ended("hola")) == 0.0
    assert LanguageReward("en")(UNENDED) == 0.0


def test_reward_value_scales():
    message = ended(SENTENCES["en"])
    assert LanguageReward("en", reward_value=-2.0)(message) == pytest.approx(-2 * LanguageReward("en")(message))


@settings(deadline=None)  # the first example loads the model
@given(responses)
def test_range(text):
    assert 0 <= LanguageReward("en", min_letters=0)(ended(text)) <= 1


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_messages_are_scored(name):
    assert 0 <= LanguageReward("en", min_letters=0)(ended(HOSTILE[name][:60_000])) <= 1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"language": ""}, "language must be an ISO 639-1 code"),
        ({"language": "en", "candidates": ["de", "fr"]}, "candidates must contain the language 'en'"),
        ({"language": "en", "candidates": ["en"]}, "candidates must be two languages or more"),
        ({"language": "en", "min_letters": -1}, "min_letters must be >= 0"),
        ({"language": "en", "short_value": float("nan")}, "short_value must be a finite"),
        ({"language": "en", "reward_value": float("inf")}, "reward_value must be a finite"),
    ],
)
def test_refused_parameters_are_named(parameters, message):
    with pytest.raises(ParameterError, match=message) as caught:
        LanguageReward(**parameters)
    assert caught.value.parameter in parameters


@pytest.mark.parametrize("parameters", [{"language": "xx"}, {"language": "en", "candidates": ["en", "xx"]}])
def test_a_language_that_the_model_does_not_know_is_named_on_first_use(parameters):
    with pytest.raises(ParameterError, match="got 'xx'"):
        LanguageReward(**parameters)(ended(SENTENCES["en"]))


def test_without_py3langid_construction_works_and_use_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "py3langid", None)
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    language.whole_identifier.cache_clear()
    language.identifier.cache_clear()
    component = LanguageReward("en")
    with pytest.raises(MissingExtraError, match=r"LanguageReward needs it; .*rlenvs\[text\]"):
        component(ended(SENTENCES["en"]))
