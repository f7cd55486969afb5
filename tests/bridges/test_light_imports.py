"""Light imports: a game's process loads the client alone, a command loads error classes alone."""

import subprocess
import sys

import pytest


def loaded_by(module: str) -> set[str]:
    """All modules in a fresh process that imports one."""
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "module",
    ["bridges.client", "bridges.async_client", "bridges.play", "bridges.record_client"],
)
def test_a_game_loads_no_server_and_no_model(module: str) -> None:
    loaded = loaded_by(module)
    assert module in loaded
    unwanted = {
        "torch",
        "av",
        "pyarrow",
        "pygame",
        "agent_core",
        "recorder",
        "bridges.serving",
        "bridges.policy",
        "bridges.protocol.connection",
    }
    assert not loaded & unwanted


def test_a_server_with_the_random_policy_loads_no_model() -> None:
    loaded = loaded_by("bridges.serving.server, bridges.serving.random_policy")
    assert not loaded & {"torch", "av", "pyarrow", "agent_core", "recorder"}


def test_error_classes_load_nothing_heavy() -> None:
    loaded = loaded_by("bridges.errors")
    assert not loaded & {"numpy", "pydantic", "websockets", "cv2", "games", "bridges.client"}
