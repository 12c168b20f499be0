"""What a person sees of a run: a view while it trains, a page when it is done.

Read `view` first (what a trainer says), then `live` (which view is chosen), `plain`, `dashboard` and `silent` (the
views).
`report` writes `report.html`; it rests on `reading` (the run folder), `tally` and `sampling` (what all rollouts say,
and which are shown), `svg` and `charts` (curves), `table` and `page` (HTML).
"""

from rlenvs.agents.reporting.live import make_view
from rlenvs.agents.reporting.report import write_report
from rlenvs.agents.reporting.silent import SilentView
from rlenvs.agents.reporting.view import RunPlan, TrainingView

__all__ = ["RunPlan", "SilentView", "TrainingView", "make_view", "write_report"]
