"""From a configuration to a supervised run: everything is checked and built here; `run` is the loop."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import rlenvs  # noqa: F401 - registers the environments
from rlenvs.agents.llm.checkpoint import load_latest_checkpoint
from rlenvs.agents.llm.embedded import build_policy
from rlenvs.agents.llm.engines import Engine
from rlenvs.agents.llm.engines.configured import configured_engine
from rlenvs.agents.llm.evaluation import Examination, HeldOutEvaluation, held_out_problems, problem_source
from rlenvs.agents.llm.policy.loading import load_policy, resolve_device
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.rollout.chat import ChatFormat
from rlenvs.agents.llm.rollout.limits import Limits
from rlenvs.agents.llm.run_folder import START, RunFolder, choose_run_folder, read_run_config
from rlenvs.agents.llm.sft.config import SFTConfig
from rlenvs.agents.llm.sft.data import Demonstration, read_demonstrations, texts
from rlenvs.agents.llm.sft.encoding import DemonstrationEncoder, encode
from rlenvs.agents.llm.sft.run import SFTResult, SFTRun
from rlenvs.agents.llm.sft.target import TargetWatch, greedy_accuracy
from rlenvs.agents.llm.sft.trainer import SFTTrainer
from rlenvs.agents.reporting import TrainingView, make_view
from rlenvs.errors import ConfigError
from rlenvs.problems import Problem

__all__ = ["SFTResult", "resume", "sft"]


def sft(config: SFTConfig, *, view: TrainingView | None = None, stop: Callable[[], bool] | None = None) -> SFTResult:
    """Fine-tune a language model on demonstrations.

    Args:
        config: the run.
        view: shows it; a live view on a terminal, plain lines elsewhere when omitted.
        stop: asked after every step; True saves a checkpoint and ends the run.

    Returns:
        Where the run is and what it reached; `run_dir / "model"` is what `rlenvs train policy.model=...` starts from.

    Raises:
        UserError: the configuration, data, model, device or folder cannot be used; nothing has been written then.

    Example:
        >>> from rlenvs.agents.llm.sft import SFTConfig, sft
        >>> config = SFTConfig.load({"env": {"id": "rlenvs/MathSteps-v0"}, "sft": {"epochs": 2}})
        >>> config.data.source
        'env'
    """
    config = SFTConfig.load(config)
    device = resolve_device(config.device)
    path = choose_run_folder(config)
    demonstrations = read_demonstrations(config.data, config.env, config.seed)
    with view or make_view() as shown:
        with _start_model(config, demonstrations) as source:
            parts = _Parts(config, load_policy(source, device, config.policy, config.memory), demonstrations)
            folder = RunFolder.create(path, config)
            if config.policy.model == "embedded":  # a run keeps what it needs to resume
                shutil.copytree(source, folder.path / START)
        return parts.run(folder, shown, stop).go()


def resume(
    run_dir: str | Path, *, view: TrainingView | None = None, stop: Callable[[], bool] | None = None
) -> SFTResult:
    """Go on with an interrupted run from its last checkpoint, to the numbers it would have had.

    Args:
        run_dir: the folder of the run.
        view: as in `sft`.
        stop: as in `sft`.

    Raises:
        RunFolderError: it is not the folder of a supervised run, holds no usable checkpoint, or its data have changed.
    """
    folder = RunFolder(Path(run_dir), read_run_config(Path(run_dir), SFTConfig))
    config = folder.config
    device = resolve_device(config.device)
    state = load_latest_checkpoint(folder.checkpoints)
    demonstrations = read_demonstrations(config.data, config.env, config.seed)
    source = str(folder.path / START) if config.policy.model == "embedded" else config.policy.model
    with view or make_view() as shown:
        policy = load_policy(source, device, config.policy, config.memory)
        parts = _Parts(config, policy, demonstrations, state)
        return parts.run(folder, shown, stop).go(state)


@contextlib.contextmanager
def _start_model(config: SFTConfig, demonstrations: Sequence[Demonstration]) -> Iterator[str]:
    """Yield the model folder or hub id to start from."""
    if config.policy.model != "embedded":
        yield config.policy.model
        return
    with tempfile.TemporaryDirectory(prefix="rlenvs-sft-") as folder:
        # Random weights, and an alphabet that the demonstrations need.
        build_policy(config.policy.embedded, texts(demonstrations), config.seed).save(folder)
        yield folder


class _Parts:
    """What a run is made of, built before anything is written.

    Args:
        config: of the run.
        policy: what learns.
        demonstrations: what it imitates.
        state: the checkpoint that the run goes on from.
    """

    def __init__(
        self,
        config: SFTConfig,
        policy: Policy,
        demonstrations: Sequence[Demonstration],
        state: dict[str, Any] | None = None,
    ) -> None:
        self.config = config
        self.policy = policy
        self.chat = ChatFormat(policy.tokenizer, config.policy.prompt_format)
        _check_positions(policy, config)
        encoded = encode(
            demonstrations,
            DemonstrationEncoder(policy, self.chat),
            config.rollout.context_tokens,
            config.data.overlong,
            config.data.held_out_share,
            config.seed,
        )
        self.trainer = SFTTrainer(policy, encoded, config)
        self.engine: Engine | None = None
        self.evaluate: HeldOutEvaluation | None = None
        self.watch: TargetWatch | None = None
        if config.env is not None:
            self.engine = configured_engine(
                config.rollout.engine, policy, config.rollout.batch_size, None if state is None else state["engine"]
            )
            self.evaluate = self._evaluation(config.env.id, config.env.kwargs)
            self.watch = self._watch(self.engine)
        if state is not None:
            self.trainer.load_state_dict(state["trainer"])
            if self.watch is not None:
                self.watch.load_state_dict(state["watch"])

    def run(self, folder: RunFolder[SFTConfig], view: TrainingView, stop: Callable[[], bool] | None) -> SFTRun:
        """Return the loop."""
        return SFTRun(folder, self.trainer, self.engine, self.evaluate, self.watch, view, stop)

    def _evaluation(self, env_id: str, env_kwargs: dict[str, Any]) -> HeldOutEvaluation:
        problems = held_out_problems(env_id, env_kwargs, self.config.evaluation.problems, self.config.seed)
        examination = Examination(env_id, env_kwargs, problems)
        examination.check_prompts(self.chat, Limits.of(self.config.rollout))
        return HeldOutEvaluation(examination, self.chat, self.config.rollout, self.config.seed)

    def _watch(self, engine: Engine) -> TargetWatch | None:
        config, learning = self.config, self.config.sft
        if learning.target_accuracy is None or config.env is None:
            return None
        problems = checked_problems(config.env.id, config.env.kwargs, learning.check_problems, config.seed)
        limits, stop = Limits.of(config.rollout), config.rollout.stop
        examine = greedy_accuracy(self.policy, engine, self.chat, config.env, problems, limits, config.seed, stop)
        return TargetWatch(self.policy, learning, examine)


def checked_problems(env_id: str, env_kwargs: dict[str, Any], count: int, seed: int) -> list[Problem]:
    """Return training problems for accuracy checks, or all there are."""
    source = problem_source(env_id, {key: value for key, value in env_kwargs.items() if key != "split"})
    problems = source.problems("train", limit=count, seed=seed)
    order = np.random.default_rng([seed, 0xC4E]).permutation(len(problems))
    return [problems[index] for index in order[:count]]


def _check_positions(policy: Policy, config: SFTConfig) -> None:
    """Refuse a context that the model does not have.

    Raises:
        ConfigError: the model has fewer positions.
    """
    positions = getattr(policy.model.config.get_text_config(), "max_position_embeddings", None)
    if positions is not None and config.rollout.context_tokens > positions:
        raise ConfigError(
            f"rollout.context_tokens: must be <= {positions}, the positions of {config.policy.model!r}, "
            f"got {config.rollout.context_tokens}"
        )
