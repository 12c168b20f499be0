"""Checkable instructions, one typed model for each kind.

`AnyInstruction` is the union of all kinds, told apart by `type`. Most kinds are those of IFEval (Zhou et al. 2023,
"Instruction-Following Evaluation for Large Language Models", 2311.07911) with checks of our own;
`from_ifeval` translates its rows.
"""

from typing import Annotated

from pydantic import Field

from rlenvs.wrappers.components.instruction_checks.base import CountInstruction, Instruction, Relation
from rlenvs.wrappers.components.instruction_checks.counting import (
    NumberOfBullets,
    NumberOfCapitalWords,
    NumberOfHighlights,
    NumberOfLetters,
    NumberOfParagraphs,
    NumberOfPlaceholders,
    NumberOfSections,
    NumberOfSentences,
    NumberOfWords,
)
from rlenvs.wrappers.components.instruction_checks.ifeval import from_ifeval
from rlenvs.wrappers.components.instruction_checks.layout import (
    EndsWith,
    JsonResponse,
    OneOf,
    ParagraphFirstWord,
    Postscript,
    Quoted,
    RepeatPrompt,
    StartsWith,
    Title,
    TwoResponses,
)
from rlenvs.wrappers.components.instruction_checks.wording import (
    AllLowercase,
    AllUppercase,
    ForbiddenWords,
    IncludeKeywords,
    Language,
    NoCommas,
)

__all__ = ["AnyInstruction", "CountInstruction", "Instruction", "Relation", "from_ifeval"]

# No value of `type` may be the name of a field: paths to mistakes leave out the first and keep the second.
AnyInstruction = Annotated[
    NumberOfWords
    | NumberOfSentences
    | NumberOfParagraphs
    | NumberOfBullets
    | NumberOfLetters
    | NumberOfCapitalWords
    | NumberOfPlaceholders
    | NumberOfHighlights
    | NumberOfSections
    | IncludeKeywords
    | ForbiddenWords
    | AllLowercase
    | AllUppercase
    | NoCommas
    | Language
    | StartsWith
    | EndsWith
    | Quoted
    | Title
    | Postscript
    | JsonResponse
    | TwoResponses
    | RepeatPrompt
    | OneOf
    | ParagraphFirstWord,
    Field(discriminator="type"),
]
"""Every kind of instruction."""
