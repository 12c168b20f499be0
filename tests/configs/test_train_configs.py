"""The training configurations that ship: each loads, each can be tried without a network, each says what it takes."""

import json
import re
from importlib import resources

import pytest
import torch
import yaml
from transformers import Qwen2Config

from rlenvs.agents.llm.config import TrainConfig
from rlenvs.agents.llm.memory.estimate import estimate_memory
from rlenvs.cli import main

FOLDER = resources.files("rlenvs.configs") / "train"
FILES = sorted(path.name for path in FOLDER.iterdir() if path.name.endswith(".yaml"))
NAMES = [name for name in FILES if not name.startswith("sb3_")]
"""Of runs of language models; those of Stable-Baselines3 are in test_sb3_configs.py."""
EMBEDDED = {"arithmetic.yaml", "instructions.yaml", "retry.yaml", "steps.yaml"}
QWEN = {"vocab_size": 151_936, "num_key_value_heads": 2, "tie_word_embeddings": True}
SHAPES = {
    "Qwen/Qwen2.5-0.5B-Instruct": QWEN
    | {"hidden_size": 896, "intermediate_size": 4_864, "num_hidden_layers": 24, "num_attention_heads": 14},
    "Qwen/Qwen2.5-Coder-1.5B-Instruct": QWEN
    | {"hidden_size": 1_536, "intermediate_size": 8_960, "num_hidden_layers": 28, "num_attention_heads": 12},
    "Qwen/Qwen2.5-7B-Instruct": QWEN
    | {"hidden_size": 3_584, "intermediate_size": 18_944, "num_hidden_layers": 28, "num_attention_heads": 28}
    | {"num_key_value_heads": 4, "vocab_size": 152_064, "tie_word_embeddings": False},
}


def load(name: str, *overrides: str) -> TrainConfig:
    return TrainConfig.load(FOLDER / name, list(overrides))


def small_model(folder) -> str:
    """A folder that holds a model's configuration and nothing else: more is not read."""
    shape = {"vocab_size": 50, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    Qwen2Config(**shape, num_attention_heads=4, num_key_value_heads=2).save_pretrained(folder)
    return str(folder)


def test_these_configurations_ship():
    assert NAMES == [
        "arithmetic.yaml",
        "code.yaml",
        "gsm8k.yaml",
        "instruct.yaml",
        "instructions.yaml",
        "retry.yaml",
        "rlhf_lora.yaml",
        "steps.yaml",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_loads_and_says_what_it_is_for(name):
    config = load(name)
    assert f"{config.name}.yaml" == name
    assert (config.policy.model == "embedded") == (name in EMBEDDED)
    first = (FOLDER / name).read_text(encoding="utf-8").splitlines()[0]
    assert re.fullmatch(r"# [A-Z].{40,}", first)


def dry_run(arguments: list[str], capsys) -> tuple[TrainConfig, list[str]]:
    """What `rlenvs train --dry-run` prints: a configuration that loads again, and the memory as comments."""
    assert main(["train", *arguments, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    comments = [line[2:] for line in printed.splitlines() if line.startswith("# ")]
    return TrainConfig.load(yaml.safe_load(printed)), comments


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("code.yaml", "gsm8k.yaml")])
def test_a_dry_run_needs_no_network_and_ends_with_the_memory(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = [name, "device=cpu"]
    if name not in EMBEDDED:
        arguments.append(f"policy.model={small_model(tmp_path / 'model')}")
    if name == "rlhf_lora.yaml":
        arguments += ["--no-reward", "quality"]
    config, comments = dry_run(arguments, capsys)
    assert comments[0] == (
        f"memory on cpu in {'GiB' if 'GiB' in comments[0] else 'MiB'}, at most: "
        f"every episode {config.rollout.context_tokens} tokens long"
    )
    assert any(line.startswith("peak ") for line in comments)
    assert not (tmp_path / "runs").exists()


def test_gsm8k_reads_the_same_records_from_a_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    records = [
        {"question": f"3 bags of {n} marbles. How many?", "answer": f"3*{n}=<<3*{n}={3 * n}>>{3 * n}\n#### {3 * n}"}
        for n in range(2, 40)
    ]
    (tmp_path / "gsm8k_train.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    source = "env.kwargs.source={name: jsonl, path: gsm8k_train.jsonl}"
    config, comments = dry_run(
        ["gsm8k.yaml", source, "device=cpu", f"policy.model={small_model(tmp_path / 'model')}"], capsys
    )
    assert config.env.kwargs["source"]["name"] == "jsonl"
    assert any(line.startswith("peak ") for line in comments)


def test_the_instruction_run_is_the_one_that_is_described():
    config = load("rlhf_lora.yaml")
    adapter = config.policy.adapter
    assert (adapter.rank, adapter.alpha, len(adapter.target_modules)) == (16, 32, 7)
    assert ("KLEarlyStop", {"threshold": 0.15, "patience": 10}) in [(c.class_name, c.params) for c in config.callbacks]
    without = TrainConfig.load(FOLDER / "rlhf_lora.yaml", [], ["quality"])
    assert set(config.rewards.reward_components) - set(without.rewards.reward_components) == {"quality"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "gigabytes", "overrides"),
    [
        ("gsm8k.yaml", 24, []),
        ("code.yaml", 80, []),
        (
            "code.yaml",
            32,
            ["policy.adapter={rank: 32, alpha: 64}", "policy.dtype=bfloat16", "rollout.engine.dtype=null"],
        ),
        ("rlhf_lora.yaml", 40, []),
        ("rlhf_lora.yaml", 24, ["policy.quantize=4bit"]),
    ],
)
def test_the_gpu_that_a_configuration_names_is_large_enough(name, gigabytes, overrides, monkeypatch):
    """With a tenth for fragments, what CUDA takes, and 1.7 GB of the reward model where there is one."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    config = load(name, "device=cuda", *overrides)
    assert re.search(rf"\b{gigabytes} GB", (FOLDER / name).read_text(encoding="utf-8"))
    peak = estimate_memory(config, Qwen2Config(**SHAPES[config.policy.model])).peak
    others = 1.7e9 if name == "rlhf_lora.yaml" else 0.0
    assert 1.1 * peak + 0.5e9 + others < gigabytes * 1e9
    assert peak > 0.4 * gigabytes * 1e9, "a smaller one would do"
