r"""Conversations as text for a terminal.

Messages are wrapped, and whatever in them would act on a terminal instead of being read (escape sequences, characters
that turn the direction of writing, halves of surrogate pairs) is shown as its escape, `\x1b`.
"""

import os
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Sequence
from typing import TextIO

from rlenvs.envs.messages import Message

WIDTH = 100
"""Columns of a rendered text that goes to no terminal: the same everywhere."""
MIN_WIDTH = 30
INDENT = "    "
FILLER = "\0"
"""Stands behind a character of two columns while its line is wrapped; no neutralised text holds one."""
SHOWN_CHARS = 20_000
"""Of a longer message the beginning is shown, and how much is left out."""
COLOURS = {"system": "\x1b[35m", "user": "\x1b[36m", "assistant": "\x1b[32m"}
PLAIN = "\x1b[0m"


def neutralised(text: str) -> str:
    r"""A text with everything that is not printable, except line breaks and tabs, written as an escape.

    Example:
        >>> neutralised("a\x1b[2J\u202eb\ud800\n")
        'a\\x1b[2J\\u202eb\\ud800\n'
    """
    if text.isprintable():
        return text
    shown = []
    for character in text.replace("\r\n", "\n"):
        if character.isprintable() or character == "\n":
            shown.append(character)
        elif character == "\t":
            shown.append(INDENT)
        elif character.isspace():
            shown.append(" " if character not in "\r\v\f\x1c\x1d\x1e\x85\u2028\u2029" else escape(character))
        else:
            shown.append(escape(character))
    return "".join(shown)


def escape(character: str) -> str:
    """A character as its Python escape."""
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def body(text: str, width: int) -> str:
    """The content of a message: bounded, neutralised, wrapped and indented."""
    rest = len(text) - SHOWN_CHARS
    lines = []
    for line in neutralised(text[:SHOWN_CHARS]).split("\n"):
        folded = wrapped(line, width - len(INDENT)) or [""]
        lines.extend([(INDENT + part).rstrip() for part in folded])
    if rest > 0:
        lines.append(f"{INDENT}... ({rest} more characters)")
    return "\n".join(lines)


def wrapped(line: str, width: int) -> list[str]:
    """The parts of a line that is wrapped at a number of columns; Chinese and other wide characters take two.

    Example:
        >>> wrapped("\u4e2d\u6587 text", 8), wrapped("\u4e2d" * 5, 8)
        (['\u4e2d\u6587', 'text'], ['\u4e2d\u4e2d\u4e2d\u4e2d', '\u4e2d'])
    """
    if line.isascii():
        return textwrap.wrap(line, width)
    spread = "".join(c + FILLER if unicodedata.east_asian_width(c) in "WF" else c for c in line)
    return [part.replace(FILLER, "") for part in textwrap.wrap(spread, width)]


def transcript(
    messages: Sequence[Message],
    rewards: Sequence[float] = (),
    *,
    width: int = WIDTH,
    colour: bool = False,
    first: int = 0,
) -> str:
    """A conversation as readable text, one block per message.

    Args:
        messages: the conversation.
        rewards: the reward of each message of the policy, in order.
        width: columns.
        colour: True to colour the names of the speakers.
        first: messages before this one are left out.

    Example:
        >>> chat = [{"role": "user", "content": "6*7?"}, {"role": "assistant", "content": "42"}]
        >>> print(transcript(chat, [1.0]))
        user:
            6*7?
        assistant (reward 1):
            42
    """
    blocks = []
    answered = 0
    for place, message in enumerate(messages):
        title = neutralised(message["role"])
        if message["role"] == "assistant":
            if answered < len(rewards):
                title += f" (reward {rewards[answered]:.6g})"
            answered += 1
        if place >= first:
            if colour:
                title = f"{COLOURS.get(message['role'], '')}{title}{PLAIN}"
            blocks.append(f"{title}:\n{body(message['content'], max(width, MIN_WIDTH))}")
    return "\n".join(blocks)


def print_transcript(messages: Sequence[Message], rewards: Sequence[float] = (), *, first: int = 0) -> None:
    """Write a conversation to standard output, as wide as the terminal, in colour where there is one."""
    stream = sys.stdout
    width = shutil.get_terminal_size((WIDTH, 24)).columns if stream.isatty() else WIDTH
    text = transcript(messages, rewards, width=width, colour=in_colour(stream), first=first)
    if text:
        # A stream of another encoding than UTF-8 must not fail for a character that it lacks.
        encoding = stream.encoding or "utf-8"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n\n")


def in_colour(stream: TextIO) -> bool:
    """True for a terminal whose user has not asked for plain text (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
