"""Code problems about texts."""

from rlenvs.problems.code.family import Recipe, family
from rlenvs.problems.code.inputs import LETTERS, number, pick, text


@family("strings", 0.25, ("shift_letters", "encode"), k=range(1, 26), which=["all letters", "vowels", "consonants"])
def caesar(k: int, which: str) -> Recipe:
    """Letters shifted along the alphabet."""
    test = {
        "all letters": "c in letters",
        "vowels": 'c in "aeiou"',
        "consonants": 'c in letters and c not in "aeiou"',
    }[which]
    return Recipe(
        takes="text: str",
        gives="str",
        says=(
            f"Replace {which} of `text` by the letter {k} places later in the alphabet, after z comes a again. `text` "
            "has lower case letters and other characters; whatever is not replaced stays as it is. Vowels are a, e, "
            "i, o, u.",
            f"Return `text` with {which} (lower case; the vowels are aeiou) moved {k} places forward in the alphabet, "
            "wrapping around at z. All other characters are kept.",
        ),
        code=f"""
def solve(text):
    letters = "abcdefghijklmnopqrstuvwxyz"
    result = ""
    for c in text:
        if {test}:
            c = letters[(letters.index(c) + K) % 26]
        result += c
    return result
""",
        mutants=(
            ("letters.index(c) + K", "letters.index(c) + K + 1"),
            ("letters.index(c) + K)", "letters.index(c) - K - 1)"),
            (f"if {test}:", 'if c in letters and c != "e":'),
            ("result += c", "result = c + result"),
        ),
        edges=[[""], ["z"], ["a"], [LETTERS], ["zebra, xylophone!"], ["123 -"]],
        inputs=lambda dice: [text(dice, LETTERS + "  .", 16, 3)],
    )


@family("strings", 0.2, ("count_in_long_words", "letter_count"), k=range(2, 11), what=["vowels", "letters", "words"])
def long_words(k: int, what: str) -> Recipe:
    """Vowels, letters or words, counting long words only."""
    amount = {"vowels": "sum(c in 'aeiou' for c in word)", "letters": "len(word)", "words": "1"}[what]
    wrong = {"vowels": "sum(c in 'aeio' for c in word)", "letters": "len(set(word))", "words": "len(word)"}[what]
    return Recipe(
        takes="text: str",
        gives="int",
        says=(
            "`text` consists of lower case words separated by single spaces (it may be empty). Return the number of "
            f"{what} in the words that have at least {k} letters, counting only those words.",
            f"Take the words of `text` (lower case, split at spaces) with {k} letters or more, and return how many "
            f"{what} they have in total.",
        ),
        code=f"""
def solve(text):
    total = 0
    for word in text.split():
        if len(word) >= K:
            total += {amount}
    return total
""",
        mutants=(
            ("len(word) >= K", "len(word) > K"),
            (f"total += {amount}", f"total += {wrong}"),
            ("text.split()", "set(text.split())"),
        ),
        edges=[
            [""],
            ["a"],
            ["e" * k],
            ["e" * (k - 1)],
            ["aeiou aeiou aeiou"],
            [("e" * k + " ") * 3 + "a"],
            ["banana " * 6 + "fig"],
        ],
        inputs=lambda dice: [" ".join(text(dice, "abceiou", k + 3, max(1, k - 2)) for _ in range(number(dice, 2, 7)))],
    )


@family(
    "strings",
    0.25,
    ("turn_words", "change_words"),
    k=range(2, 9),
    how=["reversed", "in upper case", "left out"],
    r=[0, 1],
)
def every_kth_word(k: int, how: str, r: int) -> Recipe:
    """Every k-th word changed."""
    r = min(r, k - 1)
    first = k if r == 0 else r
    change = {"reversed": "word[::-1]", "in upper case": "word.upper()", "left out": "None"}[how]
    return Recipe(
        takes="text: str",
        gives="str",
        says=(
            f"Number the words of `text` (separated by single spaces) 1, 2, 3, ... The words number {first}, "
            f"{first + k}, {first + 2 * k}, ... are {how}, the others stay. Return the words joined by single spaces.",
            f"Return `text` with word number {first} and those {k}, {2 * k}, {3 * k}, ... places after it {how}. "
            "Words are separated by one space, in the result too; an empty text stays empty.",
        ),
        code=f"""
def solve(text):
    words = []
    for number, word in enumerate(text.split(), start=1):
        if number % K == R:
            word = {change}
        if word is not None:
            words.append(word)
    return " ".join(words)
""",
        mutants=(
            ("start=1", "start=0"),
            ('" ".join', '"  ".join'),
            ("number % K == R", "number == " + str(first)),
            ("number % K == R", "number % (K + 1) == R"),
        ),
        edges=[
            [""],
            ["one"],
            ["ab " * (2 * k) + "cd"],
            [" ".join(["ox"] * k)],
            ["a bc def ghij klmno pq rst uvw x yz"],
        ],
        inputs=lambda dice: [" ".join(text(dice, LETTERS, 5, 2) for _ in range(number(dice, k, 3 * k)))],
    )


@family(
    "strings", 0.3, ("squeeze", "shorten_runs"), k=range(3, 7), form=["letter first", "count first"], keep=list("abcx")
)
def squeezed(k: int, form: str, keep: str) -> Recipe:
    """Run-length coding of runs of some length."""
    pair, other = ("c + str(n)", "str(n) + c") if form == "letter first" else ("str(n) + c", "c + str(n)")
    example = "z7" if form == "letter first" else "7z"
    return Recipe(
        takes="text: str",
        gives="str",
        says=(
            f"Shorten every run of at least {k} equal characters of `text` (letters only) to the character and the "
            f"length of the run, {form} (zzzzzzz becomes {example}); shorter runs and all runs of {keep!r} stay.",
            f"`text` has only letters. In place of each maximal run of {k} or more copies of a letter write its "
            f"length and the letter, {form}: seven z's give {example}. Everything else is copied, and so is every "
            f"{keep!r}.",
        ),
        code=f"""
def solve(text):
    result = ""
    i = 0
    while i < len(text):
        c, n = text[i], 1
        while i + n < len(text) and text[i + n] == c:
            n += 1
        result += {pair} if n >= K and c != KEEP else c * n
        i += n
    return result
""",
        mutants=(
            (pair, other),
            ("n >= K", "n > K"),
            ("else c * n", "else c"),
            ("c != KEEP", "c != 'y'"),
            (pair, pair.replace("n)", "n - 1)")),
        ),
        edges=[
            [""],
            ["a"],
            ["b" * k],
            [keep * 9 + "y" * 9],
            ["b" * (k - 1)],
            ["a" * 12 + "b"],
            ["abcabc"],
            ["aabbaabb"],
        ],
        inputs=lambda dice: ["".join(pick(dice, "abcx") * number(dice, 1, k + 2) for _ in range(number(dice, 1, 6)))],
    )


@family(
    "strings", 0.35, ("nearly_palindrome", "is_mirror"), k=range(5), skip=["spaces", "digits", "hyphens", "nothing"]
)
def near_palindrome(k: int, skip: str) -> Recipe:
    """Whether a text is a palindrome up to some mismatches."""
    drop = {"spaces": 'c != " "', "digits": "not c.isdigit()", "hyphens": "c != '-'", "nothing": "True"}[skip]

    limit = (
        "exactly" if k == 0 else f"except for at most {k} of the pairs (first and last, second and last but one, ...)"
    )
    return Recipe(
        takes="text: str",
        gives="bool",
        says=(
            f"Leave {skip} out of `text`. Return True if the rest reads the same from both ends {limit}, where the "
            "case of letters matters.",
            f"Return whether `text`, with {skip} removed, equals its reverse {limit}. Upper and lower case differ.",
        ),
        code=f"""
def solve(text):
    kept = [c for c in text if {drop}]
    wrong = 0
    for i in range(len(kept) // 2):
        if kept[i] != kept[-1 - i]:
            wrong += 1
    return wrong <= K
""",
        mutants=(
            ("wrong <= K", "wrong < K") if k else ("wrong <= K", "wrong <= K + 1"),
            ("kept[-1 - i]", "kept[-2 - i]"),
            ("in text if", "in text.lower() if"),
            ("[c for c in text if " + drop + "]", "list(text)")
            if skip != "nothing"
            else ("range(len(kept) // 2)", "range(len(kept) // 3)"),
        ),
        edges=[[""], ["a"], ["ab"], ["abcba"], ["a b 1a"], ["aA"], ["abcdefghij"], ["never odd or even"]],
        inputs=lambda dice: [
            half
            + pick(dice, ["", "x", " ", "4"])
            + "".join(pick(dice, "abA1 ") if dice.random() < (k + 0.4) / 6 else c for c in reversed(half))
            for half in [text(dice, "abcA 1-", k + 5, k + 2)]
        ],
    )


@family(
    "strings", 0.45, ("longest_with_few_letters", "widest"), k=range(1, 7), what=["length", "text"], free=list("abc")
)
def few_distinct(k: int, what: str, free: str) -> Recipe:
    """Longest part with few different characters."""
    gives, empty = ("int", "0") if what == "length" else ("str", '""')
    result = "len(best)" if what == "length" else "best"
    ask = "Return its length" if what == "length" else "Return it; of several equally long ones the leftmost"
    return Recipe(
        takes="text: str",
        gives=gives,
        says=(
            f"Find the longest contiguous part of `text` that has at most {k} different characters, where {free!r} "
            f"does not count. {ask}; for an empty text the result is {empty}.",
            f"A part is a run of neighbouring characters of `text`. Consider the parts made of {k} or fewer distinct "
            f"characters besides {free!r}, which is free, and find the longest. {ask}. An empty text gives {empty}.",
        ),
        code=f"""
def solve(text):
    best = ""
    start = 0
    for end in range(1, len(text) + 1):
        while len(set(text[start:end]) - {{FREE}}) > K:
            start += 1
        if end - start > len(best):
            best = text[start:end]
    return {result}
""",
        mutants=(
            ("> K", ">= K + 2"),
            ("range(1, len(text) + 1)", "range(1, len(text))"),
            ("end - start > len(best)", "end - start >= len(best)")
            if what == "text"
            else ("end - start > len(best)", "end > start"),
            ("> K", "> K - 1"),
            (" - {FREE}", ""),
        ),
        edges=[[""], ["a"], ["a" * 9], [LETTERS[: k + 3]], [LETTERS[:k] * 3], ["abcabcddddeeefff"]],
        inputs=lambda dice: ["".join(pick(dice, LETTERS[: k + 3]) * number(dice, 1, 2) for _ in range(k + 8))],
    )


@family("strings", 0.25, ("count_pattern", "occurrences"), size=[2, 3], pattern=range(12), overlap=["may", "must not"])
def pattern_count(size: int, pattern: int, overlap: str) -> Recipe:
    """Occurrences of a pattern, overlapping or not."""
    words = ("aa", "aba", "bb", "bab", "abab", "ccc", "aca", "cc", "bcb", "aaa", "bbb", "cbc")
    word = words[pattern]
    step = "1" if overlap == "may" else f"{len(word)}"
    wrong = f"{len(word)}" if overlap == "may" else "1"
    return Recipe(
        takes="text: str",
        gives="int",
        says=(
            f"Count the occurrences of {word!r} in `text` that begin at index {size} (counted from 0) or later; "
            f"occurrences {overlap} overlap (searching from left to right).",
            f"From index {size} on (the first is 0), how often does {word!r} occur in `text`? Go from left to right; "
            f"occurrences {overlap} share characters.",
        ),
        code=f"""
def solve(text):
    count = 0
    i = SIZE
    while i <= len(text) - {len(word)}:
        if text[i:i + {len(word)}] == {word!r}:
            count += 1
            i += {step}
        else:
            i += 1
    return count
""",
        mutants=(
            ("i = SIZE", "i = 0"),
            (f"count += 1\n            i += {step}", f"count += 1\n            i += {wrong}"),
            (f"i <= len(text) - {len(word)}", f"i < len(text) - {len(word)}"),
        ),
        edges=[[""], [word], [word * 4], ["x" * size + word], [word[0] * 12], ["x" * (size - 1) + word]],
        inputs=lambda dice: [
            "".join(word if dice.random() < 0.5 else pick(dice, "abcx") for _ in range(number(dice, 2, 7)))
        ],
    )


@family("strings", 0.4, ("read_columns", "columns_cipher"), k=range(2, 18), order=["left to right", "right to left"])
def columns(k: int, order: str) -> Recipe:
    """A text written in rows and read in columns."""
    places = "range(K)" if order == "left to right" else "range(K - 1, -1, -1)"
    other = "range(K - 1, -1, -1)" if order == "left to right" else "range(K)"
    return Recipe(
        takes="text: str",
        gives="str",
        says=(
            f"Write `text` in rows of {k} characters (the last row may be shorter) and read it by columns, {order}, "
            "each column from top to bottom. Return what is read.",
            f"Return the characters of `text` ordered by their position modulo {k}, the columns {order}, and within a "
            "column by position.",
        ),
        code=f"""
def solve(text):
    result = ""
    for column in {places}:
        result += text[column::K]
    return result
""",
        mutants=(
            (places, other),
            ("text[column::K]", "text[column::K][::-1]"),
            ("text[column::K]", "text[column::K + 1]"),
        ),
        edges=[[""], ["a"], [LETTERS[:k]], [LETTERS[: k + 1]], [LETTERS], ["aaaa"]],
        inputs=lambda dice: [text(dice, LETTERS, 4 * k, k)],
    )
