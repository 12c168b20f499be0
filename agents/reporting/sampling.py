"""Choose which rollouts a report shows: a first pass keeps positions in the file, a second reads the chosen lines."""

import heapq
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rlenvs.agents.reporting.reading import finite, located_objects
from rlenvs.agents.reporting.tally import Tally, mapping, text, whole

MAX_ROWS = 800
MARKUP_BUDGET = 1_000_000  # characters of HTML that the rows may cost, without their texts
# Shares of the rows; what one reason does not use, the even spread over the run gets.
SHARES = {
    "first": 0.14,
    "last": 0.14,
    "highest": 0.11,
    "lowest": 0.11,
    "wrong_but_high": 0.16,
    "right_but_low": 0.16,
    "failed": 0.08,
}


@dataclass(frozen=True)
class ComponentValue:
    """What one reward component said about one rollout."""

    raw: float | None
    weight: float | None
    contribution: float | None
    status: str


@dataclass(frozen=True)
class Rollout:
    """One environment step, as far as the line could be understood.

    Args:
        line: Its line in the file, from 1.
        reasons: Why it was chosen: keys of `SHARES`, or `spread`.
        disagreement: Whether the reward contradicts the grade, see `Tally.disagrees`.
    """

    line: int
    reasons: tuple[str, ...]
    disagreement: bool
    iteration: int | None
    step: int | None
    env: str
    turn: int | None
    problem_id: str
    prompt: str
    response: str
    reward: float | None
    env_reward: float | None
    potential: float | None
    correct: bool | None
    grade_status: str
    tokens: int | None
    finish: str
    components: dict[str, ComponentValue]


class Candidates:
    """The best `limit` positions of one reason, by a key; ties go to the earlier line."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.heap: list[tuple[float, int, int]] = []

    def offer(self, key: float, line: int, offset: int) -> None:
        """Consider one line."""
        entry = (key, -line, offset)
        if len(self.heap) < self.limit:
            heapq.heappush(self.heap, entry)
        elif self.limit:
            heapq.heappushpop(self.heap, entry)

    def positions(self) -> list[tuple[int, int]]:
        """Return (line, offset), best first."""
        return [(-line, offset) for _, line, offset in sorted(self.heap, reverse=True)]


class Spread:
    """An even subset of a stream of unknown length: every k-th item, k doubling when the room is full."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.stride = 1
        self.seen = 0
        self.kept: list[tuple[int, int]] = []

    def offer(self, line: int, offset: int) -> None:
        """Consider the next line."""
        if self.seen % self.stride == 0:
            if len(self.kept) == 2 * self.limit:
                self.kept = self.kept[::2]
                self.stride *= 2
            if self.seen % self.stride == 0:
                self.kept.append((line, offset))
        self.seen += 1

    def positions(self, count: int) -> list[tuple[int, int]]:
        """Return `count` positions spread over the stream, or all when there are fewer."""
        total = len(self.kept)
        if count >= total:
            return list(self.kept)
        return [self.kept[index * total // count] for index in range(count)]


class Sampler:
    """Gathers positions and statistics in one pass; its memory does not grow with the number of lines."""

    def __init__(self, max_rows: int = MAX_ROWS) -> None:
        self.max_rows = max_rows
        self.tally = Tally()
        self.quota = {reason: int(share * max_rows) for reason, share in SHARES.items()}
        self.best = {
            reason: Candidates(limit) for reason, limit in self.quota.items() if reason not in {"first", "last"}
        }
        self.ends: dict[str, tuple[int, Spread]] = {}
        self.spread = Spread(max_rows)

    def add(self, row: dict[str, object], line: int, offset: int) -> None:
        """Consider one rollout."""
        reward, iteration, correct = finite(row.get("reward")), whole(row.get("iteration")), row.get("correct")
        failed = self.tally.add(row)
        self.spread.offer(line, offset)
        if iteration is not None:
            self.offer_end("first", iteration, -1, line, offset)
            self.offer_end("last", iteration, 1, line, offset)
        if failed:
            self.best["failed"].offer(0.0, line, offset)
        if reward is not None:
            self.best["highest"].offer(reward, line, offset)
            self.best["lowest"].offer(-reward, line, offset)
            if correct is False:
                self.best["wrong_but_high"].offer(reward, line, offset)
            if correct is True:
                self.best["right_but_low"].offer(-reward, line, offset)

    def offer_end(self, reason: str, iteration: int, sign: int, line: int, offset: int) -> None:
        """Keep an even subset of the first (sign -1) or the last (sign 1) iteration."""
        held = self.ends.get(reason)
        if held is None or sign * iteration > sign * held[0]:
            held = self.ends[reason] = (iteration, Spread(self.quota[reason]))
        if iteration == held[0]:
            held[1].offer(line, offset)

    def chosen(self) -> dict[int, tuple[int, tuple[str, ...]]]:
        """Return line -> (offset, reasons) of at most `max_rows` lines, fewer where rows are wide."""
        rows = min(self.max_rows, MARKUP_BUDGET // row_markup(len(self.tally.components)))
        reasons: dict[int, list[str]] = defaultdict(list)
        offsets: dict[int, int] = {}
        quota = {reason: int(share * rows) for reason, share in SHARES.items()}
        lists = {reason: spread.positions(quota[reason]) for reason, (_, spread) in self.ends.items()}
        lists |= {reason: candidates.positions()[: quota[reason]] for reason, candidates in self.best.items()}
        for reason, positions in lists.items():
            for line, offset in positions:
                offsets[line] = offset
                reasons[line].append(reason)
        fresh = [(line, offset) for line, offset in self.spread.kept if line not in offsets]
        count = rows - len(offsets)
        for index in range(min(count, len(fresh))):
            line, offset = fresh[index * len(fresh) // count] if len(fresh) > count else fresh[index]
            offsets[line] = offset
            reasons[line].append("spread")
        return {line: (offsets[line], tuple(reasons[line])) for line in sorted(offsets)}


def row_markup(components: int) -> int:
    """Return about how many characters of HTML a row costs, without its texts."""
    return 560 + 110 * components


def sample_rollouts(path: Path, max_rows: int = MAX_ROWS) -> tuple[list[Rollout], Tally]:
    """Choose rollouts of a run, the same ones each time.

    Chosen are the first and the last iteration, the highest and lowest rewards, wrong answers with high and right
    answers with low rewards, rollouts with failed rewards, and an even spread over the rest of the run.

    Args:
        path: `rollouts.jsonl`.
        max_rows: How many to choose at most, at least 1.

    Returns:
        The chosen rollouts in the order of the file, and statistics of all.
    """
    sampler = Sampler(max_rows)
    for line, offset, row in located_objects(path):
        sampler.add(row, line, offset)
    return list(read_chosen(path, sampler)), sampler.tally


def read_chosen(path: Path, sampler: Sampler) -> Iterator[Rollout]:
    """Read the chosen lines."""
    with path.open("rb") as file:
        for line, (offset, reasons) in sampler.chosen().items():
            file.seek(offset)
            row = json.loads(file.readline())
            yield parse_rollout(row, line, reasons, sampler.tally)


def parse_rollout(row: dict[str, object], line: int, reasons: tuple[str, ...], tally: Tally) -> Rollout:
    """Understand one line as far as it goes; what is missing or of the wrong type is None or ""."""
    reward = finite(row.get("reward"))
    correct = row["correct"] if isinstance(row.get("correct"), bool) else None
    assert correct is None or isinstance(correct, bool)
    return Rollout(
        line=line,
        reasons=reasons,
        disagreement=tally.disagrees(reward, correct),
        iteration=whole(row.get("iteration")),
        step=whole(row.get("step")),
        env=text(row.get("env")),
        turn=whole(row.get("turn")),
        problem_id=text(row.get("problem_id")),
        prompt=text(row.get("prompt")),
        response=text(row.get("response")),
        reward=reward,
        env_reward=finite(row.get("env_reward")),
        potential=finite(row.get("potential")),
        correct=correct,
        grade_status=text(row.get("grade_status")),
        tokens=whole(row.get("tokens")),
        finish=text(row.get("finish")),
        components={
            name: component_value(mapping(value))
            for name, value in mapping(row.get("components")).items()
            if name in tally.components
        },
    )


def component_value(value: dict[str, object]) -> ComponentValue:
    """Understand what one component said."""
    return ComponentValue(
        finite(value.get("raw")),
        finite(value.get("weight")),
        finite(value.get("contribution")),
        text(value.get("status")),
    )
