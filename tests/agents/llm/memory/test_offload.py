"""Offloading: what waits in main memory comes back as it went, and nothing that is learned depends on it.

Where there is no second device, the weights on "the device" are copies of those that wait: other addresses, same bytes.
"""

import copy

import pytest
import torch
from llm_episodes import CPU, random_episodes
from tiny import TINY_RUN, tiny_policy

from rlenvs.agents.llm.config import TrainConfig
from rlenvs.agents.llm.learner.learner import Learner
from rlenvs.agents.llm.memory.offload import OffloadedReference, ParkedModule, offload_reference, on_device
from rlenvs.agents.llm.policy.reference import FrozenCopy
from rlenvs.agents.llm.rollout.batch import collate


def places(module) -> dict[str, int]:
    return {name: tensor.data_ptr() for name, tensor in [*module.named_parameters(), *module.named_buffers()]}


def tied_policy():
    policy = tiny_policy()
    policy.model.lm_head.weight = policy.model.model.embed_tokens.weight
    return policy


def test_a_parked_module_is_in_its_waiting_place_except_between_enter_and_leave():
    policy = tied_policy().requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in policy.state_dict().items()}
    first = places(policy)
    parked = ParkedModule(policy, CPU)
    waiting = places(policy)
    assert not set(first.values()) & set(waiting.values())
    for _ in range(2):
        parked.enter()
        assert not set(places(policy).values()) & set(waiting.values())
        assert policy.model.lm_head.weight is policy.model.model.embed_tokens.weight
        assert all(torch.equal(tensor, before[name]) for name, tensor in policy.state_dict().items())
        parked.leave()
        assert places(policy) == waiting
    assert parked.bytes() == sum(tensor.nbytes for tensor in [*policy.parameters(), *policy.buffers()])


def test_an_offloaded_reference_scores_the_same_and_leaves_the_device_also_after_an_error():
    plain, moved = FrozenCopy(tiny_policy(1)), OffloadedReference(FrozenCopy(tiny_policy(1)), CPU)
    batch = collate(random_episodes(), plain.policy.pad_id, CPU)
    rows = batch.rows(torch.arange(len(batch)))
    assert torch.equal(moved.logprobs(*rows, 1.0), plain.logprobs(*rows, 1.0))
    assert not moved.parked.resident
    with pytest.raises(RuntimeError), on_device(moved):
        moved.logprobs(rows[0][:, :1], *rows[1:], 1.0)
    assert not moved.parked.resident


def test_several_passes_move_the_weights_once(monkeypatch):
    moved = OffloadedReference(FrozenCopy(tiny_policy(1)), CPU)
    entered = []
    monkeypatch.setattr(moved.parked, "enter", lambda real=moved.parked.enter: (entered.append(1), real()))
    batch = collate(random_episodes(), moved.reference.policy.pad_id, CPU)
    with on_device(moved):
        for row in range(3):
            moved.logprobs(*batch.rows(torch.tensor([row])), 1.0)
            assert moved.parked.resident
    assert len(entered) == 1


def test_on_a_cpu_there_is_nowhere_to_go():
    reference = FrozenCopy(tiny_policy(1))
    assert offload_reference(reference, CPU) is reference
    assert offload_reference(None, torch.device("cuda")) is None
    with on_device(reference):
        pass
    learner = learner_of(offload_optimizer=True, offload_reference=True)
    assert not learner.moments.enabled
    assert isinstance(learner.reference, FrozenCopy)


def learner_of(**memory) -> Learner:
    config = TrainConfig.load(TINY_RUN | {"memory": {"micro_batch_size": 4} | memory})
    return Learner(tiny_policy(0), FrozenCopy(tiny_policy(1)), config, torch.Generator().manual_seed(0))


def test_a_learner_whose_state_moves_learns_the_same_numbers():
    plain, moving = learner_of(), learner_of()
    moving.moments.enabled = True
    moving.reference = OffloadedReference(moving.reference, CPU)
    batch = collate(random_episodes(), plain.policy.pad_id, CPU)
    waiting = []
    for _ in range(3):
        assert moving.learn(batch) == plain.learn(batch)
        waiting.append({key: tensor.data_ptr() for key, tensor in moments(moving).items()})
    assert waiting[0] == waiting[1] == waiting[2]  # the same buffers: nothing piles up
    for mine, other in zip(moving.policy.parameters(), plain.policy.parameters(), strict=True):
        assert torch.equal(mine, other)
    assert all(torch.equal(tensor, moments(plain)[key]) for key, tensor in moments(moving).items())
    assert moving.moments.bytes() == sum(tensor.nbytes for tensor in moments(moving).values()) > 0


def test_gradients_are_gone_while_the_next_rollout_is_sampled():
    learner = learner_of()
    learner.learn(collate(random_episodes(), learner.policy.pad_id, CPU))
    assert all(parameter.grad is None for parameter in learner.policy.parameters())


def test_a_learner_whose_state_moves_resumes_to_the_same_numbers():
    moving, resumed = learner_of(), learner_of()
    moving.moments.enabled = resumed.moments.enabled = True
    batch = collate(random_episodes(), moving.policy.pad_id, CPU)
    moving.learn(batch)
    resumed.load_state_dict(copy.deepcopy(moving.state_dict()))
    resumed.generator.set_state(moving.generator.get_state())
    assert resumed.learn(batch) == moving.learn(batch)
    for mine, other in zip(resumed.policy.parameters(), moving.policy.parameters(), strict=True):
        assert torch.equal(mine, other)


def moments(learner) -> dict[tuple[int, str], torch.Tensor]:
    return {(number, key): tensor for number, key, _, tensor in learner.moments.entries()}
