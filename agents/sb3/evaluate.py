"""Held-out accuracy of an agent that a run has left."""

from pathlib import Path
from typing import Any

from rlenvs.agents.runs.run_folder import read_run_config
from rlenvs.agents.sb3.algorithms import algorithm_class
from rlenvs.agents.sb3.config import SB3TrainConfig
from rlenvs.agents.sb3.evaluation import HeldOutEvaluation
from rlenvs.agents.sb3.run import MODEL_FILE
from rlenvs.errors import ModelLoadError


def evaluate_sb3(
    model_dir: str | Path, limit: int | None = None, seed: int | None = None, device: str = "cpu"
) -> dict[str, Any]:
    """Measure an agent on held-out problems of the environment that it was trained in.

    With nothing but the folder, the numbers are those of the run's own last evaluation.

    Args:
        model_dir: the folder `model` of a run, or the zip in it; it is a pickle, so load only what you trust.
        limit: held-out problems; the run's number where None.
        seed: of the choice of problems and of sampling; the run's where None.
        device: `auto`, `cpu` or `cuda`.

    Returns:
        What `HeldOutEvaluation` returns, `env` and `model`.

    Raises:
        RunFolderError: the folder does not belong to such a run.
        ModelLoadError: there is no agent in it, or one that does not load.
    """
    path = Path(model_dir)
    file = path if path.suffix == ".zip" else path / MODEL_FILE
    if not file.is_file():
        raise ModelLoadError(f"{str(file)!r} is not there: give the folder `model` of a finished run")
    config = read_run_config(file.resolve().parent.parent, SB3TrainConfig)
    changes = {} if limit is None else {"problems": limit}
    config = config.model_copy(
        update={
            "evaluation": config.evaluation.model_copy(update=changes),
            "seed": config.seed if seed is None else seed,
        }
    )
    try:
        model = algorithm_class(config.algorithm.name).load(file, device=device)
    except (OSError, ValueError, KeyError, EOFError, AttributeError, AssertionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelLoadError(f"{str(file)!r} does not load ({type(error).__name__}: {reason})") from error
    evaluate = HeldOutEvaluation(config)
    try:
        return evaluate(model) | {"env": config.env.id, "model": str(model_dir)}
    finally:
        evaluate.close()
