import io
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.envs import SuiteEnv
from rlenvs.envs.rendering import SHOWN_CHARS, neutralised, print_transcript, transcript

UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Terminal(io.StringIO):
    """Standard output that is a terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True


class Latin(io.StringIO):
    """Standard output that cannot write every character."""

    encoding = "latin-1"


@settings(max_examples=200)
@given(st.text(st.characters(exclude_categories=()), max_size=80))
def test_nothing_that_is_shown_acts_on_a_terminal(text):
    shown = transcript([{"role": text, "content": text}, {"role": "assistant", "content": text}], [0.5])
    assert not UNSAFE.search(shown)
    shown.encode()


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=60))
def test_what_can_be_read_is_shown_as_it_is(text):
    assert neutralised(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("a\tb", "a    b"),
        ("a\r\nb", "a\nb"),
        ("over\rwritten", "over\\rwritten"),
        ("\u202eabc", "\\u202eabc"),
        ("\ud800", "\\ud800"),
        ("no\u00a0break", "no break"),
        ("\u2028", "\\u2028"),
    ],
)
def test_control_characters_become_readable(text, shown):
    assert neutralised(text) == shown


@settings(max_examples=100)
@given(st.lists(st.text("ab \n", max_size=300), min_size=1, max_size=4), st.integers(30, 120))
def test_no_line_is_wider_than_asked_and_no_word_is_lost(contents, width):
    shown = transcript([{"role": "user", "content": content} for content in contents], width=width)
    assert max(map(len, shown.splitlines())) <= width
    assert re.sub(r"\s|user:", "", shown) == re.sub(r"\s", "", "".join(contents))


def test_wide_characters_take_two_columns():
    shown = transcript([{"role": "user", "content": "Was ist \u4e2d\u6587" + "\u4e2d\u6587" * 40}], width=40)
    lines = shown.splitlines()[1:]
    widths = [sum(2 if unicodedata.east_asian_width(c) == "W" else 1 for c in line) for line in lines]
    assert max(widths) <= 40
    assert "".join(line.strip() for line in lines).count("\u4e2d\u6587") == 41


def test_rewards_stand_beside_the_messages_that_earned_them():
    chat = [{"role": role, "content": role[0]} for role in ("system", "user", "assistant", "user", "assistant")]
    shown = transcript(chat, [0.0, 0.123456789])
    assert [line for line in shown.splitlines() if not line.startswith(" ")] == [
        "system:",
        "user:",
        "assistant (reward 0):",
        "user:",
        "assistant (reward 0.123457):",
    ]
    assert transcript(chat, [0.0, 1.0], first=3) == "user:\n    u\nassistant (reward 1):\n    a"


def test_long_messages_are_cut_with_a_note():
    shown = transcript([{"role": "user", "content": "x" * (SHOWN_CHARS + 5)}])
    assert shown.endswith("... (5 more characters)")
    assert len(shown) < 2 * SHOWN_CHARS


def test_colours_only_where_there_is_a_terminal(monkeypatch):
    chat = [{"role": "user", "content": "6*7?"}]
    for stream, variables, coloured in (
        (Terminal(), {}, True),
        (io.StringIO(), {}, False),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
    ):
        with monkeypatch.context() as patch:
            patch.setenv("TERM", "xterm")
            patch.delenv("NO_COLOR", raising=False)
            for name, value in variables.items():
                patch.setenv(name, value)
            patch.setattr("sys.stdout", stream)
            print_transcript(chat)
        assert ("\x1b[" in stream.getvalue()) == coloured
        assert re.sub(r"\x1b\[\d+m", "", stream.getvalue()) == "user:\n    6*7?\n\n"


def test_a_stream_of_another_encoding_does_not_fail(monkeypatch):
    stream = Latin()
    monkeypatch.setattr("sys.stdout", stream)
    print_transcript([{"role": "user", "content": "é 中"}])
    assert stream.getvalue() == "user:\n    é \\u4e2d\n\n"


def test_human_mode_prints_each_message_once(capsys):
    env = SuiteEnv(render_mode="human", digits=1)
    env.reset(seed=0)
    assert capsys.readouterr().out == "user:\n    8+6=\n\n"
    env.step("14")
    assert capsys.readouterr().out == "assistant (reward 1):\n    14\n\n"
    env.reset(seed=0)
    assert capsys.readouterr().out == "user:\n    8+6=\n\n"


def test_a_restored_conversation_is_printed_from_its_start(capsys):
    env = SuiteEnv(digits=1, render_mode="human")
    env.reset(seed=0)
    env.step("14")
    saved = env.state_dict()
    env.reset(seed=1)
    other = SuiteEnv(digits=1, render_mode="human")
    other.reset(seed=3)
    saved["episode"] |= {"over": False}
    other.load_state_dict(saved)
    capsys.readouterr()
    other.step("15")
    assert re.findall(r"    (\S+)", capsys.readouterr().out) == ["8+6=", "14", "15"]
