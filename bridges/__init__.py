"""How do I reach a game? The wire protocol, its server and client, and policies that need no model."""

from bridges.client import BridgeClient, ask, connect, watch
from bridges.play import PlayReport, Start, play
from bridges.policy import (
    Alternative,
    Decision,
    PlannedAction,
    Policy,
    PolicyError,
    PolicySession,
    Request,
)
from bridges.serving.random_policy import RandomPolicy
from bridges.serving.server import BridgeError, BridgeServer, run

__all__ = [
    "Alternative",
    "BridgeClient",
    "BridgeError",
    "BridgeServer",
    "Decision",
    "PlannedAction",
    "PlayReport",
    "Policy",
    "PolicyError",
    "PolicySession",
    "RandomPolicy",
    "Request",
    "Start",
    "ask",
    "connect",
    "play",
    "run",
    "watch",
]
