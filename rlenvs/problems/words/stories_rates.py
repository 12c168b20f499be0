"""Stories about time, distance, work, age and space."""

from rlenvs.problems.words.grammar import BAKED, GOODS, SHOP_ITEMS, count, nouns
from rlenvs.problems.words.teller import Story, Teller, Working, template

PAGE, KILOMETRE, LITRE, POINT = nouns("page, kilometre, litre, point")
GIRL, BOY = nouns("girl, boy")
INGREDIENTS = nouns("egg, cup, spoon, tomato/tomatoes, potato/potatoes")


@template(2, 3)
def book_pages(t: Teller) -> Story:
    """Reading at a steady pace."""
    who, work = t.person(), Working()
    pace, days = t.number(4, 40), t.number(2, 14)
    read = work.whole("Pages read", pace, "*", days)
    left = t.number(5, 2 * t.limit)
    total = read + left
    facts = [
        f"{who.name} is reading a book of {total} pages.",
        t.pick(
            f"{who.name} reads {pace} pages a day for {days} days.",
            f"For {days} days {who.name} reads {pace} pages every day.",
        ),
    ]
    if t.steps == 2:
        return Story(facts, "How many pages are left to read?", work, work.whole("Pages left", total, "-", read))
    more = t.number(1, left)
    facts.append(f"On the day after that {who.name} reads {count(more, PAGE)}.")
    left = work.whole("Pages left", work.whole("After the first days", total, "-", read), "-", more)
    return Story(facts, f"How many pages of the book has {who.name} still not read?", work, left)


@template(2, 3)
def two_workers(t: Teller) -> Story:
    """Two people make things side by side."""
    one, two, thing, work = t.person(), t.person(), t.fresh(GOODS), Working()
    first, second, hours = t.number(2, 15), t.number(2, 15), t.number(2, 10)
    together = work.whole("Together in an hour", first, "+", second)
    made = work.whole("In all hours", together, "*", hours)
    facts = [
        f"{one.name} makes {count(first, thing)} an hour.",
        f"{two.name} makes {count(second, thing)} an hour.",
        f"Both work for {hours} hours.",
    ]
    if t.steps == 2:
        return Story(facts, f"How many {thing.many} do they make in all?", work, made)
    sold = t.number(2, made - 1)
    facts.append(f"They sell {sold} of the {thing.many} the same evening.")
    return Story(facts, f"How many {thing.many} are left?", work, work.whole("Left", made, "-", sold))


@template(2, 3)
def ages(t: Teller) -> Story:
    """How old people are, and will be."""
    one, two, work = t.person(), t.person(), Working()
    age, gap, years = t.number(5, 40), t.number(2, 30), t.number(2, 20)
    facts = [
        f"{one.name} is {age} years old.",
        t.pick(
            f"{two.name} is {gap} years older than {one.name}.",
            f"{one.name} is {gap} years younger than {two.name}.",
        ),
    ]
    second = work.whole(f"{two.name} now", age, "+", gap)
    if t.steps == 2:
        later = work.whole(f"{two.name} then", second, "+", years)
        return Story(facts, f"How old will {two.name} be in {years} years?", work, later, free_order=True)
    both = work.whole("Both now", age, "+", second)
    later = work.whole("Both then", both, "+", 2 * years)
    question = f"How old will {one.name} and {two.name} be together in {years} years?"
    return Story(facts, question, work, later, free_order=True)


@template(2, 3)
def fence(t: Teller) -> Story:
    """Once around a rectangle."""
    who, work = t.person(), Working()
    length, width = t.number(3, t.limit), t.number(2, t.limit)
    place = t.pick("garden", "field", "playground", "yard", "meadow")
    half = work.whole("Length and width", length, "+", width)
    around = work.whole("All around", half, "*", 2)
    facts = [
        t.pick(
            f"{who.name} has a rectangular {place} that is {length} metres long and {width} metres wide.",
            f"The rectangular {place} of {who.name} measures {length} by {width} metres.",
        )
    ]
    if t.steps == 2:
        question = t.pick("How many metres of fence go around it?", f"What is the perimeter of the {place} in metres?")
        return Story(facts, question, work, around)
    price = t.number(2, 20)
    facts.append(f"A metre of fence costs ${price}.")
    cost = work.whole("Cost", around, "*", price)
    return Story(facts, f"What does a fence around the whole {place} cost, in dollars?", work, cost)


@template(1, 2)
def floor_tiles(t: Teller) -> Story:
    """A floor covered with tiles."""
    who, work = t.person(), Working()
    length, width, boxes = t.number(3, 20), t.number(2, 15), t.number(2, 9)
    room = t.pick("kitchen", "hall", "bathroom", "terrace", "workshop")
    area = work.whole("Area", length, "*", width)
    facts = [f"The floor of the {room} of {who.name} is {length} metres long and {width} metres wide."]
    if t.steps == 1:
        return Story(facts, "What is its area in square metres?", work, area)
    facts.append(f"{who.name} covers it with tiles, {boxes} to the square metre.")
    return Story(facts, "How many tiles are needed?", work, work.whole("Tiles", area, "*", boxes))


@template(3)
def two_legs(t: Teller) -> Story:
    """A journey at two speeds."""
    who, work = t.person(), Working()
    fast, slow = t.number(20, 100), t.number(4, 18)
    first, second = t.number(2, 8), t.number(2, 6)
    vehicle = t.pick("by train", "by car", "by bus")
    facts = [
        t.pick(
            f"{who.name} travels {vehicle} for {first} hours at {fast} kilometres per hour.",
            f"For {first} hours {who.name} travels {vehicle}, at {fast} kilometres per hour.",
        ),
        f"After that {who.name} cycles for {second} hours at {slow} kilometres per hour.",
    ]
    ride = work.whole("First part", fast, "*", first)
    cycled = work.whole("Second part", slow, "*", second)
    question = t.pick("How many kilometres is that in all?", f"How far does {who.name} travel, in kilometres?")
    return Story(facts, question, work, work.whole("In all", ride, "+", cycled))


@template(2, 3)
def commuting(t: Teller) -> Story:
    """There and back again, day after day."""
    who, work = t.person(), Working()
    distance, days = t.number(2, t.limit), t.number(2, 20)
    goal = t.pick("work", "school", "the market", "the swimming pool")
    facts = [
        f"It is {count(distance, KILOMETRE)} from the home of {who.name} to {goal}.",
        f"{who.name} goes there and back on {days} days of the month.",
    ]
    daily = work.whole("There and back", distance, "*", 2)
    total = work.whole("On all days", daily, "*", days)
    if t.steps == 2:
        return Story(facts, "How many kilometres does that come to in the month?", work, total, free_order=True)
    extra = t.number(5, 2 * t.limit)
    facts.append(f"In the same month {who.name} also makes a trip of {extra} kilometres.")
    total = work.whole("With the trip", total, "+", extra)
    return Story(facts, f"How many kilometres does {who.name} cover in the month?", work, total)


@template(2, 3, 4)
def bus_stops(t: Teller) -> Story:
    """People get on and off."""
    work = Working()
    riders = t.number(5, t.limit)
    vehicle = t.pick("bus", "tram", "ferry", "cable car")
    facts = [f"A {vehicle} leaves with {riders} passengers."]
    stop = 0
    while len(work.steps) < t.steps:
        stop += 1
        later = t.pick("At the next stop", "A little later", f"At stop number {stop}")
        where = later if stop > 1 else "At the first stop"
        off = t.number(1, riders - 1) if riders > 2 else 0
        on = t.number(2, t.limit)
        if off and (t.steps - len(work.steps) >= 2 or t.dice.random() < 0.5):
            facts.append(f"{where}, {off} {'passenger gets' if off == 1 else 'passengers get'} off.")
            riders = work.whole("On board", riders, "-", off)
        else:
            facts.append(f"{where}, {on} passengers get on.")
            riders = work.whole("On board", riders, "+", on)
    return Story(facts, f"How many passengers are on the {vehicle} then?", work, riders)


@template(2)
def recipe(t: Teller) -> Story:
    """A recipe for more people than it was written for."""
    who, work = t.person(), Working()
    people, times, amount = t.number(2, 6), t.number(2, 8), t.number(1, 9)
    thing = t.dice.choice(INGREDIENTS)
    what = f" of {t.pick('flour', 'sugar', 'oats')}" if thing.one in ("cup", "spoon") else ""
    guests = people * times
    facts = [
        f"A recipe for {people} people needs {count(amount, thing)}{what}.",
        t.pick(f"{who.name} cooks it for {guests} people.", f"{who.name} expects {guests} people for dinner."),
    ]
    scale = work.whole("Times the recipe", guests, "/", people)
    need = work.whole("Needed", amount, "*", scale)
    return Story(facts, f"How many {thing.many}{what} does {who.name} need for them?", work, need)


@template(3, 4)
def mean_score(t: Teller) -> Story:
    """The mean of three or four numbers."""
    who, work = t.person(), Working()
    scores = [t.number(2, t.limit) for _ in range(t.steps)]
    scores[-1] += -sum(scores) % len(scores)
    event = t.pick("games", "tests", "rounds", "matches")
    facts = [f"In {len(scores)} {event} {who.name} scores {', '.join(map(str, scores[:-1]))} and {scores[-1]} points."]
    total = scores[0]
    for number, score in enumerate(scores[1:], start=2):
        total = work.whole(f"After the {('second', 'third', 'fourth')[number - 2]}", total, "+", score)
    mean = work.whole("Mean", total, "/", len(scores))
    return Story(facts, f"What is the mean of these {event} in points?", work, mean)


@template(2, 3)
def tank(t: Teller) -> Story:
    """Water runs in and out."""
    who, work = t.person(), Working()
    minutes, rate = t.number(3, 30), t.number(5, 40)
    leak = t.number(1, rate - 2)
    vessel = t.pick("tank", "pool", "barrel", "pond")
    facts = [
        f"{count(rate, LITRE).capitalize()} of water run into the {vessel} of {who.name} every minute.",
        f"At the same time {count(leak, LITRE)} {'leaks' if leak == 1 else 'leak'} out of it every minute.",
    ]
    gain = work.whole("Gained in a minute", rate, "-", leak)
    total = work.whole("Gained in all", gain, "*", minutes)
    if t.steps == 2:
        facts.append(f"The {vessel} is empty at first.")
        return Story(facts, f"How many litres are in the {vessel} after {minutes} minutes?", work, total)
    start = t.number(5, 2 * t.limit)
    facts.insert(0, f"The {vessel} of {who.name} holds {start} litres of water.")
    facts[1] = f"Every minute {rate} litres run into it."
    total = work.whole("In the end", start, "+", total)
    return Story(facts, f"How many litres are in it after {minutes} minutes?", work, total)


@template(2, 3)
def theatre(t: Teller) -> Story:
    """Seats in rows, some of them taken."""
    who, work = t.person(), Working()
    rows, seats = t.number(4, 25), t.number(5, 30)
    total = work.whole("Seats", rows, "*", seats)
    sold = t.number(2, total - 2)
    place = t.pick("theatre", "cinema", "concert hall", "lecture hall")
    facts = [f"The {place} where {who.name} works has {rows} rows with {seats} seats each.", f"{sold} seats are taken."]
    left = work.whole("Free", total, "-", sold)
    if t.steps == 2:
        return Story(facts, "How many seats are free?", work, left)
    come = t.number(1, left)
    facts.append(f"Then {come} more {'person comes and sits' if come == 1 else 'people come and sit'} down.")
    return Story(facts, "How many seats are free now?", work, work.whole("Still free", left, "-", come))


@template(3, 4)
def legs(t: Teller) -> Story:
    """Legs of animals."""
    who, work = t.person(), Working()
    four, two = t.dice.choice(["cows", "sheep", "goats", "horses"]), t.dice.choice(["hens", "ducks", "geese"])
    a, b, gone = t.number(2, t.limit // 2), t.number(2, t.limit // 2), 0
    facts = [f"On the farm of {who.name} there are {a} {four} and {b} {two}."]
    kept = a
    if t.steps == 4:
        gone = t.number(1, a - 1)
        facts.append(f"{who.name} sells {gone} of the {four}.")
        kept = work.whole(f"{four.capitalize()} left", a, "-", gone)
    first = work.whole(f"Legs of the {four}", kept, "*", 4)
    second = work.whole(f"Legs of the {two}", b, "*", 2)
    now = " now" if gone else ""
    question = f"How many legs do these animals have{now} in all?"
    return Story(facts, question, work, work.whole("All legs", first, "+", second))


@template(3, 4)
def basketball(t: Teller) -> Story:
    """Points of two kinds."""
    who, work = t.person(), Working()
    twos, threes = t.number(2, 20), t.number(2, 15)
    facts = [
        t.pick(
            f"{who.name} makes {twos} baskets of 2 points and {threes} baskets of 3 points.",
            f"In a season {who.name} throws {threes} baskets worth 3 points and {twos} worth 2 points.",
        )
    ]
    first = work.whole("From the small baskets", twos, "*", 2)
    second = work.whole("From the large baskets", threes, "*", 3)
    total = work.whole("Together", first, "+", second)
    if t.steps == 4:
        free = t.number(1, 20)
        facts.append(f"On top of that come {count(free, POINT)} from free throws.")
        total = work.whole("With the free throws", total, "+", free)
    return Story(facts, f"How many points does {who.name} score?", work, total)


@template(2, 3)
def teams(t: Teller) -> Story:
    """A class is divided into teams."""
    who, work = t.person(), Working()
    teams_, size = t.number(2, 8), t.number(2, 9)
    total = teams_ * size
    girls = t.number(1, total - 1)
    boys = total - girls
    event = t.pick("birthday party", "sports day", "summer camp")
    facts = [f"{count(girls, GIRL)} and {count(boys, BOY)} come to the {event} of {who.name}."]
    players = work.whole("Children", girls, "+", boys)
    if t.steps == 2:
        facts.append(f"They form {teams_} teams of equal size.")
        each = work.whole("In each team", players, "/", teams_)
        return Story(facts, "How many children are in each team?", work, each)
    balls = t.number(2, 5)
    facts.append(f"They form teams of {size}, and every team gets {balls} balls.")
    number = work.whole("Teams", players, "/", size)
    return Story(facts, "How many balls do they get in all?", work, work.whole("Balls", number, "*", balls))


@template(2)
def stairs(t: Teller) -> Story:
    """Floors, steps, and how often."""
    who, work = t.person(), Working()
    floors, steps_, times = t.number(2, 12), t.number(8, 24), t.number(2, 9)
    facts = [
        f"There are {floors} flights of stairs up to the flat of {who.name}, with {steps_} steps each.",
        f"{who.name} climbs them {times} times a day.",
    ]
    once = work.whole("Once up", floors, "*", steps_)
    return Story(facts, "How many steps up is that a day?", work, work.whole("In a day", once, "*", times))


@template(3, 4)
def growing_days(t: Teller) -> Story:
    """Every day a few more than the day before."""
    who, thing, work = t.person(), t.fresh(BAKED), Working()
    start, gap = t.number(2, t.limit // 2), t.number(1, 12)
    first, second = "Monday", "Tuesday"
    facts = [
        f"On {first} {who.name} bakes {count(start, thing)}.",
        f"On {second} {who.name} bakes {gap} more than on {first}.",
    ]
    tuesday = work.whole(second, start, "+", gap)
    if t.steps == 3:
        half = work.whole("Both days", start, "+", tuesday)
        sold = t.number(1, half - 1)
        facts.append(f"{sold} of them {'is' if sold == 1 else 'are'} sold by Wednesday.")
        return Story(facts, f"How many {thing.many} are left?", work, work.whole("Left", half, "-", sold))
    facts.append(f"On Wednesday {who.name} bakes {gap} more than on {second}.")
    wednesday = work.whole("Wednesday", tuesday, "+", gap)
    half = work.whole("The first two days", start, "+", tuesday)
    total = work.whole("All three days", half, "+", wednesday)
    return Story(facts, f"How many {thing.many} does {who.name} bake on these three days?", work, total)


@template(2, 3)
def machine(t: Teller) -> Story:
    """A machine that runs for hours."""
    thing, work = t.fresh(SHOP_ITEMS), Working()
    rate, hours = t.number(2, 25), t.number(2, 9)
    minutes = work.whole("Minutes", hours, "*", 60)
    made = work.whole("Made", rate, "*", minutes)
    facts = [f"A machine makes {count(rate, thing)} a minute.", f"It runs for {hours} hours."]
    if t.steps == 2:
        return Story(facts, f"How many {thing.many} does it make in that time?", work, made, free_order=True)
    bad = t.number(2, t.limit)
    facts.append(f"{bad} of the {thing.many} are thrown away, because they have faults.")
    return Story(facts, f"How many good {thing.many} remain?", work, work.whole("Good ones", made, "-", bad))
