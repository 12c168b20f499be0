"""Choose how a run is shown: live on a terminal, plain lines everywhere else."""

import importlib.util
import os
import sys
from collections.abc import Mapping
from typing import TextIO

from rlenvs.agents.reporting.plain import PlainView
from rlenvs.agents.reporting.view import RunPlan, TrainingView

__all__ = ["RunPlan", "TrainingView", "make_view"]


def make_view(plain: bool | None = None, stream: TextIO | None = None) -> TrainingView:
    """Make the view that fits where the output goes.

    The live view needs a terminal that can move its cursor, an encoding with block characters, and `rich` (the extra
    `report`); without any of them the view is plain. `NO_COLOR` keeps it live but without colours.

    Args:
        plain: True for plain lines, False for the live view even under CI, None to decide by the surroundings.
        stream: Where to write; standard output when None.

    Example:
        >>> import io
        >>> from rlenvs.agents.reporting import RunPlan
        >>> out = io.StringIO()
        >>> with make_view(stream=out) as view:
        ...     view.start(RunPlan(name="demo", run_dir="runs/demo", iterations=2))
        ...     view.update({"iteration": 0, "accuracy/greedy": 0.25})
        >>> "greedy 25.0%" in out.getvalue()
        True
    """
    target = sys.stdout if stream is None else stream
    in_ci = plain is None and os.environ.get("CI", "").lower() not in {"", "0", "false"}
    if plain or in_ci or not can_draw(target, os.environ):
        return PlainView(target)
    from rlenvs.agents.reporting.dashboard import LiveView

    return LiveView(target)


def can_draw(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Tell whether a live view can be drawn on a stream."""
    encoding = (getattr(stream, "encoding", None) or "").lower().replace("-", "")
    return (
        stream.isatty()
        and environment.get("TERM", "") not in {"", "dumb", "unknown"}
        and encoding.startswith("utf")
        and importlib.util.find_spec("rich") is not None
    )
