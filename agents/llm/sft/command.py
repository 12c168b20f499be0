"""`rlenvs sft`, from its arguments to its exit code."""

from collections.abc import Sequence

from rlenvs.agents.llm.command import quieten_transformers, shipped_config, with_output
from rlenvs.agents.llm.evaluation import held_out_problems
from rlenvs.agents.llm.policy.loading import resolve_device
from rlenvs.agents.llm.run_folder import choose_run_folder
from rlenvs.agents.llm.sft.config import SFTConfig
from rlenvs.agents.llm.sft.data import ASSISTANT, read_demonstrations
from rlenvs.agents.llm.sft.launch import resume, sft
from rlenvs.agents.llm.signals import stop_on_signal
from rlenvs.agents.reporting import make_view
from rlenvs.config_file import dump_config

DEFAULT_CONFIG = "arithmetic.yaml"


def run_cli(
    config_path: str | None,
    overrides: Sequence[str],
    resume_dir: str | None,
    dry_run: bool,
    output: str | None,
    plain: bool,
) -> int:
    """Carry out `rlenvs sft`; returns the exit code."""
    quieten_transformers()
    view = make_view(plain=True if plain else None)
    if resume_dir is not None:
        with stop_on_signal(view.log) as stop:
            return stop.exit_code if resume(resume_dir, view=view, stop=stop).interrupted else 0
    with shipped_config("sft", config_path or DEFAULT_CONFIG) as path:
        config = SFTConfig.load(path, with_output(overrides, output))
    if dry_run:
        print(rehearsal(config), end="")  # noqa: T201 - this is the output of the command
        return 0
    with stop_on_signal(view.log) as stop:
        return stop.exit_code if sft(config, view=view, stop=stop).interrupted else 0


def rehearsal(config: SFTConfig) -> str:
    """Return the resolved configuration as YAML, and as comments what its data hold; no model is loaded.

    Raises:
        UserError: data, environment, device or folder cannot be used.
    """
    resolve_device(config.device)
    choose_run_folder(config)
    demonstrations = read_demonstrations(config.data, config.env, config.seed)
    turns = sum(message["role"] == ASSISTANT for found in demonstrations for message in found.messages)
    facts = [f"{len(demonstrations)} demonstrations with {turns} messages of the assistant"]
    if config.env is not None:
        problems = held_out_problems(config.env.id, config.env.kwargs, config.evaluation.problems, config.seed)
        facts.append(f"{len(problems)} held-out problems of {config.env.id}")
    return "".join(f"# {fact}\n" for fact in facts) + dump_config(config)
