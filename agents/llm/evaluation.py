"""True accuracy on held-out problems: the environment's own grader, no shaped reward."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rlenvs.agents.llm.config import SamplingConfig, TrainConfig
from rlenvs.agents.llm.engines import Engine, SamplingParams
from rlenvs.agents.llm.engines.configured import configured_engine
from rlenvs.agents.llm.examination import Examination, Marks
from rlenvs.agents.llm.policy.loading import check_source, load_policy
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.rollout.chat import ChatFormat
from rlenvs.agents.llm.rollout.limits import Limits
from rlenvs.agents.llm.sft.config import SFTConfig, load_language_model_run
from rlenvs.agents.runs.config import EvaluationConfig
from rlenvs.agents.runs.device import resolve_device
from rlenvs.agents.runs.environments import held_out_problems
from rlenvs.errors import ConfigError


class HeldOutEvaluation:
    """Greedy and sampled accuracy on one fixed set of held-out problems.

    Args:
        examination: the held-out problems.
        chat: how prompts become ids.
        sampling: limits, stop texts, and the temperature of the sampled accuracy.
        seed: of the sampling, the same for every evaluation, so that two models differ by themselves only.
    """

    def __init__(self, examination: Examination, chat: ChatFormat, sampling: SamplingConfig, seed: int) -> None:
        self.examination = examination
        self.chat = chat
        self.sampling = sampling
        self.seed = seed

    def __call__(self, policy: Policy, engine: Engine) -> dict[str, float]:
        """Play every problem greedily and once more sampled.

        Returns:
            `accuracy/greedy` and `accuracy/sampled`, of the last message of each episode, with their binomial standard
            errors; where episodes have several turns also `accuracy/first` and `accuracy/first_sampled`, of the first
            message; `return/greedy` and `return/sampled`, the mean sum of what the environment paid;
            `held_out/<name>/greedy` and `/sampled` of every reward component that the examination asks, the mean raw
            value of the last messages that it could judge; and `accuracy/problems`. No accuracy where the environment
            does not say what is correct.
        """
        metrics: dict[str, float] = {}
        config = self.sampling
        for name, temperature in (("greedy", 0.0), ("sampled", config.temperature)):
            generator = torch.Generator(policy.device).manual_seed(self.seed)
            params = SamplingParams(config.max_new_tokens, temperature, tuple(config.stop))
            marks = self.examination.mark(policy, engine, self.chat, params, generator, Limits.of(config))
            metrics |= _summary(marks, name)
        return metrics | {"accuracy/problems": len(self.examination.problems)}


def _summary(marks: Marks, name: str) -> dict[str, float]:
    metrics = {f"return/{name}": float(marks.rewards.mean())}
    for component, values_N in marks.components.items():
        judged = values_N[~np.isnan(values_N)]
        metrics[f"held_out/{component}/{name}"] = float(judged.mean()) if len(judged) else float("nan")
    if marks.correct is not None and marks.first is not None:
        share = float(marks.correct.mean())
        metrics |= {
            f"accuracy/{name}": share,
            f"accuracy/{name}_stderr": (share * (1 - share) / len(marks.correct)) ** 0.5,
        }
        if (marks.turns > 1).any():
            metrics["accuracy/first" if name == "greedy" else f"accuracy/first_{name}"] = float(marks.first.mean())
    return metrics


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
        max_new_tokens: limit per message; without a run 64.

    Returns:
        What `HeldOutEvaluation` returns, `env` and `model`.

    Raises:
        ConfigError: no environment given and none beside the model.
        ModelLoadError: the folder is not a causal language model.
    """
    run = _run_of(model_dir)
    kwargs = dict(env_kwargs or {})
    if env_id is None:
        if run is None or run.env is None:
            check_source(model_dir)
            raise ConfigError(
                f"{model_dir} does not lie in the folder of a run with an environment: name one with --env"
            )
        env_id, kwargs = run.env.id, run.env.kwargs | kwargs
    seed = (run.seed if run else 0) if seed is None else seed
    limit = (run.evaluation if run else EvaluationConfig()).problems if limit is None else limit
    problems = held_out_problems(env_id, kwargs, limit, seed)
    policy = load_policy(model_dir, resolve_device(device))
    sampling = _sampling(run.rollout if run else _of_model(policy), max_new_tokens, temperature)
    chat = ChatFormat(policy.tokenizer, run.policy.prompt_format if run else "auto")
    # Rewards of a run read what its own environment says; another may not say it.
    rewards = run.evaluated_rewards() if isinstance(run, TrainConfig) and run.env.id == env_id else None
    examination = Examination(env_id, kwargs, problems, rewards=rewards)
    evaluation = HeldOutEvaluation(examination, chat, sampling, seed)
    engine = configured_engine(sampling.engine, policy, batch_size or sampling.batch_size)
    return evaluation(policy, engine) | {"env": env_id, "model": str(model_dir)}


def _of_model(policy: Policy) -> SamplingConfig:
    """Return the usual limits, with as much context as the model has."""
    usual = SamplingConfig()
    positions = getattr(policy.model.config.get_text_config(), "max_position_embeddings", None)
    return usual.model_copy(update={"context_tokens": max(positions or 0, usual.context_tokens)})


def _sampling(config: SamplingConfig, max_new_tokens: int | None, temperature: float | None) -> SamplingConfig:
    """Return the configuration with what the caller wants otherwise; prompts keep the room that they had."""
    length = max_new_tokens or config.max_new_tokens
    longer = max(0, length - config.max_new_tokens)
    return config.model_copy(
        update={
            "max_new_tokens": length,
            "context_tokens": config.context_tokens + longer,
            "temperature": temperature or config.temperature,
        }
    )


def _run_of(model_dir: str | Path) -> TrainConfig | SFTConfig | None:
    """Return the configuration of the run that the model belongs to, if it does."""
    path = Path(model_dir).resolve().parent / "config.yaml"
    return load_language_model_run(path) if path.is_file() else None
