"""Code problems about mappings and records."""

from rlenvs.problems.code.family import Recipe, family
from rlenvs.problems.code.inputs import ITEMS, LETTERS, NAMES, number, pick, sentence


@family("records", 0.3, ("totals", "sum_by_name"), low=range(0, 60, 5), op=["sum", "largest", "smallest"])
def group_totals(low: int, op: str) -> Recipe:
    """Totals by name, small ones left out."""
    start, add, wrong = {
        "sum": ("0", "old + amount", "old + 1"),
        "largest": ("amount", "max(old, amount)", "min(old, amount)"),
        "smallest": ("amount", "min(old, amount)", "max(old, amount)"),
    }[op]
    what = {"sum": "sum of the amounts", "largest": "largest amount", "smallest": "smallest amount"}[op]
    return Recipe(
        takes="records: list[list]",
        gives="dict[str, int]",
        says=(
            f"Each record is [name, amount] with an amount >= 0. Return a dictionary from each name to the {what} "
            f"under that name, leaving out names whose value is below {low}.",
            f"Group `records` (pairs [name, amount], no amount is negative) by name and compute the {what} of each "
            f"group. Return the groups whose result is at least {low} as a dictionary.",
        ),
        code=f"""
def solve(records):
    totals = {{}}
    for name, amount in records:
        old = totals.get(name, {start})
        totals[name] = {add}
    return {{name: total for name, total in totals.items() if total >= LOW}}
""",
        mutants=(
            ("total >= LOW", "total > LOW + 1"),
            (f"totals.get(name, {start})", f"totals.get(name, {start}) * 0"),
            (add, wrong),
        ),
        edges=[[[]], [[["ada", low]]], [[["ada", 7], ["bo", 50], ["ada", 60]]], [[["bo", 0], ["bo", 0]]]],
        inputs=lambda dice: [[[pick(dice, NAMES[:4]), number(dice, 0, low + 25)] for _ in range(number(dice, 2, 9))]],
    )


@family("records", 0.35, ("word_lines", "index_words"), k=range(1, 7), most=range(1, 7))
def inverted_index(k: int, most: int) -> Recipe:
    """In which lines each long word occurs."""
    return Recipe(
        takes="lines: list[str]",
        gives="dict[str, list[int]]",
        says=(
            f"Return a dictionary from each word with at least {k} letter(s) to the numbers of the lines that contain "
            f"it, rising and each once, but only the first {most} of them. Lines are numbered from 1, words are "
            "separated by single spaces.",
            "Build an index of `lines` (words split at spaces): word -> list of line numbers from 1, in rising "
            f"order, without repeats, cut to {most}. Words shorter than {k} are left out.",
        ),
        code="""
def solve(lines):
    index = {}
    for number, line in enumerate(lines, start=1):
        for word in line.split():
            if len(word) < K:
                continue
            numbers = index.setdefault(word, [])
            if number not in numbers and len(numbers) < MOST:
                numbers.append(number)
    return index
""",
        mutants=(
            ("start=1", "start=0"),
            ("len(word) < K", "len(word) <= K"),
            ("number not in numbers and ", ""),
            ("len(numbers) < MOST", "len(numbers) <= MOST"),
        )[: 4 if most > 1 else 2]
        + ((("numbers.append(number)", "numbers.append(number + 1)"),) if most == 1 else ()),
        edges=[[[]], [[""]], [["a" * k]], [["ox ox", "ox"]], [["abcdef"] * (most + 1)], [["ab abc abcd abcde abcdef"]]],
        inputs=lambda dice: [
            [
                " ".join(pick(dice, ["a", "be", "cat", "dove", "eagle", "falcon"]) for _ in range(number(dice, 1, 4)))
                for _ in range(number(dice, 1, most + 2))
            ]
        ],
    )


@family("records", 0.3, ("top_names", "podium"), k=range(1, 7), order=["highest", "lowest"], ties=["a to z", "z to a"])
def top_scores(k: int, order: str, ties: str) -> Recipe:
    """The best few names, with a rule for ties."""
    sign = "-" if order == "highest" else ""
    first = "" if ties == "a to z" else ", reverse=True"
    return Recipe(
        takes="scores: dict[str, int]",
        gives="list[str]",
        says=(
            f"Return the {k} name(s) with the {order} scores, the {order} first; names with equal scores go {ties}. "
            f"If there are fewer than {k} names, return all of them.",
            f"Order the names in `scores` from the {order} score on, names with the same score from {ties}, and "
            f"return the first {k} of them (or all if there are not so many).",
        ),
        code=f"""
def solve(scores):
    names = sorted(scores{first})
    names.sort(key=lambda name: {sign}scores[name])
    return names[:K]
""",
        mutants=(
            (f"sorted(scores{first})", f"sorted(scores{'' if first else ', reverse=True'})"),
            (f"{sign}scores[name]", f"{'' if sign else '-'}scores[name]"),
            ("names[:K]", "names[:K + 1]"),
            ("names[:K]", "names[-K:]"),
        ),
        edges=[[{}], [{"ada": 3}], [{"bo": 1, "ada": 1}], [dict.fromkeys(NAMES, 5)], [{"eve": -2, "dan": -2, "bo": 0}]],
        inputs=lambda dice: [{name: number(dice, -1, 4) for name in NAMES if dice.random() < 0.4 + k / 12}],
    )


@family("records", 0.4, ("final_stock", "stock_after"), cap=range(5, 30), rule=["refused", "cut"])
def inventory(cap: int, rule: str) -> Recipe:
    """Stock after a list of movements, with a capacity."""
    words = (
        "A movement that would bring the stock of an item below 0 or above the capacity is ignored as a whole."
        if rule == "refused"
        else "Where a movement would bring the stock below 0 it becomes 0, where above the capacity it becomes the "
        "capacity."
    )
    step = (
        "        if 0 <= new <= CAP:\n            stock[item] = new"
        if rule == "refused"
        else "        stock[item] = max(0, min(CAP, new))"
    )
    return Recipe(
        takes="moves: list[list]",
        gives="dict[str, int]",
        says=(
            "Each move is [item, change]; a positive change puts items in, a negative one takes them out. Every item "
            f"starts at 0 and has a capacity of {cap}. {words} Return the items with a stock above 0 as a dictionary.",
            "Play the `moves` [item, change] in order on a store where each item begins with 0 pieces and at most "
            f"{cap} fit. {words} Return a dictionary of the final stock without the items that have 0.",
        ),
        code=f"""
def solve(moves):
    stock = {{}}
    for item, change in moves:
        new = stock.get(item, 0) + change
{step}
    return {{item: n for item, n in stock.items() if n > 0}}
""",
        mutants=(
            ("stock.get(item, 0) + change", "stock.get(item, 1) + change"),
            (("0 <= new <= CAP", "new <= CAP") if rule == "refused" else ("max(0, min(CAP, new))", "min(CAP, new)")),
            (
                ("0 <= new <= CAP", "0 <= new < CAP")
                if rule == "refused"
                else ("max(0, min(CAP, new))", "max(0, min(CAP - 1, new))")
            ),
            (" if n > 0}", "}"),
        ),
        edges=[
            [[]],
            [[["cup", cap]]],
            [[["cup", cap + 1]]],
            [[["cup", -1]]],
            [[["egg", 2], ["egg", -2]]],
            [[["fig", 3], ["fig", -4], ["fig", 1]]],
        ],
        inputs=lambda dice: [
            [[pick(dice, ITEMS[:3]), number(dice, -cap // 2, cap * 2 // 3)] for _ in range(number(dice, 3, 9))]
        ],
    )


@family("records", 0.25, ("merged", "merge_counts"), op=["sum", "larger", "difference"], low=range(0, 8))
def merged_mappings(op: str, low: int) -> Recipe:
    """Two mappings merged by a rule."""
    rule = {"sum": "x + y", "larger": "max(x, y)", "difference": "abs(x - y)"}[op]
    other = {"sum": "max(x, y)", "larger": "x + y", "difference": "x - y"}[op]
    words = {"sum": "sum", "larger": "larger", "difference": "absolute difference"}[op]
    return Recipe(
        takes="a: dict[str, int], b: dict[str, int]",
        gives="dict[str, int]",
        says=(
            f"Merge `a` and `b`: every key of either gets the {words} of its two values, a missing value counting as "
            f"0. Keys whose result is not above {low} are left out.",
            f"For each key in `a` or `b` compute the {words} of a[key] and b[key] (0 where the key is missing). "
            f"Return the results greater than {low} as a dictionary.",
        ),
        code=f"""
def solve(a, b):
    merged = {{}}
    for key in sorted(set(a) | set(b)):
        x, y = a.get(key, 0), b.get(key, 0)
        if {rule} > LOW:
            merged[key] = {rule}
    return merged
""",
        mutants=(
            ("> LOW", ">= LOW"),
            ("set(a) | set(b)", "set(a) & set(b)"),
            ("set(a) | set(b)", "set(a)"),
            (f"merged[key] = {rule}", f"merged[key] = {other}"),
        ),
        edges=[
            [{}, {}],
            [{"p": low}, {}],
            [{}, {"q": low + 1}],
            [{"p": 3, "q": 9}, {"p": 12, "r": 20}],
            [{"z": 5}, {"z": 5}],
        ],
        inputs=lambda dice: [
            {key: number(dice, 0, low + 6) for key in "pqrstu" if dice.random() < 0.5} for _ in range(2)
        ],
    )


@family(
    "records",
    0.2,
    ("initials", "letter_table"),
    k=range(1, 4),
    case=["as written", "in upper case"],
    sep=["", ".", "-", "*", "/"],
)
def initials(k: int, case: str, sep: str) -> Recipe:
    """Words by their first letters."""
    key = "word[:K]" if case == "as written" else "word[:K].upper()"
    words = f"the first {k} letters" if k > 1 else "the first letter"
    return Recipe(
        takes="text: str",
        gives="dict[str, int]",
        says=(
            f"Return a dictionary from {words} of the words in `text` ({case}, followed by {sep!r}) to the number of "
            "words that begin so. Words are separated by single spaces; shorter words count under the whole word.",
            f"Count the words of `text`, split at spaces, by their beginning: the key is {words} of the word, {case}, "
            f"with {sep!r} behind it. A word that is shorter is its own beginning.",
        ),
        code=f"""
def solve(text):
    table = {{}}
    for word in text.split():
        key = {key} + SEP
        table[key] = table.get(key, 0) + 1
    return table
""",
        mutants=(
            ("word[:K]", "word[:K + 1]"),
            ("table.get(key, 0) + 1", "1"),
            ("text.split()", "sorted(set(text.split()))"),
        ),
        edges=[[""], ["ox"], ["ab ab abc abd"], ["a b c a b a"], [" ".join(LETTERS)]],
        inputs=lambda dice: [sentence(dice, "abc", 9, 4, 2)],
    )
