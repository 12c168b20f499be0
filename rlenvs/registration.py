"""The table of environment ids, and their registration with Gymnasium."""

import copy
from dataclasses import asdict, dataclass, field
from typing import Any

import gymnasium as gym


@dataclass(frozen=True, slots=True)
class EnvironmentRow:
    """One environment id. Entry points are texts: registering imports nothing, and specs become JSON."""

    id: str
    entry_point: str
    vector_entry_point: str | None
    level: str
    """"turn" (whole messages) or "token" (ids)."""
    source: str
    """Where its problems come from, a name of `rlenvs.problems.make_source`."""
    grader: str
    """What judges the answers: the `type` of its tasks, "code" for all that programs answer, or "none"."""
    protocol: str
    """What a step is, a name of `rlenvs.envs.protocols`."""
    description: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the entry points; those of `gymnasium.make` come on top."""


@dataclass(frozen=True, slots=True)
class Combination:
    """Source, grader and protocol of an id and of its twin at token level."""

    name: str
    source: str
    grader: str
    protocol: str
    description: str
    parameters: dict[str, Any] = field(default_factory=dict)
    """Those of the source or protocol whose value the id decides."""


COMBINATIONS = (
    Combination("Arithmetic", "arithmetic", "math", "single", "Integer arithmetic, one answer per problem."),
    Combination("MathWord", "word_problems", "gsm8k", "single", "Word problems, one answer per problem."),
    Combination("MathSteps", "word_problems", "gsm8k", "steps", "Word problems, one checked step per message."),
    Combination("MathRetry", "word_problems", "gsm8k", "retry", "Word problems, several attempts with feedback."),
    Combination("ToolMath", "word_problems", "gsm8k", "tools", "Word problems with a calculator to call."),
    Combination("ToolPython", "word_problems", "gsm8k", "python_tool", "Word problems with a Python session to call."),
    Combination("Code", "code", "code", "code", "Programs: run on visible tests and fixed, judged by hidden ones."),
    Combination(
        "CodeRepair", "code_repair", "code", "code", "Programs with a bug: run, fixed, judged by hidden tests."
    ),
    Combination("Countdown", "countdown", "countdown", "single", "Reach a target with given numbers."),
    Combination("Sequence", "sequences", "qa_exact", "single", "Sequences of symbols to copy or to reverse."),
    Combination("MultipleChoice", "multiple_choice", "mcq", "single", "Word problems with options to choose from."),
    Combination(
        "Reasoning",
        "reasoning_gym",
        "reasoning_gym",
        "single",
        "Any data set of reasoning-gym (`dataset=`): its reference answer, or its own scorer (`scoring=`).",
        {"dataset": "family_relationships"},
    ),
    Combination("Dataset", "jsonl", "by task", "single", "Problems of your own, from a JSONL file (`path=`)."),
    Combination(
        "Instruction", "instructions", "none", "completion", "Texts with instructions; `InstructionReward` checks them."
    ),
    Combination("TextGeneration", "text_prompts", "none", "completion", "Free texts; the reward layer decides."),
    Combination("Conversation", "conversation", "none", "conversation", "Talks with a scripted or modelled user."),
)

SUITE = "rlenvs.envs.suite"


def rows_of(combination: Combination) -> tuple[EnvironmentRow, EnvironmentRow]:
    """The turn level and the token level of a combination."""
    kwargs = {"source": combination.source, "protocol": combination.protocol, **combination.parameters}
    parts = (combination.source, combination.grader, combination.protocol)
    return (
        EnvironmentRow(
            f"rlenvs/{combination.name}-v0",
            f"{SUITE}:SuiteEnv",
            f"{SUITE}:SuiteVectorEnv",
            "turn",
            *parts,
            combination.description,
            kwargs,
        ),
        EnvironmentRow(
            f"rlenvs/{combination.name}Tokens-v0",
            f"{SUITE}:SuiteTokenEnv",
            f"{SUITE}:SuiteTokenVectorEnv",
            "token",
            *parts,
            f"{combination.description.rstrip('.')}; one token per step.",
            kwargs,
        ),
    )


ENVIRONMENTS = tuple(row for combination in COMBINATIONS for row in rows_of(combination))


def register_all() -> None:
    """Register every id of the table with Gymnasium; a second call changes nothing."""
    for row in ENVIRONMENTS:
        if row.id not in gym.registry:
            gym.register(
                row.id,
                entry_point=row.entry_point,
                vector_entry_point=row.vector_entry_point,
                kwargs=copy.deepcopy(row.kwargs),
            )


def environment_table() -> list[dict[str, Any]]:
    """The rows of the table as plain dicts, with the fields of `EnvironmentRow`.

    Example:
        >>> environment_table()[0]["id"]
        'rlenvs/Arithmetic-v0'
    """
    return [asdict(row) for row in ENVIRONMENTS]


def markdown_table() -> str:
    """The table as Markdown, one line per turn-level id, for README.md and docs/environments.md.

    Example:
        >>> markdown_table().splitlines()[0]
        '| id | problem source | grader | protocol | what it is |'
    """
    lines = ["| id | problem source | grader | protocol | what it is |", "|---|---|---|---|---|"]
    for row in ENVIRONMENTS:
        if row.level == "turn":
            cells = (f"`{row.id}`", f"`{row.source}`", row.grader, f"`{row.protocol}`", row.description)
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
