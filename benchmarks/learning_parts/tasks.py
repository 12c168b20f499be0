"""What is trained, and which numbers say whether it was learned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

WITHOUT_POTENTIAL = ("rewards.reward_shaping.progress.initial_weight=0",)


@dataclass(frozen=True)
class Task:
    """One configuration, trained with several seeds.

    Args:
        title: what the page calls it.
        lines: metric -> its name in tables and curves; the first is what `goal` is about.
        variants: name -> overrides; each is trained with every seed.
        goal: value of the first metric whose number of episodes is reported; None for none.
        note: one or two sentences for the page.
    """

    title: str
    lines: Mapping[str, str]
    variants: Mapping[str, Sequence[str]] = field(default_factory=lambda: {"": ()})
    goal: float | None = None
    note: str = ""


ACCURACY = {"accuracy/greedy": "greedy", "accuracy/sampled": "sampled"}
TASKS = {
    "arithmetic": Task(
        "Arithmetic in one turn",
        ACCURACY,
        note="The default of `rlenvs train`: two-digit addition after a warm start that knows about two thirds of it.",
    ),
    "retry": Task(
        "Two attempts, where only feedback can tell",
        {"accuracy/sampled": "after both attempts", "accuracy/first_sampled": "after the first"},
        note="The first attempt cannot be right more than half of the time; what lies above it comes from the second.",
    ),
    "steps": Task(
        "A derivation in steps, with and without the potential",
        {"accuracy/train": "in training", "accuracy/greedy": "held out, greedy"},
        {"with the potential": (), "without it": WITHOUT_POTENTIAL},
        goal=0.8,
        note=(
            "The reward is paid for the final answer; the potential is the share of steps that are done. It saves "
            "nothing here: the warm start already finds a third of the answers, so that the reward is not rare, and "
            "over whole episodes shaping is a baseline and nothing else. With a lower `gae_lambda` and a critic that "
            "has just begun it does harm: a final answer then costs what the potential had paid before it."
        ),
    ),
    "instructions": Task(
        "Instructions, three rewards and a schedule",
        {"held_out/follows/sampled": "sampled", "held_out/follows/greedy": "greedy"},
        note="Share of held-out requests whose instruction is followed. The environment itself grades nothing.",
    ),
}


def task_of(config: str | None) -> tuple[str, Task]:
    """Return name and task of a configuration file; None is the default run."""
    name = Path(config).stem if config else "arithmetic"
    return name, TASKS.get(name, Task(name.capitalize(), ACCURACY))
