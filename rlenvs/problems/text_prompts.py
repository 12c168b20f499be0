"""Prompts for free texts, which have no right answer."""

import random
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from rlenvs.errors import DataError, ParameterError
from rlenvs.json_lines import read_rows, text_field
from rlenvs.problems.checks import check_path, check_text, check_texts
from rlenvs.problems.delegating import DelegatingSource
from rlenvs.problems.listed import ListedSource, folded
from rlenvs.problems.problem import Problem, Split
from rlenvs.problems.procedural import Draft, ProceduralSource, Statement, content_id
from rlenvs.problems.writing_ideas import draw_idea


class IdeaSource(ProceduralSource):
    """Prompts that ask for a short text, made up from subjects, forms and tones; some 6,000 different ones."""

    name = "text_prompts"
    max_prompt_chars = 200
    max_demonstration_chars = 0

    def draft(self, dice: random.Random) -> Draft:
        """Draw an idea."""
        idea = draw_idea(dice)
        return Draft(idea.key, lambda: Statement(idea.text, free_text(idea.text), "", 0.0))

    def __repr__(self) -> str:
        return f"IdeaSource(held_out_fraction={self.held_out_fraction})"


def free_text(prompt: str, system: str | None = None) -> dict[str, Any]:
    """The task record of a prompt without a right answer."""
    return {"type": "free_text", "question": prompt} | ({"system": system} if system else {})


class PromptList(ListedSource):
    """Prompts of a list or a file."""

    name = "text_prompts"

    def __init__(
        self,
        prompts: Sequence[str] | str,
        prompt_field: str,
        demonstration_field: str | None,
        system: str | None,
        held_out_fraction: float,
    ) -> None:
        super().__init__(held_out_fraction)
        self.prompts = prompts if isinstance(prompts, str) else list(prompts)
        self.prompt_field, self.demonstration_field, self.system = prompt_field, demonstration_field, system

    @cached_property
    def entries(self) -> list[tuple[str, str]]:
        """Prompts and demonstrations, read on first use."""
        if not isinstance(self.prompts, str):
            return [(prompt, "") for prompt in self.prompts]
        return read_prompts(self.prompts, self.prompt_field, self.demonstration_field)

    def keys(self) -> Iterator[tuple[str, str]]:
        """Each prompt, without differences of case and white space, and its id."""
        return ((folded(prompt), content_id(self.name, prompt)) for prompt, _ in self.entries)

    def at(self, index: int, split: Split) -> Problem:
        """One prompt."""
        prompt, demonstration = self.entries[index]
        task = free_text(prompt, self.system)
        return Problem(
            id=content_id(self.name, prompt), prompt=prompt, task=task, demonstration=demonstration, split=split
        )

    def described(self) -> str:
        """The file, or the list."""
        return self.prompts if isinstance(self.prompts, str) else f"a list of {len(self.prompts)} prompts"

    def __repr__(self) -> str:
        return f"PromptList({self.described()}, held_out_fraction={self.held_out_fraction})"


def read_prompts(path: str, field: str, demonstration_field: str | None) -> list[tuple[str, str]]:
    """The prompts of a file: one per line, or one object per line in a `.jsonl` file.

    Raises:
        DataError: the file cannot be read, or a line lacks the field.
    """
    if path.endswith(".jsonl"):
        entries = []
        for number, row in read_rows(path):
            where = f"{path}:{number}"
            shown = text_field(row, demonstration_field, where) if demonstration_field else ""
            entries.append((text_field(row, field, where), shown))
        return entries
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    return [(line.strip(), "") for line in lines if line.strip()]


class TextPromptSource(DelegatingSource):
    """Prompts for free texts: of a list, of a file, or made up.

    Task type "free_text": no answer is right or wrong, `grade_tasks` gives every text the score 0.0, and what a text is
    worth is the reward layer's business. The split of a prompt is its hash without differences of case and white space.

    Args:
        prompts: a list of prompts; the path of a file with one prompt per line (`.txt`) or one object per line
            (`.jsonl`); None makes up prompts that ask for short texts.
        prompt_field: name of the field of a `.jsonl` file; a dot leads into nested objects.
        demonstration_field: name of the field with a good text, for supervised warm starts; None for none.
        system: a message of the system that protocols show first; None for none.
        held_out_fraction: share of the prompts kept from training, in [0, 1].

    Raises:
        ParameterError: a parameter that cannot be used.
        DataError: on first use: a file that cannot be read, or has a mistake; says in which line.

    Example:
        >>> source = TextPromptSource(["Describe a lighthouse.", "Describe a bridge."], held_out_fraction=0.0)
        >>> source.size, source.problems("train")[1].task["type"]
        (2, 'free_text')
    """

    def __init__(
        self,
        prompts: Sequence[str] | str | None = None,
        prompt_field: str = "prompt",
        demonstration_field: str | None = None,
        system: str | None = None,
        held_out_fraction: float = 0.1,
    ) -> None:
        check_text("prompt_field", prompt_field)
        for name, value in (("demonstration_field", demonstration_field), ("system", system)):
            if value is not None:
                check_text(name, value)
        self.inner: IdeaSource | PromptList
        if prompts is None:
            if system is not None or demonstration_field is not None:
                raise ParameterError("prompts", "must be given where 'system' or 'demonstration_field' is")
            self.inner = IdeaSource(held_out_fraction)
        else:
            given = check_path("prompts", prompts) if isinstance(prompts, str) else check_texts("prompts", prompts)
            self.inner = PromptList(given, prompt_field, demonstration_field, system, held_out_fraction)
        self.held_out_fraction = self.inner.held_out_fraction
