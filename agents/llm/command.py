"""`rlenvs train`, from its arguments to its exit code."""

import contextlib
import json
import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from types import FrameType

from rlenvs.agents.llm.config import TrainConfig
from rlenvs.agents.llm.launch import rehearse, resume, train
from rlenvs.agents.llm.memory.estimate import memory_report
from rlenvs.agents.llm.policy.loading import resolve_device
from rlenvs.agents.llm.run import RunResult
from rlenvs.agents.llm.run_folder import choose_run_folder
from rlenvs.agents.reporting import TrainingView, make_view
from rlenvs.config_file import dump_config
from rlenvs.errors import ConfigError

DEFAULT_CONFIG = "arithmetic.yaml"
INTERRUPTED = 130


def run_cli(
    config_path: str | None,
    overrides: Sequence[str],
    resume_dir: str | None,
    dry_run: bool,
    output: str | None,
    plain: bool,
) -> int:
    """Carry out `rlenvs train`; returns the exit code."""
    quieten_transformers()
    view = make_view(plain=True if plain else None)
    if resume_dir is not None:
        if config_path or overrides or output:
            raise ConfigError(
                "--resume goes on with the run's own configuration: leave out CONFIG, key=value, --output"
            )
        with stop_on_signal(view) as stop:
            return _exit_code(resume(resume_dir, view=view, stop=stop))
    with shipped_config("train", config_path or DEFAULT_CONFIG) as path:
        config = TrainConfig.load(path, with_output(overrides, output))
    if dry_run:
        resolve_device(config.device)
        choose_run_folder(config)
        rehearse(config)
        print(dump_config(config), end="")  # noqa: T201 - this is the output of the command
        print("".join(f"# {line}\n" for line in memory_report(config)), end="")  # noqa: T201 - as YAML comments
        return 0
    with stop_on_signal(view) as stop:
        return _exit_code(train(config, view=view, stop=stop))


@contextlib.contextmanager
def shipped_config(kind: str, name: str) -> Iterator[str]:
    """Yield the path of a configuration file; where there is none of that name, of the shipped one.

    Args:
        kind: folder of the shipped ones.
        name: path of a file, or name of a shipped one.
    """
    shipped = resources.files("rlenvs.configs") / kind / name
    with contextlib.ExitStack() as stack:
        found = not Path(name).exists() and shipped.is_file()
        yield str(stack.enter_context(resources.as_file(shipped))) if found else name


def with_output(overrides: Sequence[str], output: str | None) -> list[str]:
    """Return overrides with the folder that `--output` names."""
    # json.dumps: a folder called 123 is text, and a path with a colon is no mapping
    return [*overrides, *([f"output.dir={json.dumps(output)}"] if output else [])]


@contextlib.contextmanager
def stop_on_signal(view: TrainingView) -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C or SIGTERM into a request to save and stop; the second one ends the process at once.

    Before the run first asks, while models load and warm up, there is nothing to save: a signal ends the process.
    """
    running = asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked or not running:
            raise KeyboardInterrupt
        asked = True
        view.log("stopping after this iteration; once more to quit at once")

    def stop() -> bool:
        nonlocal running
        running = True
        return asked

    previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _exit_code(result: RunResult) -> int:
    return INTERRUPTED if result.interrupted else 0


def quieten_transformers() -> None:
    """Keep the progress bars of loading and saving off the screen that the view owns."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)
