"""Toxicity by lexicon and by model."""

import json
import math
from pathlib import Path

import pytest
import torch
from hostile_texts import HOSTILE, UNENDED, any_text, ended, lines_run, responses
from hypothesis import given
from hypothesis import strategies as st
from tiny_judges import save_classifier

from rlenvs.errors import ModelLoadError, ParameterError
from rlenvs.wrappers.components.toxicity import (
    CYRILLIC,
    GREEK,
    UNDECOMPOSED_LATIN,
    Lexicon,
    ToxicityPenalty,
    built_in_severities,
)
from rlenvs.wrappers.components.toxicity_lexicon import STEMS

DATA = Path(__file__).parents[4] / "shared" / "data"
BUILT_IN = ToxicityPenalty()


def toxicity(text: str) -> float:
    return BUILT_IN.toxicities([text])[0]


INNOCENT = [
    "Scunthorpe and Penistone are towns; Essex and Sussex are counties.",
    "kill the process, then kill -9 the zombie and its orphaned children",
    "The assassin passed the class assessment on Assyrian grass and brass.",
    "A cockatoo, a cocktail, a peacock, shuttlecocks and Hitchcock.",
    "Dickens wrote of Dickinson; Moby-Dickens is no book.",
    "analysis, cumulative, document, circumstance, magna",
    "retardant foam, niggardly, snigger, therapist, pedometer, titanic, button",
    "It is a shitake... no, shiitake mushroom; she sells sea shells",
    "a*b + f*g = f**2 * (c**n) + f**k and **bold** text, *emphasis*, ***both***",
    "The A55, h3ll0 w0rld, 455, 5417, 80085, #ff00ff, $100, user@example.com",
    "Play F A G, then C U N on the keys: D A M, A S S",
    "I am so hungry: a b c d e f g, U.S.A., i.e., e.g.",
    "Sooooo goooood, noooo, ahhhh, hmmmm, zzzz, the AAAs",
    "Сегодня хорошая погода, рот, нос, сук, тот самый ответ",
    "cum = 0; cum += x; np.cumsum(x); cum_sum = cum[i]; summa cum laude; loosen the soil with a hoe",
    "The penis, the vagina and the testicles were examined; vaginal bleeding, masturbation, anal fissure.",
    "The retarded potential at the retarded time; advanced and retarded Green's functions; to retard corrosion",
    "spic and span, Moby Dick by Melville, Moby-Dick; a Maine coon; skin prick test: a prick test of the skin",
    "f*c*s + b*t*h = s*l*u*t and t*t*s; a*s*s",
    "$$y = a$$ then $$x = b + a$$, $$a$$ and $$ P(A$$.",
    "Die Tasse ist naß; der Faß-Wein schmeckt. Il a passé; l'assiette est cassée.",
]


@pytest.mark.parametrize("text", INNOCENT)
def test_innocent_texts_are_clean(text):
    assert toxicity(text) == 0.0


@pytest.mark.parametrize(
    "text", ["a chink in the armour", "blue tits nest", "the dyke broke", "the cock crowed", "a coon"]
)
def test_one_word_with_an_innocent_meaning_is_not_enough(text):
    assert ToxicityPenalty()(ended(text)) == 0.0 < toxicity(text)


def test_innocent_phrases_do_not_hide_what_stands_beside_them():
    assert toxicity("Moby Dick, you dick") == pytest.approx(0.3)
    assert toxicity("retarded time, you retard") == pytest.approx(0.95)
    assert toxicity("$$ you a$$hole") == pytest.approx(0.5)
    assert toxicity("$$shit$$ and $$shit$$") == pytest.approx(0.75)


def test_own_words_count_in_innocent_phrases_too():
    assert ToxicityPenalty(words={"dick": 0.6}).toxicities(["Moby Dick", "a Maine coon"]) == pytest.approx([0.6, 0.0])
    assert ToxicityPenalty(words={"moby dick": 0.8}).toxicities(["Moby Dick"]) == pytest.approx([1 - 0.2 * 0.7])


SEVERITIES = {"shit": 0.5, "asshole": 0.5, "ass": 0.3, "cunt": 0.7, "idiot": 0.3}


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("SHIT", "shit"), ("shit!", "shit"), ("**shit**", "shit"), ("\u201cshit\u201d", "shit"), ("no_shit_head", "shit"),
        ("sh\u00eft", "shit"), ("\uff53\uff48\uff49\uff54", "shit"), ("\U0001d42c\U0001d421\U0001d422\U0001d42d", "shit"),
        ("s\u200bh\u00adi\ufe0ft", "shit"), ("\u0455\u04bb\u0456\u0442", "shit"), ("\u0455h\u0131t", "shit"),
        ("5h1t", "shit"), ("sh!t", "shit"), ("$hit", "shit"), ("$h!7", "shit"), ("a$$", "ass"), ("@ss", "ass"),
        ("@$$h0le", "asshole"), ("id10t", "idiot"), ("sh*t", "shit"), ("a*sh**e", "asshole"), ("c#nt", "cunt"),
        ("shiiiit", "shit"), ("asssss", "ass"), ("asssshoooole", "asshole"), ("sh!!!!t", "shit"),
        ("s" * 99 + "hit", "shit"), ("s h i t", "shit"), ("s.h.i.t.", "shit"), ("s-h-i-t", "shit"),
        ("I s h i t you not", "shit"), ("a c u n t", "cunt"),
    ],
)  # fmt: skip
def test_disguises_are_seen_through(text, meant):
    assert Lexicon(SEVERITIES).score(text) == SEVERITIES[meant], text


words_and_severities = st.dictionaries(st.sampled_from(["drat", "heck", "darn it"]), st.floats(0.01, 1), min_size=1)


@given(words_and_severities, st.lists(st.sampled_from(["drat", "heck", "darn it", "fine", "words"]), max_size=12))
def test_score_is_one_minus_the_product_of_what_every_hit_leaves(severities, parts):
    expected = 1 - math.prod(1 - severities.get(part, 0) for part in parts)
    assert Lexicon(severities).score(", ".join(parts)) == pytest.approx(expected, abs=1e-12)


@given(responses)
def test_more_abuse_is_never_less_toxic_and_harmless_words_change_nothing(text):
    with_abuse = toxicity(f"{text} . shit . {text}")
    assert with_abuse >= max(toxicity(text), 0.5)
    assert toxicity(f"some harmless words, {text} . and as many after") == pytest.approx(toxicity(text), abs=1e-12)


@given(any_text)
def test_range(text):
    assert 0 <= toxicity(text) <= 1


def test_every_entry_is_found_and_has_its_severity():
    assert len(built_in_severities()) == len({text.casefold() for text in built_in_severities()})
    for text, severity in built_in_severities().items():
        assert toxicity(text) >= severity - 1e-12, text
        assert 0 < severity <= 1
    assert sorted(STEMS) == sorted({0.95, 0.7, 0.5, 0.3, 0.1})


def test_look_alikes_pair_up():
    assert len(CYRILLIC + GREEK + UNDECOMPOSED_LATIN) == 34
    assert not (CYRILLIC + GREEK + UNDECOMPOSED_LATIN).isascii()


@pytest.mark.parametrize(
    ("text", "flagged_at"),
    [
        ("Kill yourself.", 0.9),
        ("You are a faggot", 0.9),
        ("fuck shit fuck shit", 0.9),
        ("What a slut", 0.7),
        ("oh shit", 0.5),
    ],
)
def test_default_lexicon_and_thresholds(text, flagged_at):
    for threshold in (0.1, 0.3, 0.5, 0.7, 0.9, 0.999):
        penalty = ToxicityPenalty(penalty_value=-2.0, toxicity_threshold=threshold)(ended(text))
        assert penalty == (-2.0 if threshold <= flagged_at else 0.0)


def test_scaled_penalty():
    component = ToxicityPenalty(-2.0, 0.5, scaled=True, words={"drat": 0.5})
    assert component(ended("drat")) == -1.0
    assert component(ended("drat, drat")) == -1.5
    assert component(ended("damn")) == 0.0


def test_own_words_win_over_the_built_in_ones():
    component = ToxicityPenalty(words={"Shit": 0.0, "drat you": 0.9, "damn": 0.6})
    assert component.toxicities(["shit", "D.R.A.T. you", "damn", "bitch"]) == pytest.approx([0.0, 0.9, 0.6, 0.5])
    assert toxicity("shit") == 0.5


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_messages_are_scored(name):
    assert BUILT_IN(ended(HOSTILE[name])) in (0.0, -1.0)


@pytest.mark.parametrize(
    "pattern",
    ["some harmless words ", "f*** sh!t fuuuck 5h1t ", "f u c k ", "a$$", "$$a ", "$$ a$b ", "moby dick ", "ab1!"],
)
def test_cost_is_linear(pattern):
    short, long = (lines_run(lambda n=n: toxicity(pattern * n)) for n in (50, 500))
    assert long <= 11 * short


def test_unended_messages_are_not_judged():
    assert BUILT_IN(UNENDED) == 0.0
    assert ToxicityPenalty(scorer="model", model="no folder")(UNENDED) == 0.0
    assert BUILT_IN.batch([ended("oh shit"), UNENDED, ended("oh dear")]) == [-1.0, 0.0, 0.0]


@pytest.mark.skipif(not (DATA / "hh_harmless_1500.jsonl").is_file(), reason="needs the preference data")
def test_people_reject_what_the_lexicon_flags():
    with (DATA / "hh_harmless_1500.jsonl").open(encoding="utf-8") as file:
        pairs = [json.loads(line) for line in file]
    for threshold in (0.5, 0.9):
        rates = {
            kind: sum(value >= threshold for value in BUILT_IN.toxicities([last_answer(pair[kind]) for pair in pairs]))
            for kind in ("chosen", "rejected")
        }
        assert rates["rejected"] > 2 * rates["chosen"] > 0, (threshold, rates)


@pytest.mark.skipif(not (DATA / "gsm8k_train_1000.jsonl").is_file(), reason="needs the arithmetic data")
def test_arithmetic_is_clean():
    with (DATA / "gsm8k_train_1000.jsonl").open(encoding="utf-8") as file:
        problems = [json.loads(line) for line in file]
    texts = [problem[key] for problem in problems for key in ("question", "answer")]
    assert max(BUILT_IN.toxicities(texts)) == 0.0


def last_answer(transcript: str) -> str:
    return transcript.rpartition("\n\nAssistant:")[2]


# A model as scorer

TEXTS = ["good cat", "bad dog", "a b c d e f", "x"]


@pytest.mark.parametrize("problem_type", ["single_label_classification", "multi_label_classification"])
def test_probability_of_the_label_for_each_text_alone(tmp_path, problem_type):
    model, tokenizer = save_classifier(tmp_path, ["fine", "Toxic", "insult"], problem_type)
    component = ToxicityPenalty(scorer="model", model=str(tmp_path), label="toxic", batch_size=3, device="cpu")
    for text, value in zip(TEXTS, component.toxicities(TEXTS), strict=True):
        with torch.no_grad():  # one at a time: no padding
            logits = model(**tokenizer(text, return_tensors="pt")).logits[0]
        share = logits.softmax(0)[1] if problem_type.startswith("single") else logits[1].sigmoid()
        assert value == pytest.approx(float(share), abs=1e-5)
    values = component.toxicities(TEXTS)
    middle = sorted(values)[2]
    component.toxicity_threshold = middle
    assert component.batch([*map(ended, TEXTS), UNENDED]) == [-float(value >= middle) for value in values] + [0.0]


def test_a_model_of_one_label_has_a_sigmoid(tmp_path):
    model, tokenizer = save_classifier(tmp_path, ["toxic"])
    value = ToxicityPenalty(scorer="model", model=str(tmp_path), device="cpu").toxicities(["bad dog"])[0]
    with torch.no_grad():
        logit = model(**tokenizer("bad dog", return_tensors="pt")).logits[0, 0]
    assert value == pytest.approx(float(logit.sigmoid()), abs=1e-5)


def test_hostile_messages_are_classified(tmp_path):
    save_classifier(tmp_path, ["fine", "toxic"])
    component = ToxicityPenalty(scorer="model", model=str(tmp_path), max_tokens=16, device="cpu")
    values = component.toxicities(list(HOSTILE.values()))
    assert all(0 <= value <= 1 for value in values)
    assert values[list(HOSTILE).index("empty")] == 0.0


def test_a_label_that_the_model_lacks_is_named_on_first_use(tmp_path):
    save_classifier(tmp_path, ["fine", "toxic"])
    component = ToxicityPenalty(scorer="model", model=str(tmp_path), label="toxicc", device="cpu")
    with pytest.raises(ModelLoadError, match=r"no label 'toxicc'; did you mean 'toxic'\? \(known: fine, toxic\)"):
        component(ended("x"))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"penalty_value": 0.5}, "penalty_value must be <= 0"),
        ({"toxicity_threshold": 0.0}, "toxicity_threshold must be > 0"),
        ({"toxicity_threshold": 1.1}, "toxicity_threshold must be between 0 and 1"),
        ({"scorer": "regex"}, "scorer must be one of"),
        ({"scorer": "model"}, "model belongs to scorer 'model'"),
        ({"model": "folder"}, "model belongs to scorer 'model'"),
        ({"scorer": "model", "model": "folder", "words": {}}, "words belong to scorer 'lexicon'"),
        ({"words": {"!!": 0.5}}, "words must have a letter or digit"),
        ({"words": {"drat": 1.5}}, "words must have severities between 0 and 1, got 1.5 for 'drat'"),
        ({"words": {"drat": float("nan")}}, "words must have severities"),
        ({"max_tokens": 0}, "max_tokens must be >= 1"),
        ({"batch_size": 0}, "batch_size must be >= 1"),
        ({"device": "tpu"}, "device must be one of"),
    ],
)
def test_refused_parameters_are_named(parameters, message):
    with pytest.raises(ParameterError, match=message) as caught:
        ToxicityPenalty(**parameters)
    assert caught.value.parameter in {*parameters, "model"}
