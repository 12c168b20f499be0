"""Messages of a conversation, and how infos share them without copying a conversation per turn."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypedDict, cast


class Message(TypedDict):
    """One message of a conversation."""

    role: str
    content: str


def copy_messages(messages: Iterable[Message]) -> list[Message]:
    """New dicts in a new list."""
    return [{"role": message["role"], "content": message["content"]} for message in messages]


def watched(name: str) -> Callable[..., Any]:
    """A method of `dict` that first notes in the log that somebody writes into its messages."""
    plain = getattr(dict, name)

    def write(self: "SharedMessage", *args: Any, **kwargs: Any) -> Any:
        self.log.written = True
        return plain(self, *args, **kwargs)

    write.__name__ = name
    return write


class SharedMessage(dict[str, str]):
    """A message that the infos of one episode share; copies and pickles of it are plain dicts."""

    __slots__ = ("log",)
    log: "MessageLog"

    __setitem__ = watched("__setitem__")
    __delitem__ = watched("__delitem__")
    __ior__ = watched("__ior__")
    clear = watched("clear")
    pop = watched("pop")
    popitem = watched("popitem")
    setdefault = watched("setdefault")
    update = watched("update")

    def __reduce_ex__(self, protocol: object) -> tuple[type[dict[str, str]], tuple[dict[str, str]]]:
        return dict, (dict(self),)


class MessageLog:
    """The messages of an episode as its infos show them.

    Each message is made once and shared by all infos, so that a turn costs the same however long the conversation
    already is. A caller may still write into what it was given: the episode keeps its own messages, and the infos after
    such a write get new ones.

    Example:
        >>> log, messages = MessageLog(), [Message(role="user", content="6*7?")]
        >>> shown = log.shown(messages)
        >>> shown[0]["content"] = "something else"
        >>> log.shown(messages)
        [{'role': 'user', 'content': '6*7?'}]
    """

    __slots__ = ("messages", "written")

    def __init__(self) -> None:
        self.messages: list[SharedMessage] = []
        self.written = False

    def shown(self, messages: Sequence[Message]) -> list[Message]:
        """A new list of the messages, which may only have been appended to since the last call."""
        if self.written:
            self.messages, self.written = [], False
        for message in messages[len(self.messages) :]:
            shared = SharedMessage(role=message["role"], content=message["content"])
            shared.log = self
            self.messages.append(shared)
        return cast(list[Message], self.messages.copy())

    def __reduce__(self) -> tuple[type["MessageLog"], tuple[()]]:
        # What is shared belongs to the infos of this process: a copy of the episode starts its own.
        return MessageLog, ()
