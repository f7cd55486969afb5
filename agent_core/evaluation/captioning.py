"""What does a checkpoint say about a video? Its frames go through the engine as play does, then it tells."""

from __future__ import annotations

from pathlib import Path

from agent_core.engine.engine import Engine, EngineOptions
from agent_core.tokens.action_codec import ActionCodec
from agent_core.tokens.vocabulary import CAPTION
from agent_core.weights.checkpoint import CheckpointError, load
from games import GameSpec
from games.resize import resize_frame
from recorder import CaptureError, clip_frames


def describe(video: Path, checkpoint: Path | str, question: str, spec: GameSpec) -> str:
    """The caption (or label) of a clip, greedily.

    Raises `CheckpointError` for a model that never learned from clips, `CaptureError` where the video has no frames.
    """
    found = load(checkpoint)
    if spec.id not in {known.id for known in found.header.specs}:
        raise CheckpointError(
            f"{checkpoint} never learned to describe {spec.name}; train one with recipes/captions.toml"
        )
    engine = Engine(found, EngineOptions(temperature=0))
    session = engine.open(ActionCodec(spec, found.vocabulary), 0)
    size = (found.header.model.frame_height, found.header.model.frame_width)
    for frame in clip_frames(video, spec):
        engine.act([session], [resize_frame(frame, *size)], [question])
    if session.frame_index < 0:
        raise CaptureError(f"{video} has no frames")
    return engine.generate_thought(session, CAPTION)
