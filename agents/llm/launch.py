"""From a configuration to a run: everything is checked and built here; `run` is the loop."""

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

import rlenvs  # noqa: F401 - registers the environments
from rlenvs.agents.llm.callbacks.base import Callback
from rlenvs.agents.llm.config import TrainConfig
from rlenvs.agents.llm.embedded import embedded_policy_folder
from rlenvs.agents.llm.engines import Engine
from rlenvs.agents.llm.engines.configured import configured_engine
from rlenvs.agents.llm.examination import Examination
from rlenvs.agents.llm.policy.loading import load_policy, load_reference
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.policy.reference import FrozenCopy, Reference
from rlenvs.agents.llm.processes import Processes
from rlenvs.agents.llm.processes.bystander import view_of
from rlenvs.agents.llm.processes.joining import joined
from rlenvs.agents.llm.resuming import take_changes
from rlenvs.agents.llm.rollout.chat import ChatFormat
from rlenvs.agents.llm.rollout.limits import Limits
from rlenvs.agents.llm.run import Run, RunResult
from rlenvs.agents.llm.sft.target import check_target
from rlenvs.agents.llm.start import start_of
from rlenvs.agents.llm.trainer import PPOTrainer
from rlenvs.agents.reporting import TrainingView
from rlenvs.agents.runs.checkpoint import load_latest_checkpoint
from rlenvs.agents.runs.device import resolve_device
from rlenvs.agents.runs.environments import held_out_problems, make_vector_env
from rlenvs.agents.runs.names import START
from rlenvs.agents.runs.run_folder import RunFolder, choose_run_folder
from rlenvs.agents.runs.trackers import check_trackers
from rlenvs.errors import ComponentError, ConfigError, RunFolderError
from rlenvs.problems import Problem
from rlenvs.wrappers.layers.vector_shaped import VectorShapedReward


def train(
    config: TrainConfig,
    *,
    callbacks: Sequence[Callback] = (),
    view: TrainingView | None = None,
    stop: Callable[[], bool] | None = None,
) -> RunResult:
    """Train a language model with PPO on one environment and one reward.

    Args:
        config: the run.
        callbacks: besides those that the configuration names.
        view: shows it; a live view on a terminal, plain lines elsewhere when omitted.
        stop: asked after every iteration; True saves a checkpoint and ends the run.

    Returns:
        Where the run is and what it reached.

    Raises:
        UserError: the configuration, model, device or folder cannot be used; nothing has been written then.
        RlenvsError: an iteration or a callback failed; the run folder has what `resume` goes on from.

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
    with joined(config.distributed, config.device) as processes:
        return _train(config, processes, callbacks, view or view_of(processes.rank), stop)


def _train(
    config: TrainConfig,
    processes: Processes,
    callbacks: Sequence[Callback],
    view: TrainingView,
    stop: Callable[[], bool] | None,
) -> RunResult:
    device = resolve_device(config.device)
    path = processes.on_main(lambda: choose_run_folder(config))

    def check() -> list[Problem]:
        _check_others(config, callbacks)
        rehearse(config)
        problems = held_out_problems(config.env.id, config.env.kwargs, config.evaluation.problems, config.seed)
        if config.policy.model == "embedded" and config.policy.embedded.warm_start.target_accuracy is not None:
            check_target(config.env, problems)
        return problems

    problems = processes.together(check)
    episodes = share_of_episodes(config, processes)
    with view as shown:
        source, note = processes.on_main(lambda: _start_model(config, device, shown))
        policy, reference = processes.together(lambda: _load_models(source, config, device))
        chat = processes.together(lambda: _chat(policy, config))
        processes.together(lambda: _check_context(policy, chat, problems, config))
        processes.prepare(*modules_of(policy, reference))
        engine = _shared_engine(config, policy, processes)
        trainer = PPOTrainer(policy, reference, make_envs(config, episodes), chat, config, engine, processes)
        folder = processes.on_main(lambda: _new_folder(path, config, source))
        if config.policy.model == "embedded":
            policy.name_base((folder / START).resolve())
        if note:
            shown.log(note)
        return Run(RunFolder(folder, config.from_anywhere()), trainer, problems, shown, stop, callbacks).go()


def resume(
    run_dir: str | Path,
    *,
    config: TrainConfig | None = None,
    callbacks: Sequence[Callback] = (),
    view: TrainingView | None = None,
    stop: Callable[[], bool] | None = None,
) -> RunResult:
    """Go on with an interrupted run from its last undamaged checkpoint, to the numbers it would have had.

    Args:
        run_dir: the folder of the run.
        config: what to go on with instead of the run's own configuration, where only what may change has changed:
            the number of iterations, the learning rate, what is logged, but not environment, reward or policy.
        callbacks: those that were passed to `train`.
        view: as in `train`.
        stop: as in `train`.

    Raises:
        RunFolderError: it is not a run folder or holds no usable checkpoint.
        ConfigError: the run cannot go on with this configuration.
        RlenvsError: as in `train`.
    """
    folder = RunFolder.open(Path(run_dir), TrainConfig)
    own = config or folder.config
    with joined(own.distributed, own.device) as processes:
        return _resume(folder, config, processes, callbacks, view or view_of(processes.rank), stop)


def _resume(
    folder: RunFolder[TrainConfig],
    config: TrainConfig | None,
    processes: Processes,
    callbacks: Sequence[Callback],
    view: TrainingView,
    stop: Callable[[], bool] | None,
) -> RunResult:
    notes: list[str] = []
    state = processes.together(lambda: load_latest_checkpoint(folder.checkpoints, notes.append))
    _check_same_checkpoint(folder.path, state["iteration"], processes)
    changed = processes.together(lambda: take_changes(folder, state["config"], config))
    if changed:
        notes.append(f"changed since the checkpoint: {', '.join(map(str, changed))}")
        state |= {"stop_reason": "", "callbacks_changed": any(change.key == "callbacks" for change in changed)}
    config = folder.config
    device = resolve_device(config.device)
    _check_others(config, callbacks)
    problems = held_out_problems(config.env.id, config.env.kwargs, config.evaluation.problems, config.seed)
    source = str(start_of(folder.path)) if config.policy.model == "embedded" else config.policy.model
    episodes = share_of_episodes(config, processes)
    with view as shown:
        policy, reference = processes.together(lambda: _load_models(source, config, device))
        processes.prepare(*modules_of(policy, reference))
        engine = _shared_engine(config, policy, processes, state["engine"])
        envs = make_envs(config, episodes)
        trainer = PPOTrainer(policy, reference, envs, _chat(policy, config), config, engine, processes)
        trainer.load_state_dict(state["trainer"])
        for note in notes:
            shown.log(note)
        return Run(folder, trainer, problems, shown, stop, callbacks).go(state)


def share_of_episodes(config: TrainConfig, processes: Processes) -> int:
    """Return how many episodes this process plays per iteration: whole groups, as equal as they come out.

    Raises:
        ConfigError: there are more processes than groups.
    """
    groups = config.rollout.episodes // config.rollout.samples_per_prompt
    if groups < processes.count:
        raise ConfigError(
            f"rollout.episodes: must be >= {processes.count * config.rollout.samples_per_prompt}, a group of "
            f"rollout.samples_per_prompt for each of {processes.count} processes, got {config.rollout.episodes}"
        )
    return processes.share(config.rollout.episodes, config.rollout.samples_per_prompt)


def modules_of(policy: Policy, reference: Reference | None) -> list[Policy]:
    """Return the models that a run holds: a reference with weights of its own is a second one."""
    return [policy, reference.policy] if isinstance(reference, FrozenCopy) else [policy]


def _new_folder(path: Path, config: TrainConfig, source: str) -> Path:
    folder = RunFolder.create(path, config)
    if config.policy.model == "embedded":
        # The cache may be cleared; a run keeps what it needs to resume.
        shutil.copytree(source, folder.path / START)
    return folder.path


def _shared_engine(config: TrainConfig, policy: Policy, processes: Processes, name: str | None = None) -> Engine:
    """Return what samples: the same kind in every process, where it is chosen by measurement that of the main one."""

    def build(wanted: str | None) -> Engine:
        return configured_engine(config.rollout.engine, policy, config.rollout.batch_size, wanted)

    if processes.count > 1 and config.rollout.engine.name == "http":
        raise ConfigError(
            "rollout.engine.name: 'http' serves one process, and this run has several: use an engine of each process "
            "(static, generate, vllm)"
        )
    with processes.whole_weights(policy):
        engine = processes.together(lambda: build(name))
        chosen = processes.main_value(engine.name)
        if engine.name != chosen:
            engine = build(chosen)
    return engine


def _check_same_checkpoint(run_dir: Path, iteration: int, processes: Processes) -> None:
    found = sorted(set(processes.gather(iteration)))
    if len(found) > 1:
        raise RunFolderError(
            f"the processes see different checkpoints in {run_dir} (iterations {', '.join(map(str, found))}): the run "
            "folder must be on a disk that all machines share"
        )


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


def _check_others(config: TrainConfig, callbacks: Sequence[Callback]) -> None:
    """Refuse trackers that are not installed, and callbacks that cannot do their work in this run.

    Raises:
        MissingExtraError: says which extra installs a tracker.
        ConfigError: names the callback.
    """
    check_trackers(config.output.trackers)
    for callback in callbacks:
        try:
            callback.check(config)
        except ConfigError as error:
            raise ConfigError(f"callback {type(callback).__name__}: {error}") from error


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
    goal, started = config.policy.embedded.warm_start, time.perf_counter()

    def progress(step: int, reached: float | None) -> None:
        if reached is None or goal.target_accuracy is None:
            view.phase("warm start", f"step {step} of {goal.max_steps}", step / goal.max_steps)
            return
        said = f"step {step}, {reached:.0%} of {goal.target_accuracy:.0%} on training problems"
        view.phase("warm start", said, reached / goal.target_accuracy)

    folder = embedded_policy_folder(
        config.policy.embedded, config.env, config.rollout.max_new_tokens, config.seed, device, progress
    )
    seconds = time.perf_counter() - started
    return str(folder), f"policy from supervised warm start: {folder} ({seconds:.0f} s)"


def _load_models(source: str, config: TrainConfig, device: torch.device) -> tuple[Policy, Reference | None]:
    critic = config.ppo.critic if config.ppo.uses_critic else "detached"  # a head that nobody asks costs nothing
    policy = load_policy(source, device, config.policy, config.memory, critic, config.seed)
    if config.ppo.kl_coef == 0.0:
        return policy, None
    return policy, load_reference(policy, source, config.policy, config.memory)


def _chat(policy: Policy, config: TrainConfig) -> ChatFormat:
    return ChatFormat(policy.tokenizer, config.policy.prompt_format)
