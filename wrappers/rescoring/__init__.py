"""Stored responses, scored again.

`stored_steps` reads them, `rescore` scores them, `summary` and `comparison` say what came out.
"""

from rlenvs.wrappers.rescoring.comparison import compare, disagreements
from rlenvs.wrappers.rescoring.rescore import ScoredBatch, rescore
from rlenvs.wrappers.rescoring.stored_steps import StoredFields, StoredStep
from rlenvs.wrappers.rescoring.summary import ScoreSummary, summarize
from rlenvs.wrappers.rescoring.table import Scores, ScoreTable

__all__ = [
    "ScoreSummary",
    "ScoreTable",
    "ScoredBatch",
    "Scores",
    "StoredFields",
    "StoredStep",
    "compare",
    "disagreements",
    "rescore",
    "summarize",
]
