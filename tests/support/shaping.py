"""Plays scripted episodes through a real pipeline, rightly or with one of the usual mistakes, and measures violations.

Every check returns how far an identity is off (0 up to rounding where it holds), so that the same check judges the
library and the mistakes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from reward_strategies import potentials, rewards

from rlenvs.agents.llm.algorithm.advantages import generalized_advantages
from rlenvs.wrappers import EnvReward, InfoPotential, RewardPipeline, RewardState, Transition
from rlenvs.wrappers.potentials.base import Potential, PotentialTerm


@dataclass(frozen=True)
class Script:
    """What happens in an episode of T steps.

    Attributes:
        rewards: T rewards of the environment.
        phi: T + 1 potentials of the states.
        ending: `terminated` or `truncated`.
        clocks: T readings of the reward clock, one per action, not decreasing; a trainer may make it jump.
        drift: T + 1 factors on all potentials, one per moment: a potential that moves while the episode runs.
    """

    rewards: list[float]
    phi: list[float]
    ending: str = "terminated"
    clocks: tuple[int, ...] = ()
    drift: tuple[float, ...] = ()

    @property
    def steps(self) -> int:
        return len(self.rewards)

    def clock(self, t: int) -> int:
        return self.clocks[t] if self.clocks else t


@dataclass(frozen=True)
class Played:
    """An episode as it was paid.

    Attributes:
        gamma: the learner's discount.
        rewards: T rewards of the environment.
        terms: T shaping terms F.
        potentials: T + 1 weighted potentials w * Phi, each as it was when its state was visited; the last one is 0 iff
            the episode terminated.
        terminated: how it ended.
    """

    gamma: float
    rewards: list[float]
    terms: list[float]
    potentials: list[float]
    terminated: bool

    @property
    def shaped(self) -> list[float]:
        return [reward + term for reward, term in zip(self.rewards, self.terms, strict=True)]


class DriftingPotential(Potential):
    """info["phi"] times a factor that somebody moves, as a model is that learns while it shapes."""

    def __init__(self) -> None:
        self.factor = 1.0

    def __call__(self, state: RewardState) -> float:
        return self.factor * float(state.info["phi"])


@st.composite
def scripts(draw: st.DrawFn, *, max_steps: int = 8, endings: Sequence[str] = ("terminated", "truncated")) -> Script:
    count = draw(st.integers(1, max_steps))
    moments = st.lists(st.integers(0, 5), min_size=count, max_size=count)
    first, *jumps = draw(moments)
    return Script(
        draw(st.lists(rewards, min_size=count, max_size=count)),
        draw(st.lists(potentials, min_size=count + 1, max_size=count + 1)),
        draw(st.sampled_from(endings)),
        tuple(np.cumsum([first, *jumps]).tolist()),
        tuple(draw(st.lists(st.floats(0.0, 2.0), min_size=count + 1, max_size=count + 1))),
    )


def random_script(
    rng: np.random.Generator, ending: str, *, first: int | None = None, start: float | None = None
) -> Script:
    """A script for the search that a mistake must not survive: nothing in it is small by chance."""
    count = int(rng.integers(2, 9))
    clocks = np.cumsum([rng.integers(0, 5) if first is None else first, *rng.integers(1, 4, size=count - 1)])
    phi = rng.uniform(-5, 5, size=count + 1)
    phi[0] = phi[0] if start is None else start
    return Script(rng.uniform(-3, 3, size=count).tolist(), phi.tolist(), ending, tuple(clocks.tolist()))


# --- playing -----------------------------------------------------------------------------------------------------

RIGHT = "right"
MISTAKES = {
    "terminal potential kept": "Phi of the terminal state is paid like any other (Grzes 2017)",
    "truncation paid as an end": "Phi := 0 after a truncation, while the learner bootstraps",
    "weight outside": "w(t) * (gamma * Phi' - Phi) instead of weighted potentials",
    "clipped": "F is clipped to [-1, 1] like other rewards",
    "scaled per step": "a running scale that moves within the episode divides F",
    "another gamma": "the potential term has another discount than the learner",
    "evaluated again": "Phi(s) and its weight are evaluated anew one step later instead of kept from the visit",
}


def play(script: Script, gamma: float, schedule: Any, mistake: str = RIGHT) -> Played:
    """Play one episode through `RewardPipeline`; `potentials` of the result never depend on the mistake."""
    potential = DriftingPotential()
    paid_gamma = 0.8 * gamma if mistake == "another gamma" else gamma
    components = {"env": EnvReward(), "guide": PotentialTerm(potential, paid_gamma)}
    pipeline = RewardPipeline(components, {} if mistake == "weight outside" else {"guide": schedule})
    drift = script.drift or (1.0,) * (script.steps + 1)
    state = RewardState(info={"phi": script.phi[0]})
    potential.factor = drift[0]
    visited = pipeline.visit([state], script.clock(0))
    weighted, terms = [schedule(script.clock(0)) * drift[0] * script.phi[0]], []
    for t in range(script.steps):
        clock = script.clock(t)
        transition = _transition(script, t, mistake)
        weight = schedule(clock)  # before the pipeline shows the step to a schedule that watches it
        potential.factor = drift[t + 1]
        if mistake == "evaluated again":
            visited = pipeline.visit([transition.state_before()], clock)
        batch = pipeline.compute([transition], clock, visited)
        visited = batch.visited
        terms.append(_spoiled(float(batch.potential[0]), mistake, weight, t))
        weighted.append(0.0 if transition_ends(script, t) else weight * drift[t + 1] * script.phi[t + 1])
    return Played(gamma, script.rewards, terms, weighted, script.ending == "terminated")


def transition_ends(script: Script, t: int) -> bool:
    return t == script.steps - 1 and script.ending == "terminated"


def _transition(script: Script, t: int, mistake: str) -> Transition:
    last = t == script.steps - 1
    terminated, truncated = last and script.ending == "terminated", last and script.ending == "truncated"
    if mistake == "terminal potential kept":
        terminated = False
    if mistake == "truncation paid as an end":
        terminated = terminated or truncated
    return Transition(
        env_reward=script.rewards[t],
        terminated=terminated,
        truncated=truncated,
        info={"phi": script.phi[t + 1]},
        previous_info={"phi": script.phi[t]},
        step=script.clock(t),
    )


def _spoiled(term: float, mistake: str, weight: float, t: int) -> float:
    if mistake == "weight outside":
        return weight * term
    if mistake == "clipped":
        return float(np.clip(term, -1.0, 1.0))
    return term / (1.0 + t) if mistake == "scaled per step" else term


# --- checks ------------------------------------------------------------------------------------------------------


def discounted(values: Sequence[float], gamma: float) -> float:
    return float(sum(value * gamma**t for t, value in enumerate(values)))


def telescoping_violation(played: Played) -> float:
    """I1: sum_t gamma^t F_t = gamma^T w_T Phi(s_T) - w_0 Phi(s_0), the last one 0 iff terminated."""
    kept = played.gamma ** len(played.terms) * played.potentials[-1]
    return abs(discounted(played.terms, played.gamma) - (kept - played.potentials[0]))


def return_difference_violation(one: Played, other: Played) -> float:
    """I2: from one start, shaped returns of terminated episodes differ by what the raw returns differ by."""
    shaped = discounted(one.shaped, one.gamma) - discounted(other.shaped, other.gamma)
    raw = discounted(one.rewards, one.gamma) - discounted(other.rewards, other.gamma)
    return abs(shaped - raw)


def gae_violation(played: Played, values: Sequence[float], bootstrap: float, gae_lambda: float, gae: Any) -> float:
    """I3: GAE(r + F, V - w Phi) = GAE(r, V), elementwise; the largest difference.

    Args:
        played: T steps.
        values: T values V(s_t).
        bootstrap: V(s_T) where the episode was truncated; a terminated one has none.
        gae_lambda: lambda.
        gae: `library_gae` or `slow_gae`.
    """
    end = 0.0 if played.terminated else bootstrap
    rebased = [value - phi for value, phi in zip(values, played.potentials[:-1], strict=True)]
    plain = gae(played.rewards, values, end, played.gamma, gae_lambda)
    shaped = gae(played.shaped, rebased, end - played.potentials[-1], played.gamma, gae_lambda)
    return float(np.abs(np.subtract(shaped, plain)).max())


def library_gae(
    rewards: Sequence[float], values: Sequence[float], bootstrap: float, gamma: float, gae_lambda: float
) -> list[float]:
    rewards_BA, values_BA = (torch.tensor([list(x)], dtype=torch.float64) for x in (rewards, values))
    end = torch.tensor([bootstrap], dtype=torch.float64)
    mask = torch.ones_like(rewards_BA, dtype=torch.bool)
    advantages, _ = generalized_advantages(rewards_BA, values_BA, end, mask, gamma, gae_lambda)
    found: list[float] = advantages[0].tolist()
    return found


def slow_gae(
    rewards: Sequence[float], values: Sequence[float], bootstrap: float, gamma: float, gae_lambda: float
) -> list[float]:
    """The other definition: a mixture of n-step advantages, (1 - lambda) * lambda^(n-1) each, the rest on the longest."""
    count, following = len(rewards), [*values, bootstrap]
    found = []
    for t in range(count):
        longest, total = count - t, 0.0
        for n in range(1, longest + 1):
            steps = sum(gamma**k * rewards[t + k] for k in range(n)) + gamma**n * following[t + n] - values[t]
            share = gae_lambda ** (n - 1) * (1.0 if n == longest else 1.0 - gae_lambda)
            total += share * steps
        found.append(total)
    return found


def info_pipeline(gamma: float, schedule: Any = None, **term: Any) -> RewardPipeline:
    """EnvReward and a potential that reads info["phi"]."""
    guide = PotentialTerm(InfoPotential("phi"), gamma, **term)
    return RewardPipeline({"env": EnvReward(), "guide": guide}, {"guide": schedule} if schedule else {})
