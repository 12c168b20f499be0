"""`rlenvs train` of an agent of Stable-Baselines3, from its arguments to its exit code."""

from collections.abc import Sequence
from pathlib import Path

from rlenvs.agents.reporting import make_view
from rlenvs.agents.runs.command import AUTO, shipped_config, with_output
from rlenvs.agents.runs.resuming import changed_config, clear_leftovers, find_run, rehearse_going_on
from rlenvs.agents.runs.run_folder import choose_run_folder
from rlenvs.agents.runs.signals import stop_on_signal
from rlenvs.agents.sb3.algorithms import build_model
from rlenvs.agents.sb3.config import SB3TrainConfig
from rlenvs.agents.sb3.launch import check, resume_sb3, train_sb3
from rlenvs.agents.sb3.stack import EnvStack
from rlenvs.config_file import dump_config


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
        config_path: a file, or the name of a shipped one.
        overrides: `key=value`.
        resume_dir: a run folder to go on with; `auto` for the run of this configuration, where there is one.
        dry_run: print the configuration and train nothing.
        output: run folder.
        plain: print lines instead of the live view.
        without_rewards: reward components to leave out.

    Returns:
        The exit code.
    """
    if resume_dir is not None and resume_dir != AUTO:
        config = changed_config(resume_dir, SB3TrainConfig, overrides, config_path, output, without_rewards)
        return _go_on(Path(resume_dir), config, dry_run, plain)
    assert config_path is not None  # without a file the language-model agent is asked
    with shipped_config("train", config_path) as path:
        config = SB3TrainConfig.load(path, with_output(overrides, output), without_rewards)
    if resume_dir == AUTO and (found := find_run(config)) is not None:
        return _go_on(found, config, dry_run, plain)
    if dry_run:
        print(rehearsal(config, new=resume_dir is None), end="")  # noqa: T201 - this is the output of the command
        return 0
    if resume_dir == AUTO:
        clear_leftovers(config)
    view = make_view(plain=True if plain else None)
    with stop_on_signal(view.log) as stop:
        return train_sb3(config, view=view, stop=stop).exit_code


def rehearsal(config: SB3TrainConfig, new: bool = True) -> str:
    """Return the resolved configuration as YAML, and as comments what it comes to; nothing is trained or written.

    Args:
        config: of the run.
        new: whether its folder must be free.

    Raises:
        UserError: environment, reward, network, device or folder cannot be used.
    """
    if new:
        choose_run_folder(config)
    evaluate = check(config)
    stack = EnvStack(config)
    model = build_model(config, stack.env, stack.pad_id)
    parameters = sum(parameter.numel() for parameter in model.policy.parameters())
    facts = [
        f"{config.iterations} iterations of {config.iteration_steps:,} steps, {parameters:,} parameters",
        f"{len(evaluate.problems)} held-out problems of {config.env.id}",
    ]
    stack.env.close()
    evaluate.close()
    return dump_config(config) + "".join(f"# {fact}\n" for fact in facts)


def _go_on(run_dir: Path, config: SB3TrainConfig, dry_run: bool, plain: bool) -> int:
    if dry_run:
        print(rehearse_going_on(run_dir, config), end="")  # noqa: T201 - this is the output of the command
        return 0
    view = make_view(plain=True if plain else None)
    with stop_on_signal(view.log) as stop:
        return resume_sb3(run_dir, config=config, view=view, stop=stop).exit_code
