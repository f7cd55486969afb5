"""Word track: the instruction in force, and the lines and tags that were written about the episode under way."""

from __future__ import annotations

from collections import deque

from games.human.contracts import PlayRecorder
from games.human.text_box import BACK_SECONDS_MAX
from games.human.typed_line import Fix, Style, Write, WrittenLine


class WordTrack:
    """Writes texts at their steps, and knows what the newest instruction is."""

    def __init__(self, recorder: PlayRecorder, hz: float) -> None:
        self._recorder, self._hz = recorder, hz
        self.lines: list[WrittenLine] = []
        """Those of this episode that stand, in the order they were written."""
        self.begin("")

    def begin(self, instruction: str) -> None:
        """An episode begins, with the game's instruction."""
        self._header = self._game = instruction
        self._steps = 0
        self._times: deque[int] = deque(maxlen=int(BACK_SECONDS_MAX * self._hz) + 2)
        self.lines.clear()

    @property
    def instruction(self) -> str:
        """The instruction in force: the newest that was given, the one at the beginning where it was taken back."""
        given = [line for line in self.lines if line.style == "instruction"]
        newest = max(given, key=lambda line: (line.i0, line.id), default=None)
        return (newest.text if newest else "") or self._header

    def step(self, instruction: str, t_ns: int) -> None:
        """A step was recorded, which came up at `t_ns`; behind it the game has this instruction."""
        self._steps += 1
        self._times.append(t_ns)
        if instruction != self._game:
            self._game = instruction
            self._write("instruction", instruction, self._steps, None, None, source="game")

    def write(self, write: Write, *, back_seconds: int = 0, t0_ns: int | None = None) -> None:
        """A new text about the steps from `back_seconds` ago on."""
        text = write.text
        if write.style == "instruction" and not text and self._game != self._header:
            text = self._game
        back = min(round(back_seconds * self._hz), self._steps)
        begin = self._times[max(-back, -len(self._times))] if back else t0_ns
        self._write(write.style, text, self._steps - back, None, begin)

    def tag(self, text: str) -> None:
        """A quick tag about the step under way."""
        self._write("quick_tag", text, self._steps, self._steps + 1, None)

    def fix(self, fix: Fix) -> None:
        """Other words for an earlier line, about the same steps."""
        line = fix.line
        self._write(
            line.style, fix.text, line.i0, line.i1, line.t0_ns or None, supersedes=line.id
        )  # fmt: skip
        self.lines.remove(line)

    def _write(
        self, style: Style, text: str, i0: int, i1: int | None, t0_ns: int | None, *,
        source: str = "human_live", supersedes: int | None = None,
    ) -> None:  # fmt: skip
        number = self._recorder.text(
            style, text, i0=i0, i1=i1, t0_ns=t0_ns, source=source, supersedes=supersedes
        )
        self.lines.append(WrittenLine(number, style, text, i0, i1, t0_ns or 0))
