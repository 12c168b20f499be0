"""From a configuration to a finished run: build everything, then iterate, evaluate, checkpoint and report."""

import contextlib
import json
import logging
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from types import FrameType
from typing import Any

import torch

import rlenvs  # noqa: F401 - registers the environments
from rlenvs.agents.llm.checkpoint import load_latest_checkpoint, save_checkpoint
from rlenvs.agents.llm.config import TrainConfig
from rlenvs.agents.llm.embedded import embedded_policy_folder
from rlenvs.agents.llm.engines import Engine, make_engine
from rlenvs.agents.llm.evaluation import Examination, HeldOutEvaluation, held_out_problems, make_vector_env
from rlenvs.agents.llm.policy.model import Policy, load_policy, resolve_device
from rlenvs.agents.llm.policy.reference import FrozenCopy, Reference
from rlenvs.agents.llm.rollout.chat import ChatFormat
from rlenvs.agents.llm.rollout.collect import check_room
from rlenvs.agents.llm.run_folder import MODEL, START, RunFolder, choose_run_folder
from rlenvs.agents.llm.trainer import PPOTrainer
from rlenvs.agents.reporting import RunPlan, TrainingView, make_view, write_report
from rlenvs.config_file import dump_config
from rlenvs.errors import ComponentError, ConfigError
from rlenvs.problems import Problem
from rlenvs.wrappers.layers.vector_shaped import VectorShapedReward

DEFAULT_CONFIG = "arithmetic.yaml"
INTERRUPTED = 130


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


def train(
    config: TrainConfig, *, view: TrainingView | None = None, stop: Callable[[], bool] | None = None
) -> RunResult:
    """Train a language model with PPO on one environment and one reward.

    Args:
        config: the run.
        view: shows it; a live view on a terminal, plain lines elsewhere when omitted.
        stop: asked after every iteration; True saves a checkpoint and ends the run.

    Returns:
        Where the run is and what it reached.

    Raises:
        UserError: the configuration, model, device or folder cannot be used; nothing has been written then.

    Example:
        >>> from rlenvs.agents.llm import TrainConfig, train
        >>> config = TrainConfig.load(
        ...     {
        ...         "env": {"id": "rlenvs/Arithmetic-v0"},
        ...         "rewards": {"reward_components": {"right": {"class": "CorrectnessReward"}}},
        ...     }
        ... )
        >>> config.ppo.iterations
        200
    """
    config = TrainConfig.load(config)
    device = resolve_device(config.device)
    path = choose_run_folder(config)
    rehearse(config)
    problems = held_out_problems(config.env.id, config.env.kwargs, config.evaluation.problems, config.seed)
    with view or make_view() as shown:
        source, note = _start_model(config, device, shown)
        policy, reference = _load_models(source, config, device)
        chat = _chat(policy, config)
        _check_context(policy, chat, problems, config)
        engine = make_run_engine(config, policy)
        trainer = PPOTrainer(policy, reference, make_envs(config, config.rollout.episodes), chat, config, engine)
        folder = RunFolder.create(path, config)
        if config.policy.model == "embedded":
            # The cache may be cleared; a run keeps what it needs to resume.
            shutil.copytree(source, folder.path / START)
        if note:
            shown.log(note)
        return _Run(folder, trainer, problems, shown, stop).go()


def resume(
    run_dir: str | Path, *, view: TrainingView | None = None, stop: Callable[[], bool] | None = None
) -> RunResult:
    """Go on with an interrupted run from its last checkpoint, to the numbers it would have had.

    Args:
        run_dir: the folder of the run.
        view: as in `train`.
        stop: as in `train`.

    Raises:
        RunFolderError: it is not a run folder or holds no usable checkpoint.
    """
    folder = RunFolder.open(Path(run_dir))
    config = folder.config
    device = resolve_device(config.device)
    state = load_latest_checkpoint(folder.checkpoints)
    problems = held_out_problems(config.env.id, config.env.kwargs, config.evaluation.problems, config.seed)
    source = str(folder.path / START) if config.policy.model == "embedded" else config.policy.model
    with view or make_view() as shown:
        policy, reference = _load_models(source, config, device)
        envs = make_envs(config, config.rollout.episodes)
        engine = make_run_engine(config, policy, state["engine"])
        trainer = PPOTrainer(policy, reference, envs, _chat(policy, config), config, engine)
        trainer.load_state_dict(state["trainer"])
        return _Run(folder, trainer, problems, shown, stop).go(state)


def make_envs(config: TrainConfig, num_envs: int) -> VectorShapedReward:
    """Return the shaped vector environment of a run.

    Raises:
        ConfigError: no such environment, or parameters it refuses.
    """
    envs = make_vector_env(config.env.id, config.env.kwargs | {"split": "train"}, num_envs)
    return VectorShapedReward(envs, config.rewards)


def make_run_engine(config: TrainConfig, policy: Policy, name: str | None = None) -> Engine:
    """Return what samples in a run.

    Args:
        config: of the run.
        policy: what it samples from.
        name: what the run chose before, for `auto`: another engine's numbers differ in the last bits.
    """
    options = config.rollout.engine
    chosen: Any = name or options.name
    arguments: dict[str, Any] = {}
    if chosen in ("auto", "static"):
        dtype = None if options.dtype is None else getattr(torch, options.dtype)
        arguments = {"dtype": dtype, "compiled": options.compiled}
    elif chosen == "http":
        arguments = {"url": options.url, "model": options.model, "weights_dir": options.weights_dir}
    return make_engine(chosen, policy, config.rollout.batch_size, **arguments)


def rehearse(config: TrainConfig) -> None:
    """Play one step: what environment and rewards cannot do shows before a model is trained or a file written.

    Raises:
        ConfigError: the environment refuses its parameters, or a reward component fails in it.
    """
    envs = make_envs(config, 1)
    try:
        envs.reset(seed=config.seed)
        envs.annotate([{"response_tokens": 0}])
        envs.step([""])
    except ComponentError as error:
        raise ConfigError(f"rewards: {error}") from error
    finally:
        envs.close()


def _check_context(policy: Policy, chat: ChatFormat, problems: Sequence[Problem], config: TrainConfig) -> None:
    """Refuse a context that the model does not have, or prompts that leave no room in it.

    Raises:
        ConfigError: the model has fewer positions.
        DataError: a held-out prompt is too long.
    """
    context, limit = config.rollout.context_tokens, config.rollout.max_new_tokens
    positions = getattr(policy.model.config.get_text_config(), "max_position_embeddings", None)
    if positions is not None and context > positions:
        raise ConfigError(
            f"rollout.context_tokens: must be <= {positions}, the positions of {config.policy.model!r}, got {context}"
        )
    for problem in problems:
        check_room(chat.prompt_ids([{"role": "user", "content": problem.prompt}]), problem.id, limit, context)


class _Run:
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
            self.config.rollout.max_new_tokens,
            self.config.rollout.temperature,
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


def run_cli(
    config_path: str | None,
    overrides: Sequence[str],
    resume_dir: str | None,
    dry_run: bool,
    output: str | None,
    plain: bool,
) -> int:
    """Carry out `rlenvs train`; returns the exit code."""
    _quieten_transformers()
    view = make_view(plain=True if plain else None)
    if resume_dir is not None:
        if config_path or overrides or output:
            raise ConfigError(
                "--resume goes on with the run's own configuration: leave out CONFIG, key=value, --output"
            )
        with _stop_on_signal(view) as stop:
            return _exit_code(resume(resume_dir, view=view, stop=stop))
    # json.dumps: a folder called 123 is text, and a path with a colon is no mapping
    changes = [*overrides, *([f"output.dir={json.dumps(output)}"] if output else [])]
    with contextlib.ExitStack() as stack:
        shipped = resources.files("rlenvs.configs") / "train" / (config_path or DEFAULT_CONFIG)
        if config_path is None or (not Path(config_path).exists() and shipped.is_file()):
            config_path = str(stack.enter_context(resources.as_file(shipped)))
        config = TrainConfig.load(config_path, changes)
    if dry_run:
        resolve_device(config.device)
        choose_run_folder(config)
        rehearse(config)
        print(dump_config(config), end="")  # noqa: T201 - this is the output of the command
        return 0
    with _stop_on_signal(view) as stop:
        return _exit_code(train(config, view=view, stop=stop))


@contextlib.contextmanager
def _stop_on_signal(view: TrainingView) -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C or SIGTERM into a request to save and stop; the second one ends the process at once.

    Before the run first asks, while models load and warm up, there is nothing to save: a signal ends the process.
    """
    running = asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked or not running:
            raise KeyboardInterrupt
        asked = True
        view.log("stopping after this iteration; once more to quit at once")

    def stop() -> bool:
        nonlocal running
        running = True
        return asked

    previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _exit_code(result: RunResult) -> int:
    return INTERRUPTED if result.interrupted else 0


def _change(result: RunResult, key: str) -> str:
    return f"{result.before[key]:.1%} -> {result.after[key]:.1%}"


def _start_model(config: TrainConfig, device: torch.device, view: TrainingView) -> tuple[str, str]:
    """Return the model folder or hub id to start from, and a note for the person who watches."""
    if config.policy.model != "embedded":
        return config.policy.model, ""
    target = config.policy.embedded.warm_start.target_accuracy
    started = time.perf_counter()

    def progress(step: int, reached: float) -> None:
        view.phase("warm start", f"step {step}, {reached:.0%} of {target:.0%} on training problems", reached / target)

    folder = embedded_policy_folder(
        config.policy.embedded, config.env, config.rollout.max_new_tokens, config.seed, device, progress
    )
    seconds = time.perf_counter() - started
    return str(folder), f"policy from supervised warm start: {folder} ({seconds:.0f} s)"


def _load_models(source: str, config: TrainConfig, device: torch.device) -> tuple[Policy, Reference | None]:
    policy = load_policy(source, device)
    policy.critic_is_detached = config.ppo.critic == "detached"
    policy.logprob_chunk = config.memory.logprob_chunk
    if config.ppo.kl_coef == 0.0:
        return policy, None
    return policy, FrozenCopy(load_policy(source, device))


def _chat(policy: Policy, config: TrainConfig) -> ChatFormat:
    return ChatFormat(policy.tokenizer, config.policy.prompt_format)


def _quieten_transformers() -> None:
    """Keep the progress bars of loading and saving off the screen that the view owns."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)
