"""How models are held when they are loaded, and what cannot be loaded."""

import importlib
import json

import pytest
import torch
from llm_episodes import CPU, random_episodes
from tiny import tiny_policy
from tiny_models import tiny_model_policy

from rlenvs.agents.llm.config import AdapterConfig, MemoryConfig, PolicyConfig, TrainConfig
from rlenvs.agents.llm.policy.loading import check_source, load_policy, load_reference
from rlenvs.agents.llm.policy.options import ForwardOptions
from rlenvs.agents.llm.rollout.batch import collate
from rlenvs.errors import ConfigError, MissingExtraError, ModelLoadError

LORA = AdapterConfig(rank=2, alpha=4)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "base"
    tiny_model_policy("llama").save(path)
    return path


def change(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def scores(policy):
    batch = collate(random_episodes(6), 0, CPU)
    with torch.no_grad():
        return policy.evaluate(batch.ids_BL, batch.attention_BL, batch.action_BL, 1.0).logprobs_M


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_attention_kernel_is_the_configured_one(folder, attention):
    policy = load_policy(folder, CPU, PolicyConfig(model="x", attention=attention))
    assert policy.model.config._attn_implementation == attention
    torch.testing.assert_close(scores(policy), scores(load_policy(folder, CPU)), atol=1e-5, rtol=1e-5)


def test_a_kernel_that_is_not_installed_is_one_clear_line(folder):
    with pytest.raises(ModelLoadError, match=r"cannot load folder .*[Ff]lash") as caught:
        load_policy(folder, CPU, PolicyConfig(model="x", attention="flash_attention_2"))
    assert "\n" not in str(caught.value)


def test_memory_options_reach_policy_and_reference(folder):
    config, memory = PolicyConfig(model="x"), MemoryConfig(autocast="bfloat16", logprob_chunk=3)
    policy = load_policy(folder, CPU, config, memory)
    reference = load_reference(policy, folder, config, memory)
    assert policy.options == reference.policy.options == ForwardOptions(3, torch.bfloat16, packing=True)
    assert not any(parameter.requires_grad for parameter in reference.policy.parameters())


@pytest.mark.parametrize("bits", ["4bit", "8bit"])
def test_quantised_bases_say_which_extra_they_need(folder, bits, monkeypatch):
    original = importlib.import_module

    def missing(name, *rest):
        if name == "bitsandbytes":
            raise ModuleNotFoundError("No module named 'bitsandbytes'", name="bitsandbytes")
        return original(name, *rest)

    monkeypatch.setattr(importlib, "import_module", missing)
    config = PolicyConfig(model="x", adapter=LORA, quantize=bits)
    with pytest.raises(MissingExtraError, match=rf"policy.quantize: {bits} needs it; .*rlenvs\[quantize\]"):
        load_policy(folder, CPU, config)


@pytest.mark.parametrize("bits", ["4bit", "8bit"])
@pytest.mark.parametrize("critic", ["detached", "adapter"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_adapters_learn_on_a_quantised_base(tmp_path, bits, critic):
    pytest.importorskip("bitsandbytes")
    folder = tmp_path / "base"
    tiny_policy(hidden_size=64).save(folder)  # its kernels take rows in blocks of 64
    config = PolicyConfig(model="x", adapter=LORA, quantize=bits)
    policy = load_policy(folder, CPU, config, critic=critic)
    reference = load_reference(policy, folder, config)
    stored = policy.model.base_model.model.model.layers[0].mlp.up_proj.base_layer.weight
    assert stored.dtype in (torch.uint8, torch.int8)
    before = scores(policy)
    assert (before - scores(load_policy(folder, CPU))).abs().mean() < 1.0
    assert torch.equal(scores_of(reference), before)
    optimizer = torch.optim.SGD(policy.policy_parameters(), lr=0.05)
    batch = collate(random_episodes(6), 0, CPU)
    for _ in range(2):
        optimizer.zero_grad()
        policy.evaluate(batch.ids_BL, batch.attention_BL, batch.action_BL, 1.0).logprobs_M.sum().backward()
        optimizer.step()
    assert (scores(policy) - before).abs().max() > 1e-3
    assert torch.equal(scores_of(reference), before)
    assert all(".default." in name or ".critic." in name or name.startswith("critic.") for name in policy.state_dict())


def scores_of(reference):
    batch = collate(random_episodes(6), 0, CPU)
    return reference.logprobs(batch.ids_BL, batch.attention_BL, batch.action_BL, 1.0)


def test_a_model_without_a_padding_token_is_padded_with_what_is_masked(folder):
    expected = scores(load_policy(folder, CPU))
    change(folder / "tokenizer_config.json", pad_token=None)
    policy = load_policy(folder, CPU)
    assert policy.tokenizer.pad_token_id is None
    assert policy.pad_id == policy.eos_id
    assert torch.equal(scores(policy), expected)


def test_a_model_without_an_end_token_is_one_clear_line(folder):
    change(folder / "tokenizer_config.json", eos_token=None)
    with pytest.raises(ModelLoadError, match="has no eos_token: answers could never end") as caught:
        load_policy(folder, CPU)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_a_model_without_a_tokenizer_is_one_clear_line(tmp_path, kind):
    folder = tmp_path / "base"
    tiny_model_policy(kind).save(folder)
    for file in folder.glob("token*"):
        file.unlink()
    with pytest.raises(ModelLoadError, match=r"'.*base' has no tokenizer: save the one of the model there") as caught:
        load_policy(folder, CPU)
    assert "\n" not in str(caught.value)


def test_what_is_no_model_says_what_it_is(folder, tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    folder.rename(tmp_path / "run" / "model")
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    for source, message in {
        "run": r"'run' is no model folder \(no config.json in it\); did you mean 'run/model'\?",
        "empty": r"'empty' is no model folder \(no config.json in it\)$",
        "file": "'file' is a file: name the folder",
        "/no/such/folder": "there is no folder '/no/such/folder', and a hub id is like",
        "~/model": "there is no folder '~/model'",
    }.items():
        with pytest.raises(ModelLoadError, match=message):
            load_policy(source, CPU)
    for source in ("run/model", "gpt2", "Qwen/Qwen2.5-0.5B-Instruct"):
        check_source(source)


def test_the_seed_decides_what_a_new_adapter_starts_from(folder):
    def starts(seed):
        policy = load_policy(folder, CPU, PolicyConfig(model="x", adapter=LORA), seed=seed)
        return torch.cat([p.detach().flatten() for p in policy.policy_parameters()])

    assert torch.equal(starts(3), starts(3))
    assert not torch.equal(starts(3), starts(4))


def test_an_adapter_of_other_layers_is_refused(folder, tmp_path):
    made = LORA.model_copy(update={"target_modules": ["q_proj", "v_proj"]})
    load_policy(folder, CPU, PolicyConfig(model="x", adapter=made)).save(tmp_path / "sft")
    load_policy(tmp_path / "sft", CPU, PolicyConfig(model="x", adapter=made))
    other = LORA.model_copy(update={"target_modules": ["q_proj", "k_proj"]})
    with pytest.raises(
        ConfigError, match=r"target_modules: .* changes \['q_proj', 'v_proj'\], not \['k_proj', 'q_proj'\]"
    ):
        load_policy(tmp_path / "sft", CPU, PolicyConfig(model="x", adapter=other))


def test_adapters_that_are_not_lora_are_refused(folder, tmp_path):
    load_policy(folder, CPU, PolicyConfig(model="x", adapter=LORA)).save(tmp_path / "other")
    description = tmp_path / "other" / "adapter_config.json"
    description.write_text(
        json.dumps({"peft_type": "IA3", "base_model_name_or_path": str(folder), "task_type": "CAUSAL_LM"})
    )
    with pytest.raises(ModelLoadError, match="only LoRA adapters can be trained"):
        load_policy(tmp_path / "other", CPU)


def test_an_adapter_finds_its_base_in_a_run_folder_that_was_moved(folder, tmp_path):
    policy = load_policy(folder, CPU, PolicyConfig(model="x", adapter=LORA))
    run = tmp_path / "run"
    folder.rename(tmp_path / "start")
    policy.name_base(run / "start")
    policy.save(run / "model")
    (tmp_path / "start").rename(run / "start")
    run.rename(tmp_path / "moved")
    assert torch.equal(scores(load_policy(tmp_path / "moved" / "model", CPU)), scores(policy))


def test_an_adapter_names_its_base_for_readers_elsewhere(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder.parent)
    policy = load_policy(folder.name, CPU, PolicyConfig(model="x", adapter=LORA))
    policy.save(tmp_path / "adapted")
    monkeypatch.chdir("/")
    assert torch.equal(scores(load_policy(tmp_path / "adapted", CPU)), scores(policy))


def test_an_adapter_that_names_no_base_is_refused(folder, tmp_path):
    load_policy(folder, CPU, PolicyConfig(model="x", adapter=LORA)).save(tmp_path / "sft")
    change(tmp_path / "sft" / "adapter_config.json", base_model_name_or_path=None)
    with pytest.raises(ModelLoadError, match="does not name its base"):
        load_policy(tmp_path / "sft", CPU)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ppo": {"critic": "adapter"}}, "critic: 'adapter' needs .*set policy.adapter"),
        (
            {"ppo": {"critic": "copy"}, "policy": {"model": "x", "quantize": "4bit", "adapter": {}}},
            "critic: 'copy' would train a copy of quantised weights",
        ),
    ],
)
def test_critics_without_a_base_are_refused_before_a_model_is_loaded(changes, words):
    base = {
        "env": {"id": "rlenvs/Arithmetic-v0"},
        "rewards": {"reward_components": {"right": {"class": "CorrectnessReward"}}},
    }
    with pytest.raises(ConfigError, match=words):
        TrainConfig.load(base | changes)
    changes["ppo"]["estimator"] = "reinforce"
    assert not TrainConfig.load(base | changes).ppo.uses_critic
