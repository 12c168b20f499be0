"""Does tuning find what is planted: a guide that helps, one that does nothing, and one that harms.

    python benchmarks/planted.py [--studies 3] [--samplers tpe random] [--config planted.yaml] [key=value ...]

Each study tunes the three weights of configs/tune/planted.yaml with training seeds of its own, in this process and with
one thread. Its best configuration is then measured against the hand-set base on seeds that no trial of any study has
used. A study has found what is planted when the harmful weight of its best trial lies in the lowest tenth of its range,
the 95 % interval of the gain lies above zero, and its trials took less than 15 minutes of CPU. Random search gets the
same number of trials, and the same runs for each.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from rlenvs.agents.tuning.comparison import Comparison, paired_comparison
from rlenvs.agents.tuning.config import TuneConfig
from rlenvs.agents.tuning.engine.plan import StudyPlan
from rlenvs.agents.tuning.engine.running import run_study
from rlenvs.agents.tuning.engine.samplers import SamplerConfig
from rlenvs.agents.tuning.objective_call import TrialFunction
from rlenvs.agents.tuning.objectives.config import SB3Objective
from rlenvs.agents.tuning.objectives.sb3 import sb3_objective
from rlenvs.agents.tuning.result import TuningResult
from rlenvs.agents.tuning.space import SearchSpace
from rlenvs.agents.tuning.trial_config import TrialConfigs

HARMFUL = "haste"
FRESH = 10_000
CPU_MINUTES = 15.0


@dataclass(frozen=True)
class Found:
    """What a study came to.

    Attributes:
        sampler: who proposed parameters.
        study: number of the study, from 0.
        params: of the best trial.
        share: where the harmful weight lies in its range, in [0, 1].
        value: of the best trial, over the seeds that trials train with.
        comparison: best against base on fresh seeds.
        cpu_seconds: of the trials.
        pruned: trials that ended early.
        first: number of trials until one had its harmful weight in the lowest tenth and was not pruned.
    """

    sampler: str
    study: int
    params: dict[str, float]
    share: float
    value: float
    comparison: Comparison
    cpu_seconds: float
    pruned: int
    first: int | None

    @property
    def holds(self) -> bool:
        """Whether the study has found what is planted."""
        low = self.comparison.low
        return self.share <= 0.1 and low is not None and low > 0.0 and self.cpu_seconds <= 60.0 * CPU_MINUTES


class Bench:
    """Studies of one configuration.

    Args:
        config: of the study.
        fresh: fresh seeds of each study.
    """

    def __init__(self, config: TuneConfig, fresh: int) -> None:
        assert isinstance(config.objective, SB3Objective)
        self.config, self.objective = config, config.objective
        self.configs = TrialConfigs(config.base, SearchSpace.parse(config.search_space))  # type: ignore[arg-type]
        self.objective.check(self.configs.base, self.configs.space)
        self.fresh = fresh
        self.measure = self.objective.measure(Path())
        self.base_values: dict[int, list[float]] = {}

    def study(self, sampler: str, number: int) -> Found:
        """Run a study, and measure what it found."""
        started = time.process_time()
        config, runs = self.config, self.objective.seeds
        count = runs if isinstance(runs, int) else len(runs)
        seeds = [100 * number + seed for seed in range(count)]
        metric = self.objective.metrics[0].name
        plan = StudyPlan(
            f"planted-{sampler}-{number}",
            n_trials=config.n_trials,
            seed=number,
            sampler=config.sampler if sampler == config.sampler.name else SamplerConfig(name=sampler),  # type: ignore[arg-type]
            pruner=config.pruner,
        )
        result = TuningResult(
            run_study(plan, TrialFunction(sb3_objective, {"metric": metric, "seeds": seeds}, self.configs)),
            self.configs,
        )
        seconds = time.process_time() - started
        trials = result.study.get_trials(deepcopy=False)
        good = [t.number for t in trials if t.state.name == "COMPLETE" and self.share(t.params) <= 0.1]
        return Found(
            sampler,
            number,
            result.best_params,
            self.share(result.best_params),
            result.best_value,
            self.compare(result.best_config, number),
            seconds,
            sum(t.state.name == "PRUNED" for t in trials),
            min(good) + 1 if good else None,
        )

    def share(self, params: dict[str, Any]) -> float:
        """Return where the harmful weight lies in its range."""
        (tuned,) = (leaf.spec for leaf in self.configs.space.leaves if leaf.name == HARMFUL)
        low, high = tuned.low, tuned.high  # type: ignore[union-attr]
        return float((params[HARMFUL] - low) / (high - low))

    def compare(self, best: dict[str, Any], number: int) -> Comparison:
        """Measure a configuration and the base on seeds that belong to a study."""
        seeds = [FRESH + 100 * number + index for index in range(self.fresh)]
        metric = self.objective.metrics[0].name
        if number not in self.base_values:
            self.base_values[number] = [self.measure(self.configs.base, seed)[metric] for seed in seeds]
        values = [self.measure(best, seed)[metric] for seed in seeds]
        return paired_comparison(metric, seeds, self.base_values[number], values)


def line(found: Found) -> str:
    """Return a study as a row of a table."""
    compared = found.comparison
    low, high = compared.low or 0.0, compared.high or 0.0
    weights = " | ".join(f"{found.params[name]:.3f}" for name in ("progress", "topic", HARMFUL))
    base, best = (sum(values) / len(values) for values in (compared.base, compared.best))
    return (
        f"| {found.sampler} | {found.study} | {weights} | {found.value:.3f} | {base:.3f} | {best:.3f} | "
        f"{compared.mean:+.3f} [{low:+.3f}, {high:+.3f}] | {found.cpu_seconds / 60:.1f} | {found.pruned} | "
        f"{found.first or '-'} | {'yes' if found.holds else 'no'} |"
    )


COLUMNS = (
    "sampler", "study", "progress", "topic", "haste", "best trial", "base, fresh", "best, fresh", "gain, 95 %",
    "CPU min", "pruned", "tenth at", "found",
)  # fmt: skip
HEAD = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=3, help="studies of each sampler")
    parser.add_argument("--first", type=int, default=0, help="number of the first study")
    parser.add_argument("--samplers", nargs="+", default=["tpe", "random"], help="who proposes parameters")
    parser.add_argument("--fresh", type=int, default=8, help="fresh seeds of each comparison")
    parser.add_argument("--config", type=Path, help="study to run (default: the shipped planted.yaml)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="append one JSON object per study here")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings of the study")
    args = parser.parse_intermixed_args(arguments)
    shipped = resources.files("rlenvs.configs") / "tune" / "planted.yaml"
    with resources.as_file(shipped) as path:
        bench = Bench(TuneConfig.load(args.config or path, args.overrides), args.fresh)
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, one process, one thread")
    print(HEAD)
    for number in range(args.first, args.first + args.studies):
        for sampler in args.samplers:
            found = bench.study(sampler, number)
            print(line(found), flush=True)
            if args.json:
                with args.json.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(found) | {"holds": found.holds}) + "\n")


if __name__ == "__main__":
    main()
