"""`rlenvs sft`, from its arguments to its exit code."""

from collections.abc import Sequence

from rlenvs.agents.llm.command import quieten_transformers
from rlenvs.agents.llm.policy.loading import check_source
from rlenvs.agents.llm.processes.bystander import view_of
from rlenvs.agents.llm.processes.failing import one_message
from rlenvs.agents.llm.processes.launch import Launch, decided_by_main
from rlenvs.agents.llm.sft.config import SFTConfig
from rlenvs.agents.llm.sft.data import ASSISTANT, read_demonstrations
from rlenvs.agents.llm.sft.launch import resume, sft
from rlenvs.agents.runs.command import AUTO, shipped_config, with_output
from rlenvs.agents.runs.device import resolve_device
from rlenvs.agents.runs.environments import held_out_problems
from rlenvs.agents.runs.resuming import clear_leftovers, find_run
from rlenvs.agents.runs.run_folder import choose_run_folder
from rlenvs.agents.runs.signals import stop_on_signal
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
    """Carry out `rlenvs sft`.

    Args:
        config_path: a file, or the name of a shipped one; None for the default.
        overrides: `key=value`.
        resume_dir: a run folder to go on with; `auto` for the run of this configuration, where there is one.
        dry_run: print the configuration and train nothing.
        output: run folder.
        plain: print lines instead of the live view.

    Returns:
        The exit code.
    """
    quieten_transformers()
    with one_message():
        return _run(config_path, overrides, resume_dir, dry_run, output, plain)


def _run(
    config_path: str | None,
    overrides: Sequence[str],
    resume_dir: str | None,
    dry_run: bool,
    output: str | None,
    plain: bool,
) -> int:
    launch = Launch.from_environment()
    rank = 0 if launch is None else launch.rank
    view = view_of(rank, plain)
    if resume_dir is not None and resume_dir != AUTO:
        with stop_on_signal(view.log) as stop:
            return resume(resume_dir, view=view, stop=stop).exit_code
    with shipped_config("sft", config_path or DEFAULT_CONFIG) as path:
        config = SFTConfig.load(path, with_output(overrides, output))
    if dry_run:
        if rank == 0:
            print(rehearsal(config), end="")  # noqa: T201 - this is the output of the command
        return 0
    if resume_dir == AUTO:
        if (found := decided_by_main("resume", lambda: find_run(config))) is not None:
            with stop_on_signal(view.log) as stop:
                return resume(found, view=view, stop=stop).exit_code
        if rank == 0:
            clear_leftovers(config)
    with stop_on_signal(view.log) as stop:
        return sft(config, view=view, stop=stop).exit_code


def rehearsal(config: SFTConfig) -> str:
    """Return the resolved configuration as YAML, and as comments what its data hold; no model is loaded.

    Raises:
        UserError: data, environment, device or folder cannot be used.
    """
    resolve_device(config.device)
    choose_run_folder(config)
    if config.policy.model != "embedded":
        check_source(config.policy.model)
    demonstrations = read_demonstrations(config.data, config.env, config.seed)
    turns = sum(message["role"] == ASSISTANT for found in demonstrations for message in found.messages)
    facts = [f"{len(demonstrations)} demonstrations with {turns} messages of the assistant"]
    if config.env is not None:
        problems = held_out_problems(config.env.id, config.env.kwargs, config.evaluation.problems, config.seed)
        facts.append(f"{len(problems)} held-out problems of {config.env.id}")
    return "".join(f"# {fact}\n" for fact in facts) + dump_config(config)
