"""A server with scripted games."""

from collections.abc import Iterator

import pytest

from bridges.testing.scripted_games import Stage, staged


@pytest.fixture
def stage() -> Iterator[Stage]:
    with staged() as stage:
        yield stage
