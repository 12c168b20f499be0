"""Code problems whose solution is a program that reads standard input and prints."""

from rlenvs.problems.code.family import Recipe, family
from rlenvs.problems.code.inputs import ITEMS, NAMES, ints, number, pick, sentence, text


@family("numbers", 0.15, kind="stdio", k=range(2, 12), what=["sum", "number", "largest"])
def sum_lines(k: int, what: str) -> Recipe:
    """Statistics of the numbers in the input."""
    result = {"sum": "sum(kept)", "number": "len(kept)", "largest": 'max(kept, default="none")'}[what]
    wrong = {"sum": "len(kept)", "number": "sum(kept)", "largest": "max(kept, default=0)"}[what]
    empty = {"sum": "0", "number": "0", "largest": "the word none"}[what]
    return Recipe(
        says=(
            f"The first line has a number n >= 0, the next n lines have one integer each. Print the {what} of those "
            f"integers whose absolute value is divisible by {k}; if there is none, print {empty}.",
            f"Read n and then n integers, one per line. Of the integers that are multiples of {k} (0 and negative "
            f"ones included) print the {what}, or {empty} if there are none.",
        ),
        code=f"""
def solve(text):
    numbers = [int(word) for word in text.split()][1:]
    kept = [x for x in numbers if x % K == 0]
    return str({result})
""",
        mutants=(
            (result, wrong),
            ("[1:]", "[2:]"),
            ("x % K == 0", "x % K == 0 and x > 0"),
            ("x % K == 0", "x % K != 0"),
        ),
        edges=[["0\n"], ["1\n0\n"], [f"1\n{-k}\n"], [f"2\n{k}\n{k + 1}\n"], [f"3\n{k}\n{k}\n{-2 * k}\n"]],
        inputs=lambda dice: [
            "\n".join(map(str, [len(numbers), *numbers])) + "\n"
            for numbers in [[x * k if dice.random() < 0.5 else x for x in ints(dice, -9, 12, 7, 1)]]
        ],
    )


@family("strings", 0.3, kind="stdio", k=range(1, 6), order=["most frequent first", "alphabetical"], least=range(1, 4))
def word_table(k: int, order: str, least: int) -> Recipe:
    """A table of words and how often they occur."""
    key = "(-counts[word], word)" if order == "most frequent first" else "word"
    other = "word" if order == "most frequent first" else "(-counts[word], word)"
    ties = ", words with the same count alphabetically" if order == "most frequent first" else ""
    return Recipe(
        says=(
            f"The input is a text of lower case words over several lines. Print each word that has at least {k} "
            f"letter(s) and occurs at least {least} time(s), with its count behind a space, one per line, "
            f"{order}{ties}. Print the line EMPTY if there is no such word.",
            f"Count the words in the input (lower case, separated by spaces and newlines). For every word of {k} or "
            f"more letters with a count of {least} or more print 'word count'; the lines are {order}{ties}. If there "
            "is nothing to print, print EMPTY.",
        ),
        code=f"""
def solve(text):
    counts = {{}}
    for word in text.split():
        if len(word) >= K:
            counts[word] = counts.get(word, 0) + 1
    words = sorted((word for word in counts if counts[word] >= LEAST), key=lambda word: {key})
    return "\\n".join(f"{{word}} {{counts[word]}}" for word in words) or "EMPTY"
""",
        mutants=(
            (f"lambda word: {key}", f"lambda word: {other}"),
            ("counts[word] >= LEAST", "counts[word] > LEAST"),
            ("len(word) >= K", "len(word) > K"),
            (' or "EMPTY"', ""),
        ),
        edges=[
            ["\n"],
            ["a\n"],
            ["a" * k + "\n"],
            ["abcdef\n" * least],
            ["bb aa bb\naa cc aa\n" * 2],
            ["zebra\nape ape\nzebra zebra\n"],
        ],
        inputs=lambda dice: [
            "\n".join(
                " ".join(
                    pick(dice, ["a", "bc", "abc", "cab", "abca", "bcabc", "ccabab"]) for _ in range(number(dice, 2, 6))
                )
                for _ in range(number(dice, 1, 3))
            )
            + "\n"
        ],
    )


@family("machines", 0.3, kind="stdio", start=range(0, 100, 10), fee=range(4))
def account_log(start: int, fee: int) -> Recipe:
    """An account that follows commands."""
    charge = "" if fee == 0 else f" A withdrawal that is paid costs {fee} more."
    return Recipe(
        says=(
            f"An account begins with {start}. Each line of the input is 'in X', 'out X' or 'show' (X a positive "
            f"integer). 'in' adds X. 'out' takes X if the account has enough{' for it and the fee' if fee else ''}, "
            f"else it prints 'refused'.{charge} 'show' prints the balance. Print one line for each of these messages; "
            "the input may be empty.",
            f"Process commands from standard input, one per line, for an account that holds {start} at first: 'in X' "
            "(deposit), 'out X' (withdraw; print 'refused' and do nothing if the balance would become negative"
            f"{', the fee included' if fee else ''}), 'show' (print the balance).{charge}",
        ),
        code="""
def solve(text):
    balance = START
    lines = []
    for line in text.splitlines():
        command, *rest = line.split()
        if command == "show":
            lines.append(str(balance))
        elif command == "in":
            balance += int(rest[0])
        elif balance >= int(rest[0]) + FEE:
            balance -= int(rest[0]) + FEE
        else:
            lines.append("refused")
    return "\\n".join(lines)
""",
        mutants=(
            ("balance >= int(rest[0]) + FEE", "balance > int(rest[0]) + FEE"),
            ("balance -= int(rest[0]) + FEE", "balance -= int(rest[0])")
            if fee
            else ("balance -= int(rest[0]) + FEE", "balance -= int(rest[0]) + 1"),
            ('lines.append("refused")', "pass"),
            ("balance = START", "balance = START + 1"),
        ),
        edges=[
            [""],
            ["show\n"],
            [f"out {start + 1}\nshow\n"],
            [f"out {max(1, start - fee)}\nshow\n"],
            [f"in {fee + 5}\nout {start + 5}\nshow\n"],
            ["in 5\nin 6\nshow\nshow\n"],
        ],
        inputs=lambda dice: [
            "".join(
                pick(dice, [f"in {number(dice, 1, 30)}\n", f"out {number(dice, 1, start + 20)}\n", "show\n"])
                for _ in range(number(dice, 3, 8))
            )
            + "show\n"
        ],
    )


@family("grids", 0.35, kind="stdio", mark=list("#*@%xo+"), how=["rows", "columns"], what=["counts", "longest"])
def picture_rows(mark: str, how: str, what: str) -> Recipe:
    """Counts or runs in the rows or columns of a picture."""
    lines = "rows" if how == "rows" else '["".join(column) for column in zip(*rows)]'
    other = '["".join(column) for column in zip(*rows)]' if how == "rows" else "rows"
    value, wrong = ("line.count(MARK)", 'max(map(len, line.split(".")))')
    if what == "longest":
        value, wrong = wrong, value
    words = f"number of {mark} signs" if what == "counts" else f"length of the longest run of {mark} signs"
    place = "from left to right" if how == "columns" else "from top to bottom"
    return Recipe(
        says=(
            f"The input is a rectangle of characters {mark} and '.', a line for each row. Print the {words} in each "
            f"of its {how}, {place}, in one line separated by spaces.",
            f"Read a picture made of {mark} and dots. For each of the {how} ({place}) find the {words}, and print "
            "these numbers on a single line with spaces between them.",
        ),
        code=f"""
def solve(text):
    rows = text.split()
    lines = {lines}
    return " ".join(str({value}) for line in lines)
""",
        mutants=(
            (f"lines = {lines}", f"lines = {other}"),
            (value, wrong),
            ('" ".join(str', '", ".join(str'),
        ),
        edges=[
            ["#\n".replace("#", mark)],
            [".\n"],
            [f"{mark}.{mark}\n"],
            [f"{mark}\n.\n{mark}\n"],
            [f"{mark}{mark}.\n...\n{mark}.{mark}\n"],
        ],
        inputs=lambda dice: [
            "".join(
                text(dice, mark + mark + ".", width, width) + "\n"
                for width in [number(dice, 2, 6)]
                for _ in range(number(dice, 2, 5))
            )
        ],
    )


@family("records", 0.4, kind="stdio", k=range(1, 7), points=["3 1 0", "2 1 0", "4 2 1", "3 2 0", "5 2 1"])
def league_table(k: int, points: str) -> Recipe:
    """A league table from results."""
    win, draw, loss = (int(word) for word in points.split())
    return Recipe(
        says=(
            f"Each line of the input is a match 'A x B y': team A scored x, team B scored y. A win gives {win} "
            f"points, a draw {draw} to both, a loss {loss}. Print the best {k} team(s) (all, if there are fewer), one "
            "per line as 'team points', by points from the highest; ties by goals scored, the most first, then by "
            "name. No matches: print nothing.",
            f"Read matches, one per line: first team, its goals, second team, its goals. Points: {win} for winning, "
            f"{draw} for a draw, {loss} for losing. Order the teams by points (high first), then goals scored (high "
            f"first), then name, and print 'name points' for the first {k}.",
        ),
        code=f"""
def solve(text):
    points, goals = {{}}, {{}}
    for line in text.splitlines():
        a, x, b, y = line.split()
        x, y = int(x), int(y)
        for team, own, their in ((a, x, y), (b, y, x)):
            gained = {win} if own > their else {draw} if own == their else {loss}
            points[team] = points.get(team, 0) + gained
            goals[team] = goals.get(team, 0) + own
    order = sorted(points, key=lambda team: (-points[team], -goals[team], team))
    return "\\n".join(f"{{team}} {{points[team]}}" for team in order[:K])
""",
        mutants=(
            ("-goals[team], team)", "team)"),
            ("own == their", "own == their and own > 0"),
            ("order[:K]", "order[:K + 1]"),
            ("(-points[team]", "(points[team]"),
        ),
        edges=[
            [""],
            ["ada 1 bo 0\n"],
            ["ada 2 bo 2\n"],
            ["bo 0 ada 0\n"],
            ["bo 3 ada 1\ncleo 1 dan 0\n"],
            ["ada 1 bo 1\ncleo 2 dan 2\nada 0 cleo 0\neve 1 finn 2\n"],
        ],
        inputs=lambda dice: [
            "".join(
                f"{NAMES[a]} {number(dice, 0, 3)} {NAMES[(a + number(dice, 1, 3)) % 8]} {number(dice, 0, 3)}\n"
                for a in ints(dice, 0, 7, k + 5, 2)
            )
        ],
    )


@family(
    "parsing", 0.35, kind="stdio", sep=["=", ":", "->"], comment=["#", ";", "//", "%", "!"], twice=["first", "last"]
)
def settings(sep: str, comment: str, twice: str) -> Recipe:
    """A file of settings, read and printed in order."""
    store = "found.setdefault(key, value)" if twice == "first" else "found[key] = value"
    other = "found[key] = value" if twice == "first" else "found.setdefault(key, value)"
    return Recipe(
        says=(
            f"The input has settings 'key {sep} value', one per line, with or without spaces around {sep!r}. What "
            f"follows {comment!r} on a line is a comment; lines without {sep!r} before a comment mean nothing. Of a "
            f"repeated key the {twice} value counts. Print 'key value' for every key, sorted by key, and at the end "
            "the number of keys.",
            f"Read lines 'key{sep}value' (spaces around key and value do not count). Drop everything from {comment!r} "
            f"on, and skip lines in which no {sep!r} is left. The {twice} value of a key wins. Print the keys in "
            "alphabetical order, each with a space and its value, then a line with how many keys there are.",
        ),
        code=f"""
def solve(text):
    found = {{}}
    for line in text.splitlines():
        line = line.split(COMMENT)[0]
        if SEP not in line:
            continue
        key, value = [part.strip() for part in line.split(SEP, 1)]
        {store}
    return "\\n".join([f"{{key}} {{found[key]}}" for key in sorted(found)] + [str(len(found))])
""",
        mutants=(
            (store, other),
            (".split(COMMENT)[0]", ""),
            ("sorted(found)", "found"),
            ("part.strip()", "part.lstrip()"),
        ),
        edges=[
            [""],
            [f"a{sep}1\n"],
            [f"b {sep} 2\na {sep} 1\n"],
            [f"a {sep} 1\na {sep} 2\n"],
            [f"{comment} a {sep} 1\n"],
            [f"a {sep} 1 {comment} one\nnothing\n"],
            [f"z{sep}9{comment}{sep}\ny {sep}8\n"],
        ],
        inputs=lambda dice: [
            "".join(
                pick(dice, ["{k}{s}{v}", "{k} {s} {v}", "{k} {s} {v} {c} old", "{c} {k} {s} {v}", "{k} {v}"]).format(
                    k=pick(dice, "qrst"), s=sep, v=number(dice, 0, 30), c=comment
                )
                + "\n"
                for _ in range(number(dice, 2, 7))
            )
        ],
    )


@family("lists", 0.25, kind="stdio", width=range(8, 25), fill=["left", "right"])
def wrapped_text(width: int, fill: str) -> Recipe:
    """A text broken into lines of limited width."""
    pad = "" if fill == "left" else ".rjust(WIDTH)"
    side = "begin at the left edge" if fill == "left" else f"are moved right with spaces to end at column {width}"
    wrong = ".rjust(WIDTH)" if fill == "left" else ".ljust(WIDTH)"
    return Recipe(
        says=(
            f"The input is one line of words separated by single spaces, none longer than {width} characters. Break "
            f"it into lines of at most {width} characters, putting as many words as fit on each line. Lines {side}. "
            "Without words print nothing.",
            f"Read a line of words and print them in lines of up to {width} characters: a word goes to the current "
            f"line if it fits there together with a space, else to a new line. All lines {side}.",
        ),
        code=f"""
def solve(text):
    lines = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= WIDTH:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return "\\n".join(line{pad} for line in lines)
""",
        mutants=(
            ("+ 1 + len(word) <= WIDTH", "+ 1 + len(word) < WIDTH"),
            ("+ 1 + len(word)", "+ len(word)"),
            (f"line{pad} for", f"line[::-1]{wrong} for"),
        ),
        edges=[
            ["\n"],
            ["a\n"],
            ["b" * width + "\n"],
            ["c" * (width - 2) + " d\n"],
            ["c" * (width - 1) + " d\n"],
            ["ab " * 12 + "\n"],
        ],
        inputs=lambda dice: [sentence(dice, "abcdeno", 14, 7, 5) + "\n"],
    )


@family("records", 0.3, kind="stdio", rate=range(5, 30, 5), free=range(20, 200, 20))
def receipt(rate: int, free: int) -> Recipe:
    """A receipt with a discount."""
    return Recipe(
        says=(
            "Each line of the input is 'item quantity price' with integers. Print a line 'item total' for each, in "
            f"the order of the input. Then print 'discount D', where D is {rate} percent of the part of the sum above "
            f"{free}, rounded down (0 if the sum is not above it), and 'pay P', the sum minus D.",
            "Read a shopping list: item, quantity and unit price per line. For each line print the item and quantity "
            f"times price. The discount is {rate}% of what the sum exceeds {free} by (0 if it does not), without "
            "fractions. Finish with the lines 'discount D' and 'pay P', P being the sum minus D.",
        ),
        code="""
def solve(text):
    lines, total = [], 0
    for line in text.splitlines():
        item, quantity, price = line.split()
        cost = int(quantity) * int(price)
        lines.append(f"{item} {cost}")
        total += cost
    discount = max(0, total - FREE) * RATE // 100
    return "\\n".join([*lines, f"discount {discount}", f"pay {total - discount}"])
""",
        mutants=(
            ("max(0, total - FREE)", "(total - FREE)"),
            ("max(0, total - FREE)", "(total if total > FREE else 0)"),
            ("pay {total - discount}", "pay {total}"),
            ("* RATE // 100", "// 100 * RATE"),
        ),
        edges=[[""], ["egg 0 9\n"], [f"cup 1 {free}\n"], [f"cup 1 {free + 33}\n"], ["fig 3 7\nfig 3 7\n"]],
        inputs=lambda dice: [
            "".join(
                f"{pick(dice, ITEMS)} {number(dice, 1, 9)} {number(dice, 1, 40)}\n" for _ in range(number(dice, 1, 5))
            )
        ],
    )
