"""What a reward configuration does to the optimal policy, part by part, with the reason.

A reward can differ from the task in two ways: by paying for something else, and by how it is put together
(normalisation, reducer, clipping). Potential-based shaping is the exception that pays and changes nothing (Ng, Harada
& Russell 1999). None of this says that a reward is wrong: it says what a policy can gain by, before it finds out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rlenvs.suggestions import did_you_mean
from rlenvs.wrappers.check.finding import Finding, Verdict
from rlenvs.wrappers.check.parts import FACTOR_REDUCERS, normalization_findings, output_findings, reducer_findings
from rlenvs.wrappers.check.weights import WeightPath
from rlenvs.wrappers.config.component import ComponentConfig, component_class
from rlenvs.wrappers.config.rewards import RewardConfig
from rlenvs.wrappers.schedules.base import Schedule
from rlenvs.wrappers.schedules.fixed import ConstantSchedule
from rlenvs.wrappers.schedules.reactive import GatedSchedule, LagrangianSchedule

__all__ = ["Finding", "Verdict", "check_rewards", "worst_verdict"]

SEVERITY: tuple[Verdict, ...] = ("note", "keeps", "fades", "changes")


def check_rewards(config: "RewardConfig | Mapping[str, Any] | str | Path") -> list[Finding]:
    """Say what each part of a reward does to the optimal policy.

    Args:
        config: a valid configuration, or what one is read from.

    Returns:
        Findings: those of each component in the order of the configuration, then those of the whole. Every component
        has at least one.

    Raises:
        ConfigError: the configuration cannot be used.

    Example:
        >>> for finding in check_rewards(
        ...     {
        ...         "reward_components": {
        ...             "right": {"class": "CorrectnessReward"},
        ...             "long": {"class": "LengthPenalty", "max_length": 64},
        ...         }
        ...     }
        ... ):
        ...     print(finding.name, finding.verdict, finding.reason)
        right keeps is the task's own reward
        long changes a policy can gain by writing shorter messages
    """
    config = RewardConfig.load(config)
    schedules: dict[str, Schedule] = {
        name: config.reward_shaping[name].build() if name in config.reward_shaping else ConstantSchedule(1.0)
        for name in config.reward_components
    }
    paths = _weight_paths(config, schedules)
    rewards = {name: paths[name] for name, component in config.reward_components.items() if not component.is_potential}
    findings: list[Finding] = []
    for name, component in config.reward_components.items():
        findings += _component_findings(name, component, schedules[name], paths[name], config)
        if name in rewards and not paths[name].is_zero:
            spec = component.normalize_as(config.composer_settings)
            found = normalization_findings(name, spec, alone=len(rewards) == 1)
            findings += _until_it_fades(found, paths[name])
    findings += _discount_findings(config, paths)
    findings += reducer_findings(config.composer_settings, rewards)
    findings += output_findings(config.composer_settings.output_normalization())
    findings += _task_findings(config, rewards)
    return findings


def worst_verdict(findings: list[Finding]) -> Verdict:
    """Return the gravest verdict among findings, `keeps` where there is nothing but notes.

    Example:
        >>> worst_verdict([Finding("long", "component", "changes", ""), Finding("long", "errors", "note", "")])
        'changes'
    """
    return max((finding.verdict for finding in findings), key=SEVERITY.index, default="keeps")


def _weight_paths(config: RewardConfig, schedules: Mapping[str, Schedule]) -> dict[str, WeightPath]:
    """Return what each component is multiplied by: its scheduled weight, times its factor in the reducer."""
    paths = {name: WeightPath.of(schedule) for name, schedule in schedules.items()}
    if config.composer_settings.reducer in FACTOR_REDUCERS:
        columns = [name for name, component in config.reward_components.items() if not component.is_potential]
        reducer = config.composer_settings.build_reducer()
        reducer.bind(columns)
        ones = [1.0] * len(columns)
        _, factors = reducer.one(ones, ones, [True] * len(columns))
        paths |= {name: paths[name].times(factor) for name, factor in zip(columns, factors, strict=True)}
    return paths


def _until_it_fades(findings: Iterator[Finding], path: WeightPath) -> Iterator[Finding]:
    """Say that what is done to a component matters as long as the component does."""
    for finding in findings:
        fades = path.ends_at_zero and finding.verdict == "changes"
        yield replace(finding, verdict="fades") if fades else finding


def _component_findings(
    name: str, component: ComponentConfig, schedule: Schedule, path: WeightPath, config: RewardConfig
) -> Iterator[Finding]:
    if component.is_potential:
        yield _potential_finding(name, component, path)
    elif path.is_zero:
        yield Finding(name, "weight", "note", f"its weight is 0 throughout: {_at_zero(name, config)}")
    else:
        yield _reward_finding(name, component, schedule, path)
    if path.lowest < 0 and not component.is_potential and not isinstance(schedule, LagrangianSchedule):
        is_task = component_class(component.class_name).is_task
        reason = "its weight is negative for a while or always: what it rewards is fined"
        yield Finding(name, "weight", "changes" if is_task else "note", reason)
    if isinstance(schedule, GatedSchedule):
        yield from _gate_findings(name, schedule, config)
    yield from _failure_findings(name, component)


def _at_zero(name: str, config: RewardConfig) -> str:
    """Return what a component still does whose weight is 0."""
    settings = config.composer_settings
    if settings.reducer in FACTOR_REDUCERS or (settings.reducer == "gate" and settings.reducer_params["gate"] != name):
        return "it is scored on every step and never counts"
    return f"it pays nothing itself, and {settings.reducer} still looks at it"


def _potential_finding(name: str, component: ComponentConfig, path: WeightPath) -> Finding:
    gamma = float(component.params.get("gamma", 1.0))
    unit = " per token" if component.params.get("gamma_unit") == "token" else ""
    inside = "; its weight sits inside the potential, so that moving it changes nothing either" if path.moves else ""
    zero = "; its weight is 0 throughout, so that it does nothing at all" if path.is_zero else ""
    return Finding(
        name,
        "component",
        "keeps",
        f"a potential pays back whatever it pays, as long as the learner discounts by the same gamma ({gamma:g}{unit})"
        f"{inside}{zero}",
    )


def _reward_finding(name: str, component: ComponentConfig, schedule: Schedule, path: WeightPath) -> Finding:
    cls = component_class(component.class_name)
    if isinstance(schedule, LagrangianSchedule):
        return Finding(
            name,
            "weight",
            "changes",
            f"a multiplier holds its mean at {schedule.target:g}: the optimum is the best policy among those that meet "
            "the bound, and a bound that no policy meets drives the weight to its end",
        )
    if cls.is_task:
        if path.ends_at_zero:
            return Finding(
                name,
                "component",
                "changes",
                f"is the task's own reward and fades: {path.arrival}, and only the others count",
            )
        return Finding(name, "component", "keeps", "is the task's own reward")
    gain = f"a policy can gain by {cls.effect}"
    if path.ends_at_zero:
        return Finding(name, "component", "fades", f"{gain}, but not for good: {path.arrival}")
    return Finding(name, "component", "changes", gain)


def _gate_findings(name: str, schedule: GatedSchedule, config: RewardConfig) -> Iterator[Finding]:
    metric = schedule.metric
    if metric in config.reward_components:
        yield Finding(name, "weight", "note", f"its weight waits for component {metric!r}: {schedule.rule()}")
        return
    guess = did_you_mean(metric, config.reward_components)
    yield Finding(
        name,
        "weight",
        "note",
        f"its weight waits for {metric!r}, which is no component{guess or '.'} A trainer has to report a metric of "
        f"this name, or the weight stays at {schedule.min_weight:g}",
    )


def _failure_findings(name: str, component: ComponentConfig) -> Iterator[Finding]:
    if component.on_error == "mask":
        reason = "on_error mask: a step whose score failed is rewarded without it, as if the component were 0 there"
        yield Finding(name, "errors", "note", reason)
    elif component.on_error in ("penalty", "default"):
        reason = f"on_error {component.on_error}: a score that failed counts as {component.error_value:g}"
        yield Finding(name, "errors", "note", f"{reason} and is left out of all statistics")
    if component.timeout_s is not None:
        value = component.timeout_value or 0.0
        yield Finding(
            name,
            "errors",
            "note",
            f"a text that takes longer than {component.timeout_s:g} s to judge gets {value:g}: a policy can gain by "
            "being hard to judge wherever an honest value would be lower",
        )


def _discount_findings(config: RewardConfig, paths: Mapping[str, WeightPath]) -> Iterator[Finding]:
    """Say that potentials with several discounts cannot all suit one learner."""
    gammas = {
        name: float(component.params.get("gamma", 1.0))
        for name, component in config.reward_components.items()
        if component.is_potential and not paths[name].is_zero
    }
    if len(set(gammas.values())) > 1:
        listed = ", ".join(f"{name} {gamma:g}" for name, gamma in gammas.items())
        reason = f"potentials with different gammas ({listed}): a learner has one, and the others change its optimum"
        yield Finding("reward", "gamma", "changes", reason)


def _task_findings(config: RewardConfig, rewards: Mapping[str, WeightPath]) -> Iterator[Finding]:
    """Say that nothing stands for the task, or that nothing is rewarded at all.

    Args:
        config: the whole reward.
        rewards: weights of the components that are no potentials.
    """
    counting = [config.reward_components[name].class_name for name, path in rewards.items() if not path.is_zero]
    if not counting:
        reason = "nothing but potentials counts: they pay back whatever they pay, so that every policy is optimal"
        yield Finding("reward", "component", "changes", reason)
    elif not any(component_class(name).is_task for name in counting):
        yield Finding(
            "reward",
            "component",
            "note",
            "no component is the task's own reward (CorrectnessReward, EnvReward, GoalReward): the optimum is whatever "
            "the components reward together",
        )
