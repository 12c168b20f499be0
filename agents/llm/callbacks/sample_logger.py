"""Showing what a policy writes while it trains."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from rlenvs.agents.llm.callbacks.base import Callback, RunState, register_callback
from rlenvs.agents.reporting.formatting import format_number, one_line, visible_text
from rlenvs.errors import ParameterError
from rlenvs.wrappers.parameters import whole_number

STREAM = 0x73616D70  # keeps the draws apart from the run's other random streams
SHOWN_CHARS = 160

Episode = list[Mapping[str, Any]]


@register_callback()
class SampleLogger(Callback):
    """Shows a few episodes of an iteration: the best paid, the worst paid, and some at random.

    Each gets one line on the screen and a readable entry in `samples.txt` of the run folder, with every turn and what
    each reward component said. The best paid are where reward hacking shows first. What a model wrote is made harmless
    for terminals.

    Args:
        every: iterations between samples, >= 1; the first iteration always has some.
        top: episodes with the highest total reward, >= 0.
        bottom: episodes with the lowest, >= 0.
        random: episodes drawn at random, >= 0.
        max_chars: of each text in the file, >= 1; what is longer is cut in the middle.

    Example:
        >>> SampleLogger(every=10, top=1, bottom=1, random=2).every
        10
    """

    def __init__(self, every: int = 10, top: int = 1, bottom: int = 1, random: int = 1, max_chars: int = 2_000) -> None:
        self.every = whole_number("every", every, minimum=1)
        self.top = whole_number("top", top, minimum=0)
        self.bottom = whole_number("bottom", bottom, minimum=0)
        self.random = whole_number("random", random, minimum=0)
        self.max_chars = whole_number("max_chars", max_chars, minimum=1)
        if not (top or bottom or random):
            raise ParameterError("top", "must be > 0 where bottom and random are 0: nothing would be shown")

    def on_iteration_end(self, state: RunState) -> None:
        """Show samples where they are due."""
        if state.folder is None or not (state.iteration == 1 or state.iteration % self.every == 0):
            return
        episodes = by_episode(state.records)
        if not episodes:
            return
        file = state.folder.log_file("samples.txt")
        generator = np.random.default_rng([state.config.seed, STREAM, state.iteration])
        for kind, index in self._choose([total(episode) for episode in episodes], generator):
            title = f"{kind} of {len(episodes)} episodes, {describe(episodes[index])}"
            last = episodes[index][-1]
            asked, said = (one_line(str(last[key])) for key in ("prompt", "response"))
            state.log(f"sample {title}: {shorten(asked, SHOWN_CHARS // 2)} -> {shorten(said, SHOWN_CHARS)}")
            file.write(f"=== iteration {state.iteration}: {title}\n{self._turns(episodes[index])}\n")

    def _choose(self, totals: Sequence[float], generator: np.random.Generator) -> Iterator[tuple[str, int]]:
        """Yield what kind of sample and which episode; no episode twice."""
        order = sorted(range(len(totals)), key=lambda index: -totals[index])
        bottom = order[max(self.top, len(order) - self.bottom) :]
        rest = [index for index in order if index not in {*order[: self.top], *bottom}]
        drawn = generator.permutation(len(rest))[: self.random]
        for rank, index in enumerate(order[: self.top], start=1):
            yield f"top {rank}", index
        for rank, index in enumerate(reversed(bottom), start=1):
            yield f"bottom {rank}", index
        for place in drawn.tolist():
            yield "random", rest[place]

    def _turns(self, episode: Episode) -> str:
        lines = []
        for record in episode:
            parts = ", ".join(
                f"{name} {format_number(part['contribution'], signed=True)}"
                + (f" ({part['status']})" if part["status"] != "ok" else "")
                for name, part in record["components"].items()
            )
            lines.append(f"--- turn {record['turn']}: {format_number(record['reward'], signed=True)} [{parts}]")
            lines.append(f"> {self._harmless(str(record['prompt']))}")
            lines.append(f"< {self._harmless(str(record['response']))}")
        return "\n".join(lines) + "\n"

    def _harmless(self, text: str) -> str:
        return visible_text(shorten(text, self.max_chars)).replace("\n", "\n  ")


def by_episode(records: Sequence[Mapping[str, Any]]) -> list[Episode]:
    """Return the turns of each episode; an environment may play several episodes in one iteration.

    Example:
        >>> turns = [{"env": 0, "turn": 0}, {"env": 1, "turn": 0}, {"env": 0, "turn": 1}, {"env": 1, "turn": 0}]
        >>> [[record["turn"] for record in episode] for episode in by_episode(turns)]
        [[0, 1], [0], [0]]
    """
    episodes: list[Episode] = []
    open_episodes: dict[Any, Episode] = {}
    for record in records:
        if record["turn"] == 0:
            open_episodes[record["env"]] = []
            episodes.append(open_episodes[record["env"]])
        open_episodes[record["env"]].append(record)
    return episodes


def total(episode: Episode) -> float:
    """Return what an episode was paid; -inf where that is no number."""
    reward = float(sum(record["reward"] for record in episode))
    return reward if reward == reward else -np.inf


def describe(episode: Episode) -> str:
    """Say in a few words how an episode went."""
    verdict = "right" if episode[-1]["correct"] else "wrong"
    turns = f", {len(episode)} turns" if len(episode) > 1 else ""
    return f"reward {format_number(total(episode), signed=True)}, {verdict}{turns}"


def shorten(text: str, limit: int) -> str:
    """Cut a text in the middle.

    Example:
        >>> shorten("abcdefghij", 10), shorten("abcdefghij", 4)
        ('abcdefghij', 'ab [... 6 characters ...] ij')
    """
    if len(text) <= limit:
        return text
    head = (limit + 1) // 2
    tail = limit - head
    return f"{text[:head]} [... {len(text) - limit} characters ...] {text[len(text) - tail :] if tail else ''}".rstrip()
