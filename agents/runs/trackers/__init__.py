"""Where the metrics of a run go: `metrics.jsonl` always, TensorBoard and Weights & Biases as the configuration asks.

Read `protocol` first. Nothing here needs torch; what a tracker needs is imported when it is opened.
"""

from rlenvs.agents.runs.trackers.jsonl import JsonLines
from rlenvs.agents.runs.trackers.opening import check_trackers, open_trackers
from rlenvs.agents.runs.trackers.protocol import Tracker, Trackers

__all__ = ["JsonLines", "Tracker", "Trackers", "check_trackers", "open_trackers"]
