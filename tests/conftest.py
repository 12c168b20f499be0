"""What holds for every test."""

import signal


def pytest_sessionstart() -> None:
    """Let Ctrl-C interrupt tests and what they start: a shell starts what runs in the background with it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
