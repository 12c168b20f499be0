"""What `rlenvs score` says of one reward, or of two: as lines and as data."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rlenvs.cli.score_source import ScoreSource
from rlenvs.cli.score_text import ScoreText

if TYPE_CHECKING:
    from rlenvs.wrappers.rescoring.comparison import Comparison, Disagreement
    from rlenvs.wrappers.rescoring.summary import ScoreSummary
    from rlenvs.wrappers.rescoring.table import Scores

__all__ = ["ScoreReport", "without_nan"]


def without_nan(value: Any) -> Any:
    """Return plain data with null for the numbers that JSON cannot hold."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    return [without_nan(item) for item in value] if isinstance(value, list | tuple) else value


@dataclass(frozen=True)
class ScoreReport:
    """Everything that is said about one reward, or about two."""

    source: ScoreSource
    names: list[str]
    scores: "list[Scores]"
    top: int

    def lines(self, text: ScoreText) -> Iterator[str]:
        """Yield the report for people."""
        summaries = self._summaries()
        for name, summary in zip(self.names, summaries, strict=True):
            yield from text.wrapped(f"{text.printable(name)}: {_counts(summary)}")
            yield ""
            yield from text.summary(summary)
            yield ""
        if len(self.scores) == 2:
            yield from self._comparison_lines(text, summaries)
            return
        if self.top and summaries[0].right and summaries[0].wrong:
            most, least = self._disagreements()
            texts = self.source.texts({item.line for item in (*most, *least)})
            yield from text.disagreements(most, "wrong responses that are paid most", texts)
            yield ""
            yield from text.disagreements(least, "right responses that are paid least", texts)

    def as_data(self, output: str | None) -> dict[str, Any]:
        """Return the report for programs."""
        summaries = self._summaries()
        data: dict[str, Any] = {
            "file": str(self.source.path),
            "rewards": [
                {"config": name, **_summary_data(summary)} for name, summary in zip(self.names, summaries, strict=True)
            ],
            "output": output,
        }
        if len(self.scores) == 2:
            found = self._comparison()
            data["comparison"] = _comparison_data(found, self.scores[0])
        elif summaries[0].right and summaries[0].wrong:
            most, least = self._disagreements()
            data["wrong_paid_most"], data["right_paid_least"] = [asdict(i) for i in most], [asdict(i) for i in least]
        plain: dict[str, Any] = without_nan(data)
        return plain

    def _summaries(self) -> "list[ScoreSummary]":
        from rlenvs.wrappers.rescoring.summary import summarize

        return [summarize(scores) for scores in self.scores]

    def _disagreements(self) -> "tuple[list[Disagreement], list[Disagreement]]":
        from rlenvs.wrappers.rescoring.comparison import disagreements

        return disagreements(self.scores[0], self.top)

    def _comparison(self) -> "Comparison":
        from rlenvs.wrappers.rescoring.comparison import compare

        return compare(self.scores[0], self.scores[1], self.top)

    def _comparison_lines(self, text: ScoreText, summaries: "list[ScoreSummary]") -> Iterator[str]:
        found, first = self._comparison(), self.scores[0]
        yield from text.comparison((self.names[0], self.names[1]), (summaries[0], summaries[1]), found)
        if found.apart:
            lines = [int(first.lines[row]) for row in found.apart]
            rights = [bool(first.right[row]) if first.known[row] else None for row in found.apart]
            yield ""
            yield from text.apart(found, lines, rights, self.source.texts(set(lines)))


def _counts(summary: "ScoreSummary") -> str:
    known = summary.right + summary.wrong
    if not known:
        return f"{summary.responses:,} responses, no true grade known (--label-field, --gold-field)"
    unknown = f", {summary.responses - known:,} without a true grade" if known < summary.responses else ""
    return (
        f"{summary.responses:,} responses, {summary.right:,} right and {summary.wrong:,} wrong "
        f"({summary.right / known:.1%} right){unknown}"
    )


def _summary_data(summary: "ScoreSummary") -> dict[str, Any]:
    data = asdict(summary)
    for part in (*data["components"], data["total"]):
        for agreement in (part.get("raw"), part.get("paid"), part.get("truth")):
            if agreement is not None:
                auc, error = agreement.pop("separation")
                agreement |= {"auc": auc, "auc_error": error}
    return data


def _comparison_data(found: "Comparison", scores: "Scores") -> dict[str, Any]:
    return {
        "auc_gain": found.gain.auc,
        "auc_gain_error": found.gain.error,
        "pearson": found.pearson,
        "spearman": found.spearman,
        "kendall": found.kendall,
        "apart": [
            {"line": int(scores.lines[row]), "ranks": [float(found.ranks[0, row]), float(found.ranks[1, row])]}
            for row in found.apart
        ],
    }
