"""Video captioning: the frames go through the engine as in play, then the caption is decoded greedily."""

from __future__ import annotations

from pathlib import Path

from agent_core.engine.engine import Engine, EngineOptions
from agent_core.errors import CheckpointError
from agent_core.tokens.action_codec import ActionCodec
from agent_core.tokens.vocabulary import CAPTION
from agent_core.weights.checkpoint import load
from games import GameSpec
from games.resize import resize_frame
from recorder import CaptureError, clip_frames


def describe(video: Path, checkpoint: Path | str, question: str, spec: GameSpec) -> str:
    """The caption (or label) of a clip, decoded greedily.

    Raises `CheckpointError` for a model that never learned from clips, `CaptureError` where the video has no frames.
    """
    trained = load(checkpoint)
    if spec.id not in {known.id for known in trained.header.specs}:
        raise CheckpointError(
            f"{checkpoint} never learned to describe {spec.name}; train one with recipes/captions.toml"
        )
    engine = Engine(trained, EngineOptions(temperature=0))
    session = engine.open(ActionCodec(spec, trained.vocabulary), 0)
    size = (trained.header.model.frame_height, trained.header.model.frame_width)
    for frame in clip_frames(video, spec):
        engine.act([session], [resize_frame(frame, *size)], [question])
    if session.frame_index < 0:
        raise CaptureError(f"{video} has no frames")
    return engine.generate_thought(session, CAPTION)
