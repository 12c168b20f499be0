"""The GPU benchmark runs without a GPU on toy models, and counts what it counts by known rules."""

import importlib.util
import json
import re
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def benchmark():
    sys.path.insert(0, str(FOLDER))
    spec = importlib.util.spec_from_file_location("gpu_benchmark", FOLDER / "gpu.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(FOLDER))


@pytest.mark.slow
@pytest.mark.ci
def test_a_tiny_run_prints_every_table_and_writes_the_figures(benchmark, tmp_path, capsys):
    precision = torch.get_float32_matmul_precision()
    path = tmp_path / "figures.json"
    benchmark.main(["--device", "cpu", "--tiny", "--models", "0.5b", "--json", str(path)])
    torch.set_float32_matmul_precision(precision)
    printed = capsys.readouterr().out
    for title in ("0.5b: decoding", "0.5b: training", "prime-rl's"):
        assert f"## {title}" in printed or f"## Beside it: {title}" in printed
    assert len(re.findall(r"^\| (?:1|4) \| [\d,]+ \| [\d,]+ \([\d.]+%\) \| [\d,]+ \([\d.]+%\) \|$", printed, re.M)) == 2
    figures = json.loads(path.read_text())
    assert figures["limits"]["copy_bytes_per_second"] > 0
    for found in figures["models"].values():
        ours, adapters, plain = found["training"]
        assert ours["rate"] > 0
        assert adapters["flops_per_token"] < ours["flops_per_token"] == plain["flops_per_token"]
        # 4 micro-batch rows of 32 tokens, 31 predicted, all at once; ours holds those that were sampled.
        assert plain["logits"] == 4 * 31 * 512 * 4
        assert ours["logits"] == 4 * 24 * 512 * 4


def test_operations_are_counted_as_in_the_textbook(benchmark):
    from gpu_parts.models import TINY, model_config
    from gpu_parts.training import flops_per_token

    model = AutoModelForCausalLM.from_config(model_config(TINY["llama-1b"]))
    layer = 64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 128 + 2 * 64
    weights = 2 * layer + 64 + 0.75 * 512 * 64
    attention = 3 * 2 * 32 * 64 * 2
    args = Namespace(length=32)
    assert flops_per_token(model, args, trains_all=True) == 6 * weights + attention
    assert flops_per_token(model, args, trains_all=False) == 4 * weights + attention


def test_the_decode_bound_reads_weights_once_and_the_cache_of_every_row(benchmark):
    from gpu_parts.decoding import step_bytes
    from gpu_parts.models import TINY, model_config

    model = AutoModelForCausalLM.from_config(model_config(TINY["0.5b"]), dtype=torch.bfloat16)
    weights = sum(parameter.numel() for parameter in model.parameters()) * 2
    cached = 2 * 2 * 2 * 16 * 2  # keys and values, layers, heads, width, bytes
    assert step_bytes(model, 5, 100) == weights + 5 * 100 * cached


def test_without_cuda_it_says_how_to_try_it(benchmark, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        benchmark.main([])
    assert "`--device cpu --tiny` tries the script without one" in capsys.readouterr().err
