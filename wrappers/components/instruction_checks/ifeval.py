"""Rows of the IFEval data set as instructions of ours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rlenvs.errors import DataError
from rlenvs.suggestions import did_you_mean

__all__ = ["IFEVAL_KINDS", "from_ifeval"]


@dataclass(frozen=True, slots=True)
class IfevalKind:
    """How one instruction id of IFEval translates.

    Attributes:
        type: our `type`.
        names: their keyword -> our parameter.
        fixed: parameters that their id implies.
        also: further instructions that their id implies.
    """

    type: str
    names: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    also: Sequence[Mapping[str, Any]] = ()


_ENGLISH = ({"type": "language", "code": "en"},)
_EXACTLY = {"relation": "exactly"}
_OPTIONS = ["My answer is yes.", "My answer is no.", "My answer is maybe."]

IFEVAL_KINDS: dict[str, IfevalKind] = {
    "change_case:capital_word_frequency": IfevalKind(
        "capital_words", {"capital_frequency": "count", "capital_relation": "relation"}
    ),
    "change_case:english_capital": IfevalKind("all_uppercase", also=_ENGLISH),
    "change_case:english_lowercase": IfevalKind("all_lowercase", also=_ENGLISH),
    "combination:repeat_prompt": IfevalKind("repeat_prompt", {"prompt_to_repeat": "prompt"}),
    "combination:two_responses": IfevalKind("two_responses"),
    "detectable_content:number_placeholders": IfevalKind("placeholders", {"num_placeholders": "count"}),
    "detectable_content:postscript": IfevalKind("postscript", {"postscript_marker": "marker"}),
    "detectable_format:constrained_response": IfevalKind("one_of", fixed={"options": _OPTIONS, "match": "contains"}),
    "detectable_format:json_format": IfevalKind("json"),
    "detectable_format:multiple_sections": IfevalKind(
        "sections", {"section_spliter": "marker", "num_sections": "count"}
    ),
    "detectable_format:number_bullet_lists": IfevalKind("number_of_bullets", {"num_bullets": "count"}, _EXACTLY),
    "detectable_format:number_highlighted_sections": IfevalKind("highlights", {"num_highlights": "count"}),
    "detectable_format:title": IfevalKind("title"),
    "keywords:existence": IfevalKind("include_keywords", {"keywords": "keywords"}),
    "keywords:forbidden_words": IfevalKind("forbidden_words", {"forbidden_words": "words"}),
    "keywords:frequency": IfevalKind(
        "include_keywords", {"keyword": "keywords", "frequency": "count", "relation": "relation"}
    ),
    "keywords:letter_frequency": IfevalKind(
        "letter_frequency", {"letter": "letter", "let_frequency": "count", "let_relation": "relation"}
    ),
    "language:response_language": IfevalKind("language", {"language": "code"}),
    "length_constraints:nth_paragraph_first_word": IfevalKind(
        "paragraph_first_word", {"num_paragraphs": "paragraphs", "nth_paragraph": "paragraph", "first_word": "word"}
    ),
    "length_constraints:number_paragraphs": IfevalKind(
        "number_of_paragraphs", {"num_paragraphs": "count"}, {"divider": "asterisks", **_EXACTLY}
    ),
    "length_constraints:number_sentences": IfevalKind(
        "number_of_sentences", {"num_sentences": "count", "relation": "relation"}
    ),
    "length_constraints:number_words": IfevalKind("number_of_words", {"num_words": "count", "relation": "relation"}),
    "punctuation:no_comma": IfevalKind("no_commas"),
    "startend:end_checker": IfevalKind("ends_with", {"end_phrase": "text"}),
    "startend:quotation": IfevalKind("quoted"),
}
"""The instruction ids of IFEval and what they are here."""


def from_ifeval(instruction_ids: Sequence[str], arguments: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the instructions of one row of IFEval, as `InstructionReward` takes them from `info`.

    `less than n` becomes `at_most` n - 1. The two kinds "in English and in capital (or small) letters" become two
    instructions each.

    Args:
        instruction_ids: `instruction_id_list` of the row.
        arguments: `kwargs` of the row: one mapping for each id; keys with None are ignored.

    Raises:
        DataError: an unknown id or keyword, or another number of mappings than of ids.

    Source: Zhou et al. 2023, 2311.07911.

    Example:
        >>> from_ifeval(["length_constraints:number_words"], [{"relation": "less than", "num_words": 300}])
        [{'type': 'number_of_words', 'relation': 'at_most', 'count': 299}]
    """
    if len(instruction_ids) != len(arguments):
        counts = f"{len(instruction_ids)} ids and {len(arguments)} kwargs"
        raise DataError(f"a row of IFEval needs one kwargs for each id, got {counts}")
    instructions: list[dict[str, Any]] = []
    for instruction_id, given in zip(instruction_ids, arguments, strict=True):
        if instruction_id not in IFEVAL_KINDS:
            guess = did_you_mean(instruction_id, list(IFEVAL_KINDS))
            raise DataError(f"unknown instruction id of IFEval {instruction_id!r}{guess}")
        kind = IFEVAL_KINDS[instruction_id]
        instructions.append({"type": kind.type, **kind.fixed, **_parameters(instruction_id, kind, given)})
        instructions.extend(dict(further) for further in kind.also)
    return instructions


def _parameters(instruction_id: str, kind: IfevalKind, given: Mapping[str, Any]) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for key, value in given.items():
        if value is None:
            continue
        if key not in kind.names:
            known = ", ".join(kind.names) or "none"
            raise DataError(f"{instruction_id} of IFEval has no keyword {key!r} (known: {known})")
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # tables with missing values keep whole numbers as floats
        parameters[kind.names[key]] = [value] if key == "keyword" else value
    relation = parameters.get("relation")
    if relation == "less than":
        parameters |= {"relation": "at_most", "count": parameters.get("count", 0) - 1}
    elif relation is not None:
        parameters["relation"] = str(relation).replace(" ", "_")
    return parameters
