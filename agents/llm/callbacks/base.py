"""What a callback is, and what it sees of a run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from rlenvs.wrappers.registry import Registry

if TYPE_CHECKING:
    from rlenvs.agents.llm.config import TrainConfig
    from rlenvs.agents.llm.trainer import PPOTrainer
    from rlenvs.agents.runs.run_folder import RunFolder


@dataclass(slots=True)
class RunState:
    """What callbacks see of a run, and how they ask for something.

    Attributes:
        trainer: policy, learner and environments.
        folder: the run's files; None in those processes of a run of several that write nothing.
        config: of the run.
        log: shows a person one line.
        iteration: number of the iteration at hand, from 1; 0 before the first.
        metrics: of the iteration at hand, as far as they are known. What a callback adds before the end of
            `on_iteration_end` is logged.
        records: one per turn of the iteration's rollout, as in `rollouts.jsonl`.
        summary: what is shown when the run ends.
        stop_reason: why the run is to end; empty where nobody asked.
    """

    trainer: "PPOTrainer"
    folder: "RunFolder[TrainConfig] | None"
    config: "TrainConfig"
    log: Callable[[str], None]
    iteration: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    records: Sequence[Mapping[str, Any]] = ()
    summary: dict[str, object] = field(default_factory=dict)
    stop_reason: str = ""

    @property
    def is_main(self) -> bool:
        """Whether this process writes what the run leaves behind."""
        return self.folder is not None

    def save_model(self, name: str) -> None:
        """Save the policy as an ordinary model folder. In a run of several processes all of them call it.

        Args:
            name: of the folder, inside the run folder.
        """
        trainer = self.trainer
        with trainer.processes.whole_weights(trainer.policy):
            if self.folder is not None:
                trainer.policy.save(self.folder.path / name)

    def stop(self, reason: str) -> None:
        """End the run after this iteration, with checkpoint, model and report. The first reason counts.

        Args:
            reason: for the person who reads the end of the run, such as "KL above 0.15 for 10 iterations".
        """
        self.stop_reason = self.stop_reason or reason


class Callback:
    """Base of everything that takes part in a run without being part of it.

    Hooks are called in this order; each does nothing unless overridden:

    ```
    on_train_begin                              also when a run resumes, after `load_state_dict`
    on_evaluation_end                           iteration 0: before the first iteration of a new run
    each iteration:
        on_iteration_begin
        on_rollout_end                          state.records and the rollout's metrics are there
        on_update_end                           all metrics of the iteration are there
        on_evaluation_end                       where it was evaluated
        on_iteration_end                        then metrics are logged
        on_checkpoint_saved                     where one was; what changes here is not in that checkpoint
    on_train_end                                model saved, report not yet written
    ```

    A hook that raises ends the run after the iteration at hand, with a checkpoint and a report; the other callbacks'
    hooks are called all the same. In a run of several processes every process calls every hook.

    A callback that remembers something between iterations returns it from `state_dict`, so that a resumed run goes on
    as if it had never stopped. Randomness must come from the configuration's seed and the iteration.

    Example:
        >>> class StopAtLength(Callback):
        ...     def on_iteration_end(self, state: RunState) -> None:
        ...         if state.metrics["length/mean"] > 500:
        ...             state.stop("answers have grown too long")
    """

    def check(self, config: "TrainConfig") -> None:
        """Refuse a run in which this callback could not do its work.

        Raises:
            ConfigError: says what is missing; `ParameterError` blames one parameter of the callback.
        """

    def on_train_begin(self, state: RunState) -> None:
        """Before anything is measured or trained; when a run resumes, before it goes on."""

    def on_iteration_begin(self, state: RunState) -> None:
        """Before a rollout."""

    def on_rollout_end(self, state: RunState) -> None:
        """The episodes are played, nothing is learned from them yet."""

    def on_update_end(self, state: RunState) -> None:
        """The policy has learned."""

    def on_evaluation_end(self, state: RunState) -> None:
        """The policy was measured on held-out problems."""

    def on_iteration_end(self, state: RunState) -> None:
        """All is done but the log."""

    def on_checkpoint_saved(self, state: RunState) -> None:
        """A checkpoint of this iteration is on disk."""

    def on_train_end(self, state: RunState) -> None:
        """The run ends, for whatever reason but an error, and `model` is saved."""

    def state_dict(self) -> dict[str, Any]:
        """Return what is remembered between iterations: plain data and tensors."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""


HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))

callback_registry: Registry[Callback] = Registry("callback")

C = TypeVar("C", bound=type[Callback])


def register_callback(name: str | None = None) -> Callable[[C], C]:
    """Register a `Callback` subclass, so that `class:` in a configuration finds it.

    Its parameters are validated against the signature of its constructor, which should be cheap: a configuration that
    is checked constructs every callback once.

    Args:
        name: the name in configurations; the class's own name when omitted.

    Example:
        >>> @register_callback()
        ... class StopAtLoss(Callback):
        ...     def __init__(self, loss: float) -> None:
        ...         self.loss = loss
        >>> callback_registry.get("StopAtLoss") is StopAtLoss
        True
    """
    return callback_registry.decorator(name)
