"""Responses as files hold them: what one row says, and how a component will see it.

Two kinds of row are read. A row with `iteration`, `env` and `turn` is a turn of a run (a line of `rollouts.jsonl`) and
is rebuilt as it was. Any other row is an episode of one answer: prompt, response, a verdict where there is one, and
everything else is put into `info`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rlenvs.errors import DataError
from rlenvs.graders import Grade
from rlenvs.json_lines import field_of, text_field
from rlenvs.shown import shown
from rlenvs.wrappers.transition import Message

LABEL_FIELDS = ("correct", "label")
"""Where the true grade is looked for when nobody says where it is."""

RUN_FIELDS = ("iteration", "env", "turn")
VERDICT_KEYS = frozenset(
    ["correct", "score", "grade_status", "extracted", "reason", "response", "response_tokens", "messages"]
)


@dataclass(frozen=True)
class StoredFields:
    """Names of the fields of a row; a dot leads into a nested object ("task.question").

    Attributes:
        prompt: what was asked, a text or a list of messages; "prompt", and "" in a row without it, when None.
        response: what the model wrote.
        label: the true grade; "correct" or "label", and none in a row without them, when None.
        right_label: the label of a right response, where labels are texts ("pass"); None for numbers and booleans.
        threshold: a response is right from this label on, where labels are numbers.

    Example:
        >>> row = {"prompt": "2+2?", "response": "4", "correct": True, "model": "small"}
        >>> step = StoredFields().read(row, "data.jsonl:1")
        >>> step.right, step.prompt, step.info["model"]
        (True, '2+2?', 'small')
    """

    prompt: str | None = None
    response: str = "response"
    label: str | None = None
    right_label: str | None = None
    threshold: float = 0.5

    def read(
        self, row: Mapping[str, Any], where: str = "row", line: int = 0, verdict: Grade | None = None
    ) -> "StoredStep":
        """Return what a row says.

        Args:
            row: the parsed line.
            where: what error messages begin with ("file:line").
            line: number of the line, for reports.
            verdict: what a grader says of the response; it becomes the `info` that an environment would give, and
                the true grade where no field of the row is named for that.

        Raises:
            DataError: a field is missing or holds something else than it should.
        """
        response = text_field(row, self.response, where)
        chat = self._chat(row, where)
        prompt = str(chat[-1]["content"]) if chat else ""
        truth, right = self._truth(row, where, verdict)
        step = StoredStep(where, line, prompt, response, chat, truth, right)
        if all(key in row for key in RUN_FIELDS):
            _read_turn(step, row, where)
        else:
            self._read_answer(step, row, where, verdict)
        if verdict is not None:
            step.info |= verdict_info(verdict)
        return step

    def _chat(self, row: Mapping[str, Any], where: str) -> list[Message]:
        name = self.prompt or "prompt"
        if self.prompt is None and "prompt" not in row:
            return []
        value = field_of(row, name, where)
        if isinstance(value, str):
            return [{"role": "user", "content": value}]
        return _messages(value, name, where)

    def _truth(self, row: Mapping[str, Any], where: str, verdict: Grade | None) -> tuple[float, bool | None]:
        """Return the true grade and whether it is that of a right response; NaN and None where nobody knows."""
        if self.label is None and verdict is not None:
            return verdict.score, verdict.correct
        name = self.label or next((name for name in LABEL_FIELDS if name in row), None)
        value = None if name is None else field_of(row, name, where)
        if name is None or value is None:
            return math.nan, None
        if isinstance(value, str) and self.right_label is not None:
            return float(value == self.right_label), value == self.right_label
        if isinstance(value, int | float) and math.isfinite(value):
            return float(value), bool(value >= self.threshold)
        hint = "; say which label means right (right_label, --right-label)" if isinstance(value, str) else ""
        raise DataError(f"{where}: field {name!r}: expected true, false or a finite number, got {shown(value)}{hint}")

    def _read_answer(self, step: "StoredStep", row: Mapping[str, Any], where: str, verdict: Grade | None) -> None:
        """Read a row that is no turn of a run: an episode of one answer."""
        own = {self.response, self.prompt or "prompt"}
        step.info = {key: value for key, value in row.items() if key not in own}
        told = step.info.pop("correct", None)
        if told in (0, 1):  # an environment's verdict, which may be another than the true grade
            step.info["correct"] = bool(told)
        elif step.right is not None:
            step.info["correct"] = step.right
        if "correct" in step.info:
            step.info.setdefault("progress", float(step.info["correct"]))
        if "env_reward" in row:
            step.env_reward = _number(row, "env_reward", where)
        elif step.right is not None:
            step.env_reward = step.truth if verdict is None else verdict.score
        if "step" in row:
            step.step = _whole(row, "step", where)
        known = {key: value for key, value in step.info.items() if key not in VERDICT_KEYS}
        step.start = {**known, "progress": 0.0}
        step.paid = _optional_number(row, "reward")


@dataclass(slots=True)
class StoredStep:
    """One stored response and what was stored with it.

    Attributes:
        where: its place ("file:line").
        line: number of its line.
        prompt: the newest message that the policy saw, "" where there is none.
        response: what the model wrote.
        chat: the chat that it answers, as far as this row knows it: the first messages of the episode in a first turn,
            else the newest one.
        truth: true grade, NaN where nobody knows.
        right: whether the response is right, None where nobody knows.
        info: what came with the step, without texts of the chat.
        start: the info of the episode's first state; None where an earlier turn has it.
        env_reward: the environment's own reward; NaN where nobody knows.
        episode: which episode of its iteration this is a turn of; None for an episode of one answer.
        turn: number of the turn, from 0.
        iteration: of the run; None for an episode of one answer.
        step: the reward clock; None where it was not stored.
        terminated: the task reached an end; None where it was not stored.
        truncated: the episode was cut.
        next_prompt: what the environment answered, where no later turn says so.
        paid: the reward that was stored, NaN where none was.
    """

    where: str
    line: int
    prompt: str
    response: str
    chat: list[Message]
    truth: float = math.nan
    right: bool | None = None
    info: dict[str, Any] = field(default_factory=dict)
    start: dict[str, Any] | None = None
    env_reward: float = math.nan
    episode: int | None = None
    turn: int = 0
    iteration: int | None = None
    step: int | None = None
    terminated: bool | None = None
    truncated: bool = False
    next_prompt: str | None = None
    paid: float = math.nan


def _read_turn(step: StoredStep, row: Mapping[str, Any], where: str) -> None:
    """Read a line of `rollouts.jsonl`."""
    step.iteration, step.episode, step.turn = (_whole(row, key, where) for key in RUN_FIELDS)
    step.step = _whole(row, "step", where) if "step" in row else None
    step.env_reward, step.paid = _optional_number(row, "env_reward"), _optional_number(row, "reward")
    step.terminated = _flag(row, "terminated", where)
    step.truncated = bool(_flag(row, "truncated", where))
    if "opening" in row:
        step.chat = _messages(row["opening"], "opening", where)
    if "next_prompt" in row:
        step.next_prompt = text_field(row, "next_prompt", where)
    if step.turn == 0 and "start" in row:
        step.start = _mapping(row, "start", where)
    step.info = _mapping(row, "info", where) if "info" in row else {}
    step.info |= {key: row[key] for key in ("problem_id", "correct", "grade_status") if key in row}
    if "tokens" in row:
        step.info["response_tokens"] = _whole(row, "tokens", where)


def verdict_info(verdict: Grade) -> dict[str, Any]:
    """Return what the environments put into `info` about a graded response."""
    return {
        "correct": verdict.correct,
        "score": verdict.score,
        "grade_status": verdict.status,
        "extracted": verdict.extracted or "",
        "reason": verdict.reason,
        "progress": float(verdict.correct),
    }


def _messages(value: object, name: str, where: str) -> list[Message]:
    def is_message(item: object) -> bool:
        return isinstance(item, dict) and all(isinstance(item.get(key), str) for key in ("role", "content"))

    if isinstance(value, list) and value and all(map(is_message, value)):
        return [{"role": item["role"], "content": item["content"]} for item in value]
    raise DataError(f"{where}: field {name!r}: expected text or a list of messages (role, content), got {shown(value)}")


def _mapping(row: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    value = row[name]
    if not isinstance(value, dict):
        raise DataError(f"{where}: field {name!r}: expected an object, got {shown(value)}")
    return dict(value)


def _whole(row: Mapping[str, Any], name: str, where: str) -> int:
    value = row[name]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise DataError(f"{where}: field {name!r}: expected a whole number in [0, 2^63), got {shown(value)}")
    return value


def _number(row: Mapping[str, Any], name: str, where: str) -> float:
    value = row[name]
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise DataError(f"{where}: field {name!r}: expected a finite number, got {shown(value)}")
    return float(value)


def _optional_number(row: Mapping[str, Any], name: str) -> float:
    value = row.get(name)
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if usable and value is not None else math.nan


def _flag(row: Mapping[str, Any], name: str, where: str) -> bool | None:
    value = row.get(name)
    if value is not None and not isinstance(value, bool):
        raise DataError(f"{where}: field {name!r}: expected true or false, got {shown(value)}")
    return value
