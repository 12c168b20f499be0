"""What processes ask each other, how shares are dealt, who started them, and what is refused."""

import pytest
import torch
from shared_runs import ask_everything, fail
from tiny import TINY_RUN

from rlenvs.agents.llm.config import MemoryConfig, TrainConfig
from rlenvs.agents.llm.launch import share_of_episodes
from rlenvs.agents.llm.memory.micro_batches import MicroBatches
from rlenvs.agents.llm.processes import ALONE, Processes
from rlenvs.agents.llm.processes.data_parallel import buckets, stack_rows
from rlenvs.agents.llm.processes.joining import joined
from rlenvs.agents.llm.processes.launch import Launch, decided_by_main
from rlenvs.agents.llm.processes.metrics import join_rollout_metrics
from rlenvs.errors import ConfigError, DeviceError


class One(Processes):
    def __init__(self, rank: int, count: int) -> None:
        self.rank, self.count = rank, count


def test_two_processes_answer_each_other(pair):
    mine, other = pair.run(ask_everything)
    assert mine[:2] == [0, True]
    assert other[:2] == [1, False]
    assert mine[2:4] == [3.0, 1.0]  # a sum changes nothing
    assert other[2:4] == [3.0, 2.0]
    assert mine[4] == other[4] == [{"rank": 0}, {"rank": 1}]
    assert mine[5] == other[5] == "of 0"
    assert mine[6:8] == other[6:8] == [True, False]
    assert (mine[8:10], other[8:10]) == ([8, 0], [4, 8])
    assert mine[10] == other[10] == [[[1.0, 1.0], [2.0, 0.0], [2.0, 0.0]], None]


@pytest.mark.parametrize("who", [0, 1])
def test_what_fails_in_one_process_fails_in_all_and_they_can_still_talk(pair, who):
    answers = pair.run(fail, who)
    own, others = "EngineError: the engine is gone", "PeerError: process {} failed: EngineError: the engine is gone"
    for rank, (first, second, third, last) in enumerate(answers):
        assert first == (own if rank == who else others.format(who))
        assert second == "1 of 2"
        assert third == (own if rank == 0 else others.format(0))
        assert last == "by 0"


@pytest.mark.parametrize(("total", "unit", "count"), [(24, 1, 5), (24, 4, 4), (12, 4, 2), (7, 7, 1), (16, 2, 8)])
def test_shares_are_whole_groups_and_all_there_is(total, unit, count):
    shares = [One(rank, count).share(total, unit) for rank in range(count)]
    assert sum(shares) == total
    assert all(share % unit == 0 for share in shares)
    assert max(shares) - min(shares) <= unit
    assert [One(rank, count).first(total, unit) for rank in range(count)] == [
        sum(shares[:rank]) for rank in range(count)
    ]


def test_more_processes_than_groups_are_refused():
    config = TrainConfig.load(TINY_RUN | {"rollout": TINY_RUN["rollout"] | {"samples_per_prompt": 12}})
    assert share_of_episodes(config, One(1, 2)) == 12
    with pytest.raises(ConfigError, match=r"rollout.episodes: must be >= 36, .* 3 processes, got 24"):
        share_of_episodes(config, One(0, 3))


def test_alone_nothing_is_waited_for_and_nothing_changes():
    tensor = torch.tensor([1.0])
    assert ALONE.sum(tensor) is tensor
    assert ALONE.gather_rows([tensor[None], None]) == [tensor[None], None]
    assert ALONE.on_main(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        ALONE.together(lambda: 1 // 0)


def test_gradients_travel_in_buckets_of_one_type():
    tensors = [torch.zeros(n, dtype=dtype) for n, dtype in [(3, torch.float32), (3, torch.float32), (3, torch.bfloat16), (99, torch.float32), (1, torch.float32)]]  # fmt: skip
    found = [[tensor.numel() for tensor in bucket] for bucket in buckets(tensors, size=24)]
    assert found == [[3, 3], [3], [99], [1]]


def test_rows_of_different_lengths_are_stacked():
    stacked = stack_rows(
        [torch.ones(1, 2, dtype=torch.bool), torch.zeros(0, 0, dtype=torch.bool), torch.ones(2, 1, dtype=torch.bool)]
    )
    assert stacked.tolist() == [[True, True], [True, False], [True, False]]


def test_metrics_of_rollouts_are_joined_by_what_they_count():
    joined_metrics = join_rollout_metrics(
        [
            {
                "rollout/episodes": 6.0,
                "rollout/turns": 1.0,
                "rollout/refills": 3.0,
                "time/env": 0.5,
                "rollout/dropped_groups": 2.0,
            },
            {
                "rollout/episodes": 2.0,
                "rollout/turns": 3.0,
                "rollout/refills": 1.0,
                "time/env": 0.7,
                "rollout/dropped_groups": 1.0,
            },
        ]
    )
    assert joined_metrics == {
        "rollout/episodes": 8.0, "rollout/turns": 1.5, "rollout/refills": 3.0, "time/env": 0.7, "rollout/dropped_groups": 3.0
    }  # fmt: skip


def test_without_memory_a_model_in_shares_says_what_to_lower():
    """One process cannot make smaller passes than the others wait for."""

    def starve():
        raise torch.OutOfMemoryError("no memory")

    with pytest.raises(DeviceError, match=r"micro-batches of 8 sequences: lower memory.micro_batch_size"):
        MicroBatches(MemoryConfig(micro_batch_size=8), can_shrink=False).survive(starve)


@pytest.fixture
def started(monkeypatch):
    """Set the variables of torchrun."""

    def start(**variables: str) -> None:
        for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return start


def test_a_process_that_nobody_started_is_alone(started, tmp_path):
    for variables in ({}, {"WORLD_SIZE": "1", "RANK": "0"}):
        started(**variables)
        assert Launch.from_environment() is None
        with joined(TrainConfig.model_fields["distributed"].default, "cpu") as processes:
            assert processes is ALONE
        assert decided_by_main("place", lambda: tmp_path) == tmp_path


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WORLD_SIZE": "2"}, "RANK must be a number, got '': start the processes with torchrun"),
        ({"WORLD_SIZE": "many", "RANK": "0"}, "WORLD_SIZE must be a number, got 'many'"),
        ({"WORLD_SIZE": "2", "RANK": "1"}, "WORLD_SIZE is set but MASTER_ADDR is not"),
        ({"WORLD_SIZE": "2", "RANK": "2", "MASTER_ADDR": "x", "MASTER_PORT": "1"}, r"RANK must be in 0\.\.1"),
    ],
)
def test_half_of_what_torchrun_says_is_refused(started, variables, message):
    started(**variables)
    with pytest.raises(ConfigError, match=message):
        Launch.from_environment()


def test_a_process_needs_a_gpu_of_its_own(started, monkeypatch):
    started(WORLD_SIZE="2", RANK="1", LOCAL_RANK="1", MASTER_ADDR="127.0.0.1", MASTER_PORT="1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with (
        pytest.raises(DeviceError, match=r"process 1 of this machine has no GPU of its own \(there are 1\)"),
        joined(TrainConfig.model_fields["distributed"].default, "cuda"),
    ):
        pass


@pytest.mark.parametrize(
    "section",
    [
        {"memory": {"offload_optimizer": True}},
        {"memory": {"offload_reference": True}},
        {"memory": {"compile": True}},
        {"memory": {"optimizer": "adamw_8bit"}},
        {"policy": {"model": "x", "adapter": {}, "quantize": "4bit"}},
    ],
)
def test_what_shares_do_not_work_with_is_refused(section):
    TrainConfig.load(TINY_RUN | section)
    with pytest.raises(ConfigError, match=r"does not work with distributed.strategy: fsdp2"):
        TrainConfig.load(TINY_RUN | section | {"distributed": {"strategy": "fsdp2"}})
