"""Problem sources by name, so that files and keyword arguments can ask for them."""

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from rlenvs.errors import ParameterError, UserError
from rlenvs.problems.problem import ProblemSource
from rlenvs.suggestions import did_you_mean

PROBLEM_SOURCES: dict[str, str] = {
    "arithmetic": "rlenvs.problems.arithmetic:ArithmeticSource",
    "algebra": "rlenvs.problems.algebra:AlgebraSource",
    "word_problems": "rlenvs.problems.words.source:WordProblemSource",
    "countdown": "rlenvs.problems.countdown:CountdownSource",
    "sequences": "rlenvs.problems.sequences:SequenceSource",
    "code": "rlenvs.problems.code.source:CodeSource",
    "code_repair": "rlenvs.problems.code.repair:CodeRepairSource",
    "reasoning_gym": "rlenvs.problems.reasoning:ReasoningGymSource",
    "jsonl": "rlenvs.problems.jsonl:JsonlSource",
    "datasets": "rlenvs.problems.hub:DatasetsSource",
    "multiple_choice": "rlenvs.problems.choice:MultipleChoiceSource",
    "instructions": "rlenvs.problems.instructions:InstructionSource",
    "text_prompts": "rlenvs.problems.text_prompts:TextPromptSource",
    "conversation": "rlenvs.problems.conversations:ConversationSource",
    "mixture": "rlenvs.problems.mixture:MixtureSource",
    "curriculum": "rlenvs.problems.curriculum:CurriculumSource",
}
"""Where the class of each name is; imported when it is asked for."""


def source_class(name: object) -> type[ProblemSource]:
    """The class of a source.

    Raises:
        UserError: there is none of that name; says the nearest one.
    """
    if not isinstance(name, str) or name not in PROBLEM_SOURCES:
        hint = did_you_mean(name, PROBLEM_SOURCES) if isinstance(name, str) else ""
        raise UserError(f"source: unknown {name!r}{hint} (known: {', '.join(PROBLEM_SOURCES)})")
    module, _, attribute = PROBLEM_SOURCES[name].partition(":")
    found: type[ProblemSource] = getattr(importlib.import_module(module), attribute)
    return found


def source_parameters(name: str) -> list[str]:
    """The names of the parameters of a source.

    Example:
        >>> source_parameters("countdown")[:3]
        ['min_numbers', 'max_numbers', 'max_number']
    """
    return list(inspect.signature(source_class(name)).parameters)


def make_source(source: "str | Mapping[str, Any] | ProblemSource", **parameters: Any) -> ProblemSource:
    """A problem source by name.

    Args:
        source: a name; a mapping with the name under "source" (or "name") and parameters, beside it or under "params";
            or a source, which is returned as it is.
        **parameters: those of the source, in addition to those of the mapping.

    Raises:
        UserError: an unknown name or parameter, with the nearest known one, or a value out of range.

    Example:
        >>> make_source("countdown", max_numbers=4).max_numbers
        4
        >>> make_source({"source": "algebra", "kinds": ["linear"]}).kinds
        ('linear',)
    """
    if isinstance(source, ProblemSource):
        if parameters:
            raise UserError(f"source: it is made already, and takes no {', '.join(parameters)}")
        return source
    if isinstance(source, Mapping):
        source, parameters = read_spec(source, parameters)
    found, known = source_class(source), source_parameters(str(source))
    for parameter in parameters:
        if parameter not in known:
            hint = did_you_mean(parameter, known)
            raise ParameterError(parameter, f"is no parameter of source {source!r}{hint} (known: {', '.join(known)})")
    for parameter, described in inspect.signature(found).parameters.items():
        if described.default is described.empty and parameter not in parameters:
            raise ParameterError(parameter, f"is required by source {source!r}")
    return found(**parameters)


def read_spec(spec: Mapping[str, Any], more: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Name and parameters of a mapping.

    Raises:
        UserError: it has no name; "params" is no mapping; a parameter is given twice.
    """
    given = {str(key): value for key, value in spec.items()}
    # A mixture has a parameter "sources", a curriculum one called "source": there the name is under "name".
    key = "name" if "name" in given else "source"
    if key not in given:
        raise UserError(f"source: a mapping needs the key 'source' with a name, got {sorted(given)}")
    name = given.pop(key)
    nested = given.pop("params", {})
    if not isinstance(nested, Mapping):
        raise UserError(f"source {name!r}: params must be a mapping, got {nested!r:.80}")
    parameters: dict[str, Any] = {}
    for part in (given, nested, more):
        for parameter, value in part.items():
            if parameter in parameters:
                raise UserError(f"source {name!r}: parameter {parameter!r} is given twice")
            parameters[parameter] = value
    return name, parameters
