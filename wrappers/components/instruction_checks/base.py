"""What an instruction is: a typed, plain description that can tell whether a response follows it."""

from abc import ABC, abstractmethod
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from rlenvs.config_problems import ConfigKeyError

__all__ = ["CountInstruction", "Instruction", "Relation", "Text"]

Relation = Literal["at_least", "at_most", "exactly"]


def _visible(text: str) -> str:
    if not text.strip():
        raise ValueError("must hold more than white space")
    return text


Text = Annotated[str, AfterValidator(_visible)]
"""A parameter that must not be blank."""


class Instruction(BaseModel, ABC):
    """One checkable instruction. Its fields are its parameters; the field `type` names it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @abstractmethod
    def is_followed(self, response: str, prompt: str) -> bool:
        """Return whether a response follows the instruction, in time linear in the response.

        Args:
            response: any text at all.
            prompt: what it answers.
        """


class CountInstruction(Instruction, ABC):
    """Something must occur a number of times."""

    relation: Relation = "at_least"
    count: int = Field(ge=0, description="how many")

    @model_validator(mode="after")
    def _can_be_broken(self) -> Self:
        if self.relation == "at_least" and self.count == 0:
            raise ConfigKeyError("count", "must be >= 1 with relation 'at_least', got 0: every response has that many")
        return self

    def holds(self, number: int) -> bool:
        """Return whether a number stands in the relation to `count`."""
        if self.relation == "at_least":
            return number >= self.count
        return number <= self.count if self.relation == "at_most" else number == self.count

    @abstractmethod
    def number_in(self, response: str) -> int:
        """Return how many there are."""

    def is_followed(self, response: str, prompt: str) -> bool:
        """Return whether a response follows the instruction."""
        return self.holds(self.number_in(response))
