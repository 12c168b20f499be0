"""Every form against closed cases, second algorithms and hostile text."""

import builtins
import io
import json
import pickle
import re
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import _utils as stock
from markdown_it import MarkdownIt

from rlenvs.errors import MissingExtraError, ParameterError
from rlenvs.wrappers import RewardConfig, Score, Transition
from rlenvs.wrappers.components import json_form
from rlenvs.wrappers.components.fences import CodeBlockForm, fenced_blocks, split_lines
from rlenvs.wrappers.components.form import FormattingReward
from rlenvs.wrappers.components.json_form import MAX_JSON_DEPTH, SchemaForm, is_json, parse_json
from rlenvs.wrappers.components.markdown import MarkdownForm
from rlenvs.wrappers.components.tagged import TagForm

MEGABYTE = 1_000_000
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "integer"}, "steps": {"type": "array", "items": {"$ref": "#/$defs/step"}}},
    "required": ["answer"],
    "additionalProperties": False,
    "$defs": {"step": {"type": "string", "minLength": 1}},
}
FORMS = {
    "json": {},
    "json_schema": {"schema": SCHEMA},
    "markdown": {"elements": ["heading"]},
    "regex": {"pattern": "[a-z]+"},
    "tags": {},
    "code_block": {},
}
GOOD = {
    "json": "[1]",
    "json_schema": '{"answer": 1}',
    "markdown": "# A",
    "regex": "abc",
    "tags": "<think>a</think><answer>b</answer>",
    "code_block": "```\na\n```",
}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def answered(response: str) -> Transition:
    return Transition(response=response, action=response, terminated=True, info={"response": response})


# --- the component -------------------------------------------------------------------------------------------------


def test_the_recipe_of_the_cookbook_is_json():
    config = {"reward_components": {"form": {"class": "FormattingReward", "params": {"reward_value": 1.0}}}}
    component = RewardConfig.load(config).reward_components["form"].build()
    assert component(answered('{"a": 1}')) == Score(1.0, "ok")
    assert component(answered("{'a': 1}")) == Score(0.0, "invalid")


@pytest.mark.parametrize("format", FORMS)
def test_values_and_statuses_of_every_format(format):
    component = FormattingReward(format, reward_value=0.5, penalty_value=-2, **FORMS[format])
    assert component(answered(GOOD[format])) == Score(0.5, "ok")
    assert component(answered("No form at all")) == Score(-2.0, "invalid")
    assert component(Transition(action=3, response=GOOD[format], info={})) == Score(0.0)  # the message goes on


@pytest.mark.parametrize("format", FORMS)
def test_components_survive_pickling_after_use(format):
    component = FormattingReward(format, **FORMS[format])
    component(answered(GOOD[format]))
    again = pickle.loads(pickle.dumps(component))  # noqa: S301 - written by this test
    assert [again(answered(text)).status for text in (GOOD[format], "No form")] == ["ok", "invalid"]


def test_a_form_is_not_looked_for_beyond_max_chars():
    # The pattern takes some 2^40 steps on this text; only the length can stop it.
    component = FormattingReward("regex", pattern="(a+)+", max_chars=39)
    assert component(answered("a" * 40 + "!")) == Score(0.0, "invalid")
    assert component(answered("a" * 39)).status == "ok"


@pytest.mark.parametrize(
    ("arguments", "parameter", "message"),
    [
        ({"format": "yaml"}, "format", "must be one of .*'code_block'.* got 'yaml'"),
        ({"pattern": "x"}, "pattern", "belongs to format 'regex', got format 'json'"),
        ({"format": "regex", "pattern": "x", "schema": {}}, "schema", "belongs to format 'json_schema'"),
        ({"format": "tags", "elements": ["list"]}, "elements", "belongs to format 'markdown'"),
        ({"format": "json", "tags": ["a"]}, "tags", "belongs to format 'tags'"),
        ({"format": "tags", "language": "c"}, "language", "belongs to format 'code_block'"),
        ({"format": "json", "whole": False}, "whole", "belongs to format 'tags' or 'code_block'"),
        ({"format": "regex"}, "pattern", "is needed by format 'regex'"),
        ({"format": "json_schema"}, "schema", "is needed by format 'json_schema'"),
        ({"format": "regex", "pattern": "("}, "pattern", "is not a regular expression"),
        ({"format": "regex", "pattern": "a{99999999999999999999}"}, "pattern", "is not a regular expression"),
        ({"reward_value": float("nan")}, "reward_value", "finite"),
        ({"penalty_value": float("-inf")}, "penalty_value", "finite"),
        ({"max_chars": 0}, "max_chars", ">= 1"),
        ({"format": "tags", "tags": []}, "tags", "at least one"),
        ({"format": "tags", "tags": "think"}, "tags", "at least one"),
        ({"format": "tags", "tags": ["<think>"]}, "tags", "without brackets"),
        ({"format": "tags", "tags": ["a", "b", "a"]}, "tags", "'a' twice"),
        ({"format": "markdown", "elements": []}, "elements", "at least one of heading"),
        ({"format": "markdown", "elements": ["headings"]}, "elements", "got 'headings'"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(arguments, parameter, message):
    with pytest.raises(ParameterError, match=message) as caught:
        FormattingReward(**arguments)
    assert caught.value.parameter == parameter


def test_a_configuration_is_told_the_nearest_element():
    params = {"format": "markdown", "elements": ["list", "headin"]}
    config = {"reward_components": {"form": {"class": "FormattingReward", "params": params}}}
    with pytest.raises(ValueError, match=r"form\.params\.elements\.1.*'headin'.*did you mean 'heading'"):
        RewardConfig.load(config)


# --- JSON ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("NaN", "NaN is not JSON"),
        ("[-Infinity]", "-Infinity is not JSON"),
        ('{"a": 1, "b": 2, "a": 1}', "'a' is given twice"),
        (r'"\ud800"', "surrogate"),
        (r'{"\udfff": 1}', "surrogate"),
        ('["\ud83d"]', "surrogate"),
        ("1e999", "range of a double"),
        ("9" * 310, "range of a double"),
        ("-" + "9" * MEGABYTE, "range of a double"),
        ("[" * 65 + "]" * 65, "deeper than 64"),
        ("[" * MEGABYTE, "nested too deep"),
        ('{"a":' * MEGABYTE, "nested too deep"),
        ("", "Expecting value"),
        ("1 2", "Extra data"),
        ("\ufeff1", "BOM"),
        ("\x001", "Expecting value"),
        ('"\n"', "control character"),
    ],
)
def test_what_is_not_json(text, reason):
    with pytest.raises(ValueError, match=reason):
        parse_json(text)
    assert not is_json(text)


@pytest.mark.parametrize(
    "text",
    [
        ' {"a": 1}\n',
        r'"\ud83d\ude00"',
        '"😀"',
        "1e308",
        "1" + "0" * 308,
        "[" * 64 + "]" * 64,
        '{"a": {"a": 1}}',
        "-0.0",
    ],
)
def test_what_is_json(text):
    assert is_json(text)


@given(json_values)
def test_json_is_what_the_standard_library_writes_and_reads(value):
    text = json.dumps(value)
    assert parse_json(text) == json.loads(text) == value


@given(st.text() | st.lists(st.sampled_from(['{"a":', "1", "}", "[", "]", ",", "NaN", '"', "\\", "e9"])).map("".join))
def test_json_is_a_part_of_what_the_standard_library_accepts(text):
    try:
        lenient = json.loads(text)
    except ValueError:
        assert not is_json(text)
    else:
        # Whatever is refused beyond that would not survive a strict writer, or is a repeated key.
        assert is_json(text) or "NaN" in text or text.count('"a"') > 1 or "\\u" in text or not _writable(lenient)


def _writable(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except ValueError:
        return False
    return True


# --- JSON Schema -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "valid"),
    [
        ('{"answer": 42}', True),
        ('\n{"answer": 42, "steps": ["6 * 7"]} ', True),
        ('{"answer": 42.0}', True),  # JSON has one kind of number
        ('{"answer": true}', False),
        ('{"answer": "42"}', False),
        ('{"answer": 42, "steps": [""]}', False),
        ('{"answer": 42, "extra": 1}', False),
        ('{"answer": 1, "answer": 42}', False),
        ('The answer: {"answer": 42}', False),
        ('{"answer": 42} {"answer": 42}', False),
        ("{}", False),
    ],
)
def test_schema_form(response, valid):
    assert SchemaForm(SCHEMA)(response) is valid


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "strin"}, "is not a JSON Schema: at type, 'strin'"),
        ({"properties": {"a": {"minimum": "1"}}}, "is not a JSON Schema: at properties.a.minimum"),
        ({"pattern": "("}, "is not a JSON Schema: at pattern"),
        ({"$schema": "http://example.org/mine"}, "unknown dialect"),
        ({"$schema": 7}, "unknown dialect"),
        ({"$ref": "#/$defs/missing"}, r"refers to '#/\$defs/missing'"),
        ({"$ref": "http://["}, "refers to"),
        ({"$ref": "#"}, "refers to itself without end"),
        ({"const": {1, 2}}, "must be plain data"),
        ({"const": float("nan")}, "must be plain data"),
        (True, "must be a mapping"),
    ],
)
def test_a_wrong_schema_is_an_error_of_the_configuration(schema, message):
    with pytest.raises(ParameterError, match=message) as caught:
        FormattingReward("json_schema", schema=schema)
    assert caught.value.parameter == "schema"


@pytest.fixture
def no_way_out(monkeypatch):
    """Whatever opens a file or a connection fails the test, even where the failure is swallowed."""
    SchemaForm(SCHEMA)('{"answer": 1}')  # imports what it needs
    attempts = []

    def refuse(*arguments: object, **options: object) -> None:
        attempts.append(arguments)
        raise OSError(f"not allowed: {arguments}")

    for owner, name in ((builtins, "open"), (io, "open"), (socket, "socket"), (urllib.request, "urlopen")):
        monkeypatch.setattr(owner, name, refuse)
    yield
    assert not attempts


@pytest.mark.usefixtures("no_way_out")
@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://example.org/schema.json"},
        {"$ref": "file:///etc/hostname"},
        {"properties": {"a": {"items": {"$ref": "other.json"}}}},
        {"$id": "https://example.org/root", "anyOf": [{"$ref": "other#/x"}]},
        {"$dynamicRef": "https://example.org/x#y"},
        {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {"$ref": "https://example.org"}}},
    ],
)
def test_remote_references_are_refused_and_never_fetched(schema):
    with pytest.raises(ParameterError, match="references are never fetched"):
        FormattingReward("json_schema", schema=schema)


@pytest.mark.usefixtures("no_way_out")
def test_references_to_the_schema_itself_and_to_published_ones_need_no_file():
    tree = {"type": "object", "properties": {"next": {"$ref": "#"}}, "additionalProperties": False}
    assert SchemaForm(tree)('{"next": {"next": {}}}')
    assert not SchemaForm(tree)('{"next": {"nxt": {}}}')
    meta = SchemaForm({"$ref": "https://json-schema.org/draft/2020-12/schema"})
    assert meta('{"type": "string"}')
    assert not meta('{"type": "strin"}')


def test_a_reference_in_data_is_data():
    quoting = {"const": {"$ref": "http://example.org"}, "properties": {"$ref": {"type": "string"}}}
    assert SchemaForm(quoting)('{"$ref": "http://example.org"}')


def test_the_dialect_is_the_schemas_own():
    # `prefixItems` is a keyword since 2020-12; a list under `items` was one until then.
    pair = [{"type": "string"}, {"type": "integer"}]
    draft7 = {"$schema": "http://json-schema.org/draft-07/schema#", "items": pair}
    assert not SchemaForm(draft7)("[1, 1]")
    assert not SchemaForm({"prefixItems": pair})("[1, 1]")
    assert SchemaForm(draft7 | {"items": {}, "prefixItems": pair})("[1, 1]")


def test_a_recursive_schema_takes_the_deepest_json_there_is():
    nested = SchemaForm({"type": "array", "items": {"allOf": [{"$ref": "#"}]}})
    assert nested("[" * MAX_JSON_DEPTH + "]" * MAX_JSON_DEPTH)
    assert not nested("[" * MAX_JSON_DEPTH + "0" + "]" * MAX_JSON_DEPTH)


def test_a_schema_that_texts_can_drive_into_the_ground_makes_them_invalid(monkeypatch):
    form = SchemaForm({"type": "array", "items": {"$ref": "#"}})
    monkeypatch.setattr(json_form, "MAX_JSON_DEPTH", 900)
    assert form("[" * 900 + "]" * 900) is False


@given(
    st.lists(
        json_values | st.sampled_from([1, 1.0, True, [1], [True], {"a": 1}, {"a": 1.0}, 0, -0.0, False]), max_size=6
    )
)
@example([[1, True]])
def test_unique_items_agree_with_the_stock_keyword(items):
    assert SchemaForm({"uniqueItems": True})(json.dumps(items)) is _pairwise_unique(items)


def _pairwise_unique(items: list[object]) -> bool:
    return not any(stock.equal(first, second) for i, first in enumerate(items) for second in items[:i])


@pytest.mark.parametrize("dialect", ["http://json-schema.org/draft-07/schema#", None])
def test_unique_items_stay_linear(dialect):
    schema = {"properties": {"a": {"uniqueItems": True}, "b": {"$ref": "#"}}} | (
        {"$schema": dialect} if dialect else {}
    )
    # Numbers with one hash between values that do not sort: pairwise, this takes minutes.
    colliding = [str(k * (2**61 - 1)) for k in range(1, 15_000)]
    text = '{"b": {"a": [null, "x", ' + ", ".join(colliding) + "]}}"
    start = time.process_time()
    assert SchemaForm(schema)(text)
    assert time.process_time() - start < 20.0


def test_without_jsonschema_the_schema_is_checked_on_first_use(monkeypatch):
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    monkeypatch.setattr(json_form.importlib.util, "find_spec", lambda name: None)
    component = FormattingReward("json_schema", schema=SCHEMA)
    assert component(answered("no JSON")).status == "invalid"
    with pytest.raises(MissingExtraError, match=r"jsonschema is not installed.*rlenvs\[text\]"):
        component(answered("{}"))


def test_the_libraries_are_imported_on_first_use():
    program = (
        "import sys; from rlenvs.wrappers.components.form import FormattingReward; FormattingReward('markdown');"
        "assert not {'jsonschema', 'markdown_it', 'py3langid'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


# --- tags ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "whole", "anywhere"),
    [
        ("<think>a</think><answer>b</answer>", True, True),
        ("\n<think>a\n</think>\n\n<answer>b</answer> ", True, True),
        ("<think></think><answer></answer>", True, True),
        ("<think>1 < 2 > 0 </thin></think><answer>b</answer>", True, True),
        ("Well: <think>a</think><answer>b</answer>", False, True),
        ("<think>a</think> so <answer>b</answer>", False, True),
        ("<think>a</think><answer>b</answer>.", False, True),
        ("<think>a</think>", False, False),
        ("<answer>b</answer><think>a</think>", False, False),
        ("<think>a<answer>b</answer></think>", False, False),
        ("<think>a<think>b</think></think><answer>b</answer>", False, False),
        ("<think>a</think><answer>b</answer><answer>c</answer>", False, False),
        ("<think>a</think><answer>b", False, False),
        ("<Think>a</Think><answer>b</answer>", False, False),
        ("<think >a</think><answer>b</answer>", False, False),
        ("", False, False),
    ],
)
def test_tags(text, whole, anywhere):
    assert TagForm(["think", "answer"], whole=True)(text) is whole
    assert TagForm(["think", "answer"], whole=False)(text) is anywhere


pieces = ["<a>", "</a>", "<b.c>", "</b.c>", "<", ">", "/", "a", " ", "\n", "<bxc>"]


@given(st.lists(st.sampled_from(pieces), max_size=10).map("".join), st.booleans())
@example("<a></a><b.c></b.c>", True)
def test_tags_agree_with_a_regular_expression(text, whole):
    inside = r"(?:(?!</?(?:a|b\.c)>).)*"
    outside = r"\s*" if whole else inside
    pattern = f"{outside}<a>{inside}</a>{outside}<b\\.c>{inside}</b\\.c>{outside}"
    assert TagForm(["a", "b.c"], whole)(text) is (re.fullmatch(pattern, text, re.DOTALL) is not None)


# --- code blocks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "language", "whole", "has_form"),
    [
        ("```\nx\n```", None, True, True),
        ("\n~~~ Python extra\nx\n~~~~\n \n", "python", True, True),
        ("```py\nx\n```", "python", True, False),
        ("```\nx\n```", "python", True, False),
        ("Here:\n```python\nx\n```", "python", True, False),
        ("Here:\n```python\nx\n```\nDone.", "PYTHON", False, True),
        ("```\nx\n```\n```\ny\n```", None, False, False),
        ("```\nx\n", None, False, False),
        ("```\n\n \n```", None, True, False),
        ("````\n```\nx\n````", None, True, True),
        ("``` a`b\nx\n```", None, False, False),
        ("    ```\n    x\n    ```", None, False, False),
        ("x", None, False, False),
    ],
)
def test_code_blocks(text, language, whole, has_form):
    assert CodeBlockForm(language, whole)(text) is has_form


@given(
    st.lists(
        st.sampled_from(["`", "```", "````", "~~~", " ", "x", "\n", "\r", "\r\n", "```py", "\u2028"]), max_size=14
    ).map("".join)
)
def test_fences_agree_with_a_commonmark_parser(text):
    ours = fenced_blocks(split_lines(text))
    theirs = [token for token in MarkdownIt("commonmark").parse(text) if token.type == "fence"]
    assert [(block.first_line, block.info) for block in ours] == [
        (token.map[0], token.info.strip()) for token in theirs
    ]
    # The parser takes the fence's own indentation off the content and ends it with a line feed.
    assert ["".join(block.content.split()) for block in ours] == ["".join(token.content.split()) for token in theirs]


# --- Markdown --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("# Title", {"heading"}),
        ("Title\n===", {"heading"}),
        ("#Title", set()),
        ("- a\n- b", {"list", "bullet_list"}),
        ("1. a\n2. b", {"list", "ordered_list"}),
        ("|a|b|\n|-|-|\n|1|2|", {"table"}),
        ("|a|b|\n|1|2|", set()),
        ("```\nx\n```", {"code"}),
        ("    x", {"code"}),
        ("> quoted", {"quote"}),
        ("> 1. # deep", {"quote", "list", "ordered_list", "heading"}),
        ("#\n\n-\n\n>\n\n```\n```", set()),
        ("*plain* `text` [a](b)\n\n---", set()),
        ("", set()),
    ],
)
def test_markdown_kinds(text, kinds):
    assert MarkdownForm().kinds(text) == kinds
    assert MarkdownForm()(text) is bool(kinds)


def test_markdown_needs_all_of_its_elements():
    form = MarkdownForm(["heading", "list", "table", "code"])
    text = "# A\n\n1. b\n\n|c|\n|-|\n|d|\n\n```\ne\n```"
    assert form(text)
    assert not any(form(text.replace(mark, "")) for mark in ("# ", "1. ", "-", "```"))


# --- hostile text ----------------------------------------------------------------------------------------------------

HOSTILE = {
    "nothing": "",
    "NUL": "\x00" * 1000,
    "surrogates": "\ud800\udfff" * 1000,
    "brackets": "[" * MEGABYTE,
    "objects": '{"":' * (MEGABYTE // 4),
    "open text": '"' + "\\" * MEGABYTE,
    "quotes": '"' * MEGABYTE,
    "digits": "1" * MEGABYTE,
    "fences": "`" * MEGABYTE,
    "fence lines": "```\n" * (MEGABYTE // 20),
    "tags": "<think>" * (MEGABYTE // 7),
    "half tags": "</" * (MEGABYTE // 2),
    "quote marks": ">" * MEGABYTE,
    "hashes": "#" * MEGABYTE,
    "bars": "|" * MEGABYTE,
    "dashes": "- " * (MEGABYTE // 20),
    "lists": "- a\n" * (MEGABYTE // 80),
    "tables": "|a|b\n|-|-\n" * (MEGABYTE // 80),
    "definitions": "[a]: b\n" * (MEGABYTE // 80),
    "titles": "[a]: b '\n" * (MEGABYTE // 80),
    "spaces": " " * MEGABYTE,
    "lines": "\n" * (MEGABYTE // 4),
    "carriage returns": "\r" * (MEGABYTE // 4),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_is_invalid_in_no_time(text):
    for format, params in FORMS.items():
        start = time.process_time()
        assert FormattingReward(format, **params)(answered(text)).status == "invalid"
        assert time.process_time() - start < 20.0, format


@given(st.text(max_size=40) | st.text(alphabet='`~<>/[]{}"\\|-#* \n\r\t1a\ud800\x00', max_size=40))
def test_no_text_breaks_a_form(text):
    for component in SHARED:
        assert component(answered(text)).status in ("ok", "invalid")


SHARED = [FormattingReward(format, **params) for format, params in FORMS.items()]
SHARED += [
    FormattingReward("markdown"),
    FormattingReward("tags", whole=False),
    FormattingReward("code_block", whole=False),
]
