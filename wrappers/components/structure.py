"""How well-formed the response is as a piece of writing."""

from typing import ClassVar

from rlenvs.errors import ParameterError
from rlenvs.wrappers.base import INVALID, BaseReward, Score
from rlenvs.wrappers.component_registry import register_reward
from rlenvs.wrappers.components.prose import ListItem, Outline, inline_text, outline_of, sentences_of, text_blocks
from rlenvs.wrappers.components.text_units import words
from rlenvs.wrappers.parameters import whole_number
from rlenvs.wrappers.transition import Transition

__all__ = ["StructureReward", "balance", "list_consistency", "within"]

OPENERS_OF = {
    ")": "(",
    "]": "[",
    "}": "{",
    "”": "“„",
    "“": "„",
    "\uff09": "\uff08",
    "】": "【",
    "」": "「",
    "』": "『",
    "》": "《",
}
OPENERS = frozenset("([{“„\uff08【「『《")
TOGGLES = frozenset('"`')
MARKS = OPENERS | TOGGLES | frozenset(OPENERS_OF)


@register_reward()
class StructureReward(BaseReward):
    """Mean of the criteria that are switched on, each in [0, 1]; 0 with status `invalid` without a single word.

    | criterion | value |
    |---|---|
    | `punctuation` | share of sentences in paragraphs that end with `.`, `!`, `?`, `…` (or `:` at a paragraph's end) |
    | `balance` | share of brackets, double quotes, back-ticks and code fences that have their partner |
    | `lists` | share of neighbours in a list with the same mark and numbers that stay or go up by one |
    | `paragraphs`, `sentences`, `words` | n / min below the bound, max / n above it, else 1 |
    | `sentence_words` | share of sentences with at most `max_sentence_words` words |

    A criterion with nothing to look at (no list, no bracket, no sentence) is 1. Paragraphs are lines of prose between
    blank lines; headings, list items, table rows, quotes and code are none, and sentences are looked for in paragraphs
    only. Everything takes time linear in the response.

    Args:
        punctuation: switch.
        balance: switch.
        lists: switch.
        min_paragraphs: paragraphs at least, >= 1; no such bound where omitted. The same goes for the others.
        max_paragraphs: paragraphs at most, >= 0 and >= min_paragraphs.
        min_sentences: sentences at least, >= 1.
        max_sentences: sentences at most, >= 0 and >= min_sentences.
        min_words: words at least, >= 1, anywhere in the response.
        max_words: words at most, >= 1 and >= min_words.
        max_sentence_words: words of a sentence at most, >= 1.

    Range: [0, 1].

    Raises:
        ParameterError: a bound out of its range, or no criterion at all.

    Example:
        >>> written = StructureReward(max_words=3)
        >>> written(Transition(response="It works (well). Try it."))  # punctuation, balance, lists: 1; words: 3 / 5
        Score(value=0.9, status='ok')
    """

    effect: ClassVar[str] = "writing tidy text of the asked size, whatever it says"

    def __init__(
        self,
        punctuation: bool = True,
        balance: bool = True,
        lists: bool = True,
        min_paragraphs: int | None = None,
        max_paragraphs: int | None = None,
        min_sentences: int | None = None,
        max_sentences: int | None = None,
        min_words: int | None = None,
        max_words: int | None = None,
        max_sentence_words: int | None = None,
    ) -> None:
        self.punctuation = punctuation
        self.balance = balance
        self.lists = lists
        self.min_paragraphs, self.max_paragraphs = _bounds("paragraphs", min_paragraphs, max_paragraphs, 0)
        self.min_sentences, self.max_sentences = _bounds("sentences", min_sentences, max_sentences, 0)
        self.min_words, self.max_words = _bounds("words", min_words, max_words, 1)
        self.max_sentence_words = _optional("max_sentence_words", max_sentence_words, 1)
        switches = (punctuation, balance, lists)
        bounds = (
            *(min_paragraphs, max_paragraphs, min_sentences, max_sentences),
            *(min_words, max_words, max_sentence_words),
        )
        if not any(switches) and all(bound is None for bound in bounds):
            raise ParameterError("punctuation", "is off like every other criterion: nothing is left to score")

    def __call__(self, transition: Transition) -> Score:
        """Score one transition."""
        if not transition.message_ended:
            return Score(0.0)
        criteria = self.criteria(transition.response)
        return Score(sum(criteria.values()) / len(criteria)) if criteria else Score(0.0, INVALID)

    def criteria(self, response: str) -> dict[str, float]:
        r"""Return the value of each criterion that is switched on; empty for a response without words.

        Example:
            >>> StructureReward().criteria("A list:\n- one\n* two (of two")
            {'punctuation': 1.0, 'balance': 0.0, 'lists': 0.0}
        """
        size = len(words(response))
        if size == 0:
            return {}
        outline = outline_of(response)
        sentences = [sentence for paragraph in outline.paragraphs for sentence in sentences_of(paragraph)]
        values: dict[str, float] = {}
        if self.punctuation:
            values["punctuation"] = _share([sentence.ended for sentence in sentences])
        if self.balance:
            values["balance"] = balance(outline)
        if self.lists:
            values["lists"] = list_consistency(outline.items)
        for name, count in (("paragraphs", len(outline.paragraphs)), ("sentences", len(sentences)), ("words", size)):
            low, high = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            if low is not None or high is not None:
                values[name] = within(count, low, high)
        if self.max_sentence_words is not None:
            limit = self.max_sentence_words
            values["sentence_words"] = _share([len(words(sentence.text)) <= limit for sentence in sentences])
        return values


def within(count: int, low: int | None, high: int | None) -> float:
    """Return 1 between the bounds, count / low below them and high / count above them.

    Example:
        >>> within(2, 4, 8), within(4, 4, 8), within(16, 4, 8)
        (0.5, 1.0, 0.5)
    """
    if low is not None and count < low:
        return count / low
    if high is not None and count > high:
        return high / count
    return 1.0


def balance(outline: Outline) -> float:
    """Return the share of marks that have their partner: brackets, double quotes, back-ticks, code fences.

    A closing bracket looks for its opening one and passes over what was opened in between, which stays alone. Straight
    quotes and back-ticks pair up within a block of text. Inline code and fenced code are not looked into.

    Example:
        >>> balance(outline_of("f(x[0)"))  # ( and ) are partners, [ has none
        0.6666666666666666
    """
    partners = 2 * sum(block.closed for block in outline.code)
    marks = sum(2 if block.closed else 1 for block in outline.code)
    opened: list[str] = []
    waiting = dict.fromkeys(OPENERS, 0)
    for block in text_blocks(outline.visible):
        found = [character for character in inline_text(block) if character in MARKS]
        marks += len(found)
        partners += sum(found.count(toggle) // 2 * 2 for toggle in TOGGLES)
        for mark in found:
            openers = OPENERS_OF.get(mark, "")
            if any(waiting[opener] for opener in openers):
                while (last := opened.pop()) not in openers:
                    waiting[last] -= 1
                waiting[last] -= 1
                partners += 2
            elif mark in OPENERS:
                opened.append(mark)
                waiting[mark] += 1
    return partners / marks if marks else 1.0


def list_consistency(items: list[ListItem]) -> float:
    """Return the share of neighbours in the same list that agree; 1 where no list has two items.

    Two neighbours agree where they have the same mark and, with numbers, the second has the number of the first or
    the next one.
    """
    last: dict[int, ListItem] = {}
    agree: list[bool] = []
    for item in items:
        before = last.get(item.group)
        if before is not None:
            follows = before.number is None or item.number is None or item.number - before.number in (0, 1)
            agree.append(item.mark == before.mark and follows)
        last[item.group] = item
    return _share(agree)


def _share(satisfied: list[bool]) -> float:
    return sum(satisfied) / len(satisfied) if satisfied else 1.0


def _bounds(name: str, low: int | None, high: int | None, least_high: int) -> tuple[int | None, int | None]:
    low, high = _optional(f"min_{name}", low, 1), _optional(f"max_{name}", high, least_high)
    if low is not None and high is not None and high < low:
        raise ParameterError(f"max_{name}", f"must be >= min_{name} ({low}), got {high}")
    return low, high


def _optional(parameter: str, value: int | None, minimum: int) -> int | None:
    return None if value is None else whole_number(parameter, value, minimum)
