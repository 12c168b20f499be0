"""Math-Verify's own test pairs, graded here: where the two agree, and every pair where they do not.

    python benchmarks/math_verify_pairs.py PATH_OF_A_MATH_VERIFY_CHECKOUT [--json]

The pairs are read from the checkout's tests as literals; nothing of it is run. Math-Verify searches whole texts for an
answer; graders here are told where it is. So the answer is cut out first: inside the last box, else inside the last
math delimiters, else the whole text. A longer text without a box has no place for an answer.
"""

import argparse
import ast
import collections
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rlenvs.errors import GraderError
from rlenvs.graders import extract_answer, grade_batch

FORMULA = re.compile(r"\$\$(.+?)\$\$|\\\[(.+?)\\\]|(?<!\\)\$(.+?)(?<!\\)\$|\\\((.+?)\\\)", re.DOTALL)
MOST_WORDS_OF_AN_ANSWER = 12


class Pair(NamedTuple):
    """One case of a parametrised test."""

    source: str
    gold: str
    answer: str
    expected: bool
    note: str


def parametrized(tree: ast.AST) -> Iterator[tuple[str, list[str], ast.expr]]:
    """Name of the test, names of its arguments, and the list of cases, of every parametrised test."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith("parametrize"):
                names = ast.literal_eval(decorator.args[0])
                yield node.name, [name.strip() for name in names.split(",")], decorator.args[1]


def pairs_of(path: Path) -> Iterator[Pair]:
    """The pairs of one test file."""
    for test, names, cases in parametrized(ast.parse(path.read_text(encoding="utf-8"))):
        if names[:2] != ["gold", "pred"] or not isinstance(cases, ast.List):
            continue
        for case in cases.elts:
            try:
                values = dict(zip(names, ast.literal_eval(case), strict=True))
            except ValueError:
                continue  # a computed case
            expected = values.get("expected", values.get("result"))
            others = {k: v for k, v in values.items() if k not in ("gold", "pred", "expected", "result")}
            note = ", ".join(f"{key}={value}" for key, value in others.items() if (key, value) != ("precision", 6))
            yield Pair(f"{path.stem}:{test}", values["gold"], values["pred"], bool(expected), note)


def answer_in(text: str) -> str | None:
    """The part of a text that is its answer; None for a text without a place for it."""
    if "\\boxed" in text:
        return extract_answer(text.replace("\\\\boxed", "\\boxed"), "last_boxed").answer
    formulas = [next(filter(None, match.groups())) for match in FORMULA.finditer(text)]
    outside = FORMULA.sub("", text).strip(" .%")
    if len(outside.split()) > MOST_WORDS_OF_AN_ANSWER:
        return None
    if formulas and outside.lower() in ("", "answer", "percent", "pct"):
        end = text[text.rindex(formulas[-1]) + len(formulas[-1]) :]
        return formulas[-1] + ("\\%" if re.search(r"%|percent|pct", end) else "")
    return formulas[-1] if formulas else text


def run(checkout: Path) -> dict[str, Any]:
    """Grade every pair and collect the table and the disagreements."""
    pairs = [pair for path in sorted((checkout / "tests").glob("test_*.py")) for pair in pairs_of(path)]
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    disagreements = []
    for pair in pairs:
        gold, answer = answer_in(pair.gold), answer_in(pair.answer)
        counts[pair.source]["pairs"] += 1
        if gold is None or answer is None:
            counts[pair.source]["no place for an answer"] += 1
            continue
        task = {"type": "math", "gold": gold, "extract": "whole", "time_limit_s": 10.0}
        try:
            (verdict,) = grade_batch([task], [answer])
            said, why = verdict.correct, f"{verdict.status}: {verdict.reason}"
        except GraderError as error:
            said, why = False, f"error: {error}"
        same = said == pair.expected
        counts[pair.source]["agree" if same else "disagree"] += 1
        if not same:
            record = {"test": pair.source, "gold": gold, "answer": answer, "expected": pair.expected}
            disagreements.append({**record, "note": pair.note, "why": why})
    return {"tests": {name: dict(count) for name, count in counts.items()}, "disagreements": disagreements}


def main() -> None:
    """Print the table and the disagreements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help="folder of a Math-Verify checkout")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    result = run(args.checkout)
    if args.json:
        print(json.dumps(result, indent=1))
        return
    columns = ("pairs", "agree", "disagree", "no place for an answer")
    print("| test | " + " | ".join(columns) + " |")
    print("|---|" + "---:|" * len(columns))
    totals = collections.Counter[str]()
    for name, count in result["tests"].items():
        totals.update(count)
        print(f"| {name} | " + " | ".join(str(count.get(column, 0)) for column in columns) + " |")
    print("| all | " + " | ".join(str(totals[column]) for column in columns) + " |\n")
    for item in result["disagreements"]:
        print(f"{item['test']} {item['note']}: expected {item['expected']}")
        print(f"    gold   {item['gold']!r:.150}\n    answer {item['answer']!r:.150}\n    {item['why']:.150}")


if __name__ == "__main__":
    main()
