"""The potential terms of a pipeline: F = gamma * w(t') * Phi(s') - w(t) * Phi(s), by rows and by columns."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from rlenvs.errors import ComponentError
from rlenvs.wrappers.base import FloatArray
from rlenvs.wrappers.potentials.base import PotentialTerm
from rlenvs.wrappers.reward_batch import Visited
from rlenvs.wrappers.transition import RewardState, Transition
from rlenvs.wrappers.transition_batch import StateBatch, TransitionBatch

T = TypeVar("T")


class PotentialTerms:
    """P potential terms.

    Args:
        terms: (column in the pipeline, name, term).

    Attributes:
        terms: the same.
        columns: their columns.
    """

    def __init__(self, terms: Sequence[tuple[int, str, PotentialTerm]]) -> None:
        self.terms = tuple(terms)
        self.columns = [column for column, _, _ in terms]
        self._gammas = np.array([term.gamma for _, _, term in terms])
        self._by_step = all(term.gamma_unit == "step" or term.gamma == 1.0 for _, _, term in terms)

    def __len__(self) -> int:
        return len(self.terms)

    def visit(self, states: Sequence[RewardState], weights: Sequence[float]) -> FloatArray:
        """Return `[N, P, 2]`: weighted and bare potentials of N states."""
        visited = np.zeros((len(states), len(self.terms), 2))
        for place, (column, name, term) in enumerate(self.terms):
            phi = _evaluate_many(name, term, states)
            visited[:, place, 0], visited[:, place, 1] = weights[column] * phi, phi
        return visited

    def shape_one(
        self,
        transition: Transition,
        weights: Sequence[float],
        visited: Sequence[Visited],
        raw: list[float],
        contributions: list[float],
    ) -> tuple[float, list[Visited]]:
        """Shape one step; Phi(s') goes into `raw` and F into `contributions`.

        Returns:
            The sum of F, and what has been visited now.
        """
        total, arrived = 0.0, []
        state = None if transition.terminated else transition.state_after()
        for (column, name, term), (weighted, before) in zip(self.terms, visited, strict=True):
            if state is None:
                phi = 0.0
            elif term.level == "turn" and not transition.message_ended:
                phi = before
            else:
                phi = _evaluate(name, term, state)
            now = weights[column] * phi
            if not self._by_step:
                weighted *= _turn_discount(name, term, transition)
            shaping = term.gamma * now - weighted
            raw[column], contributions[column] = phi, shaping
            total += shaping
            arrived.append((now, phi))
        return total, arrived

    def shape(
        self,
        batch: TransitionBatch,
        weights: Sequence[float],
        visited: FloatArray,
        raw: FloatArray,
        contributions: FloatArray,
    ) -> tuple[FloatArray, FloatArray]:
        """Shape N steps; Phi(s') goes into `raw` and F into `contributions`.

        Returns:
            Sums of F `[N]`, and `[N, P, 2]` what has been visited now.
        """
        if not self.terms:
            return np.zeros(len(batch)), np.zeros((len(batch), 0, 2))
        phi = self._arrive(batch, visited)
        arrived = np.stack([np.array([weights[column] for column in self.columns]) * phi, phi], axis=2)
        before = visited[:, :, 0] if self._by_step else visited[:, :, 0] * self._turn_discounts(batch)
        shaping = self._gammas * arrived[:, :, 0] - before
        raw[:, self.columns], contributions[:, self.columns] = phi, shaping
        total: FloatArray = shaping.sum(axis=1)
        return total, arrived

    def _arrive(self, batch: TransitionBatch, visited: FloatArray) -> FloatArray:
        """Return Phi(s') `[N, P]`: 0 after `terminated`."""
        rows = np.flatnonzero(~batch.terminated)
        states = batch.states_after(rows)
        phi = np.zeros((len(batch), len(self.terms)))
        if not len(states):
            return phi
        for place, (_, name, term) in enumerate(self.terms):
            if term.level == "turn":
                for row in range(len(batch)):
                    if not batch.terminated[row]:
                        within = not batch[row].message_ended
                        phi[row, place] = (
                            visited[row, place, 1] if within else _evaluate(name, term, batch[row].state_after())
                        )
            else:
                phi[rows, place] = _evaluate_many(name, term, states)
        return phi

    def _turn_discounts(self, batch: TransitionBatch) -> FloatArray:
        """Return gamma^-(m-1) `[N, P]`."""
        factors = np.ones((len(batch), len(self.terms)))
        for place, (_, name, term) in enumerate(self.terms):
            if term.gamma_unit == "token":
                factors[:, place] = [_turn_discount(name, term, transition) for transition in batch]
        return factors


def _turn_discount(name: str, term: PotentialTerm, transition: Transition) -> float:
    return _guarded(name, lambda: term.turn_discount(transition.info))


def _evaluate(name: str, term: PotentialTerm, state: RewardState) -> float:
    try:  # not `_guarded`: this is on the path of every single step
        phi = term.potential(state)
    except Exception as error:
        raise ComponentError(f"potential {name!r} failed: {type(error).__name__}: {error}") from error
    if phi - phi != 0.0:
        raise ComponentError(f"potential {name!r} returned NaN or infinity")
    return float(phi)


def _evaluate_many(name: str, term: PotentialTerm, states: Sequence[RewardState]) -> FloatArray:
    if not len(states):
        return np.zeros(0)
    if len(states) == 1 and not isinstance(states, StateBatch):
        return np.array([_evaluate(name, term, states[0])])
    phi = _guarded(name, lambda: np.asarray(term.potential.batch(StateBatch.of(states)), dtype=np.float64))
    if phi.shape != (len(states),):
        raise ComponentError(f"potential {name!r} returned shape {phi.shape} for {len(states)} states")
    if not np.isfinite(phi).all():
        raise ComponentError(f"potential {name!r} returned NaN or infinity")
    return phi


def _guarded(name: str, call: Callable[[], T]) -> T:
    try:
        return call()
    except Exception as error:
        raise ComponentError(f"potential {name!r} failed: {type(error).__name__}: {error}") from error
