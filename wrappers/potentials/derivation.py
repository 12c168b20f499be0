"""A potential that grows while the steps of a known derivation are being written, character by character."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from rlenvs.envs.incremental_text import PrefixProgress
from rlenvs.envs.protocols.steps import computed_steps
from rlenvs.problems.arithmetic import ANSWER_FORMATS
from rlenvs.wrappers.parameters import finite_number
from rlenvs.wrappers.potentials.base import Potential, register_potential
from rlenvs.wrappers.potentials.state_text import newest_response
from rlenvs.wrappers.transition import RewardState


@register_potential("derivation")
class DerivationPotential(Potential):
    """Phi(s) = scale * (d + p) / (n + 1): d of n steps are done, and p of the message that comes next is written.

    For environments of checked steps at token level, where `info["progress"]` moves only when a step is complete. The
    next message is the first step of the task's `steps` that is not counted as done, or the final answer after the
    last one; p is the share of its characters that the message being written has matched from its start, white space
    left out (see `rlenvs.envs.incremental_text.PrefixProgress`). Steps are taken in the order of the task: a policy
    that finds another order is paid for whole steps alone.

    Reads `info["task"]`, `info["steps_done"]` and `info["response_so_far"]`. A state without a derivation has Phi = 0.

    Args:
        scale: factor, finite.

    Range: [0, scale].

    Raises:
        ParameterError: the scale is not finite.

    Example:
        >>> steps = [{"expression": "2+7", "value": "9"}, {"expression": "9+5", "value": "14"}]
        >>> task = {"type": "math", "gold": "14", "extract": "whole", "steps": steps}
        >>> phi = DerivationPotential()
        >>> round(phi(RewardState(info={"task": task, "steps_done": 1, "response_so_far": "9+"})), 3)
        0.467
    """

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = finite_number("scale", scale)

    def __call__(self, state: RewardState) -> float:
        """Return Phi(state)."""
        task = state.info.get("task")
        if not isinstance(task, Mapping) or not task.get("steps"):
            return 0.0
        messages = derivation_of(task)
        done = min(int(state.info.get("steps_done", 0)), len(messages) - 1)
        # What is told after a message is the state in which the next one is empty.
        written = "" if "response" in state.info else newest_response(state)
        share = PrefixProgress(messages[done]).push("".join(written.split()))
        return self.scale * (done + share) / len(messages)


def derivation_of(task: Mapping[str, Any]) -> tuple[str, ...]:
    """The messages of a derivation without white space: its steps, then the final answer.

    Example:
        >>> steps = [{"expression": "2 + 7", "value": "9"}]
        >>> derivation_of({"gold": "9", "extract": "last_hash", "steps": steps})
        ('2+7=9', '####9')
    """
    steps = tuple((str(step["expression"]), str(step["value"])) for step in task["steps"])
    markers = task.get("markers") or ("",)
    return _messages(steps, str(task.get("gold", "")), str(task.get("extract", "whole")), str(markers[0]))


@lru_cache(maxsize=8192)
def _messages(steps: tuple[tuple[str, str], ...], gold: str, extract: str, marker: str) -> tuple[str, ...]:
    """As `derivation_of`; the same episode asks at every token."""
    computed = computed_steps({"steps": [{"expression": left, "value": right} for left, right in steps]})
    texts = [f"{step['expression']}={step['value']}" for step in computed]
    final = ANSWER_FORMATS.get(extract, "{answer}").format(answer=gold, marker=marker)
    return tuple("".join(text.split()) for text in [*texts, final])
