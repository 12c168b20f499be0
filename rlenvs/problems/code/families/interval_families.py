"""Code problems about intervals."""

from rlenvs.problems.code.family import Recipe, family
from rlenvs.problems.code.inputs import spans


@family("intervals", 0.4, ("merge_spans", "union"), gap=range(8), least=range(1, 8))
def merged_intervals(gap: int, least: int) -> Recipe:
    """Intervals merged when they are near, short ones dropped."""
    near = "overlap or touch" if gap == 0 else f"overlap or are at most {gap} apart"
    return Recipe(
        takes="spans: list[list[int]]",
        gives="list[list[int]]",
        says=(
            f"Merge the intervals [start, end] of `spans` that {near} (start of the next minus end of the one before) "
            f"until none do. Return the merged intervals with a length of at least {least}, in rising order.",
            f"`spans` holds intervals [start, end] with start < end, in any order. Two that {near} become one. "
            f"Afterwards drop those with end - start < {least} and return the rest sorted.",
        ),
        code="""
def solve(spans):
    merged = []
    for start, end in sorted(spans):
        if merged and start - merged[-1][1] <= GAP:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    return [span for span in merged if span[1] - span[0] >= LEAST]
""",
        mutants=(
            ("<= GAP", "< GAP"),
            ("max(merged[-1][1], end)", "end"),
            ("in sorted(spans)", "in spans"),
            (">= LEAST", "> LEAST"),
        ),
        edges=[
            [[]],
            [[[0, least]]],
            [[[5, 9], [0, 5]]],
            [[[0, 9], [2, 4]]],
            [[[0, 9], [9 + gap, 20 + gap]]],
            [[[0, 9], [10 + gap, 20 + gap]]],
        ],
        inputs=lambda dice: [spans(dice, 30, 6, least + 3)],
    )


@family(
    "intervals",
    0.4,
    ("covered", "covered_length"),
    low=range(0, 12, 2),
    width=range(12, 40, 4),
    what=["covered", "free"],
)
def covered_length(low: int, width: int, what: str) -> Recipe:
    """How much of a range is covered by intervals, or free."""
    result = "len(points)" if what == "covered" else "WIDTH - len(points)"
    other = "WIDTH - len(points)" if what == "covered" else "len(points)"
    state = "covered by at least one interval" if what == "covered" else "not covered by any interval"
    return Recipe(
        takes="spans: list[list[int]]",
        gives="int",
        says=(
            f"The intervals [start, end) of `spans` may overlap. Return the length of the part of [{low}, "
            f"{low + width}) that is {state}.",
            f"How many integers x with {low} <= x < {low + width} are {state} of `spans`? An interval [start, end] "
            "contains its start but not its end.",
        ),
        code=f"""
def solve(spans):
    points = set()
    for start, end in spans:
        points.update(range(max(start, LOW), min(end, LOW + WIDTH)))
    return {result}
""",
        mutants=(
            (f"return {result}", f"return {other}"),
            ("min(end, LOW + WIDTH)", "end"),
            ("min(end, LOW + WIDTH)", "min(end + 1, LOW + WIDTH)"),
            ("max(start, LOW)", "start + 1"),
        ),
        edges=[
            [[]],
            [[[low, low + width]]],
            [[[0, 100]]],
            [[[low + width, low + width + 4]]],
            [[[4, 9], [6, 20], [6, 7]]],
        ],
        inputs=lambda dice: [spans(dice, low + width, 6, 9)],
    )


@family("intervals", 0.45, ("rooms_needed", "most_at_once"), pause=range(16), what=["rooms", "time"])
def most_meetings(pause: int, what: str) -> Recipe:
    """Meetings at the same time, with a pause after each."""
    gives = (
        "the number of rooms that are needed" if what == "rooms" else "the earliest time at which most rooms are in use"
    )
    result = "best[0]" if what == "rooms" else "best[1]"
    empty = "0" if what == "rooms" else "-1"
    rule = "can be used again at once" if pause == 0 else f"stays in use for {pause} more after it, to be cleaned"
    return Recipe(
        takes="meetings: list[list[int]]",
        gives="int",
        says=(
            f"A meeting [start, end] needs a room from its start up to, not including, its end; the room {rule}. "
            f"Return {gives}. Without meetings the result is {empty}.",
            f"Each of `meetings` is [start, end]. A room is in use from start (inclusive) until end + {pause} "
            f"(exclusive). Return {gives}, and {empty} for an empty list.",
        ),
        code=f"""
def solve(meetings):
    best = [0, -1]
    for time in sorted(start for start, end in meetings):
        used = sum(start <= time < end + PAUSE for start, end in meetings)
        if used > best[0]:
            best = [used, time]
    return {result}
""",
        mutants=(
            ("time < end + PAUSE", "time <= end + PAUSE"),
            ("used > best[0]", "used >= best[0]") if what == "time" else ("end + PAUSE", "end + PAUSE - 1"),
            ("best = [0, -1]", "best = [1, -1]") if what == "time" else ("start <= time", "start < time"),
        ),
        edges=[
            [[]],
            [[[3, 5]]],
            [[[0, 5], [5 + pause, 9 + pause]]],
            [[[0, 5], [4 + pause, 9 + pause]]],
            [[[1, 9]] * 4],
        ],
        inputs=lambda dice: [spans(dice, 24, 8, 6)],
    )


@family("intervals", 0.4, ("free_slots", "gaps"), day=range(24, 61, 6), least=range(1, 7))
def free_slots(day: int, least: int) -> Recipe:
    """Free times between busy ones."""
    return Recipe(
        takes="busy: list[list[int]]",
        gives="list[list[int]]",
        says=(
            f"A day lasts from 0 to {day}. The intervals [start, end] in `busy` may overlap, come in any order, and "
            f"reach beyond the end of the day. Return the maximal free intervals of the day, those before the first "
            f"and after the last busy one too, that are at least {least} long, in rising order.",
            f"`busy` lists intervals [start, end] in any order; they may overlap or end after {day}. Return every "
            f"longest possible interval within [0, {day}] that touches none of them inside and is {least} or more "
            "long, sorted.",
        ),
        code="""
def solve(busy):
    free = []
    time = 0
    for start, end in sorted(busy):
        if min(start, DAY) - time >= LEAST:
            free.append([time, min(start, DAY)])
        time = max(time, end)
    if DAY - time >= LEAST:
        free.append([time, DAY])
    return free
""",
        mutants=(
            ("time = max(time, end)", "time = end"),
            ("min(start, DAY) - time >= LEAST", "min(start, DAY) - time > LEAST"),
            ("sorted(busy)", "busy"),
            ("DAY - time >= LEAST:\n        free.append([time, DAY])", "False:\n        pass"),
        )[:3],
        edges=[
            [[]],
            [[[0, day]]],
            [[[least, day]]],
            [[[0, day - least]]],
            [[[2, 20], [3, 5], [9, 12]]],
            [[[day + 2, day + 3]]],
        ],
        inputs=lambda dice: [spans(dice, day - 4, 6, 8)],
    )
