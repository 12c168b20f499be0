"""Who proposes the parameters of the next trial. Imports without Optuna and torch: `build` needs them."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from rlenvs.agents.runs.section import Count, Positive, PositiveInt, Section
from rlenvs.config_file import ConfigKeyError
from rlenvs.errors import StudyError
from rlenvs.extras import require

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

__all__ = ["SamplerConfig", "seed_of"]

OPTIONS_OF = {
    "tpe": frozenset({"startup_trials", "multivariate", "group", "candidates"}),
    "gp": frozenset({"startup_trials", "deterministic"}),
    "cmaes": frozenset({"startup_trials", "sigma", "population", "separable"}),
    "random": frozenset[str](),
    "qmc": frozenset({"sequence", "scramble"}),
}
"""Which options each sampler has."""


class SamplerConfig(Section):
    """Who proposes the parameters of the next trial.

    Example:
        >>> SamplerConfig(name="qmc", sequence="halton").sequence
        'halton'
    """

    name: Literal["tpe", "gp", "cmaes", "random", "qmc"] = Field(
        "tpe",
        description="tpe: tree of Parzen estimators; gp: Gaussian process (fewest trials; needs torch); "
        "cmaes: evolution strategy (many trials, numbers only); random; qmc: evenly spread points",
    )
    startup_trials: Count | None = Field(
        None, description="tpe, gp, cmaes: random trials before the first proposal; null: as Optuna has it (10, 10, 1)"
    )
    multivariate: bool | None = Field(None, description="tpe: model parameters jointly; null: with one objective only")
    group: bool = Field(False, description="tpe: model each group of conditional parameters jointly")
    candidates: PositiveInt = Field(24, description="tpe: points that each proposal is the best of")
    deterministic: bool = Field(False, description="gp: the objective has no noise")
    sigma: Positive | None = Field(None, description="cmaes: first step size; null: a sixth of the range")
    population: PositiveInt | None = Field(None, description="cmaes: trials of a generation; null: by dimension")
    separable: bool = Field(False, description="cmaes: no correlations; better with many parameters and few trials")
    sequence: Literal["sobol", "halton"] = Field("sobol", description="qmc: which sequence of points")
    scramble: bool = Field(True, description="qmc: randomise the sequence, by the seed of the study")

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> "SamplerConfig":
        others = frozenset[str]().union(*OPTIONS_OF.values()) - OPTIONS_OF[self.name]
        for key in sorted(others & self.model_fields_set):
            if getattr(self, key) != type(self).model_fields[key].default:
                raise ConfigKeyError(key, f"sampler {self.name!r} has no such option: leave it out")
        if self.group and self.multivariate is False:
            raise ConfigKeyError("group", "models parameters jointly: leave `multivariate: false` out")
        return self

    def check(self, directions: Sequence[str]) -> None:
        """See to it that this sampler can serve these objectives and is installed.

        Raises:
            StudyError: it takes one objective only.
            MissingExtraError: what it needs is not installed.
        """
        if len(directions) > 1 and self.name == "cmaes":
            raise StudyError(f"sampler 'cmaes' takes one objective, and the study has {len(directions)}: use 'tpe'")
        for module, extra in {
            "gp": (("torch", "llm"), ("scipy", "tune")),
            "cmaes": (("cmaes", "tune"),),
            "qmc": (("scipy", "tune"),),
        }.get(self.name, ()):
            require(module, extra, f"sampler {self.name!r}")

    def build(self, seed: int, index: int | None = None) -> "BaseSampler":
        """Make the sampler of one trial.

        A sampler keeps no state that matters beyond what it reads from the study, so one made anew for each trial
        from the seed of the study and the place of the trial proposes the same after a resume as without one.

        Args:
            seed: of the study, in [0, 2**32).
            index: place of the trial among those asked for, from 0; None: the sampler serves a whole study.
        """
        from optuna import samplers
        from optuna.exceptions import ExperimentalWarning

        own = seed if index is None else seed_of(seed, index)
        startup: dict[str, Any] = {} if self.startup_trials is None else {"n_startup_trials": self.startup_trials}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            match self.name:
                case "tpe":
                    # Optuna models jointly where it can unless told otherwise; a group needs to be told.
                    jointly = True if self.group else self.multivariate
                    return samplers.TPESampler(
                        seed=own, multivariate=jointly, group=self.group, n_ei_candidates=self.candidates, **startup
                    )
                case "gp":
                    return samplers.GPSampler(
                        seed=own,
                        deterministic_objective=self.deterministic,
                        warn_independent_sampling=False,
                        **startup,
                    )
                case "cmaes":
                    return samplers.CmaEsSampler(
                        seed=own,
                        sigma0=self.sigma,
                        popsize=self.population,
                        use_separable_cma=self.separable,
                        warn_independent_sampling=False,
                        **startup,
                    )
                case "random":
                    return samplers.RandomSampler(seed=own)
                case "qmc":
                    # All trials share one sequence, so its seed is that of the study; what it cannot place is drawn.
                    return samplers.QMCSampler(
                        qmc_type=self.sequence,
                        scramble=self.scramble,
                        seed=seed,
                        independent_sampler=samplers.RandomSampler(seed=own),
                        warn_independent_sampling=False,
                    )


def seed_of(seed: int, *place: int) -> int:
    """Derive a seed in [0, 2**32) from the seed of a study and a place in it; different places are independent.

    Example:
        >>> seed_of(0, 1) == seed_of(0, 1), seed_of(0, 1) == seed_of(0, 2)
        (True, False)
    """
    return int(np.random.SeedSequence(entropy=seed, spawn_key=place).generate_state(1)[0])
