"""The loss of supervised learning: what it is, and what never changes it."""

import math

import pytest
import torch
from tiny import tiny_policy

from rlenvs.agents.llm.config import MemoryConfig
from rlenvs.agents.llm.memory.micro_batches import MicroBatches
from rlenvs.agents.llm.processes import Processes
from rlenvs.agents.llm.rollout.batch import Episode
from rlenvs.agents.llm.sft.imitation import Imitation
from rlenvs.errors import TrainingDivergedError

GENERATOR = torch.Generator().manual_seed(3)


def demonstration(prompt: int, turns: list[tuple[int, int]]) -> Episode:
    """An episode of random ids: tokens of the prompt, then (said, answered) tokens per turn."""

    def ids(count: int) -> list[int]:
        return torch.randint(3, 15, (count,), generator=GENERATOR).tolist()

    episode = Episode(ids=ids(prompt), action=[False] * prompt)
    for said, answered in turns:
        episode.add_message(ids(said), [0.0] * said)
        episode.add_feedback(ids(answered))
    return episode


DEMONSTRATIONS = [
    demonstration(3, [(2, 0)]),
    demonstration(7, [(1, 4), (5, 0)]),
    demonstration(2, [(9, 3), (1, 1), (2, 0)]),
    demonstration(1, [(1, 0)]),
    demonstration(5, [(4, 2)]),
    demonstration(4, [(3, 1), (3, 0)]),
]


def make(policy, processes=None, **memory) -> Imitation:
    optimizer = torch.optim.SGD(policy.policy_parameters(), lr=0.1)
    rest = () if processes is None else (processes,)
    return Imitation(policy, optimizer, MicroBatches(MemoryConfig(**memory)), 1e9, *rest)


def gradient_of(policy, demonstrations, **memory) -> tuple[dict[str, float], torch.Tensor]:
    metrics = make(policy, **memory).step(demonstrations)
    return metrics, flat(policy)


def flat(policy) -> torch.Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in policy.policy_parameters()])


def test_the_loss_is_that_of_a_loop_over_single_tokens(policy):
    """Every action token by itself, from a full softmax of the model's own forward pass."""
    negative = []
    for episode in DEMONSTRATIONS:
        for place, is_action in enumerate(episode.action):
            if is_action:
                with torch.no_grad():
                    logits = policy.model(input_ids=torch.tensor([episode.ids[:place]])).logits[0, -1].double()
                negative.append(math.log(logits.exp().sum()) - float(logits[episode.ids[place]]))
    assert len(negative) == 31
    assert make(policy).loss(DEMONSTRATIONS) == pytest.approx(sum(negative) / len(negative), rel=1e-5)
    assert make(policy).step(DEMONSTRATIONS)["loss/train"] == pytest.approx(sum(negative) / len(negative), rel=1e-5)


def test_the_gradient_is_that_of_one_formula(policy):
    found, gradient = gradient_of(policy, DEMONSTRATIONS)
    expected = tiny_policy()
    total, count = torch.zeros(()), 0
    for episode in DEMONSTRATIONS:
        logits = expected.model(input_ids=torch.tensor([episode.ids])).logits[0, :-1]
        wanted = torch.tensor(episode.action[1:])
        total = total + torch.nn.functional.cross_entropy(
            logits[wanted], torch.tensor(episode.ids[1:])[wanted], reduction="sum"
        )
        count += int(wanted.sum())
    (total / count).backward()
    norm = flat(expected).norm()
    assert (gradient - flat(expected)).norm() / norm < 1e-5
    assert found["grad_norm"] == pytest.approx(float(norm), rel=1e-5)
    assert found["batch_tokens"] == count


@pytest.mark.parametrize(
    "memory",
    [
        {"micro_batch_size": 1},
        {"micro_batch_size": 4},
        {"micro_batch_tokens": 20},
        {"micro_batch_tokens": 1},
        {"micro_batch_size": 2, "logprob_chunk": 3},
    ],
)
@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5], [5, 2, 0, 3, 1, 4]])
def test_micro_batches_and_order_change_nothing(memory, order):
    whole, expected = gradient_of(tiny_policy(), DEMONSTRATIONS)
    split, found = gradient_of(tiny_policy(), [DEMONSTRATIONS[i] for i in order], **memory)
    assert (found - expected).norm() / expected.norm() < 1e-5
    assert split["loss/train"] == pytest.approx(whole["loss/train"], rel=1e-6)


class Share(Processes):
    """One of two processes: it knows the other's numbers."""

    count = 2

    def __init__(self, others: list[float]) -> None:
        self.others = others

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor + self.others.pop(0)


@pytest.mark.parametrize("cut", [0, 1, 4])
def test_the_gradients_of_two_shares_sum_to_that_of_the_whole(cut):
    """Also where one of the processes has nothing to learn from."""
    whole, expected = gradient_of(tiny_policy(), DEMONSTRATIONS)
    shares = [DEMONSTRATIONS[:cut], DEMONSTRATIONS[cut:]]
    counts = [sum(sum(episode.action) for episode in share) for share in shares]
    gradients = torch.zeros_like(expected)
    for share, other in zip(shares, reversed(counts), strict=True):
        policy = tiny_policy()
        for parameter in policy.policy_parameters():
            parameter.grad = torch.zeros_like(parameter)
        make(policy, Share([other, 0.0])).step(share)
        if share:
            gradients += flat(policy)
    assert (gradients - expected).norm() / expected.norm() < 1e-5
    assert whole["batch_tokens"] == sum(counts)


def test_running_out_of_memory_halves_the_micro_batches_and_changes_nothing(policy, monkeypatch):
    _, expected = gradient_of(tiny_policy(), DEMONSTRATIONS)
    evaluate, sizes = policy.evaluate, []

    def small(ids_BL, *arguments, **options):
        sizes.append(len(ids_BL))
        if len(sizes) == 2:
            raise torch.OutOfMemoryError
        return evaluate(ids_BL, *arguments, **options)

    monkeypatch.setattr(policy, "evaluate", small)
    _, found = gradient_of(policy, DEMONSTRATIONS, micro_batch_size=4)
    assert sizes == [4, 2, 2, 2, 2]
    assert (found - expected).norm() / expected.norm() < 1e-5


def test_measuring_leaves_no_gradient_and_moves_nothing(policy):
    before = {name: value.clone() for name, value in policy.state_dict().items()}
    make(policy).loss(DEMONSTRATIONS)
    assert all(parameter.grad is None for parameter in policy.parameters())
    assert all(torch.equal(before[name], value) for name, value in policy.state_dict().items())


def test_a_loss_that_is_not_finite_stops_before_it_touches_the_weights(policy):
    with torch.no_grad():
        policy.model.get_output_embeddings().weight[4, 0] = float("inf")
    before = {name: value.clone() for name, value in policy.state_dict().items()}
    with pytest.raises(TrainingDivergedError, match="lower the learning rate"):
        make(policy).step(DEMONSTRATIONS)
    assert all(torch.equal(before[name], value) for name, value in policy.state_dict().items())


def test_the_value_head_is_left_alone(policy):
    before = [parameter.clone() for parameter in policy.critic_parameters()]
    gradient_of(policy, DEMONSTRATIONS)
    assert all(torch.equal(old, new) for old, new in zip(before, policy.critic_parameters(), strict=True))
