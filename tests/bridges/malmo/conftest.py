"""Clients of one process, in memory."""

from collections.abc import Callable

import pytest

from bridges.malmo.missions import Missions
from bridges.malmo.session import Session
from tests.bridges.malmo.malmo_client import Client


@pytest.fixture
def missions() -> Missions:
    return Missions()


@pytest.fixture
def connect(missions: Missions) -> Callable[[], Client]:
    """Makes clients of one process."""
    return lambda: Client(Session(missions, 9000))
