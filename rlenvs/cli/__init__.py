"""The command line: `rlenvs COMMAND`, or `python -m rlenvs COMMAND`.

Each command is a module with `register(subparsers)` and `run(args) -> int`. What a command needs is imported
when it runs, so that help and the light commands answer at once.

Exit codes: 0 done; 1 failed, or a check said no; 2 something the user can put right; 130 interrupted.
"""

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress

from rlenvs._version import __version__
from rlenvs.cli import doctor, envs, evaluate, report, rewards, schema, score, sft, tasks, train, tune
from rlenvs.cli.parser import CommandParser, UsageError
from rlenvs.errors import RlenvsError, UserError
from rlenvs.suggestions import did_you_mean

__all__ = ["build_parser", "main"]

COMMANDS = (train, sft, tune, evaluate, score, rewards, tasks, report, envs, schema, doctor)

EXIT_FAILED = 1
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE
FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def build_parser() -> tuple[CommandParser, list[str]]:
    """Return the parser of the whole command line, and the names of its commands."""
    parser = CommandParser(
        prog="rlenvs",
        description="Reward engineering for reinforcement learning of language models.",
        epilog="help of one command: rlenvs COMMAND --help",
    )
    parser.add_argument("--version", action="version", version=f"rlenvs {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error (or set RLENVS_DEBUG=1)")
    subparsers = parser.add_subparsers(metavar="COMMAND", title="commands", parser_class=CommandParser)
    for command in COMMANDS:
        command.register(subparsers)
    return parser, list(subparsers.choices)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        argv: Arguments without the program's name; by default those of the process.

    Example:
        >>> main(["--version"])
        rlenvs ...
        0
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments or os.environ.get("RLENVS_DEBUG", "") not in ("", "0")
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
    except SystemExit as stop:  # --help and --version
        return stop.code if isinstance(stop.code, int) else 0
    except RlenvsError as error:
        if debug:
            traceback.print_exc()
        for line in str(error).splitlines():
            print(f"rlenvs: {line}", file=sys.stderr)
        return EXIT_USER_ERROR if isinstance(error, UserError) else EXIT_FAILED
    except KeyboardInterrupt:
        print("rlenvs: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return EXIT_BROKEN_PIPE
    except OSError as error:
        if debug or error.errno not in FULL_DISK:
            raise
        _discard_output()
        print(f"rlenvs: cannot write ({error.strerror})", file=sys.stderr)
        return EXIT_FAILED
    return code


def _dispatch(arguments: list[str]) -> int:
    parser, commands = build_parser()
    named = next((argument for argument in arguments if not argument.startswith("-")), None)
    if named is not None and named not in commands:
        guess = did_you_mean(named, commands)
        raise UsageError(f"unknown command {named!r}{guess} (known: {', '.join(commands)})")
    args, rest = parser.parse_known_args(arguments)
    if named is None:
        if rest:
            parser.refuse(rest)
        parser.print_help()
        return EXIT_USER_ERROR
    # argparse takes one run of positionals only: settings after an option come back as the rest.
    if hasattr(args, "settings") and not any(argument.startswith("-") for argument in rest):
        args.settings = [*args.settings, *rest]
        rest = []
    if rest:
        args.parser.refuse([argument for argument in rest if argument.startswith("-")] or rest)
    code: int = args.run(args)
    return code


def _discard_output() -> None:
    """Point stdout at nothing: its reader has gone, and the interpreter would complain again as it exits."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
