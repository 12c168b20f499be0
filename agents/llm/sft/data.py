"""Where demonstrations come from: environments that show how it is done, files, rollouts that were worth it.

Everything here is text. Imports without torch.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from rlenvs.agents.llm.config import EnvConfig
from rlenvs.agents.llm.sft.config import DataConfig
from rlenvs.errors import ConfigError, DataError, RunFolderError, UserError
from rlenvs.json_lines import read_rows, text_field
from rlenvs.shown import shown
from rlenvs.wrappers.rescoring.stored_steps import StoredFields, StoredStep
from rlenvs.wrappers.transition import Message

ROLES = ("system", "user", "assistant", "tool")
ASSISTANT = "assistant"
ENV_LIMIT = 20_000
"""Demonstrations of an environment where nobody says how many: many sources have no end of problems."""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A conversation whose assistant is worth imitating.

    Attributes:
        messages: in order; see `check_messages`.
        where: its place, for error messages ("data.jsonl:3").
    """

    messages: Sequence[Message]
    where: str

    @property
    def opening(self) -> Sequence[Message]:
        """What comes before the assistant's first message."""
        return self.messages[: next(i for i, message in enumerate(self.messages) if message["role"] == ASSISTANT)]


def read_demonstrations(config: DataConfig, env: EnvConfig | None, seed: int) -> list[Demonstration]:
    """Return what a run imitates.

    Args:
        config: the source.
        env: the environment, for source `env`.
        seed: of the choice and order of the environment's problems.

    Raises:
        ConfigError: no such environment, or parameters it refuses.
        DataError: a file cannot be used (the message names file and line), or there is nothing to imitate.
    """
    if config.source == "env":
        assert env is not None  # the configuration says so
        found = demonstrations_of_env(env, config.limit or ENV_LIMIT, seed)
    else:
        assert config.path is not None
        read = demonstrations_of_jsonl if config.source == "jsonl" else None
        rows = read(config.path) if read else demonstrations_of_rollouts(config.path, config)
        found = list(islice(rows, config.limit))
    if not found:
        raise DataError(f"{config.path or 'the environment'}: there is nothing to imitate")
    return found


def demonstrations_of_env(env: EnvConfig, limit: int, seed: int) -> list[Demonstration]:
    """Return conversations that an environment plays for its own training problems.

    Args:
        env: a turn-level environment.
        limit: most demonstrations.
        seed: which problems, and their order.

    Raises:
        ConfigError: no such environment, parameters it refuses, or nothing that shows how it is done.
    """
    from rlenvs.agents.runs.environments import make_env

    made = make_env(env.id, env.kwargs | {"split": "train"})
    try:
        play = getattr(made.unwrapped, "demonstrations", None)
        if play is None:
            raise ConfigError(
                f"env.id {env.id!r} shows no demonstrations: read them from a file with data.source=jsonl"
            )
        conversations = play(limit=limit, seed=seed)
    except UserError as error:
        raise ConfigError(f"env.id {env.id!r}: {error}") from error
    finally:
        made.close()
    return [
        Demonstration(check_messages(messages, f"{env.id}[{index}]"), f"{env.id}[{index}]")
        for index, messages in enumerate(conversations)
    ]


def demonstrations_of_jsonl(path: str | Path) -> Iterator[Demonstration]:
    """Yield the conversations of a file with one JSON object per line.

    A line is `{"messages": [{"role": ..., "content": ...}, ...]}` or `{"prompt": text or messages, "response": text}`;
    other fields are left alone.

    Raises:
        DataError: a line cannot be used; the message names file and line.
    """
    for number, row in read_rows(path):
        where = f"{path}:{number}"
        if "messages" in row:
            messages = row["messages"]
        elif "prompt" in row:
            prompt = row["prompt"]
            opening = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
            answer = {"role": ASSISTANT, "content": text_field(row, "response", where)}
            messages = [*opening, answer] if isinstance(opening, list) else opening
        else:
            raise DataError(
                f"{where}: expected the field 'messages', or 'prompt' and 'response' (found: {', '.join(row) or None})"
            )
        yield Demonstration(check_messages(messages, where), where)


@dataclass(slots=True)
class _Episode:
    """An episode while its turns are read."""

    problem: str
    where: str
    messages: list[Message] = field(default_factory=list)
    rewards: dict[str, float] = field(default_factory=lambda: {"env": 0.0, "shaped": 0.0})
    ended: bool = False
    cut: bool = False

    def add(self, step: StoredStep, row: Mapping[str, Any]) -> None:
        self.messages += [*step.chat, {"role": ASSISTANT, "content": step.response}]
        self.rewards["env"] += step.env_reward
        self.rewards["shaped"] += step.paid
        self.ended = bool(step.terminated or step.truncated)
        self.cut = self.cut or row.get("finish") == "length"


def demonstrations_of_rollouts(path: str | Path, config: DataConfig) -> Iterator[Demonstration]:
    """Yield the episodes of an earlier run that earned enough, each conversation once.

    Left out are episodes that a limit cut: the policy never said that it was done.

    Args:
        path: a run folder, or its `rollouts.jsonl`.
        config: what is enough: `min_reward`, `best_of`, and which `reward` they read.

    Raises:
        RunFolderError: a folder without rollouts.
        DataError: a line cannot be used, or no episode earned enough.
    """
    file = Path(path)
    if file.is_dir():
        file /= "rollouts.jsonl"
        if not file.is_file():
            raise RunFolderError(f"{str(path)!r}: no rollouts.jsonl in it; name a run folder or a file of rollouts")
    counts = dict.fromkeys(("episodes", "whole"), 0)
    best = -math.inf
    kept: dict[str, list[tuple[float, _Episode]]] = {}
    seen: set[str] = set()
    for episode in _episodes(file):
        counts["episodes"] += 1
        reward = episode.rewards[config.reward]
        if episode.cut or not episode.ended:
            continue
        counts["whole"] += 1
        if math.isnan(reward):
            raise DataError(f"{episode.where}: the {config.reward} reward of the episode is not stored")
        best = max(best, reward)
        conversation = json.dumps([(message["role"], message["content"]) for message in episode.messages])
        if (config.min_reward is None or reward >= config.min_reward) and conversation not in seen:
            seen.add(conversation)
            kept.setdefault(episode.problem, []).append((reward, episode))
    if not counts["whole"]:
        raise DataError(f"{file}: none of {counts['episodes']} episodes ended by itself: a limit cut each of them")
    if not kept:
        raise DataError(
            f"{file}: none of {counts['episodes']} episodes ({counts['whole']} of them not cut) earned "
            f"data.min_reward={config.min_reward}; the best earned {best:g}"
        )
    for episodes in kept.values():
        ranked = sorted(episodes, key=lambda pair: -pair[0])  # stable: the earlier of two equals comes first
        for _, episode in ranked[: config.best_of]:
            yield Demonstration(check_messages(episode.messages, episode.where), episode.where)


def _episodes(path: Path) -> Iterator[_Episode]:
    """Put the turns of a `rollouts.jsonl` together again."""
    fields = StoredFields()
    open_episodes: dict[int, _Episode] = {}
    iteration = None
    for number, row in read_rows(path, torn_end=True):
        where = f"{path}:{number}"
        step = fields.read(row, where, number)
        if step.episode is None:
            raise DataError(f"{where}: no turn of a run (fields 'iteration', 'env', 'turn'); read it with source jsonl")
        if step.iteration != iteration:
            yield from open_episodes.values()
            open_episodes, iteration = {}, step.iteration
        if step.turn == 0:
            if step.episode in open_episodes:  # an environment that was played again in the same iteration
                yield open_episodes.pop(step.episode)
            problem = str(row.get("problem_id") or step.prompt)
            open_episodes[step.episode] = _Episode(problem, where)
        elif step.episode not in open_episodes:
            raise DataError(f"{where}: turn {step.turn} of an episode whose first turn is not in the file")
        open_episodes[step.episode].add(step, row)
    yield from open_episodes.values()


def check_messages(messages: object, where: str) -> list[Message]:
    """Return a conversation as plain messages.

    It is what a policy can be asked to repeat: it begins with somebody else, nobody but the assistant is imitated,
    and between two of its messages somebody answers.

    Args:
        messages: a list of `{"role": ..., "content": ...}`.
        where: what error messages begin with.

    Raises:
        DataError: it is something else.
    """
    if not isinstance(messages, list | tuple):
        raise DataError(
            f"{where}: field 'messages': expected a list of messages (role, content), got {shown(messages)}"
        )
    found: list[Message] = []
    for index, message in enumerate(messages):
        place = f"{where}: messages[{index}]"
        if not isinstance(message, Mapping):
            raise DataError(f"{place}: expected an object with role and content, got {shown(message)}")
        role, content = message.get("role"), message.get("content")
        if role not in ROLES:
            raise DataError(f"{place}: role: expected one of {', '.join(ROLES)}, got {shown(role)}")
        if not isinstance(content, str):
            raise DataError(f"{place}: content: expected text, got {shown(content)}")
        if role == ASSISTANT and (not found or found[-1]["role"] == ASSISTANT):
            follows = "another message of the assistant" if found else "nothing"
            raise DataError(f"{place}: a message of the assistant follows {follows}: there is nothing it answers")
        found.append({"role": role, "content": content})
    if all(message["role"] != ASSISTANT for message in found):
        raise DataError(f"{where}: no message of the assistant, so there is nothing to imitate")
    return found


def texts(demonstrations: Iterable[Demonstration]) -> Iterator[str]:
    """Yield every text of some demonstrations."""
    for demonstration in demonstrations:
        for message in demonstration.messages:
            yield message["content"]
