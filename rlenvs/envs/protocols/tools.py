r"""Tool calls in the text of a message."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from rlenvs.envs.messages import Message
from rlenvs.envs.protocols.base import Episode, Protocol, Turn, opening
from rlenvs.envs.protocols.exact import ExpressionError, parse_expression, written_number
from rlenvs.envs.protocols.steps import computed_steps
from rlenvs.envs.protocols.texts import check_text, checked_texts
from rlenvs.errors import ParameterError
from rlenvs.graders import Grade
from rlenvs.problems import Problem
from rlenvs.problems.checks import check_int
from rlenvs.suggestions import did_you_mean


def calculator(expression: str) -> str:
    """The value of an expression, exact; what is wrong with it if it has none.

    Example:
        >>> calculator("3*4"), calculator("1/3"), calculator("1/0"), calculator("__import__('os')")
        ('12', '1/3', 'error: division by zero', "error: unexpected '_'")
    """
    try:
        return written_number(parse_expression(expression).value)
    except ExpressionError as error:
        return f"error: {error}"


TOOLS: dict[str, Callable[[str], str]] = {"calculator": calculator}
"""Functions from the text between the tags to the result. Both are a model's words: a tool must bound its work and its
result, and must not raise."""


def calls_in(message: str, tools: Sequence[str]) -> list[tuple[str, str]]:
    """The tool calls of a message in order: name and argument.

    A call is `<name>argument</name>`. The last one may lack its end, as it does when that is the text at which
    generation stops.

    Example:
        >>> calls_in("First <calculator>3*4</calculator>, then <calculator>12+5", ["calculator"])
        [('calculator', '3*4'), ('calculator', '12+5')]
    """
    calls: list[tuple[str, str]] = []
    place = 0
    for tag in opening_tags(tuple(tools)).finditer(message):
        if tag.start() < place:
            continue  # inside the argument of the call before
        name, start = tag.group(1), tag.end()
        end = message.find(f"</{name}>", start)
        if end < 0:
            calls.append((name, message[start:]))
            break
        calls.append((name, message[start:end]))
        place = end
    return calls


@lru_cache(maxsize=64)
def opening_tags(tools: tuple[str, ...]) -> re.Pattern[str]:
    """What a call starts with."""
    return re.compile(f"<({'|'.join(map(re.escape, tools))})>")


class ToolCalls(Protocol):
    """Tools that the policy calls in its text; a message without a call is the answer.

    A call is written `<calculator>3*4</calculator>`. The next message to the policy holds one `<result>...</result>`
    per call, in order. A message with calls is never graded, whatever else it says. A message without one is graded and
    terminates the episode.

    Args:
        tools: names of the tools, of `rlenvs.envs.protocols.TOOLS`.
        max_calls: calls per episode, 1..1000; further ones are refused.
        max_turns: most messages, after which the episode is truncated; None for one more than `max_calls`, the answer.
        instructions: said after the prompt; "" for nothing.
        feedback: replaces texts: "result", fields {result}; "refused" for calls beyond `max_calls`.

    Raises:
        ParameterError: a value out of range, an unknown tool, text or field.

    Example:
        >>> from rlenvs.envs import TextEnv
        >>> from rlenvs.problems import ArithmeticSource
        >>> env = TextEnv(ArithmeticSource(digits=1), protocol=ToolCalls())
        >>> prompt, info = env.reset(seed=0)
        >>> env.step("<calculator>8+6</calculator>")[:4]
        ('<result>14</result>', 0.0, False, False)
        >>> env.step("14")[:4]
        ('', 1.0, True, False)
    """

    TEXTS = {  # noqa: RUF012
        "result": "<result>{result}</result>",
        "refused": "No calls are left. Write the answer.",
    }
    FIELDS = {"result": ("result",)}  # noqa: RUF012
    INSTRUCTIONS = "You can use a calculator: write <calculator>3*4</calculator> and wait for the result."

    def __init__(
        self,
        tools: Sequence[str] = ("calculator",),
        max_calls: int = 8,
        max_turns: int | None = None,
        instructions: str = INSTRUCTIONS,
        feedback: Mapping[str, str] | None = None,
    ) -> None:
        if isinstance(tools, str) or not isinstance(tools, Sequence) or not tools:
            raise ParameterError("tools", f"must be a non-empty list of names, got {tools!r:.80}")
        for name in tools:
            if not isinstance(name, str) or name not in TOOLS:
                hint = did_you_mean(str(name), TOOLS)
                raise ParameterError("tools", f"has an unknown {name!r}{hint} (known: {', '.join(TOOLS)})")
        self.tools = list(tools)
        self.max_calls = check_int("max_calls", max_calls, 1, 1000)
        self.max_turns = check_int("max_turns", max_calls + 1 if max_turns is None else max_turns, 1, 10_000)
        self.instructions = check_text("instructions", instructions)
        self.feedback = checked_texts("feedback", feedback, self.TEXTS, self.FIELDS)

    def open(self, problem: Problem) -> list[Message]:
        """The prompt and the instructions."""
        return opening(problem, self.instructions)

    def begin(self, problem: Problem) -> dict[str, Any]:
        """No call has been made yet."""
        return {"calls": 0}

    def answer(self, episode: Episode, response: str) -> str | None:
        """The message if it calls no tool."""
        return None if calls_a_tool(response, self.tools) else response

    def reply(self, episode: Episode, response: str, grade: Grade) -> Turn:
        """The results of the calls, or the end."""
        if grade.status != "ok" or not calls_a_tool(response, self.tools):
            return Turn("", True)
        left = self.max_calls - episode.memory["calls"]
        calls = calls_in(response, self.tools)
        results = [self.feedback["result"].format(result=TOOLS[name](text)) for name, text in calls[:left]]
        episode.memory["calls"] += len(results)
        if len(calls) > left:
            results.append(self.feedback["refused"])
        over = episode.turns >= self.max_turns
        return Turn("\n".join(results), False, truncated=over, reward=0.0, progress=0.0)

    def demonstration(self, problem: Problem) -> list[str]:
        """One call of the calculator per step of the solution, where the task has steps, then the answer."""
        if not problem.demonstration:
            return []
        steps = computed_steps(problem.task) if "calculator" in self.tools else []
        called = steps[: min(self.max_calls, self.max_turns - 1)]
        return [*(f"<calculator>{step['expression']}</calculator>" for step in called), problem.demonstration]

    def info(self, episode: Episode) -> dict[str, Any]:
        """`tool_calls`: how many have been made."""
        return {"tool_calls": episode.memory["calls"]}


def calls_a_tool(message: str, tools: Sequence[str]) -> bool:
    """True if a message calls any of the tools."""
    return any(f"<{name}>" in message for name in tools)
