"""Configuration of a PPO run. YAML fills these models; unknown keys are errors. Imports without torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from rlenvs.agents.llm.config.callbacks import CallbackConfig
from rlenvs.agents.llm.config.distributed import DistributedConfig
from rlenvs.agents.llm.config.evaluation import TrainEvaluationConfig
from rlenvs.agents.llm.config.memory import MemoryConfig
from rlenvs.agents.llm.config.policy import PolicyConfig, model_from_anywhere
from rlenvs.agents.llm.config.ppo import PPOConfig
from rlenvs.agents.llm.config.rollout import RolloutConfig
from rlenvs.agents.runs.config import OutputConfig, RunConfig
from rlenvs.agents.runs.kinds import Kind
from rlenvs.agents.runs.loading import load_run
from rlenvs.agents.runs.section import Section
from rlenvs.config_file import ConfigKeyError
from rlenvs.errors import ConfigError
from rlenvs.suggestions import did_you_mean
from rlenvs.wrappers.config.rewards import RewardConfig


class EnvConfig(Section):
    """What the policy trains on."""

    id: str = Field(description="registered id of a turn-level environment")
    kwargs: dict[str, Any] = Field(default_factory=dict, description="parameters of the environment")


class TrainConfig(RunConfig):
    """One PPO run of one language model on one environment with one reward."""

    kind: ClassVar[Kind] = Kind.PPO

    name: str = Field("run", pattern=r"^[\w.-]+$", description="names the run folder")
    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(0, description="of every random stream of the run")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: cuda where there is one")
    env: EnvConfig
    rewards: RewardConfig
    policy: PolicyConfig = PolicyConfig()
    rollout: RolloutConfig = RolloutConfig()
    ppo: PPOConfig = PPOConfig()
    memory: MemoryConfig = MemoryConfig()
    distributed: DistributedConfig = DistributedConfig()
    callbacks: list[CallbackConfig] = Field(
        default_factory=list, description="what else happens; see docs/callbacks.md"
    )
    evaluation: TrainEvaluationConfig = TrainEvaluationConfig()
    output: OutputConfig = OutputConfig()

    @classmethod
    def load(
        cls,
        config: "str | Path | Mapping[str, Any] | TrainConfig",
        overrides: Sequence[str] = (),
        without_rewards: Sequence[str] = (),
    ) -> "TrainConfig":
        """Read a YAML file or a mapping, with `key.sub=value` overrides.

        Args:
            config: the file or plain data; a configuration is returned as it is.
            overrides: applied in order.
            without_rewards: names of reward components to leave out, with their weights.

        Raises:
            ConfigError: the configuration cannot be used; the message names file, line and key.
        """
        return load_run(cls, config, overrides, without_rewards)

    def from_anywhere(self) -> Self:
        """Return the configuration with absolute folders, that of the model among them."""
        config = super().from_anywhere()
        config.policy.model = model_from_anywhere(config.policy.model)
        return config

    @model_validator(mode="after")
    def _sizes_fit(self) -> "TrainConfig":
        if self.rollout.episodes < self.ppo.minibatches:
            raise ConfigKeyError(
                ("ppo", "minibatches"),
                f"must be <= rollout.episodes ({self.rollout.episodes}), got {self.ppo.minibatches}",
            )
        if self.ppo.estimator in ("rloo", "grpo") and self.rollout.samples_per_prompt == 1:
            raise ConfigKeyError(
                ("rollout", "samples_per_prompt"), f"must be > 1 for estimator {self.ppo.estimator!r}, got 1"
            )
        if self.rollout.max_new_tokens >= self.rollout.context_tokens:
            raise ConfigKeyError(
                ("rollout", "max_new_tokens"),
                f"must be < rollout.context_tokens ({self.rollout.context_tokens}), got {self.rollout.max_new_tokens}",
            )
        return self

    @model_validator(mode="after")
    def _callbacks_can_do_their_work(self) -> "TrainConfig":
        for index, callback in enumerate(self.callbacks):
            try:
                callback.build().check(self)
            except ConfigError as error:
                raise ConfigKeyError(("callbacks", index), f"{callback.class_name}: {error}") from error
        return self

    @model_validator(mode="after")
    def _what_is_evaluated_is_a_reward(self) -> "TrainConfig":
        known = [name for name, component in self.rewards.reward_components.items() if not component.is_potential]
        for name in self.evaluation.components:
            if name not in known:
                raise ConfigKeyError(
                    ("evaluation", "components"),
                    f"there is no reward component {name!r} with a value of its own{did_you_mean(name, known)} "
                    f"(known: {', '.join(known)})",
                )
        return self

    def evaluated_rewards(self) -> RewardConfig | None:
        """Return the components that evaluations ask, each by itself; None where there are none."""
        components = self.rewards.to_dict()["reward_components"]
        chosen = {name: components[name] for name in self.evaluation.components}
        return RewardConfig.load({"reward_components": chosen}) if chosen else None

    @model_validator(mode="after")
    def _shares_can_be_made(self) -> "TrainConfig":
        memory, refused = self.memory, {}
        if self.distributed.strategy == "fsdp2":
            refused = {
                ("policy", "quantize"): self.policy.quantize is not None,
                ("memory", "optimizer"): memory.optimizer == "adamw_8bit",
                ("memory", "offload_reference"): memory.offload_reference,
                ("memory", "offload_optimizer"): memory.offload_optimizer,
                ("memory", "compile"): memory.compile,
            }
        for place, wanted in refused.items():
            if wanted:
                raise ConfigKeyError(place, "does not work with distributed.strategy: fsdp2; use ddp, or leave it out")
        return self

    @model_validator(mode="after")
    def _a_server_gets_new_weights(self) -> "TrainConfig":
        engine, place = self.rollout.engine, ("rollout", "engine", "weights")
        if engine.name == "http" and engine.weights is None:
            raise ConfigKeyError(
                place,
                "must say how new weights get to the server, 'adapter' or 'shared_gpu': it would sample from old ones",
            )
        if engine.name == "http" and engine.weights == "adapter" and self.policy.adapter is None:
            raise ConfigKeyError(place, "'adapter' brings a trained adapter to the server: set policy.adapter")
        return self

    @model_validator(mode="after")
    def _the_critic_has_its_base(self) -> "TrainConfig":
        if not self.ppo.uses_critic:
            return self
        if self.ppo.critic == "adapter" and self.policy.adapter is None:
            raise ConfigKeyError(("ppo", "critic"), "'adapter' needs a base that stays as it is: set policy.adapter")
        if self.ppo.critic == "copy" and self.policy.quantize is not None:
            raise ConfigKeyError(
                ("ppo", "critic"),
                "'copy' would train a copy of quantised weights: use 'adapter' or 'detached'",
            )
        return self

    @model_validator(mode="after")
    def _shaping_stays_exact(self) -> "TrainConfig":
        for name, component in self.rewards.reward_components.items():
            if not component.is_potential:
                continue
            if (gamma := component.params.get("gamma", 1.0)) != self.ppo.gamma:
                raise ConfigKeyError(
                    ("rewards", *self.rewards.place_of(name, "gamma")),
                    f"must equal the learner's ppo.gamma ({self.ppo.gamma}), got {gamma}: "
                    "shaping leaves the optimal policy alone only when they are equal",
                )
            if gamma != 1.0 and component.params.get("gamma_unit", "step") != "token":
                raise ConfigKeyError(
                    ("rewards", *self.rewards.place_of(name, "gamma_unit")),
                    f"must be 'token' with ppo.gamma {self.ppo.gamma}: the learner discounts every token, while "
                    "shaping is paid once per turn, and would favour long or short answers",
                )
        return self

    @model_validator(mode="after")
    def _training_keeps_to_its_split(self) -> "TrainConfig":
        if "split" in self.env.kwargs:
            raise ConfigKeyError(
                ("env", "kwargs", "split"),
                "is not yours to set: training draws train problems, evaluation held-out ones",
            )
        return self
