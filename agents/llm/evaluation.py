"""True accuracy on held-out problems: the environment's own grader, no shaped reward."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch

import rlenvs  # noqa: F401 - registers the environments
from rlenvs.agents.llm.chat import ChatFormat
from rlenvs.agents.llm.engine import SamplingParams, generate
from rlenvs.agents.llm.policy import Policy, load_policy, resolve_device
from rlenvs.config_file import load_config
from rlenvs.errors import ConfigError, UserError
from rlenvs.graders import grade_batch
from rlenvs.problems import Problem, ProblemSource


def problem_source(env_id: str, env_kwargs: Mapping[str, Any]) -> ProblemSource:
    """Return the source of problems behind a turn-level environment.

    Raises:
        ConfigError: no such environment, parameters it refuses, or an environment without a problem source.
    """
    try:
        env = gym.make(env_id, **env_kwargs)
    except (gym.error.Error, TypeError, ImportError) as error:
        if isinstance(error, UserError):
            raise
        raise ConfigError(f"env.id {env_id!r}: {str(error).splitlines()[0]}") from error
    source = getattr(env.unwrapped, "source", None)
    env.close()
    if not isinstance(source, ProblemSource):
        raise ConfigError(f"env.id {env_id!r} has no problem source to train or evaluate on; `rlenvs envs` lists ids")
    return source


def accuracy(
    policy: Policy,
    chat: ChatFormat,
    problems: Sequence[Problem],
    params: SamplingParams,
    generator: torch.Generator,
    batch_size: int,
) -> float:
    """Share of problems whose one-message answer the grader accepts.

    Args:
        policy: what answers.
        chat: how prompts become ids.
        problems: at least one.
        params: temperature 0 for greedy accuracy.
        generator: source of randomness.
        batch_size: problems answered at once.
    """
    prompts = [chat.prompt_ids([{"role": "user", "content": problem.prompt}]) for problem in problems]
    completions = generate(policy, prompts, params, generator, batch_size)
    responses = [policy.message_text(completion.ids) for completion in completions]
    grades = grade_batch([problem.task for problem in problems], responses)
    return sum(grade.correct for grade in grades) / len(grades)


class HeldOutEvaluation:
    """Greedy and sampled accuracy on one fixed set of held-out problems.

    Args:
        problems: the held-out problems.
        chat: how prompts become ids.
        max_new_tokens: limit per answer.
        temperature: of the sampled accuracy.
        batch_size: problems answered at once.
        seed: of the sampling, the same for every evaluation, so that two models differ by themselves only.
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        chat: ChatFormat,
        max_new_tokens: int,
        temperature: float,
        batch_size: int,
        seed: int,
    ) -> None:
        self.problems = problems
        self.chat = chat
        self.max_new_tokens = max_new_tokens
        self.temperature = temperature
        self.batch_size = batch_size
        self.seed = seed

    def __call__(self, policy: Policy) -> dict[str, float]:
        """Return `accuracy/greedy`, `accuracy/sampled`, their binomial standard errors and the number of problems."""
        metrics: dict[str, float] = {}
        for name, temperature in (("greedy", 0.0), ("sampled", self.temperature)):
            generator = torch.Generator(policy.device).manual_seed(self.seed)
            params = SamplingParams(self.max_new_tokens, temperature)
            share = accuracy(policy, self.chat, self.problems, params, generator, self.batch_size)
            metrics[f"accuracy/{name}"] = share
            metrics[f"accuracy/{name}_stderr"] = (share * (1 - share) / len(self.problems)) ** 0.5
        return metrics | {"accuracy/problems": len(self.problems)}


def evaluate_model(
    model_dir: str | Path,
    env_id: str | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    limit: int | None = None,
    device: str = "auto",
    batch_size: int = 512,
    temperature: float = 1.0,
    seed: int = 0,
    max_new_tokens: int | None = None,
) -> dict[str, Any]:
    """Measure the held-out accuracy of a saved model.

    Args:
        model_dir: a folder made by `save_pretrained`; the `model` folder of a run brings the run's environment.
        env_id: the environment; None takes the run's.
        env_kwargs: its parameters, on top of the run's where `env_id` is None.
        limit: held-out problems; None takes the run's number, or 1,000 (or all there are, when fewer).
        device: `auto`, `cpu` or `cuda`.
        batch_size: problems answered at once.
        temperature: of the sampled accuracy, > 0.
        seed: of problem choice and sampling.
        max_new_tokens: limit per answer; None takes the run's, or 64.

    Returns:
        `accuracy/greedy`, `accuracy/sampled`, their standard errors, `accuracy/problems`, `env`, `model`.

    Raises:
        ConfigError: no environment given and none beside the model.
        ModelLoadError: the folder is not a causal language model.
    """
    from rlenvs.agents.llm.config import TrainConfig

    run_config = Path(model_dir).resolve().parent / "config.yaml"
    run = load_config(TrainConfig, run_config) if run_config.is_file() else None
    kwargs = dict(env_kwargs or {})
    style = run.policy.prompt_format if run else "auto"
    if env_id is None:
        if run is None:
            raise ConfigError(
                f"{model_dir} does not lie in a run folder, so the environment is unknown: name one with --env"
            )
        env_id, kwargs = run.env.id, run.env.kwargs | kwargs
        limit = run.evaluation.problems if limit is None else limit
        max_new_tokens = run.rollout.max_new_tokens if max_new_tokens is None else max_new_tokens
    problems = held_out_problems(env_id, kwargs, 1_000 if limit is None else limit, seed)
    policy = load_policy(model_dir, resolve_device(device))
    evaluation = HeldOutEvaluation(
        problems, ChatFormat(policy.tokenizer, style), max_new_tokens or 64, temperature, batch_size, seed
    )
    return evaluation(policy) | {"env": env_id, "model": str(model_dir)}


def held_out_problems(env_id: str, env_kwargs: Mapping[str, Any], limit: int, seed: int) -> list[Problem]:
    """Return `limit` held-out problems of an environment, or all there are when they are about as many.

    A split of a space that can be listed is used whole when it is no more than a tenth larger than asked: there is
    no reason to leave a remnant out.
    """
    kwargs = {key: value for key, value in env_kwargs.items() if key != "split"}
    source = problem_source(env_id, kwargs)
    problems = source.problems("held_out", limit=limit + limit // 10, seed=seed)
    return problems if len(problems) < limit + limit // 10 else problems[:limit]
