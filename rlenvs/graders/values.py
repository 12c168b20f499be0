"""What an answer means, exactly, and when two answers mean the same. The reader is in `rlenvs.graders.reading`."""

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from fractions import Fraction

from rlenvs.graders import polynomials as exact
from rlenvs.graders.expressions import LITERAL
from rlenvs.graders.polynomials import BeyondError, Polynomial


@dataclass(frozen=True, slots=True)
class Value:
    """What a text means."""

    kind: str
    body: Hashable
    level: int = LITERAL
    """How much work is left in it, see `rlenvs.graders.expressions`."""
    name: str = ""
    """The left side of `x = 5`."""
    words: str = ""
    """Its letters without case, if it is nothing but words."""
    items: "tuple[Value, ...]" = field(default=(), compare=False)
    """The items of a list in the order in which they were written."""

    @property
    def number(self) -> Polynomial | None:
        """The polynomial of a number."""
        if self.kind != "number" or not isinstance(self.body, frozenset):
            return None
        return dict(self.body)

    @property
    def rational(self) -> Fraction | None:
        """The value of a rational number."""
        number = self.number
        return None if number is None else exact.rational(number)


def unnamed(value: Value) -> Value:
    """The value alone."""
    return Value(value.kind, value.body, value.level, "", value.words, value.items)


def listed(items: list[Value], name: str = "") -> Value:
    """An unordered list; a list in a list is part of it."""
    counts: Counter[Hashable] = Counter()
    for item in items:
        if item.kind == "list" and isinstance(item.body, frozenset):
            for entry, count in item.body:
                counts[entry] += count
        else:
            counts[entry_of(item)] += 1
    flat = tuple(part for item in items for part in (item.items or (item,)))
    return Value("list", frozenset(counts.items()), max(item.level for item in items), name, "", flat)


def entry_of(item: Value) -> tuple[str, str, Hashable]:
    """What of an item counts inside another value."""
    return item.name, item.kind, item.body


def union(parts: list[Value]) -> Value:
    """Intervals and sets in any order; intervals with rational ends that touch are one."""
    level = max(part.level for part in parts)
    if not all(part.kind in ("interval", "set") and not part.name for part in parts):
        raise BeyondError
    intervals = [part for part in parts if part.kind == "interval"]
    spans = [span_of(part) for part in intervals]
    known = [span for span in spans if span is not None]
    if len(known) != len(parts):
        return Value("union", frozenset((part.kind, part.body) for part in parts), level)
    merged = merge(sorted(known))
    bodies = frozenset(("interval", interval_body(span)) for span in merged)
    if len(bodies) == 1:
        ((kind, body),) = bodies
        return Value(kind, body, level)
    return Value("union", bodies, level)


Span = tuple[tuple[int, Fraction, int], tuple[int, Fraction, int]]
"""The two ends of an interval, ordered on the line: sign of infinity, value, and -1, 0 or 1 for just before it, at it
and just behind it. [0, 1) goes from at 0 to just before 1."""


def span_of(interval: Value) -> Span | None:
    """The ends of an interval; None if they are not rational or infinite."""
    assert isinstance(interval.body, tuple)
    low, high, closed_low, closed_high = interval.body
    ends: list[tuple[int, Fraction, int]] = []
    for (_, kind, body), shift in ((low, 0 if closed_low else 1), (high, 0 if closed_high else -1)):
        if kind == "infinity":
            ends.append((body, Fraction(0), shift))
            continue
        value = Value(kind, body).rational
        if value is None:
            return None
        ends.append((0, value, shift))
    return (ends[0], ends[1]) if ends[0] <= ends[1] else None


def merge(spans: list[Span]) -> list[Span]:
    """Sorted spans without overlaps; [0,1) and [1,2] touch, [0,1) and (1,2] do not."""
    merged: list[Span] = []
    for low, high in spans:
        if merged:
            (last_low, last_high) = merged[-1]
            sign, value, shift = last_high
            if low <= (sign, value, shift + 1):
                merged[-1] = (last_low, max(last_high, high))
                continue
        merged.append((low, high))
    return merged


def interval_body(span: Span) -> Hashable:
    """The body of the interval with these ends."""
    ends = []
    for sign, value, _ in span:
        body: Hashable = sign if sign else frozenset(exact.constant(value).items())
        ends.append(("", "infinity" if sign else "number", body))
    return ends[0], ends[1], span[0][2] == 0, span[1][2] == 0


def same(gold: Value, answer: Value) -> bool:
    """True if two values mean the same: names count where both have them, the order only where the kind says so."""
    if gold.name and answer.name and gold.name != answer.name:
        return False
    if "text" in (gold.kind, answer.kind):
        return bool(gold.words) and gold.words == answer.words
    if gold.kind == answer.kind:
        if gold.body == answer.body:
            return True
        return gold.kind == "list" and same_lists(gold, answer)
    kinds = {gold.kind, answer.kind}
    if "inequality" in kinds:
        # (1, 2) may be a point, and then it is not 1 < x < 2; an answer in that form is what the gold says, though.
        plain, said = (gold, answer) if answer.kind == "inequality" else (answer, gold)
        return said.body == (plain.kind, plain.body) and not (plain is gold and is_open_pair(gold))
    if kinds == {"list", "set"}:
        whole, listing = (gold, answer) if gold.kind == "set" else (answer, gold)
        named = len({base_name(item.name) for item in listing.items}) > 1
        return set(entries(whole, True)) == set(entries(listing, named))
    if kinds in ({"list", "tuple"}, {"list", "interval"}):
        return same_by_name(*((gold, answer) if gold.kind == "list" else (answer, gold)))
    if "set" in kinds:
        whole, single = (gold, answer) if gold.kind == "set" else (answer, gold)
        assert isinstance(whole.body, frozenset)
        return whole.body == {("", single.kind, single.body)}
    return False


def same_by_name(listing: Value, row: Value) -> bool:
    """Compare `x = 1, y = 2` with `(1, 2)`, whose places are those of the names in the alphabet."""
    names = [item.name for item in listing.items]
    written = f"({','.join(sorted(names))})"
    if "" in names or len(set(names)) != len(names) or row.name not in ("", written):
        return False
    if not isinstance(row.body, tuple) or (row.kind == "interval" and not is_open_pair(unnamed(row))):
        return False
    ordered = sorted(listing.items, key=lambda item: item.name)
    return [("", item.kind, item.body) for item in ordered] == list(row.body[: 2 if row.kind == "interval" else None])


def is_open_pair(value: Value) -> bool:
    """True for `(1, 2)` without a name."""
    if value.kind != "interval" or value.name or not isinstance(value.body, tuple):
        return False
    low, high, closed_low, closed_high = value.body
    return not closed_low and not closed_high and "infinity" not in (low[1], high[1])


def entries(value: Value, names: bool) -> dict[Hashable, int]:
    """The items of a list or set and how often each is there."""
    assert isinstance(value.body, frozenset)
    counted = value.body if value.kind == "list" else frozenset((entry, 1) for entry in value.body)
    counts: Counter[Hashable] = Counter()
    for (name, kind, body), count in counted:
        counts[(name if names else "", kind, body)] += count
    return dict(counts)


def base_name(name: str) -> str:
    """A name without its subscript: x_1 and x_2 are two values of x."""
    return name.partition("_")[0]


def same_lists(gold: Value, answer: Value) -> bool:
    """Compare two lists of which only one has names; names that differ (`p=5, q=2`) fix the order of the other."""
    names = [{base_name(item.name) for item in value.items} for value in (gold, answer)]
    if {""} not in names:
        return False
    if max(map(len, names)) == 1:
        return entries(gold, False) == entries(answer, False)
    ordered = [[(item.kind, item.body) for item in value.items] for value in (gold, answer)]
    return ordered[0] == ordered[1]
