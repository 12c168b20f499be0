"""What else happens in a run: early stops, the best model, samples, schedules, a watch for reward hacking.

Read `base` first: the hooks and what they see. A configuration names callbacks under `callbacks:`; `train` takes
objects too. Nothing here needs torch.
"""

from rlenvs.agents.llm.callbacks.base import Callback, RunState, register_callback
from rlenvs.agents.llm.callbacks.best_model import BestModel
from rlenvs.agents.llm.callbacks.early_stop import KLEarlyStop, TargetStop
from rlenvs.agents.llm.callbacks.hack_monitor import HackMonitor
from rlenvs.agents.llm.callbacks.sample_logger import SampleLogger
from rlenvs.agents.llm.callbacks.schedule import ParameterSchedule

__all__ = [
    "BestModel",
    "Callback",
    "HackMonitor",
    "KLEarlyStop",
    "ParameterSchedule",
    "RunState",
    "SampleLogger",
    "TargetStop",
    "register_callback",
]
