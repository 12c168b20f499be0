"""Conversations: how a user opens, and what the user says after that."""

import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from rlenvs.errors import DataError, ParameterError
from rlenvs.json_lines import read_rows
from rlenvs.problems.checks import check_int, check_path
from rlenvs.problems.delegating import DelegatingSource
from rlenvs.problems.listed import ListedSource, folded
from rlenvs.problems.problem import Problem, Split
from rlenvs.problems.procedural import Draft, ProceduralSource, Statement, content_id
from rlenvs.problems.writing_ideas import FIELDS
from rlenvs.suggestions import did_you_mean

KEYS = ("opening", "turns", "system")

OPENINGS = (
    "Hello! Can you tell me {field}?",
    "I have been wondering {field}. Do you know?",
    "My daughter asked me {field}, and I had no answer. Can you help?",
    "Good morning. I need to understand {field} by tonight.",
)
FOLLOW_UPS = (
    "Can you give me an example?",
    "That was too fast for me. Could you say it more simply?",
    "Are you sure about that?",
    "What is the most common mistake people make there?",
    "Interesting. Why is that so?",
    "How would you explain that to a child?",
    "I disagree. Can you convince me?",
    "Please sum that up in one sentence.",
    "What should I read or try next?",
    "And what if things go wrong?",
)
CLOSINGS = ("Thank you, that helps.", "Good, I think I have it now. Goodbye!", "Thanks. Anything else I should know?")


def conversation_task(opening: str, turns: Sequence[str], system: str | None) -> dict[str, Any]:
    """The task record of a conversation."""
    task: dict[str, Any] = {"type": "conversation", "question": opening, "turns": list(turns)}
    return task | ({"system": system} if system else {})


def checked_conversation(record: object, where: str) -> tuple[str, list[str], str | None]:
    """Opening, turns and system message of a record.

    Raises:
        DataError: it is no such record.
    """
    if not isinstance(record, Mapping):
        raise DataError(f"{where}: expected an object with 'opening' and 'turns', got {record!r:.80}")
    for key in record:
        if key not in KEYS:
            raise DataError(f"{where}: unknown field {key!r}{did_you_mean(str(key), KEYS)} (known: {', '.join(KEYS)})")
    opening, turns, system = record.get("opening"), record.get("turns", []), record.get("system")
    if not isinstance(opening, str) or not opening.strip():
        raise DataError(f"{where}: field 'opening': expected a text, got {opening!r:.80}")
    if not isinstance(turns, list | tuple) or not all(isinstance(turn, str) and turn.strip() for turn in turns):
        raise DataError(f"{where}: field 'turns': expected a list of texts, got {turns!r:.80}")
    if system is not None and not isinstance(system, str):
        raise DataError(f"{where}: field 'system': expected a text, got {system!r:.80}")
    return opening, list(turns), system


class ConversationList(ListedSource):
    """Conversations of a list or a file."""

    def __init__(self, conversations: Sequence[Mapping[str, Any]] | str, held_out_fraction: float) -> None:
        super().__init__(held_out_fraction)
        self.conversations = conversations

    @cached_property
    def entries(self) -> list[tuple[str, list[str], str | None]]:
        """What is said, read on first use."""
        path = self.conversations
        if isinstance(path, str):
            return [checked_conversation(row, f"{path}:{number}") for number, row in read_rows(path)]
        return [checked_conversation(record, f"conversations[{index}]") for index, record in enumerate(path)]

    def keys(self) -> Iterator[tuple[str, str]]:
        """The opening of each conversation, without differences of case and white space, and its id."""
        return ((folded(entry[0]), conversation_id(*entry)) for entry in self.entries)

    def at(self, index: int, split: Split) -> Problem:
        """One conversation."""
        opening, turns, system = self.entries[index]
        task = conversation_task(opening, turns, system)
        name = conversation_id(opening, turns, system)
        return Problem(id=name, prompt=opening, task=task, demonstration="", split=split)

    def described(self) -> str:
        """The file, or the list."""
        given = self.conversations
        return given if isinstance(given, str) else f"a list of {len(given)} conversations"

    def __repr__(self) -> str:
        return f"ConversationList({self.described()}, held_out_fraction={self.held_out_fraction})"


def conversation_id(opening: str, turns: Sequence[str], system: str | None) -> str:
    """The id of a conversation: a hash of all that is said."""
    return content_id("conversation", opening, *turns, system or "")


class TalkSource(ProceduralSource):
    """Conversations that are made up: a question, some follow-ups, a goodbye."""

    name = "conversation"
    max_prompt_chars = 200
    max_demonstration_chars = 0

    def __init__(self, min_turns: int, max_turns: int, held_out_fraction: float) -> None:
        super().__init__(held_out_fraction)
        self.min_turns, self.max_turns = min_turns, max_turns

    def draft(self, dice: random.Random) -> Draft:
        """Draw a conversation; its split is decided by what it is about and what follows."""
        field = dice.choice(FIELDS)
        count = dice.randint(self.min_turns, self.max_turns)
        turns = [*dice.sample(FOLLOW_UPS, count - 1), dice.choice(CLOSINGS)] if count else []
        opening = dice.choice(OPENINGS).format(field=field)
        task = conversation_task(opening, turns, None)
        return Draft(f"{field}|{'|'.join(sorted(turns[:-1]))}", lambda: Statement(opening, task, "", 0.0))

    def _problem(self, draft: Draft, split: Split) -> Problem:
        stated = draft.state()
        name = content_id(self.name, stated.prompt, *stated.task["turns"], "")
        return Problem(id=name, prompt=stated.prompt, task=stated.task, demonstration="", split=split)

    def __repr__(self) -> str:
        return f"TalkSource(min_turns={self.min_turns}, max_turns={self.max_turns})"


class ConversationSource(DelegatingSource):
    """Conversations with a scripted user: of a list, of a file, or made up.

    Task type "conversation": the prompt is the user's first message, `turns` are the later ones, `system` is a message
    of the system, if there is one. That is what the protocol `conversation` plays. Nothing in it is right or wrong.

    Args:
        conversations: a list of `{"opening": ..., "turns": [...], "system": ...}`, the path of a `.jsonl` file of such
            objects, or None for made-up conversations.
        min_turns: fewest messages of the user after the first, for made-up ones, 0..10.
        max_turns: most of them, 0..10.
        held_out_fraction: share of the conversations kept from training, in [0, 1].

    Raises:
        ParameterError: a parameter that cannot be used.
        DataError: on first use: a record that is no conversation; says which.

    Example:
        >>> talk = {"opening": "What do hedgehogs eat?", "turns": ["And in winter?"]}
        >>> ConversationSource([talk], held_out_fraction=0.0).problems("train")[0].task["turns"]
        ['And in winter?']
    """

    def __init__(
        self,
        conversations: Sequence[Mapping[str, Any]] | str | None = None,
        min_turns: int = 1,
        max_turns: int = 4,
        held_out_fraction: float = 0.1,
    ) -> None:
        check_int("min_turns", min_turns, 0, 10)
        check_int("max_turns", max_turns, 0, 10)
        if min_turns > max_turns:
            raise ParameterError("min_turns", f"must be <= max_turns={max_turns}, got {min_turns}")
        self.inner: ConversationList | TalkSource
        if conversations is None:
            self.inner = TalkSource(min_turns, max_turns, held_out_fraction)
        elif isinstance(conversations, str):
            self.inner = ConversationList(check_path("conversations", conversations), held_out_fraction)
        elif isinstance(conversations, Sequence) and conversations:
            self.inner = ConversationList(conversations, held_out_fraction)
        else:
            raise ParameterError("conversations", f"must be a path or a non-empty list, got {conversations!r:.80}")
        self.held_out_fraction = self.inner.held_out_fraction
