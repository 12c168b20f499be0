"""Prompts with instructions that a program can check."""

import json
import random

from rlenvs.errors import ParameterError
from rlenvs.graders import BatchGrader
from rlenvs.problems.checks import check_choices, check_int
from rlenvs.problems.grading import grade_tasks
from rlenvs.problems.instruction_kinds import CLASHES, GROUPS, Ask, Demonstration
from rlenvs.problems.procedural import Draft, ProceduralSource, Statement
from rlenvs.problems.text_prompts import free_text
from rlenvs.problems.writing_ideas import draw_idea


class InstructionSource(ProceduralSource):
    """Requests for a short text with one to five instructions that a program can check.

    Task type "free_text" with `instructions`: the records that `rlenvs.wrappers.InstructionReward` reads with
    `info_key="task.instructions"`. The grader gives every text the score 0.0; that reward says whether it follows them.
    The kinds are among those of IFEval (Zhou et al. 2023, 2311.07911), the texts are our own; instructions of one
    problem never contradict each other, and the demonstration follows all of them.

    Args:
        min_instructions: fewest instructions, 1..5.
        max_instructions: most instructions, 1..5; one of each group at most.
        groups: which groups they are drawn from: "length", "layout", "content", "frame", "case".
        held_out_fraction: share of the problems kept from training, in [0, 1].

    Raises:
        ParameterError: a parameter out of range, or more instructions than groups.

    Example:
        >>> import numpy as np
        >>> source = InstructionSource(min_instructions=2, max_instructions=2)
        >>> len(source.sample(np.random.default_rng(0), "train").task["instructions"])
        2
    """

    name = "instructions"
    max_prompt_chars = 700
    max_demonstration_chars = 1500

    def __init__(
        self,
        min_instructions: int = 1,
        max_instructions: int = 3,
        groups: "list[str] | tuple[str, ...]" = tuple(GROUPS),
        held_out_fraction: float = 0.1,
    ) -> None:
        super().__init__(held_out_fraction)
        self.groups = check_choices("groups", groups, GROUPS)
        self.min_instructions = check_int("min_instructions", min_instructions, 1, len(GROUPS))
        self.max_instructions = check_int("max_instructions", max_instructions, 1, len(GROUPS))
        if min_instructions > max_instructions:
            raise ParameterError(
                "min_instructions", f"must be <= max_instructions={max_instructions}, got {min_instructions}"
            )
        if min_instructions > len(self.groups):
            raise ParameterError("min_instructions", f"must be <= {len(self.groups)}, the number of groups")

    @property
    def grader(self) -> BatchGrader:
        """Knows that free texts have no right answer."""
        return grade_tasks

    def draft(self, dice: random.Random) -> Draft:
        """Draw a request and its instructions."""
        idea = draw_idea(dice)
        text = Demonstration()
        asked = [ask(dice, text) for ask in self._choose(dice)]
        records = [record for record, _ in asked]
        key = f"{idea.key}|{sorted(json.dumps(record, sort_keys=True) for record in records)}"
        prompt = " ".join([idea.text, *(said for _, said in asked)])
        task = {**free_text(prompt), "instructions": records}
        difficulty = (len(records) - 1) / (len(GROUPS) - 1)
        return Draft(key, lambda: Statement(prompt, task, text.write(dice), difficulty))

    def _choose(self, dice: random.Random) -> list[Ask]:
        """Instructions of different groups that go together."""
        most = min(self.max_instructions, len(self.groups))
        count = dice.randint(self.min_instructions, most)
        while True:
            chosen = [dice.choice(GROUPS[group]) for group in dice.sample(self.groups, count)]
            if not any(clash <= set(chosen) for clash in CLASHES):
                return chosen

    def __repr__(self) -> str:
        return (
            f"InstructionSource(min_instructions={self.min_instructions}, max_instructions={self.max_instructions}, "
            f"groups={list(self.groups)}, held_out_fraction={self.held_out_fraction})"
        )
