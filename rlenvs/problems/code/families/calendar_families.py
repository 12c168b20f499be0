"""Code problems about clocks and calendars."""

from rlenvs.problems.code.family import Recipe, family
from rlenvs.problems.code.inputs import number, pick


@family(
    "calendars",
    0.35,
    ("later", "clock_after"),
    hours=[10, 12, 20, 24, 36],
    minutes=[40, 50, 60, 90, 100],
    step=range(5, 60, 11),
)
def clock(hours: int, minutes: int, step: int) -> Recipe:
    """Time on a clock with other hours and minutes."""
    return Recipe(
        takes="time: str, n: int",
        gives="str",
        says=(
            f"On a planet a day has {hours} hours of {minutes} minutes. `time` is HH:MM (two digits each, 00:00 "
            f"first). Return the time {step} * n minutes later in the same form; `n` may be negative, and days wrap "
            "around.",
            f"A clock shows HH:MM with hours 00 to {hours - 1} and minutes 00 to {minutes - 1}. What does it show `n` "
            f"times {step} minutes after `time` (before it, if `n` is negative)?",
        ),
        code="""
def solve(time, n):
    hour, minute = time.split(":")
    total = (int(hour) * MINUTES + int(minute) + STEP * n) % (HOURS * MINUTES)
    return f"{total // MINUTES:02d}:{total % MINUTES:02d}"
""",
        mutants=(
            (" % (HOURS * MINUTES)", ""),
            ("{total % MINUTES:02d}", "{total % MINUTES}"),
            ("int(hour) * MINUTES", "int(hour) * 60") if minutes != 60 else ("int(hour) * MINUTES", "int(hour) * 100"),
            ("STEP * n", "STEP * abs(n)"),
        ),
        edges=[
            ["00:00", 0],
            ["00:00", -1],
            [f"{hours - 1:02d}:{minutes - 1:02d}", 1],
            ["01:05", 7],
            ["09:09", 500],
            ["05:30", -900],
        ],
        inputs=lambda dice: [
            f"{number(dice, 0, hours - 1):02d}:{number(dice, 0, minutes - 1):02d}",
            number(dice, -60, 90),
        ],
    )


@family("calendars", 0.5, ("add_days", "date_after"), months=range(5, 14), long=[2, 3], cycle=range(3, 9))
def calendar(months: int, long: int, cycle: int) -> Recipe:
    """A date some days later in a made-up calendar."""
    return Recipe(
        takes="year: int, month: int, day: int, n: int",
        gives="list[int]",
        says=(
            f"A calendar has {months} months, counted from 1. Months whose number is divisible by {long} have 31 "
            f"days, the others 30; in years divisible by {cycle} the last month has one day more. Return the date "
            "[year, month, day] that is `n` >= 0 days after the given (valid) one.",
            f"In a calendar with {months} months a month has 31 days if its number is a multiple of {long}, else 30, "
            f"and month {months} is a day longer when the year is a multiple of {cycle}. Go `n` (>= 0) days forward "
            "from year, month, day and return [year, month, day].",
        ),
        code="""
def solve(year, month, day, n):
    day += n
    while True:
        length = 31 if month % LONG == 0 else 30
        if month == MONTHS and year % CYCLE == 0:
            length += 1
        if day <= length:
            return [year, month, day]
        day -= length
        month += 1
        if month > MONTHS:
            year, month = year + 1, 1
""",
        mutants=(
            ("day <= length", "day < length"),
            ("year % CYCLE == 0", "year % CYCLE == 1"),
            ("month % LONG == 0", "month % LONG == 1"),
            ("year, month = year + 1, 1", "month = 1"),
        ),
        edges=[
            [cycle, months, 31, 0],
            [1, 1, 30, 1],
            [cycle, months, 30, 1],
            [cycle, months, 30, 2],
            [1, 1, 1, 2000],
            [cycle - 1, months, 29, 3],
        ],
        inputs=lambda dice: [
            number(dice, 1, 40),
            number(dice, 1, months),
            number(dice, 1, 30),
            number(dice, 0, pick(dice, [3, 60, 900])),
        ],
    )


@family("calendars", 0.3, ("day_name", "name_of_day"), names=[3, 4, 5, 6, 7], start=range(3), skip=range(2, 12))
def weekday(names: int, start: int, skip: int) -> Recipe:
    """The name of a day in a week with a rest day."""
    days = ["red", "blue", "green", "white", "black", "gold", "grey"][:names]
    start %= names
    return Recipe(
        takes="n: int",
        gives="str",
        says=(
            f"Days are called {', '.join(days)} in turn, and day 1 is {days[start]}. Every {skip + names}th day "
            f"({skip + names}, {2 * (skip + names)}, ...) is a feast: it is called feast and takes no name, so that "
            "the next day has the name that it would have had. Return the name of day `n` (n >= 1).",
            f"Number days from 1. Days divisible by {skip + names} are called feast. The others get the names {days} "
            f"one after the other, again and again, beginning with {days[start]} on the first of them. Return the "
            "name of day `n` >= 1.",
        ),
        code=f"""
def solve(n):
    names = {days}
    feasts = n // {skip + names}
    if n % {skip + names} == 0:
        return "feast"
    return names[(n - 1 - feasts + {start}) % {names}]
""",
        mutants=(
            (" - feasts", ""),
            (f" + {start})", f" + {start + 1})"),
            (f"if n % {skip + names} == 0", f"if n % {skip + names + 1} == 0"),
            ("n - 1 -", "n -"),
        ),
        edges=[[1], [2], [skip + names], [skip + names + 1], [skip + names - 1], [1000]],
        inputs=lambda dice: [number(dice, 1, 40 * (skip + names))],
    )
