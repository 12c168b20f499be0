"""True accuracy on held-out problems: the environment's own grader, no shaped reward."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch

import rlenvs  # noqa: F401 - registers the environments
from rlenvs.agents.llm.config import EvaluationConfig, RolloutConfig, TrainConfig
from rlenvs.agents.llm.engines import Engine, SamplingParams, make_engine
from rlenvs.agents.llm.policy.loading import load_policy, resolve_device
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.rollout.chat import ChatFormat
from rlenvs.config_file import load_config
from rlenvs.errors import ConfigError, UserError
from rlenvs.problems import Problem, ProblemSource


def make_env(env_id: str, env_kwargs: Mapping[str, Any]) -> "gym.Env[Any, Any]":
    """Return a turn-level environment.

    Raises:
        ConfigError: no such environment, or parameters it refuses; the message names the key.
    """
    with _naming_the_key(env_id):
        env: gym.Env[Any, Any] = gym.make(env_id, **env_kwargs)
    return env


def problem_source(env_id: str, env_kwargs: Mapping[str, Any]) -> ProblemSource:
    """Return the source of problems behind a turn-level environment.

    Raises:
        ConfigError: no such environment, parameters it refuses, or an environment without a problem source.
    """
    env = make_env(env_id, env_kwargs)
    source = getattr(env.unwrapped, "source", None)
    env.close()
    if not isinstance(source, ProblemSource):
        raise ConfigError(f"env.id {env_id!r} has no problem source to train or evaluate on; `rlenvs envs` lists ids")
    return source


class Examination:
    """Asks a policy problems of a turn-level environment and lets the environment's own grader judge the answers.

    Args:
        env_id: the environment.
        env_kwargs: its parameters.
        problems: what is asked, at least one.

    Raises:
        ConfigError: no such environment, or parameters it refuses.
    """

    def __init__(self, env_id: str, env_kwargs: Mapping[str, Any], problems: Sequence[Problem]) -> None:
        self.problems = problems
        self.envs = make_vector_env(env_id, env_kwargs, len(problems))

    def accuracy(
        self, policy: Policy, engine: Engine, chat: ChatFormat, params: SamplingParams, generator: torch.Generator
    ) -> float:
        """Return the share of problems whose first answer is right.

        Args:
            policy: what answers.
            engine: samples from it; it has the policy's present weights.
            chat: how prompts become ids.
            params: temperature 0 for greedy accuracy.
            generator: source of randomness.
        """
        _, infos = self.envs.reset(seed=0, options={"problems": self.problems})
        prompts = [chat.prompt_ids(messages) for messages in infos["messages"]]
        completions = engine.generate(prompts, params, generator)
        _, _, _, _, infos = self.envs.step([policy.message_text(completion.ids) for completion in completions])
        return float(infos["correct"].mean())


def make_vector_env(env_id: str, env_kwargs: Mapping[str, Any], num_envs: int) -> gym.vector.VectorEnv[Any, Any, Any]:
    """Return the vector form of a turn-level environment, autoreset mode DISABLED.

    Raises:
        ConfigError: no such environment, or parameters it refuses; the message names the key.
    """
    with _naming_the_key(env_id):
        envs: gym.vector.VectorEnv[Any, Any, Any] = gym.make_vec(
            env_id,
            num_envs=num_envs,
            vectorization_mode="vector_entry_point",
            autoreset_mode="Disabled",
            **env_kwargs,
        )
    return envs


@contextlib.contextmanager
def _naming_the_key(env_id: str) -> Iterator[None]:
    """Turn what Gymnasium and the environments raise at construction into an error about `env.id` or `env.kwargs`."""
    try:
        yield
    except UserError as error:
        raise ConfigError(f"env.kwargs: {error}") from error
    except (gym.error.Error, TypeError, ImportError) as error:
        raise ConfigError(f"env.id {env_id!r}: {str(error).splitlines()[0]}") from error


class HeldOutEvaluation:
    """Greedy and sampled accuracy on one fixed set of held-out problems.

    Args:
        examination: the held-out problems.
        chat: how prompts become ids.
        max_new_tokens: limit per answer.
        temperature: of the sampled accuracy.
        seed: of the sampling, the same for every evaluation, so that two models differ by themselves only.
    """

    def __init__(
        self,
        examination: Examination,
        chat: ChatFormat,
        max_new_tokens: int,
        temperature: float,
        seed: int,
    ) -> None:
        self.examination = examination
        self.chat = chat
        self.max_new_tokens = max_new_tokens
        self.temperature = temperature
        self.seed = seed

    def __call__(self, policy: Policy, engine: Engine) -> dict[str, float]:
        """Return `accuracy/greedy`, `accuracy/sampled`, their binomial standard errors and the number of problems."""
        metrics: dict[str, float] = {}
        count = len(self.examination.problems)
        for name, temperature in (("greedy", 0.0), ("sampled", self.temperature)):
            generator = torch.Generator(policy.device).manual_seed(self.seed)
            params = SamplingParams(self.max_new_tokens, temperature)
            share = self.examination.accuracy(policy, engine, self.chat, params, generator)
            metrics[f"accuracy/{name}"] = share
            metrics[f"accuracy/{name}_stderr"] = (share * (1 - share) / count) ** 0.5
        return metrics | {"accuracy/problems": count}


def evaluate_model(
    model_dir: str | Path,
    env_id: str | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    limit: int | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    temperature: float | None = None,
    seed: int | None = None,
    max_new_tokens: int | None = None,
) -> dict[str, Any]:
    """Measure the held-out accuracy of a saved model.

    What is None is taken from the run when the folder is the `model` of a run, so that the numbers are those of the
    run's own last evaluation.

    Args:
        model_dir: a folder made by `save_pretrained`.
        env_id: the environment.
        env_kwargs: its parameters, on top of the run's where `env_id` is None.
        limit: held-out problems; without a run 1,000 (or all there are, when fewer).
        device: `auto`, `cpu` or `cuda`.
        batch_size: problems answered at once; without a run 512.
        temperature: of the sampled accuracy, > 0; without a run 1.
        seed: of problem choice and sampling; without a run 0.
        max_new_tokens: limit per answer; without a run 64.

    Returns:
        `accuracy/greedy`, `accuracy/sampled`, their standard errors, `accuracy/problems`, `env`, `model`.

    Raises:
        ConfigError: no environment given and none beside the model.
        ModelLoadError: the folder is not a causal language model.
    """
    run = _run_of(model_dir)
    kwargs = dict(env_kwargs or {})
    if env_id is None:
        if run is None:
            raise ConfigError(
                f"{model_dir} does not lie in a run folder, so the environment is unknown: name one with --env"
            )
        env_id, kwargs = run.env.id, run.env.kwargs | kwargs
    rollout = run.rollout if run else RolloutConfig()
    seed = (run.seed if run else 0) if seed is None else seed
    limit = (run.evaluation if run else EvaluationConfig()).problems if limit is None else limit
    problems = held_out_problems(env_id, kwargs, limit, seed)
    policy = load_policy(model_dir, resolve_device(device))
    evaluation = HeldOutEvaluation(
        Examination(env_id, kwargs, problems),
        ChatFormat(policy.tokenizer, run.policy.prompt_format if run else "auto"),
        max_new_tokens or rollout.max_new_tokens,
        temperature or rollout.temperature,
        seed,
    )
    engine = make_engine(rollout.engine.name, policy, batch_size or rollout.batch_size)
    return evaluation(policy, engine) | {"env": env_id, "model": str(model_dir)}


def _run_of(model_dir: str | Path) -> TrainConfig | None:
    """Return the configuration of the run that the model belongs to, if it does."""
    path = Path(model_dir).resolve().parent / "config.yaml"
    return load_config(TrainConfig, path) if path.is_file() else None


def held_out_problems(env_id: str, env_kwargs: Mapping[str, Any], limit: int, seed: int) -> list[Problem]:
    """Return `limit` held-out problems of an environment, or all there are when they are about as many.

    A split of a space that can be listed is used whole when it is no more than a tenth larger than asked: there is
    no reason to leave a remnant out.
    """
    kwargs = {key: value for key, value in env_kwargs.items() if key != "split"}
    source = problem_source(env_id, kwargs)
    problems = source.problems("held_out", limit=limit + limit // 10, seed=seed)
    return problems if len(problems) < limit + limit // 10 else problems[:limit]
