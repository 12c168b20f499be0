"""The argument parser of the command line: complete help, and did-you-mean for what it does not know."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from rlenvs.errors import UserError
from rlenvs.suggestions import did_you_mean

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction["CommandParser"]

__all__ = ["CommandParser", "UsageError", "add_command", "at_least", "number_at_least"]


class UsageError(UserError):
    """A command line that does not parse."""


class CommandParser(argparse.ArgumentParser):
    """An `ArgumentParser` that raises `UsageError` and takes no abbreviations."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting, so that `main` alone decides how errors look."""
        raise UsageError(f"{message} (see: {self.prog} --help)")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse what is no choice of an option, or no action of a command, with the nearest one."""
        if action.choices is None or value in action.choices:
            return
        known = [str(choice) for choice in action.choices]
        is_action = isinstance(action, argparse._SubParsersAction)
        what = "action" if is_action else f"{'/'.join(action.option_strings) or action.dest}"
        self.error(f"unknown {what} {value!r}{did_you_mean(str(value), known)} (known: {', '.join(known)})")

    def refuse(self, arguments: list[str]) -> NoReturn:
        """Raise for arguments that no option or positional takes, with the nearest option."""
        first = arguments[0]
        option = first.partition("=")[0]
        if option.startswith("-"):
            guess = did_you_mean(option, [name for name in self._option_string_actions if name.startswith("--")])
            self.error(f"unknown option {option!r}{guess}")
        self.error(f"unexpected argument {first!r}")


def add_command(
    subparsers: "Subparsers",
    name: str,
    run: Callable[[argparse.Namespace], int],
    *,
    summary: str,
    text: str,
    example: str,
) -> CommandParser:
    """Add a command to the command line.

    Args:
        subparsers: Where commands go.
        name: What the user types.
        run: What the command does; returns the exit code.
        summary: One line for the list of commands.
        text: What the command does, for its own help.
        example: Command lines that work, one per line.
    """
    epilog = "example:\n" + "\n".join(f"  {line}" for line in example.strip().splitlines())
    parser = subparsers.add_parser(name, help=summary, description=text.strip(), epilog=epilog)
    parser.add_argument(
        "--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error"
    )
    parser.set_defaults(run=run, parser=parser)
    return parser


def at_least(minimum: int) -> Callable[[str], int]:
    """Return an argument type: an integer of `minimum` or more."""

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected an integer, got {text!r}") from None
        if value < minimum:
            raise argparse.ArgumentTypeError(f"must be >= {minimum}, got {value}")
        return value

    return convert


def number_at_least(minimum: float) -> Callable[[str], float]:
    """Return an argument type: a finite number of `minimum` or more."""

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected a number, got {text!r}") from None
        if not minimum <= value < float("inf"):
            raise argparse.ArgumentTypeError(f"must be finite and >= {minimum:g}, got {text}")
        return value

    return convert
