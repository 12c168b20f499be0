"""Subjects, forms and occasions: what prompts for free texts are made of."""

import random
from dataclasses import dataclass

SUBJECTS = (
    "a lighthouse", "the first snow of the year", "a night train", "an old map", "a market in the morning",
    "a broken clock",
    "a garden on a roof", "a lost letter", "the sound of rain", "a small bakery", "a river in flood", "a chess game",
    "a long walk", "an empty theatre", "a stubborn donkey", "a shared kitchen", "the smell of bread", "a telescope",
    "a power cut", "a new neighbour", "an island without cars", "a school in the mountains", "a borrowed bicycle",
    "the last day of summer", "a box of photographs", "a storm at sea", "a repair shop", "a family recipe",
    "a library at night", "a flock of geese", "a stone bridge", "a campfire", "a railway station", "a piano",
    "a frozen lake", "an apple orchard", "a football match", "a hot air balloon", "a hedgehog", "a wedding",
)  # fmt: skip
FORMS = (
    "a short story", "a poem", "a letter to a friend", "a diary entry", "a news report", "a speech", "a review",
    "a product description", "a dialogue", "a travel guide entry", "a blog post", "an encyclopedia entry",
    "a fairy tale", "a reminder",
)  # fmt: skip
MOODS = (
    "in a calm tone", "in a cheerful tone", "in plain words", "for children", "for an expert", "with a surprising end",
    "full of details", "in a formal style", "as if told by a friend", "without exaggeration",
)  # fmt: skip
FIELDS = (
    "how tides work", "why leaves change colour", "how a bicycle stays upright", "what yeast does in dough",
    "how vaccines protect people", "why the sky is blue", "how a compass finds north", "what inflation is",
    "how glass is made", "why we sleep", "how bees find their way", "what a budget is for", "how locks on a canal work",
    "why ice floats", "how an election works", "how earthquakes are measured", "what a fair contract is",
    "how to store bread", "how to read a weather map", "how to learn a language", "how to plan a small garden",
    "how to look after old books", "how to prepare for an interview", "how to settle an argument",
)  # fmt: skip
REQUESTS = ("Write {form} about {subject} {mood}.", "Please write {form} {mood}; its subject is {subject}.")
QUESTIONS = ("Explain {field} {mood}.", "A reader asks {field}. Answer {mood}.")


@dataclass(frozen=True, slots=True)
class Idea:
    """A prompt for a free text."""

    key: str
    """What it asks for, however it is worded."""
    text: str
    subject: str
    """What the text is about, as a noun phrase or a clause."""


def draw_idea(dice: random.Random) -> Idea:
    """Draw a prompt: a text to write, or a question to explain."""
    mood = dice.choice(MOODS)
    if dice.random() < 0.6:
        form, subject = dice.choice(FORMS), dice.choice(SUBJECTS)
        text = dice.choice(REQUESTS).format(form=form, subject=subject, mood=mood)
        return Idea(f"{form}|{subject}|{mood}", text, subject)
    field = dice.choice(FIELDS)
    return Idea(f"{field}|{mood}", dice.choice(QUESTIONS).format(field=field, mood=mood), field)


IDEAS = len(FORMS) * len(SUBJECTS) * len(MOODS) + len(FIELDS) * len(MOODS)
"""How many ideas there are."""
