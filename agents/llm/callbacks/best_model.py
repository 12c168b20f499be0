"""Keeping the best model of a run."""

import json
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from rlenvs.agents.llm.callbacks.base import Callback, RunState, register_callback
from rlenvs.agents.llm.callbacks.watching import value_of
from rlenvs.agents.runs.names import BEST_RECORD
from rlenvs.errors import ParameterError, RunFolderError
from rlenvs.files import replacing

SHAPED = ("reward/total", "reward/potential", "component/", "weight/")


@register_callback()
class BestModel(Callback):
    """Keeps the model of the best evaluation in `best/` of the run folder, beside the last one in `model/`.

    What is compared is a metric of the task itself. The shaped reward is refused: its weights move while the run goes
    on, and choosing by it would choose the model that games it best. The model before training takes part.

    `best/` is an ordinary model folder with a `best.json` that says where it is from. It is replaced as a whole.

    Args:
        metric: name of a metric, as in `metrics.jsonl`.
        mode: `max` where more is better, `min` where less is.
        folder: name of the folder inside the run folder.

    Example:
        >>> BestModel().metric
        'accuracy/greedy'
    """

    def __init__(
        self, metric: str = "accuracy/greedy", mode: Literal["max", "min"] = "max", folder: str = "best"
    ) -> None:
        if metric.startswith(SHAPED):
            raise ParameterError(
                "metric", f"must be one of the task, not of the shaped reward, got {metric!r}: use 'accuracy/greedy'"
            )
        if folder in ("", ".", "..", "model", "start", "checkpoints") or Path(folder).name != folder:
            raise ParameterError("folder", f"must be a name that nothing else in the run folder has, got {folder!r}")
        self.metric = metric
        self.mode = mode
        self.folder = folder
        self.best: float | None = None
        self.iteration = 0

    def on_train_begin(self, state: RunState) -> None:
        """Put back what a killed process was replacing."""
        if state.folder is not None:
            final, former = self._places(state.folder.path)
            if former.is_dir() and not final.exists():
                former.rename(final)

    def on_evaluation_end(self, state: RunState) -> None:
        """Save the model where it is better than every one before."""
        value = value_of(self.metric, state)
        if value is None or not math.isfinite(value) or not self._is_better(value):
            return
        self.best, self.iteration = value, state.iteration
        draft = f".{self.folder}-draft"
        if state.folder is not None:
            shutil.rmtree(state.folder.path / draft, ignore_errors=True)
        state.save_model(draft)
        if state.folder is not None:
            self._publish(state.folder.path, state.folder.path / draft)

    def on_train_end(self, state: RunState) -> None:
        """Say where the best model is."""
        if state.folder is not None and self.best is not None:
            where = state.folder.path / self.folder
            state.summary["best model"] = f"{where} ({self.metric} {self.best:.4g} at iteration {self.iteration})"

    def state_dict(self) -> dict[str, Any]:
        """Return the best value and its iteration."""
        return {"best": self.best, "iteration": self.iteration}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on comparing."""
        self.best, self.iteration = state["best"], state["iteration"]

    def _is_better(self, value: float) -> bool:
        if self.best is None:
            return True
        return value > self.best if self.mode == "max" else value < self.best

    def _places(self, run: Path) -> tuple[Path, Path]:
        return run / self.folder, run / f".{self.folder}-before"

    def _publish(self, run: Path, draft: Path) -> None:
        """Put what was saved in the place of the former best model."""
        final, former = self._places(run)
        try:
            record = {"metric": self.metric, "value": self.best, "iteration": self.iteration}
            with replacing(draft / BEST_RECORD) as file:
                file.write(json.dumps(record) + "\n")
            for path in draft.rglob("*"):
                if path.is_file():
                    with path.open("rb") as saved:
                        os.fsync(saved.fileno())
            shutil.rmtree(former, ignore_errors=True)
            if final.exists():
                final.rename(former)
            draft.rename(final)
            shutil.rmtree(former, ignore_errors=True)
        except OSError as error:
            raise RunFolderError(f"cannot write {final}: {error.strerror}") from error
