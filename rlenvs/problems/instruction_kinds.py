"""Checkable instructions: how they are asked for, and how a text follows them.

The records are those of `rlenvs.wrappers.InstructionReward`, as plain data.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

KEYWORDS = ("window", "mirror", "promise", "lantern", "compass", "curtain", "harvest", "whisper", "marble", "ladder")
AVOIDABLE = ("very", "really", "amazing", "suddenly", "literally", "obviously", "basically", "nice", "huge", "never")
DOUBLED = {"k": "kick", "z": "zigzag", "v": "vivid", "f": "fluff", "p": "paper"}
"""Words with a letter twice."""
STARTS = ("Dear reader", "Once upon a time", "To begin with", "Listen closely", "As everyone knows")
ENDS = (
    "That is all for today.",
    "Is there anything else?",
    "The end.",
    "Thank you for reading.",
    "Make of that what you will.",
)
NAMES = ("name", "place", "date", "address", "title", "colour")
ADJECTIVES = ("bright", "still", "narrow", "patient", "rough", "familiar")
LOUD = ("LOOK", "LISTEN", "WAIT", "THINK", "ASK", "BREATHE")
SENTENCES = (
    "It begins quietly and without haste.",
    "Many people pass by and some of them stay.",
    "A small detail often says more than a long list.",
    "Nobody can say how it will end.",
    "There is always something left to notice.",
    "Patience helps more than talent does.",
    "The old and the new stand side by side.",
    "One question leads to the next.",
    "Those who look twice see twice as much.",
    "The work is simple but it takes time.",
    "A mistake along the way does little harm.",
    "In the evening the same place looks different.",
    "Good advice is short and clear.",
    "Every beginning asks for a little courage.",
    "The weather decides more than one would think.",
    "What remains is a quiet kind of joy.",
)
"""Sentences that fit anywhere, without commas, digits and the words of the lists above."""
ENOUGH = 4


@dataclass
class Demonstration:
    """A text in the making: which sentences it needs and how they are laid out."""

    needed: list[str] = field(default_factory=list)
    first: str = ""
    """How the text has to begin."""
    last: str = ""
    """How it has to end."""
    layout: str = "plain"
    parts: int = 0
    """Sentences, paragraphs, bullets or sections, by the layout."""
    min_words: int = 0
    title: str = ""
    postscript: str = ""
    quoted: bool = False
    case: str = ""

    def write(self, dice: random.Random) -> str:
        """The text."""
        opening = f"{self.first} there is something to tell." if self.first else "There is something to tell."
        closing = [self.last] if self.last else []
        body = [opening, *self.needed]
        pool = dice.sample(SENTENCES, len(SENTENCES))
        wanted = self.parts - len(closing) if self.layout == "sentences" else ENOUGH
        while len(body) < wanted or (self.layout != "sentences" and self._words(body) < self.min_words):
            body.append(pool[len(body) % len(pool)])
        text = self._laid_out(body, closing, pool)
        text = f"{self.title}\n{text}" if self.title else text
        text = f"{text}\n{self.postscript}" if self.postscript else text
        text = f'"{text}"' if self.quoted else text
        return {"lower": text.lower, "upper": text.upper}.get(self.case, text.__str__)()

    @staticmethod
    def _words(sentences: Sequence[str]) -> int:
        return sum(len(sentence.split()) for sentence in sentences)

    def _laid_out(self, body: list[str], closing: list[str], pool: Sequence[str]) -> str:
        if self.layout == "bullets":
            items = [f"- {pool[-1 - place]}" for place in range(self.parts)]
            return "\n".join([" ".join(body), "", *items, *([""] if closing else []), *closing])
        if self.layout == "paragraphs":
            share = -(-len(body) // self.parts)
            pieces = [body[start : start + share] for start in range(0, len(body), share)]
            while len(pieces) < self.parts:
                pieces.append([pool[-1 - len(pieces)]])
            pieces[-1] += closing
            return "\n\n".join(" ".join(piece) for piece in pieces)
        if self.layout == "sections":
            pieces = [[" ".join(body)], *([pool[-1 - place]] for place in range(self.parts - 1))]
            pieces[-1] += closing
            texts = [f"Section {number}\n{' '.join(piece)}" for number, piece in enumerate(pieces, start=1)]
            # The opening comes first, so that a text can begin as it is told to.
            return "\n\n".join([body[0], *texts]) if self.first else "\n\n".join(texts)
        return " ".join([*body, *closing])


Asked = tuple[dict[str, Any], str]
"""An instruction as a record, and in words."""


def some(dice: random.Random, low: int, high: int) -> tuple[int, str]:
    """A number of things that is never one, and the number as a text."""
    number = dice.randint(low, high)
    return number, str(number)


def at_most_words(dice: random.Random, text: Demonstration) -> Asked:
    """No longer than that."""
    count = 10 * dice.randint(12, 30)
    said = dice.choice([f"Use at most {count} words.", f"Stay within {count} words."])
    return {"type": "number_of_words", "relation": "at_most", "count": count}, said


def at_least_words(dice: random.Random, text: Demonstration) -> Asked:
    """No shorter than that."""
    count = 10 * dice.randint(3, 10)
    text.min_words = count
    said = dice.choice([f"Write at least {count} words.", f"The text must have {count} words or more."])
    return {"type": "number_of_words", "relation": "at_least", "count": count}, said


def sentences(dice: random.Random, text: Demonstration) -> Asked:
    """So many sentences."""
    count, said = some(dice, 4, 8)
    text.layout, text.parts = "sentences", count
    words = dice.choice([f"Use exactly {said} sentences.", f"The answer must consist of {said} sentences."])
    return {"type": "number_of_sentences", "relation": "exactly", "count": count}, words


def paragraphs(dice: random.Random, text: Demonstration) -> Asked:
    """So many paragraphs."""
    count, said = some(dice, 2, 5)
    text.layout, text.parts = "paragraphs", count
    words = dice.choice([f"Write {said} paragraphs with a blank line between them.", f"Use {said} paragraphs."])
    return {"type": "number_of_paragraphs", "relation": "exactly", "count": count}, words


def bullets(dice: random.Random, text: Demonstration) -> Asked:
    """So many bullet points."""
    count, said = some(dice, 2, 6)
    text.layout, text.parts = "bullets", count
    words = dice.choice(
        [f"Include exactly {said} bullet points that start with '- '.", f"Make a list of {said} bullets."]
    )
    return {"type": "number_of_bullets", "relation": "exactly", "count": count}, words


def sections(dice: random.Random, text: Demonstration) -> Asked:
    """So many numbered sections."""
    count, said = some(dice, 2, 4)
    text.layout, text.parts = "sections", count
    words = f"Divide it into at least {said} sections; begin each with a line 'Section 1', 'Section 2' and so on."
    return {"type": "sections", "relation": "at_least", "count": count}, words


def keywords(dice: random.Random, text: Demonstration) -> Asked:
    """Words that must occur."""
    chosen = dice.sample(KEYWORDS, 2)
    text.needed.append(f"A {chosen[0]} belongs to it and so does a {chosen[1]}.")
    said = dice.choice(
        [f"Include the words '{chosen[0]}' and '{chosen[1]}'.", f"Use both '{chosen[0]}' and '{chosen[1]}' somewhere."]
    )
    return {"type": "include_keywords", "keywords": chosen}, said


def forbidden(dice: random.Random, text: Demonstration) -> Asked:
    """Words that must not occur."""
    chosen = dice.sample(AVOIDABLE, 2)
    said = dice.choice(
        [f"Do not use the words '{chosen[0]}' and '{chosen[1]}'.", f"Avoid '{chosen[0]}' and '{chosen[1]}'."]
    )
    return {"type": "forbidden_words", "words": chosen}, said


def letters(dice: random.Random, text: Demonstration) -> Asked:
    """A letter that must occur often."""
    letter, count = dice.choice(tuple(DOUBLED)), dice.randint(3, 8)
    text.needed.append(f"Then comes {' and '.join([DOUBLED[letter]] * -(-count // 2))}.")
    said = f"The letter '{letter}' should appear at least {count} times."
    return {"type": "letter_frequency", "letter": letter, "relation": "at_least", "count": count}, said


def placeholders(dice: random.Random, text: Demonstration) -> Asked:
    """Names in square brackets."""
    count, said = some(dice, 2, 5)
    text.needed.append(f"It was sent by {' and '.join(f'[{name}]' for name in NAMES[:count])}.")
    words = f"Include at least {said} placeholders in square brackets, such as [address]."
    return {"type": "placeholders", "relation": "at_least", "count": count}, words


def highlights(dice: random.Random, text: Demonstration) -> Asked:
    """Pieces in asterisks."""
    count, said = some(dice, 2, 5)
    text.needed.append(f"It is {' and '.join(f'*{word}*' for word in ADJECTIVES[:count])}.")
    words = f"Highlight at least {said} parts of the text with asterisks, such as *this*."
    return {"type": "highlights", "relation": "at_least", "count": count}, words


def capitals(dice: random.Random, text: Demonstration) -> Asked:
    """Words in capital letters."""
    count, said = some(dice, 2, 6)
    text.needed.append(f"So {' and '.join(LOUD[:count])}.")
    return (
        {"type": "capital_words", "relation": "at_least", "count": count},
        f"Write at least {said} words in capital letters only.",
    )


def no_commas(dice: random.Random, text: Demonstration) -> Asked:
    """No commas."""
    return {"type": "no_commas"}, dice.choice(["Do not use any commas.", "Write it without a single comma."])


def lowercase(dice: random.Random, text: Demonstration) -> Asked:
    """Small letters only."""
    text.case = "lower"
    return {"type": "all_lowercase"}, dice.choice(["Use lowercase letters only.", "Do not use any capital letters."])


def uppercase(dice: random.Random, text: Demonstration) -> Asked:
    """Capital letters only."""
    text.case = "upper"
    return {"type": "all_uppercase"}, dice.choice(["Write everything in capital letters.", "Use capital letters only."])


def starts_with(dice: random.Random, text: Demonstration) -> Asked:
    """A given beginning."""
    text.first = dice.choice(STARTS)
    return {"type": "starts_with", "text": text.first}, f"Begin with the words '{text.first}'."


def ends_with(dice: random.Random, text: Demonstration) -> Asked:
    """A given end."""
    text.last = dice.choice(ENDS)
    return {"type": "ends_with", "text": text.last}, f"End with the exact phrase '{text.last}'"


def title(dice: random.Random, text: Demonstration) -> Asked:
    """A title in angular brackets."""
    text.title = f"<<{dice.choice(ADJECTIVES).capitalize()} Hours>>"
    return {"type": "title"}, "Give it a title in double angular brackets, such as <<a title>>."


def postscript(dice: random.Random, text: Demonstration) -> Asked:
    """A postscript."""
    text.postscript = "P.S. There is more to come."
    return {"type": "postscript", "marker": "P.S."}, "Add a postscript at the end that starts with P.S."


def quoted(dice: random.Random, text: Demonstration) -> Asked:
    """Quotation marks around everything."""
    text.quoted = True
    return {"type": "quoted"}, dice.choice(
        ["Wrap the whole answer in double quotation marks.", "Put double quotation marks around everything you write."]
    )


Ask = Callable[[random.Random, Demonstration], Asked]

GROUPS: dict[str, tuple[Ask, ...]] = {
    "length": (at_most_words, at_least_words),
    "layout": (sentences, paragraphs, bullets, sections),
    "content": (keywords, forbidden, letters, placeholders, highlights, capitals, no_commas),
    "frame": (starts_with, ends_with, title, postscript, quoted),
    "case": (lowercase, uppercase),
}
"""Of each group at most one instruction is asked for; those of different groups go together, except for:"""

CLASHES: tuple[frozenset[Ask], ...] = (
    *(frozenset({case, other}) for case in (lowercase, uppercase) for other in (capitals, sections, postscript)),
    *(frozenset({sentences, other}) for other in (title, postscript, at_least_words)),
    *(frozenset({quoted, other}) for other in (bullets, sections)),
)
"""Pairs that do not go together: `Section` has a capital letter, a title is no sentence, no list begins in quotes."""
