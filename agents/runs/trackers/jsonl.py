"""`metrics.jsonl`: one JSON object per iteration."""

import json
from collections.abc import Mapping

from rlenvs.agents.runs.log_file import LogFile


class JsonLines:
    """Appends one line per iteration.

    Args:
        file: where to.
    """

    name = "jsonl"

    def __init__(self, file: LogFile) -> None:
        self.file = file

    def log(self, metrics: Mapping[str, float], iteration: int) -> None:
        """Append a line; `iteration` is among the metrics."""
        self.file.write(json.dumps(dict(metrics)) + "\n")

    def close(self) -> None:
        """Close the file."""
        self.file.close()
