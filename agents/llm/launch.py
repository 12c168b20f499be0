"""From a configuration to a run: everything is checked and built here; `run` is the loop."""

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

import rlenvs  # noqa: F401 - registers the environments
from rlenvs.agents.llm.checkpoint import load_latest_checkpoint
from rlenvs.agents.llm.config import TrainConfig
from rlenvs.agents.llm.embedded import embedded_policy_folder
from rlenvs.agents.llm.engines.configured import configured_engine
from rlenvs.agents.llm.evaluation import Examination, held_out_problems, make_vector_env
from rlenvs.agents.llm.policy.loading import load_policy, load_reference, resolve_device
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.policy.reference import Reference
from rlenvs.agents.llm.rollout.chat import ChatFormat
from rlenvs.agents.llm.rollout.limits import Limits
from rlenvs.agents.llm.run import Run, RunResult
from rlenvs.agents.llm.run_folder import START, RunFolder, choose_run_folder
from rlenvs.agents.llm.trainer import PPOTrainer
from rlenvs.agents.reporting import TrainingView, make_view
from rlenvs.errors import ComponentError, ConfigError
from rlenvs.problems import Problem
from rlenvs.wrappers.layers.vector_shaped import VectorShapedReward


def train(
    config: TrainConfig, *, view: TrainingView | None = None, stop: Callable[[], bool] | None = None
) -> RunResult:
    """Train a language model with PPO on one environment and one reward.

    Args:
        config: the run.
        view: shows it; a live view on a terminal, plain lines elsewhere when omitted.
        stop: asked after every iteration; True saves a checkpoint and ends the run.

    Returns:
        Where the run is and what it reached.

    Raises:
        UserError: the configuration, model, device or folder cannot be used; nothing has been written then.

    Example:
        >>> from rlenvs.agents.llm import TrainConfig, train
        >>> config = TrainConfig.load(
        ...     {
        ...         "env": {"id": "rlenvs/Arithmetic-v0"},
        ...         "rewards": {"reward_components": {"right": {"class": "CorrectnessReward"}}},
        ...     }
        ... )
        >>> config.ppo.iterations
        200
    """
    config = TrainConfig.load(config)
    device = resolve_device(config.device)
    path = choose_run_folder(config)
    rehearse(config)
    problems = held_out_problems(config.env.id, config.env.kwargs, config.evaluation.problems, config.seed)
    with view or make_view() as shown:
        source, note = _start_model(config, device, shown)
        policy, reference = _load_models(source, config, device)
        chat = _chat(policy, config)
        _check_context(policy, chat, problems, config)
        engine = configured_engine(config.rollout.engine, policy, config.rollout.batch_size)
        trainer = PPOTrainer(policy, reference, make_envs(config, config.rollout.episodes), chat, config, engine)
        folder = RunFolder.create(path, config)
        if config.policy.model == "embedded":
            # The cache may be cleared; a run keeps what it needs to resume.
            shutil.copytree(source, folder.path / START)
        if note:
            shown.log(note)
        return Run(folder, trainer, problems, shown, stop).go()


def resume(
    run_dir: str | Path, *, view: TrainingView | None = None, stop: Callable[[], bool] | None = None
) -> RunResult:
    """Go on with an interrupted run from its last checkpoint, to the numbers it would have had.

    Args:
        run_dir: the folder of the run.
        view: as in `train`.
        stop: as in `train`.

    Raises:
        RunFolderError: it is not a run folder or holds no usable checkpoint.
    """
    folder = RunFolder.open(Path(run_dir))
    config = folder.config
    device = resolve_device(config.device)
    state = load_latest_checkpoint(folder.checkpoints)
    problems = held_out_problems(config.env.id, config.env.kwargs, config.evaluation.problems, config.seed)
    source = str(folder.path / START) if config.policy.model == "embedded" else config.policy.model
    with view or make_view() as shown:
        policy, reference = _load_models(source, config, device)
        envs = make_envs(config, config.rollout.episodes)
        engine = configured_engine(config.rollout.engine, policy, config.rollout.batch_size, state["engine"])
        trainer = PPOTrainer(policy, reference, envs, _chat(policy, config), config, engine)
        trainer.load_state_dict(state["trainer"])
        return Run(folder, trainer, problems, shown, stop).go(state)


def make_envs(config: TrainConfig, num_envs: int) -> VectorShapedReward:
    """Return the shaped vector environment of a run.

    Raises:
        ConfigError: no such environment, or parameters it refuses.
    """
    envs = make_vector_env(config.env.id, config.env.kwargs | {"split": "train"}, num_envs)
    return VectorShapedReward(envs, config.rewards)


def rehearse(config: TrainConfig) -> None:
    """Play one step: what environment and rewards cannot do shows before a model is trained or a file written.

    Raises:
        ConfigError: the environment refuses its parameters, or a reward component fails in it.
    """
    envs = make_envs(config, 1)
    try:
        envs.reset(seed=config.seed)
        envs.annotate([{"response_tokens": 0}])
        envs.step([""])
    except ComponentError as error:
        raise ConfigError(f"rewards: {error}") from error
    finally:
        envs.close()


def _check_context(policy: Policy, chat: ChatFormat, problems: Sequence[Problem], config: TrainConfig) -> None:
    """Refuse a context that the model does not have, or prompts that leave no room in it.

    Raises:
        ConfigError: the model has fewer positions.
        DataError: a held-out prompt is too long.
    """
    context = config.rollout.context_tokens
    positions = getattr(policy.model.config.get_text_config(), "max_position_embeddings", None)
    if positions is not None and context > positions:
        raise ConfigError(
            f"rollout.context_tokens: must be <= {positions}, the positions of {config.policy.model!r}, got {context}"
        )
    examination = Examination(config.env.id, config.env.kwargs, problems)
    examination.check_prompts(chat, Limits.of(config.rollout))
    examination.envs.close()


def _start_model(config: TrainConfig, device: torch.device, view: TrainingView) -> tuple[str, str]:
    """Return the model folder or hub id to start from, and a note for the person who watches."""
    if config.policy.model != "embedded":
        return config.policy.model, ""
    target = config.policy.embedded.warm_start.target_accuracy
    started = time.perf_counter()

    def progress(step: int, reached: float) -> None:
        view.phase("warm start", f"step {step}, {reached:.0%} of {target:.0%} on training problems", reached / target)

    folder = embedded_policy_folder(
        config.policy.embedded, config.env, config.rollout.max_new_tokens, config.seed, device, progress
    )
    seconds = time.perf_counter() - started
    return str(folder), f"policy from supervised warm start: {folder} ({seconds:.0f} s)"


def _load_models(source: str, config: TrainConfig, device: torch.device) -> tuple[Policy, Reference | None]:
    critic = config.ppo.critic if config.ppo.uses_critic else "detached"  # a head that nobody asks costs nothing
    policy = load_policy(source, device, config.policy, config.memory, critic)
    if config.ppo.kl_coef == 0.0:
        return policy, None
    return policy, load_reference(policy, source, config.policy, config.memory)


def _chat(policy: Policy, config: TrainConfig) -> ChatFormat:
    return ChatFormat(policy.tokenizer, config.policy.prompt_format)
