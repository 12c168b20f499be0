"""What every kind of task has in common: a verdict, and a question that gives one."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from rlenvs.errors import GraderError
from rlenvs.graders.extraction import MAX_ANSWER_CHARS, extract_answer

if TYPE_CHECKING:
    from rlenvs.graders.code.questions import CodeQuestion

GradeStatus = Literal["ok", "invalid", "timeout", "error"]

CODE_TYPES = ("function", "stdio", "asserts")
"""Types of tasks that programs answer. `rlenvs.graders.code` grades them, and is loaded once there is one."""

SHOWN_CHARS = 80
"""Characters of a text quoted in a message."""


@dataclass(frozen=True, slots=True)
class Grade:
    """The verdict on one response."""

    score: float
    """From 0.0 (wrong) to 1.0 (right)."""
    correct: bool
    """True if the answer is right."""
    status: GradeStatus
    """"ok": an answer was judged; "invalid": the response holds no readable answer; "timeout": judging it took more
    time or memory than there is, by the answer's own fault; "error": for graders that can fail without raising."""
    extracted: str | None
    """The text that was judged; None if there was none."""
    reason: str
    """One line that says why."""


class Pending(NamedTuple):
    """A verdict that needs a check under a deadline."""

    kind: str
    """A key of `rlenvs.graders.deadline.checks.CHECKS`."""
    request: dict[str, Any]
    seconds: float
    finish: Callable[[Any], Grade]
    """From the reply, or an `Exceeded`, to the verdict."""


class PendingCode(NamedTuple):
    """A verdict that needs a program to be run."""

    question: "CodeQuestion"
    code: str


@dataclass(frozen=True, slots=True)
class Policy:
    """Which part of a response is the answer, see `rlenvs.graders.extraction`."""

    extract: str
    markers: tuple[str, ...] = ()
    after_think: bool = False


@dataclass(frozen=True)
class Question(ABC):
    """A task record after its check: all that judging responses needs. Make one with `compile_task`.

    A question holds no state; keep it beside the task to spare `grade` the reading of the record.
    """

    policy: Policy
    max_answer_chars: ClassVar[int] = MAX_ANSWER_CHARS

    def respond(self, response: str) -> Grade | Pending | PendingCode:
        """Judge a response, as far as that takes no time."""
        policy = self.policy
        answer, where = extract_answer(
            response,
            policy.extract,
            policy.markers,
            after_think=policy.after_think,
            max_chars=self.max_answer_chars,
        )
        if answer is None:
            return Grade(0.0, False, "invalid", None, where)
        return self.judge(answer, where)

    @abstractmethod
    def judge(self, answer: str, where: str) -> Grade | Pending | PendingCode:
        """Judge an extracted answer; `where` says where it was."""


def right(answer: str, where: str) -> Grade:
    """The verdict on a right answer."""
    return Grade(1.0, True, "ok", answer, f"equal to the gold answer, {where}")


def wrong(answer: str, where: str) -> Grade:
    """The verdict on a wrong answer."""
    return Grade(0.0, False, "ok", answer, f"differs from the gold answer, {where}")


def invalid(answer: str, reason: str) -> Grade:
    """The verdict on an answer that is none."""
    return Grade(0.0, False, "invalid", answer, reason)


def shown(text: str) -> str:
    """A text as a message quotes it."""
    return repr(text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "...")


def text_of(task: Mapping[str, Any], key: str) -> str:
    """A key of a task that holds a text.

    Raises:
        GraderError: it does not.
    """
    value = task.get(key)
    if not isinstance(value, str):
        raise GraderError(f"task {key}: must be a text, got {value!r:.80}")
    return value


def flag_of(task: Mapping[str, Any], key: str) -> bool | None:
    """A key of a task that is true, false or absent.

    Raises:
        GraderError: it is something else.
    """
    value = task.get(key)
    if value is not None and not isinstance(value, bool):
        raise GraderError(f"task {key}: must be true or false, got {value!r:.80}")
    return value
