"""Where tasks come from.

A `ProblemSource` yields `Problem` objects. Each belongs to one of two splits, decided by a hash of the
problem itself, so that training can never draw a held-out problem. Read `rlenvs.problems.problem` first,
then `arithmetic`, the simplest procedural source. `make_source` makes any source from its name and plain parameters;
`PROBLEM_SOURCES` has the names.
"""

from rlenvs.problems.algebra import AlgebraSource
from rlenvs.problems.arithmetic import ArithmeticParameters, ArithmeticSource
from rlenvs.problems.choice import MultipleChoiceSource
from rlenvs.problems.code.repair import CodeRepairSource
from rlenvs.problems.code.source import CodeSource
from rlenvs.problems.conversations import ConversationSource
from rlenvs.problems.countdown import CountdownSource
from rlenvs.problems.curriculum import CurriculumSource
from rlenvs.problems.grading import grade_tasks
from rlenvs.problems.hub import DatasetsSource
from rlenvs.problems.instructions import InstructionSource
from rlenvs.problems.jsonl import JsonlSource
from rlenvs.problems.mixture import MixtureSource
from rlenvs.problems.problem import Problem, ProblemSource, Split, split_of
from rlenvs.problems.reasoning import ReasoningGymSource
from rlenvs.problems.registry import PROBLEM_SOURCES, make_source, source_parameters
from rlenvs.problems.sequences import SequenceSource
from rlenvs.problems.text_prompts import TextPromptSource
from rlenvs.problems.words import WordProblemSource

__all__ = [
    "PROBLEM_SOURCES",
    "AlgebraSource",
    "ArithmeticParameters",
    "ArithmeticSource",
    "CodeRepairSource",
    "CodeSource",
    "ConversationSource",
    "CountdownSource",
    "CurriculumSource",
    "DatasetsSource",
    "InstructionSource",
    "JsonlSource",
    "MixtureSource",
    "MultipleChoiceSource",
    "Problem",
    "ProblemSource",
    "ReasoningGymSource",
    "SequenceSource",
    "Split",
    "TextPromptSource",
    "WordProblemSource",
    "grade_tasks",
    "make_source",
    "source_parameters",
    "split_of",
]
