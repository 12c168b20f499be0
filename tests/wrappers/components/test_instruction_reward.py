"""Every kind of instruction by closed cases, lists of them in configurations and in info, and hostile text."""

import json
import pickle
import subprocess
import sys
import time
from collections import Counter
from typing import get_args

import py3langid
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rlenvs.config_params import params_model
from rlenvs.errors import ComponentError, ConfigError, DataError, MissingExtraError, ParameterError
from rlenvs.wrappers import RewardConfig, RewardPipeline, Score, Transition
from rlenvs.wrappers.components.instruction_checks import AnyInstruction
from rlenvs.wrappers.components.instruction_checks.ifeval import IFEVAL_KINDS, from_ifeval
from rlenvs.wrappers.components.instruction_checks.wording import LANGUAGES, occurrences
from rlenvs.wrappers.components.instructions import InstructionReward, InstructionsError, read_instructions

MEGABYTE = 1_000_000
KINDS = {kind.model_fields["type"].annotation.__args__[0]: kind for kind in get_args(get_args(AnyInstruction)[0])}


def answered(response: str, prompt: str = "", **info: object) -> Transition:
    return Transition(
        prompt=prompt, response=response, action=response, terminated=True, info={"response": response} | info
    )


def follows(type: str, response: str, prompt: str = "", **parameters: object) -> bool:
    return InstructionReward([{"type": type} | parameters])(answered(response, prompt)).value == 1.0


def counted(type: str, response: str, **parameters: object) -> int:
    """Return the only count that a response has, as told by the three relations."""
    for count in range(40):
        exactly = follows(type, response, count=count, relation="exactly", **parameters)
        assert exactly is (
            follows(type, response, count=count, relation="at_most", **parameters)
            and (count == 0 or follows(type, response, count=count, relation="at_least", **parameters))
        )
        if exactly:
            return count
    raise AssertionError("no count below 40")


# --- counts ----------------------------------------------------------------------------------------------------------

COUNTS = {
    "number_of_words": [("Don't stop now!", 3), ("--- 1 2", 2), ("well-known", 2), ("你好", 2), ("one\u200btwo", 1)],
    "number_of_sentences": [
        ("One. Two! Three", 3),
        ("Dr. No came.\n\nHe left", 2),
        ("One\ngoes on.", 1),
        ("One.\n```\nTwo. Three.\n```", 1),
    ],
    "number_of_bullets": [
        ("- a\n* b\n+ c\n• d", 4),
        ("1. a\n-b\n--- \n**x**", 0),
        ("- a\n  - b", 2),
        ("```\n- a\n```", 0),
    ],
    "number_of_paragraphs": [("a", 1), ("a\n\nb", 2), ("a\nb", 1), ("\n\na\n \n\t\n\nb\n\n", 2), ("a\n\n***\n\nb", 3)],
    "capital_words": [("NASA and ESA agree. I do.", 3), ("WELL-KNOWN", 1), ("Well-KNOWN 42 A1 x", 1), ("ÄRGER", 1)],
    "placeholders": [("[name] at [address]", 2), ("[a](b) [ ] [] [c\nd]", 0), ("[[a]]", 1), ("[a] [b", 1)],
    "highlights": [
        ("*a* and **b c**", 2),
        ("* a\n* b", 0),
        ("*a\nb*", 0),
        ("** a**", 0),
        ("***a***", 1),
        (r"\*a*", 0),
        ("****", 0),
    ],
    "sections": [
        ("Section 1\na\nSection 2\nb", 2),
        ("## Section 1: a\n**Section 02**", 2),
        ("Section 1 Section 2", 1),
        ("Section 1\nSection 1\nSection 01", 1),
        ("section 1\nSections 2\nSection X", 0),
        ("Section 1234567890", 0),
    ],
}


@pytest.mark.parametrize(
    ("type", "response", "number"), [(kind, *case) for kind, cases in COUNTS.items() for case in cases]
)
def test_counts(type, response, number):
    assert counted(type, response) == number


def test_counts_with_parameters():
    assert counted("number_of_paragraphs", "a\n\nb *** c", divider="asterisks") == 2
    assert counted("number_of_paragraphs", "*** a ***", divider="asterisks") == 1
    assert counted("sections", "PART 1\nPART 2", marker="PART") == 2
    assert counted("sections", "a.b 1\naxb 2", marker="a.b") == 1
    assert counted("letter_frequency", "Banana, \uff21, á", letter="a") == 4
    assert counted("letter_frequency", "Straße", letter="S") == 3  # ß is a double s


@given(st.text(alphabet="abcABC äÄ!", max_size=30), st.sampled_from("abcABCä"))
def test_letters_agree_with_a_counter(text, letter):
    if text.strip():
        assert counted("letter_frequency", text, letter=letter) == Counter(text.lower())[letter.lower()]


@given(
    st.lists(st.from_regex(r"[a-z0-9]{1,4}", fullmatch=True), min_size=1, max_size=9),
    st.sampled_from([" ", ", ", " - ", "\n"]),
)
def test_words_agree_with_how_they_were_joined(words, space):
    assert counted("number_of_words", space.join(words)) == len(words)


# --- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "followed"),
    [
        ("The CAT sat in New\nYork.", True),
        ("The cat sat in New York City, New York.", True),
        ("Concatenate New York", False),
        ("The cat sat in NewYork", False),
        ("c\u200bat, New York", True),  # invisible characters hide nothing
        ("\uff43\uff41\uff54, New York", True),
    ],
)
def test_keywords_are_whole_words(response, followed):
    assert follows("include_keywords", response, keywords=["cat", "new york"]) is followed


def test_keywords_each_so_often():
    text = "cat cat dog C++ C"
    assert occurrences(("cat", "dog", "C++", "cat cat"), text) == [2, 1, 1, 1]
    for relation, count, followed in [
        ("at_least", 1, True),
        ("at_least", 2, False),
        ("at_most", 2, True),
        ("at_most", 1, False),
        ("exactly", 1, False),
    ]:
        assert follows("include_keywords", text, keywords=["cat", "dog"], relation=relation, count=count) is followed
    assert follows("include_keywords", text, keywords=["cat"], relation="exactly", count=2)


@given(
    st.lists(st.sampled_from(["a", "b", "a b", "c"]), min_size=1, max_size=3),
    st.lists(st.sampled_from("abc"), max_size=12),
)
def test_occurrences_agree_with_a_search_at_every_place(phrases, units):
    padded = f" {' '.join(units)} "
    expected = [sum(padded.startswith(f" {phrase} ", place) for place in range(len(padded))) for phrase in phrases]
    assert occurrences(tuple(phrases), " ".join(units)) == expected


def test_forbidden_words():
    assert follows("forbidden_words", "Catapults concatenate", words=["cat", "very good"])
    assert not follows("forbidden_words", "VERY  good", words=["cat", "very good"])
    assert not follows("forbidden_words", "a (cat)", words=["cat"])


@pytest.mark.parametrize(
    ("response", "lower", "upper"),
    [
        ("all small, 1", True, False),
        ("ALL BIG, 1", False, True),
        ("Mixed", False, False),
        ("123", False, False),
        ("你好", False, False),
    ],
)
def test_case(response, lower, upper):
    assert follows("all_lowercase", response) is lower
    assert follows("all_uppercase", response) is upper


def test_no_commas_of_any_script():
    assert follows("no_commas", "One; two.")
    assert not any(follows("no_commas", f"one{comma}two") for comma in ",\uff0c\u3001\u060c")


# --- layout ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type", "parameters", "good", "bad"),
    [
        ("starts_with", {"text": "I  think"}, ["  i think so", "I\nthink"], ["Well, I think", "I", ""]),
        (
            "ends_with",
            {"text": "Any questions?"},
            ["So. any  questions?\n", '"Any questions?"'],
            ["Any questions? No.", "?"],
        ),
        ("quoted", {}, ['"a"', ' "a\nb" ', "“a”", "„a“"], ['"', '""', '" "', 'say "a"', "'a'", '"a']),
        ("title", {}, ["<<Ode>>", "a\n<< Ode to joy >> b", "<<<a>>>"], ["<Ode>", "<<>>", "<< >>", "<<a\nb>>", "<<a>"]),
        (
            "postscript",
            {},
            ["a\n\nP.S. b", "a\n**p. s.** b", "a\nP.S.\nb"],
            ["P.S. a", "a P.S. b", "a\nP.P.S. b", "a\nP.S.", "a\nPsst"],
        ),
        ("postscript", {"marker": "P.P.S"}, ["a\nP.P.S. b"], ["a\nP.S. b"]),
        (
            "json",
            {},
            ['{"a": 1}', "```json\n[1]\n```", "~~~\n1\n~~~"],
            ["{'a': 1}", "Here: {}", "```\n{\n```", "NaN", "```json\n1"],
        ),
        (
            "two_responses",
            {},
            ["a\n******\nb", "******a******b******", "a ******** b"],
            ["a", "a******", "a******A", "a******b******c", "a*****b", "a****** ******b"],
        ),
        ("one_of", {"options": ["Yes.", "No."]}, [" yes. "], ["Yes. No.", "yes", "It is Yes."]),
        ("one_of", {"options": ["yes", "no"], "match": "contains"}, ["It is: YES!"], ["yes or no", "nowhere", "maybe"]),
        (
            "paragraph_first_word",
            {"paragraph": 2, "word": "So"},
            ["a\n\n  so, b", "a\n\n“So”"],
            ["So", "a\n\nSome", "a\n\n \n\nb"],
        ),
        ("paragraph_first_word", {"paragraph": 1, "word": "a", "paragraphs": 2}, ["A\n\nb"], ["a", "a\n\nb\n\nc"]),
    ],
)
def test_layout(type, parameters, good, bad):
    assert [text for text in good if not follows(type, text, **parameters)] == []
    assert [text for text in bad if follows(type, text, **parameters)] == []


def test_repeating_the_prompt():
    assert follows("repeat_prompt", "  what is\n6 * 7? It is 42.", prompt="What is 6 * 7?")
    assert not follows("repeat_prompt", "What is 6 * 7? ...", prompt="What is 6 * 7?")  # and then says nothing
    assert not follows("repeat_prompt", "Well. What is 6 * 7? 42", prompt="What is 6 * 7?")
    assert InstructionReward([{"type": "repeat_prompt", "prompt": "Do it."}])(answered("do it. Done")).value == 1.0


def test_no_prompt_to_repeat_is_a_failure_not_a_verdict():
    pipeline = RewardPipeline({"asked": InstructionReward([{"type": "repeat_prompt"}])})
    with pytest.raises(ComponentError, match=r"'asked' failed twice.*has no prompt"):
        pipeline.compute([answered("x")], 0)


# --- languages -------------------------------------------------------------------------------------------------------


def test_language():
    english = "The weather is lovely today, so we will walk along the river and have lunch in the village."
    german = "Das Wetter ist heute herrlich, also gehen wir am Fluss entlang und essen im Dorf zu Mittag."
    assert [follows("language", text, code="en") for text in (english, german, english.upper())] == [True, False, True]
    assert [follows("language", text, code="de") for text in (english, german)] == [False, True]
    assert not any(follows("language", "12 ... !", code=code) for code in LANGUAGES)


def test_codes_are_those_of_the_library():
    labels = {label for label, _ in py3langid.rank("text")}
    assert labels - LANGUAGES <= {"zxx"}  # "no linguistic content" is nothing to ask for
    assert labels >= LANGUAGES


def test_language_of_endless_accents_takes_no_endless_time():
    start = time.process_time()
    assert not follows("language", "a" + "\u0301\u0323" * 100_000, code="en")
    assert time.process_time() - start < 20.0


def test_a_missing_library_is_a_failure_with_advice(monkeypatch):
    monkeypatch.setitem(sys.modules, "py3langid", None)
    component = InstructionReward([{"type": "language", "code": "en"}])
    with pytest.raises(MissingExtraError, match=r"py3langid is not installed.*rlenvs\[text\]"):
        component(answered("Hello there"))


# --- the component ---------------------------------------------------------------------------------------------------

ASKED = [
    {"type": "no_commas"},
    {"type": "title"},
    {"type": "number_of_words", "relation": "at_most", "count": 4},
    {"type": "all_lowercase"},
]


@pytest.mark.parametrize(
    ("response", "share"),
    [
        ("<<ode>> to joy", 1.0),
        ("<<Ode>> to joy", 0.75),
        ("a, b", 0.5),
        ("One, two, three, four, five", 0.0),
        ("", 0.0),
        (" \n", 0.0),
    ],
)
def test_modes(response, share):
    assert InstructionReward(ASKED, mode="share")(answered(response)) == Score(share, "ok")
    assert InstructionReward(ASKED, mode="strict")(answered(response)) == Score(float(share == 1.0), "ok")


@given(st.permutations(ASKED), st.text(alphabet="ab, <>\nA", max_size=12))
def test_the_order_does_not_matter_and_the_share_is_a_mean(asked, response):
    shares = [InstructionReward([instruction])(answered(response)).value for instruction in asked]
    assert InstructionReward(asked, mode="share")(answered(response)).value == sum(shares) / 4
    assert InstructionReward(asked)(answered(response)).value == min(shares)


def test_an_unfinished_message_is_not_judged():
    assert InstructionReward(ASKED)(Transition(action=3, response="ode", info={})) == Score(0.0)


def test_instructions_of_the_problem_come_on_top():
    component = InstructionReward([{"type": "no_commas"}], mode="share", info_key="task.asked")
    for own, share in [([{"type": "title"}], 0.5), ([{"type": "title"}, {"type": "all_lowercase"}], 2 / 3), ([], 1.0)]:
        assert component(answered("a b", task={"asked": own})).value == pytest.approx(share)
    alone = InstructionReward(info_key="asked")
    assert alone(answered("a b", asked=[{"type": "title"}])).value == 0.0
    assert alone(answered("", asked=[])).value == 1.0  # nothing was asked


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("title", r"info\['asked'\]: must be a list of instructions, got 'title'"),
        ({"type": "title"}, "must be a list of instructions"),
        (None, "must be a list of instructions"),
        ([{"type": "titel"}], r"info\['asked'\]: 0: unknown 'type' 'titel'; did you mean 'title'"),
        (["title"], r"info\['asked'\]: 0: expected a mapping"),
        ([{"type": "title"}, {"type": "number_of_words", "count": "9"}], r"1\.count: expected an integer, got '9'"),
        ([{"type": "starts_with", "text": {1, 2}}], "must be plain data"),
        ([{"type": "number_of_words", "count": float("nan")}], r"0\.count: expected an integer, got nan"),
    ],
)
def test_a_malformed_list_in_info_is_a_failure_not_a_verdict(asked, message):
    with pytest.raises(DataError, match=message):
        InstructionReward(info_key="asked")(answered("x", asked=asked))


def test_no_list_in_info_is_a_failure_not_a_verdict():
    with pytest.raises(KeyError, match="info has no 'asked'"):
        InstructionReward(info_key="asked")(answered("x"))


@pytest.mark.parametrize(
    ("arguments", "parameter", "message"),
    [
        ({}, "instructions", "at least one instruction where there is no info_key"),
        ({"instructions": {"type": "title"}}, "instructions", "must be a list"),
        ({"instructions": [{"type": "title"}], "mode": "loose"}, "mode", "'strict', 'share'"),
        ({"instructions": [{"type": "title"}], "info_key": "a..b"}, "info_key", "must be a key"),
        ({"instructions": [{}]}, "instructions.0", "missing key 'type'"),
        (
            {"instructions": [{"type": "title"}, {"type": "number_of_word"}]},
            "instructions.1",
            "did you mean 'number_of_words'",
        ),
        ({"instructions": [{"type": "title", "text": "x"}]}, "instructions.0.text", "unknown key 'text'"),
        ({"instructions": [{"type": "number_of_words"}]}, "instructions.0", "missing key 'count'"),
        ({"instructions": [{"type": "number_of_words", "count": -1}]}, "instructions.0.count", ">= 0, got -1"),
        ({"instructions": [{"type": "number_of_words", "count": 0}]}, "instructions.0.count", "must be >= 1"),
        (
            {"instructions": [{"type": "sections", "count": 1, "relation": "less"}]},
            "instructions.0.relation",
            "'at_least'",
        ),
        ({"instructions": [{"type": "include_keywords", "keywords": []}]}, "instructions.0.keywords", "at least 1"),
        (
            {"instructions": [{"type": "include_keywords", "keywords": ["a", " "]}]},
            "instructions.0.keywords.1",
            "a word or a mark",
        ),
        (
            {"instructions": [{"type": "letter_frequency", "letter": "ab", "count": 1}]},
            "instructions.0.letter",
            "one visible character",
        ),
        ({"instructions": [{"type": "language", "code": "english"}]}, "instructions.0.code", "ISO 639"),
        ({"instructions": [{"type": "starts_with", "text": " "}]}, "instructions.0.text", "more than white space"),
        (
            {"instructions": [{"type": "paragraph_first_word", "paragraph": 3, "word": "a", "paragraphs": 2}]},
            "instructions.0.paragraph",
            "<= paragraphs",
        ),
        (
            {"instructions": [{"type": "paragraph_first_word", "paragraph": 1, "word": "a b"}]},
            "instructions.0.word",
            "one word",
        ),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(arguments, parameter, message):
    with pytest.raises(ParameterError, match=message) as caught:
        InstructionReward(**arguments)
    assert caught.value.parameter == parameter


def configured(instructions: object) -> dict[str, object]:
    return {"reward_components": {"asked": {"class": "InstructionReward", "params": {"instructions": instructions}}}}


def test_a_configuration_builds_it():
    component = RewardConfig.load(configured(ASKED)).reward_components["asked"].build()
    assert component(answered("<<ode>> to joy")) == Score(1.0)


def test_a_mistake_in_a_file_is_shown_at_its_line(tmp_path):
    file = tmp_path / "rewards.yaml"
    file.write_text(
        "reward_components:\n"
        "  asked:\n"
        "    class: InstructionReward\n"
        "    params:\n"
        "      instructions:\n"
        "        - type: no_commas\n"
        "        - type: include_keywords\n"
        "          keywords: [cat]\n"
        "          cuont: 2\n"
        "        - {type: number_of_words, count: -5}\n"
    )
    with pytest.raises(ConfigError) as caught:
        RewardConfig.load(file)
    message = str(caught.value)
    assert "rewards.yaml:9:11" in message
    assert "params.instructions.1.cuont: unknown key 'cuont'; did you mean 'count'?" in message
    assert "rewards.yaml:10:" in message
    assert "params.instructions.2.count: must be >= 0, got -5" in message


def test_no_type_is_named_like_a_field():
    fields = {name for kind in KINDS.values() for name in kind.model_fields}
    assert fields.isdisjoint(KINDS)  # else paths to mistakes mix the two up


def test_editors_are_told_every_kind():
    described = json.dumps(params_model(InstructionReward).model_json_schema())
    assert [kind for kind in KINDS if f'"{kind}"' not in described] == []


def test_every_kind_is_documented_and_tested():
    table = InstructionReward.__doc__ or ""
    assert [kind for kind in KINDS if f"`{kind}`" not in table] == []
    assert [kind for kind in KINDS if kind not in {item["type"] for item in EVERY_KIND}] == []


def test_components_and_instructions_survive_pickling():
    component = InstructionReward(EVERY_KIND, mode="share")
    again = pickle.loads(pickle.dumps(component))  # noqa: S301 - written by this test
    transition = answered("<<ode>> to joy", prompt="x")
    assert again(transition) == component(transition)
    assert InstructionReward(component.instructions, mode="share")(transition) == component(transition)


def test_reading_instructions_twice_gives_the_same_objects():
    first, second = read_instructions(ASKED), read_instructions(list(ASKED))
    assert all(one is other for one, other in zip(first, second, strict=True))
    with pytest.raises(InstructionsError, match=r"^must be a list"):
        read_instructions(7)


def test_importing_it_imports_no_library():
    program = (
        "import sys; from rlenvs.wrappers.components.instructions import InstructionReward as R;"
        "R([{'type': 'language', 'code': 'en'}]); assert 'py3langid' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


# --- IFEval ----------------------------------------------------------------------------------------------------------

IFEVAL_ROWS = {
    "change_case:capital_word_frequency": (
        {"capital_frequency": 2, "capital_relation": "less than"},
        "ONE two",
        "ONE TWO",
    ),
    "change_case:english_capital": ({}, "THE WEATHER IS LOVELY TODAY AND WE WALK", "The weather is lovely today"),
    "change_case:english_lowercase": (
        {},
        "the weather is lovely today and we walk",
        "das wetter ist heute sehr schön und wir gehen",
    ),
    "combination:repeat_prompt": ({"prompt_to_repeat": "Say hi."}, "Say hi. Hi", "Hi"),
    "combination:two_responses": ({}, "a\n******\nb", "a"),
    "detectable_content:number_placeholders": ({"num_placeholders": 2}, "[a] [b] [c]", "[a]"),
    "detectable_content:postscript": ({"postscript_marker": "P.P.S"}, "a\nP.P.S b", "a\nP.S. b"),
    "detectable_format:constrained_response": ({}, "My answer is no.", "No."),
    "detectable_format:json_format": ({}, "```json\n{}\n```", "Here it is: {}"),
    "detectable_format:multiple_sections": (
        {"section_spliter": "SECTION", "num_sections": 2},
        "SECTION 1\nSECTION 2",
        "SECTION 1",
    ),
    "detectable_format:number_bullet_lists": ({"num_bullets": 2.0}, "* a\n* b", "* a\n* b\n* c"),
    "detectable_format:number_highlighted_sections": ({"num_highlights": 1}, "*a*", "a"),
    "detectable_format:title": ({}, "<<a>>", "a"),
    "keywords:existence": ({"keywords": ["a", "b"]}, "b a", "b"),
    "keywords:forbidden_words": ({"forbidden_words": ["a"]}, "b", "a"),
    "keywords:frequency": ({"keyword": "a", "frequency": 2, "relation": "at least"}, "a a", "a"),
    "keywords:letter_frequency": ({"letter": "!", "let_frequency": 2, "let_relation": "less than"}, "a!", "a!!"),
    "language:response_language": ({"language": "de"}, "Das Wetter ist heute sehr schön", "The weather is lovely"),
    "length_constraints:nth_paragraph_first_word": (
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "so"},
        "a\n\nSo b",
        "a\n\nb",
    ),
    "length_constraints:number_paragraphs": ({"num_paragraphs": 2}, "a\n***\nb", "a\n\nb"),
    "length_constraints:number_sentences": ({"num_sentences": 2, "relation": "less than"}, "One.", "One. Two."),
    "length_constraints:number_words": ({"num_words": 2, "relation": "at least"}, "one two", "one"),
    "punctuation:no_comma": ({}, "a", "a, b"),
    "startend:end_checker": ({"end_phrase": "Bye"}, "a bye", "bye a"),
    "startend:quotation": ({}, '"a"', "a"),
}


@pytest.mark.parametrize("instruction_id", IFEVAL_KINDS)
def test_rows_of_ifeval_become_instructions(instruction_id):
    arguments, good, bad = IFEVAL_ROWS[instruction_id]
    row = (
        dict.fromkeys(["num_bullets", "language", "keyword", "relation"]) | arguments
    )  # others are None in the data set
    component = InstructionReward(info_key="asked")
    verdicts = [component(answered(text, asked=from_ifeval([instruction_id], [row]))).value for text in (good, bad)]
    assert verdicts == [1.0, 0.0]


@pytest.mark.parametrize(
    ("ids", "arguments", "message"),
    [
        (["punctuation:no_commas"], [{}], "did you mean 'punctuation:no_comma'"),
        (["punctuation:no_comma"], [], "got 1 ids and 0 kwargs"),
        (["punctuation:no_comma"], [{"num_words": 3}], "has no keyword 'num_words'"),
    ],
)
def test_rows_that_are_not_of_ifeval(ids, arguments, message):
    with pytest.raises(DataError, match=message):
        from_ifeval(ids, arguments)


# --- hostile text ----------------------------------------------------------------------------------------------------

EVERY_KIND = [
    {"type": "number_of_words", "count": 3},
    {"type": "number_of_sentences", "count": 3},
    {"type": "number_of_paragraphs", "count": 3},
    {"type": "number_of_paragraphs", "count": 3, "divider": "asterisks"},
    {"type": "number_of_bullets", "count": 3},
    {"type": "letter_frequency", "letter": "q", "count": 3},
    {"type": "capital_words", "count": 3},
    {"type": "placeholders", "count": 3},
    {"type": "highlights", "count": 3},
    {"type": "sections", "count": 3},
    {"type": "include_keywords", "keywords": ["cat", "new york", "C++"]},
    {"type": "forbidden_words", "words": ["dog", "a a"]},
    {"type": "all_lowercase"},
    {"type": "all_uppercase"},
    {"type": "no_commas"},
    {"type": "language", "code": "en"},
    {"type": "starts_with", "text": "Well"},
    {"type": "ends_with", "text": "Bye"},
    {"type": "quoted"},
    {"type": "title"},
    {"type": "postscript"},
    {"type": "json"},
    {"type": "two_responses"},
    {"type": "repeat_prompt"},
    {"type": "one_of", "options": ["yes", "no"]},
    {"type": "one_of", "options": ["yes", "no"], "match": "contains"},
    {"type": "paragraph_first_word", "paragraph": 2, "word": "so"},
]
UNITS = [
    "a",
    " ",
    "\n",
    "\x00",
    "\ud800",
    "\u0301",
    "\u200b",
    "[",
    "[a",
    "[a](",
    "*",
    "*a",
    "*a ",
    "**a ",
    "<",
    "<<",
    "<<a",
    '"',
    "'",
    "a'",
]
UNITS += [
    "a-",
    "Section ",
    "Section 1",
    "Section 1\n",
    "P.S.\n",
    "#* ",
    "- a\n",
    ".",
    "a.",
    "******",
    "****** a",
    "{",
    "1",
    "```\n",
    "\r",
    "ß",
    "你",
    "A a ",
]


@pytest.mark.parametrize("instruction", EVERY_KIND, ids=lambda item: " ".join(map(str, item.values())))
def test_time_is_linear(instruction):
    component = InstructionReward([instruction])
    for unit in UNITS:
        text = unit * (100_000 // len(unit))
        start = time.process_time()
        component(answered(text, prompt="Say it."))
        assert time.process_time() - start < 20.0, unit


@given(st.text(max_size=50) | st.text(alphabet="aA1 \n\r*#[]<>\"'`.,-P.S{}\ud800\x00", max_size=50))
@example("\ud800")
def test_every_text_gets_a_verdict(text):
    score = SHARED(answered(text, prompt="Say it."))
    assert 0.0 <= score.value < 1.0  # all at once cannot be followed: JSON that begins with "Well"
    assert score.status == "ok"


SHARED = InstructionReward(EVERY_KIND, mode="share")
