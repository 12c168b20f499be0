"""Stories about prices, fractions and percentages."""

from fractions import Fraction

from rlenvs.problems.words.grammar import BIG_ITEMS, SHOP_ITEMS, count
from rlenvs.problems.words.teller import Story, Teller, Working, dollars, template

PART_NAMES = {
    Fraction(1, 2): "half",
    Fraction(1, 3): "a third",
    Fraction(2, 3): "two thirds",
    Fraction(1, 4): "a quarter",
    Fraction(3, 4): "three quarters",
    Fraction(1, 5): "a fifth",
    Fraction(2, 5): "two fifths",
    Fraction(3, 5): "three fifths",
    Fraction(1, 6): "a sixth",
}
GROUPS = (
    ("pupils at a school", "come by bike", "do not come by bike"),
    ("visitors at a fair", "are children", "are not children"),
    ("trees in a park", "are oaks", "are not oaks"),
    ("books in a library", "are novels", "are not novels"),
    ("cars in a street", "are red", "are not red"),
    ("passengers on a ship", "speak French", "do not speak French"),
    ("houses in a village", "have a garden", "have no garden"),
    ("workers in a factory", "work at night", "do not work at night"),
)
"""A group, what is true of some of it, and the opposite."""
GROWING = (
    ("A village", "inhabitants"),
    ("A club", "members"),
    ("A library", "books"),
    ("A newspaper", "readers"),
    ("A choir", "singers"),
    ("A farm", "sheep"),
    ("A museum", "paintings"),
    ("A company", "workers"),
)
TRIES = (
    ("questions of a quiz", "answers", " correctly"),
    ("shots at the goal", "scores with", ""),
    ("words in a test", "knows", ""),
    ("puzzles in a book", "solves", ""),
)
PERCENTAGES = (5, 10, 15, 20, 25, 30, 40, 50, 60, 75, 80)


def part(t: Teller) -> tuple[Fraction, str]:
    """A fraction, and how it is said: in words or in digits."""
    share = t.dice.choice(tuple(PART_NAMES))
    return share, PART_NAMES[share] if t.dice.random() < 0.6 else str(share)


def cents(t: Teller, low: int, high: int) -> Fraction:
    """An amount that ends in a multiple of five cents, and not in whole dollars."""
    return Fraction(t.dice.randint(low, high) * 20 + t.dice.randint(1, 19), 20)


@template(2)
def saving(t: Teller) -> Story:
    """Saving up for something."""
    who, thing, work = t.person(), t.fresh(BIG_ITEMS), Working()
    weekly, weeks, start = t.number(3, 40), t.number(2, 20), t.number(2, t.limit)
    price = start + weekly * weeks
    facts = [
        f"{who.name} wants {thing.a} that costs ${price}.",
        f"{who.name} has ${start} already.",
        t.pick(f"Every week {who.name} saves ${weekly}.", f"{who.name} puts aside ${weekly} a week."),
    ]
    missing = work.whole("Still missing", price, "-", start)
    need = work.whole("Weeks", missing, "/", weekly)
    question = f"After how many weeks does {who.name} have the money for the {thing.one}?"
    return Story(facts, question, work, need, free_order=True)


@template(3)
def tickets(t: Teller) -> Story:
    """Tickets at two prices."""
    who, work = t.person(), Working()
    adults, children = t.number(2, 9), t.number(2, 12)
    full, reduced = t.number(8, 40), t.number(2, 7)
    place = t.pick("zoo", "museum", "circus", "swimming pool", "cinema")
    facts = [
        f"A ticket for the {place} costs ${full} for adults and ${reduced} for children.",
        f"{who.name} buys tickets for {adults} adults and {children} children.",
    ]
    first = work.whole("Adults", adults, "*", full)
    second = work.whole("Children", children, "*", reduced)
    question = t.pick("How many dollars is that in all?", f"How much does {who.name} pay, in dollars?")
    return Story(facts, question, work, work.whole("In all", first, "+", second))


@template(2, 3, 4)
def change(t: Teller) -> Story:
    """Shopping with a banknote."""
    who, work = t.person(), Working()
    things = [t.fresh(SHOP_ITEMS), t.fresh(SHOP_ITEMS)]
    numbers, prices = [t.number(2, 6), t.number(2, 5)], [t.number(2, 12), t.number(2, 9)]
    facts = [f"{who.name} buys {count(numbers[0], things[0])} at ${prices[0]} each."]
    total = work.whole(things[0].many.capitalize(), numbers[0], "*", prices[0])
    if t.steps >= 3:
        if t.steps == 4:
            facts.append(f"{who.name} also buys {count(numbers[1], things[1])} at ${prices[1]} each.")
            more = work.whole(things[1].many.capitalize(), numbers[1], "*", prices[1])
        else:
            more = prices[1]
            facts.append(f"{who.name} also buys {things[1].a} for ${more}.")
        total = work.whole("Together", total, "+", more)
    note = next(note for note in (20, 50, 100, 200) if note > total)
    facts.append(t.pick(f"{who.name} pays with ${note}.", f"At the till, {who.name} hands over ${note}."))
    question = f"How many dollars does {who.name} get back?"
    return Story(facts, question, work, work.whole("Change", note, "-", total))


@template(2)
def fuel(t: Teller) -> Story:
    """What a journey costs in fuel."""
    who, work = t.person(), Working()
    reach, litres, price = t.number(8, 25), t.number(2, 30), t.number(2, 5)
    facts = [
        f"The car of {who.name} goes {reach} kilometres on a litre of fuel.",
        f"A litre costs ${price}.",
        f"{who.name} drives {reach * litres} kilometres.",
    ]
    used = work.whole("Litres", reach * litres, "/", reach)
    cost = work.whole("Cost", used, "*", price)
    return Story(facts, "What does the fuel for the journey cost, in dollars?", work, cost, free_order=True)


@template(3, 4)
def stall(t: Teller) -> Story:
    """Profit of a stall."""
    who, thing, work = t.person(), t.fresh(SHOP_ITEMS), Working()
    number, price = t.number(5, 40), t.number(4, 15)
    cost = t.number(1, price - 1)
    facts = [
        f"{who.name} buys {count(number, thing)} for ${cost} each.",
        f"On the market {who.name} sells all of them for ${price} each.",
    ]
    paid = work.whole("Paid", number, "*", cost)
    got = work.whole("Earned", number, "*", price)
    profit = work.whole("Profit", got, "-", paid)
    if t.steps == 4 and profit > 1:
        fee = t.number(1, profit - 1)
        facts.append(f"The place on the market costs ${fee}.")
        profit = work.whole("After the fee", profit, "-", fee)
    return Story(facts, f"How many dollars of profit does {who.name} make?", work, profit)


@template(2, 3, kind="fraction")
def part_given(t: Teller) -> Story:
    """A fraction of a number goes away."""
    one, two, item, work = t.person(), t.person(), t.item(), Working()
    share, said = part(t)
    total = share.denominator * t.number(2, max(2, t.limit // share.denominator))
    facts = [
        f"{one.name} has {count(total, item)}.",
        t.pick(
            f"{one.name} gives {said} of them to {two.name}.",
            f"{two.name} gets {said} of the {item.many} from {one.name}.",
        ),
    ]
    given = work.whole(f"For {two.name}", total, "*", share)
    left = work.whole("Left", total, "-", given)
    if t.steps == 3:
        new = t.number(2, t.limit)
        facts.append(f"Later {one.name} finds {new} more {item.of(new)}.")
        left = work.whole("With the new ones", left, "+", new)
    return Story(facts, f"How many {item.many} does {one.name} have then?", work, left)


@template(4, kind="fraction")
def part_of_the_rest(t: Teller) -> Story:
    """A fraction, and then a fraction of what is left."""
    who, work = t.person(), Working()
    (first, said), (second, then) = part(t), part(t)
    unit = first.denominator * second.denominator
    total = unit * t.number(1, max(1, t.limit // unit))
    what = t.pick("savings", "prize", "wages")
    facts = [
        f"The {what} of {who.name} {'is' if what == 'prize' else 'are'} ${total}.",
        f"{who.name} spends {said} of that on books.",
        f"{who.name} spends {then} of the rest on food.",
    ]
    books = work.whole("Books", total, "*", first)
    rest = work.whole("Rest", total, "-", books)
    food = work.whole("Food", rest, "*", second)
    return Story(facts, "How many dollars are left?", work, work.whole("Left", rest, "-", food))


@template(1, 2, kind="fraction")
def part_full(t: Teller) -> Story:
    """A vessel that is filled in part."""
    work = Working()
    share, said = part(t)
    total = share.denominator * t.number(2, max(2, t.limit // share.denominator))
    vessel = t.pick("tank", "barrel", "pool", "cistern")
    facts = [
        t.pick(
            f"A {vessel} for {total} litres is filled to {said}.",
            f"{said.capitalize()} of a {vessel} that holds {total} litres is full of water.",
        )
    ]
    held = work.whole("In it", total, "*", share)
    if t.steps == 1:
        return Story(facts, f"How many litres are in the {vessel}?", work, held)
    question = f"How many litres still fit into the {vessel}?"
    return Story(facts, question, work, work.whole("Missing", total, "-", held))


@template(2, 3, kind="fraction")
def pieces(t: Teller) -> Story:
    """Parts of a whole whose sum is asked."""
    one, two, work = t.person(), t.person(), Working()
    base = t.dice.choice([6, 8, 10, 12])
    first, second = t.dice.randint(1, base // 2 - 1), t.dice.randint(1, base // 2 - 1)
    what = t.pick("pizza", "cake", "pie", "loaf of bread")
    a, b = Fraction(first, base), Fraction(second, base)
    facts = [f"{one.name} eats {a} of a {what}.", f"{two.name} eats {b} of the same {what}."]
    eaten = work.do("Eaten", a, "+", b)
    left = work.do("Left", 1, "-", eaten)
    if t.steps == 2:
        return Story(facts, f"What fraction of the {what} is left?", work, left, free_order=True)
    facts.append(f"They give half of what is left to the dog of {one.name}.")
    dog = work.do("For the dog", left, "*", Fraction(1, 2))
    return Story(facts, f"What fraction of the {what} does the dog get?", work, dog)


@template(2, 3, kind="percent")
def discount(t: Teller) -> Story:
    """A price is reduced."""
    who, thing, work = t.person(), t.fresh(BIG_ITEMS), Working()
    rate = t.dice.choice(PERCENTAGES)
    price = 20 * t.number(1, max(1, t.limit // 10))
    facts = [
        f"{thing.a.capitalize()} costs ${price}.",
        t.pick(f"In the sale it is {rate}% cheaper.", f"{who.name} gets a discount of {rate}% on it."),
    ]
    off = work.whole("Discount", price, "*", Fraction(rate, 100))
    paid = work.whole("Reduced price", price, "-", off)
    if t.steps == 2:
        return Story(facts, f"What does {who.name} pay for it, in dollars?", work, paid)
    fee = t.number(2, 20)
    facts.append(f"{who.name} has it delivered for another ${fee}.")
    return Story(facts, f"What does {who.name} pay in all, in dollars?", work, work.whole("In all", paid, "+", fee))


@template(1, 2, kind="percent")
def percent_of(t: Teller) -> Story:
    """A percentage of a group."""
    work = Working()
    rate = t.dice.choice(PERCENTAGES)
    total = 20 * t.number(1, max(1, t.limit // 10))
    (group, does, negated) = t.dice.choice(GROUPS)
    facts = [t.pick(f"There are {total} {group}.", f"Somebody counts {total} {group}."), f"{rate}% of them {does}."]
    number = work.whole("That is", total, "*", Fraction(rate, 100))
    if t.steps == 1:
        return Story(facts, f"How many of them {does}?", work, number)
    return Story(facts, f"How many of them {negated}?", work, work.whole("The others", total, "-", number))


@template(2, kind="percent")
def growth(t: Teller) -> Story:
    """Something grows by a percentage."""
    work = Working()
    rate = t.dice.choice(PERCENTAGES)
    total = 20 * t.number(1, max(1, t.limit // 10))
    what, unit = t.dice.choice(GROWING)
    facts = [
        f"{what} has {total} {unit}.",
        t.pick(
            f"Over the years, the number of {unit} grows by {rate}%.",
            f"Ten years on, there are {rate}% more {unit}.",
            f"In the years after that, {rate}% more {unit} are added.",
        ),
    ]
    more = work.whole("New", total, "*", Fraction(rate, 100))
    return Story(facts, f"How many {unit} are there after that?", work, work.whole("After that", total, "+", more))


@template(2, kind="percent")
def what_percent(t: Teller) -> Story:
    """Which percentage one number is of another."""
    who, work = t.person(), Working()
    rate = t.dice.choice(PERCENTAGES)
    total = 20 * t.number(1, max(1, t.limit // 20))
    hits = total * rate // 100
    what, verb, how = t.dice.choice(TRIES)
    facts = [f"Of {total} {what}, {who.name} {verb} {hits}{how}."]
    share = work.do("Share", hits, "/", total)
    percent = work.whole("In percent", share, "*", 100)
    return Story(facts, "What percentage is that?", work, percent)


@template(3, kind="money")
def two_prices(t: Teller) -> Story:
    """Two kinds of goods at prices in cents."""
    who, first, second, work = t.person(), t.fresh(SHOP_ITEMS), t.fresh(SHOP_ITEMS), Working(money=True)
    numbers, prices = [t.number(2, 9), t.number(2, 6)], [cents(t, 0, 9), cents(t, 0, 5)]
    facts = [
        f"{first.a.capitalize()} costs {dollars(prices[0])} and {second.a} costs {dollars(prices[1])}.",
        f"{who.name} buys {count(numbers[0], first)} and {count(numbers[1], second)}.",
    ]
    one = work.do(first.many.capitalize(), numbers[0], "*", prices[0])
    two = work.do(second.many.capitalize(), numbers[1], "*", prices[1])
    question = t.pick("How many dollars is that in all?", f"How much does {who.name} pay, in dollars?")
    return Story(facts, question, work, work.do("In all", one, "+", two))


@template(2, kind="money")
def coins_back(t: Teller) -> Story:
    """Change in dollars and cents."""
    who, thing, work = t.person(), t.fresh(SHOP_ITEMS), Working(money=True)
    number, price = t.number(2, 6), cents(t, 0, 7)
    total = work.do("Price", number, "*", price)
    note = next(note for note in (5, 10, 20, 50, 100) if note > total)
    facts = [
        f"{who.name} buys {count(number, thing)} at {dollars(price)} each.",
        f"{who.name} pays with a note of ${note}.",
    ]
    question = f"How many dollars does {who.name} get back?"
    return Story(facts, question, work, work.do("Change", note, "-", total))


@template(1, 2, 3, kind="money")
def wages(t: Teller) -> Story:
    """Hours at an hourly wage."""
    who, work = t.person(), Working(money=True)
    hours, wage = t.number(2, 40), cents(t, 8, 25)
    job = t.pick("in a bakery", "in a library", "as a gardener", "at a ticket office", "on a farm")
    facts = [f"{who.name} works {job} and earns {dollars(wage)} an hour.", f"This week it is {hours} hours."]
    earned = work.do("Wages", hours, "*", wage)
    if t.steps >= 2:
        bonus = cents(t, 2, 30)
        facts.append(f"On top of that comes a bonus of {dollars(bonus)}.")
        earned = work.do("With the bonus", earned, "+", bonus)
    if t.steps == 3:
        ride = cents(t, 1, 9)
        facts.append(f"{who.name} spends {dollars(ride)} of it on bus tickets.")
        earned = work.do("After the bus", earned, "-", ride)
    left = "left of the week's money" if t.steps == 3 else "earned in the week"
    return Story(facts, f"How many dollars has {who.name} {left}?", work, earned)


@template(2, kind="money")
def split_bill(t: Teller) -> Story:
    """A bill that friends share."""
    who, work = t.person(), Working(money=True)
    people, each = t.number(2, 8), cents(t, 3, 30)
    total = people * each
    tip = Fraction(t.dice.randint(1, min(9, int(total) - 1)))
    place = t.pick("restaurant", "bar", "bowling alley", "pizzeria")
    facts = [
        f"{who.name} is one of {people} friends at a {place}. The bill is {dollars(total - tip)}.",
        f"They add a tip of {dollars(tip)} and share everything equally.",
    ]
    whole = work.do("With the tip", total - tip, "+", tip)
    return Story(facts, f"How many dollars does {who.name} pay?", work, work.do("Each", whole, "/", people))
