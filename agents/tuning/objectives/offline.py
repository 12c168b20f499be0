"""A trial that trains nothing: stored rollouts, scored again with the trial's reward, against the truth.

A guide that ranks right responses above wrong ones is likely to help, and asking costs seconds. Training with it may
still differ: a policy goes where the reward is, and leaves the responses that were stored.
"""

import copy
import functools
import json
import math
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rlenvs.agents.runs.names import METRICS, ROLLOUTS
from rlenvs.agents.tuning.objectives.metrics import Constraint, pick, put_constraints
from rlenvs.errors import ConfigError, DataError
from rlenvs.json_lines import read_rows
from rlenvs.shown import shown
from rlenvs.suggestions import did_you_mean
from rlenvs.wrappers.config.rewards import RewardConfig, build_pipeline
from rlenvs.wrappers.rescoring.rescore import rescore
from rlenvs.wrappers.rescoring.statistics import constant, kendall, separation, spearman
from rlenvs.wrappers.rescoring.stored_steps import StoredFields, StoredStep
from rlenvs.wrappers.rescoring.table import Scores, ScoreTable

if TYPE_CHECKING:
    from optuna.trial import Trial

__all__ = ["FOLDS", "STATISTICS", "offline_objective", "score_rollouts"]

STATISTICS = ("auc", "kendall", "spearman")
FOLDS = 10
"""Parts of the responses that trials do not see; each is a "fresh seed" of the comparison at the end."""

SECTIONS = ("composer_settings", "reward_components", "reward_shaping")
RUN_KEYS = ("iteration", "env", "turn")


def offline_objective(
    trial: "Trial",
    config: Mapping[str, Any],
    *,
    rollouts: str | Path,
    statistic: str | Sequence[str] = "auc",
    truth: str | None = None,
    whole: bool = False,
    held_out: float = 0.0,
    limit: int | None = None,
    constraints: Sequence[Constraint] = (),
) -> float | tuple[float, ...]:
    """Score stored responses with a trial's reward; what is returned says how well that goes with the truth.

    Args:
        trial: of the study.
        config: plain data: a recipe, or a run's configuration with `rewards`.
        rollouts: run folder, or a file with one JSON object per line.
        statistic: `auc` (right above wrong responses, 0.5 is chance), `kendall` (tau-b) or `spearman` with the true
            grade; several for several objectives.
        truth: field with the true grade; `correct` or `label` where None.
        whole: whether components that are the task itself (`CorrectnessReward`, `EnvReward`, `GoalReward`) count too.
            They know the truth: with them, the best guide would be none.
        held_out: share of the problems whose responses are left for the comparison at the end, in [0, 1).
        limit: read the first responses only.
        constraints: what the statistics must keep to.

    Returns:
        One value, or one for each statistic.

    Raises:
        ConfigError: an unknown statistic, or a configuration without a reward.
        DataError: responses that cannot be read, or that are all right or all wrong.
    """
    names = [statistic] if isinstance(statistic, str) else list(statistic)
    for name in names:
        if name not in STATISTICS:
            raise ConfigError(f"statistic {name!r}{did_you_mean(name, STATISTICS)}: expected {', '.join(STATISTICS)}")
    measured = score_rollouts(config, rollouts, truth=truth, whole=whole, held_out=held_out, limit=limit)
    put_constraints(trial, constraints, measured)
    values = pick(measured, names)
    return values[0] if isinstance(statistic, str) else values


def score_rollouts(
    config: Mapping[str, Any],
    rollouts: str | Path,
    *,
    truth: str | None = None,
    whole: bool = False,
    held_out: float = 0.0,
    fold: int | None = None,
    limit: int | None = None,
) -> dict[str, float]:
    """Return how the reward of a configuration goes with the truth of stored responses.

    Args:
        config: as in `offline_objective`, like the others.
        rollouts: run folder or file.
        truth: field with the true grade.
        whole: whether components that are the task itself count too.
        held_out: share of the problems that trials do not see.
        fold: which of `FOLDS` parts of that share; None for what trials do see.
        limit: read the first responses only.

    Returns:
        `auc`, `kendall`, `spearman`, and `responses`, the number of those whose truth is known. A reward that is the
        same for all tells nothing apart: 0.5, 0 and 0.

    Raises:
        ConfigError: no reward, or one that consists of the task itself.
        DataError: responses that cannot be read, or that are all right or all wrong.
    """
    pipeline = build_pipeline(_reward(config, whole))
    path = _file(rollouts)
    stat = os.stat(path) if path.is_file() else None
    rows = _rows(path, stat.st_mtime_ns if stat else 0, limit)
    fields = StoredFields(label=truth)
    chosen = [(number, row) for number, row in rows if _fold(row, number, held_out) == fold]
    table = ScoreTable(pipeline.names)
    for batch in rescore(_steps(chosen, fields, path), pipeline, measured=_measured(path)):
        table.add(batch)
    if not table.rows:
        raise DataError(f"{path}: holds no responses{_of_fold(fold)}")
    return _statistics(table.scores(), path, fold)


def _statistics(scores: Scores, path: Path, fold: int | None) -> dict[str, float]:
    known = scores.known
    total, true, right = scores.total[known], scores.truth[known], scores.right[known]
    if constant(true) or right.all() or not right.any():
        kind = "no response with a true grade" if not len(true) else f"only {'right' if right.any() else 'wrong'} ones"
        raise DataError(
            f"{path}: {kind}{_of_fold(fold)}: a reward is judged by how it tells right from wrong responses"
        )
    found = {"auc": separation(total, right).auc, "kendall": kendall(total, true), "spearman": spearman(total, true)}
    # A reward that never differs has no ranks; it goes with the truth as well as chance does.
    return {name: 0.0 if math.isnan(value) else value for name, value in found.items()} | {
        "responses": float(np.count_nonzero(known))
    }


def _reward(config: Mapping[str, Any], whole: bool) -> RewardConfig:
    """Return the reward of a configuration, without the components that are the task itself unless they count."""
    inside = config.get("rewards")
    recipe = inside if isinstance(inside, Mapping) else {key: config[key] for key in SECTIONS if key in config}
    if not recipe:
        raise ConfigError("offline_objective: the configuration has no reward (rewards, or reward_components)")
    reward = RewardConfig.load(recipe)
    task = [name for name, part in reward.reward_components.items() if getattr(part.build(), "is_task", False)]
    if whole or not task:
        return reward
    if len(task) == len(reward.reward_components):
        raise ConfigError(
            f"offline_objective: nothing but the task itself is rewarded ({', '.join(task)}), which goes with the "
            "truth by definition; add the components to tune, or set whole: true"
        )
    plain = copy.deepcopy(reward.to_dict())
    for name in task:
        del plain["reward_components"][name]
        plain.get("reward_shaping", {}).pop(name, None)
    return RewardConfig.load(plain)


def _file(rollouts: str | Path) -> Path:
    path = Path(rollouts)
    return path / ROLLOUTS if path.is_dir() else path


@functools.lru_cache(maxsize=2)
def _rows(path: Path, changed: int, limit: int | None) -> tuple[tuple[int, dict[str, Any]], ...]:
    """Read a file once for all trials; `changed` is when it was written."""
    rows: list[tuple[int, dict[str, Any]]] = []
    for number, row in read_rows(path, torn_end=path.name == ROLLOUTS):
        if limit is not None and len(rows) >= limit:
            break
        rows.append((number, row))
    return tuple(rows)


def _steps(rows: Sequence[tuple[int, Mapping[str, Any]]], fields: StoredFields, path: Path) -> Iterator[StoredStep]:
    for number, row in rows:
        yield fields.read(copy.deepcopy(dict(row)), f"{path}:{number}", number)


def _measured(path: Path) -> dict[int, dict[str, float]]:
    """Return what the run measured after each iteration, for weights that react to it."""
    file = path.parent / METRICS
    if path.name != ROLLOUTS or not file.is_file():
        return {}
    return {
        row["iteration"]: {key: value for key, value in row.items() if isinstance(value, int | float)}
        for _, row in read_rows(file, torn_end=True)
        if isinstance(row.get("iteration"), int)
    }


def _fold(row: Mapping[str, Any], number: int, held_out: float) -> int | None:
    """Return which held-out part a response belongs to, None for what trials see; all of a problem go together."""
    if held_out == 0.0:
        return None
    if row.get("problem_id") is not None:
        key = str(row["problem_id"])
    elif all(name in row for name in RUN_KEYS):  # the turns of an episode stay together
        key = f"{row['iteration']} {row['env']}"
    else:
        key = json.dumps(row["prompt"], sort_keys=True) if "prompt" in row else str(number)
    place = zlib.crc32(key.encode()) / 2**32
    return int(place / held_out * FOLDS) if place < held_out else None


def _of_fold(fold: int | None) -> str:
    if fold is None:
        return ""
    return f" in part {shown(fold)} of {FOLDS} of the held-out problems (held_out: 0 leaves the comparison out)"
