"""The benchmark of the language-model agent measures complete iterations of what it says, in turns."""

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks"
SMALL = ["--samples", "4", "--new", "8", "--minibatches", "2", "--layers", "1", "--width", "64", "--threads", "1"]
# A peer of the benchmark: speaks the protocol and does nothing else.
PEER = """
import sys
sys.path.insert(0, {folder!r})
from turn_taking import Contender
contender = Contender()
print("libraries print")
going = contender.ready(trl="0.0")
while going:
    going = contender.done(tokens=0)
"""


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location("llm_ppo_benchmark", FOLDER / "llm_ppo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def trainer_of(benchmark: ModuleType, folder: Path, *arguments: str, settings: tuple[str, ...] = ()) -> Any:
    args = benchmark.parse([*SMALL, *arguments, "--settings", *settings])
    benchmark.write_model(folder, args.layers, args.width, args.ragged, args.new)
    args.model = str(folder)
    return benchmark.make_trainer(args)


def test_a_fixed_load_samples_all_tokens_of_prompts_of_sixteen(benchmark: ModuleType, tmp_path: Path) -> None:
    trainer = trainer_of(benchmark, tmp_path, "--samples", "32", "--new", "64")
    read = benchmark.watch(trainer, iter(range(100_000)).__next__)
    _, records = trainer.iterate()
    encode = trainer.policy.tokenizer
    assert {len(encode(record["prompt"])["input_ids"]) for record in records} == {benchmark.PROMPT}
    assert [record["tokens"] for record in records] == [64] * 32  # by chance, every fifth would end before
    phases = read()
    assert set(phases) == set(benchmark.PHASES)
    assert min(phases.values()) > 0
    assert not any(read().values()), "a reading starts anew"


def test_turns_have_fifty_tokens_of_feedback_between_them(benchmark: ModuleType, tmp_path: Path) -> None:
    trainer = trainer_of(benchmark, tmp_path, "--turns", "3")
    episodes, records = trainer.collector.collect(seed=0)
    assert len(records) == 3 * 4
    for episode in episodes:
        assert len(episode.ids) == 16 + 3 * 8 + 2 * 50
        assert sum(episode.action) == 3 * 8


def test_a_ragged_model_ends_its_answers_after_a_quarter_of_the_limit(benchmark: ModuleType, tmp_path: Path) -> None:
    trainer = trainer_of(benchmark, tmp_path, "--ragged", "--samples", "256", "--new", "64")
    means = []
    for _ in range(3):
        _, records = trainer.iterate()
        lengths = torch.tensor([record["tokens"] for record in records], dtype=torch.float64)
        means.append(lengths.mean())
        assert lengths.min() <= 4
        assert lengths.max() >= 40
    # Lengths deviate by about 17, the mean of 256 by 1.1; training must not move it.
    assert all(abs(mean - 16) < 4 for mean in means), means


@pytest.mark.parametrize("variant", ["defaults", "bfloat16"])
def test_the_fast_variants_learn_what_the_cautious_one_learns(
    benchmark: ModuleType, tmp_path: Path, variant: str
) -> None:
    """The variants of the table do the same work: same answers, and metrics that differ by rounding alone."""
    settings = ("ppo.learning_rate=1e-3",)
    plain = trainer_of(benchmark, tmp_path / "a", settings=(*settings, *benchmark.VARIANTS["cautious"]))
    fast = trainer_of(benchmark, tmp_path / "b", settings=(*settings, *benchmark.VARIANTS[variant]))
    (expected, told), (found, said) = plain.iterate(), fast.iterate()
    exact = variant == "defaults"
    if exact:
        assert [record["response"] for record in told] == [record["response"] for record in said]
    tolerance = 1e-4 if exact else 0.1
    for name in ("value_loss", "policy_loss", "kl"):
        assert found[name] == pytest.approx(expected[name], abs=tolerance, rel=tolerance), name


def test_contenders_take_turns_and_the_table_compares_them(
    benchmark: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "peer.py"
    script.write_text(PEER.format(folder=str(FOLDER)))
    with (tmp_path / "log").open("w+") as log:
        with benchmark.Process("TRL PPO", [sys.executable, str(script)], 1, log) as peer:
            peer.wait()
            assert peer.facts == {"trl": "0.0"}
            for number in range(3):
                peer.turn(keep=number > 0)
        assert peer.process.returncode == 0, "the end of its input ends a contender"
        log.seek(0)
        assert "libraries print" in log.read()
    assert len(peer.turns) == 2
    peer.turns = [{"seconds": {"wall": s}, "tokens": 0, "peak": 3 << 20, "resting": 1 << 20} for s in (4.0, 2.0, 3.0)]
    own = benchmark.Process.__new__(benchmark.Process)
    own.name, own.facts = "ours", {}
    phases = {"generate": 0.5, "env+reward": 0.015, "score": 0.5, "update": 0.4}
    own.turns = [{"seconds": {"wall": 1.5}, "tokens": 300, "peak": 2 << 20, "resting": 1 << 20, "phases": phases}]
    benchmark.show("fixed", [own, peer], benchmark.parse([]))
    ours, theirs = (line.split(" | ") for line in capsys.readouterr().out.splitlines()[-2:])
    assert ours[1:5] == ["1.500", "1.500-1.500", "42.7", "200"]
    assert ours[6] == "0.015 (1.0%)"
    assert ours[9:] == ["2", "1", "2.00x |"]
    assert theirs[1:4] == ["3.000", "2.000-4.000", "21.3"]
    assert theirs[-1] == "1.00x |"


def test_a_contender_that_fails_says_why(benchmark: ModuleType, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no TRL here')"]
    expected = pytest.raises(RuntimeError, match=r"TRL GRPO ended with code 1:\nno TRL here")
    with (tmp_path / "log").open("w+") as log, benchmark.Process("TRL GRPO", command, 1, log) as peer, expected:
        peer.wait()


def test_peers_download_nothing_and_tell_nobody(benchmark: ModuleType, tmp_path: Path) -> None:
    show = "import json, os; print(json.dumps(dict(os.environ)))"
    with (tmp_path / "log").open("w+") as log, benchmark.Process("any", [sys.executable, "-c", show], 2, log) as peer:
        peer.wait()
    expected = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}
    assert expected.items() <= peer.facts.items()
    assert peer.facts["OMP_NUM_THREADS"] == "2"
    assert json.dumps(peer.facts)


@pytest.mark.slow
def test_a_small_run_prints_every_table(benchmark: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    benchmark.main(
        [*SMALL, "--iterations", "1", "--warmup", "0", "--variants", "defaults", "--loads", "ragged", "turns"]
    )
    printed = capsys.readouterr().out
    for row in ("ours, defaults", "1 turn", "2 turns", "3 turns"):
        assert re.search(rf"^\| {row} \| [\d.]+ \|", printed, re.MULTILINE), row
    assert "the second turn adds" in printed
