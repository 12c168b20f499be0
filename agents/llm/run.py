"""The loop of a run: iterate, evaluate, log, checkpoint, report."""

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlenvs.agents.llm.callbacks.base import Callback, RunState
from rlenvs.agents.llm.callbacks.several import Callbacks
from rlenvs.agents.llm.config import TrainConfig
from rlenvs.agents.llm.evaluation import HeldOutEvaluation
from rlenvs.agents.llm.examination import Examination
from rlenvs.agents.llm.trainer import PPOTrainer
from rlenvs.agents.reporting import RunPlan, TrainingView, write_report
from rlenvs.agents.runs.changes import plain_config
from rlenvs.agents.runs.checkpoint import save_checkpoint
from rlenvs.agents.runs.names import MODEL
from rlenvs.agents.runs.resuming import resume_command, say_how_to_go_on
from rlenvs.agents.runs.run_folder import RunFolder
from rlenvs.agents.runs.signals import INTERRUPTED
from rlenvs.errors import PeerError, RlenvsError
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
        interrupted: whether somebody stopped it before its last iteration, to go on later.
        stop_reason: why a callback ended it before its last iteration; empty where none did.
        exit_code: of a command that made the run: that of the signal that interrupted it, else 0.
    """

    run_dir: Path
    iterations: int = 0
    before: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    interrupted: bool = False
    stop_reason: str = ""
    exit_code: int = 0


class Run:
    """The loop around the trainer: evaluation, checkpoints, logs, callbacks, what a person sees.

    Args:
        folder: of the run.
        trainer: does the iterations.
        problems: held-out ones, to measure with.
        view: shows it.
        stop: asked after every iteration; True ends the run, to be resumed.
        callbacks: besides those of the configuration.
    """

    def __init__(
        self,
        folder: RunFolder[TrainConfig],
        trainer: PPOTrainer,
        problems: Sequence[Problem],
        view: TrainingView,
        stop: Callable[[], bool] | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self.folder = folder
        self.trainer = trainer
        self.config = folder.config
        self.view = view
        self.stop = stop or (lambda: False)
        self.processes = trainer.processes
        self.callbacks = Callbacks([*(entry.build() for entry in self.config.callbacks), *callbacks])
        self.state = RunState(trainer, folder if self.processes.is_main else None, self.config, view.log)
        self.evaluate = HeldOutEvaluation(
            Examination(self.config.env.id, self.config.env.kwargs, problems, rewards=self.config.evaluated_rewards()),
            trainer.collector.chat,
            self.config.rollout,
            self.config.seed,
        )
        self.result = RunResult(folder.path)
        self.started = time.perf_counter()
        self.elapsed_before = 0.0
        self.saved: int | None = None
        self.failed = False
        self.learning = False
        self.callback_states: list[dict[str, Any]] = []

    def go(self, state: Mapping[str, Any] | None = None) -> RunResult:
        """Run to the end, or until asked to stop.

        Args:
            state: of the checkpoint to go on from; None for a new run.

        Raises:
            RlenvsError: an iteration or a callback failed; logs, report and a checkpoint are there to go on from.
        """
        self._show_plan()
        try:
            self._begin(state)
            self.stop()  # from the first question on, there is a checkpoint to stop at
            while self._goes_on():
                self._iterate()
            self._end()
        except Exception as error:
            self._leave(error)
            raise
        finally:
            self.folder.close()
            self.trainer.engine.close()
        return self.result

    def _show_plan(self) -> None:
        self.view.start(
            RunPlan(
                name=self.config.name,
                run_dir=self.folder.path,
                iterations=self.config.ppo.iterations,
                components=self.trainer.envs.pipeline.names,
                device=str(self.trainer.policy.device),
                model=self.config.policy.model,
                parameters=self.trainer.policy.parameter_count(),
            )
        )

    def _goes_on(self) -> bool:
        over = self.trainer.iteration >= self.config.ppo.iterations
        return not (over or self.result.interrupted or self.state.stop_reason or self.failed)

    def _begin(self, state: Mapping[str, Any] | None) -> None:
        if state is not None:
            self._go_on_from(state)
            return
        if self.processes.is_main:
            self.folder.open_logs(note=self.view.log)
        self.callbacks.call("on_train_begin", self.state)
        self.view.phase("evaluating", f"{len(self.evaluate.examination.problems)} held-out problems")
        self.state.metrics = {"iteration": 0, "step": 0}
        self._evaluate()
        self.result.before = self.result.after
        self._log()
        self._agree()
        self._save()

    def _go_on_from(self, state: Mapping[str, Any]) -> None:
        if self.processes.is_main:
            self.folder.open_logs(state["log_sizes"], state["iteration"] + 1, self.view.log)
        self.result.before, self.result.after = state["before"], state["after"]
        self.elapsed_before = state["elapsed"]
        self.saved = self.state.iteration = state["iteration"]
        self.callbacks.load_state_dict(state["callbacks"], all_must_be_here=not state.get("callbacks_changed", False))
        self.state.stop_reason = state["stop_reason"]
        self.view.log(f"resumed after iteration {state['iteration']}")
        self.callbacks.call("on_train_begin", self.state)
        self._agree()

    def _iterate(self) -> None:
        state = self.state
        self.callback_states = copy.deepcopy(self.callbacks.state_dict())
        state.iteration = self.trainer.iteration + 1
        state.metrics, state.records, self.learning = {}, (), False
        self.callbacks.call("on_iteration_begin", state)
        metrics, state.records = self.trainer.iterate(self._rollout_ended)
        state.metrics = state.metrics | metrics
        self.callbacks.call("on_update_end", state)
        last = state.iteration == self.config.ppo.iterations
        if evaluated := last or state.iteration % self.config.evaluation.every == 0:
            self._evaluate()
        self.callbacks.call("on_iteration_end", state)
        self._agree(stop=not last and self.stop())
        if state.stop_reason and not evaluated:
            self._evaluate()  # the last iteration of a run always is
        if self.processes.is_main:
            self.folder.log_rollouts(state.records)
        self._log()
        if not self._goes_on() or state.iteration % self.config.output.checkpoint_every == 0:
            self._save()
            self._agree()

    def _agree(self, stop: bool = False) -> None:
        """Let all processes hear what one of them has heard: a signal, a callback that ends the run or has failed."""
        over = self.trainer.iteration >= self.config.ppo.iterations
        self.state.stop_reason = "" if over else self.processes.main_value(self.state.stop_reason)
        self.failed = self.processes.any(self.callbacks.failure is not None)
        # A signal may have reached one process only: all exit with the code that tells of it.
        code = getattr(self.stop, "exit_code", INTERRUPTED) if stop else 0
        codes = [code for code in self.processes.gather(code) if code]
        if codes and not self.state.stop_reason:
            self.result.interrupted, self.result.exit_code = True, min(codes)

    def _rollout_ended(self, metrics: dict[str, float], records: Sequence[Mapping[str, Any]]) -> None:
        self.learning = True
        self.state.metrics, self.state.records = dict(metrics), records
        self.callbacks.call("on_rollout_end", self.state)

    def _evaluate(self) -> None:
        trainer = self.trainer
        # In one process, so that the numbers are those of `rlenvs eval`, however many train.
        with self.processes.whole_weights(trainer.policy):
            self.result.after = self.processes.on_main(lambda: self.evaluate(trainer.policy, trainer.engine))
        self.state.metrics |= self.result.after
        self.callbacks.call("on_evaluation_end", self.state)

    def _end(self) -> None:
        """Leave model and report, and say what was reached."""
        self.state.save_model(MODEL)
        self.callbacks.call("on_train_end", self.state)
        self.result.iterations = self.trainer.iteration
        self.result.seconds = time.perf_counter() - self.started
        self.result.stop_reason = self.state.stop_reason
        if self.callbacks.failure is not None:
            raise self.callbacks.failure
        if self.failed:
            raise PeerError("a callback failed in another process of the run")
        if not self.processes.is_main:
            return
        self.folder.close()
        report = write_report(self.folder.path)
        summary: dict[str, object] = {"run folder": str(self.folder.path), "report": str(report)}
        for name in ("greedy", "sampled"):
            if f"accuracy/{name}" in self.result.after:
                summary[f"{name} accuracy"] = _change(self.result, f"accuracy/{name}")
            for component in self.config.evaluation.components:
                key = f"held_out/{component}/{name}"
                if key in self.result.before:  # a run that goes on may ask for more than it began with
                    summary[f"{name} {component}"] = _change(self.result, key, ".3g")
        summary["iterations"] = f"{self.result.iterations} of {self.config.ppo.iterations}"
        summary["time"] = f"{self.result.seconds:.0f} s"
        if self.result.stop_reason:
            summary["stopped"] = self.result.stop_reason
        if self.result.interrupted:
            summary["resume"] = resume_command(self.folder.path)
        self.view.finish(summary | self.state.summary)

    def _leave(self, error: Exception) -> None:
        """Leave what can be gone on from when something has failed, and say how."""
        unsaved = self.saved is not None and self.saved < self.trainer.iteration
        if unsaved and isinstance(error, RlenvsError) and not self.learning and self.processes.count == 1:
            # A rollout that fails leaves the trainer as it was, so nothing that was learned need be lost.
            with suppress(RlenvsError, OSError):  # the error at hand is the one to tell
                self._write_checkpoint(self.trainer.state_dict(), self.callback_states)
        if not self.processes.is_main:
            return
        self.folder.close()
        with suppress(RlenvsError, OSError):
            write_report(self.folder.path)
        if self.saved is not None:
            say_how_to_go_on(error, self.folder, self.view.log, self.state.iteration, "iteration")

    def _log(self) -> None:
        self.trainer.report(self.state.metrics)
        self.state.metrics["time/elapsed"] = self._elapsed()
        if self.processes.is_main:
            self.folder.log_metrics(self.state.metrics)
            self.view.update(self.state.metrics)

    def _save(self) -> None:
        """Save a checkpoint of this iteration; the state of all processes comes together in the main one."""
        trainer, callbacks = self.trainer.state_dict(), self.callbacks.state_dict()
        if self.processes.is_main:
            self._write_checkpoint(trainer, callbacks)
        self.saved = self.trainer.iteration
        self.callbacks.call("on_checkpoint_saved", self.state)

    def _write_checkpoint(self, trainer: Mapping[str, Any], callbacks: Sequence[Mapping[str, Any]]) -> None:
        save_checkpoint(
            self.folder.checkpoints,
            self.trainer.iteration,
            {
                "trainer": trainer,
                "callbacks": callbacks,
                "stop_reason": self.state.stop_reason,
                "engine": self.trainer.engine.name,
                "config": plain_config(self.config),
                "log_sizes": self.folder.log_sizes(),
                "before": self.result.before,
                "after": self.result.after,
                "elapsed": self._elapsed(),
            },
            self.config.output.keep_checkpoints,
        )

    def _elapsed(self) -> float:
        return self.elapsed_before + time.perf_counter() - self.started


def _change(result: RunResult, key: str, form: str = ".1%") -> str:
    return f"{result.before[key]:{form}} -> {result.after[key]:{form}}"
