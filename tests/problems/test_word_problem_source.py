import re
from collections import Counter

import numpy as np
import pytest

from rlenvs.envs.protocols.steps import equation_in, task_goals
from rlenvs.errors import UserError
from rlenvs.problems import WordProblemSource
from rlenvs.problems.words.grammar import BAKED, CONTAINERS, GOODS, ITEMS, PETS, PLANTS, SHOP_ITEMS, count, listed, noun
from rlenvs.problems.words.teller import TEMPLATES

ALL = ["integer", "fraction", "percent", "money"]


def drawn(number=400, seed=0, **parameters):
    source = WordProblemSource(**{"numbers": ALL, **parameters})
    rng = np.random.default_rng(seed)
    return [source.sample(rng, "train") for _ in range(number)]


def test_there_are_many_templates_and_each_has_many_wordings():
    assert len(TEMPLATES) >= 40
    for name in TEMPLATES:
        shapes = {re.sub(r"\d+", "0", p.prompt) for p in drawn(200, templates=[name], distractors=0)}
        assert len(shapes) >= 20, name


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_has_the_steps_it_says_and_its_working_is_exact(name):
    template = TEMPLATES[name]
    seen = Counter()
    for problem in drawn(150, templates=[name]):
        steps = problem.task["steps"]
        seen[len(steps)] += 1
        assert task_goals(problem)  # parses every expression and compares it with its value
        assert steps[-1]["value"] == problem.task["gold"]
        lines = problem.demonstration.splitlines()[:-1]
        assert [equation_in(line) for line in lines] == [(step["expression"], step["value"]) for step in steps]
    assert set(seen) == set(template.steps)


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_number_of_the_working_is_in_the_story_or_a_result(name):
    for problem in drawn(100, templates=[name], distractors=0):
        known = set(re.findall(r"\d+(?:\.\d+)?(?:/\d+)?", problem.prompt))
        known |= {str(int(float(n))) for n in known if "/" not in n}
        # What words say, and what everybody knows.
        known |= {"2", "3", "4", "60", "100", "1", "1/2"}
        words = {
            "half": "1/2",
            "a third": "1/3",
            "two thirds": "2/3",
            "a quarter": "1/4",
            "three quarters": "3/4",
            "a fifth": "1/5",
        }
        words |= {"two fifths": "2/5", "three fifths": "3/5", "a sixth": "1/6"}
        known |= {value for word, value in words.items() if word in problem.prompt.lower()}
        known |= {_share(rate) for rate in re.findall(r"(\d+)%", problem.prompt)}
        if name == "ages" and len(problem.task["steps"]) == 3:
            known.add(str(2 * int(re.search(r"in (\d+) years", problem.prompt)[1])))  # both of them grow older
        if name == "mean_score":
            known.add(str(len(problem.task["steps"])))
        for step in problem.task["steps"]:
            used = re.findall(r"\d+(?:\.\d+)?(?:/\d+)?", step["expression"].replace(")/(", ") / ("))
            # A division of whole numbers reads like a fraction.
            parts = {part for number in used for part in ([number] if number in known else number.split("/"))}
            assert parts <= known, (problem.prompt, step)
            known.add(step["value"])


def _share(rate: str) -> str:
    from fractions import Fraction

    return str(Fraction(int(rate), 100))


def test_plurals_and_articles_are_right():
    things = {*ITEMS, *CONTAINERS, *PLANTS, *GOODS, *SHOP_ITEMS, *PETS, *BAKED}
    many = {thing.many for thing in things if thing.many != thing.one}
    singular = {thing.one for thing in things} - {"goldfish"}
    for problem in drawn(3000, distractors=3, max_number=10):
        for number, word in re.findall(
            r"(?<![\d./$-])(\d+) ([a-z]+(?: (?:car|clip|toy|pot|tree|bush|plant)s?)?)", problem.prompt
        ):
            if number == "1":
                assert word not in many, problem.prompt
            else:
                assert word not in singular or f"{number} {word} and" in problem.prompt, problem.prompt
        assert not re.search(r"\ba [aeio]\w|\ban (?!hour)[^aeiou\W]", problem.prompt), problem.prompt
        assert not re.search(r"\b(are|is) (are|is)\b|  |\{|\}| \.|\bNone\b", problem.prompt), problem.prompt


def test_words_follow_the_rules_of_spelling():
    assert [noun(word).many for word in ("peach", "box", "cherry", "toy", "brush", "leaf/leaves")] == [
        "peaches", "boxes", "cherries", "toys", "brushes", "leaves",
    ]  # fmt: skip
    assert (noun("apple").a, noun("pen").a) == ("an apple", "a pen")
    assert (count(1, noun("bus")), count(0, noun("bus"))) == ("1 bus", "0 buses")
    assert listed(["Ann"]) == "Ann"
    assert listed(["Ann", "Ben", "Cy"]) == "Ann, Ben and Cy"


def test_stories_with_the_same_sums_share_a_split_whatever_they_tell():
    source = WordProblemSource(max_steps=1, max_number=10, held_out_fraction=0.5)
    splits: dict[tuple[str, ...], set[str]] = {}
    rng = np.random.default_rng(0)
    for number in range(3000):
        problem = source.sample(rng, "train" if number % 2 else "held_out")
        sums = [re.split(r"([-+*/])", step["expression"]) for step in problem.task["steps"]]
        key = tuple("".join(sorted((a, b)) if sign in "+*" else (a, b)) + sign for a, sign, b in sums)
        splits.setdefault(key, set()).add(problem.split)
    assert max(Counter(map(len, splits.values()))) == 1


def test_distractors_change_neither_working_nor_answer_and_say_each_thing_once():
    numbers = set()
    for problem in drawn(400, distractors=3, max_steps=2):
        sentences = re.split(r"(?<=[.?]) ", problem.prompt.splitlines()[0])
        assert len(sentences) == len(set(sentences))
        numbers.add(len(sentences))
    assert max(numbers) >= 6


def test_difficulty_grows_with_the_steps():
    means = [np.mean([p.difficulty for p in drawn(300, min_steps=n, max_steps=n)]) for n in (1, 2, 3, 4)]
    assert means == sorted(means)
    assert means[0] < 0.35 < 0.65 < means[3]


def test_money_has_cents_and_answers_to_the_cent():
    for problem in drawn(200, numbers=["money"]):
        assert re.fullmatch(r"\d+(\.\d\d)?", problem.task["gold"])
        amounts = re.findall(r"\$\d+(?:\.\d\d)?(?!\d)", problem.prompt)
        assert amounts
        assert re.search(r"\.\d\d", problem.prompt + problem.demonstration)


def test_parameters_that_leave_no_template_are_refused():
    with pytest.raises(
        UserError, match=r"templates must leave at least one template with numbers=\['money'\] and 4\.\.4 steps"
    ):
        WordProblemSource(numbers=["money"], min_steps=4)
    with pytest.raises(UserError, match=r"templates must be one of .*, got 'stair'; did you mean 'stairs'\?"):
        WordProblemSource(templates=["stair"])
    with pytest.raises(UserError, match="min_steps must be <= max_steps=2, got 3"):
        WordProblemSource(min_steps=3, max_steps=2)
