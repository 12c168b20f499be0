"""What an environment asks of the next message: `info["sampling"]`.

An environment may put a mapping of that name into the info of any reset or step, for the message that follows:

* `max_new_tokens`: a shorter limit than the run's; a longer one is shortened to it.
* `stop`: a text, or several, each of which ends the message, besides those of the run.
* `temperature`: only where the learner corrects for it. The learner divides logits by `rollout.temperature`, so that
  tokens sampled at another one are off its policy from the start: `ppo.importance` weights them, nothing else does.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from rlenvs.agents.llm.engines.protocol import SamplingParams
from rlenvs.errors import DataError
from rlenvs.suggestions import did_you_mean

KEYS = ("max_new_tokens", "stop", "temperature")
Temperatures = Literal["usual", "any", "ignored"]
"""Which temperatures an environment may ask for; an evaluation ignores what it asks and has its own."""


def requested(
    wish: object, usual: SamplingParams, problem_id: str, temperatures: Temperatures = "usual"
) -> SamplingParams:
    """Return how the next message is sampled.

    Args:
        wish: `info["sampling"]`, None where there is none.
        usual: as the run has it.
        problem_id: named in errors.
        temperatures: which ones may be asked for.

    Raises:
        DataError: the wish cannot be met; the message names the problem and the key.

    Example:
        >>> requested({"stop": "</answer>"}, SamplingParams(64, stop=("###",)), "p").stop
        ('###', '</answer>')
    """
    if wish is None:
        return usual
    if not isinstance(wish, Mapping):
        raise _refusal(problem_id, f"must be a mapping with some of {', '.join(KEYS)}, got {wish!r:.80}")
    if unknown := [key for key in wish if key not in KEYS]:
        raise _refusal(problem_id, f"unknown key {unknown[0]!r}{did_you_mean(str(unknown[0]), KEYS)}")
    given = {key: value for key, value in wish.items() if value is not None}
    found = usual
    if "max_new_tokens" in given:
        found = replace(found, max_new_tokens=min(usual.max_new_tokens, _limit(given["max_new_tokens"], problem_id)))
    if "stop" in given:
        found = replace(found, stop=tuple(dict.fromkeys([*usual.stop, *_texts(given["stop"], problem_id)])))
    if "temperature" in given:
        value = _temperature(given["temperature"], problem_id)
        if temperatures == "usual" and value != usual.temperature:
            raise _refusal(
                problem_id,
                f"temperature {value} is not the run's rollout.temperature ({usual.temperature}): what is sampled at "
                "another one can only be learned from with ppo.importance set",
            )
        if temperatures == "any":
            found = replace(found, temperature=value)
    return found


def _limit(value: Any, problem_id: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise _refusal(problem_id, f"max_new_tokens must be a whole number >= 1, got {value!r:.80}")
    return int(value)


def _texts(value: Any, problem_id: str) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) and text for text in texts):
        raise _refusal(problem_id, f"stop must be a text or a list of texts, none empty, got {value!r:.80}")
    return list(texts)


def _temperature(value: Any, problem_id: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise _refusal(problem_id, f"temperature must be a number > 0, got {value!r:.80}")
    return float(value)


def _refusal(problem_id: str, text: str) -> DataError:
    return DataError(f"info['sampling'] of problem {problem_id!r}: {text}")
