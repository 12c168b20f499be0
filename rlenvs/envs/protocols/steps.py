r"""A derivation, one step per message, each checked exactly."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

from rlenvs.envs.messages import Message
from rlenvs.envs.protocols.base import Episode, Protocol, Turn, opening
from rlenvs.envs.protocols.exact import NUMBER, Exact, ExpressionError, parse_expression
from rlenvs.envs.protocols.texts import check_text, checked_texts, extraction_of, quoted
from rlenvs.errors import DataError, ParameterError
from rlenvs.graders import Grade, extract_answer
from rlenvs.problems import Problem
from rlenvs.problems.checks import check_bool, check_int

MAX_LINE_CHARS = 1000
"""A longer line is no step."""
MAX_DIGITS = 100
"""A longer number in a question is not one that a step uses."""
ANNOTATION = re.compile(r"<<[^<>\n]*>>")
"""Calculator marks as in GSM8K solutions: they repeat the equation that they stand in."""
LISTED = re.compile(r"^\s*(?:step\s*)?\d+[.):]\s+", re.IGNORECASE)
EXPRESSION_CHARACTERS = "-+*/()^%$€£\u00d7\u00b7\u00f7\u2212\u20130123456789., \t\r\u00a0"
RIGHT = re.compile(rf"\s*([-\u2212+]?[$€£]?(?:{NUMBER})(?:\s*/\s*\d+)?%?)")
WRITTEN_NUMBER = re.compile(NUMBER)


@dataclass(frozen=True, slots=True)
class Goal:
    """One step of the solution that the task knows."""

    exact: Exact
    needs: frozenset[int]
    """Positions of the steps whose results this one uses."""


def numbers_in(text: str) -> set[Fraction]:
    """The numbers written in a text with digits."""
    found = [number.replace(",", "") for number in WRITTEN_NUMBER.findall(text)]
    return {Fraction(number) for number in found if len(number) <= MAX_DIGITS}


@lru_cache(maxsize=4096)
def goals_of(steps: tuple[tuple[str, str], ...], question: str) -> tuple[Goal, ...]:
    """The steps of a solution, parsed, and which of them need which.

    A step needs an earlier one if it uses a number that is the earlier one's result and is not written in the question.
    A step that computes nothing (`12 = 12`) is no goal: it reads a number out of the words of the question.

    Raises:
        DataError: a step is no expression, or its value is wrong.
    """
    given = numbers_in(question)
    goals: list[Goal] = []
    for place, (expression, value) in enumerate(steps):
        try:
            exact, result = parse_expression(expression), parse_expression(value).value
        except ExpressionError as error:
            raise DataError(f"task steps[{place}]: {expression!r} = {value!r} cannot be read: {error}") from None
        if exact.value != result:
            raise DataError(f"task steps[{place}]: {expression!r} is not {value!r}")
        if exact.operators == 0:
            given.add(exact.value)
            continue
        makers = {goal.exact.value: index for index, goal in enumerate(goals)}
        needs = {makers[number] for number in exact.numbers if number in makers and number not in given}
        goals.append(Goal(exact, frozenset(needs)))
    return tuple(goals)


def task_goals(problem: Problem, required: bool = False) -> tuple[Goal, ...]:
    """The goals of a problem.

    Raises:
        DataError: the task's "steps" are no steps, or it has none and they are required.
    """
    steps = problem.task.get("steps") or ()
    if not isinstance(steps, Sequence) or isinstance(steps, str) or (required and not steps):
        raise DataError(
            f"problem {problem.id!r}: the steps protocol needs a task with 'steps', a list; "
            "require_steps=False plays such a problem for its final answer alone"
        )
    pairs = []
    for place, step in enumerate(steps):
        if not isinstance(step, Mapping) or not {"expression", "value"} <= step.keys():
            raise DataError(f"problem {problem.id!r}: task steps[{place}] must have 'expression' and 'value'")
        pairs.append((str(step["expression"]), str(step["value"])))
    return goals_of(tuple(pairs), problem.prompt)


def equation_in(message: str) -> tuple[str, str] | None:
    """Both sides of the one equation of a message, or None if it has none, or more than one.

    Words around it are allowed: the left side starts after the last character before the sign that cannot be part of an
    expression, the right side is one number.

    Example:
        >>> equation_in("Step 1: Tom has 3*4 = 12 marbles.")
        ('3*4', '12')
        >>> equation_in("3*4 = 12 and 12+5 = 17") is None
        True
    """
    if message.count("=") > MAX_LINE_CHARS:
        return None
    lines = [line for line in message.split("\n") if "=" in line]
    if len(lines) != 1 or len(lines[0]) > MAX_LINE_CHARS:
        return None
    line = LISTED.sub("", ANNOTATION.sub("", lines[0]))
    if line.count("=") != 1:
        return None
    before, _, after = line.partition("=")
    right = RIGHT.match(after)
    if right is None:
        return None
    left = before[len(before.rstrip(EXPRESSION_CHARACTERS)) :]
    return left.strip(" \t\r\u00a0.,"), right.group(1)


class Steps(Protocol):
    """One step of a derivation per message, in any valid order; the final answer ends the episode.

    The task's `steps` are the sub-goals: `[{"expression": "3*4", "value": "12"}, ...]`. A step is one equation such as
    `3*4 = 12`, in words or alone. It is checked with exact arithmetic, and it reaches a sub-goal if its left side is
    the sub-goal's expression up to the order of terms and factors, and the results that this one uses have been derived
    (or stand in the question). `info["progress"]` is the share of sub-goals reached: the potential of a shaped reward.

    A message with an answer where the task's `extract` looks for it is the final answer and terminates the episode,
    right or wrong; with `extract="whole"` that is any message without an equals sign. Its score is the reward. After
    `max_turns` messages without one the episode is truncated.

    Args:
        max_turns: most messages, 1..10000.
        step_reward: reward of a sub-goal, shared by all of them: all together give this much; at least 0.
        require_steps: whether a task without steps is an error; if not, its final answer is all there is to do.
        instructions: said after the prompt; "" for nothing.
        feedback: replaces texts: "reached", "wrong", "known", "early", "other" (right, and no sub-goal) and
            "unreadable"; fields {step}, {left}, {right}, {done}, {total}, of which "unreadable" has the last two.

    Raises:
        ParameterError: a value out of range, an unknown text or field.

    Example:
        >>> steps = [{"expression": "3*4", "value": "12"}, {"expression": "12+5", "value": "17"}]
        >>> task = {"type": "math", "gold": "17", "extract": "last_hash", "steps": steps}
        >>> problem = Problem(id="toy", prompt="3 bags of 4, and 5 more?", task=task, demonstration="#### 17")
        >>> protocol = Steps()
        >>> episode = Episode(problem, protocol.open(problem), memory=protocol.begin(problem))
        >>> unseen = Grade(0.0, False, "ok", None, "")
        >>> protocol.reply(episode, "4*3 = 12", unseen).observation
        'Right: 4*3 = 12. Steps done: 1 of 2.'
        >>> protocol.reply(episode, "12+5 = 18", unseen).observation
        '12+5 is not 18. Steps done: 1 of 2.'
    """

    follows_demonstration = False
    TEXTS = {  # noqa: RUF012
        "reached": "Right: {step}. Steps done: {done} of {total}.",
        "wrong": "{left} is not {right}. Steps done: {done} of {total}.",
        "known": "{step} is known already. Steps done: {done} of {total}.",
        "early": "{step} uses a number that has not been derived yet. Steps done: {done} of {total}.",
        "other": "{step} is true, but no step of the solution. Steps done: {done} of {total}.",
        "unreadable": "Write exactly one step such as 3*4 = 12, or the final answer. Steps done: {done} of {total}.",
    }
    FIELDS = {  # noqa: RUF012
        **dict.fromkeys(TEXTS, ("step", "left", "right", "done", "total")),
        "unreadable": ("done", "total"),
    }
    INSTRUCTIONS = "Solve it step by step. Write one step per message, such as 3*4 = 12; then the final answer."

    def __init__(
        self,
        max_turns: int = 32,
        step_reward: float = 0.0,
        require_steps: bool = True,
        instructions: str = INSTRUCTIONS,
        feedback: Mapping[str, str] | None = None,
    ) -> None:
        self.max_turns = check_int("max_turns", max_turns, 1, 10_000)
        number = isinstance(step_reward, int | float) and not isinstance(step_reward, bool)
        if not number or not 0 <= step_reward < float("inf"):
            raise ParameterError("step_reward", f"must be a finite number >= 0, got {step_reward!r}")
        self.step_reward = float(step_reward)
        self.require_steps = check_bool("require_steps", require_steps)
        self.instructions = check_text("instructions", instructions)
        self.feedback = checked_texts("feedback", feedback, self.TEXTS, self.FIELDS)

    def open(self, problem: Problem) -> list[Message]:
        """The prompt and the instructions."""
        return opening(problem, self.instructions)

    def begin(self, problem: Problem) -> dict[str, Any]:
        """No sub-goal is reached yet."""
        task_goals(problem, self.require_steps)
        return {"done": []}

    def answer(self, episode: Episode, response: str) -> str | None:
        """The message if it holds a final answer."""
        return response if is_final(episode.problem.task, response) else None

    def reply(self, episode: Episode, response: str, grade: Grade) -> Turn:
        """The end, or what became of the step."""
        goals = task_goals(episode.problem)
        done = episode.memory["done"]
        if grade.status != "ok" or is_final(episode.problem.task, response):
            return Turn("", True, progress=1.0 if grade.correct else share(done, goals))
        key, place, fields = self._judged(goals, done, response)
        reward = 0.0
        if place is not None:
            done.append(place)
            reward = self.step_reward / len(goals)
        text = self.feedback[key].format(done=len(done), total=len(goals), **fields)
        over = episode.turns >= self.max_turns
        return Turn(text, False, truncated=over, reward=reward, progress=share(done, goals))

    def demonstration(self, problem: Problem) -> list[str]:
        """One message per step of the solution, then the final answer."""
        task_goals(problem, self.require_steps)
        steps = [
            step for step in problem.task.get("steps") or () if parse_expression(str(step["expression"])).operators
        ]
        last = problem.demonstration.rstrip().rpartition("\n")[2]
        final = last if last and is_final(problem.task, last) else problem.demonstration
        if not final:
            return []
        steps = computed_steps(problem.task)[: self.max_turns - 1]
        return [*(f"{step['expression']} = {step['value']}" for step in steps), final]

    def info(self, episode: Episode) -> dict[str, Any]:
        """`steps_done` and `steps_total`."""
        return {"steps_done": len(episode.memory["done"]), "steps_total": len(task_goals(episode.problem))}

    def _judged(
        self, goals: Sequence[Goal], done: Sequence[int], response: str
    ) -> tuple[str, int | None, dict[str, str]]:
        """Which text is said about a step, the sub-goal that it reaches, and the fields of the text."""
        sides = equation_in(response)
        if sides is None:
            return "unreadable", None, {}
        try:
            exact, claimed = parse_expression(sides[0]), parse_expression(sides[1]).value
        except ExpressionError:
            return "unreadable", None, {}
        left, right = quoted(sides[0]), quoted(sides[1])
        fields = {"left": left, "right": right, "step": f"{left} = {right}"}
        if exact.value != claimed:
            return "wrong", None, fields
        same = [place for place, goal in enumerate(goals) if goal.exact.form == exact.form]
        new = [place for place in same if place not in done]
        if not new:
            return ("known" if same else "other"), None, fields
        ready = [place for place in new if goals[place].needs <= set(done)]
        return ("reached", ready[0], fields) if ready else ("early", None, fields)


def computed_steps(task: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The steps of a task that compute something."""
    return [step for step in task.get("steps") or () if parse_expression(str(step["expression"])).operators]


def share(done: Sequence[int], goals: Sequence[Goal]) -> float:
    """The share of the goals that is reached; 0.0 where there are none."""
    return len(done) / len(goals) if goals else 0.0


def is_final(task: Mapping[str, Any], response: str) -> bool:
    """True if a message holds the final answer of a task, right or wrong."""
    extract = extraction_of(task)
    if extract == "whole":
        return "=" not in response
    after_think = bool(task.get("require_after_think", False))
    return extract_answer(response, extract, tuple(task.get("markers", ())), after_think=after_think).answer is not None
