"""Python as a tool: what the policy calls runs in a sandbox, and keeps its state from call to call."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rlenvs.envs.messages import Message
from rlenvs.envs.protocols import python_sessions
from rlenvs.envs.protocols.base import Episode, Protocol, Turn, opening
from rlenvs.envs.protocols.python_sessions import Done, Work
from rlenvs.envs.protocols.texts import check_text, checked_texts
from rlenvs.envs.protocols.tools import calls_a_tool, calls_in
from rlenvs.errors import ParameterError
from rlenvs.graders import Grade
from rlenvs.problems import Problem
from rlenvs.problems.checks import check_int
from rlenvs.sandbox import Limits, Result, default_pool

TOOL = ("python",)
OUTPUT_BYTES = 2**20
CUT = "\n... ({count} characters left out) ...\n"
is_arithmetic = re.compile(r"[0-9+\-*/(). ]+").fullmatch


class PythonTool(Protocol):
    """A Python session that the policy calls in its text; a message without a call is the answer.

    A call is written `<python>x = 3 * 4</python>`. The next message to the policy holds one `<result>...</result>` per
    call, in order: what the call printed, the value of an expression at its end, and the error if it raised one. What a
    call defines, later ones can use. A call that goes beyond a limit ends the session: the next one begins with nothing
    defined, and the policy is told. A message with calls is never graded, whatever else it says. A message without one
    is graded and terminates the episode.

    Calls run in `rlenvs.sandbox`, with `rlenvs.sandbox.default_pool()`: without network, files or other processes, and
    with the same random numbers each time. An episode remembers the text of its calls, so a saved one is resumed by
    running them again.

    Args:
        max_calls: calls per episode, 1..1000; further ones are refused.
        max_turns: most messages, after which the episode is truncated; None for one more than `max_calls`, the answer.
        time_limit_s: seconds for each call, 0.01..60; the session gets `max_calls` times as much processor time.
        memory_mb: MiB for the session, 32..16384.
        max_result_chars: of a longer result the middle is left out, 80..100000.
        instructions: said after the prompt; "" for nothing.
        feedback: replaces texts: "result", fields {result}; "silent", the result of a call that printed nothing;
            "ended", the result of a call that ended the session, fields {reason}; "refused" for calls beyond
            `max_calls`.

    Raises:
        ParameterError: a value out of range, an unknown text or field.

    Example:
        >>> from rlenvs.envs import TextEnv
        >>> from rlenvs.problems import ArithmeticSource
        >>> env = TextEnv(ArithmeticSource(digits=1), protocol=PythonTool())
        >>> prompt, info = env.reset(seed=0)
        >>> env.step("<python>total = 8 + 6</python>")[:4]
        ('<result>(no output)</result>', 0.0, False, False)
        >>> env.step("<python>total</python>")[:4]
        ('<result>14</result>', 0.0, False, False)
        >>> env.step("14")[:4]
        ('', 1.0, True, False)
    """

    TEXTS = {  # noqa: RUF012
        "result": "<result>{result}</result>",
        "silent": "(no output)",
        "ended": "The call {reason}. Nothing is defined any more.",
        "refused": "No calls are left. Write the answer.",
    }
    FIELDS = {"result": ("result",), "ended": ("reason",)}  # noqa: RUF012
    INSTRUCTIONS = (
        "You can run Python: write <python>x = 3 * 4\nprint(x)</python> and wait for the result. "
        "What you define stays defined."
    )

    def __init__(
        self,
        max_calls: int = 8,
        max_turns: int | None = None,
        time_limit_s: float = 2.0,
        memory_mb: int = 256,
        max_result_chars: int = 800,
        instructions: str = INSTRUCTIONS,
        feedback: Mapping[str, str] | None = None,
    ) -> None:
        self.max_calls = check_int("max_calls", max_calls, 1, 1000)
        self.max_turns = check_int("max_turns", max_calls + 1 if max_turns is None else max_turns, 1, 10_000)
        number = isinstance(time_limit_s, int | float) and not isinstance(time_limit_s, bool)
        if not number or not 0.01 <= time_limit_s <= 60.0:
            raise ParameterError("time_limit_s", f"must be a number in [0.01, 60], got {time_limit_s!r:.80}")
        self.time_limit_s = float(time_limit_s)
        self.memory_mb = check_int("memory_mb", memory_mb, 32, 16_384)
        self.max_result_chars = check_int("max_result_chars", max_result_chars, 80, 100_000)
        self.instructions = check_text("instructions", instructions)
        self.feedback = checked_texts("feedback", feedback, self.TEXTS, self.FIELDS)

    @property
    def limits(self) -> Limits:
        """What a session may use."""
        return Limits(
            wall_s=self.time_limit_s,
            cpu_s=self.time_limit_s * self.max_calls,  # also of threads that go on between calls
            memory_mb=self.memory_mb,
            output_bytes=OUTPUT_BYTES,
        )

    def open(self, problem: Problem) -> list[Message]:
        """The prompt and the instructions."""
        return opening(problem, self.instructions)

    def begin(self, problem: Problem) -> dict[str, Any]:
        """No call has been made yet.

        Raises:
            SandboxError: code cannot be isolated on this machine; says what is missing and what to do.
        """
        default_pool()
        return {"calls": 0, "cells": []}

    def examine(self, episodes: Sequence[Episode], responses: Sequence[str]) -> None:
        """Run the calls of all messages, those of different episodes at the same time."""
        works = []
        for episode, response in zip(episodes, responses, strict=True):
            left = self.max_calls - episode.memory["calls"]
            cells = [cell for _, cell in calls_in(response, TOOL)][:left]
            works.append(Work(episode.memory["cells"], cells))
            episode.memory.pop("called", None)
        places = [place for place, work in enumerate(works) if work.cells]
        done = python_sessions.run_cells([works[place] for place in places], self.limits) if places else []
        for place, one in zip(places, done, strict=True):
            # A note until `reply`: a step that fails in between is repeated from where it began.
            episodes[place].memory["called"] = {"cells": list(one.past), "results": self._said(one)}

    def answer(self, episode: Episode, response: str) -> str | None:
        """The message if it makes no call."""
        return None if calls_a_tool(response, TOOL) else response

    def reply(self, episode: Episode, response: str, grade: Grade) -> Turn:
        """The results of the calls, or the end."""
        memory = episode.memory
        called = memory.pop("called", None)
        if grade.status != "ok" or not calls_a_tool(response, TOOL):
            self._release(episode)
            return Turn("", True)
        results = []
        if called is not None:
            results, memory["cells"] = called["results"], called["cells"]
            memory["calls"] += len(results)
        if len(calls_in(response, TOOL)) > len(results):
            results.append(self.feedback["refused"])
        over = episode.turns >= self.max_turns
        if over:
            self._release(episode)
        return Turn("\n".join(results), False, truncated=over, reward=0.0, progress=0.0)

    def demonstration(self, problem: Problem) -> list[str]:
        """One call per step of the solution, where the task has steps, then the answer."""
        if not problem.demonstration:
            return []
        written = [str(step["expression"]) for step in problem.task.get("steps") or ()]
        steps = [text for text in written if is_arithmetic(text) and not text.strip().isdecimal()]
        called = steps[: min(self.max_calls, self.max_turns - 1)]
        return [*(f"<python>{step}</python>" for step in called), problem.demonstration]

    def info(self, episode: Episode) -> dict[str, Any]:
        """`tool_calls`: how many have been made."""
        return {"tool_calls": episode.memory["calls"]}

    def _said(self, done: Done) -> list[str]:
        pairs = zip(done.results, done.ended, strict=True)
        return [self.feedback["result"].format(result=self._text(result, ended)) for result, ended in pairs]

    def _text(self, result: Result, ended: bool) -> str:
        parts = [result.stdout, result.stderr]
        if ended:
            parts.append(self.feedback["ended"].format(reason=result.reason))
        written = "\n".join(part.strip("\n") for part in parts if part.strip("\n"))
        return shortened(written, self.max_result_chars) if written else self.feedback["silent"]

    def _release(self, episode: Episode) -> None:
        python_sessions.release(episode.memory["cells"], self.limits)


def shortened(text: str, most: int) -> str:
    r"""A text of bounded length, its middle left out if need be: errors stand at the end.

    Example:
        >>> shortened("a" * 100 + "b" * 100, 80)
        'aaaaaaaaaaaaaaaaaaaaaa\n... (156 characters left out) ...\nbbbbbbbbbbbbbbbbbbbbbb'
    """
    if len(text) <= most:
        return text
    half = (most - len(CUT.format(count=len(text)))) // 2
    return text[:half] + CUT.format(count=len(text) - 2 * half) + text[-half:]
