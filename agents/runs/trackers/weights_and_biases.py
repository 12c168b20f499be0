"""Weights & Biases, with an account or without."""

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rlenvs.extras import require

RUN_ID_FILE = "wandb-run-id.txt"
PROJECT = "rlenvs"


class WeightsAndBiases:
    """Logs to one W&B run, however often the training is interrupted.

    The id of the run is kept in the run folder, so that a resumed training goes on in the same W&B run. W&B takes no
    step twice: iterations that are repeated because the training was killed after its last checkpoint are ignored, and
    a resumed run has the same numbers anyway.

    `WANDB_PROJECT`, `WANDB_ENTITY`, `WANDB_MODE` and the rest of W&B's own variables hold. Where no mode is chosen and
    nobody is logged in, all is written to `wandb/` in the run folder, without a network; `wandb sync` uploads it.

    Args:
        folder: the run folder.
        run_name: what W&B shows.
        config: of the run, plain data.
        note: is told where the run is.

    Raises:
        MissingExtraError: wandb is not installed.
    """

    name = "wandb"

    def __init__(
        self, folder: Path, run_name: str, config: Mapping[str, Any], note: Callable[[str], None] = lambda line: None
    ) -> None:
        wandb = require("wandb", "wandb", "tracker 'wandb'")
        chosen = os.environ.get("WANDB_MODE") is not None
        # Asking for a key would stop a run that nobody watches.
        offline = not chosen and not wandb.login(prompt=False, verify=False)
        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=os.environ.get("WANDB_NAME", run_name),
            id=_run_id(folder),
            resume="allow",
            dir=str(folder),
            config=dict(config),
            allow_val_change=True,
            mode="offline" if offline else None,
            # The screen belongs to the view.
            settings=wandb.Settings(console="off", silent=True),
        )
        if self.run.offline:
            note(f"W&B: offline; upload with: wandb sync {self.run.settings.sync_dir}")
        elif self.run.url:
            note(f"W&B: {self.run.url}")

    def log(self, metrics: Mapping[str, float], iteration: int) -> None:
        """Log every metric at the step of its iteration."""
        self.run.log({key: value for key, value in metrics.items() if key != "iteration"}, step=iteration)

    def close(self) -> None:
        """Wait until everything is written or uploaded."""
        self.run.finish()


def _run_id(folder: Path) -> str:
    """Return the id of the W&B run that belongs to a run folder."""
    path = folder / RUN_ID_FILE
    if path.is_file() and (known := path.read_text(encoding="utf-8").strip()):
        return known
    made = secrets.token_hex(4)
    path.write_text(made + "\n", encoding="utf-8")
    return made
