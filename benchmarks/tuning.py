"""What a study costs beside its objective, and what worker processes gain, in one run.

    python benchmarks/tuning.py [--quick] [--postgres URL]

*Overhead*: trials that do nothing but draw four parameters and report five values, asking after each whether to go on.
Everything that takes is overhead, but for what the sampler thinks: next to nothing for `random`, milliseconds for
`tpe`, as its line in memory shows. Beside it, the same trials by Optuna's own loop on the same storage, with a plain
file journal, without tickets, signatures and signs of life. Contestants take turns, so that a machine that slows down
slows all of them. Figures are medians over the rounds with their range, ratios are medians of the ratios of a round.

*Workers*: trials that sleep, by one process and by several, from the call to the return, start of the workers included.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import optuna

from rlenvs.agents.tuning.engine.plan import StudyPlan
from rlenvs.agents.tuning.engine.pruners import PrunerConfig
from rlenvs.agents.tuning.engine.running import run_study
from rlenvs.agents.tuning.engine.samplers import SamplerConfig
from rlenvs.agents.tuning.engine.storage import close_storage, open_storage

OVERHEAD_GOAL_MS = 10.0
SPEED_UP_GOAL = 3.5
REPORTS = 5


def empty_trial(trial: optuna.Trial) -> float:
    """Draw and report, and do nothing else."""
    x = trial.suggest_float("x", -1, 1)
    y = trial.suggest_float("y", 1e-5, 1, log=True)
    n = trial.suggest_int("n", 1, 10)
    kind = trial.suggest_categorical("kind", ["a", "b", "c"])
    for step in range(REPORTS):
        trial.report(x + step, step)
        trial.should_prune()
    return x * y * n + len(kind)


def ours(url: str, sampler: str, trials: int) -> float:
    """Run a study; return milliseconds per trial."""
    plan = StudyPlan(
        "ours", url, n_trials=trials, sampler=SamplerConfig(name=sampler), pruner=PrunerConfig(name="none")
    )
    began = time.perf_counter()
    study = run_study(plan, empty_trial)
    took = time.perf_counter() - began
    assert len(study.trials) == trials
    close_storage(study._storage)
    return 1e3 * took / trials


def plain(url: str, sampler: str, trials: int) -> float:
    """Run the same study by Optuna's own loop; return milliseconds per trial."""
    began = time.perf_counter()
    if url.startswith("journal:"):
        backend = optuna.storages.journal.JournalFileBackend(url.removeprefix("journal:"))
        storage: optuna.storages.BaseStorage = optuna.storages.JournalStorage(backend)
    elif url == "memory":
        storage = optuna.storages.InMemoryStorage()
    else:
        storage = open_storage(url)
    study = optuna.create_study(
        storage=storage,
        study_name="plain",
        direction="maximize",
        sampler=SamplerConfig(name=sampler).build(0),
        pruner=optuna.pruners.NopPruner(),
    )
    study.optimize(empty_trial, n_trials=trials)
    took = time.perf_counter() - began
    close_storage(storage)
    return 1e3 * took / trials


def row(values: list[float]) -> str:
    """Show a median and its range."""
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def overhead(rounds: int, trials: int, postgres: str | None) -> None:
    """Print milliseconds per trial, by storage and sampler."""
    print(f"## Overhead, ms per trial ({trials} trials, {REPORTS} reports each, {rounds} rounds)\n")
    print("| storage | sampler | ours | of it on the CPU | Optuna's loop | ratio |\n|---|---|---|---|---|---|")
    cases = [("memory", "random"), ("memory", "tpe"), ("journal", "random"), ("journal", "tpe"), ("sqlite", "random")]
    cases += [("postgresql", "random")] if postgres else []
    for kind, sampler in cases:
        contestants: dict[str, Callable[[str, str, int], float]] = {"ours": ours, "plain": plain}
        taken: dict[str, list[float]] = {name: [] for name in contestants}
        busy: dict[str, list[float]] = {name: [] for name in contestants}
        for round_number in range(rounds):
            for name, contestant in sorted(contestants.items(), reverse=bool(round_number % 2)):
                with tempfile.TemporaryDirectory() as folder:
                    url = {
                        "memory": "memory",
                        "journal": f"journal:{folder}/study.log",
                        "sqlite": f"sqlite:///{folder}/study.db",
                        "postgresql": postgres or "",
                    }[kind]
                    began = time.process_time()
                    taken[name].append(contestant(url, sampler, trials))
                    busy[name].append(1e3 * (time.process_time() - began) / trials)
                    if kind == "postgresql":
                        forget(url, name)
        ratios = [mine / theirs for mine, theirs in zip(taken["ours"], taken["plain"], strict=True)]
        goal = ""
        if (kind, sampler) == ("journal", "random"):
            goal = " ok" if statistics.median(taken["ours"]) < OVERHEAD_GOAL_MS else f" MISSES {OVERHEAD_GOAL_MS} ms"
        cells = [kind, sampler, row(taken["ours"]) + goal, row(busy["ours"]), row(taken["plain"])]
        cells.append(f"{statistics.median(ratios):.2f}")
        print(f"| {' | '.join(cells)} |", flush=True)


def forget(url: str, name: str) -> None:
    """Take a study out of a database that outlives it."""
    storage = open_storage(url)
    optuna.delete_study(study_name=name, storage=storage)
    close_storage(storage)


def workers(rounds: int, trials: int, seconds: float) -> None:
    """Print how much faster several workers finish trials that sleep."""
    print(f"\n## Workers, {trials} trials that sleep {seconds} s ({rounds} rounds)\n")
    print("| workers | s | times one |\n|---|---|---|")
    taken: dict[int, list[float]] = {1: [], 2: [], 4: []}

    def sleep(trial: optuna.Trial) -> float:
        time.sleep(seconds)
        return trial.suggest_float("x", 0, 1)

    for _ in range(rounds):
        for count in taken:
            with tempfile.TemporaryDirectory() as folder:
                plan = StudyPlan(
                    "sleep", f"journal:{folder}/study.log", n_trials=trials, sampler=SamplerConfig(name="random")
                )
                began = time.perf_counter()
                run_study(plan, sleep, workers=count)
                taken[count].append(time.perf_counter() - began)
    for count, values in taken.items():
        ratio = statistics.median([one / many for one, many in zip(taken[1], values, strict=True)])
        goal = ""
        if count == 4:
            goal = " ok" if ratio >= SPEED_UP_GOAL else f" MISSES {SPEED_UP_GOAL}"
        print(f"| {count} | {row(values)} | {ratio:.2f}{goal} |", flush=True)


def machine(folder: Path) -> str:
    """Say what this runs on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    load = os.getloadavg()[0]
    syncs = []
    with (folder / "probe").open("wb") as file:
        for _ in range(20):
            file.write(b"x" * 200)
            file.flush()
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            syncs.append(1e3 * (time.perf_counter() - began))
    return (
        f"{os.cpu_count()} cores of {name}, load {load:.1f}; "
        f"a write reaches the disk in {statistics.median(syncs):.2f} ms; "
        f"Python {platform.python_version()}, Optuna {optuna.__version__}"
    )


def main() -> None:
    """Run every comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: a check, not a measurement")
    parser.add_argument("--postgres", metavar="URL", help="an empty database to measure, too")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    with tempfile.TemporaryDirectory() as folder:
        print(f"{machine(Path(folder))}\n")
    if arguments.quick:
        overhead(1, 20, arguments.postgres)
        workers(1, 8, 0.1)
    else:
        overhead(5, 100, arguments.postgres)
        workers(2, 120, 0.5)


if __name__ == "__main__":
    main()
