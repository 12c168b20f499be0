"""Reward engineering for reinforcement learning of language models.

Importing this package registers the environments with Gymnasium; nothing heavy is loaded (no torch, no
pydantic).

What lives here, and what to read first:

* `rlenvs.problems`: where tasks come from, and the split into training and held-out problems.
* `rlenvs.graders`: whether an answer is right.
* `rlenvs.envs`: what a step is; turn level (text) and token level (ids), single and vector.
* `rlenvs.registration`: the table of environment ids.
* `rlenvs.wrappers`: the reward layer.
* `rlenvs.agents`: everything that learns.
"""

from rlenvs._version import __version__
from rlenvs.registration import register_all

__all__ = ["__version__"]

register_all()
