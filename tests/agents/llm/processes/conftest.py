"""Two processes for all tests of a session."""

from collections.abc import Iterator

import pytest
from pair import Pair


@pytest.fixture(scope="session")
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()
