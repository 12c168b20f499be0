"""Does the response follow the instructions that can be checked."""

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import BaseModel, GetPydanticSchema, ValidationError

from rlenvs.config_problems import problems_of
from rlenvs.config_source import Problem
from rlenvs.errors import DataError, ParameterError
from rlenvs.wrappers.base import BaseReward, Score
from rlenvs.wrappers.component_registry import register_reward
from rlenvs.wrappers.components.instruction_checks import AnyInstruction, Instruction
from rlenvs.wrappers.components.text_parameters import check_choice, info_value
from rlenvs.wrappers.transition import Transition

__all__ = ["InstructionMode", "InstructionReward", "InstructionsError", "read_instructions"]

InstructionMode = Literal["strict", "share"]

# Configurations are checked, and described to editors, as a list of instructions; Python may pass mappings too.
Instructions = Annotated[
    Sequence[AnyInstruction | Mapping[str, Any]],
    GetPydanticSchema(lambda _source, handler: handler.generate_schema(list[AnyInstruction])),
]


class _Listing(BaseModel):
    instructions: tuple[AnyInstruction, ...]


class InstructionsError(ValueError):
    """A list of instructions that cannot be used.

    Attributes:
        place: dotted path from the top of the list to the value ("2.count"), "" for the list itself.
        message: the rule and what was given, on one line.
    """

    def __init__(self, place: str, message: str) -> None:
        super().__init__(f"{place}: {message}" if place else message)
        self.place = place
        self.message = message


def read_instructions(items: object) -> tuple[Instruction, ...]:
    """Return the instructions that a list describes.

    Args:
        items: a list of mappings with a `type` and the parameters of that kind, or of instructions.

    Raises:
        InstructionsError: it is no such list.

    Example:
        >>> (title,) = read_instructions([{"type": "title"}])
        >>> title.is_followed("<<Ode>>", prompt="")
        True
        >>> read_instructions([{"type": "title"}, {"type": "number_of_words", "count": -1}])
        Traceback (most recent call last):
        ...
        rlenvs.wrappers.components.instructions.InstructionsError: 1.count: must be >= 0, got -1
    """
    if isinstance(items, str | Mapping) or not isinstance(items, Iterable):
        raise InstructionsError("", f"must be a list of instructions, got {items!r:.80}")
    plain = [item.model_dump(mode="json") if isinstance(item, Instruction) else item for item in items]
    try:
        # As text, because that is hashable: one problem's list comes back with each of its attempts.
        return _read_json(json.dumps({"instructions": plain}))
    except (TypeError, RecursionError) as error:
        raise InstructionsError("", f"must be plain data: {error}") from error


@functools.lru_cache(maxsize=4096)
def _read_json(text: str) -> tuple[Instruction, ...]:
    try:
        return _Listing.model_validate_json(text, strict=True).instructions
    except ValidationError as error:
        problems = problems_of(error, _Listing, json.loads(text))
        raise _as_error(problems[0], len(problems) - 1) from error


def _as_error(problem: Problem, more: int) -> InstructionsError:
    rest = f" (and {more} more)" if more else ""
    return InstructionsError(".".join(map(str, problem.path[1:])), problem.message + rest)


@register_reward()
class InstructionReward(BaseReward):
    """`strict`: 1 where every instruction is followed, else 0. `share`: the share of the instructions followed.

    Instructions are mappings with a `type`:

    | type | parameters (default) | followed where the response |
    |---|---|---|
    | `number_of_words`, `number_of_sentences`, `number_of_bullets` | `count`, `relation` | has so many |
    | `number_of_paragraphs` | `count`, `relation`, `divider` (`blank_line`, or `asterisks`: `***`) | has so many |
    | `include_keywords` | `keywords`, `count` (1), `relation` | holds each keyword so often, as whole words |
    | `forbidden_words` | `words` | holds none of them as whole words |
    | `letter_frequency` | `letter`, `count`, `relation` | holds the letter so often, in any case |
    | `capital_words` | `count`, `relation` | has so many words in capitals |
    | `all_lowercase`, `all_uppercase` | | has letters, and none of the other case |
    | `no_commas` | | is not blank and has no comma |
    | `language` | `code` | is in the language with this ISO 639 code (py3langid) |
    | `starts_with`, `ends_with` | `text` | begins or ends with the text, in any case |
    | `paragraph_first_word` | `paragraph`, `word`, `paragraphs` (any) | begins that paragraph with the word |
    | `quoted` | | is wrapped in double quotation marks |
    | `title` | | has a `<<title>>` |
    | `placeholders` | `count`, `relation` | has so many `[names]` |
    | `postscript` | `marker` (`P.S.`) | has a later line that begins with the marker |
    | `sections` | `count`, `relation`, `marker` (`Section`) | has so many lines `Section 1`, each number once |
    | `highlights` | `count`, `relation` | has so many `*highlighted*` pieces |
    | `json` | | is one JSON value, bare or in a code fence |
    | `two_responses` | | is two different texts with `******` between them |
    | `repeat_prompt` | `prompt` (that of the episode) | repeats the prompt and goes on |
    | `one_of` | `options`, `match` (`whole`, or `contains`) | is one of the options, or holds exactly one |

    `relation` is `at_least` (default), `at_most` or `exactly`. A blank response follows no instruction. Every check
    takes time linear in the response.

    Args:
        instructions: instructions for every response.
        mode: `strict` or `share`.
        info_key: dotted key of `info` that holds the instructions of the problem, as a list of the same mappings; they
            come on top of `instructions`. Where there are none at all, every response follows them. `from_ifeval`
            makes such a list of a row of IFEval.

    Range: [0, 1]; before the message ends 0.

    Raises:
        ParameterError: an instruction that cannot be used, the parameter says which (`instructions.2.count`); or
            neither instructions nor a key.

    Source: the kinds are those of IFEval (Zhou et al. 2023, 2311.07911), the checks are our own and differ in detail:
        keywords are whole words, sections need different numbers, `one_of` is not satisfied by naming every option.

    Example:
        >>> asked = [{"type": "number_of_words", "relation": "at_most", "count": 5}, {"type": "no_commas"}]
        >>> InstructionReward(asked, mode="share")(Transition(response="Short, as you wished."))
        Score(value=0.5, status='ok')
        >>> InstructionReward(asked)(Transition(response="Short as you wished."))
        Score(value=1.0, status='ok')
    """

    effect: ClassVar[str] = "doing what the checks look at to the letter, whatever else the message says"

    def __init__(
        self, instructions: Instructions = (), mode: InstructionMode = "strict", info_key: str | None = None
    ) -> None:
        check_choice("mode", mode, get_args(InstructionMode))
        if info_key is not None and not all(info_key.split(".")):
            raise ParameterError("info_key", f"must be a key of info, got {info_key!r}")
        try:
            self.instructions = read_instructions(instructions)
        except InstructionsError as error:
            raise ParameterError(".".join(filter(None, ("instructions", error.place))), error.message) from error
        if not self.instructions and info_key is None:
            raise ParameterError("instructions", "must list at least one instruction where there is no info_key")
        self.mode = mode
        self.info_key = info_key

    def __call__(self, transition: Transition) -> Score:
        """Score one transition.

        Raises:
            KeyError: `info` has nothing under `info_key`.
            DataError: what it has is no list of instructions.
            MissingExtraError: an instruction asks for a language and py3langid is not installed.
        """
        if not transition.message_ended:
            return Score(0.0)
        response, prompt = transition.response, transition.prompt
        asked = (*self.instructions, *self._of_the_problem(transition.info))
        is_blank = not response.strip()
        followed = [not is_blank and instruction.is_followed(response, prompt) for instruction in asked]
        if self.mode == "strict":
            return Score(float(all(followed)))
        return Score(sum(followed) / len(followed) if followed else 1.0)

    def _of_the_problem(self, info: Mapping[str, Any]) -> tuple[Instruction, ...]:
        if self.info_key is None:
            return ()
        try:
            return read_instructions(info_value(info, self.info_key))
        except InstructionsError as error:
            raise DataError(f"info[{self.info_key!r}]: {error}") from error
