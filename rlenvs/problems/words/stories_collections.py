"""Stories about what somebody has: a beginning, then things happen to it."""

from collections.abc import Sequence

from rlenvs.problems.words.grammar import CONTAINERS, PLANTS, Noun, Person, count, listed
from rlenvs.problems.words.teller import Story, Teller, Working, template

Told = tuple[str, int]


def gives_away(t: Teller, who: Person, item: Noun, held: int, work: Working) -> Told | None:
    """Some go to somebody else."""
    if held < 3:
        return None
    number, other = t.number(1, held - 1), t.person()
    fact = t.pick(
        f"{who.name} gives {count(number, item)} to {other.name}.",
        f"Then {other.name} gets {number} of the {item.many} from {who.name}.",
        f"{who.name} sells {count(number, item)} to {other.name}.",
    )
    return fact, work.whole(f"{who.name} keeps", held, "-", number)


def gets_more(t: Teller, who: Person, item: Noun, held: int, work: Working) -> Told | None:
    """Some are added."""
    number, other = t.number(2, t.limit), t.person()
    fact = t.pick(
        f"{other.name} gives {who.name} {number} more {item.of(number)}.",
        f"{who.name} finds another {count(number, item)}.",
        f"After that {who.name} buys {number} more {item.of(number)}.",
    )
    return fact, work.whole(f"With the new {item.many}", held, "+", number)


def multiplies(t: Teller, who: Person, item: Noun, held: int, work: Working) -> Told | None:
    """The collection grows to a multiple."""
    if held * 2 > 20 * t.limit or "a multiple" in t.used:
        return None
    t.used.add("a multiple")
    times = t.number(2, 4)
    words = {2: "twice", 3: "three times", 4: "four times"}[times]
    fact = t.pick(
        f"A year later {who.name} has {words} as many {item.many} as that.",
        f"By the end of the summer, {who.name} owns {words} as many.",
    )
    return fact, work.whole(f"{words.capitalize()} as many", held, "*", times)


def loses(t: Teller, who: Person, item: Noun, held: int, work: Working) -> Told | None:
    """Some are lost."""
    if held < 5:
        return None
    number = t.number(2, held // 2)
    fact = t.pick(
        f"On the way home {who.name} loses {count(number, item)}.",
        f"Unfortunately, {number} of the {item.many} get lost.",
    )
    return fact, work.whole("After the loss", held, "-", number)


EVENTS = (gives_away, gets_more, multiplies, loses)


def then(t: Teller, who: Person, item: Noun, held: int, work: Working, facts: list[str]) -> Story:
    """Let things happen until the story has its steps, and ask what is there in the end."""
    while len(work.steps) < t.steps:
        # The last step may be a division, which ends the story: the question is then about one part.
        parts = t.divisor(held)
        if len(work.steps) == t.steps - 1 and parts and t.dice.random() < 0.4:
            return shared(t, who, item, held, parts, work, facts)
        told = t.dice.choice(EVENTS)(t, who, item, held, work)
        if told is not None:
            facts.append(told[0])
            held = told[1]
    question = t.pick(
        f"How many {item.many} does {who.name} have now?",
        f"How many {item.many} does {who.name} have in the end?",
        f"What is the number of {item.many} that {who.name} has after all this?",
    )
    return Story(facts, question, work, held)


def shared(t: Teller, who: Person, item: Noun, held: int, parts: int, work: Working, facts: list[str]) -> Story:
    """Everything is put into equal parts."""
    box = t.fresh(CONTAINERS)
    form = t.dice.choice(["friends", "containers"])
    each = work.whole("In each part", held, "/", parts)
    if form == "friends":
        facts.append(f"{who.name} shares all the {item.many} equally among {parts} friends.")
        question = t.pick(f"How many {item.many} does each friend get?", f"How many {item.many} are there per friend?")
    else:
        facts.append(f"{who.name} puts all the {item.many} into {parts} new {box.many}, the same number into each.")
        question = f"How many {item.many} go into each of the new {box.many}?"
    return Story(facts, question, work, each)


@template(1, 2, 3, 4)
def equal_groups(t: Teller) -> Story:
    """Containers with the same number in each."""
    who, item, box, work = t.person(), t.item(), t.fresh(CONTAINERS), Working()
    boxes, each = t.number(2, 12), t.number(2, t.limit // 2)
    fact = t.pick(
        f"{who.name} has {boxes} {box.many} with {count(each, item)} in each.",
        f"There are {count(each, item)} in every {box.one}, and {who.name} has {boxes} {box.many}.",
        f"{who.name} fills {boxes} {box.many} with {count(each, item)} each and keeps them all.",
    )
    held = work.whole(f"In all the {box.many}", boxes, "*", each)
    return then(t, who, item, held, work, [fact])


@template(1, 2, 3, 4)
def two_sources(t: Teller) -> Story:
    """Some from here and some from there."""
    who, item, work = t.person(), t.item(), Working()
    first, second, day, later = t.number(2, t.limit), t.number(2, t.limit), t.day(), t.day()
    fact = t.pick(
        f"{who.name} collects {count(first, item)} on {day} and {second} more on {later}.",
        f"On {day} {who.name} buys {count(first, item)}, and on {later} another {second}.",
        f"{who.name} has {count(first, item)} in one pocket and {second} in the other.",
    )
    return then(t, who, item, work.whole("Together", first, "+", second), work, [fact])


@template(1, 2, 3, 4)
def gave_some(t: Teller) -> Story:
    """A number, less what goes away."""
    who, item, work = t.person(), t.item(), Working()
    held = t.number(5, 2 * t.limit)
    fact = t.pick(
        f"{who.name} has {count(held, item)}.",
        f"{who.name} starts with {count(held, item)}.",
        f"In a shop, {who.name} buys {count(held, item)}.",
    )
    told = gives_away(t, who, item, held, work)
    assert told is not None, "there are enough to give some away"
    return then(t, who, item, told[1], work, [fact, told[0]])


@template(1, 2, 3, 4)
def shelves_of(t: Teller) -> Story:
    """Rows of the same length."""
    who, item, work = t.person(), t.item(), Working()
    rows, each = t.number(2, 12), t.number(2, 25)
    fact = t.pick(
        f"{who.name} lays out {rows} rows of {count(each, item)} each.",
        f"On the floor {who.name} makes {rows} rows, with {count(each, item)} in a row.",
    )
    return then(t, who, item, work.whole("In all rows", rows, "*", each), work, [fact])


@template(2)
def more_than(t: Teller) -> Story:
    """One has more, or fewer, than the other."""
    one, two, item, work = t.person(), t.person(), t.item(), Working()
    first, gap = t.number(4, t.limit), t.number(2, t.limit)
    if gap < first and t.dice.random() < 0.5:
        fact = f"{two.name} has {gap} fewer {item.many} than {one.name}."
        second = work.whole(f"{two.name} has", first, "-", gap)
    else:
        fact = f"{two.name} has {gap} more {item.many} than {one.name}."
        second = work.whole(f"{two.name} has", first, "+", gap)
    total = work.whole("Together", first, "+", second)
    question = t.pick(
        f"How many {item.many} do {one.name} and {two.name} have together?",
        f"How many {item.many} do the two of them, {one.name} and {two.name}, have in total?",
    )
    return Story([f"{one.name} has {count(first, item)}.", fact], question, work, total, free_order=True)


@template(2, 3, 4)
def times_as_many(t: Teller) -> Story:
    """Multiples of what somebody else has, added up."""
    people, item, work = [t.person() for _ in range(3)], t.item(), Working()
    first, times = t.number(2, t.limit // 2), t.number(2, 6)
    facts = [
        f"{people[0].name} has {count(first, item)}.",
        f"{people[1].name} has {times} times as many {item.many} as {people[0].name}.",
    ]
    second = work.whole(f"{people[1].name} has", first, "*", times)
    if t.steps < 4:
        total = work.whole(f"{people[0].name} and {people[1].name} have", first, "+", second)
        if t.steps == 2:
            return told_together(t, people[:2], item, facts, work, total)
        extra = t.number(2, t.limit)
        facts.append(f"{people[2].name} has {count(extra, item)}.")
        total = work.whole("With the third", total, "+", extra)
        return told_together(t, people, item, facts, work, total)
    fewer = t.number(1, second - 1)
    facts.append(f"{people[2].name} has {fewer} fewer {item.many} than {people[1].name}.")
    third = work.whole(f"{people[2].name} has", second, "-", fewer)
    total = work.whole(f"{people[0].name} and {people[1].name} have", first, "+", second)
    return told_together(t, people, item, facts, work, work.whole("All three", total, "+", third))


def told_together(
    t: Teller, people: Sequence[Person], item: Noun, facts: Sequence[str], work: Working, total: int
) -> Story:
    """Ask for the total of some people."""
    names = listed([person.name for person in people])
    question = t.pick(
        f"How many {item.many} do {names} have altogether?",
        f"{names} put their {item.many} together. How many are there?",
    )
    return Story(facts, question, work, total, free_order=True)


@template(2, 3)
def garden_rows(t: Teller) -> Story:
    """Plants in rows, some of which do not make it."""
    who, plant, work = t.person(), t.fresh(PLANTS), Working()
    rows, each = t.number(3, 15), t.number(3, 20)
    planted = work.whole("Planted", rows, "*", each)
    lost = t.number(2, planted // 2)
    facts = [
        t.pick(
            f"{who.name} plants {rows} rows of {plant.many} with {each} in each row.",
            f"In the garden of {who.name} there are {rows} rows of {plant.many}, each with {each}.",
        ),
        t.pick(f"A storm destroys {lost} of them.", f"{lost} of the plants die in the winter."),
    ]
    left = work.whole("After that", planted, "-", lost)
    if t.steps == 3:
        new = t.number(2, t.limit)
        facts.append(f"In spring {who.name} plants {new} new {plant.many}.")
        left = work.whole("With the new ones", left, "+", new)
    return Story(facts, f"How many {plant.many} are in the garden then?", work, left)


@template(2)
def packed_leftover(t: Teller) -> Story:
    """What does not fit into full packs."""
    who, item, box, work = t.person(), t.item(), t.fresh(CONTAINERS), Working()
    packs, size = t.number(2, 12), t.number(3, 20)
    over = t.number(1, size - 1)
    total = packs * size + over
    facts = [
        f"{who.name} has {count(total, item)}.",
        t.pick(
            f"{size} of them fit into one {box.one}, and {who.name} fills {packs} {box.many}.",
            f"{who.name} packs {packs} {box.many} with {size} {item.many} each.",
        ),
    ]
    packed = work.whole("Packed", packs, "*", size)
    left = work.whole("Left over", total, "-", packed)
    return Story(facts, f"How many {item.many} are left over?", work, left)


@template(2, 3)
def colours(t: Teller) -> Story:
    """A whole of several parts, one of which is not told."""
    who, item, work = t.person(), t.item(), Working()
    first, second, third = t.dice.sample(["red", "blue", "green", "yellow", "white", "black"], 3)
    a, b, rest = t.number(2, t.limit), t.number(2, t.limit), t.number(2, t.limit)
    total = a + b + rest
    facts = [
        f"{who.name} has {count(total, item)} in three colours.",
        f"{a} of the {item.many} are {first} and {b} are {second}.",
    ]
    known = work.whole(f"{first.capitalize()} and {second}", a, "+", b)
    left = work.whole(third.capitalize(), total, "-", known)
    if t.steps == 2:
        return Story(facts, f"The rest are {third}. How many {item.many} are {third}?", work, left)
    gone = t.number(1, left)
    facts.append(f"The rest are {third}, and {gone} of those {third} ones {'is' if gone == 1 else 'are'} broken.")
    whole = work.whole("Not broken", left, "-", gone)
    return Story(facts, f"How many {third} {item.many} are not broken?", work, whole)
