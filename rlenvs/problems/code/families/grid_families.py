"""Code problems about grids."""

from rlenvs.problems.code.family import Recipe, family
from rlenvs.problems.code.inputs import grid, maze, pick

FOUR = "[(0, 1), (1, 0), (0, -1), (-1, 0)]"
EIGHT = "[(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)]"


@family(
    "grids",
    0.5,
    ("count_regions", "islands"),
    near=[4, 8],
    least=range(1, 5),
    cell=["#", "*", "o"],
    what=["number", "largest"],
)
def regions(near: int, least: int, cell: str, what: str) -> Recipe:
    """Connected regions of a grid."""
    result = "len(sizes)" if what == "number" else "max(sizes, default=0)"
    other = "max(sizes, default=0)" if what == "number" else "len(sizes)"
    ask = "the number of regions" if what == "number" else "the size of the largest region, 0 if there is none"
    sides = "share a side" if near == 4 else "share a side or a corner"
    moves, wrong = (FOUR, EIGHT) if near == 4 else (EIGHT, FOUR)
    return Recipe(
        takes="grid: list[str]",
        gives="int",
        says=(
            f"In `grid` (rows of equal length, cells {cell!r} and '.') cells {cell!r} belong to the same region if "
            f"they {sides}. Ignore regions with fewer than {least} cell(s) and return {ask}.",
            f"A region is a maximal connected set of {cell!r} cells of `grid`; cells are connected if they {sides}. "
            f"Only regions of at least {least} cell(s) count. Return {ask}.",
        ),
        code=f"""
def solve(grid):
    moves = {moves}
    left = {{(r, c) for r, row in enumerate(grid) for c, cell in enumerate(row) if cell == CELL}}
    sizes = []
    while left:
        todo = [left.pop()]
        size = 0
        while todo:
            r, c = todo.pop()
            size += 1
            for down, right in moves:
                if (r + down, c + right) in left:
                    left.remove((r + down, c + right))
                    todo.append((r + down, c + right))
        if size >= LEAST:
            sizes.append(size)
    return {result}
""",
        mutants=(
            (moves, wrong),
            ("size >= LEAST", "size > LEAST"),
            (f"return {result}", f"return {other}"),
        ),
        edges=[
            [["."]],
            [[cell]],
            [[cell * least]],
            [[cell + ".", "." + cell]],
            [[cell * 4] * 3],
            [[cell + "." + cell, "." + cell + ".", cell + "." + cell]],
            [["."] * 3],
        ],
        inputs=lambda dice: [maze(dice, pick(dice, [cell + ".", cell + cell + ".", cell + "..", cell + "..."]), 5, 2)],
    )


@family(
    "grids",
    0.55,
    ("shortest_route", "steps_needed"),
    moves=["sides", "all", "down right"],
    cost=range(1, 6),
    d=[-1, 0, 999],
)
def routes(moves: str, cost: int, d: int) -> Recipe:
    """Cheapest route through a grid with walls."""
    steps = {"sides": FOUR, "all": EIGHT, "down right": "[(0, 1), (1, 0)]"}[moves]
    wrong = {"sides": "[(0, 1), (1, 0)]", "all": FOUR, "down right": "[(0, 1), (1, 0), (1, 1)]"}[moves]
    words = {
        "sides": "up, down, left or right",
        "all": "to any of the eight neighbours",
        "down right": "down or right",
    }[moves]
    return Recipe(
        takes="grid: list[str]",
        gives="int",
        says=(
            f"In `grid` '#' is a wall and '.' is free. A step goes {words} to a free cell and costs {cost}. Return "
            f"the lowest cost of a route from the top left to the bottom right cell, or {d} if there is none (also if "
            "one of the two is a wall).",
            "Find the cheapest way from the first cell of the first row of `grid` to the last cell of the last row. "
            f"Cells '#' cannot be entered, nor started from; each step {words} costs {cost}. Return the cost, {d} if "
            "there is no way.",
        ),
        code=f"""
def solve(grid):
    goal = (len(grid) - 1, len(grid[0]) - 1)
    free = {{(r, c) for r, row in enumerate(grid) for c, cell in enumerate(row) if cell == "."}}
    reached = {{(0, 0)}} & free
    steps = 0
    while reached:
        if goal in reached:
            return steps * COST
        free -= reached
        around = {{(r + a, c + b) for r, c in reached for a, b in {steps}}}
        reached = around & free
        steps += 1
    return D
""",
        mutants=(
            (steps, wrong),
            ("& free\n    steps", "\n    steps"),
            ("return steps * COST", "return (steps + 1) * COST"),
            ("steps = 0", "steps = 1"),
        ),
        edges=[
            [["."]],
            [["#"]],
            [["..", ".."]],
            [[".#", "#."]],
            [["....", "###.", "...."]],
            [["...#"]],
            [["#.", ".."]],
            [[".....", ".###.", ".....", "###..", "....."]],
            [["...", "##.", "...", ".##", "..."]],
        ],
        inputs=lambda dice: [
            [
                "".join(
                    "." if (r, c) in ((0, 0), (len(rows) - 1, len(row) - 1)) else cell for c, cell in enumerate(row)
                )
                for r, row in enumerate(rows)
            ]
            for rows in [maze(dice, pick(dice, ["...#", ".....#", "..#"]), 5, 2)]
        ],
    )


@family(
    "grids",
    0.5,
    ("next_generation", "cells_after"),
    born=[2, 3, 4],
    low=[1, 2, 3],
    high=[3, 4, 5],
    edge=["dead", "wrapped"],
)
def automaton(born: int, low: int, high: int, edge: str) -> Recipe:
    """One step of a cellular automaton."""
    border = (
        "Cells outside of the grid count as '.'"
        if edge == "dead"
        else "The grid is a torus: it wraps around at all edges"
    )
    read = (
        "grid[r + a][c + b] if 0 <= r + a < rows and 0 <= c + b < columns else '.'"
        if edge == "dead"
        else "grid[(r + a) % rows][(c + b) % columns]"
    )
    wrong = (
        "grid[r + a - rows][c + b - columns]"
        if edge == "dead"
        else "grid[min(r + a, rows - 1)][min(c + b, columns - 1)]"
    )
    return Recipe(
        takes="grid: list[str]",
        gives="list[str]",
        says=(
            "Cells of `grid` are alive ('#') or not ('.'). In the next state a cell that is not alive becomes alive "
            f"if exactly {born} of its eight neighbours are; a live one stays alive if {low} to {high} of them are. "
            f"{border}. `grid` has at least 3 rows and columns. Return the next state.",
            f"Return the grid after one step: '.' with {born} live neighbours turns into '#', '#' with a number of "
            f"live neighbours from {low} to {high} stays, everything else is '.'. Each cell has eight neighbours. "
            f"{border}. There are at least 3 rows and 3 columns.",
        ),
        code=f"""
def solve(grid):
    rows, columns = len(grid), len(grid[0])
    result = []
    for r in range(rows):
        line = ""
        for c in range(columns):
            near = 0
            for a in (-1, 0, 1):
                for b in (-1, 0, 1):
                    if (a, b) != (0, 0):
                        near += ({read}) == "#"
            alive = LOW <= near <= HIGH if grid[r][c] == "#" else near == BORN
            line += "#" if alive else "."
        result.append(line)
    return result
""",
        mutants=(
            ("(a, b) != (0, 0)", "True"),
            ("near == BORN", "near == BORN + 1"),
            (read, wrong),
            ("LOW <= near <= HIGH", "LOW <= near < HIGH"),
        ),
        edges=[
            [["...", ".#.", "..."]],
            [["###", "###", "###"]],
            [["....", ".##.", ".##.", "...."]],
            [["...", "###", "..."]],
        ],
        inputs=lambda dice: [maze(dice, pick(dice, ["#.", "#..", "##."]), 5, 3)],
    )


@family(
    "grids",
    0.4,
    ("walk_spiral", "peel"),
    corner=["top left", "top right"],
    turn=["clockwise", "counterclockwise"],
    k=range(1, 9),
)
def spiral(corner: str, turn: str, k: int) -> Recipe:
    """Every k-th cell along a spiral."""
    mirrored = corner == "top right"
    # From the top left clockwise is the plain spiral; mirror and transposition give the other three.
    flip = "rows = [row[::-1] for row in rows]\n" if mirrored else ""
    plain = (turn == "clockwise") != mirrored
    swap = "" if plain else "rows = [list(column) for column in zip(*rows)]\n"
    lead = (flip + swap).replace("rows =", "    rows =").rstrip("\n")
    other = "    rows = [row[::-1] for row in rows[::-1]]"
    return Recipe(
        takes="grid: list[list[int]]",
        gives="list[int]",
        says=(
            f"Walk over all cells of `grid` (rows of equal length) in a {turn} spiral from the {corner} corner "
            f"inwards and return the values of cells number 1, {1 + k}, {1 + 2 * k}, ... of the walk.",
            f"Read `grid` in a spiral that starts at the {corner} corner, runs {turn} and ends inside. Return the "
            f"values left if the first one read is kept, the next {k - 1} are dropped, one is kept, and so on to the "
            "end.",
        ),
        code=f"""
def solve(grid):
    rows = [list(row) for row in grid]
{lead}
    walk = []
    while rows and rows[0]:
        walk += rows[0]
        rows = [list(column) for column in zip(*rows[1:])][::-1]
    return walk[::K]
""".replace("\n\n    walk", "\n    walk"),
        mutants=(
            ("walk = []", f"walk = []\n{other}"),
            ("zip(*rows[1:])][::-1]", "zip(*rows[1:])]"),
            ("walk[::K]", "walk[K - 1::K]") if k > 1 else ("walk[::K]", "walk[1::K]"),
            ("walk[::K]", "walk[::K + 1]"),
        ),
        edges=[[[[5]]], [[[1, 2, 3, 4]]], [[[1], [2], [3]]], [[[1, 2], [3, 4]]], [[[1, 2, 3], [4, 5, 6], [7, 8, 9]]]],
        inputs=lambda dice: [grid(dice, range(1, 40), 5, 2)],
    )


@family("grids", 0.4, ("peaks", "count_peaks"), k=range(1, 5), near=[4, 8], what=["above", "below"], rim=["in", "out"])
def peaks(k: int, near: int, what: str, rim: str) -> Recipe:
    """Cells that stand out from all their neighbours."""
    difference = "grid[r][c] - grid[r + a][c + b]" if what == "above" else "grid[r + a][c + b] - grid[r][c]"
    wrong = "grid[r + a][c + b] - grid[r][c]" if what == "above" else "grid[r][c] - grid[r + a][c + b]"
    moves, other = (FOUR, EIGHT) if near == 4 else (EIGHT, FOUR)
    cells = ("range(rows)", "range(columns)") if rim == "in" else ("range(1, rows - 1)", "range(1, columns - 1)")
    border = "Cells at the border count too" if rim == "in" else "Cells at the border do not count themselves"
    return Recipe(
        takes="grid: list[list[int]]",
        gives="int",
        says=(
            f"Return the number of cells of `grid` whose value is at least {k} {what} that of each of their "
            f"neighbours (those that exist among the {near} around it). {border}.",
            f"Count the cells that differ from every one of their up to {near} neighbours by {k} or more, being "
            f"{what} it. {border}.",
        ),
        code=f"""
def solve(grid):
    rows, columns = len(grid), len(grid[0])
    count = 0
    for r in {cells[0]}:
        for c in {cells[1]}:
            near = [{difference} for a, b in {moves}
                    if 0 <= r + a < rows and 0 <= c + b < columns]
            count += all(step >= K for step in near)
    return count
""",
        mutants=(
            (difference, wrong),
            ("step >= K", "step > K"),
            (moves, other),
            ("all(step", "any(step"),
        ),
        edges=[
            [[[3]]],
            [[[0, 9]]],
            [[[0, k, 0], [k, 2 * k, k], [0, k, 0]]],
            [[[9, 9, 9], [9, 9 - k, 9], [9, 9, 9]]],
            [[[0, 0, 0], [0, k, 0], [0, 0, 0]]],
            [[[k, 0, 0], [0, 0, 0], [0, 0, k]]],
        ],
        inputs=lambda dice: [
            [
                [x if what == "above" else 9 - x for x in row]
                for row in grid(dice, [0, 0, 1, 1, 1, 2, k, k + 1, 9], 6, 3)
            ]
        ],
    )


@family(
    "grids", 0.3, ("strong_rows", "lines_above"), k=range(5, 40, 5), lines=["rows", "columns"], what=["indices", "sums"]
)
def heavy_lines(k: int, lines: str, what: str) -> Recipe:
    """Rows or columns with a large sum."""
    source, other = ("grid", "zip(*grid)") if lines == "rows" else ("zip(*grid)", "grid")
    value, wrong = ("number", "sum(line)") if what == "indices" else ("sum(line)", "number")
    return Recipe(
        takes="grid: list[list[int]]",
        gives="list[int]",
        says=(
            f"Return the {what} of those {lines} of `grid` whose sum is greater than {k}, in "
            f"order{' (indices from 0)' if what == 'indices' else ''}.",
            f"For `grid`, a list of rows of equal length, list the {what} (in "
            f"order{', from 0' if what == 'indices' else ''}) of all {lines} that add up to more than {k}.",
        ),
        code=f"""
def solve(grid):
    found = []
    for number, line in enumerate({source}):
        if sum(line) > K:
            found.append({value})
    return found
""",
        mutants=(
            (f"enumerate({source})", f"enumerate({other})"),
            ("sum(line) > K", "sum(line) >= K"),
            (f"append({value})", f"append({wrong})"),
        ),
        edges=[[[[k]]], [[[k + 1]]], [[[k, 0, 1], [0, k, 0]]], [[[0, 0], [0, 0]]], [[[9, 9, 9, 9, 9]] * 3]],
        inputs=lambda dice: [[[x + k // 4 for x in row] for row in grid(dice, range(-4, 9), 5, 2)]],
    )
