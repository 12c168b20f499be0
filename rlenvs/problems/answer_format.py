"""How a response states its answer: one rule that prompts ask for, demonstrations follow and graders read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rlenvs.problems.arithmetic import ANSWER_FORMATS
from rlenvs.problems.checks import check_bool, check_choice, check_texts

HINTS = {
    "whole": "Reply with {what} and nothing else.",
    "last_boxed": "Put {what} in \\boxed{{}}.",
    "last_hash": "End with a line '#### ' followed by {what}.",
    "last_answer_tag": "Put {what} between <answer> and </answer>.",
    "last_answer_line": "End with a line 'Answer: ' followed by {what}.",
    "last_marker": "End with a line '{marker} ' followed by {what}.",
}
"""What a prompt says for each extraction policy."""
FINAL = "the final answer"


@dataclass(frozen=True)
class AnswerFormat:
    r"""How a source has its answers written.

    Args:
        extract: an extraction policy of `rlenvs.graders`.
        markers: what starts an answer line, for "last_marker"; demonstrations use the first.
        hint: whether the prompt says how to write the answer.

    Raises:
        ParameterError: an unknown policy, or markers that are not texts.

    Example:
        >>> boxed = AnswerFormat("last_boxed")
        >>> boxed.ask("What is 6*7?"), boxed.respond(["6*7 = 42."], "42")
        ('What is 6*7?\nPut the final answer in \\boxed{}.', '6*7 = 42.\n\\boxed{42}')
    """

    extract: str
    markers: Sequence[str] = ("A:",)
    hint: bool = True

    def __post_init__(self) -> None:
        check_choice("extract", self.extract, ANSWER_FORMATS)
        object.__setattr__(self, "markers", check_texts("markers", self.markers))
        check_bool("format_hint", self.hint)

    def ask(self, question: str, what: str = FINAL) -> str:
        """A question with the hint, if there is to be one."""
        if not self.hint:
            return question
        return f"{question}\n{HINTS[self.extract].format(what=what, marker=self.markers[0])}"

    def without_hint(self, prompt: str) -> str:
        """A question that was asked in this format, with the hint taken off, if it has one."""
        return prompt.removesuffix("\n" + HINTS[self.extract].format(what=FINAL, marker=self.markers[0]))

    def respond(self, lines: Sequence[str], answer: str) -> str:
        """A demonstration: the working, then the answer; "whole" leaves no room for working."""
        written = ANSWER_FORMATS[self.extract].format(answer=answer, marker=self.markers[0])
        return written if self.extract == "whole" else "\n".join([*lines, written])

    def task(self, task_type: str, question: str, gold: Any, **more: Any) -> dict[str, Any]:
        """The task record of a question with this format."""
        task = {"type": task_type, "question": question, "gold": gold, "extract": self.extract, **more}
        if self.extract == "last_marker":
            task["markers"] = list(self.markers)
        return task
