"""Multiple choice: one label, or the text of one option; never two."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlenvs.errors import GraderError
from rlenvs.graders import units
from rlenvs.graders.question import Grade, Policy, Question, invalid, right, shown, text_of, wrong

MAX_CHOICES = 100
DRESSING = re.compile(r"\\(?:text|textbf|mathrm|mathbf|boxed|fbox)\s*\{([^{}]*)\}")
LEAD = re.compile(r"(?:(?:the )?(?:correct )?(?:final )?(?:option|choice|answer)(?: is)?:? +)", re.IGNORECASE)
LABELLED = re.compile(
    r"[(\[]?\s*(?P<label>\w{1,16})\s*(?:[)\]]\s*[.:]?|[.:,]|\s[-\u2013\u2014]|(?=\s\())(?:\s+(?P<rest>\S.*))?",
    re.DOTALL,
)
PAIRS = (
    ("$", "$"), ("\\(", "\\)"), ("*", "*"), ("_", "_"), ("<", ">"), ("(", ")"), ("[", "]"), ("{", "}"), ("`", "`"),
    ('"', '"'), ("'", "'"),
)  # fmt: skip
HEDGES = units.HEDGES | {"both", "neither", "none", "all", "but", "also", "unless", "except", "any"}
MAX_REST_WORDS = 40


def folded(text: str) -> str:
    """A text without differences of case, white space, composition, bold type and a final full stop."""
    text = " ".join(unicodedata.normalize("NFC", text.replace("**", "")).casefold().split())
    return text.removesuffix(".").rstrip()


def bare(text: str) -> str:
    r"""An answer without emphasis, quotes, math delimiters, `\text{}` and the words before a label."""
    text = DRESSING.sub(r"\1", text.strip()).replace("**", "")
    for _ in range(8):
        text = text.strip()
        before = text
        for left, right_mark in PAIRS:
            if len(text) > len(left) + len(right_mark) and text.startswith(left) and text.endswith(right_mark):
                inside = text[len(left) : -len(right_mark)]
                if left not in inside and right_mark not in inside:
                    text = inside
                break
        lead = LEAD.match(text)
        text = text[lead.end() :] if lead else text
        if text == before:
            break
    return text


@dataclass(frozen=True)
class ChoiceQuestion(Question):
    """An answer is right if it names the gold option and no other."""

    labels: tuple[str, ...]
    gold: str
    options: tuple[str, ...]
    """Folded texts of the options, in the order of the labels; empty if unknown."""

    def judge(self, answer: str, where: str) -> Grade:
        """Judge an answer: `C`, `(C)`, `C) Jupiter`, or `Jupiter` where the options' texts are known."""
        text = bare(answer)
        label = self.label(text) or self.named(text) or self.named_and_labelled(text)
        labelled = LABELLED.fullmatch(text) if label is None else None
        if labelled:
            label, rest = self.label(labelled["label"]), labelled["rest"]
            if label and rest and not self.fits(label, rest):
                return invalid(answer, f"a label and something else than its option: {shown(answer)}")
        if label is None:
            return invalid(answer, f"not one of {', '.join(self.labels[:10])}: {shown(answer)}")
        return right(answer, where) if label == self.gold else wrong(answer, where)

    def label(self, text: str) -> str | None:
        """The label that a text is."""
        text = folded(text)
        return next((label for label in self.labels if label.casefold() == text), None)

    def named(self, text: str) -> str | None:
        """The label of the only option with this text."""
        text = folded(text)
        names = [label for label, option in zip(self.labels, self.options, strict=False) if option == text]
        return names[0] if len(names) == 1 else None

    def named_and_labelled(self, text: str) -> str | None:
        """The label behind the text of its option: `Jupiter (C)`."""
        option, _, label = text.removesuffix(")").rpartition("(")
        named = self.named(option) if text.endswith(")") else None
        return named if named is not None and named == self.label(label) else None

    def fits(self, label: str, rest: str) -> bool:
        """True if what follows a label is its option, or, where options are unknown, no other answer and no hedge."""
        if self.options:
            return folded(bare(rest)) == self.options[self.labels.index(label)]
        words = re.findall(r"\w+", rest)
        others = {other.casefold() for other in self.labels} - {label.casefold()}
        return (
            len(words) <= MAX_REST_WORDS
            and others.isdisjoint(map(str.casefold, words))
            and (HEDGES.isdisjoint(map(str.casefold, words)))
        )


def compile_choice(task: Mapping[str, Any], policy: Policy) -> ChoiceQuestion:
    """Read the keys of a multiple-choice task.

    Raises:
        GraderError: one of them is missing or unusable.
    """
    labels = task.get("choices", ["A", "B", "C", "D"])
    if not isinstance(labels, list | tuple) or not 2 <= len(labels) <= MAX_CHOICES:
        raise GraderError(f"task choices: must be a list of 2 to {MAX_CHOICES} labels, got {labels!r:.80}")
    if not all(isinstance(label, str) and re.fullmatch(r"\w{1,16}", label) for label in labels):
        raise GraderError(
            f"task choices: labels must be short words such as 'A', got {labels!r:.80}; texts go to options"
        )
    if len({label.casefold() for label in labels}) != len(labels):
        raise GraderError(f"task choices: labels must differ in more than case, got {labels!r:.80}")
    options = task.get("options", ())
    if not isinstance(options, list | tuple) or not all(isinstance(option, str) for option in options):
        raise GraderError(f"task options: must be a list of texts, got {options!r:.80}")
    if options and len(options) != len(labels):
        raise GraderError(f"task options: must be one text per choice ({len(labels)}), got {len(options)}")
    gold = text_of(task, "gold")
    question = ChoiceQuestion(policy, tuple(labels), gold, tuple(folded(option) for option in options))
    label = question.label(bare(gold))
    if label is None:
        raise GraderError(f"task gold: {gold[:80]!r} is not one of the choices {', '.join(labels[:10])}")
    return ChoiceQuestion(policy, question.labels, label, question.options)
