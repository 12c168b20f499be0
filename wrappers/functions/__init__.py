"""Plain functions as reward components, by the names of their arguments."""

from rlenvs.wrappers.functions.component import FunctionReward
from rlenvs.wrappers.functions.decorators import component_of, components_of, llm_reward, reward

__all__ = ["FunctionReward", "component_of", "components_of", "llm_reward", "reward"]
