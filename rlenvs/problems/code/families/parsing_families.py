"""Code problems about texts with a form to be read."""

from rlenvs.problems.code.family import Recipe, family
from rlenvs.problems.code.inputs import LETTERS, ints, number, pick, text


@family(
    "strings",
    0.3,
    ("to_camel", "join_identifier"),
    sep=["_", "-", " ", ".", "/", "+"],
    start=["lower", "upper"],
    digits=["x", "n"],
)
def camel(sep: str, start: str, digits: str) -> Recipe:
    """Words joined in camel case."""
    name = {"_": "underscores", "-": "hyphens", " ": "spaces", ".": "dots", "/": "slashes", "+": "plus signs"}[sep]
    first = "with a lower case letter" if start == "lower" else "with a capital"
    skip = "words[:1]" if start == "lower" else "[]"
    rule = " Words made of digits only are dropped." if digits == "x" else ""
    keep = " and not word.isdigit()" if digits == "x" else ""
    return Recipe(
        takes="name: str",
        gives="str",
        says=(
            f"`name` has lower case words and numbers separated by {name}, possibly several in a row or at the ends. "
            "Join the words, each with a capital first letter and the rest in lower case; the result begins "
            f"{first}.{rule}",
            f"Turn `name`, whose parts are separated by one or more {name} (there may be some at the ends too), into "
            f"camel case that begins {first}: no separators, every later word capitalised.{rule} If nothing is left "
            "the result is empty.",
        ),
        code=f"""
def solve(name):
    words = [word for word in name.split(SEP) if word{keep}]
    head = {skip}
    return "".join(head + [word.capitalize() for word in words[len(head):]])
""",
        mutants=(
            (f" if word{keep}]", "]") if digits == "x" else ("words[len(head):]", "words[len(head):-1]"),
            ("word.capitalize()", "word.upper()"),
            (f"head = {skip}", f"head = {'[]' if start == 'lower' else 'words[:1]'}"),
            ('"".join', f'"{sep}".join'),
        ),
        edges=[[""], [sep], ["one"], [f"{sep}one{sep}{sep}two{sep}"], [f"a{sep}b{sep}c"], [f"get{sep}2{sep}items"]],
        inputs=lambda dice: [
            (sep * number(dice, 1, 2)).join(
                text(dice, LETTERS, 5, 1) if dice.random() < 0.8 else str(number(dice, 1, 99))
                for _ in range(number(dice, 2, 5))
            )
        ],
    )


@family(
    "parsing", 0.45, ("balanced", "check_brackets"), pairs=["()", "()[]", "[]{}", "()[]{}"], depth=[2, 3, 4, 5, 6, 7, 9]
)
def brackets_depth(pairs: str, depth: int) -> Recipe:
    """Whether brackets match and are not nested too deep."""
    kinds = " ".join(pairs[place : place + 2] for place in range(0, len(pairs), 2))

    opening, closing = pairs[::2], pairs[1::2]

    def walk(size: int, numbers: list[float]) -> str:
        stack: list[str] = []
        result = ""
        for value in numbers[:size]:
            if stack and (value < 0.5 or len(stack) >= depth):
                result += stack.pop()
            else:
                kind = int(value * 997) % len(opening)
                stack.append(closing[kind])
                result += opening[kind]
            if value * 10 % 1 < 0.15:
                result += "x"
        return result + "".join(reversed(stack))

    def drawn(numbers: list[float], spoil: float, place: float) -> str:
        whole = walk(len(numbers), numbers)
        at = int(place * len(whole))
        if spoil < 0.15:
            return whole[:at] + whole[at + 1 :]
        if spoil < 0.3:
            return opening[0] * (depth - 1) + whole + closing[0] * (depth - 1)
        return whole[:at] + pairs[int(spoil * 97) % len(pairs)] + whole[at:] if spoil < 0.45 else whole

    return Recipe(
        takes="text: str",
        gives="bool",
        says=(
            f"The brackets in `text` are {kinds}; other characters do not matter. Return True if every bracket is "
            f"closed by its own kind in the right order and no more than {depth} brackets are open at any place.",
            f"Return whether the brackets {kinds} of `text` are balanced (properly nested, each kind closed by "
            f"itself) and nested at most {depth} deep. Ignore all other characters.",
        ),
        code="""
def solve(text):
    stack = []
    for c in text:
        if c not in PAIRS:
            continue
        place = PAIRS.index(c)
        if place % 2 == 0:
            stack.append(place)
            if len(stack) > DEPTH:
                return False
        elif not stack or stack.pop() != place - 1:
            return False
    return not stack
""",
        mutants=(
            ("return not stack", "return True"),
            ("len(stack) > DEPTH", "len(stack) >= DEPTH"),
            ("elif not stack or stack.pop() != place - 1:", "elif stack and stack.pop() != place - 1:"),
            ("len(stack) > DEPTH", "len(stack) > DEPTH + 1"),
        ),
        edges=[
            [""],
            ["x"],
            [opening[0]],
            [closing[0]],
            [opening[0] * depth + closing[0] * depth],
            [opening[0] * (depth + 1) + closing[0] * (depth + 1)],
            [pairs * 3],
            [closing[0] + opening[0]],
        ],
        inputs=lambda dice: [drawn([dice.random() for _ in range(number(dice, 2, 9))], dice.random(), dice.random())],
    )


@family(
    "parsing",
    0.35,
    ("expand", "decode_runs"),
    sep=["", "*", ":", "^"],
    order=["count first", "letter first"],
    top=[9, 15, 20, 50, 99],
)
def expanded(sep: str, order: str, top: int) -> Recipe:
    """Expansion of coded runs, with a limit."""
    item = f"3{sep}a" if order == "count first" else f"a{sep}3"
    number_first = order == "count first"
    read = (
        """
        digits = ""
        while code[i].isdigit():
            digits += code[i]
            i += 1
        i += len(SEP)
        c = code[i]
        i += 1"""
        if number_first
        else """
        c = code[i]
        i += 1 + len(SEP)
        digits = ""
        while i < len(code) and code[i].isdigit():
            digits += code[i]
            i += 1"""
    )
    return Recipe(
        takes="code: str",
        gives="str",
        says=(
            f"`code` is a sequence of items such as {item} ({order}, nothing between items), which stands for aaa. "
            f"Counts are positive and may have several digits; a count above {top} stands for {top}. Return the text "
            "meant.",
            f"Decode `code`: each item like {item} means that a lower case letter is repeated so many times, but "
            f"never more than {top} times. Items follow each other directly. An empty code gives an empty text.",
        ),
        code=f"""
def solve(code):
    result = ""
    i = 0
    while i < len(code):{read}
        result += c * min(int(digits), TOP)
    return result
""",
        mutants=(
            ("min(int(digits), TOP)", "int(digits)"),
            ("min(int(digits), TOP)", "min(int(digits[0]), TOP)"),
            ("min(int(digits), TOP)", "min(int(digits), TOP - 1)"),
        ),
        edges=[[""], *([[f"{n}{sep}z" if number_first else f"z{sep}{n}"] for n in (1, top, top + 1, 10, 120)])],
        inputs=lambda dice: [
            "".join(
                f"{n}{sep}{c}" if number_first else f"{c}{sep}{n}"
                for n, c in [
                    (pick(dice, [1, 2, 3, 12, top - 1, top, top + 5]), pick(dice, "abxy"))
                    for _ in range(number(dice, 1, 4))
                ]
            )
        ],
    )


@family("parsing", 0.4, ("compare_versions", "newer"), parts=range(1, 6), tail=["zero", "smaller"], sep=[".", "-", "_"])
def versions(parts: int, tail: str, sep: str) -> Recipe:
    """Comparison of version numbers by some of their parts."""
    rule = (
        "missing parts count as 0"
        if tail == "zero"
        else "if one version runs out of parts within these, and all before are equal, it is the smaller one"
    )
    pad = " + [0] * PARTS" if tail == "zero" else ""
    return Recipe(
        takes="a: str, b: str",
        gives="int",
        says=(
            f"`a` and `b` are version numbers such as 1{sep}10{sep}2. Compare them by their first {parts} part(s) as "
            f"numbers, from left to right; {rule}. Return -1, 0 or 1 if `a` is smaller, equal or larger.",
            f"Return 1 if version `a` is newer than version `b`, -1 if it is older, else 0. Only the first {parts} of "
            f"the numbers between the signs {sep!r} count; {rule}.",
        ),
        code=f"""
def solve(a, b):
    left = ([int(part) for part in a.split(SEP)]{pad})[:PARTS]
    right = ([int(part) for part in b.split(SEP)]{pad})[:PARTS]
    return (left > right) - (left < right)
""",
        mutants=(
            ("left = ([int(part) for", "left = ([int(part[0]) for"),
            ("(left > right) - (left < right)", "(left < right) - (left > right)"),
            ("(left > right) - (left < right)", "(left > right)"),
            (f"b.split(SEP)]{pad})[:PARTS]", f"b.split(SEP)]{pad})[:PARTS + 1]"),
        ),
        edges=[
            [sep.join(a.split()), sep.join(b.split())]
            for a, b in (("1", "1"), ("1", "1 0"), ("1 10 2", "1 9 9"), ("0 0 0 0 0 1", "0 0 0 0 0 2"), ("2", "1 99"))
        ],
        inputs=lambda dice: [
            sep.join(str(pick(dice, [0, 0, 1, 2, 10, 11])) for _ in range(number(dice, max(1, parts - 1), parts + 1)))
            if side or dice.random() < 0.5
            else sep.join(["0"] * parts)
            for side in (0, 1)
        ],
    )


@family("parsing", 0.45, ("left_to_right", "calculate"), m=range(20, 200, 7), signs=["+-", "+*", "+-*"])
def calculator(m: int, signs: str) -> Recipe:
    """An expression worked out from left to right."""
    branch = {
        "+-": "value + number if sign == '+' else value - number",
        "+*": "value + number if sign == '+' else value * number",
        "+-*": "value + number if sign == '+' else value - number if sign == '-' else value * number",
    }[signs]
    return Recipe(
        takes="text: str",
        gives="int",
        says=(
            f"`text` holds non-negative integers with one of {', '.join(signs)} between them, and perhaps spaces. "
            "Work it out strictly from left to right, without precedence; the first number and each result are taken "
            f"modulo {m} (in 0..{m - 1}). An empty text gives 0.",
            f"Compute `text` (numbers, the signs {' '.join(signs)}, spaces that mean nothing) like a cheap "
            f"calculator: each sign applies at once to the result so far, which is reduced modulo {m} each time (to "
            f"0..{m - 1}), the first number included. Nothing at all is 0.",
        ),
        code=f"""
def solve(text):
    value, sign, digits = 0, "+", ""
    for c in text.replace(" ", "") + "=":
        if c.isdigit():
            digits += c
            continue
        number = int(digits or "0")
        value = ({branch}) % M
        sign, digits = c, ""
    return value
""",
        mutants=(
            (f"({branch}) % M", f"{branch}"),
            ('sign, digits = c, ""', 'digits = ""'),
            ('text.replace(" ", "") + "="', 'text.replace(" ", "")'),
        ),
        edges=[
            [""],
            ["7"],
            [str(m)],
            ["1 + 2"],
            [f"2{signs[1]}3+4"],
            [f"10 {signs[1]} 20 + 5"],
            [f"1+2{signs[-1]}3"],
            ["  12  "],
        ],
        inputs=lambda dice: [
            "".join(
                f"{n}{sep}{pick(dice, signs)}{sep}"
                for n, sep in [(x, pick(dice, ["", "", " "])) for x in ints(dice, 0, 60, 4, 1)]
            )
            + str(number(dice, 0, 90))
        ],
    )


@family("parsing", 0.35, ("valid_name", "is_allowed"), least=range(5, 11), extra=["_", "-", "."], digits=range(1, 4))
def names(least: int, extra: str, digits: int) -> Recipe:
    """Whether a name follows some rules."""
    return Recipe(
        takes="name: str",
        gives="bool",
        says=(
            f"A name is valid if it has {least} to {least + 6} characters, all of them lower case letters a-z, digits "
            f"or {extra!r}, begins with a letter, and has at least {digits} digit(s). Return whether `name` is valid.",
            "Return True exactly if `name` begins with a lower case letter, consists of lower case letters, digits "
            f"and {extra!r} only, contains {digits} or more digits, and is at least {least} and at most {least + 6} "
            "characters long.",
        ),
        code="""
def solve(name):
    if not LEAST <= len(name) <= LEAST + 6:
        return False
    letters = "abcdefghijklmnopqrstuvwxyz"
    if name[0] not in letters:
        return False
    if any(c not in letters + "0123456789" + EXTRA for c in name):
        return False
    return sum(c in "0123456789" for c in name) >= DIGITS
""",
        mutants=(
            ("LEAST <= len(name)", "LEAST < len(name)"),
            ("len(name) <= LEAST + 6", "len(name) < LEAST + 6"),
            ("    if name[0] not in letters:\n        return False\n", ""),
            (" + EXTRA for", " for"),
            (">= DIGITS", "> DIGITS"),
        ),
        edges=[
            [""],
            ["a" * (least - digits) + "1" * digits],
            ["a" * (least + 6 - digits) + "2" * digits],
            ["a" * (least + 7 - digits) + "2" * digits],
            ["1" * least],
            ["ab" + extra + "345"],
            ["Ab1234"],
            ["a" * least],
            ["a" * (least - digits - 1) + "2" * digits],
        ],
        inputs=lambda dice: [
            text(dice, "abcxyz", least + 1, least - 3)
            + text(dice, "0123" + extra + pick(dice, ["", "", "", "A", "!"]), 5, digits)
        ],
    )
