"""Code problems about lists of integers."""

from rlenvs.problems.code.family import Recipe, family
from rlenvs.problems.code.inputs import ints, number


@family(
    "lists", 0.1, ("filtered_total", "total_of_matching"), k=range(2, 12), r=range(2), what=["sum", "count", "largest"]
)
def remainder_filter(k: int, r: int, what: str) -> Recipe:
    """Sum, count or largest of the numbers with a remainder."""
    words = {"sum": "sum", "count": "number", "largest": "largest"}[what]
    which = f"that are divisible by {k}" if r == 0 else f"that leave the remainder {r} when divided by {k}"
    last = {"sum": "sum(kept)", "count": "len(kept)", "largest": "max(kept) if kept else 0"}[what]
    wrong = {"sum": "len(kept)", "count": "sum(kept)", "largest": "max(kept + [0])"}[what]
    return Recipe(
        takes="nums: list[int]",
        gives="int",
        says=(
            f"Return the {words} of the numbers in `nums` {which} (as by the operator %, also for negative numbers). "
            "If there are none, return 0.",
            f"Consider only the elements x of `nums` with x % {k} == {r}. Return their {words}, or 0 if there are "
            "none.",
        ),
        code=f"""
def solve(nums):
    kept = [x for x in nums if x % K == R]
    return {last}
""",
        mutants=(
            ("x % K == R", "x % K == R and x > 0"),
            (last, wrong),
            ("for x in nums ", "for x in nums[1:] "),
        ),
        edges=[[[]], [[0]], [[k]], [[k + r]], [[-k + r]], [[r - 2 * k, r - k]], [[1, 1, 1]], [list(range(60))]],
        inputs=lambda dice: [[x * k + r if dice.random() < 0.5 else x for x in ints(dice, -12, 14, 9, 1)]],
    )


@family("lists", 0.25, ("best_window", "window_total"), k=range(2, 9), best=["largest", "smallest"], d=range(-1, 2))
def best_window(k: int, best: str, d: int) -> Recipe:
    """Largest or smallest sum of neighbours."""
    call, other = ("max", "min") if best == "largest" else ("min", "max")
    return Recipe(
        takes="nums: list[int]",
        gives="int",
        says=(
            f"Return the {best} sum of {k} consecutive elements of `nums`, or {d} if there are fewer than {k} "
            "elements.",
            f"Look at all stretches of exactly {k} neighbouring elements of `nums` and return the {best} of their "
            f"sums. If the list is shorter than {k}, return {d}.",
        ),
        code=f"""
def solve(nums):
    if len(nums) < K:
        return D
    return {call}(sum(nums[i:i + K]) for i in range(len(nums) - K + 1))
""",
        mutants=(
            ("range(len(nums) - K + 1)", "range(max(1, len(nums) - K))"),
            (f"{call}(sum", f"{other}(sum"),
            ("len(nums) < K", "len(nums) <= K"),
            ("nums[i:i + K]", "nums[i:i + K - 1]"),
        ),
        edges=[[[]], [[4] * (k - 1)], [[5] * k], [list(range(-k, 0))], [list(range(2 * k))]],
        inputs=lambda dice: [ints(dice, -20, 20, k + 9, k - 1)],
    )


@family("lists", 0.3, ("long_runs", "runs"), k=range(1, 6), form=["value first", "length first"], skip=range(-2, 4))
def runs(k: int, form: str, skip: int) -> Recipe:
    """Runs of equal neighbours of some length."""
    pair, other = (
        ("[value, length]", "[length, value]") if form == "value first" else ("[length, value]", "[value, length]")
    )
    at_least = "" if k == 1 else f" Leave out runs that are shorter than {k}."
    return Recipe(
        takes="nums: list[int]",
        gives="list[list[int]]",
        says=(
            f"Split `nums` into runs of equal neighbours and return them in order, each as {pair}.{at_least} Runs of "
            f"the value {skip} are left out.",
            f"Return a list with one {pair} for each maximal run of equal adjacent elements of `nums`, from left to "
            f"right.{at_least} The value {skip} is skipped; an empty list gives [].",
        ),
        code=f"""
def solve(nums):
    found = []
    i = 0
    while i < len(nums):
        j = i
        while j < len(nums) and nums[j] == nums[i]:
            j += 1
        value, length = nums[i], j - i
        if length >= K and value != SKIP:
            found.append({pair})
        i = j
    return found
""",
        mutants=(
            ("length >= K", "length > K"),
            (" and value != SKIP", ""),
            (pair, other),
            ("return found", "return sorted(found)"),
            ("nums[i], j - i", "nums[i], j"),
        ),
        edges=[
            [[]],
            [[7]],
            [[7] * k],
            [[skip] * k],
            [[1, 2, 1, 2]],
            [[3] * (k + 2) + [1] * k + [3] * k],
            [[0, 0, -1, -1, -1]],
        ],
        inputs=lambda dice: [[x for x in ints(dice, -2, 3, 6, 1) for _ in range(number(dice, 1, k + 2))]],
    )


@family("lists", 0.25, ("flip_chunks", "reverse_chunks"), size=range(3, 12), every=range(1, 5))
def flipped_chunks(size: int, every: int) -> Recipe:
    """Chunks of a list, some of them reversed."""
    which = "every chunk" if every == 1 else f"the chunks with the numbers {every}, {2 * every}, {3 * every}, ..."
    return Recipe(
        takes="nums: list[int]",
        gives="list[int]",
        says=(
            f"Cut `nums` into chunks of {size} elements from the left (the last chunk may be shorter), numbered from "
            f"1. Reverse {which} and return all the elements in one list.",
            f"Return a copy of `nums` in which the order inside {which} is reversed. Chunk 1 holds the first {size} "
            "elements, chunk 2 the next ones, and so on; what is left over at the end is a chunk too.",
        ),
        code="""
def solve(nums):
    result = []
    for number, start in enumerate(range(0, len(nums), SIZE), start=1):
        chunk = nums[start:start + SIZE]
        if number % EVERY == 0:
            chunk = chunk[::-1]
        result += chunk
    return result
""",
        mutants=(
            ("range(0, len(nums), SIZE)", "range(0, len(nums) - len(nums) % SIZE, SIZE)"),
            ("chunk[::-1]", "sorted(chunk)"),
            ("number % EVERY == 0", "number % (EVERY + 1) == 0"),
            ("chunk[::-1]", "chunk[1:] + chunk[:1]"),
        ),
        edges=[[[]], [[1]], [list(range(size * every))], [list(range(size * every + 2))], [[2] * size]],
        inputs=lambda dice: [ints(dice, -9, 30, size * (every + 2), size * every - 1)],
    )


@family("lists", 0.2, ("kth_distinct", "ranked_value"), k=range(2, 8), end=["largest", "smallest"], d=range(-3, 1))
def kth_distinct(k: int, end: str, d: int) -> Recipe:
    """The k-th largest or smallest of the different values."""
    order = "reverse=True" if end == "largest" else "reverse=False"
    rank = {1: "", 2: "second ", 3: "third "}.get(k, f"{k}th ")
    return Recipe(
        takes="nums: list[int]",
        gives="int",
        says=(
            f"Return the {rank}{end} of the distinct values in `nums`. Return {d} if there are fewer than {k} "
            "distinct values.",
            f"Equal numbers in `nums` count once. Return the {rank}{end} number, or {d} if there is no such number.",
        ),
        code=f"""
def solve(nums):
    values = sorted(set(nums), {order})
    if len(values) < K:
        return D
    return values[K - 1]
""",
        mutants=(
            ("sorted(set(nums), ", "sorted(nums, "),
            ("len(values) < K", "len(values) <= K"),
            ("values[K - 1]", "values[-K]"),
        ),
        edges=[[[]], [[5]], [[3] * 8], [list(range(k))], [list(range(k + 1))], [[-4, -4, -9, -9, 2, 2]]],
        inputs=lambda dice: [ints(dice, -8, 12, k + 7, k)],
    )


@family("lists", 0.3, ("count_pairs", "pairs"), m=range(5, 31, 2), r=[0, 2, 3, 4])
def modular_pairs(m: int, r: int) -> Recipe:
    """Pairs whose sum has a given remainder."""
    return Recipe(
        takes="nums: list[int]",
        gives="int",
        says=(
            f"Return the number of pairs of positions i < j with (nums[i] + nums[j]) % {m} == {r}.",
            "How many ways are there to pick two different positions in `nums` such that the sum of the two elements "
            f"leaves the remainder {r} modulo {m}? The order of the two does not matter.",
        ),
        code="""
def solve(nums):
    count = 0
    for j in range(len(nums)):
        for i in range(j):
            if (nums[i] + nums[j]) % M == R:
                count += 1
    return count
""",
        mutants=(
            ("for i in range(j)", "for i in range(j + 1)"),
            ("(nums[i] + nums[j]) % M", "abs(nums[i] - nums[j]) % M"),
            ("for i in range(j)", "for i in range(max(0, j - 1), j)"),
            ("count += 1", "count = 1"),
        ),
        edges=[[[]], [[r]], [[0, r]], [[m, m, r]], [[-1, r + 1]], [list(range(40))]],
        inputs=lambda dice: [ints(dice, -20, 40, 14, 4)],
    )


@family("lists", 0.2, ("group_by_remainder", "bucket_order"), k=range(3, 20), order=["rising", "falling"])
def remainder_order(k: int, order: str) -> Recipe:
    """Stable order by remainder."""
    key = "x % K" if order == "rising" else "-(x % K)"
    return Recipe(
        takes="nums: list[int]",
        gives="list[int]",
        says=(
            f"Return the elements of `nums` ordered by their remainder modulo {k} (Python's %), {order}; elements "
            "with the same remainder keep their order.",
            f"Sort `nums` stably by x % {k} in {order} order and return the new list.",
        ),
        code=f"""
def solve(nums):
    return sorted(nums, key=lambda x: {key})
""",
        mutants=(
            (f"key=lambda x: {key}", f"key=lambda x: ({key}, x)"),
            (f"lambda x: {key}", f"lambda x: {key.replace('x', 'abs(x)')}"),
            (f"lambda x: {key}", f"lambda x: -({key})"),
        ),
        edges=[[[]], [[k]], [[k, 0]], [[-1, 1, -k]], [list(range(3 * k, 0, -1))]],
        inputs=lambda dice: [ints(dice, -15, 25, 10, 3)],
    )


@family("lists", 0.3, ("differences", "nth_differences"), k=range(1, 6), step=range(1, 5))
def repeated_differences(k: int, step: int) -> Recipe:
    """Differences of elements some places apart, taken several times."""
    times = "once" if k == 1 else f"{k} times in a row"
    return Recipe(
        takes="nums: list[int]",
        gives="list[int]",
        says=(
            f"One pass replaces a list by the differences nums[i + {step}] - nums[i] for every i where both exist "
            f"(possibly none). Do this {times} and return the result.",
            f"Apply {times}: the new list holds, in order, each element minus the element {step} place(s) before it, "
            "without those that have none. Return the last list; it may be empty.",
        ),
        code="""
def solve(nums):
    for _ in range(K):
        nums = [nums[i + STEP] - nums[i] for i in range(max(0, len(nums) - STEP))]
    return nums
""",
        mutants=(
            ("nums[i + STEP] - nums[i]", "nums[i] - nums[i + STEP] + 1"),
            ("range(K)", "range(K - 1)"),
            ("len(nums) - STEP", "len(nums) - STEP - 1"),
        ),
        edges=[[[]], [[3]], [[1] * (k * step)], [[i * i for i in range(k * step + 1)]], [[i**3 for i in range(20)]]],
        inputs=lambda dice: [ints(dice, -30, 30, k * step + 6, k * step - 1)],
    )


@family("lists", 0.25, ("limit_copies", "keep_copies"), k=range(1, 5), side=["first", "last"], free=range(-2, 4))
def limited_copies(k: int, side: str, free: int) -> Recipe:
    """At most so many copies of each value."""
    a, b = ("nums", "kept") if side == "first" else ("reversed(nums)", "kept[::-1]")
    stay = "copy stays" if k == 1 else f"{k} copies stay"
    return Recipe(
        takes="nums: list[int]",
        gives="list[int]",
        says=(
            f"Return `nums` without surplus copies: of each value only the {side} {stay}, in the order of the "
            f"list. Of the value {free} all copies stay.",
            f"Keep of every value in `nums` its {side} {k} occurrence(s) and drop the others; the order of what stays "
            f"does not change. The value {free} is not limited.",
        ),
        code=f"""
def solve(nums):
    seen = {{}}
    kept = []
    for x in {a}:
        seen[x] = seen.get(x, 0) + 1
        if seen[x] <= K or x == FREE:
            kept.append(x)
    return {b}
""",
        mutants=(
            ("seen[x] <= K", "seen[x] <= K + 1"),
            (" or x == FREE", ""),
            (f"for x in {a}", f"for x in {'reversed(nums)' if side == 'first' else 'nums'}"),
            (f"return {b}", "return sorted(kept)"),
        ),
        edges=[[[]], [[4]], [[4] * (k + 2)], [[free] * (k + 2)], [[1, 2, 1, 2, 1, 2] * 2], [[0, -1, 0, -1, 5, 0, 0]]],
        inputs=lambda dice: [ints(dice, -2, 3, 6 * k + 5, 4)],
    )


@family("lists", 0.25, ("trimmed_total", "trimmed"), k=range(1, 6), m=range(1, 5), what=["sum", "spread"])
def trimmed(k: int, m: int, what: str) -> Recipe:
    """Sum or spread without the extremes."""
    result = "sum(inner)" if what == "sum" else "inner[-1] - inner[0] if inner else 0"
    words = "sum of the others" if what == "sum" else "difference between the largest and the smallest of the others"
    return Recipe(
        takes="nums: list[int]",
        gives="int",
        says=(
            f"Leave out the {k} smallest and the {m} largest elements of `nums` (copies count separately) and return "
            f"the {words}. If no element is left, return 0.",
            f"Sort, drop {k} element(s) at the small end and {m} at the large end, and return the {words}; 0 if "
            f"`nums` has at most {k + m} elements.",
        ),
        code=f"""
def solve(nums):
    inner = sorted(nums)[K:len(nums) - M] if len(nums) > K + M else []
    return {result}
""",
        mutants=(
            ("sorted(nums)", "nums"),
            ("[K:len(nums) - M]", "[K:]"),
            ("[K:len(nums) - M]", "[K:len(nums) - M + 1]"),
            ("[K:len(nums) - M]", "[K - 1:len(nums) - M]"),
        ),
        edges=[[[]], [[3] * (k + m)], [[1] * k + [5] + [9] * k], [list(range(30, 0, -1))], [[-7, -7, -7, 0] * k]],
        inputs=lambda dice: [ints(dice, -40, 60, k + m + 7, k + m + 1)],
    )
