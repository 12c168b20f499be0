"""What `rlenvs score` prints: tables and responses as lines of text that fit a terminal."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rlenvs.cli.line_chart import display_width, fit, wrap
from rlenvs.cli.output import is_unicode

if TYPE_CHECKING:
    from rlenvs.wrappers.rescoring.comparison import Comparison, Disagreement
    from rlenvs.wrappers.rescoring.statistics import Separation
    from rlenvs.wrappers.rescoring.summary import Agreement, Distribution, ScoreSummary

__all__ = ["ScoreText", "short_number"]

NARROWEST, WIDEST = 40, 120
NUMBER, WEIGHT, WIDE = 8, 11, 9  # widths of columns, the blank before them included
TOTAL = "shaped reward"
BARS, ASCII_BARS = "▁▂▃▄▅▆▇█", ".:-=+*#@"
LONGEST_TEXT = 400  # characters of a response that are looked at to fill its line
NOISE = 1e-12  # what rounding leaves of 0.3 - 3 * 0.1 reads as 0
CERTAIN = 2.0  # standard errors from a coin flip, before a component is said to pay for being wrong


class ScoreText:
    """Lays out what scores say.

    Args:
        width: columns of the terminal.
        encoding: of the output; characters that it lacks are escaped.
    """

    def __init__(self, width: int, encoding: str) -> None:
        self.width = min(max(width, NARROWEST), WIDEST)
        self.encoding = encoding
        self.unicode = is_unicode(encoding)
        self.plus_minus = "±" if self.unicode else "+-"
        self.name_width = 80 - 7 * NUMBER - 10 + max(0, min(self.width - 80, 16))

    def summary(self, summary: "ScoreSummary") -> Iterator[str]:
        """Yield the tables of one reward and what stands out in them."""
        yield from self._values(summary)
        yield ""
        if summary.right + summary.wrong:
            yield from self._truth(summary)
        else:
            yield from self._contributions(summary)
        yield ""
        yield from self._remarks(summary)

    def disagreements(self, found: Sequence["Disagreement"], title: str, texts: Mapping[int, str]) -> Iterator[str]:
        """Yield responses whose reward may contradict their true grade."""
        if not found:
            return
        alike = found[0].ties
        yield title + (f" ({alike:,} of them get {short_number(found[0].reward)})" if alike > len(found) else "")
        for item in found:
            part = self.printable(item.component)
            yield self._cut(
                f"  line {item.line}: reward {short_number(item.reward)}, most from {part} "
                f"{short_number(item.contribution, signed=True)} (usually {short_number(item.usual, signed=True)})"
            )
            yield f"    {self.excerpt(texts.get(item.line, ''), self.width - 4)}"

    def comparison(
        self, names: tuple[str, str], both: "tuple[ScoreSummary, ScoreSummary]", found: "Comparison"
    ) -> Iterator[str]:
        """Yield two rewards side by side."""
        columns = [self._cut(self.printable(name), 22) for name in names]
        yield f"{'side by side':<34}{columns[0]:>23}{columns[1]:>23}"
        for label, cells in self._measures(both):
            yield f"{label:<34}{cells[0]:>23}{cells[1]:>23}"
        yield ""
        if not math.isnan(found.gain.auc):
            yield from self._wrapped(
                f"AUC changes by {found.gain.auc:+.3f} {self.plus_minus} {_three(found.gain.error)} from the first to "
                "the second, on the same responses"
            )
        yield from self._wrapped(
            f"the two totals go together: Pearson {_three(found.pearson)}, Spearman {_three(found.spearman)}, Kendall "
            f"{_three(found.kendall)}"
        )

    def apart(
        self, found: "Comparison", lines: Sequence[int], rights: Sequence[bool | None], texts: Mapping[int, str]
    ) -> Iterator[str]:
        """Yield the responses that two rewards rank most differently."""
        yield from self._wrapped("ranked most differently (share of the responses that each of the two pays less)")
        for row, line, right in zip(found.apart, lines, rights, strict=True):
            grade = {True: "right", False: "wrong", None: "grade unknown"}[right]
            yield f"  line {line}: {grade}, {found.ranks[0, row]:.0%} and {found.ranks[1, row]:.0%}"
            yield f"    {self.excerpt(texts.get(line, ''), self.width - 4)}"

    def printable(self, text: str) -> str:
        """Return foreign text as one line that no terminal obeys, with what the encoding lacks escaped."""
        from rlenvs.agents.reporting.formatting import one_line

        return one_line(text).encode(self.encoding, "backslashreplace").decode(self.encoding)

    def excerpt(self, text: str, width: int) -> str:
        """Return beginning and end of a response in at most `width` columns: the answer often stands at the end."""
        if not text.strip():
            return "(blank)"
        head = self.printable(text[:LONGEST_TEXT])
        if len(text) <= LONGEST_TEXT and display_width(head) <= width:
            return head
        room = width // 3
        tail = self.printable(text[-LONGEST_TEXT:])[-room:]
        while display_width(tail) > room:
            tail = tail[1:]
        start = self._cut(f"{head[:width]}{' ' * width}", width - display_width(tail) - 1)  # blanks: always cut
        return f"{start} {tail.lstrip()}"

    def wrapped(self, text: str) -> Iterator[str]:
        """Yield a sentence as lines."""
        yield from self._wrapped(text)

    def _values(self, summary: "ScoreSummary") -> Iterator[str]:
        head = ("mean", "std", "min", "25%", "50%", "75%", "max")
        yield f"{'raw values':<{self.name_width}}" + "".join(f"{name:>{NUMBER}}" for name in head) + "  spread"
        for part in summary.components:
            yield self._value_row(part.name, part.values)
        yield self._value_row(TOTAL, summary.total.values)

    def _value_row(self, name: str, values: "Distribution") -> str:
        numbers = (values.mean, values.std, values.minimum, *values.quartiles, values.maximum)
        cells = "".join(f"{short_number(number):>{NUMBER}}" for number in numbers)
        return f"{self._name(name)}{cells}  {self._bars(values.histogram)}".rstrip()

    def _truth(self, summary: "ScoreSummary") -> Iterator[str]:
        head = ("right", "wrong", "gap", "r", "AUC", "share")
        yield f"{'paid for':<{self.name_width}}{'weight':>{WEIGHT}}" + "".join(f"{name:>{WIDE}}" for name in head)
        for part in summary.components:
            yield self._truth_row(part.name, _weights(part.weights), part.paid, _percent(part.share))
        yield self._truth_row(TOTAL, "", summary.total.truth, "")

    def _truth_row(self, name: str, weight: str, paid: "Agreement", share: str) -> str:
        cells = [
            short_number(paid.right),
            short_number(paid.wrong),
            short_number(paid.gap, signed=True),
            _three(paid.pearson),
            _three(paid.separation.auc),
            share,
        ]
        return f"{self._name(name)}{weight:>{WEIGHT}}{''.join(f'{cell:>{WIDE}}' for cell in cells)}".rstrip()

    def _contributions(self, summary: "ScoreSummary") -> Iterator[str]:
        yield f"{'paid for':<{self.name_width}}{'weight':>{WEIGHT}}{'mean':>{WIDE}}{'share':>{WIDE}}"
        for part in summary.components:
            mean, share = short_number(part.contribution), _percent(part.share)
            yield f"{self._name(part.name)}{_weights(part.weights):>{WEIGHT}}{mean:>{WIDE}}{share:>{WIDE}}"

    def _remarks(self, summary: "ScoreSummary") -> Iterator[str]:
        total = summary.total
        if not math.isnan(total.separation.auc):
            yield from self._wrapped(
                f"AUC of the shaped reward {self._with_error(total.separation)} (how often a right response is paid "
                "more than a wrong one; ties count half)"
            )
        if not math.isnan(total.overpaid):
            over, under = (_share(share) for share in (total.overpaid, total.underpaid))
            yield from self._wrapped(
                f"wrong responses that are paid at least like the average right one: {over}; right ones that are paid "
                f"at most like the average wrong one: {under}"
            )
        for part in summary.components:
            name, worth = self.printable(part.name), part.paid.separation
            if worth.auc + CERTAIN * worth.error < 0.5:
                yield from self._wrapped(
                    f"{name} works against the truth: AUC {self._with_error(worth)}, wrong responses get more of it"
                )
            if part.weights == (0.0, 0.0):
                yield from self._wrapped(f"{name} has weight 0 here and pays nothing; --step N moves the clock")
        yield from self._wrapped(self._statuses(summary))
        if summary.stored:
            yield from self._wrapped(_stored(summary))

    def _statuses(self, summary: "ScoreSummary") -> str:
        others = [
            f"{self.printable(part.name)} {status} {count:,} ({count / summary.responses:.1%})"
            for part in summary.components
            for status, count in part.statuses.items()
            if status != "ok" and count
        ]
        masked = [
            f"{self.printable(part.name)} masked {count:,}"
            for part in summary.components
            if (count := summary.responses - part.values.count)
        ]
        if not others:
            return "status ok everywhere"
        return f"status not ok: {', '.join(others)}" + (f"; left out: {', '.join(masked)}" if masked else "")

    def _measures(self, both: "tuple[ScoreSummary, ScoreSummary]") -> Iterator[tuple[str, list[str]]]:
        totals = [summary.total for summary in both]
        yield "AUC", [self._with_error(total.separation) for total in totals]
        yield "correlation with the truth", [_three(total.truth.pearson) for total in totals]
        yield "mean of right responses", [short_number(total.truth.right) for total in totals]
        yield "mean of wrong responses", [short_number(total.truth.wrong) for total in totals]
        yield "gap", [short_number(total.truth.gap, signed=True) for total in totals]
        gaps = [total.truth.gap / total.values.std if total.values.std > 0 else math.nan for total in totals]
        yield "gap in standard deviations", [_three(gap) for gap in gaps]
        yield "wrong, at least like average right", [_percent(total.overpaid) for total in totals]
        yield "right, at most like average wrong", [_percent(total.underpaid) for total in totals]

    def _with_error(self, separation: "Separation") -> str:
        if math.isnan(separation.error):
            return _three(separation.auc)
        return f"{_three(separation.auc)} {self.plus_minus} {_three(separation.error)}"

    def _bars(self, histogram: Sequence[int]) -> str:
        """Draw counts; a bin that has any shows, an empty one is blank."""
        bars, most = BARS if self.unicode else ASCII_BARS, max(histogram, default=0)
        if len(histogram) < 2:
            return ""
        return "".join(bars[math.ceil(count / most * len(bars)) - 1] if count else " " for count in histogram)

    def _name(self, name: str) -> str:
        shown = self._cut(self.printable(name), self.name_width - 1)
        return shown + " " * (self.name_width - display_width(shown))

    def _cut(self, line: str, width: int | None = None) -> str:
        return fit(line, self.width if width is None else width, unicode=self.unicode)

    def _wrapped(self, text: str) -> Iterator[str]:
        yield from wrap(text, self.width, hang=2)


def short_number(value: float, *, signed: bool = False) -> str:
    """Write a number in at most 7 characters, about three digits; `-` for NaN.

    Example:
        >>> short_number(0.31249), short_number(-1234.5), short_number(1e-9), short_number(1.0, signed=True)
        ('0.312', '-1234', '1e-09', '+1')
    """
    if math.isnan(value):
        return "-"
    sign, size = "+" if signed else "", abs(value)
    if size < NOISE:
        return "0"
    if math.isinf(value):
        return f"{value:{sign}}"
    if not 1e-3 <= size < 1e5:
        return f"{value:{sign}.0e}"
    if size >= 100:
        return f"{value:{sign}.0f}"
    # As many of three digits as fit: 0.00123 but -0.0012.
    return next(text for digits in (3, 2, 1) if len(text := f"{value:{sign}.{digits}g}") <= 7)


def _three(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{round(share, 3) + 0.0:.1%}"  # + 0.0: no "-0.0%"


def _share(share: float) -> str:
    """Write a share in a sentence: one that is not 0 does not read as 0."""
    if share == 0.0:
        return "none"
    return "less than 0.1%" if share < 0.001 else f"{share:.1%}"


def _weights(weights: tuple[float, float]) -> str:
    low, high = (f"{weight:.3g}" for weight in weights)
    return low if low == high else f"{low}..{high}"


def _stored(summary: "ScoreSummary") -> str:
    text = f"{summary.same:,} of {summary.stored:,} stored rewards come out the same, to 1e-9"
    if summary.same < summary.stored:
        text += f"; the largest difference is {short_number(summary.largest_change)}"
    return text
