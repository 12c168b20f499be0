"""Programming problems: made up without end, with reference solutions, hidden tests and bugs to repair.

Read `family` first: a family turns parameters into a statement, a reference, plausible bugs and inputs. `exam` chooses
tests that none of the bugs pass, `statement` puts a problem into words, `source` draws problems. Nothing a model wrote
is run here.
"""

from rlenvs.problems.code.family import FAMILIES, Family, Recipe
from rlenvs.problems.code.repair import CodeRepairSource
from rlenvs.problems.code.source import CodeSource

__all__ = ["FAMILIES", "CodeRepairSource", "CodeSource", "Family", "Recipe"]
