"""From a configuration to a run: everything is checked and built here; `run` is the loop."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import rlenvs  # noqa: F401 - registers the environments
from rlenvs.agents.reporting import TrainingView, make_view
from rlenvs.agents.runs.checkpoint import load_latest_checkpoint
from rlenvs.agents.runs.device import resolve_device
from rlenvs.agents.runs.run_folder import RunFolder, choose_run_folder
from rlenvs.agents.runs.trackers import check_trackers
from rlenvs.agents.sb3.algorithms import build_model
from rlenvs.agents.sb3.config import SB3TrainConfig
from rlenvs.agents.sb3.evaluation import HeldOutEvaluation
from rlenvs.agents.sb3.resuming import take_changes
from rlenvs.agents.sb3.run import Run, SB3RunResult
from rlenvs.agents.sb3.stack import EnvStack, rehearse


def train_sb3(
    config: "SB3TrainConfig | str | Path | Mapping[str, Any]",
    *,
    view: TrainingView | None = None,
    stop: Callable[[], bool] | None = None,
) -> SB3RunResult:
    """Train an algorithm of Stable-Baselines3 on one token-level environment and one reward.

    Args:
        config: the run, or the file or plain data that describe it.
        view: shows it; a live view on a terminal, plain lines elsewhere when omitted.
        stop: asked after every iteration; True saves a checkpoint and ends the run.

    Returns:
        Where the run is and what it reached; `run_dir / "model" / "model.zip"` is what `PPO.load` and the like take.

    Raises:
        UserError: the configuration, environment, device or folder cannot be used; nothing has been written then.
        RlenvsError: an iteration failed; the run folder has what `resume_sb3` goes on from.

    Example:
        >>> from rlenvs.agents.sb3 import SB3TrainConfig, train_sb3
        >>> config = SB3TrainConfig.load(
        ...     {
        ...         "env": {"id": "rlenvs/ArithmeticTokens-v0", "kwargs": {"digits": 1}},
        ...         "algorithm": {"name": "maskable_ppo", "total_timesteps": 200_000, "n_steps": 32},
        ...     }
        ... )
        >>> config.iterations
        98
    """
    config = SB3TrainConfig.load(config)
    path = choose_run_folder(config)
    evaluate = check(config)
    stack = EnvStack(config)
    model = build_model(config, stack.env, stack.pad_id)
    folder = RunFolder.create(path, config)
    with view or make_view() as shown:
        return Run(folder, model, stack, evaluate, shown, stop).go()


def resume_sb3(
    run_dir: str | Path,
    *,
    config: SB3TrainConfig | None = None,
    view: TrainingView | None = None,
    stop: Callable[[], bool] | None = None,
) -> SB3RunResult:
    """Go on with an interrupted run from its last undamaged checkpoint, to the numbers it would have had.

    Args:
        run_dir: the folder of the run.
        config: what to go on with instead of the run's own configuration, where only what may change has changed: the
            number of steps, the learning rate, what is logged, but not environment, reward or policy.
        view: as in `train_sb3`.
        stop: as in `train_sb3`.

    Raises:
        RunFolderError: it is not the folder of such a run, or holds no usable checkpoint.
        ConfigError: the run cannot go on with this configuration.
        RlenvsError: as in `train_sb3`.
    """
    folder = RunFolder.open(Path(run_dir), SB3TrainConfig)
    notes: list[str] = []
    state = load_latest_checkpoint(folder.checkpoints, notes.append)
    if changed := take_changes(folder, state["config"], config):
        notes.append(f"changed since the checkpoint: {', '.join(map(str, changed))}")
    config = folder.config
    evaluate = check(config)
    stack = EnvStack(config)
    model = build_model(config, stack.env, stack.pad_id)
    with view or make_view() as shown:
        for note in notes:
            shown.log(note)
        return Run(folder, model, stack, evaluate, shown, stop, state).go()


def check(config: SB3TrainConfig) -> HeldOutEvaluation:
    """Return the evaluation of a run, once all that a run needs is found to be there.

    Raises:
        UserError: an environment, reward, tracker or device that cannot be used.
    """
    check_trackers(config.output.trackers)
    resolve_device(config.device)
    evaluate = HeldOutEvaluation(config)  # first: it blames keys of the environment for what is wrong with it
    rehearse(config)
    return evaluate
