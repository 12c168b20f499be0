"""Configuration of the language-model agent. Imports without torch."""

from rlenvs.agents.llm.config.callbacks import CallbackConfig
from rlenvs.agents.llm.config.distributed import DistributedConfig
from rlenvs.agents.llm.config.embedded import EmbeddedConfig, WarmStartConfig
from rlenvs.agents.llm.config.evaluation import TrainEvaluationConfig
from rlenvs.agents.llm.config.memory import MemoryConfig
from rlenvs.agents.llm.config.policy import AdapterConfig, PolicyConfig
from rlenvs.agents.llm.config.ppo import PPOConfig
from rlenvs.agents.llm.config.rollout import EngineConfig, RolloutConfig, SamplingConfig
from rlenvs.agents.llm.config.target import AccuracyTarget
from rlenvs.agents.llm.config.train import EnvConfig, TrainConfig

__all__ = [
    "AccuracyTarget",
    "AdapterConfig",
    "CallbackConfig",
    "DistributedConfig",
    "EmbeddedConfig",
    "EngineConfig",
    "EnvConfig",
    "MemoryConfig",
    "PPOConfig",
    "PolicyConfig",
    "RolloutConfig",
    "SamplingConfig",
    "TrainConfig",
    "TrainEvaluationConfig",
    "WarmStartConfig",
]
