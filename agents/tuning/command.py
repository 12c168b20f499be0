"""`rlenvs tune`, from its arguments to its exit code."""

import contextlib
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from rlenvs.agents.runs.changes import changes, plain_config, refuse_breaking
from rlenvs.agents.runs.command import AUTO, shipped_config, with_output
from rlenvs.agents.runs.signals import INTERRUPTED, REQUEUE
from rlenvs.agents.tuning.base import BaseKind
from rlenvs.agents.tuning.config import TuneConfig, TuneSources
from rlenvs.agents.tuning.engine.joining import join_study, quiet
from rlenvs.agents.tuning.engine.plan import StudyPlan
from rlenvs.agents.tuning.engine.running import run_study
from rlenvs.agents.tuning.engine.storage import open_storage
from rlenvs.agents.tuning.engine.tickets import Ledger
from rlenvs.agents.tuning.finishing import compare_with_base, view_in, write_best, write_page, write_trials
from rlenvs.agents.tuning.objective_call import TrialFunction
from rlenvs.agents.tuning.report.comparison import ComparisonView
from rlenvs.agents.tuning.report.study import StudyView
from rlenvs.agents.tuning.space import SearchSpace, TunedParameter
from rlenvs.agents.tuning.space.leaves import plain_json
from rlenvs.agents.tuning.study_folder import (
    JOURNAL,
    REPORT,
    WORKER_LOGS,
    StudyFolder,
    choose_study_folder,
    find_study,
)
from rlenvs.agents.tuning.trial_config import TrialConfigs
from rlenvs.agents.tuning.view import StudyProgress, make_progress
from rlenvs.config_file import dump_config
from rlenvs.errors import ConfigError, StudyError, TuningError

if TYPE_CHECKING:
    import optuna

__all__ = ["run_cli", "write_report_of"]

EXIT_FAILED = 1

FIXED = {
    "name": "the study is kept under it",
    "seed": "the trials so far were proposed with it",
    "base": "its trials would no longer be trials of one thing",
    "search_space": "its trials would no longer be trials of one thing",
    "objective": "values would no longer mean the same",
    "sampler": "the trials so far were proposed by it",
    "pruner": "the trials so far were judged by it",
    "storage": "the trials so far are there",
}
"""What cannot change in a study that goes on, and why not."""


@dataclass(frozen=True)
class Manner:
    """How a study is run, whatever it is.

    Attributes:
        plain: print lines only, on a terminal too.
        ray_address: of a cluster of Ray; None: processes of this machine.
    """

    plain: bool = False
    ray_address: str | None = None


@dataclass
class Prepared:
    """A study that can be run: everything in it has been checked, and nothing is written.

    Attributes:
        config: of the study.
        configs: from a trial to its configuration.
        parameters: what is tuned.
    """

    config: TuneConfig
    configs: TrialConfigs
    parameters: list[TunedParameter] = field(default_factory=list)

    @classmethod
    def of(cls, config: TuneConfig, sources: TuneSources | None = None) -> "Prepared":
        """Check a study as far as that is possible before its first trial.

        Raises:
            UserError: space, base, objective, sampler or pruner cannot be used.
        """
        sources = sources or TuneSources()
        assert isinstance(config.base, dict)  # loading has read it
        space = SearchSpace.parse(config.search_space, sources.study, ("search_space",))
        configs = TrialConfigs(config.base, space, source=sources.base, at=sources.base_at)
        prepared = cls(config, configs, configs.check())
        config.objective.check(configs.base, space)
        prepared.plan("memory")
        return prepared

    def plan(self, storage: str) -> StudyPlan:
        """Return the study as its workers take it."""
        config = self.config
        return StudyPlan(
            name=config.name,
            storage=storage,
            directions=tuple(metric.direction for metric in config.objective.metrics),
            n_trials=config.n_trials,
            timeout_s=config.timeout,
            seed=config.seed,
            sampler=config.sampler,
            pruner=config.pruner,
            fingerprint={
                "search_space": self.configs.space.fingerprint(),
                "base_config": plain_json(self.configs.base),
                "objective": plain_config(config)["objective"],
            },
        )


def run_cli(
    config_path: str | None,
    overrides: Sequence[str],
    resume_dir: str | None,
    dry_run: bool,
    output: str | None,
    plain: bool = False,
    ray_address: str | None = None,
) -> int:
    """Carry out `rlenvs tune`.

    Args:
        config_path: a file, or the name of a shipped one.
        overrides: `key=value`.
        resume_dir: folder of a study to go on with; `auto` for the study of this configuration, where there is one.
        dry_run: print the configuration and what would be tuned, and run nothing.
        output: folder of the study.
        plain: print lines only, on a terminal too.
        ray_address: of a cluster of Ray whose machines run the trials; None: processes of this machine.

    Returns:
        The exit code.

    Raises:
        UserError: something the user can put right; nothing has been written then.
        TuningError: every trial fails.
    """
    how = Manner(plain, ray_address)
    if resume_dir is not None and resume_dir != AUTO:
        if output is not None:
            raise ConfigError("--resume goes on in the folder of the study: leave --output out")
        return _go_on(StudyFolder.open(resume_dir), overrides, dry_run, how)
    assert config_path is not None  # the command line has asked for it
    with shipped_config("tune", config_path) as path:
        config, sources = TuneConfig.load_with_source(path, with_output(overrides, output))
    if resume_dir == AUTO and (found := find_study(config)) is not None:
        return _join(StudyFolder.open(found), config, dry_run, how)
    prepared = Prepared.of(config, sources)
    path_of_study = choose_study_folder(config)
    if dry_run:
        print(rehearsal(prepared), end="")  # noqa: T201 - this is the output of the command
        return 0
    if config.storage is not None:  # one that is down, or has such a study, shows before anything is written
        join_study(prepared.plan(config.storage), open_storage(config.storage), resume=resume_dir == AUTO)
    return _run(StudyFolder.create(path_of_study, config), prepared, how)


def write_report_of(path: str | Path) -> Path:
    """Write the report of the study in a folder, while it goes on or after it.

    Raises:
        RunFolderError: it is not the folder of a study, or cannot be written to.
        StorageError: its storage is down.
        StudyError: no trial of it has begun.
    """
    folder = StudyFolder.open(path)
    return write_page(folder, load_study(folder))


def load_study(folder: StudyFolder) -> "optuna.Study":
    """Return the study of a folder.

    Raises:
        StudyError: its storage does not have it.
    """
    import optuna

    try:
        if folder.config.storage is None and not (folder / JOURNAL).exists():
            raise KeyError(JOURNAL)
        with quiet():
            return optuna.load_study(study_name=folder.config.name, storage=open_storage(folder.storage))
    except KeyError:
        raise StudyError(f"study {folder.config.name!r} is not in {folder.storage}: no trial has begun") from None


def rehearsal(prepared: Prepared) -> str:
    """Return the resolved configuration as YAML, and as comments what would be tuned."""
    config = prepared.config
    width = max(len(parameter.name) for parameter in prepared.parameters)
    wanted = ", ".join(f"{metric.direction} {metric.name}" for metric in config.objective.metrics)
    lines = [
        f"{config.n_trials} trials by {config.workers} worker{'s' if config.workers > 1 else ''} to {wanted}; "
        f"sampler {config.sampler.name}, pruner {config.pruner.name}",
        f"{len(prepared.parameters)} parameters, each drawn in a dry run whose configurations can all be used:",
        *(f"  {item.name:<{width}}  {item.values}; {item.when}" for item in prepared.parameters),
    ]
    return dump_config(config) + "".join(f"# {line}\n" for line in lines)


def _go_on(folder: StudyFolder, overrides: Sequence[str], dry_run: bool, how: Manner) -> int:
    """Go on with a study under its own configuration, and those settings that may change."""
    config = TuneConfig.load(plain_config(folder.config), overrides) if overrides else folder.config
    return _join(folder, config, dry_run, how)


def _join(folder: StudyFolder, config: TuneConfig, dry_run: bool, how: Manner) -> int:
    found = changes(plain_config(folder.config), plain_config(config))
    refuse_breaking(found, FIXED, "begin a new study, with a name or folder of its own")
    config = config.model_copy(update={"output": folder.config.output})
    prepared = Prepared.of(config)
    if dry_run:
        print(f"{rehearsal(prepared)}# goes on with {folder.path}\n", end="")  # noqa: T201 - the output of the command
        return 0
    join_study(prepared.plan(folder.storage), open_storage(folder.storage), resume=True)
    if config != folder.config:
        folder.change_config(config)
    return _run(folder, prepared, how)


def _run(folder: StudyFolder, prepared: Prepared, how: Manner) -> int:
    """Run the trials, and leave behind what came of them, however they end."""
    config = prepared.config
    metrics = config.objective.metrics
    progress = make_progress(
        config.n_trials,
        [metric.name for metric in metrics],
        [metric.direction == "maximize" for metric in metrics],
        how.plain,
    )
    plan = prepared.plan(folder.storage)
    study = join_study(plan, open_storage(folder.storage), resume=True)
    progress.start(Ledger(study.get_trials(deepcopy=False), plan.n_trials, plan.max_retries).outcomes)
    function = TrialFunction(config.objective.build(folder.path), {}, prepared.configs)
    with progress, requeue_on_sigusr1() as requeue:
        progress.log(_headline(prepared, folder, progress.done))
        try:
            run_study(
                plan,
                function,
                workers=config.workers,
                ray_address=how.ray_address,
                resume=True,
                on_trial=lambda _, trial: progress.trial(trial),
                log_dir=folder / WORKER_LOGS,
            )
            return _end(folder, study, prepared, progress)
        except KeyboardInterrupt:
            progress.log(f"stopped after {progress.done} of {config.n_trials} trials; go on with: {_again(folder)}")
            _leave(folder, study, prepared)
            return REQUEUE if requeue.asked else INTERRUPTED
        except TuningError:
            _leave(folder, study, prepared)
            raise


def _headline(prepared: Prepared, folder: StudyFolder, done: int) -> str:
    config, count = prepared.config, len(prepared.parameters)
    before = f" ({done} of them done)" if done else ""
    return (
        f"study {config.name}: {config.n_trials} trials{before}, {count} parameter{'s' if count > 1 else ''}, "
        f"sampler {config.sampler.name}, pruner {config.pruner.name}, {config.workers} "
        f"worker{'s' if config.workers > 1 else ''}, folder {folder.path}"
    )


def _again(folder: StudyFolder) -> str:
    return f"rlenvs tune --resume {folder.path}"


def _leave(folder: StudyFolder, study: "optuna.Study", prepared: Prepared) -> list[Path]:
    """Write what the trials so far came to: rows, best configuration, page; return the best configurations."""
    view = view_in(folder, study)
    write_trials(folder, view)
    best = write_best(folder, view, prepared.configs)
    write_page(folder, study)
    return best


def _end(folder: StudyFolder, study: "optuna.Study", prepared: Prepared, progress: StudyProgress) -> int:
    """Write what came of the study, measure its best configuration on fresh seeds, and sum up."""
    best = _leave(folder, study, prepared)
    if not best:
        progress.log("no trial is complete and keeps the constraints: there is no best configuration")
        return EXIT_FAILED
    view = view_in(folder, study)
    if len(view.maximize) > 1:
        progress.log(f"{len(view.front)} trials on the Pareto front: {best[0].parent}")
    else:
        progress.log(f"best {view.objectives[0]} {view.front[0].values[0]:.6g} (trial {view.front[0].number})")
        compared = _compare(folder, view, prepared, progress)
        progress.log(f"best configuration: {best[0]}{_how_to_use(prepared, best[0])}")
        if compared:
            write_page(folder, study)
    if progress.done < prepared.config.n_trials:
        progress.log(f"{progress.done} of {prepared.config.n_trials} trials in this time; go on with: {_again(folder)}")
    progress.log(f"report: {folder / REPORT}")
    return 0


def _compare(folder: StudyFolder, view: StudyView, prepared: Prepared, progress: StudyProgress) -> bool:
    """Measure base and best configuration on fresh seeds; say what came out."""
    comparison = compare_with_base(folder, view, prepared.configs, progress.log)
    if comparison is not None:
        read = ComparisonView.read(comparison, view.maximize[0])
        progress.log(read.verdict[0] if read is not None else "nothing could be compared")
    return comparison is not None


def _how_to_use(prepared: Prepared, best: Path) -> str:
    return f" (rlenvs train {best})" if prepared.configs.kind in (BaseKind.SB3, BaseKind.LLM) else ""


@dataclass
class Requeue:
    """Whether the machine is needed elsewhere.

    Attributes:
        asked: whether SIGUSR1 has said so.
    """

    asked: bool = False


@contextlib.contextmanager
def requeue_on_sigusr1() -> Iterator[Requeue]:
    """Let SIGTERM and SIGUSR1 stop a study as Ctrl-C does, and remember whether it is to be requeued.

    While trials run, `run_study` takes SIGTERM itself, and gives the trials back that it interrupts.
    """
    requeue = Requeue()

    def receive(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGTERM:
            raise KeyboardInterrupt
        requeue.asked = True
        signal.raise_signal(signal.SIGTERM)

    previous = {number: signal.signal(number, receive) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield requeue
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
