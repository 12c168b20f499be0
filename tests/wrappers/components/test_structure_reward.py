"""The outline of a text and the criteria of structure: closed cases, second algorithms, hostile text."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from rlenvs.errors import ParameterError
from rlenvs.wrappers import RewardConfig, Score, Transition
from rlenvs.wrappers.components.prose import inline_text, outline_of, sentences_of, text_blocks
from rlenvs.wrappers.components.structure import StructureReward, balance, list_consistency, within
from rlenvs.wrappers.components.text_units import words

MEGABYTE = 1_000_000

ESSAY = """# Rivers

Rivers carry water (and soil). They "shape" the land: slowly, but surely!

Three facts:

1. They flow down.
2. They freeze.
   - at the edge
   - then in the middle
3. They flood.

```python
print("unfinished (
```

Why? Because of rain.
"""


def answered(response: str) -> Transition:
    return Transition(response=response, action=response, terminated=True, info={"response": response})


# --- the outline -----------------------------------------------------------------------------------------------------


def test_outline_of_an_essay():
    outline = outline_of(ESSAY)
    assert outline.paragraphs == [
        'Rivers carry water (and soil). They "shape" the land: slowly, but surely!',
        "Three facts:",
        "Why? Because of rain.",
    ]
    assert outline.headings == 1
    assert [(item.group, item.mark, item.number) for item in outline.items] == [
        (0, ".", 1),
        (0, ".", 2),
        (1, "-", None),
        (1, "-", None),
        (0, ".", 3),
    ]
    assert [(block.language, block.closed) for block in outline.code] == [("python", True)]
    assert "unfinished" not in outline.visible


@pytest.mark.parametrize(
    ("paragraph", "expected"),
    [
        ("One. Two! Three? Four…", [("One.", True), ("Two!", True), ("Three?", True), ("Four…", True)]),
        ("It costs 3.50 at shop.com now", [("It costs 3.50 at shop.com now", False)]),
        ("Dr. J. Doe and I. Nobody else.", [("Dr. J. Doe and I.", True), ("Nobody else.", True)]),
        (
            'He said "Stop." Then (at last.) it ended.)',
            [('He said "Stop."', True), ("Then (at last.)", True), ("it ended.)", True)],
        ),
        ("See e.g. cats. Really?!", [("See e.g. cats.", True), ("Really?!", True)]),
        ("As follows:", [("As follows:", True)]),
        ("你好。再见\uff01", [("你好。", True), ("再见\uff01", True)]),
        ("... ??? !", []),
        ("It was Dr.", [("It was Dr.", True)]),
        ("", []),
    ],
)
def test_sentences(paragraph, expected):
    assert [(sentence.text, sentence.ended) for sentence in sentences_of(paragraph)] == expected


@given(
    st.lists(st.from_regex(r"[a-z]{2}x( [a-z]{2}x){0,3}[.!?]", fullmatch=True), max_size=8),
    st.sampled_from([" ", "\n"]),
)
def test_sentences_put_together_come_apart_again(sentences, space):
    assert [sentence.text for sentence in sentences_of(space.join(sentences))] == sentences


@given(st.text(alphabet="ab .!?\"'()\n:", max_size=60))
def test_sentences_lose_no_letter(text):
    said = "".join(sentence.text for sentence in sentences_of(text))
    assert [letter for letter in said if letter.isalpha()] == [letter for letter in text if letter.isalpha()]


@given(st.lists(st.sampled_from(["a", " ", "\t", "\n", "\r\n", "\r", "\n\n"]), max_size=20).map("".join))
def test_blocks_agree_with_a_commonmark_parser(text):
    parser = MarkdownIt("commonmark").disable("code")  # indented text is text here
    paragraphs = [token.content for token in parser.parse(text) if token.type == "inline"]
    assert ["".join(block.split()) for block in text_blocks(text)] == ["".join(text.split()) for text in paragraphs]


@given(st.lists(st.tuples(st.sampled_from(["- ", "* ", "1. ", "2) "]), st.integers(0, 2)), min_size=1, max_size=8))
def test_list_items_agree_with_a_commonmark_parser(lines):
    level, written = -1, []
    for mark, wanted in lines:
        level = min(wanted, level + 1)  # a list can begin one level below another item; deeper is code to the parser
        written.append(f"{'    ' * level}{mark}x")
    text = "\n\n".join(written)
    tokens = MarkdownIt("commonmark").parse(text)
    assert len(outline_of(text).items) == sum(token.type == "list_item_open" for token in tokens)


def test_inline_code_is_left_out():
    assert inline_text("a `(` b `c` `d") == "a   b   `d"


# --- the criteria ----------------------------------------------------------------------------------------------------


def test_an_essay_is_well_formed():
    everything = StructureReward(
        min_paragraphs=2, max_paragraphs=4, min_sentences=5, max_words=99, max_sentence_words=9
    )
    assert everything.criteria(ESSAY) == dict.fromkeys(
        ["punctuation", "balance", "lists", "paragraphs", "sentences", "words", "sentence_words"], 1.0
    )
    assert everything(answered(ESSAY)) == Score(1.0)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("No end", 0.0),
        ("One. Two", 0.5),
        ("One.\n\nTwo\n\nThree\n\nFour!", 0.5),
        ("- no end\n- needed here", 1.0),
        ("# Nor here\n\n| or | here |", 1.0),
        ("One:\n- two", 1.0),
        ("One\n- two", 0.0),
    ],
)
def test_punctuation(text, share):
    assert StructureReward().criteria(text)["punctuation"] == share


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("plain", 1.0),
        ("f(x[0]) {y}", 1.0),
        ("f(x[0)", 2 / 3),
        (")(", 0.0),
        ("(]", 0.0),
        ("((a)", 2 / 3),
        ("a) first\nb) second", 0.0),
        ("1) first\n2) second", 1.0),
        ('"a" and "b', 2 / 3),
        ('"a\n\nb"', 0.0),
        ('"a\nb"', 1.0),
        ("“a” „b“ „c” “", 6 / 7),
        ("「你\uff08好\uff09」", 1.0),
        ("`(` and `[`", 1.0),
        ("a ` b", 0.0),
        ("```\n(\n```", 1.0),
        ("(a)\n```\n(", 2 / 3),
        ("it's the dogs'", 1.0),
    ],
)
def test_balance(text, share):
    assert balance(outline_of(text)) == pytest.approx(share)


def _reduced(text: str) -> str:
    """Second algorithm for balanced texts: rub out partners until nothing changes."""
    while (shorter := text.replace("()", "").replace("[]", "").replace("{}", "")) != text:
        text = shorter
    return text


@given(st.text(alphabet="()[]{}", max_size=24))
@example("([)]")
def test_brackets_are_balanced_iff_they_rub_out(text):
    assert (balance(outline_of(text)) == 1.0) is (_reduced(text) == "")


@given(st.text(alphabet="([])", max_size=24))
def test_brackets_of_one_kind_pair_as_far_as_they_can(text):
    text = text.replace("[", "(").replace("]", ")")
    assert balance(outline_of(text)) == pytest.approx(1 - len(_reduced(text)) / len(text) if text else 1.0)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("- a\n- b\n- c", 1.0),
        ("- a\n* b\n* c", 0.5),
        ("1. a\n2. b\n3. c", 1.0),
        ("1. a\n1. b\n1. c", 1.0),
        ("1. a\n3. b\n2. c", 0.0),
        ("1. a\n2) b", 0.0),
        ("1. a\n- b", 0.0),
        ("7. a", 1.0),
        ("- a\n  1. b\n  2. c\n- d", 1.0),
        ("1. a\n\nProse.\n\n5. b", 1.0),
        ("1. a\n```\nx\n```\n2. b", 1.0),
        ("no list", 1.0),
    ],
)
def test_list_consistency(text, share):
    assert list_consistency(outline_of(text).items) == share


@given(st.integers(0, 50), st.integers(1, 20), st.integers(0, 20))
def test_bounds_fall_off_on_both_sides(count, low, width):
    value = within(count, low, low + width)
    assert value == min(1.0, count / low, (low + width) / count if count else 1.0)


def test_value_is_the_mean_of_what_is_switched_on():
    text = "One two three. Four (five"
    assert StructureReward().criteria(text) == {"punctuation": 0.5, "balance": 0.0, "lists": 1.0}
    assert StructureReward()(answered(text)) == Score(0.5)
    assert StructureReward(balance=False)(answered(text)) == Score(0.75)
    bounded = StructureReward(False, False, False, min_words=10, max_sentences=1, max_sentence_words=2)
    assert bounded.criteria(text) == {"sentences": 0.5, "words": 0.5, "sentence_words": 0.5}
    assert bounded(answered(text)) == Score(0.5)


@pytest.mark.parametrize("text", ["", " \n", "()", "...", "\x00", "\ud800", "- "])
def test_a_response_without_words_has_no_structure(text):
    assert StructureReward()(answered(text)) == Score(0.0, "invalid")


def test_an_unfinished_message_is_not_judged():
    assert StructureReward()(Transition(action=3, response="One.", info={})) == Score(0.0)


@pytest.mark.parametrize(
    ("arguments", "parameter", "message"),
    [
        ({"min_words": 0}, "min_words", ">= 1, got 0"),
        ({"max_words": 0}, "max_words", ">= 1, got 0"),
        ({"max_sentences": -1}, "max_sentences", ">= 0"),
        ({"min_paragraphs": 3, "max_paragraphs": 2}, "max_paragraphs", r"must be >= min_paragraphs \(3\), got 2"),
        ({"max_sentence_words": 0}, "max_sentence_words", ">= 1"),
        ({"punctuation": False, "balance": False, "lists": False}, "punctuation", "nothing is left to score"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(arguments, parameter, message):
    with pytest.raises(ParameterError, match=message) as caught:
        StructureReward(**arguments)
    assert caught.value.parameter == parameter


def test_a_configuration_builds_it():
    params = {"min_paragraphs": 2, "punctuation": False}
    config = {"reward_components": {"structure": {"class": "StructureReward", "params": params}}}
    component = RewardConfig.load(config).reward_components["structure"].build()
    assert component(answered("One.")) == Score((1.0 + 1.0 + 0.5) / 3)


# --- hostile text ----------------------------------------------------------------------------------------------------

HOSTILE = [
    "(",
    "[(",
    "()",
    ")",
    '"',
    "`",
    "a`",
    "- a\n",
    "1. a\n",
    "  - a\n",
    ".",
    "a.",
    "a. ",
    "I. ",
    "e.g. ",
    "a\n\n",
    "#",
    "# a\n",
]
HOSTILE += [
    "```\n",
    "~",
    "\n",
    "\r",
    "a",
    " ",
    "\t",
    "1",
    "1.",
    "-",
    "- ",
    "_ ",
    "你。",
    "\u0301",
    "\ud800",
    "\x00",
    "„“",
    "|",
    "> ",
]


@pytest.mark.parametrize("unit", HOSTILE, ids=repr)
def test_time_is_linear(unit):
    text = "a " + unit * (MEGABYTE // 10 // len(unit))
    start = time.process_time()
    score = StructureReward(min_words=1, max_sentence_words=5)(answered(text))
    assert time.process_time() - start < 20.0
    assert 0.0 <= score.value <= 1.0


@given(st.text(max_size=60) | st.text(alphabet='ab1.)(-*#`"\n \t“”„', max_size=60))
def test_every_text_has_a_value_between_0_and_1(text):
    score = StructureReward(min_sentences=2, max_words=3)(answered(text))
    assert 0.0 <= score.value <= 1.0
    assert (score.status == "invalid") is (words(text) == [])
