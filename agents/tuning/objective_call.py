"""Calling an objective as its author wrote it: with the trial, its own arguments and, if asked for, a configuration."""

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rlenvs.errors import ConfigError
from rlenvs.shown import shown
from rlenvs.suggestions import did_you_mean

if TYPE_CHECKING:
    import optuna

    from rlenvs.agents.tuning.trial_config import TrialConfigs

__all__ = ["TrialFunction"]

CONFIG = "config"
"""The parameter of an objective that gets the configuration of its trial."""


class TrialFunction:
    """What a worker calls with a trial.

    The configuration is made before the objective is called, whether or not it takes one: so the parameters of a trial
    are those of the space, drawn in its order, and an objective that asks the trial itself gets the same values.

    Args:
        objective: called with the trial and `kwargs`, and with `config` where it has a parameter of that name which
            `kwargs` does not give.
        kwargs: further arguments, the same in every trial.
        configs: makes configurations.

    Raises:
        ConfigError: the objective cannot be called like that.
    """

    def __init__(
        self, objective: Callable[..., Any], kwargs: Mapping[str, Any] | None, configs: "TrialConfigs"
    ) -> None:
        if not callable(objective):
            raise ConfigError(f"objective_function: expected a function of the trial, got {shown(objective)}")
        self.objective = objective
        self.kwargs = dict(kwargs or {})
        self.configs = configs
        self.takes_config = _takes_config(objective, self.kwargs)

    def __call__(self, trial: "optuna.Trial") -> Any:
        """Return what the objective returns for a trial."""
        config = self.configs.generate(trial)
        given = {CONFIG: config} if self.takes_config else {}
        return self.objective(trial, **given, **self.kwargs)


def _takes_config(objective: Callable[..., Any], kwargs: Mapping[str, Any]) -> bool:
    """Return whether the objective is to be given a configuration, having seen to it that the rest fits."""
    name = getattr(objective, "__name__", "the objective")
    try:
        signature = inspect.signature(objective)
    except (TypeError, ValueError):  # some callables of extension modules have none
        return False
    parameters = list(signature.parameters.values())
    keyed = {p.name for p in parameters[1:] if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    takes_config = CONFIG in keyed and CONFIG not in kwargs
    given = dict(kwargs) | ({CONFIG: None} if takes_config else {})
    try:
        signature.bind(None, **given)
    except TypeError as error:
        open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters)
        unknown = [] if open_ended else [key for key in kwargs if key not in keyed]
        if unknown:
            known = ", ".join(sorted(keyed)) or "none"
            guess = did_you_mean(str(unknown[0]), keyed)
            raise ConfigError(
                f"objective_kwargs: {name}() has no parameter {shown(unknown[0])}{guess} (known: {known})"
            ) from None
        raise ConfigError(f"objective_function: {name}(trial, **objective_kwargs) cannot be called: {error}") from None
    return takes_config
