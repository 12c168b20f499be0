"""Small decision problems that are solved exactly, with rewards that a real pipeline shapes.

Letters: S states that go on, Z states that end the episode, A actions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rlenvs.wrappers import RewardPipeline, Transition

Array = npt.NDArray[np.float64]
TIE = 1e-7


@dataclass(frozen=True)
class MDP:
    """A finite Markov decision process.

    Attributes:
        P: `[S, A, S + Z]` transition probabilities.
        R: `[S, A, S + Z]` rewards.
        phi: `[S + Z]` potentials; those of the last Z states must not matter.
        gamma: discount; 1 only where every policy ends.
    """

    P: Array
    R: Array
    phi: Array
    gamma: float

    @property
    def states(self) -> int:
        return self.P.shape[0]

    @property
    def actions(self) -> int:
        return self.P.shape[1]

    @property
    def arrivals(self) -> int:
        return self.P.shape[2]


def random_mdp(rng: np.random.Generator, gamma: float, ends: int = 2) -> MDP:
    """3 to 6 states, 2 or 3 actions; in some states two actions are equally good, so that optimal sets have members."""
    states, actions = int(rng.integers(3, 7)), int(rng.integers(2, 4))
    shape = (states, actions, states + ends)
    P = rng.dirichlet(np.full(states + ends, 0.5), size=(states, actions))
    if gamma == 1.0:
        P *= 0.85
        P[:, :, states:] += 0.15 / ends  # every policy ends: the problem has a value without a discount
    R = rng.uniform(-1.0, 1.0, size=shape)
    twins = rng.random(states) < 0.3
    P[twins, 1], R[twins, 1] = P[twins, 0], R[twins, 0]
    return MDP(P, R, rng.uniform(-3.0, 3.0, size=states + ends), gamma)


def paid_rewards(
    mdp: MDP, pipeline: RewardPipeline, step: int = 0, previous_step: int | None = None, *, ends: bool = True
) -> Array:
    """Return `[S, A, S + Z]`: what the pipeline pays for every transition there is.

    Args:
        mdp: the process.
        pipeline: what shapes.
        step: clock of the action.
        previous_step: clock at which the state before was visited.
        ends: whether the pipeline is told that the last Z states end the episode.
    """
    transitions = [
        Transition(
            env_reward=float(mdp.R[s, a, z]),
            terminated=ends and z >= mdp.states,
            info={"phi": float(mdp.phi[z])},
            previous_info={"phi": float(mdp.phi[s])},
            step=step,
            previous_step=previous_step,
        )
        for s in range(mdp.states)
        for a in range(mdp.actions)
        for z in range(mdp.arrivals)
    ]
    return pipeline.compute(transitions, step).total.reshape(mdp.R.shape)


def solve(mdp: MDP, R: Array) -> Array:
    """Return Q* `[S, A]` for the rewards `R` by policy iteration, each policy evaluated by a linear solve."""
    S = mdp.states
    expected = (mdp.P * R).sum(axis=2)
    rows = np.arange(S)
    policy = np.zeros(S, dtype=int)
    while True:
        system = np.eye(S) - mdp.gamma * mdp.P[rows, policy, :S]
        V = np.linalg.solve(system, expected[rows, policy])
        Q: Array = expected + mdp.gamma * mdp.P[:, :, :S] @ V
        # Only a real improvement counts: rounding between two equally good actions would go round for ever.
        better = Q.max(axis=1) > Q[rows, policy] + 1e-12
        if not better.any():
            return Q
        policy = np.where(better, Q.argmax(axis=1), policy)


def iterate_values(mdp: MDP, R: Array, sweeps: int = 4000) -> Array:
    """The same by value iteration, the second algorithm."""
    expected, V = (mdp.P * R).sum(axis=2), np.zeros(mdp.states)
    for _ in range(sweeps):
        Q: Array = expected + mdp.gamma * mdp.P[:, :, : mdp.states] @ V
        V = Q.max(axis=1)
    return Q


def backward(mdp: MDP, rewards: Sequence[Array], final: Array) -> Array:
    """Return Q*_t `[H, S, A]` of the H-step problem with rewards that depend on the time.

    Args:
        mdp: the process.
        rewards: H tables `[S, A, S + Z]`.
        final: `[S]` what the states after the last step are worth to the learner.
    """
    V, found = final, []
    for R in reversed(rewards):
        Q = (mdp.P * R).sum(axis=2) + mdp.gamma * mdp.P[:, :, : mdp.states] @ V
        V = Q.max(axis=1)
        found.append(Q)
    return np.array(found[::-1])


def optimal_actions(Q: Array) -> npt.NDArray[np.bool_]:
    """Return which actions are optimal, ties included: the shape of `Q`."""
    optimal: npt.NDArray[np.bool_] = Q.max(axis=-1, keepdims=True) - TIE <= Q
    return optimal


@dataclass(frozen=True)
class Node:
    """A state of a game tree; one without children is where an episode ends."""

    phi: float
    logits: Array = field(default_factory=lambda: np.zeros(0))
    rewards: tuple[float, ...] = ()
    children: tuple["Node", ...] = ()
    ending: str = "terminated"
    value: float = 0.0
    """What a learner bootstraps from where the episode was truncated here."""


def random_tree(rng: np.random.Generator, depth: int, endings: Sequence[str]) -> Node:
    """A tree whose leaves lie at different depths."""
    phi = float(rng.uniform(-3, 3))
    if depth == 0 or (depth < 3 and rng.random() < 0.25):
        ending = str(rng.choice(list(endings)))
        return Node(phi, ending=ending, value=float(rng.normal()) if ending == "truncated" else 0.0)
    width = int(rng.integers(2, 4))
    return Node(
        phi,
        rng.normal(size=width),
        tuple(rng.normal(size=width).tolist()),
        tuple(random_tree(rng, depth - 1, endings) for _ in range(width)),
    )


@dataclass(frozen=True)
class Path:
    """One way from the root to a leaf.

    Attributes:
        nodes: T + 1 nodes.
        actions: T numbers of children.
    """

    nodes: tuple[Node, ...]
    actions: tuple[int, ...]

    @property
    def rewards(self) -> list[float]:
        return [node.rewards[action] for node, action in zip(self.nodes, self.actions, strict=False)]


def paths(root: Node) -> Iterator[Path]:
    """Yield every path of a tree."""
    if not root.children:
        yield Path((root,), ())
    for action, child in enumerate(root.children):
        for rest in paths(child):
            yield Path((root, *rest.nodes), (action, *rest.actions))


def policy_gradient(root: Node, returns: Any, gamma: float) -> Array:
    """Return the expected policy gradient by enumeration: sum_path p sum_t gamma^t grad log pi(a_t | s_t) G_t.

    Args:
        root: the tree; the policy is a softmax of each node's own logits.
        returns: path -> T returns-to-go G_t.
        gamma: discount.

    Returns:
        The gradient for the logits of all inner nodes, in the order of a walk through the tree.
    """
    inner: dict[int, Array] = {}
    for path in paths(root):
        pairs = list(zip(path.nodes, path.actions, strict=False))
        chances = [_softmax(node.logits) for node, _ in pairs]
        p = float(np.prod([chance[action] for chance, (_, action) in zip(chances, pairs, strict=True)]))
        for t, ((node, action), chance, G) in enumerate(zip(pairs, chances, returns(path), strict=True)):
            score = np.eye(len(chance))[action] - chance
            inner[id(node)] = inner.get(id(node), 0.0) + p * gamma**t * G * score
    return np.concatenate(list(inner.values()))


def returns_to_go(rewards: Sequence[float], end: float, gamma: float) -> list[float]:
    """Return G_t = sum_k gamma^k r_{t+k} + gamma^(T-t) * end."""
    found, following = [], end
    for reward in reversed(rewards):
        following = reward + gamma * following
        found.append(following)
    return found[::-1]


def _softmax(logits: Array) -> Array:
    weights = np.exp(logits - logits.max())
    chances: Array = weights / weights.sum()
    return chances
