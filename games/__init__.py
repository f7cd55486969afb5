"""Games: specs, controls, actions as tokens and words, environments, and the embedded games."""

from games.controls import (
    ActionError,
    Axis,
    Button,
    Camera,
    Choice,
    Control,
    Stick,
    Text,
)
from games.env import Env, Frame, Observation, action_space, observation_space
from games.game import Expert, Game, UnplayableError
from games.meanings import MEANINGS
from games.spec import END, START, Action, FrameSize, GameSpec, did_you_mean

__all__ = [
    "END",
    "MEANINGS",
    "START",
    "Action",
    "ActionError",
    "Axis",
    "Button",
    "Camera",
    "Choice",
    "Control",
    "Env",
    "Expert",
    "Frame",
    "FrameSize",
    "Game",
    "GameSpec",
    "Observation",
    "Stick",
    "Text",
    "UnplayableError",
    "action_space",
    "did_you_mean",
    "observation_space",
]
