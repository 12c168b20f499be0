"""What every engine takes and gives: token ids in, token ids and their log-probabilities out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch

from rlenvs.agents.llm.policy.model import Policy
from rlenvs.errors import EngineError, ParameterError

Finish = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How to sample one completion.

    There is no top-k, top-p or repetition penalty on purpose: the log-probabilities that an engine reports would no
    longer be those of the policy that is trained, and the ratio of PPO would be wrong.

    Attributes:
        max_new_tokens: limit per completion, >= 1.
        temperature: divides the logits, >= 0; 0 is greedy.
        stop: the completion ends with the token that completes one of these texts. That token is kept whole, so the
            text may go on after the stop string.
        stop_token_ids: tokens that end a completion, besides those that end every message of the policy.

    Raises:
        ParameterError: a value out of its range.

    Example:
        >>> SamplingParams(max_new_tokens=16, temperature=0.7, stop=("</answer>",)).temperature
        0.7
    """

    max_new_tokens: int
    temperature: float = 1.0
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ParameterError("max_new_tokens", f"must be >= 1, got {self.max_new_tokens}")
        if not 0 <= self.temperature < math.inf:
            raise ParameterError("temperature", f"must be >= 0 and finite, got {self.temperature}")
        if not isinstance(self.stop, tuple) or not all(self.stop):  # a text would be taken letter by letter
            raise ParameterError("stop", f"must be a tuple of texts that are not empty, got {self.stop!r}")


@dataclass(frozen=True, slots=True)
class Completion:
    """What was sampled after one prompt.

    Attributes:
        ids: sampled tokens, the end-of-sequence token included where there is one.
        logprobs: log-probability of each under the (tempered) sampling distribution; 0 when greedy.
        finish: `stop` where the model ended it, `length` where the limit did.
        values: V before each token, by the policy's critic; None where the engine has none that is the trainer's.
        entropies: of the distribution that each was sampled from, nats; None where the engine does not know them.
    """

    ids: list[int]
    logprobs: list[float]
    finish: Finish
    values: list[float] | None = None
    entropies: list[float] | None = None


class Engine(Protocol):
    """Samples completions from the policy.

    Attributes:
        name: the name that `make_engine` knows it by.
    """

    name: str

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        params: Sequence[SamplingParams] | SamplingParams,
        generator: torch.Generator,
    ) -> list[Completion]:
        """Sample one completion for each prompt.

        One number per prompt is drawn from `generator`, whatever is sampled: the state of the generator after a call
        depends on the number of prompts alone.

        Args:
            prompts: N lists of token ids, none empty.
            params: how to sample, for all or for each.
            generator: source of randomness.

        Returns:
            N completions in the order of the prompts.

        Raises:
            EngineError: the batch could not be finished.
        """

    def sync(self, policy: Policy) -> None:
        """Use the weights that the policy has now."""

    def close(self) -> None:
        """Give back memory, connections and processes. The engine may be used again; it then starts anew."""


def params_of_each(
    prompts: Sequence[Sequence[int]], params: Sequence[SamplingParams] | SamplingParams, vocabulary: int | None = None
) -> list[SamplingParams]:
    """Return one `SamplingParams` per prompt, after a look at the prompts.

    Args:
        prompts: N lists of token ids.
        params: one for all, or N.
        vocabulary: size of the vocabulary; None where it is not known here.

    Raises:
        EngineError: a prompt is empty or has an unknown token, or the counts differ.
    """
    each = [params] * len(prompts) if isinstance(params, SamplingParams) else list(params)
    if len(each) != len(prompts):
        raise EngineError(f"{len(prompts)} prompts came with {len(each)} sampling parameters")
    for row, prompt in enumerate(prompts):
        if len(prompt) == 0:
            raise EngineError(f"prompt {row} is empty: there is nothing to continue")
        # On a GPU an unknown token kills the process's whole CUDA context, with a message about an assertion.
        if min(prompt) < 0 or (vocabulary is not None and max(prompt) >= vocabulary):
            raise EngineError(f"prompt {row} has a token outside the vocabulary of {vocabulary} tokens")
    return each
