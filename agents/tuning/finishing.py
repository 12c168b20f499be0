"""What is left behind when a study ends: its best configuration, whether that holds, its trials, its page."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import RootModel

from rlenvs.agents.runs.names import CONFIG
from rlenvs.agents.tuning.study_folder import (
    BEST_CONFIG,
    COMPARISON,
    FRONT,
    REPORT,
    TRIAL_ROWS,
    StudyFolder,
)
from rlenvs.config_file import dump_config

if TYPE_CHECKING:
    from pathlib import Path

    import optuna

    from rlenvs.agents.tuning.report.study import StudyView, TrialView
    from rlenvs.agents.tuning.trial_config import TrialConfigs

__all__ = ["compare_with_base", "view_in", "write_best", "write_page", "write_trials"]


def view_in(folder: StudyFolder, study: "optuna.Study") -> "StudyView":
    """Return what a study says, its objectives called as the configuration calls them."""
    from rlenvs.agents.tuning.report.study import view_of_study

    return view_of_study(study, [metric.name for metric in folder.config.objective.metrics])


def write_best(folder: StudyFolder, view: "StudyView", configs: "TrialConfigs") -> "list[Path]":
    """Write the configuration of the best trial, or with several objectives of each on the Pareto front.

    Returns:
        The files; none where no trial is complete.
    """
    if len(view.maximize) == 1:
        return [_write_config(folder, BEST_CONFIG, view, trial, configs) for trial in view.front]
    return [
        _write_config(folder, f"{FRONT}/trial-{trial.number:04d}.yaml", view, trial, configs) for trial in view.front
    ]


def _write_config(
    folder: StudyFolder, name: str, view: "StudyView", trial: "TrialView", configs: "TrialConfigs"
) -> "Path":
    values = ", ".join(f"{metric} {value:.6g}" for metric, value in zip(view.objectives, trial.values, strict=True))
    head = f"# trial {trial.number} of study {view.name}: {values}\n"
    drawn = "".join(f"#   {key} = {json.dumps(value)}\n" for key, value in trial.params.items())
    config = configs.generate_from_params(trial.params)
    return folder.write(name, f"{head}{drawn}{dump_config(RootModel[dict[str, Any]](config))}")


def compare_with_base(
    folder: StudyFolder, view: "StudyView", configs: "TrialConfigs", note: Callable[[str], None]
) -> dict[str, Any] | None:
    """Measure the best configuration and the base on seeds that no trial has used, and keep it in the folder.

    Args:
        folder: of the study.
        view: the study.
        configs: from parameters to a configuration.
        note: shows one line, before what takes long.

    Returns:
        The comparison as plain data, that of an earlier session where it still holds; None with several objectives,
        where no trial is complete, or where none is asked for.
    """
    objective = folder.config.objective
    seeds = objective.fresh_seeds(folder.config.fresh_seeds)
    if len(view.maximize) > 1 or not view.front or not seeds:
        return None
    stored = stored_comparison(folder)
    if stored is not None and (stored.get("trial"), stored.get("seeds")) == (view.front[0].number, list(seeds)):
        return stored
    from rlenvs.agents.tuning.comparison import compare_on_fresh_seeds

    unit = "unseen part" if objective.kind == "offline" else "fresh seed"
    note(f"measuring base and best configuration on {len(seeds)} {unit}{'s' if len(seeds) > 1 else ''}")
    best = configs.generate_from_params(view.front[0].params)
    measure = objective.measure(folder.path)
    comparison = compare_on_fresh_seeds(configs.base, best, measure, objective.metrics[0].name, seeds)
    data = {"trial": view.front[0].number, "unit": unit, **comparison.to_dict()}
    folder.write(COMPARISON, json.dumps(data, indent=2) + "\n")
    return data


def write_trials(folder: StudyFolder, view: "StudyView") -> "Path":
    """Write one JSON object per trial that counts."""
    rows = [
        {
            "trial": trial.number,
            "state": trial.state,
            "values": dict(zip(view.objectives, trial.values, strict=False)),
            "params": dict(trial.params),
            "seconds": trial.seconds,
            **({"failure": trial.failure} if trial.failure else {}),
            **({"violated": list(trial.violated)} if trial.violated else {}),
            **({"retry_of": trial.retry_of} if trial.retry_of is not None else {}),
        }
        for trial in view.trials
        if trial.state != "waiting"
    ]
    return folder.write(TRIAL_ROWS, "".join(json.dumps(row) + "\n" for row in rows))


def write_page(folder: StudyFolder, study: "optuna.Study") -> "Path":
    """Write the report of the study as it stands."""
    from rlenvs.agents.tuning.report import About, render_study

    config = folder.config
    best = [trial.number for trial in view_in(folder, study).front]
    comparison = stored_comparison(folder)
    if comparison is not None and [comparison.get("trial")] != best:
        comparison = None  # of a trial that a later one has surpassed
    facts = [
        ("sampler", config.sampler.name),
        ("pruner", config.pruner.name),
        ("seed", str(config.seed)),
        ("of", f"{config.n_trials} trials"),
    ]
    text = (folder / CONFIG).read_text(encoding="utf-8", errors="replace") if (folder / CONFIG).is_file() else None
    about = About(
        name=config.name,
        objectives=[metric.name for metric in config.objective.metrics],
        facts=facts,
        base=base_values(folder),
        comparison=comparison,
        config=text,
    )
    return folder.write(REPORT, render_study(study, about))


def base_values(folder: StudyFolder) -> dict[str, Any]:
    """Return what the base has where a parameter sets a plain value; others are left out."""
    from rlenvs.agents.tuning.space import SearchSpace

    found = {}
    base = folder.config.base
    for leaf in SearchSpace.parse(folder.config.search_space).leaves:
        value: Any = base
        for key in leaf.path:
            value = value.get(key, _ABSENT) if isinstance(value, Mapping) else _ABSENT
        if value is None or isinstance(value, str | int | float):
            found[leaf.name] = value
    return found


_ABSENT = object()


def stored_comparison(folder: StudyFolder) -> dict[str, Any] | None:
    """Return what `comparison.json` holds; None where there is none that can be read."""
    try:
        data = json.loads((folder / COMPARISON).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None
