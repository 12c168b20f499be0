"""Stored rollouts as states and the returns that followed: what a value is fitted on."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rlenvs.errors import DataError, ParameterError
from rlenvs.wrappers.transition import RewardState


def rollout_states(
    records: Iterable[Mapping[str, Any]], *, gamma: float = 1.0, prefixes: int = 0, reward_key: str = "env_reward"
) -> tuple[list[RewardState], list[float]]:
    """Turn stored rollouts into the states in which messages were written, and the returns that followed.

    Args:
        records: the objects of `rollouts.jsonl`, one per turn, in any order.
        gamma: discount per turn, in [0, 1].
        prefixes: how many states to add per message in which it is half written, at even distances, >= 0; what a
            value for token-level steps needs.
        reward_key: which reward to sum up; shaped ones would teach the value what it is to shape.

    Returns:
        N states and N returns.

    Raises:
        ParameterError: a parameter out of range.
        DataError: a record lacks a field.

    Example:
        >>> turn = {"iteration": 0, "env": 0, "problem_id": "p", "env_reward": 0.5}
        >>> states, returns = rollout_states(
        ...     [
        ...         turn | {"turn": 0, "prompt": "2+2=", "response": "5"},
        ...         turn | {"turn": 1, "prompt": "Try again.", "response": "4"},
        ...     ],
        ...     gamma=0.5,
        ... )
        >>> returns, [message["content"] for message in states[1].messages]
        ([0.75, 0.5], ['2+2=', '5', 'Try again.'])
    """
    if not 0.0 <= gamma <= 1.0:
        raise ParameterError("gamma", f"must lie in [0, 1], got {gamma}")
    if prefixes < 0:
        raise ParameterError("prefixes", f"must be >= 0, got {prefixes}")
    episodes: dict[tuple[Any, Any], dict[int, Mapping[str, Any]]] = {}
    for number, record in enumerate(records):
        absent = [key for key in ("iteration", "env", "turn", "prompt", "response", reward_key) if key not in record]
        if absent:
            raise DataError(f"record {number}: has no {absent[0]!r}")
        # Of an iteration that a resumed run repeated the last one counts.
        episodes.setdefault((record["iteration"], record["env"]), {})[record["turn"]] = record
    states: list[RewardState] = []
    returns: list[float] = []
    for turns in episodes.values():
        ordered = [turns[turn] for turn in sorted(turns)]
        for visited, value in zip(_visited(ordered, prefixes), _returns(ordered, gamma, reward_key), strict=True):
            states += visited
            returns += [value] * len(visited)
    return states, returns


def _visited(turns: Sequence[Mapping[str, Any]], prefixes: int) -> list[list[RewardState]]:
    """Return the states of each turn of one episode: before its message, and at places within it."""
    chat: list[dict[str, str]] = []
    states = []
    for turn in turns:
        chat = [*chat, {"role": "user", "content": str(turn["prompt"])}]
        text = str(turn["response"])
        cuts = [len(text) * part // (prefixes + 1) for part in range(1, prefixes + 1)]
        infos: list[dict[str, Any]] = [{}, *({"response_so_far": text[:cut]} for cut in cuts)]
        states.append([RewardState(chat[0]["content"], chat, None, info) for info in infos])
        chat = [*chat, {"role": "assistant", "content": text}]
    return states


def _returns(turns: Sequence[Mapping[str, Any]], gamma: float, reward_key: str) -> list[float]:
    following, found = 0.0, []
    for turn in reversed(turns):
        following = float(turn[reward_key]) + gamma * following
        found.append(following)
    return found[::-1]
