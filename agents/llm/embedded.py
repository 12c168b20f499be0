"""The policy that needs no download: a character tokenizer and a small Llama, warm-started and cached.

It becomes an ordinary `save_pretrained` folder; whoever trains it does not know where the folder came from.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from rlenvs import __version__
from rlenvs.agents.llm.config import EmbeddedConfig, EnvConfig
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.sft.data import ENV_LIMIT, demonstrations_of_env, texts
from rlenvs.agents.llm.warm_start import Progress, warm_start
from rlenvs.agents.runs.environments import problem_source
from rlenvs.errors import RunFolderError
from rlenvs.extras import require

SPECIAL = PAD, EOS, UNKNOWN = "<pad>", "<eos>", "<unk>"


def cache_folder() -> Path:
    """Return where warm-started policies are kept: `$RLENVS_CACHE`, else `rlenvs` in the user's cache folder."""
    own = os.environ.get("RLENVS_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rlenvs"


def embedded_policy_folder(
    config: EmbeddedConfig,
    env: EnvConfig,
    max_new_tokens: int,
    seed: int,
    device: torch.device,
    progress: Progress | None = None,
) -> Path:
    """Return a folder with the warm-started policy, from the cache where the same one was made before.

    Args:
        config: size and warm start.
        env: where the demonstrations come from.
        max_new_tokens: limit per answer in the accuracy checks.
        seed: of weights, demonstrations and checks.
        device: where to train.
        progress: called with the optimiser step and the newest accuracy.
    """
    recipe = {
        "version": __version__,
        "torch": torch.__version__,
        "config": config.model_dump(),
        "env": env.model_dump(),
        "max_new_tokens": max_new_tokens,
        "seed": seed,
    }
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]
    folder = cache_folder() / "warm-start" / digest
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(
            f"cannot keep the warm-started policy in {str(folder.parent)!r} ({error.strerror}): set RLENVS_CACHE to a "
            "folder that can be written to"
        ) from error
    goal = config.warm_start
    has_target = goal.target_accuracy is not None
    limit = ENV_LIMIT if has_target else min(ENV_LIMIT, goal.max_steps * goal.batch_size)  # no more than are looked at
    problems = problem_source(env.id, env.kwargs).problems("train", limit=limit, seed=seed) if has_target else []
    demonstrations = demonstrations_of_env(env, limit, seed)
    policy = build_policy(config, texts(demonstrations), seed).to(device)
    warm_start(policy, demonstrations, problems, env, goal, max_new_tokens, seed, progress)
    _store(policy, recipe, folder)
    return folder


def build_policy(config: EmbeddedConfig, texts: Iterable[str], seed: int) -> Policy:
    """Return a new policy with random weights.

    Args:
        config: its size, and its alphabet where that is not to be found.
        texts: where the alphabet is found: what the policy will read and write.
        seed: of the weights.
    """
    transformers = require("transformers", "llm", "the embedded policy")
    alphabet = config.alphabet or "".join(sorted(set().union(*texts)))
    tokenizer = character_tokenizer(alphabet)
    # transformers draws initial weights from torch's global stream; the fork gives it ours and restores the caller's.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.LlamaForCausalLM(llama_config(config, len(tokenizer)))
    return Policy(model, tokenizer)


def llama_config(config: EmbeddedConfig, vocabulary: int) -> Any:
    """Return the shape of the embedded policy, for a tokenizer with that many tokens."""
    transformers = require("transformers", "llm", "the embedded policy")
    return transformers.LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=config.hidden_size,
        intermediate_size=3 * config.hidden_size,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        max_position_embeddings=config.max_positions,
        tie_word_embeddings=False,
        pad_token_id=SPECIAL.index(PAD),
        eos_token_id=SPECIAL.index(EOS),
        bos_token_id=None,
    )


def character_tokenizer(alphabet: str) -> Any:
    """Return a `transformers` tokenizer with one token per character.

    Args:
        alphabet: the characters; ids follow their order after padding, end of sequence and unknown.

    Example:
        >>> tokenizer = character_tokenizer("0123456789+=")
        >>> tokenizer("7+8=")["input_ids"], tokenizer.decode([4, 8])
        ([10, 13, 11, 14], '15')
    """
    tokenizers = require("tokenizers", "llm", "the embedded policy")
    transformers = require("transformers", "llm", "the embedded policy")
    vocabulary = {token: index for index, token in enumerate([*SPECIAL, *dict.fromkeys(alphabet)])}
    core = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token=UNKNOWN))
    core.pre_tokenizer = tokenizers.pre_tokenizers.Split(tokenizers.Regex(r"[\s\S]"), "isolated")
    core.decoder = tokenizers.decoders.Fuse()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token=PAD, eos_token=EOS, unk_token=UNKNOWN, clean_up_tokenization_spaces=False
    )


def _store(policy: Policy, recipe: dict[str, Any], folder: Path) -> None:
    """Write the folder under another name first, so that an interrupted write leaves nothing behind."""
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=folder.parent))
    try:
        policy.save(draft)
        (draft / "recipe.json").write_text(json.dumps(recipe, indent=2))
        draft.chmod(0o755)
        draft.rename(folder)
    except OSError:
        if not folder.is_dir():  # otherwise another process stored the same policy first
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
