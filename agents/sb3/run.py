"""The run around `model.learn`: iterations, evaluation, logs, checkpoints, report."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from rlenvs.agents.reporting import RunPlan, TrainingView, write_report
from rlenvs.agents.runs.changes import plain_config
from rlenvs.agents.runs.checkpoint import save_checkpoint
from rlenvs.agents.runs.names import MODEL
from rlenvs.agents.runs.resuming import resume_command, say_how_to_go_on
from rlenvs.agents.runs.run_folder import RunFolder
from rlenvs.agents.runs.signals import INTERRUPTED
from rlenvs.agents.sb3.callbacks import RewardComponentsCallback, RewardScheduleCallback
from rlenvs.agents.sb3.config import SB3TrainConfig
from rlenvs.agents.sb3.evaluation import HeldOutEvaluation
from rlenvs.agents.sb3.metrics import run_metrics
from rlenvs.agents.sb3.records import EpisodeRecorder
from rlenvs.agents.sb3.stack import EnvStack
from rlenvs.agents.sb3.state import algorithm_state, load_algorithm_state, load_random_state, random_state
from rlenvs.errors import RlenvsError, TrainingDivergedError

MODEL_FILE = "model.zip"


@dataclass(slots=True)
class SB3RunResult:
    """What came of a run.

    Attributes:
        run_dir: its folder.
        timesteps: environment steps done.
        before: held-out metrics before training.
        after: held-out metrics at the end.
        seconds: wall-clock time of this process's part.
        interrupted: whether somebody stopped it before its end, to go on later.
        exit_code: of a command that made the run: that of the signal that interrupted it, else 0.
    """

    run_dir: Path
    timesteps: int = 0
    before: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    interrupted: bool = False
    exit_code: int = 0


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Let torch compute with that many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class StopLearning(Exception):  # noqa: N818 - no error: the run was asked to end
    """Leaves `model.learn` between two rounds, where nothing is half done."""


def check_finite(model: BaseAlgorithm) -> None:
    """Refuse to go on with a policy that no longer computes anything.

    Raises:
        TrainingDivergedError: a weight is NaN or infinite.
    """
    if not all(bool(torch.isfinite(parameter).all()) for parameter in model.policy.parameters()):
        raise TrainingDivergedError(
            f"an update at step {model.num_timesteps:,} made weights of the policy NaN or infinite: lower "
            "algorithm.learning_rate or algorithm.max_grad_norm"
        )


class Rounds(BaseCallback):
    """Tells a run where rounds begin and end.

    An algorithm calls nobody behind an update; what comes next is the start of a rollout or the end of training, and
    there all of its state is at rest.

    Args:
        run: is told.
    """

    def __init__(self, run: "Run") -> None:
        super().__init__()
        self.run = run

    def _on_training_start(self) -> None:
        self.run.begin()

    def _on_rollout_start(self) -> None:
        self.run.between_rounds()

    def _on_rollout_end(self) -> None:
        self.run.collected()

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self.run.between_rounds()


class Run:
    """The loop of a run, which is that of `model.learn`.

    Args:
        folder: of the run.
        model: learns.
        stack: what it learns in.
        evaluate: measures it on held-out problems.
        view: shows the run.
        stop: asked after every iteration; True ends the run, to be resumed.
        state: of the checkpoint to go on from; None for a new run.
    """

    def __init__(
        self,
        folder: RunFolder[SB3TrainConfig],
        model: BaseAlgorithm,
        stack: EnvStack,
        evaluate: HeldOutEvaluation,
        view: TrainingView,
        stop: Callable[[], bool] | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self.config = folder.config
        self.model = model
        self.stack = stack
        self.evaluate = evaluate
        self.view = view
        self.stop = stop or (lambda: False)
        self.resumed_from = state
        self.recorder = EpisodeRecorder(stack.adapter, self.config.output.rollouts)
        self.components = RewardComponentsCallback(on_step=self.recorder.see)
        self.result = SB3RunResult(folder.path)
        self.iteration = self.rounds = self.steps_before = 0
        self.elapsed_before = 0.0
        self.started = self.round_started = time.perf_counter()
        self.collecting_ended: float | None = None
        self.times = dict.fromkeys(("time/rollout", "time/update", "time/env"), 0.0)
        self.env_seconds = 0.0

    def go(self) -> SB3RunResult:
        """Train to the end, or until asked to stop.

        Raises:
            RlenvsError: a reward component or an environment failed; logs, report and a checkpoint are there.
        """
        with cpu_threads(self.config.threads):
            return self._go()

    def _go(self) -> SB3RunResult:
        self._show_plan()
        logger = Logger(folder=None, output_formats=[])
        self.model.set_logger(logger)
        try:
            if self.resumed_from is not None:
                self._restore(self.resumed_from)
            with suppress(StopLearning):
                self.model.learn(
                    self.config.algorithm.total_timesteps - self.model.num_timesteps,
                    callback=self._callbacks(),
                    log_interval=None,  # type: ignore[arg-type]  # None: the run writes the log
                    reset_num_timesteps=self.resumed_from is None,
                )
            self._end()
        except Exception as error:
            self._leave(error)
            raise
        finally:
            self.folder.close()
            self.evaluate.close()
            self.stack.env.close()
        return self.result

    def begin(self) -> None:
        """Measure and save what an untrained policy is worth, or go on with the logs of an earlier part."""
        if self.resumed_from is not None:
            self.stop()
            return
        self.folder.open_logs(note=self.view.log)
        self.view.phase("evaluating", f"{len(self.evaluate.problems)} held-out problems")
        self.result.before = self.result.after = self.evaluate(self.model)
        self._log({"iteration": 0, "step": 0} | self.result.after)
        self._save()
        self.stop()  # from the first question on, there is a checkpoint to stop at
        self._start_round()

    def collected(self) -> None:
        """Note that a rollout has ended, and an update begins."""
        self.collecting_ended = time.perf_counter()

    def between_rounds(self) -> None:
        """Count a round; where it completes an iteration, evaluate, log and save.

        Raises:
            StopLearning: somebody asked the run to end.
            TrainingDivergedError: the update broke the policy; the checkpoint before it is the last.
        """
        steps = self.model.num_timesteps
        if self.collecting_ended is not None:
            check_finite(self.model)
            now = time.perf_counter()
            self.rounds += 1
            self.times["time/rollout"] += self.collecting_ended - self.round_started
            self.times["time/update"] += now - self.collecting_ended
        last = steps >= self.config.algorithm.total_timesteps
        if self.rounds and (last or steps - self.steps_before >= self.config.output.log_every):
            self._end_iteration(last)
        self._start_round()

    def _end_iteration(self, last: bool) -> None:
        self.iteration += 1
        metrics: dict[str, float] = {
            "iteration": self.iteration,
            "step": self.model.num_timesteps,
            "rounds": self.rounds,
        }
        logged = run_metrics(self.model.logger.name_to_value)
        self.model.logger.dump(self.model.num_timesteps)
        metrics |= logged | self._speed()
        if last or self.iteration % self.config.evaluation.every == 0:
            self.result.after = self.evaluate(self.model)
            metrics |= self.result.after
        self.folder.log_rollouts(self.recorder.take(self.iteration, self.model.num_timesteps))
        self._log(metrics)
        self.rounds, self.steps_before = 0, self.model.num_timesteps
        self.times = dict.fromkeys(self.times, 0.0)
        if not last and self.stop():
            self.result.interrupted, self.result.exit_code = True, getattr(self.stop, "exit_code", INTERRUPTED)
        if last or self.result.interrupted or self.iteration % self.config.output.checkpoint_every == 0:
            self._save()
        if self.result.interrupted:
            raise StopLearning

    def _start_round(self) -> None:
        self.round_started, self.collecting_ended = time.perf_counter(), None

    def _speed(self) -> dict[str, float]:
        env_seconds = self.stack.adapter.env_seconds
        self.times["time/env"], self.env_seconds = env_seconds - self.env_seconds, env_seconds
        seconds = self.times["time/rollout"] + self.times["time/update"]
        steps = self.model.num_timesteps - self.steps_before
        return self.times | {"time/steps_per_second": steps / max(seconds, 1e-9)}

    def _callbacks(self) -> list[BaseCallback]:
        schedule = [RewardScheduleCallback()] if self.config.rewards is not None else []
        return [*schedule, self.components, Rounds(self)]

    def _show_plan(self) -> None:
        self.view.start(
            RunPlan(
                name=self.config.name,
                run_dir=self.folder.path,
                iterations=self.config.iterations,
                components=self.stack.component_names,
                device=str(self.model.device),
                model=type(self.model).__name__,
                parameters=sum(parameter.numel() for parameter in self.model.policy.parameters()),
            )
        )

    def _log(self, metrics: Mapping[str, float]) -> None:
        self.stack.report(metrics)
        metrics = dict(metrics) | {"time/elapsed": self._elapsed()}
        self.folder.log_metrics(metrics)
        self.view.update(metrics)

    def _save(self) -> None:
        save_checkpoint(
            self.folder.checkpoints,
            self.iteration,
            {
                "algorithm": algorithm_state(self.model),
                "random": random_state(),
                "stack": self.stack.state_dict(),
                "components": self.components.state_dict(),
                "records": self.recorder.state_dict(),
                "config": plain_config(self.config),
                "log_sizes": self.folder.log_sizes(),
                "before": self.result.before,
                "after": self.result.after,
                "elapsed": self._elapsed(),
            },
            self.config.output.keep_checkpoints,
        )

    def _restore(self, state: Mapping[str, Any]) -> None:
        load_algorithm_state(self.model, state["algorithm"])
        self.stack.load_state_dict(state["stack"])
        self.components.load_state_dict(state["components"])
        self.recorder.load_state_dict(state["records"])
        self.iteration, self.steps_before = state["iteration"], self.model.num_timesteps
        self.result.before, self.result.after = state["before"], state["after"]
        self.elapsed_before = state["elapsed"]
        self.folder.open_logs(state["log_sizes"], self.iteration + 1, self.view.log)
        self.view.log(f"resumed after iteration {self.iteration}, {self.model.num_timesteps:,} steps")
        load_random_state(state["random"])  # last: whatever was built before has drawn from them

    def _end(self) -> None:
        """Leave model and report, and say what was reached."""
        self.result.timesteps = self.model.num_timesteps
        self.result.seconds = time.perf_counter() - self.started
        (self.folder.path / MODEL).mkdir(exist_ok=True)
        # Without them a loaded DQN chooses its buffer anew; with them it warns that it cannot.
        self.model.save(self.folder.path / MODEL / MODEL_FILE, exclude=["replay_buffer_class", "replay_buffer_kwargs"])
        self.folder.close()
        report = write_report(self.folder.path)
        summary: dict[str, object] = {"run folder": str(self.folder.path), "report": str(report)}
        for key, title, form in (
            ("accuracy/greedy", "greedy accuracy", ".1%"),
            ("accuracy/sampled", "sampled accuracy", ".1%"),
            ("return/greedy", "greedy return", ".3f"),
        ):
            if key in self.result.after:
                summary[title] = f"{self.result.before[key]:{form}} -> {self.result.after[key]:{form}}"
        summary["steps"] = f"{self.result.timesteps:,} of {self.config.algorithm.total_timesteps:,}"
        summary["time"] = f"{self.result.seconds:.0f} s"
        if self.result.interrupted:
            summary["resume"] = resume_command(self.folder.path)
        self.view.finish(summary)

    def _leave(self, error: Exception) -> None:
        """Leave what can be gone on from when something has failed, and say how."""
        self.folder.close()
        with suppress(RlenvsError, OSError):  # the error at hand is the one to tell
            write_report(self.folder.path)
        say_how_to_go_on(error, self.folder, self.view.log, self.iteration + 1, "iteration")

    def _elapsed(self) -> float:
        return self.elapsed_before + time.perf_counter() - self.started
