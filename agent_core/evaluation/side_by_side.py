"""Side-by-side video: the frames of replayed matches, with the recorded and the predicted controls below."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np

from agent_core.evaluation.control_panel import BACKGROUND, MARGIN, draw_panel, shortened, write
from bridges.replay import Answers, RecordedStep
from games import Action, Frame, FrameSize, GameSpec
from games.resize import resize_frame
from recorder import Episode
from recorder.format.atomic import replaced_file
from recorder.format.video import LIVE, VideoWriter

WIDTH, FRAME_HEIGHT, CAPTION_HEIGHT, PANEL_HEIGHT = 720, 406, 28, 264
"""In pixels; each panel has half of the width."""


def side_by_side(
    spec: GameSpec, frame: Frame, recorded: Action, predicted: Action | None, caption: str
) -> Frame:
    """One picture: the frame, a caption, and both actions; the predicted one is None where there is no answer."""
    size = (PANEL_HEIGHT, WIDTH // 2)
    if predicted is None:
        right = np.full((*size, 3), BACKGROUND, np.uint8)
        write(right, "no answer", (10, 20), 0.5)
    else:
        right = draw_panel(spec, predicted, "predicted", size, recorded)
    left = draw_panel(spec, recorded, "recorded", size)
    return np.vstack([_boxed(frame), _caption(caption), np.hstack([left, right])])


class SideBySideVideo:
    """Writes `path` when it is left without an error; `write` takes the steps of any number of matches in order."""

    def __init__(self, path: Path, spec: GameSpec) -> None:
        self._path, self._spec = path, spec
        self._number = 0

    def __enter__(self) -> SideBySideVideo:
        height = FRAME_HEIGHT + CAPTION_HEIGHT + PANEL_HEIGHT
        shown = self._spec.model_copy(update={"frame": FrameSize(height=height, width=WIDTH)})
        with ExitStack() as stack:
            draft = self._path.with_name(f".{self._path.name}.draft")
            draft.unlink(missing_ok=True)  # the writer goes on with a file that is there
            self._path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(replaced_file(self._path, draft))
            self._writer = VideoWriter(draft, shown, LIVE)
            stack.callback(self._writer.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def write(self, episode: Episode, index: int, step: RecordedStep, answers: Answers) -> None:
        """Add the picture of one step; raises `DiskFullError`."""
        act = answers["teacher_forced"]
        predicted = None if act is None else self._spec.normalize(act.action)
        recorded = episode.actions[index]
        mark = "same" if predicted == recorded else "differs"
        caption = f"step {index + 1} of {len(episode)}: {mark}. {step.instruction}"
        picture = side_by_side(self._spec, step.frame, recorded, predicted, caption)
        self._writer.write(picture, self._number)
        self._number += 1


def _boxed(frame: Frame) -> Frame:
    """The frame as large as it fits, proportions kept, on black."""
    height, width = frame.shape[:2]
    scale = min(FRAME_HEIGHT / height, WIDTH / width)
    size = max(1, round(height * scale)), max(1, round(width * scale))
    box = np.zeros((FRAME_HEIGHT, WIDTH, 3), np.uint8)
    top, left = (FRAME_HEIGHT - size[0]) // 2, (WIDTH - size[1]) // 2
    box[top : top + size[0], left : left + size[1]] = resize_frame(frame, *size)
    return box


def _caption(text: str) -> Frame:
    image = np.full((CAPTION_HEIGHT, WIDTH, 3), BACKGROUND, np.uint8)
    write(image, shortened(text, WIDTH - 2 * MARGIN), (MARGIN, 19))
    return image
