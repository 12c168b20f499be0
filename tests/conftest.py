"""What holds for every test."""

import os
import signal

from hypothesis import settings

# Built on the profile that is in force: on a CI machine Hypothesis has chosen one that draws the same each time.
settings.register_profile("quick", settings(), max_examples=40, deadline=None)
settings.register_profile("thorough", settings(), max_examples=200, deadline=None)
settings.load_profile(os.environ.get("RLENVS_EXAMPLES", "quick"))


def pytest_sessionstart() -> None:
    """Let Ctrl-C interrupt tests and what they start: a shell starts what runs in the background with it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
