"""A potential that grows while the steps of a known derivation are being written, character by character."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from rlenvs.envs.protocols.steps import computed_steps
from rlenvs.problems.arithmetic import ANSWER_FORMATS
from rlenvs.wrappers.base import FloatArray
from rlenvs.wrappers.parameters import finite_number
from rlenvs.wrappers.potentials.base import Potential, register_potential
from rlenvs.wrappers.potentials.state_text import newest_response
from rlenvs.wrappers.transition import RewardState
from rlenvs.wrappers.transition_batch import StateBatch

MOST_PROBLEMS = 8192
"""Derivations that are remembered, of the problems that came last."""


@register_potential("derivation")
class DerivationPotential(Potential):
    """Phi(s) = scale * (d + p) / (n + 1): d of n steps are done, and p of the message that comes next is written.

    For environments of checked steps at token level, where `info["progress"]` moves only when a step is complete. The
    next message is the first step of the task's `steps` that is not counted as done, or the final answer after the
    last one; p is the share of its characters that the message being written consists of, white space left out, and 0
    once a character is wrong or too many: such a message can no longer become the step, and whoever waited for its
    end to say so would blame the token that happens to end it. Steps are taken in the order of the task: a policy
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
        0.444
    """

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = finite_number("scale", scale)
        self._by_problem: dict[str, tuple[str, ...]] = {}

    def __call__(self, state: RewardState) -> float:
        """Return Phi(state)."""
        # What is told after a message is the state in which the next one is empty.
        written = "" if "response" in state.info else newest_response(state)
        return self._value(derivation_of(state.info.get("task")), state.info.get("steps_done"), written)

    def batch(self, states: Sequence[RewardState]) -> FloatArray:
        """Return Phi of N states, `[N]`; by columns, and the task of a problem is read once."""
        rows = StateBatch.of(states)
        keys = ("problem_id", "steps_done", "response_so_far", "response")
        values = []
        for row, (problem, done, written, response) in enumerate(zip(*map(rows.infos.column, keys), strict=True)):
            if not isinstance(problem, str) or not isinstance(written, str):
                values.append(self(rows[row]))
                continue
            if problem not in self._by_problem:
                if len(self._by_problem) >= MOST_PROBLEMS:
                    del self._by_problem[next(iter(self._by_problem))]
                self._by_problem[problem] = derivation_of(rows.infos[row].get("task"))
            values.append(self._value(self._by_problem[problem], done, "" if response is not None else written))
        return np.array(values, dtype=np.float64)

    def _value(self, messages: Sequence[str], done: Any, written: str) -> float:
        """Phi where so many steps are done and so much of the next message is written."""
        if not messages:
            return 0.0
        done = min(int(done or 0), len(messages) - 1)
        message, written = messages[done], "".join(written.split())
        share = len(written) / len(message) if message and message.startswith(written) else 0.0
        value: float = self.scale * (done + share) / len(messages)
        return value


def derivation_of(task: Any) -> tuple[str, ...]:
    """The messages of a derivation without white space: its steps, then the final answer; none without steps.

    Example:
        >>> steps = [{"expression": "2 + 7", "value": "9"}]
        >>> derivation_of({"gold": "9", "extract": "last_hash", "steps": steps})
        ('2+7=9', '####9')
    """
    if not isinstance(task, Mapping) or not task.get("steps"):
        return ()
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
