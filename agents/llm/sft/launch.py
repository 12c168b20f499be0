"""From a configuration to a supervised run: everything is checked and built here; `run` is the loop."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import rlenvs  # noqa: F401 - registers the environments
from rlenvs.agents.llm.config import EnvConfig
from rlenvs.agents.llm.embedded import build_policy
from rlenvs.agents.llm.engines import Engine
from rlenvs.agents.llm.engines.configured import configured_engine
from rlenvs.agents.llm.evaluation import HeldOutEvaluation
from rlenvs.agents.llm.examination import Examination
from rlenvs.agents.llm.policy.loading import load_policy
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.policy.options import ForwardOptions
from rlenvs.agents.llm.processes import Processes
from rlenvs.agents.llm.processes.bystander import view_of
from rlenvs.agents.llm.processes.joining import joined
from rlenvs.agents.llm.rollout.chat import ChatFormat
from rlenvs.agents.llm.rollout.limits import Limits
from rlenvs.agents.llm.sft.config import SFTConfig
from rlenvs.agents.llm.sft.data import Demonstration, read_demonstrations, texts
from rlenvs.agents.llm.sft.encoding import DemonstrationEncoder, encode
from rlenvs.agents.llm.sft.run import SFTResult, SFTRun
from rlenvs.agents.llm.sft.target import TargetWatch, greedy_accuracy
from rlenvs.agents.llm.sft.trainer import SFTTrainer
from rlenvs.agents.llm.start import start_of
from rlenvs.agents.reporting import TrainingView
from rlenvs.agents.runs.checkpoint import load_latest_checkpoint
from rlenvs.agents.runs.device import resolve_device
from rlenvs.agents.runs.environments import held_out_problems, problem_source
from rlenvs.agents.runs.names import START
from rlenvs.agents.runs.run_folder import RunFolder, choose_run_folder
from rlenvs.agents.runs.trackers import check_trackers
from rlenvs.errors import ConfigError
from rlenvs.problems import Problem

__all__ = ["SFTResult", "resume", "sft"]


def sft(config: SFTConfig, *, view: TrainingView | None = None, stop: Callable[[], bool] | None = None) -> SFTResult:
    """Fine-tune a language model on demonstrations.

    Args:
        config: the run.
        view: shows it; a live view on a terminal, plain lines elsewhere when omitted.
        stop: asked after every step; True saves a checkpoint and ends the run.

    Returns:
        Where the run is and what it reached; `run_dir / "model"` is what `rlenvs train policy.model=...` starts from.

    Raises:
        UserError: the configuration, data, model, device or folder cannot be used; nothing has been written then.
        TrainingDivergedError: a loss or gradient is not finite; the run folder has what `resume` goes on from.

    Example:
        >>> from rlenvs.agents.llm.sft import SFTConfig, sft
        >>> config = SFTConfig.load({"env": {"id": "rlenvs/MathSteps-v0"}, "sft": {"epochs": 2}})
        >>> config.data.source
        'env'
    """
    config = SFTConfig.load(config)
    with joined(config.distributed, config.device) as processes:
        path = processes.on_main(lambda: _check(config))
        with view or view_of(processes.rank) as shown:
            parts, folder = processes.together(lambda: _begin(config, path, processes))
            processes.prepare(parts[0].policy)
            return SFTRun(folder, *parts, shown, stop).go()


def resume(
    run_dir: str | Path, *, view: TrainingView | None = None, stop: Callable[[], bool] | None = None
) -> SFTResult:
    """Go on with an interrupted run from its last undamaged checkpoint, to the numbers it would have had.

    Args:
        run_dir: the folder of the run.
        view: as in `sft`.
        stop: as in `sft`.

    Raises:
        RunFolderError: it is not the folder of a supervised run, holds no usable checkpoint, or its data have changed.
    """
    folder = RunFolder.open(Path(run_dir), SFTConfig)
    config = folder.config
    with joined(config.distributed, config.device) as processes:
        notes: list[str] = []
        state = processes.together(lambda: load_latest_checkpoint(folder.checkpoints, notes.append))
        with view or view_of(processes.rank) as shown:
            parts = processes.together(lambda: _go_on(folder, processes, state))
            processes.prepare(parts[0].policy)
            for note in notes:
                shown.log(note)
            return SFTRun(folder, *parts, shown, stop).go(state)


def read_data(config: SFTConfig) -> list[Demonstration]:
    """Return what a run imitates; see `read_demonstrations`."""
    return read_demonstrations(config.data, config.env, config.seed)


def _check(config: SFTConfig) -> Path:
    """Return the folder of a new run; what is not there shows before a model is loaded."""
    check_trackers(config.output.trackers)
    return choose_run_folder(config)


Parts = tuple[SFTTrainer, Engine | None, HeldOutEvaluation | None, TargetWatch | None]


def _begin(config: SFTConfig, path: Path, processes: Processes) -> tuple[Parts, RunFolder[SFTConfig]]:
    """Build everything, then let the main process make the folder."""
    demonstrations = read_data(config)
    policy = _start_policy(config, demonstrations)
    parts = _build(config, policy, demonstrations, processes)
    if not processes.is_main:
        return parts, RunFolder(path, config)
    folder = RunFolder.create(path, config)
    if config.policy.model == "embedded":  # a run keeps what it needs to resume
        policy.save(folder.path / START)
    return parts, folder


def _go_on(folder: RunFolder[SFTConfig], processes: Processes, state: Mapping[str, Any]) -> Parts:
    """Build everything as it was at a checkpoint."""
    config = folder.config
    source = str(start_of(folder.path)) if config.policy.model == "embedded" else config.policy.model
    policy = load_policy(source, resolve_device(config.device), config.policy, config.memory)
    return _build(config, policy, read_data(config), processes, state)


def _start_policy(config: SFTConfig, demonstrations: Sequence[Demonstration]) -> Policy:
    device = resolve_device(config.device)
    if config.policy.model != "embedded":
        return load_policy(config.policy.model, device, config.policy, config.memory, seed=config.seed)
    # Random weights, and an alphabet that the demonstrations need.
    made = build_policy(config.policy.embedded, texts(demonstrations), config.seed)
    return Policy(made.model.to(device), made.tokenizer, options=ForwardOptions.from_config(config.memory))


def _build(
    config: SFTConfig,
    policy: Policy,
    demonstrations: Sequence[Demonstration],
    processes: Processes,
    state: Mapping[str, Any] | None = None,
) -> Parts:
    """Build what a run is made of; nothing is written.

    Args:
        config: of the run.
        policy: what learns.
        demonstrations: what the policy imitates.
        processes: who else trains it.
        state: the checkpoint that the run goes on from.
    """
    _check_positions(policy, config)
    chat = ChatFormat(policy.tokenizer, config.policy.prompt_format)
    encoded = encode(
        demonstrations,
        DemonstrationEncoder(policy, chat),
        config.rollout.context_tokens,
        config.data.overlong,
        config.data.held_out_share,
        config.seed,
    )
    trainer = SFTTrainer(policy, encoded, config, processes)
    engine, evaluate, watch = None, None, None
    if config.env is not None:
        chosen = None if state is None else state["engine"]
        engine = configured_engine(config.rollout.engine, policy, config.rollout.batch_size, chosen)
        evaluate = _evaluation(config, config.env, chat)
        watch = _watch(config, config.env, policy, engine, chat, processes)
    if state is not None:
        trainer.load_state_dict(state["trainer"])
        if watch is not None:
            watch.load_state_dict(state["watch"])
    return trainer, engine, evaluate, watch


def _evaluation(config: SFTConfig, env: EnvConfig, chat: ChatFormat) -> HeldOutEvaluation:
    problems = held_out_problems(env.id, env.kwargs, config.evaluation.problems, config.seed)
    examination = Examination(env.id, env.kwargs, problems)
    examination.check_prompts(chat, Limits.of(config.rollout))
    return HeldOutEvaluation(examination, chat, config.rollout, config.seed)


def _watch(
    config: SFTConfig, env: EnvConfig, policy: Policy, engine: Engine, chat: ChatFormat, processes: Processes
) -> TargetWatch | None:
    if config.sft.target_accuracy is None:
        return None
    problems = checked_problems(env, config.sft.check_problems, config.seed)
    limits, stop = Limits.of(config.rollout), config.rollout.stop
    examine = greedy_accuracy(policy, engine, chat, env, problems, limits, config.seed, stop)
    return TargetWatch(policy, config.sft, lambda: processes.main_value(examine()))


def checked_problems(env: EnvConfig, count: int, seed: int) -> list[Problem]:
    """Return training problems for accuracy checks, or all there are."""
    return problem_source(env.id, env.kwargs).problems("train", limit=count, seed=seed)


def _check_positions(policy: Policy, config: SFTConfig) -> None:
    """Refuse a context that the model does not have.

    Raises:
        ConfigError: the model has fewer positions.
    """
    positions = getattr(policy.model.config.get_text_config(), "max_position_embeddings", None)
    if positions is not None and config.rollout.context_tokens > positions:
        raise ConfigError(
            f"rollout.context_tokens: must be <= {positions}, the positions of {config.policy.model!r}, "
            f"got {config.rollout.context_tokens}"
        )
