"""The loop of a run: iterate, evaluate, log, checkpoint, report."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlenvs.agents.llm.checkpoint import save_checkpoint
from rlenvs.agents.llm.evaluation import Examination, HeldOutEvaluation
from rlenvs.agents.llm.run_folder import MODEL, RunFolder
from rlenvs.agents.llm.trainer import PPOTrainer
from rlenvs.agents.reporting import RunPlan, TrainingView, write_report
from rlenvs.problems import Problem


@dataclass(slots=True)
class RunResult:
    """What came of a run.

    Attributes:
        run_dir: its folder.
        iterations: iterations done.
        before: held-out accuracy before training.
        after: held-out accuracy at the end.
        seconds: wall-clock time of this process's part.
        interrupted: whether it was stopped before its last iteration.
    """

    run_dir: Path
    iterations: int = 0
    before: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    interrupted: bool = False


class Run:
    """The loop around the trainer: evaluation, checkpoints, logs, what a person sees."""

    def __init__(
        self,
        folder: RunFolder,
        trainer: PPOTrainer,
        problems: Sequence[Problem],
        view: TrainingView,
        stop: Callable[[], bool] | None,
    ) -> None:
        self.folder = folder
        self.trainer = trainer
        self.config = folder.config
        self.view = view
        self.stop = stop or (lambda: False)
        self.evaluate = HeldOutEvaluation(
            Examination(self.config.env.id, self.config.env.kwargs, problems),
            trainer.collector.chat,
            self.config.rollout,
            self.config.seed,
        )
        self.result = RunResult(folder.path)
        self.started = time.perf_counter()
        self.elapsed_before = 0.0

    def go(self, state: dict[str, Any] | None = None) -> RunResult:
        """Run to the end, or until asked to stop."""
        trainer = self.trainer
        self.view.start(
            RunPlan(
                name=self.config.name,
                run_dir=self.folder.path,
                iterations=self.config.ppo.iterations,
                components=trainer.envs.pipeline.names,
                device=str(trainer.policy.device),
                model=self.config.policy.model,
                parameters=trainer.policy.parameter_count(),
            )
        )
        try:
            self._begin(state)
            self.stop()  # from the first question on, there is a checkpoint to stop at
            while trainer.iteration < self.config.ppo.iterations and not self.result.interrupted:
                self._iterate()
            self._end()
        finally:
            self.folder.close()
        return self.result

    def _begin(self, state: dict[str, Any] | None) -> None:
        if state is not None:
            self.folder.open_logs(state["log_sizes"], state["iteration"] + 1)
            self.result.before, self.result.after = state["before"], state["after"]
            self.elapsed_before = state["elapsed"]
            self.view.log(f"resumed after iteration {state['iteration']}")
            return
        self.folder.open_logs()
        self.view.phase("evaluating", f"{len(self.evaluate.examination.problems)} held-out problems")
        self.result.before = self.result.after = self.evaluate(self.trainer.policy, self.trainer.engine)
        before = {"iteration": 0, "step": 0} | self.result.before
        self.trainer.report(before)
        self._log(before)
        self._save()

    def _iterate(self) -> None:
        metrics, records = self.trainer.iterate()
        done = self.trainer.iteration
        last = done == self.config.ppo.iterations
        if last or done % self.config.evaluation.every == 0:
            self.result.after = self.evaluate(self.trainer.policy, self.trainer.engine)
            metrics |= self.result.after
        self.trainer.report(metrics)
        self.folder.log_rollouts(records)
        self._log(metrics)
        self.result.interrupted = not last and self.stop()
        if last or self.result.interrupted or done % self.config.output.checkpoint_every == 0:
            self._save()

    def _end(self) -> None:
        self.result.iterations = self.trainer.iteration
        self.result.seconds = time.perf_counter() - self.started
        self.trainer.policy.save(self.folder.path / MODEL)
        self.folder.close()
        report = write_report(self.folder.path)
        summary: dict[str, object] = {
            "run folder": str(self.folder.path),
            "report": str(report),
            "greedy accuracy": _change(self.result, "accuracy/greedy"),
            "sampled accuracy": _change(self.result, "accuracy/sampled"),
            "iterations": f"{self.result.iterations} of {self.config.ppo.iterations}",
            "time": f"{self.result.seconds:.0f} s",
        }
        if self.result.interrupted:
            summary["resume"] = f"rlenvs train --resume {self.folder.path}"
        self.view.finish(summary)

    def _log(self, metrics: dict[str, float]) -> None:
        metrics = metrics | {"time/elapsed": self._elapsed()}
        self.folder.log_metrics(metrics)
        self.view.update(metrics)

    def _save(self) -> None:
        save_checkpoint(
            self.folder.checkpoints,
            self.trainer.iteration,
            {
                "trainer": self.trainer.state_dict(),
                "engine": self.trainer.engine.name,
                "log_sizes": self.folder.log_sizes(),
                "before": self.result.before,
                "after": self.result.after,
                "elapsed": self._elapsed(),
            },
            self.config.output.keep_checkpoints,
        )

    def _elapsed(self) -> float:
        return self.elapsed_before + time.perf_counter() - self.started


def _change(result: RunResult, key: str) -> str:
    return f"{result.before[key]:.1%} -> {result.after[key]:.1%}"
