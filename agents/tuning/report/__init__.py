"""The page of a study: what was found, whether it holds, and what decided.

Read `page` first (the order of the page), then `study` (what is read from Optuna), and `charts`, `parallel`,
`comparison` and `tables` (the sections). Colours, script and escaping are those of `rlenvs.agents.reporting`.
"""

from rlenvs.agents.tuning.report.page import About, render_study
from rlenvs.agents.tuning.report.writing import write_study_report

__all__ = ["About", "render_study", "write_study_report"]
