"""Texts that a policy may write to break a reward, and a way to count what scoring them costs."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from hypothesis import strategies as st

from rlenvs.wrappers import Transition

any_text = st.text(st.characters(exclude_categories=()), max_size=200)
"""Every code point, lone surrogates and NUL included."""

prose = st.lists(
    st.sampled_from(["the", "Cat", "sat", "on", "straße", "3.5", "don't", "你好", "naïve", ".", "!", "\n", "\n\n- "])
).map(" ".join)

responses = any_text | prose

HOSTILE = {
    "empty": "",
    "spaces": " \t\n" * 60_000,
    "one_word": "a" * 200_000,
    "vowels": "aeiouy" * 30_000,
    "marks": "!" * 200_000,
    "points": "." * 200_000 + "x",
    "points_apart": ". " * 100_000,
    "new_lines": "\n" * 100_000 + "   " * 30_000 + "x",
    "apostrophes": "a'" * 100_000,
    "letters_apart": "f u c k " * 25_000,
    "masked": "f*** " * 40_000,
    "signs": "@$!*#1" * 30_000,
    "combining": "a" + "\u0301\u0316" * 100_000,
    "half_width_voicing": "\uff76" + "\uff9e\u0316" * 100_000,
    "invisible": "\u200b\ufe0f\u00ad" * 60_000,
    "ligatures": "\ufdfa" * 20_000,
    "surrogates": "\ud800\udfff" * 100_000,
    "nul": "\x00" * 200_000,
    "brackets": "[{(" * 60_000,
    "distinct_words": " ".join(map(str, range(40_000))),
}


def ended(response: str, *, prompt: str = "", **info: Any) -> Transition:
    """The step that ended a message."""
    return Transition(prompt=prompt, response=response, action=response, terminated=True, info=info)


UNENDED = Transition(response="so far", action=7, info={"response_so_far": "so far"})
"""A token-level step before the end of the message."""


def lines_run(function: Callable[[], object]) -> int:
    """How many lines of Python `function` runs: its cost, whatever else the machine does."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return count
