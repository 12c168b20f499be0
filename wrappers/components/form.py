"""Does the response have the form that was asked for."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, get_args

from rlenvs.errors import ParameterError
from rlenvs.wrappers.base import INVALID, OK, BaseReward, Score
from rlenvs.wrappers.component_registry import register_reward
from rlenvs.wrappers.components.fences import CodeBlockForm
from rlenvs.wrappers.components.json_form import SchemaForm, is_json
from rlenvs.wrappers.components.markdown import Element, MarkdownForm
from rlenvs.wrappers.components.tagged import TagForm
from rlenvs.wrappers.components.text_parameters import check_choice
from rlenvs.wrappers.parameters import finite_number, whole_number
from rlenvs.wrappers.transition import Transition

__all__ = ["Format", "FormattingReward"]

Format = Literal["json", "json_schema", "markdown", "regex", "tags", "code_block"]

_FORMATS_OF: dict[str, tuple[Format, ...]] = {
    "pattern": ("regex",),
    "schema": ("json_schema",),
    "elements": ("markdown",),
    "tags": ("tags",),
    "language": ("code_block",),
    "whole": ("tags", "code_block"),
}
_NEEDED = {"regex": "pattern", "json_schema": "schema"}


@register_reward()
class FormattingReward(BaseReward):
    """`reward_value` where the response has the form, else `penalty_value` with status `invalid`.

    At token level, before the message ends, the reward is 0: a prefix has no form yet.

    | format | the response | parameters |
    |---|---|---|
    | `json` | is one JSON value | |
    | `json_schema` | is one JSON value that is valid under `schema` | `schema` |
    | `markdown` | holds every kind of block in `elements`, none empty | `elements` |
    | `regex` | matches `pattern` from beginning to end | `pattern` |
    | `tags` | holds each of `tags` once, closed, in order: `<think>...</think><answer>...</answer>` | `tags`, `whole` |
    | `code_block` | holds one closed fenced code block | `language`, `whole` |

    JSON is read strictly (I-JSON, RFC 7493): `NaN`, a key given twice, half of a surrogate pair, numbers beyond a
    double and more than 64 levels of nesting are not JSON. A schema's references are never fetched.

    Every format but two takes time linear in the response. A `pattern` (also one inside a schema) such as `(a+)+` can
    take exponential time on text chosen against it, and Python cannot interrupt it; a schema with `unevaluatedItems`
    or `unevaluatedProperties` takes quadratic time. Write patterns without nested repetition, or with possessive ones
    (`a++`), set `max_chars`, and give the component a deadline (`timeout_s` in configurations).

    Args:
        format: one of the forms above.
        pattern: regular expression (Python's, `.` matches line ends), needed by `regex`.
        reward_value: reward of a response with the form, finite.
        penalty_value: reward of one without, finite.
        schema: JSON Schema as a mapping, needed by `json_schema`; `$schema` chooses the draft, 2020-12 where absent.
        elements: any of heading, list, bullet_list, ordered_list, table, code, quote; where omitted, one block of any
            of these kinds is enough.
        tags: names of the tags in order, `[think, answer]` where omitted.
        language: what must follow the opening fence, in any case; any where omitted.
        whole: whether nothing but white space may stand outside the tags or the block, true where omitted.
        max_chars: longer responses lack the form and are not looked at, >= 1; no limit where omitted.

    Range: {penalty_value, 0, reward_value}.

    Raises:
        ParameterError: a value out of its range, a parameter that does not belong to the format or is missing, a
            pattern that does not compile, a schema that is not a JSON Schema or refers to something outside itself.

    Sources: the tag form is the format reward of DeepSeek-R1 (2501.12948, section 2.2.2).

    Example:
        >>> digits = FormattingReward("regex", pattern=r"[0-9]+")
        >>> digits(Transition(response="42", terminated=True)).value
        1.0
        >>> digits(Transition(response="forty-two", terminated=True))
        Score(value=0.0, status='invalid')
        >>> reasoned = FormattingReward("tags", tags=["think", "answer"])
        >>> reasoned(Transition(response="<think>6 * 7</think> <answer>42</answer>", terminated=True)).value
        1.0
    """

    effect: ClassVar[str] = "putting anything at all into the form that is asked for"

    def __init__(
        self,
        format: Format = "json",
        pattern: str | None = None,
        reward_value: float = 1.0,
        penalty_value: float = 0.0,
        *,
        schema: Mapping[str, Any] | None = None,
        elements: Sequence[Element] | None = None,
        tags: Sequence[str] | None = None,
        language: str | None = None,
        whole: bool | None = None,
        max_chars: int | None = None,
    ) -> None:
        given = {
            "pattern": pattern,
            "schema": schema,
            "elements": elements,
            "tags": tags,
            "language": language,
            "whole": whole,
        }
        _check_parameters(format, given)
        self.format = format
        self.reward_value = finite_number("reward_value", reward_value)
        self.penalty_value = finite_number("penalty_value", penalty_value)
        self.max_chars = None if max_chars is None else whole_number("max_chars", max_chars, minimum=1)
        self._has_form = _form(format, given)

    def __call__(self, transition: Transition) -> Score:
        """Score one transition.

        Raises:
            MissingExtraError: the library of the format is not installed.
        """
        if not transition.message_ended:
            return Score(0.0)
        response = transition.response
        too_long = self.max_chars is not None and len(response) > self.max_chars
        has_form = not too_long and self._has_form(response)
        return Score(self.reward_value, OK) if has_form else Score(self.penalty_value, INVALID)


def _check_parameters(format: str, given: Mapping[str, Any]) -> None:
    check_choice("format", format, get_args(Format))
    for name, formats in _FORMATS_OF.items():
        if given[name] is not None and format not in formats:
            owners = " or ".join(repr(owner) for owner in formats)
            raise ParameterError(name, f"belongs to format {owners}, got format {format!r} and {name}={given[name]!r}")
    needed = _NEEDED.get(format)
    if needed is not None and given[needed] is None:
        raise ParameterError(needed, f"is needed by format {format!r}")


def _form(format: Format, given: Mapping[str, Any]) -> Callable[[str], object]:
    """Return what tells whether a text has the form."""
    whole = given["whole"] is not False
    if format == "json_schema":
        return SchemaForm(given["schema"])
    if format == "markdown":
        return MarkdownForm(given["elements"])
    if format == "tags":
        return TagForm(("think", "answer") if given["tags"] is None else given["tags"], whole)
    if format == "code_block":
        return CodeBlockForm(given["language"], whole)
    if format == "regex":
        try:
            return re.compile(given["pattern"], re.DOTALL).fullmatch
        except (re.error, OverflowError, RecursionError) as error:
            raise ParameterError("pattern", f"{given['pattern']!r} is not a regular expression: {error}") from error
    return is_json
