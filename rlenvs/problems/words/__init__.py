"""Word problems in words of our own. Read `source` first, then `teller`, which the stories are told with."""

from rlenvs.problems.words.source import WordProblemSource

__all__ = ["WordProblemSource"]
