"""What normalisation and reducer do to the optimal policy."""

from collections.abc import Iterator

from rlenvs.wrappers.check.finding import Finding, Verdict
from rlenvs.wrappers.check.weights import WeightPath
from rlenvs.wrappers.config.composer import ComposerSettings
from rlenvs.wrappers.normalization.strategies import Normalization

__all__ = ["normalization_findings", "output_findings", "reducer_findings"]

FACTOR_REDUCERS = ("weighted_sum", "hybrid")
"""Reducers that give each component a factor and add them up."""

STEADY = "true as far as the scale stands still within an episode: it moves with the statistics"

AT_ZERO = {
    "product": "a weight of 0 in a product makes every reward 0: there is nothing to learn",
    "minimum": "a weight of 0 in a minimum caps the reward at 0: nothing better than 0 is ever paid",
}
"""What a component of weight 0, which counts as 0, does to the others."""

SHIFTS = {
    "z_score": "subtracts the mean of the last values from {what}",
    "running": "subtracts the mean of all values so far from {what}",
    "ema": "subtracts a moving mean from {what}",
    "min_max": "cuts {what} to the range of the last ones and subtracts the smallest of them",
}


BASELINES = {"batch": "the batch", "group": "the answers to the same prompt"}
"""Whose mean a strategy subtracts that compares rows."""

BY_STRATEGY: dict[str, list[tuple[Verdict, str]]] = {
    "group": [
        (
            "note",
            "group divides by the deviation of each prompt, so that prompts whose answers differ little count more; an "
            "answer that is alone with its prompt gets 0",
        )
    ],
    "rank": [
        (
            "changes",
            "rank keeps the order within a batch and drops the distances: a rare large value pays no more than a "
            "frequent small lead",
        )
    ],
}
"""What a strategy does whatever its settings."""


def normalization_findings(name: str, spec: Normalization, alone: bool) -> Iterator[Finding]:
    """Say what the normalisation of one component does.

    Args:
        name: the component.
        spec: its normalisation.
        alone: whether it is the only component, so that its scale is of no consequence.
    """
    yield from _strategy_findings("normalization", name, spec, "its values")
    if spec.compares_rows or spec.strategy == "none":
        return
    if not spec.center and spec.strategy != "min_max":
        if alone:
            reason = "only scales, and there is nothing else that its scale would be weighed against"
            yield Finding(name, "normalization", "keeps", f"{spec.strategy} without a mean {reason}; {STEADY}")
        else:
            yield Finding(
                name,
                "normalization",
                "note",
                f"{spec.strategy} without a mean only scales: the component counts with weight / deviation, which "
                "stays positive and moves with the statistics",
            )


def output_findings(spec: Normalization | None) -> Iterator[Finding]:
    """Say what the normalisation of the reduced reward does."""
    if spec is None:
        return
    yield from _strategy_findings("output", "composer_settings", spec, "the rewards")


def reducer_findings(settings: ComposerSettings, weights: dict[str, WeightPath]) -> Iterator[Finding]:
    """Say what putting the components together does.

    Args:
        settings: names the reducer.
        weights: weights of the components that it reduces.
    """
    reason = _reducer_reason(settings)
    known = reason is not None or settings.reducer in FACTOR_REDUCERS
    if not known:
        reason = f"{settings.reducer}: nobody has said what this reducer does to the optimal policy"
        yield Finding("composer_settings", "reducer", "note", reason)
    elif reason is not None and len(weights) > 1:  # of one component, product, minimum and gate are that component
        yield Finding("composer_settings", "reducer", "changes", f"{settings.reducer}: {reason}")
        zero = AT_ZERO.get(settings.reducer)
        for name, path in weights.items():
            if zero is not None and (path.is_zero or path.ends_at_zero):
                yield Finding(name, "reducer", "changes", zero)


def _reducer_reason(settings: ComposerSettings) -> str | None:
    params = settings.reducer_params
    if settings.reducer == "product":
        return "one component at 0 makes all others worthless, and two negative ones pay: a policy can gain by both"
    if settings.reducer == "minimum":
        return "only the smallest component counts, and getting better at any other one pays nothing"
    if settings.reducer == "gate":
        return (
            f"the others pay only where {params.get('gate')!r} is above {params.get('threshold', 0.0):g}; a policy "
            "that cannot open the gate sees none of them"
        )
    return None


def _strategy_findings(part: str, name: str, spec: Normalization, what: str) -> Iterator[Finding]:
    """Say what is subtracted, divided by, and cut."""
    strategy = spec.strategy
    said: list[tuple[Verdict, str]] = []
    if strategy in SHIFTS and (spec.center or strategy == "min_max"):
        # The reduced reward has no such setting.
        better = "; norm_center: false only scales" if strategy != "min_max" and part == "normalization" else ""
        reason = (
            f"{strategy} {SHIFTS[strategy].format(what=what)} in every step, which pays or fines each step for being "
            f"taken: where episodes differ in length, another policy can become optimal{better}"
        )
        said.append(("changes", reason))
    if strategy in BASELINES and spec.center:
        reason = (
            f"{strategy} subtracts the mean of {BASELINES[strategy]}: a baseline that changes nothing in episodes of "
            "one message, but one that pays or fines every step in longer ones"
        )
        said.append(("changes", reason))
    said += BY_STRATEGY.get(strategy, ())
    if spec.compares_rows:
        said.append(("note", f"{strategy} compares the rows of a batch: one environment alone gets 0"))
    if spec.clip is not None and strategy != "none":
        said.append(("changes", f"values beyond +-{spec.clip:g} are cut: what goes further pays, and costs, no more"))
    yield from (Finding(name, part, verdict, reason) for verdict, reason in said)
