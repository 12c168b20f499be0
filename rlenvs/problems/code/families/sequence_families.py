"""Code problems about the order of a list."""

from rlenvs.problems.code.family import Recipe, family
from rlenvs.problems.code.inputs import ints, number


@family("lists", 0.3, ("longest_stretch", "calm_stretch"), d=range(1, 12), rule=["at most", "at least"])
def stretches(d: int, rule: str) -> Recipe:
    """Longest stretch in which neighbours are near, or far."""
    sign = "<=" if rule == "at most" else ">="
    strict = sign[0] + " D"
    return Recipe(
        takes="nums: list[int]",
        gives="int",
        says=(
            "Return the length of the longest contiguous stretch of `nums` in which any two neighbours differ by "
            f"{rule} {d}. A single element is a stretch of length 1; an empty list gives 0.",
            f"A stretch is a run of consecutive elements in which |nums[i+1] - nums[i]| {sign} {d} holds for each "
            "pair of neighbours. Return the greatest length of a stretch (0 only for an empty list).",
        ),
        code=f"""
def solve(nums):
    if not nums:
        return 0
    best = run = 1
    for i in range(1, len(nums)):
        run = run + 1 if abs(nums[i] - nums[i - 1]) {sign} D else 1
        best = max(best, run)
    return best
""",
        mutants=(
            (f"{sign} D", strict),
            ("return best", "return run"),
            ("else 1", "else 0"),
            ("abs(nums[i] - nums[i - 1])", "(nums[i] - nums[i - 1])"),
        ),
        edges=[[[]], [[5]], [[0, d]], [[0, d + 1]], [[d, 0, d, 0, 5 * d]], [[0] * 6 + [50, 99]]],
        inputs=lambda dice: [ints(dice, 0, 2 * d + 1, 14, 3)],
    )


@family("lists", 0.35, ("is_wave", "alternates"), k=range(2, 10), start=["up", "down", "either"])
def zigzag(k: int, start: str) -> Recipe:
    """Whether a list goes up and down by at least some amount."""
    words = {
        "up": "the first step goes up",
        "down": "the first step goes down",
        "either": "the first step may go either way",
    }[start]
    first = {"up": "steps[0] > 0", "down": "steps[0] < 0", "either": "True"}[start]

    def wave(size: int, sign: int, amounts: list[int]) -> list[int]:
        value, values = 10, [10]
        for place in range(size):
            value += sign * (-1) ** place * amounts[place % len(amounts)]
            values.append(value)
        return values

    return Recipe(
        takes="nums: list[int]",
        gives="bool",
        says=(
            "Return True if the steps from one element of `nums` to the next go up and down in turn, each by at "
            f"least {k}; {words}. Lists with fewer than two elements have no steps and give True.",
            "Let steps be the differences nums[i+1] - nums[i]. Return whether all of them have an absolute value of "
            f"at least {k} and neighbours among them have opposite signs; {words}. No steps at all: True.",
        ),
        code=f"""
def solve(nums):
    steps = [b - a for a, b in zip(nums, nums[1:])]
    if not steps:
        return True
    if any(abs(step) < K for step in steps):
        return False
    return {first} and all(a * b < 0 for a, b in zip(steps, steps[1:]))
""",
        mutants=(
            ("abs(step) < K", "abs(step) <= K"),
            ("a * b < 0", "a * b > 0"),
            ("any(abs(step) < K for step in steps)", "len(nums) > 90"),
            (f"return {first} and", f"return steps[0] {'<' if start == 'up' else '>'} 0 and"),
        ),
        edges=[
            [[]],
            [[5]],
            [[0, k]],
            [[k, 0]],
            [[0, k, 0, k]],
            [[0, k, 2 * k]],
            [[0, k - 1]],
            [wave(5, 1, [k])],
            [wave(5, -1, [k])],
            [wave(6, 1, [k - 1])],
        ],
        inputs=lambda dice: [
            wave(number(dice, 1, 6), 1 if dice.random() < 0.5 else -1, ints(dice, max(1, k - 1), k + 4, 4, 1))
        ],
    )


@family("lists", 0.3, ("frequent_values", "majorities"), k=range(3, 18), order=["rising", "falling"])
def frequent(k: int, order: str) -> Recipe:
    """Values that make up more than a share of a list."""
    turned, other = ("found", "found[::-1]") if order == "rising" else ("found[::-1]", "found")
    return Recipe(
        takes="nums: list[int]",
        gives="list[int]",
        says=(
            f"Return the distinct values that occur more than len(nums) / {k} times in `nums`, in {order} order.",
            f"Which values make up more than 1/{k} of `nums`? Return each once, sorted in {order} order; exactly that "
            "share is not enough.",
        ),
        code=f"""
def solve(nums):
    found = sorted({{x for x in nums if nums.count(x) * K > len(nums)}})
    return {turned}
""",
        mutants=(
            ("* K > len(nums)", "* K >= len(nums)"),
            (f"return {turned}", f"return {other}"),
            ("nums.count(x) * K", "nums.count(x) * (K + 1)"),
        ),
        edges=[
            [[]],
            [[4]],
            [[1] * 3 + [2] * (3 * k - 3)],
            [list(range(k))],
            [[1, 2] * k],
            [[5] * k + list(range(6, 20))],
        ],
        inputs=lambda dice: [ints(dice, 0, k, 4 * k, k)],
    )
