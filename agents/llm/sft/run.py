"""The loop of a supervised run: learn, evaluate, log, checkpoint, report."""

import shlex
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlenvs.agents.llm.engines import Engine
from rlenvs.agents.llm.evaluation import HeldOutEvaluation
from rlenvs.agents.llm.sft.config import SFTConfig
from rlenvs.agents.llm.sft.imitation import Metrics
from rlenvs.agents.llm.sft.target import TargetWatch
from rlenvs.agents.llm.sft.trainer import SFTTrainer
from rlenvs.agents.reporting import RunPlan, TrainingView, write_report
from rlenvs.agents.runs.checkpoint import save_checkpoint
from rlenvs.agents.runs.names import MODEL
from rlenvs.agents.runs.resuming import resume_command, say_how_to_go_on
from rlenvs.agents.runs.run_folder import RunFolder
from rlenvs.agents.runs.signals import INTERRUPTED
from rlenvs.errors import RlenvsError


@dataclass(slots=True)
class SFTResult:
    """What came of a supervised run.

    Attributes:
        run_dir: its folder.
        steps: optimiser steps taken.
        before: held-out loss, and accuracy where there is an environment, before training.
        after: the same at the end.
        seconds: wall-clock time of this process's part.
        interrupted: whether it was stopped before its end.
        exit_code: of a command that made the run: that of the signal that interrupted it, else 0.
        reached_target: whether it ended because its target accuracy was reached.
    """

    run_dir: Path
    steps: int = 0
    before: Metrics = field(default_factory=dict)
    after: Metrics = field(default_factory=dict)
    seconds: float = 0.0
    interrupted: bool = False
    exit_code: int = 0
    reached_target: bool = False


class SFTRun:
    """The loop around the trainer.

    Args:
        folder: where everything goes.
        trainer: takes the steps.
        engine: samples the answers that are graded; None without an environment.
        evaluate: accuracy on held-out problems; None without an environment.
        watch: ends the run where the policy is good enough.
        view: shows it.
        stop: asked after every step.
    """

    def __init__(
        self,
        folder: RunFolder[SFTConfig],
        trainer: SFTTrainer,
        engine: Engine | None,
        evaluate: HeldOutEvaluation | None,
        watch: TargetWatch | None,
        view: TrainingView,
        stop: Callable[[], bool] | None,
    ) -> None:
        self.folder = folder
        self.config = folder.config
        self.trainer = trainer
        self.processes = trainer.processes
        self.engine = engine
        self.evaluate = evaluate
        self.watch = watch
        self.view = view
        self.stop = stop or (lambda: False)
        self.result = SFTResult(folder.path)
        self.started = time.perf_counter()
        self.elapsed_before = 0.0

    def go(self, state: dict[str, Any] | None = None) -> SFTResult:
        """Run to the end, until the target is reached, or until asked to stop."""
        trainer = self.trainer
        self.view.start(
            RunPlan(
                name=self.config.name,
                run_dir=self.folder.path,
                iterations=trainer.total_steps,
                device=str(trainer.policy.device),
                model=self.config.policy.model,
                parameters=trainer.policy.parameter_count(),
            )
        )
        try:
            self._begin(state)
            self.stop()  # from the first question on, there is a checkpoint to stop at
            while not (self._is_over() or self.result.interrupted):
                self._step()
            self._end()
        except Exception as error:
            self._leave(error)
            raise
        finally:
            self.folder.close()
            if self.engine is not None:
                self.engine.close()
        return self.result

    def _is_over(self) -> bool:
        return self.result.reached_target or self.trainer.steps >= self.trainer.total_steps

    def _begin(self, state: dict[str, Any] | None) -> None:
        if state is not None:
            if self.processes.is_main:
                self.folder.open_logs(state["log_sizes"], state["iteration"] + 1, self.view.log)
            self.result.before, self.result.after = state["before"], state["after"]
            self.result.reached_target = state["reached_target"]
            self.elapsed_before = state["elapsed"]
            self.view.log(f"resumed after step {state['iteration']}")
            return
        if self.processes.is_main:
            self.folder.open_logs(note=self.view.log)
        data = self.trainer.demonstrations
        aside = f", {len(data.held_out)} set aside to measure the loss" if data.held_out else ""
        left_out = f", {data.left_out} left out: longer than the context" if data.left_out else ""
        self.view.log(f"{len(data.learned)} demonstrations to learn from{aside}{left_out}")
        self.view.phase("evaluating", "before the first step")
        self.result.before = self.result.after = self._measure()
        self._log({"iteration": 0, "epoch": 0.0, "tokens": 0} | self.result.before)
        self._save()

    def _step(self) -> None:
        metrics = self.trainer.step()
        done = self.trainer.steps
        if self.watch is not None and self.watch.is_due(done):
            metrics["accuracy/train"], self.result.reached_target = self.watch.check()
        over = self._is_over()
        if over or done % self.config.evaluation.every == 0:
            self.result.after = self._measure()
            metrics |= self.result.after
        self._log(metrics)
        self._hear(not over and self.stop())
        if over or self.result.interrupted or done % self.config.output.checkpoint_every == 0:
            self._save()

    def _hear(self, stop: bool) -> None:
        """Let all processes hear the signal that one of them has heard."""
        code = getattr(self.stop, "exit_code", INTERRUPTED) if stop else 0
        if codes := [found for found in self.processes.gather(code) if found]:
            self.result.interrupted, self.result.exit_code = True, min(codes)

    def _measure(self) -> Metrics:
        """Loss on demonstrations that are set aside, accuracy on held-out problems."""
        metrics = self.trainer.held_out_loss()
        if self.evaluate is not None and self.engine is not None:
            self.engine.sync(self.trainer.policy)
            metrics |= self.processes.main_value(self.evaluate(self.trainer.policy, self.engine))
        return metrics

    def _end(self) -> None:
        self.result.steps = self.trainer.steps
        self.result.seconds = time.perf_counter() - self.started
        if not self.processes.is_main:
            return
        self.trainer.policy.save(self.folder.path / MODEL)
        self.folder.close()
        summary: dict[str, object] = {
            "run folder": str(self.folder.path),
            "report": str(write_report(self.folder.path)),
        }
        if "loss/held_out" in self.result.after:
            before, after = (found["loss/held_out"] for found in (self.result.before, self.result.after))
            summary["held-out loss"] = f"{before:.3f} -> {after:.3f} nats per token"
        for name in ("greedy", "sampled"):
            if f"accuracy/{name}" in self.result.after:
                before, after = (found[f"accuracy/{name}"] for found in (self.result.before, self.result.after))
                summary[f"{name} accuracy"] = f"{before:.1%} -> {after:.1%}"
        reached = " (target accuracy reached)" if self.result.reached_target else ""
        summary["steps"] = f"{self.result.steps} of {self.trainer.total_steps}{reached}"
        summary["time"] = f"{self.result.seconds:.0f} s"
        if self.watch is not None and not self.result.reached_target and not self.result.interrupted:
            summary["target"] = f"not reached: {self.watch.best:.1%} of {self.config.sft.target_accuracy:.1%}"
        if self.result.interrupted:
            summary["resume"] = resume_command(self.folder.path, "sft")
        else:
            summary["next"] = f"rlenvs train policy.model={shlex.quote(str(self.folder.path / MODEL))}"
        self.view.finish(summary)

    def _leave(self, error: Exception) -> None:
        """Close what is open, and say how to go on after something has failed."""
        if not self.processes.is_main:
            return
        self.folder.close()
        with suppress(RlenvsError, OSError):  # the error at hand is the one to tell
            write_report(self.folder.path)
        say_how_to_go_on(error, self.folder, self.view.log, self.trainer.steps + 1, "step", "sft")

    def _log(self, metrics: Metrics) -> None:
        if not self.processes.is_main:
            return
        metrics = metrics | {"time/elapsed": self._elapsed()}
        self.folder.log_metrics(metrics)
        self.view.update(metrics)

    def _save(self) -> None:
        if not self.processes.is_main:
            return
        save_checkpoint(
            self.folder.checkpoints,
            self.trainer.steps,
            {
                "trainer": self.trainer.state_dict(),
                "watch": None if self.watch is None else self.watch.state_dict(),
                "engine": None if self.engine is None else self.engine.name,
                "log_sizes": self.folder.log_sizes(),
                "before": self.result.before,
                "after": self.result.after,
                "reached_target": self.result.reached_target,
                "elapsed": self._elapsed(),
            },
            self.config.output.keep_checkpoints,
        )

    def _elapsed(self) -> float:
        return self.elapsed_before + time.perf_counter() - self.started
