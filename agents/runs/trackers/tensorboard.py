"""TensorBoard events."""

from collections.abc import Mapping
from pathlib import Path

from rlenvs.extras import require


class TensorBoard:
    """Writes scalars.

    Args:
        folder: where event files go.
        first_iteration: what an earlier attempt wrote from here on is not shown.

    Raises:
        MissingExtraError: tensorboard is not installed.
    """

    name = "tensorboard"

    def __init__(self, folder: Path, first_iteration: int = 0) -> None:
        require("tensorboard", "report", "tracker 'tensorboard'")
        from torch.utils.tensorboard import SummaryWriter

        purge = first_iteration if first_iteration > 0 else None
        self.writer = SummaryWriter(str(folder), purge_step=purge)

    def log(self, metrics: Mapping[str, float], iteration: int) -> None:
        """Write every metric."""
        for key, value in metrics.items():
            if key != "iteration":
                self.writer.add_scalar(key, value, iteration)

    def close(self) -> None:
        """Write what is waiting and close the file."""
        self.writer.close()
