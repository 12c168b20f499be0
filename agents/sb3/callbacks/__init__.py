"""Callbacks for `model.learn` of Stable-Baselines3, in a run of ours or in a script of one's own.

`RewardScheduleCallback` keeps the reward clock, `RewardComponentsCallback` logs what rewards were made of.
"""

from rlenvs.agents.sb3.callbacks.reward_components import RewardComponentsCallback
from rlenvs.agents.sb3.callbacks.reward_schedule import RewardScheduleCallback

__all__ = ["RewardComponentsCallback", "RewardScheduleCallback"]
