"""Configuration of a run of Stable-Baselines3. YAML fills these models. Imports without torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from rlenvs.agents.runs.config import EvaluationConfig, OutputConfig, RunConfig
from rlenvs.agents.runs.kinds import Kind
from rlenvs.agents.runs.loading import load_run
from rlenvs.agents.runs.section import Count, PositiveInt, Section
from rlenvs.agents.sb3.algorithm_config import AnyAlgorithm
from rlenvs.agents.sb3.token_level import token_level_id
from rlenvs.config_file import ConfigKeyError
from rlenvs.wrappers.config.rewards import RewardConfig


class TokenEnvConfig(Section):
    """What the agent acts in."""

    id: str = Field(description="registered id of a token-level environment")
    kwargs: dict[str, Any] = Field(default_factory=dict, description="parameters of the environment")
    num_envs: PositiveInt = Field(64, description="episodes side by side")
    max_episode_steps: PositiveInt | None = Field(
        None, description="tokens after which an episode is truncated; null: as the id says"
    )

    @model_validator(mode="after")
    def _it_has_tokens(self) -> "TokenEnvConfig":
        other = token_level_id(self.id)
        if other is not None:
            raise ConfigKeyError(
                "id", f"{self.id!r} acts in whole messages, and Stable-Baselines3 in token ids: use {other!r}"
            )
        return self

    @model_validator(mode="after")
    def _training_keeps_to_its_split(self) -> "TokenEnvConfig":
        if "split" in self.kwargs:
            raise ConfigKeyError(
                ("kwargs", "split"),
                "is not yours to set: training draws train problems, evaluation held-out ones",
            )
        return self


EXTRACTOR_KEYS_OF = {
    "flat": frozenset({"embedding_dim", "features_dim"}),
    "gru": frozenset({"embedding_dim", "features_dim", "hidden_dim"}),
    "transformer": frozenset({"embedding_dim", "features_dim", "layers", "heads"}),
    "none": frozenset[str](),
}
"""Which parameters each extractor has."""

EXTRACTOR_KEYS = frozenset[str]().union(*EXTRACTOR_KEYS_OF.values())


class NetworkConfig(Section):
    """From a window of token ids to actions and values."""

    features: Literal["flat", "gru", "transformer", "none"] = Field(
        "flat",
        description="flat: all embeddings, one layer; gru, transformer: the same weights everywhere; none: raw numbers",
    )
    embedding_dim: PositiveInt | None = Field(
        None, description="width of a token's embedding; null: as the extractor has it, like the next four"
    )
    features_dim: PositiveInt | None = Field(None, description="width of what the extractor returns")
    hidden_dim: PositiveInt | None = Field(None, description="gru: width of its state")
    layers: PositiveInt | None = Field(None, description="transformer: how many")
    heads: PositiveInt | None = Field(None, description="transformer: attention heads, a divisor of embedding_dim")
    net_arch: list[PositiveInt] | None = Field(
        None, description="widths of the hidden layers behind the features; null: as the algorithm's policy has them"
    )
    value_net_arch: list[PositiveInt] | None = Field(
        None, description="the same of the value function; null: as net_arch"
    )
    activation: Literal["tanh", "relu"] | None = Field(
        None, description="of the hidden layers; null: as the algorithm's policy has it"
    )
    lstm_hidden_size: PositiveInt | None = Field(None, description="recurrent_ppo: width of the LSTM; null: 256")
    n_lstm_layers: PositiveInt | None = Field(None, description="recurrent_ppo: layers of the LSTM; null: 1")

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> "NetworkConfig":
        if self.value_net_arch is not None and self.net_arch is None:
            raise ConfigKeyError("value_net_arch", "needs net_arch, the layers of the policy")
        for key in EXTRACTOR_KEYS - EXTRACTOR_KEYS_OF[self.features]:
            if getattr(self, key) is not None:
                raise ConfigKeyError(key, f"features {self.features!r} has no such parameter: leave it out")
        return self

    def extractor_parameters(self) -> dict[str, int]:
        """Return what the extractor's constructor takes, where it is not left to the extractor."""
        chosen = {key: getattr(self, key) for key in sorted(EXTRACTOR_KEYS_OF[self.features])}
        return {key: value for key, value in chosen.items() if value is not None}


class SB3EvaluationConfig(EvaluationConfig):
    """Accuracy and unshaped return on held-out problems, greedy and sampled."""

    problems: PositiveInt = Field(500, description="held-out problems, or all there are")


class SB3OutputConfig(OutputConfig):
    """What a run leaves behind."""

    log_every: PositiveInt = Field(
        2048, description="an iteration ends with the first round that makes this many environment steps, and is a line"
    )
    rollouts: Count = Field(16, description="most episodes of an iteration that are written to rollouts.jsonl")


class SB3TrainConfig(RunConfig):
    """One run of one algorithm of Stable-Baselines3 on one token-level environment with one reward."""

    kind: ClassVar[Kind] = Kind.SB3

    name: str = Field("sb3", pattern=r"^[\w.-]+$", description="names the run folder")
    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(0, description="of every random stream of the run")
    device: Literal["auto", "cpu", "cuda"] = Field("cpu", description="small networks are fastest on the CPU")
    threads: PositiveInt = Field(1, description="of the CPU; small networks wait longer for a second than it saves")
    env: TokenEnvConfig
    rewards: RewardConfig | None = Field(None, description="null: what the environment pays")
    normalize_reward: bool = Field(
        False, description="divide rewards by the running deviation of their discounted sum (VecNormalize)"
    )
    shuffle_rewards: bool = Field(
        False, description="a control that must not learn: every step, rewards go to random environments"
    )
    algorithm: AnyAlgorithm
    policy: NetworkConfig = NetworkConfig()
    evaluation: SB3EvaluationConfig = SB3EvaluationConfig()
    output: SB3OutputConfig = SB3OutputConfig()

    @classmethod
    def load(
        cls,
        config: "str | Path | Mapping[str, Any] | SB3TrainConfig",
        overrides: Sequence[str] = (),
        without_rewards: Sequence[str] = (),
    ) -> "SB3TrainConfig":
        """Read a YAML file or a mapping, with `key.sub=value` overrides.

        Args:
            config: the file or plain data; a configuration is returned as it is.
            overrides: applied in order.
            without_rewards: names of reward components to leave out, with their weights.

        Raises:
            ConfigError: the configuration cannot be used; the message names file, line and key.

        Example:
            >>> config = SB3TrainConfig.load(
            ...     {
            ...         "env": {"id": "rlenvs/ArithmeticTokens-v0", "num_envs": 8},
            ...         "algorithm": {"name": "ppo", "total_timesteps": 100_000, "n_steps": 64},
            ...     }
            ... )
            >>> config.algorithm.clip_range, config.algorithm.rollout_steps(8)
            (0.2, 512)
        """
        return load_run(cls, config, overrides, without_rewards)

    @property
    def iteration_steps(self) -> int:
        """Environment steps of one iteration: as many rounds as make `output.log_every` steps."""
        steps = self.algorithm.rollout_steps(self.env.num_envs)
        return -(-self.output.log_every // steps) * steps

    @property
    def iterations(self) -> int:
        """Iterations of the whole run; the last may have fewer rounds."""
        return -(-self.algorithm.total_timesteps // self.iteration_steps)

    @model_validator(mode="after")
    def _sizes_fit(self) -> "SB3TrainConfig":
        try:
            self.algorithm.check_sizes(self.env.num_envs)
        except ConfigKeyError as error:
            raise ConfigKeyError(("algorithm", *error.key), str(error)) from None
        return self

    @model_validator(mode="after")
    def _the_network_fits_the_algorithm(self) -> "SB3TrainConfig":
        name, policy = self.algorithm.name, self.policy
        for key in ("lstm_hidden_size", "n_lstm_layers"):
            if getattr(policy, key) is not None and not self.algorithm.is_recurrent:
                raise ConfigKeyError(("policy", key), f"algorithm {name!r} has no LSTM: use 'recurrent_ppo'")
        if policy.value_net_arch is not None and name == "dqn":
            raise ConfigKeyError(("policy", "value_net_arch"), "algorithm 'dqn' has one network: leave it out")
        return self

    @model_validator(mode="after")
    def _shaping_stays_exact(self) -> "SB3TrainConfig":
        components = {} if self.rewards is None else self.rewards.reward_components
        for name, component in components.items():
            if not component.is_potential or self.rewards is None:
                continue
            if (gamma := component.params.get("gamma", 1.0)) != self.algorithm.gamma:
                raise ConfigKeyError(
                    ("rewards", *self.rewards.place_of(name, "gamma")),
                    f"must equal the learner's algorithm.gamma ({self.algorithm.gamma}), got {gamma}: "
                    "shaping leaves the optimal policy alone only when they are equal",
                )
            if gamma != 1.0 and component.params.get("gamma_unit", "step") != "step":
                raise ConfigKeyError(
                    ("rewards", *self.rewards.place_of(name, "gamma_unit")),
                    "must be 'step': at token level a step is one token, which is what the learner discounts",
                )
            if self.normalize_reward:
                raise ConfigKeyError(
                    "normalize_reward",
                    f"would rescale the potential {name!r} while the run goes on, and shaping would no longer leave "
                    "the optimal policy alone: normalise the components instead (composer_settings)",
                )
        return self
