"""The source of word problems."""

import random
import re
from collections.abc import Sequence

from rlenvs.errors import ParameterError
from rlenvs.problems.answer_format import AnswerFormat
from rlenvs.problems.checks import check_choices, check_int
from rlenvs.problems.exact_text import magnitude, ramp, records
from rlenvs.problems.procedural import Draft, ProceduralSource, Statement
from rlenvs.problems.words import stories_collections, stories_money, stories_rates
from rlenvs.problems.words.teller import TEMPLATES, Story, Teller, written

NUMBER_KINDS = ("integer", "fraction", "percent", "money")
MAX_STEPS = 4
QUESTION_FIRST = 0.15
"""How often the question comes before the facts."""
POINTS_BACK = re.compile(
    r"\b(?:it|its|them|they|that|this|these|those|then|now|left|rest|more|later|another|all|same|after|still|unfortunately|"
    r"each|the plants|needed|a storm|gained)\b",
    re.IGNORECASE,
)
"""Words of a sentence that lean on the sentence before it."""
STORY_MODULES = (stories_collections, stories_rates, stories_money)
"""Imported for the templates that they add."""


class WordProblemSource(ProceduralSource):
    """Word problems without end: stories in many wordings, with their working step by step.

    A template is a kind of story; names, things, wordings, the order of facts and of the question are drawn. The task
    record has `steps`, one `{"expression", "value"}` for each line of the demonstration, and `template`. The key of the
    split is the arithmetic of the working, so that two stories with the same sums share a split.

    Args:
        numbers: which numbers occur: "integer", "fraction", "percent", "money" (dollars and cents).
        min_steps: fewest steps of the working, 1..4.
        max_steps: most steps of the working, 1..4.
        max_number: largest number of a fact, 10..100,000; totals may be larger.
        distractors: most sentences with numbers that do not matter, 0..3.
        templates: names of templates; None for all that the other parameters allow.
        extract: how the grader finds the answer, and how demonstrations write it.
        markers: for extract="last_marker" only.
        format_hint: whether the prompt says how to write the answer.
        held_out_fraction: share of the problems kept from training, in [0, 1].

    Raises:
        ParameterError: a parameter out of range, or no template left by the others.

    Example:
        >>> import numpy as np
        >>> source = WordProblemSource(templates=["stairs"], distractors=0, format_hint=False)
        >>> problem = source.sample(np.random.default_rng(0), "train")
        >>> len(problem.task["steps"]), problem.task["steps"][-1]["value"] == problem.task["gold"]
        (2, True)
    """

    name = "word_problems"
    max_prompt_chars = 1200
    max_demonstration_chars = 500

    def __init__(
        self,
        numbers: Sequence[str] = ("integer",),
        min_steps: int = 1,
        max_steps: int = MAX_STEPS,
        max_number: int = 100,
        distractors: int = 1,
        templates: Sequence[str] | None = None,
        extract: str = "last_hash",
        markers: Sequence[str] = ("A:",),
        format_hint: bool = True,
        held_out_fraction: float = 0.1,
    ) -> None:
        super().__init__(held_out_fraction)
        self.numbers = check_choices("numbers", numbers, NUMBER_KINDS)
        self.min_steps = check_int("min_steps", min_steps, 1, MAX_STEPS)
        self.max_steps = check_int("max_steps", max_steps, 1, MAX_STEPS)
        if min_steps > max_steps:
            raise ParameterError("min_steps", f"must be <= max_steps={max_steps}, got {min_steps}")
        self.max_number = check_int("max_number", max_number, 10, 100_000)
        self.distractors = check_int("distractors", distractors, 0, 3)
        named = check_choices("templates", templates, TEMPLATES) if templates is not None else tuple(TEMPLATES)
        self.templates = templates if templates is None else named
        self.format = AnswerFormat(extract, markers, format_hint)
        allowed = range(self.min_steps, self.max_steps + 1)
        self.choices = [
            (TEMPLATES[name], steps)
            for name in named
            if TEMPLATES[name].kind in self.numbers
            if (steps := [count for count in TEMPLATES[name].steps if count in allowed])
        ]
        if not self.choices:
            asked = f"numbers={list(self.numbers)} and {self.min_steps}..{self.max_steps} steps"
            raise ParameterError("templates", f"must leave at least one template with {asked}, got {list(named)}")

    def draft(self, dice: random.Random) -> Draft:
        """Draw a story."""
        template, steps = dice.choice(self.choices)
        teller = Teller(dice, self.max_number, dice.choice(steps))
        story = template.tell(teller)
        return Draft(";".join(story.working.keys), lambda: self._state(template.name, story, teller))

    def _state(self, template: str, story: Story, teller: Teller) -> Statement:
        dice, working = teller.dice, story.working
        facts = list(story.facts)
        if story.free_order and dice.random() < 0.4:
            dice.shuffle(facts)
        distractors = dice.randint(0, self.distractors)
        alone = not POINTS_BACK.search(story.question)
        sentences = [story.question, *facts] if alone and dice.random() < QUESTION_FIRST else [*facts, story.question]
        for _ in range(distractors):
            # Nothing may come between a word such as "them" and what it stands for.
            free = [place for place, text in enumerate(sentences) if not POINTS_BACK.search(text)]
            sentences.insert(dice.choice(free or [0]), teller.distractor())
        gold = written(story.gold, working.money)
        prompt = self.format.ask(" ".join(sentences))
        task = self.format.task("gsm8k", prompt, gold, steps=records(working.steps), template=template)
        lines = [step.line() for step in working.steps]
        size = magnitude(working.numbers, self.max_number * 20)
        difficulty = 0.9 * ramp(len(lines), MAX_STEPS, size) + 0.1 * (distractors / 3)
        return Statement(prompt, task, self.format.respond(lines, gold), difficulty)

    def __repr__(self) -> str:
        return (
            f"WordProblemSource(numbers={list(self.numbers)}, min_steps={self.min_steps}, max_steps={self.max_steps}, "
            f"max_number={self.max_number}, distractors={self.distractors}, templates={self.templates}, "
            f"extract={self.format.extract!r}, held_out_fraction={self.held_out_fraction})"
        )
