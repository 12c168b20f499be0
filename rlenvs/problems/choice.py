"""Multiple-choice versions of other problems."""

import random
import string
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from rlenvs.errors import ParameterError, UserError
from rlenvs.graders import parse_number
from rlenvs.problems.answer_format import AnswerFormat
from rlenvs.problems.checks import check_int
from rlenvs.problems.distractors import near_numbers
from rlenvs.problems.listed import folded
from rlenvs.problems.problem import Problem, ProblemSource, Split
from rlenvs.problems.procedural import content_id
from rlenvs.problems.registry import make_source

TYPES = ("math", "gsm8k", "qa_exact", "reasoning_gym")
MAX_OTHERS = 1_000
"""Problems that are looked at for other answers; a source that has fewer different ones cannot make a choice."""


class MultipleChoiceSource(ProblemSource):
    """The problems of another source with options to choose from: the right answer and wrong ones that look like it.

    Wrong numbers are results on the way to the answer, slips by one, by ten or by a digit, and numbers nearby. Where
    answers are texts, the wrong ones are right answers to other problems of the same split. Which they are, and their
    order, is decided by a hash of the problem: the same problem always has the same options, and every letter is right
    equally often. A problem is in the split that its source puts it in.

    Args:
        source: name of a source, or a mapping with the name under "source" and its parameters.
        options: how many options, 2..10.
        extract: how the grader finds the letter, and how demonstrations write it.
        markers: for extract="last_marker" only.
        format_hint: whether the prompt says how to write the answer.

    Raises:
        ParameterError: a parameter out of range; also those of the source.

    Example:
        >>> source = MultipleChoiceSource({"source": "arithmetic", "digits": 1}, options=3)
        >>> problem = source.sample(np.random.default_rng(0), "train")
        >>> problem.task["type"], problem.task["choices"], len(problem.task["options"])
        ('mcq', ['A', 'B', 'C'], 3)
    """

    def __init__(
        self,
        source: str | Mapping[str, Any] | ProblemSource = "word_problems",
        options: int = 4,
        extract: str = "last_answer_line",
        markers: Sequence[str] = ("A:",),
        format_hint: bool = True,
    ) -> None:
        self.options = check_int("options", options, 2, 10)
        self.format = AnswerFormat(extract, markers, format_hint)
        self.source = make_source(source)
        if isinstance(self.source, MultipleChoiceSource):
            raise ParameterError("source", "must not be multiple choice already")
        if self.source.adapts:
            raise ParameterError("source", "must not be a curriculum: make a curriculum of multiple choice instead")

    @property
    def size(self) -> int | None:
        """That of the source."""
        return self.source.size

    def sample(self, rng: np.random.Generator, split: Split) -> Problem:
        """Draw a problem of the source, with options."""
        return self._choice(self.source.sample(rng, split), split)

    def problems(self, split: Split, limit: int | None = None, seed: int = 0) -> list[Problem]:
        """List problems of the source, with options."""
        return [self._choice(problem, split) for problem in self.source.problems(split, limit, seed)]

    def stream(self, split: Split, seed: int = 0) -> Iterator[Problem]:
        """The stream of the source, with options."""
        return (self._choice(problem, split) for problem in self.source.stream(split, seed))

    def _choice(self, problem: Problem, split: Split) -> Problem:
        gold, kind = problem.task.get("gold"), problem.task.get("type")
        if kind not in TYPES or not isinstance(gold, str):
            raise UserError(
                f"multiple choice needs problems of type {', '.join(TYPES)} with a gold answer, got {kind!r}"
            )
        # Of the id, so that neither the caller's generator nor the order of calls decides.
        dice = random.Random(content_id("choice", problem.id))
        value = parse_number(gold, percent_is_unit=True)
        if value is not None:
            steps = [str(step["value"]) for step in problem.task.get("steps", ())]
            wrong = near_numbers(gold, value, steps, dice, self.options - 1)
        else:
            wrong = self._other_answers(gold, dice, split)
        texts = [gold, *wrong]
        dice.shuffle(texts)
        labels = list(string.ascii_uppercase[: self.options])
        label = labels[texts.index(gold)]
        listed = "\n".join(f"{name}) {text}" for name, text in zip(labels, texts, strict=True))
        # The question must not say how to write an answer that is not the letter.
        asked = AnswerFormat(problem.task["extract"], problem.task.get("markers", ("A:",)))
        question = asked.without_hint(problem.prompt)
        prompt = self.format.ask(f"{question}\n{listed}", "the letter of the right answer")
        task = self.format.task("mcq", prompt, label, choices=labels, options=texts)
        lines = [f"{step['expression']} = {step['value']}" for step in problem.task.get("steps", ())]
        return Problem(
            id=content_id("choice", problem.id, *texts),
            prompt=prompt,
            task=task,
            demonstration=self.format.respond(lines, label),
            difficulty=problem.difficulty,
            split=problem.split,
        )

    def _other_answers(self, gold: str, dice: random.Random, split: Split) -> list[str]:
        rng = np.random.default_rng(dice.getrandbits(63))
        found: dict[str, str] = {}
        for _ in range(MAX_OTHERS):
            other = self.source.sample(rng, split).task.get("gold")
            if isinstance(other, str) and folded(other) != folded(gold):
                found.setdefault(folded(other), other)
            if len(found) == self.options - 1:
                return list(found.values())
        raise UserError(
            f"options: {self.source} has only {len(found) + 1} different answers, {self.options} are asked for"
        )

    def __repr__(self) -> str:
        return f"MultipleChoiceSource({self.source!r}, options={self.options})"
