"""Code problems about graphs, ways and best choices."""

from rlenvs.problems.code.family import Recipe, family
from rlenvs.problems.code.inputs import LETTERS, ints, number, pick, text

COINS = [
    [1, 3, 4],
    [2, 5],
    [1, 5, 7],
    [3, 4],
    [4, 6, 9],
    [1, 6, 10],
    [2, 7],
    [1, 4, 5],
    [3, 7, 8],
    [5, 6, 7],
    [2, 3, 11],
]


@family("search", 0.5, ("fewest_coins", "change"), coins=COINS, d=[-1, 0], most=range(6, 12))
def coin_change(coins: list[int], d: int, most: int) -> Recipe:
    """Fewest coins for an amount, with a limit."""
    return Recipe(
        takes="amount: int",
        gives="int",
        says=(
            f"There are coins of {', '.join(map(str, coins))}, as many of each as you like. Return the smallest "
            f"number of coins that add up to `amount` exactly (0 coins for 0), or {d - 1} if there is none with at "
            f"most {most} coins.",
            f"With coins of the values {coins}, each used any number of times, what is the least number of coins "
            f"whose sum is `amount` (>= 0)? Return {d - 1} if that takes more than {most} coins or is impossible.",
        ),
        code=f"""
def solve(amount):
    reached = {{0}}
    for count in range(MOST + 1):
        if amount in reached:
            return count
        reached = {{total + coin for total in reached for coin in COINS if total + coin <= amount}}
    return {d - 1}
""",
        mutants=(
            ("range(MOST + 1)", "range(MOST)"),
            ("total + coin <= amount", "total + coin < amount"),
            ("for coin in COINS ", "for coin in COINS[-1:] "),
            ("return count", "return count + 1"),
        ),
        edges=[[0], [1], [coins[0]], [coins[-1]], [coins[-1] * most], [coins[-1] * most + 1], [coins[0] + coins[-1]]],
        inputs=lambda dice: [number(dice, 1, coins[-1] * most + 60)],
    )


@family(
    "search",
    0.45,
    ("ways_to_climb", "count_ways"),
    steps=[[1, 2], [1, 3], [2, 3], [1, 2, 4], [2, 3, 5], [1, 2, 5]],
    rest=range(3, 9),
    m=[97, 1009, 10007],
)
def staircase(steps: list[int], rest: int, m: int) -> Recipe:
    """Ways up a staircase that avoid some stairs."""
    return Recipe(
        takes="n: int",
        gives="int",
        says=(
            f"You climb from stair 0 to stair `n` (n >= 0) with steps of {steps} stairs and must not stand on stairs "
            f"whose number is a positive multiple of {rest}, except `n` itself. Return the number of ways modulo {m}.",
            f"In how many ways can 0 be turned into `n` by adding numbers out of {steps} one after the other (the "
            f"order matters), if no intermediate sum may be divisible by {rest}? Return the number modulo {m}; for n "
            "= 0 it is 1.",
        ),
        code="""
def solve(n):
    ways = [1]
    for i in range(1, n + 1):
        total = sum(ways[i - step] for step in STEPS if step <= i)
        ways.append(0 if i % REST == 0 and i != n else total % M)
    return ways[n]
""",
        mutants=(
            (" and i != n", ""),
            ("step <= i", "step < i"),
            ("i % REST == 0 and i != n", "i > n"),
            ("ways = [1]", "ways = [2]"),
        ),
        edges=[[0], [1], [2], [3], [rest], [2 * rest], [rest + 1], [200]],
        inputs=lambda dice: [number(dice, 2, 150)],
    )


@family("search", 0.5, ("longest_rise", "chain"), d=range(1, 8), order=["rising", "falling"], cap=range(8, 30, 3))
def longest_chain(d: int, order: str, cap: int) -> Recipe:
    """Longest subsequence with bounded steps."""
    step = "nums[i] - nums[j]" if order == "rising" else "nums[j] - nums[i]"
    other = "nums[j] - nums[i]" if order == "rising" else "nums[i] - nums[j]"
    return Recipe(
        takes="nums: list[int]",
        gives="int",
        says=(
            f"Return the length of the longest {order} subsequence of `nums` (elements in their order, not "
            f"necessarily neighbours) in which each element differs from the one before it by at least {d} and at "
            f"most {cap}. 0 for an empty list.",
            f"Pick elements of `nums` from left to right so that they are {order}, each step being from {d} to {cap} "
            "in size. How many can be picked at most?",
        ),
        code=f"""
def solve(nums):
    best = []
    for i in range(len(nums)):
        before = [best[j] for j in range(i) if D <= {step} <= CAP]
        best.append(1 + max(before, default=0))
    return max(best, default=0)
""",
        mutants=(
            (step, other),
            ("range(i) if", "range(max(0, i - 1), i) if"),
            (" <= CAP]", "]"),
            ("D <= ", "D - 1 <= ") if d > 1 else ("D <= ", "D + 1 <= "),
        ),
        edges=[
            [[]],
            [[4]],
            [[0, d]],
            [[d, 0]],
            [[0, cap + 1]],
            [[cap + 1, 0]],
            [[5] * 4],
            [list(range(0, 12 * d, d))],
            [list(range(30, 0, -1))],
        ],
        inputs=lambda dice: [ints(dice, 0, cap + 6, 11, 5)],
    )


@family("search", 0.55, ("edit_cost", "transform_cost"), insert=range(1, 5), delete=range(1, 5), change=range(1, 6))
def edit_cost(insert: int, delete: int, change: int) -> Recipe:
    """Cost of turning one text into another."""
    return Recipe(
        takes="a: str, b: str",
        gives="int",
        says=(
            f"Return the lowest cost of turning `a` into `b` by inserting a character (cost {insert}), deleting one "
            f"(cost {delete}) and replacing one by another (cost {change}), in any number and order.",
            f"An insertion costs {insert}, a deletion {delete}, a replacement of one character {change}. What is the "
            "least total cost of edits that make `b` out of `a`?",
        ),
        code="""
def solve(a, b):
    row = [i * INSERT for i in range(len(b) + 1)]
    for x in a:
        last, row = row, [row[0] + DELETE]
        for i, y in enumerate(b):
            keep = last[i] + (0 if x == y else CHANGE)
            row.append(min(keep, last[i + 1] + DELETE, row[i] + INSERT))
    return row[-1]
""",
        mutants=(
            ("[row[0] + DELETE]", "[row[0] + DELETE + 1]"),
            ("(0 if x == y else CHANGE)", "CHANGE"),
            ("[i * INSERT for i", "[i for i") if insert > 1 else ("[i * INSERT for i", "[2 * i for i"),
            ("row[i] + INSERT", "row[i] + INSERT + 1"),
        ),
        edges=[["", ""], ["a", ""], ["", "ab"], ["abc", "abc"], ["abc", "abd"], ["kitten", "sitting"], ["ab", "ba"]],
        inputs=lambda dice: [text(dice, "abcd", 7, 1), text(dice, "abcd", 7, 1)],
    )


@family(
    "search",
    0.5,
    ("reachable", "within_steps"),
    k=range(1, 6),
    way=["forward", "backward", "both"],
    self_=["with", "without"],
)
def reachable(k: int, way: str, self_: str) -> Recipe:
    """Nodes within some steps of a start in a graph."""
    words = {
        "forward": "from a to b",
        "backward": "from b to a only",
        "both": "between a and b in both directions",
    }[way]
    test = {
        "forward": "{b for a, b in edges if a in found}",
        "backward": "{a for a, b in edges if b in found}",
        "both": "{y for a, b in edges for x, y in ((a, b), (b, a)) if x in found}",
    }
    wrong = test["both" if way != "both" else "forward"]
    result = "sorted(found)" if self_ == "with" else "sorted(found - {start})"
    return Recipe(
        takes="edges: list[list[int]], start: int",
        gives="list[int]",
        says=(
            f"Each edge [a, b] lets you go {words}. Return all nodes that can be reached from `start` in at most {k} "
            f"step(s), {self_} `start` itself, in rising order.",
            f"`edges` is a list of pairs [a, b]; a step leads {words}. List the nodes at a distance of {k} or less "
            f"from `start`, sorted, {self_} `start`.",
        ),
        code=f"""
def solve(edges, start):
    found = {{start}}
    for _ in range(K):
        found = found | {test[way]}
    return {result}
""",
        mutants=(
            ("range(K)", "range(K + 1)"),
            (test[way], wrong),
            (f"return {result}", f"return {'sorted(found - {start})' if self_ == 'with' else 'sorted(found)'}"),
            ("range(K)", "range(K - 1)"),
        ),
        edges=[
            [[], 3],
            [[[1, 1]], 1],
            [[[1, 2], [2, 3], [3, 4], [4, 5], [5, 6], [6, 7], [7, 8]], 1],
            [[[2, 1], [3, 2], [4, 3], [5, 4], [6, 5], [7, 6], [8, 7]], 1],
            [[[1, 2], [2, 1]], 2],
        ],
        inputs=lambda dice: [
            [[number(dice, 1, 8), number(dice, 1, 8)] for _ in range(number(dice, 3, 9))],
            number(dice, 1, 8),
        ],
    )


@family("search", 0.55, ("best_load", "pack"), cap=range(10, 40, 2), most=range(2, 5))
def knapsack(cap: int, most: int) -> Recipe:
    """The best choice of a few items under a limit."""
    return Recipe(
        takes="items: list[list[int]]",
        gives="int",
        says=(
            f"Each item is [weight, value], both positive. Choose at most {most} items (each once) with a total "
            f"weight of at most {cap} and return the largest possible total value, 0 if nothing fits.",
            f"Return the greatest sum of values of up to {most} different items of `items` ([weight, value]) whose "
            f"weights add up to {cap} or less.",
        ),
        code="""
def solve(items):
    best = {(0, 0): 0}
    for weight, value in items:
        for (count, load), total in list(best.items()):
            key = (count + 1, load + weight)
            if count < MOST and load + weight <= CAP:
                best[key] = max(best.get(key, 0), total + value)
    return max(best.values())
""",
        mutants=(
            ("count < MOST and ", ""),
            ("load + weight <= CAP", "load + weight < CAP"),
            ("list(best.items())", "list(best.items())[:1]"),
            ("count < MOST", "count < MOST - 1"),
        ),
        edges=[[[]], [[[cap, 5]]], [[[cap + 1, 5]]], [[[1, 1]] * 6], [[[cap // 2, 9], [cap - cap // 2, 7]]]],
        inputs=lambda dice: [[[number(dice, 1, cap * 2 // 3), number(dice, 1, 20)] for _ in range(number(dice, 3, 7))]],
    )


@family(
    "search",
    0.5,
    ("rounds_needed", "schedule_rounds"),
    workers=range(1, 6),
    d=[-1, 0, 5],
    order=["name", "reverse name"],
)
def rounds(workers: int, d: int, order: str) -> Recipe:
    """Rounds of work with dependencies and few workers."""
    pick_order = "sorted(ready)" if order == "name" else "sorted(ready, reverse=True)"
    other = "sorted(ready, reverse=True)" if order == "name" else "sorted(ready)"
    which = "alphabetically first" if order == "name" else "alphabetically last"
    result = d - 1
    return Recipe(
        takes="needs: dict[str, list[str]]",
        gives="list[str]",
        says=(
            "`needs` maps each task to the tasks that must be done before it (all of them are keys). In every round "
            f"the up to {workers} {which} tasks among those that are ready (not done, all needs done in earlier "
            "rounds) are done. Return a text for each round: its tasks in that order, joined by '+'. If some task "
            f"can never be done, return ['{result}'].",
            f"Tasks are done in rounds of at most {workers}. A task is ready once all tasks in its list `needs[task]` "
            f"were done in rounds before. If more are ready than fit, the {which} ones are taken, in that order. "
            f"Return the rounds, each as the names joined by '+', or ['{result}'] if the tasks cannot all be done.",
        ),
        code=f"""
def solve(needs):
    done = set()
    rounds = []
    while len(done) < len(needs):
        ready = [task for task in needs if task not in done and done.issuperset(needs[task])]
        chosen = {pick_order}[:WORKERS]
        if not chosen:
            return ["{result}"]
        rounds.append("+".join(chosen))
        done.update(chosen)
    return rounds
""",
        mutants=(
            (pick_order, other),
            ("[:WORKERS]", "[:WORKERS + 1]"),
            (f'return ["{result}"]', "return rounds"),
        ),
        edges=[
            [{}],
            [{"a": []}],
            [{"a": ["a"]}],
            [{"a": [], "b": ["c"], "c": ["b"]}],
            [{c: [] for c in LETTERS[: workers + 2]}],
            [{"c": ["b"], "b": ["a"], "a": []}],
        ],
        inputs=lambda dice: [
            {
                c: sorted(
                    {pick(dice, LETTERS[: i + (dice.random() < 0.1)] or "z") for _ in range(number(dice, 0, 2))} - {"z"}
                )
                for i, c in enumerate(LETTERS[: number(dice, workers + 1, workers + 4)])
            }
        ],
    )
