"""`rlenvs train`, from its arguments to its exit code."""

import logging
from collections.abc import Sequence
from pathlib import Path

from rlenvs.agents.llm.config import TrainConfig
from rlenvs.agents.llm.launch import rehearse, resume, train
from rlenvs.agents.llm.memory.estimate import memory_report
from rlenvs.agents.llm.policy.loading import check_source
from rlenvs.agents.llm.processes.bystander import view_of
from rlenvs.agents.llm.processes.failing import one_message
from rlenvs.agents.llm.processes.launch import Launch, decided_by_main
from rlenvs.agents.runs.command import AUTO, shipped_config, with_output
from rlenvs.agents.runs.device import resolve_device
from rlenvs.agents.runs.resuming import changed_config, clear_leftovers, find_run, rehearse_going_on
from rlenvs.agents.runs.run_folder import choose_run_folder
from rlenvs.agents.runs.signals import stop_on_signal
from rlenvs.config_file import dump_config

DEFAULT_CONFIG = "arithmetic.yaml"


def run_cli(
    config_path: str | None,
    overrides: Sequence[str],
    resume_dir: str | None,
    dry_run: bool,
    output: str | None,
    plain: bool,
    without_rewards: Sequence[str] = (),
) -> int:
    """Carry out `rlenvs train`.

    Args:
        config_path: a file, or the name of a shipped one; None for the default.
        overrides: `key=value`.
        resume_dir: a run folder to go on with; `auto` for the run of this configuration, where there is one.
        dry_run: print the configuration and train nothing.
        output: run folder.
        plain: print lines instead of the live view.
        without_rewards: reward components to leave out.

    Returns:
        The exit code.
    """
    quieten_transformers()
    with one_message():
        return _run(config_path, overrides, resume_dir, dry_run, output, plain, without_rewards)


def _run(
    config_path: str | None,
    overrides: Sequence[str],
    resume_dir: str | None,
    dry_run: bool,
    output: str | None,
    plain: bool,
    without_rewards: Sequence[str],
) -> int:
    launch = Launch.from_environment()
    rank = 0 if launch is None else launch.rank
    if dry_run and rank != 0:
        return 0
    if resume_dir is not None and resume_dir != AUTO:
        config = changed_config(resume_dir, TrainConfig, overrides, config_path, output, without_rewards)
        return _go_on(Path(resume_dir), config, dry_run, plain)
    with shipped_config("train", config_path or DEFAULT_CONFIG) as path:
        config = TrainConfig.load(path, with_output(overrides, output), without_rewards)
    if resume_dir == AUTO:
        found = find_run(config) if dry_run else decided_by_main("resume", lambda: find_run(config))
        if found is not None:
            return _go_on(found, config, dry_run, plain)
    if dry_run:
        resolve_device(config.device)
        if resume_dir != AUTO:
            choose_run_folder(config)
        if config.policy.model != "embedded":
            check_source(config.policy.model)
        rehearse(config)
        print(dump_config(config), end="")  # noqa: T201 - this is the output of the command
        print("".join(f"# {line}\n" for line in memory_report(config)), end="")  # noqa: T201 - as YAML comments
        return 0
    if resume_dir == AUTO and rank == 0:
        clear_leftovers(config)
    view = view_of(rank, plain)
    with stop_on_signal(view.log) as stop:
        return train(config, view=view, stop=stop).exit_code


def _go_on(run_dir: Path, config: TrainConfig, dry_run: bool, plain: bool) -> int:
    if dry_run:
        print(rehearse_going_on(run_dir, config), end="")  # noqa: T201 - this is the output of the command
        return 0
    launch = Launch.from_environment()
    view = view_of(0 if launch is None else launch.rank, plain)
    with stop_on_signal(view.log) as stop:
        return resume(run_dir, config=config, view=view, stop=stop).exit_code


def quieten_transformers() -> None:
    """Keep the progress bars of loading and saving off the screen that the view owns."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)
