"""Code problems about machines and languages of commands."""

from rlenvs.problems.code.family import Recipe, family
from rlenvs.problems.code.inputs import ints, number, pick, text


@family(
    "machines", 0.4, ("final_position", "walk"), size=range(5, 15), edge=["stops", "wraps"], first=["north", "east"]
)
def robot(size: int, edge: str, first: str) -> Recipe:
    """A robot on a board that follows letters."""
    words = (
        "a step that would leave the board is skipped"
        if edge == "stops"
        else "a robot that leaves the board comes in at the opposite side"
    )
    facing = "0, 1" if first == "north" else "1, 0"
    move = (
        "if 0 <= x + dx < SIZE and 0 <= y + dy < SIZE:\n                x, y = x + dx, y + dy"
        if edge == "stops"
        else "x, y = (x + dx) % SIZE, (y + dy) % SIZE"
    )
    wrong = "x, y = x + dx, y + dy" if edge == "wraps" else "x, y = min(x + dx, SIZE - 1), min(y + dy, SIZE - 1)"
    return Recipe(
        takes="commands: str",
        gives="list[int]",
        says=(
            f"A robot stands at x = 0, y = 0 of a board with {size} x {size} fields (0 to {size - 1}; north is larger "
            f"y, east is larger x) and faces {first}. Commands: F one step forward, L and R turn left and right by 90 "
            f"degrees, B one step back without turning; {words}. Return [x, y] at the end.",
            "Follow `commands` (letters F, B, L, R: forward, backward, turn left, turn right) from field [0, 0] of a "
            f"board of {size} by {size} fields, at first facing {first}; east increases the first coordinate, north "
            f"the second, and {words}. Return the last field.",
        ),
        code=f"""
def solve(commands):
    x = y = 0
    dx, dy = {facing}
    for command in commands:
        if command == "L":
            dx, dy = -dy, dx
        elif command == "R":
            dx, dy = dy, -dx
        else:
            if command == "B":
                dx, dy = -dx, -dy
            {move}
            if command == "B":
                dx, dy = -dx, -dy
    return [x, y]
""",
        mutants=(
            ('"L":\n            dx, dy = -dy, dx', '"L":\n            dx, dy = dy, -dx'),
            (move, wrong),
            (f"dx, dy = {facing}", f"dx, dy = {'1, 0' if first == 'north' else '0, 1'}"),
            ("return [x, y]", "return [y, x]"),
        ),
        edges=[[""], ["F"], ["B"], ["F" * (size + 1)], ["R" + "F" * (size + 2)], ["LLFF"], ["FFRFFLFBB"], ["FRFLFRFL"]],
        inputs=lambda dice: [text(dice, "FFFFBLR", 16, 4)],
    )


@family(
    "machines", 0.45, ("run_program", "evaluate"), m=range(50, 1000, 37), empty=[0, -1], extra=["dup", "swap", "drop"]
)
def stack_machine(m: int, empty: int, extra: str) -> Recipe:
    """A small stack machine."""
    meaning = {
        "dup": "'dup' puts a copy of the top value on the stack",
        "swap": "'swap' exchanges the two top values",
        "drop": "'drop' removes the top value",
    }[extra]
    least = 2 if extra == "swap" else 1
    action = {
        "dup": "stack.append(stack[-1])",
        "swap": "stack[-1], stack[-2] = stack[-2], stack[-1]",
        "drop": "del stack[-1]",
    }[extra]
    wrong = {"dup": "stack.append(1)", "swap": "stack[-1] = stack[-2]", "drop": "del stack[0]"}[extra]
    return Recipe(
        takes="tokens: list[str]",
        gives="int",
        says=(
            "`tokens` is a program for a stack: a number is pushed; '+', '-', '*' take the top value b and the value "
            f"a below it and push a+b, a-b, a*b, modulo {m} (in 0..{m - 1}); {meaning}. A token that finds too few "
            f"values changes nothing and ends the program. Return the top of the stack at the end, or {empty} if it is "
            "empty.",
            "Run `tokens` from left to right on an empty stack. Digits push their number; +, - and * replace the two "
            f"topmost values a, b (b on top) by the result modulo {m}; {meaning}. If there are too few values for a "
            f"token, stop there with the stack as it is. The answer is the top value, or {empty} for an empty stack.",
        ),
        code=f"""
def solve(tokens):
    stack = []
    for token in tokens:
        if token == "{extra}":
            if len(stack) < {least}:
                break
            {action}
        elif token in ("+", "-", "*"):
            if len(stack) < 2:
                break
            b, a = stack.pop(), stack.pop()
            result = a + b if token == "+" else a - b if token == "-" else a * b
            stack.append(result % M)
        else:
            stack.append(int(token))
    return stack[-1] if stack else EMPTY
""",
        mutants=(
            ("b, a = stack.pop()", "a, b = stack.pop()"),
            (action, wrong),
            ("stack.append(result % M)", "stack.append(result)"),
            ("stack[-1] if stack", "stack[0] if stack"),
        ),
        edges=[
            [[]],
            [["7"]],
            [["+"]],
            [[extra]],
            [["3", "5", "-"]],
            [["9", "2", extra, "-"]],
            [["4", "+", "8"]],
            [["40", "60", "*"]],
            [["2", "9", extra, "*"]],
            [["1", "2", "3", extra]],
        ],
        inputs=lambda dice: [
            [str(x) for x in ints(dice, 0, 60, 3, 2)]
            + [pick(dice, ["+", "-", "*", extra, str(number(dice, 1, 50))]) for _ in range(number(dice, 1, 6))]
        ],
    )


@family("machines", 0.35, ("change_due", "sell"), price=range(15, 100, 5), limit=range(2, 6))
def vending(price: int, limit: int) -> Recipe:
    """A vending machine with a limited stock."""
    return Recipe(
        takes="coins: list[int]",
        gives="list[int]",
        says=(
            f"A machine sells bottles at {price} and holds {limit} of them. Coins are put in one by one. As soon as "
            "the credit reaches the price, a bottle comes out and the rest of the credit is kept (a rest that is "
            "enough for another bottle sells that too, at once). When no bottle is left, further coins are returned "
            "and do not count. Return [bottles sold, credit left].",
            f"Simulate a machine with {limit} bottles for {price} each: add each of `coins` to the credit, and while "
            "the credit is enough and a bottle is left, sell one. Once it is sold out, coins are rejected. The "
            "result is [number of bottles sold, remaining credit].",
        ),
        code="""
def solve(coins):
    sold = credit = 0
    for coin in coins:
        if sold == LIMIT:
            break
        credit += coin
        while credit >= PRICE and sold < LIMIT:
            credit -= PRICE
            sold += 1
    return [sold, credit]
""",
        mutants=(
            ("credit >= PRICE", "credit > PRICE"),
            ("credit -= PRICE", "credit = 0"),
            ("while credit", "if credit"),
            ("            break", "            pass"),
        ),
        edges=[
            [[]],
            [[price]],
            [[price * 2]],
            [[price - 1]],
            [[price] * (limit + 2)],
            [[price * (limit + 1), 5]],
            [[5] * 60],
        ],
        inputs=lambda dice: [[pick(dice, [5, 10, 20, 50, 100, 200]) for _ in range(number(dice, 2, 12))]],
    )


@family(
    "machines",
    0.4,
    ("lock_opens", "accepts"),
    code=["121", "112", "313", "2212", "1213", "331", "1122"],
    resets=range(2, 7),
)
def lock(code: str, resets: int) -> Recipe:
    """Whether a lock opens, with a reset after some keys."""
    return Recipe(
        takes="keys: str",
        gives="bool",
        says=(
            f"A lock opens when the keys {', '.join(code)} are pressed one directly after the other. It stays open "
            f"from then on, but each key 0 clears what was pressed before it, and after {resets} zeros the lock is "
            "blocked: later keys have no effect. Return whether `keys` (digits) opens it.",
            f"Return True if {code!r} occurs in `keys` as a contiguous part before the zero number {resets} (that "
            "zero and all that follows do not count), else False.",
        ),
        code="""
def solve(keys):
    pressed = ""
    zeros = 0
    for key in keys:
        if key == "0":
            zeros += 1
            pressed = ""
            if zeros == RESETS:
                return False
        else:
            pressed += key
        if pressed.endswith(CODE):
            return True
    return False
""",
        mutants=(
            ("zeros == RESETS", "zeros > RESETS"),
            ("pressed.endswith(CODE)", "pressed == CODE"),
            ('            pressed = ""\n', ""),
            ("zeros == RESETS", "zeros == RESETS - 1"),
        ),
        edges=[
            [""],
            [code],
            [code[:-1]],
            ["0" * resets + code],
            ["0" * (resets - 1) + code],
            [code[0] + code],
            [code[:-1] + "0" + code[-1]],
            ["3" + code + "000000000"],
        ],
        inputs=lambda dice: [
            "".join(
                pick(dice, [code, "0", "0", "1", "2", "3", code[:2], code[:-1] + "0"])
                for _ in range(number(dice, 2, resets + 3))
            )
        ],
    )
