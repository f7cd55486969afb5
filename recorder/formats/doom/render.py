"""Rendering of a demo: every picture that dsda-doom draws of it, without a window, as a stream.

dsda-doom passes pictures to the command that its configuration names; here that is `cat` into a pipe, so that nothing
is written to the disk.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from games import Frame
from recorder.format.manifest import CaptureError

HEIGHT, WIDTH = 480, 640
FRAME_BYTES = HEIGHT * WIDTH * 3
START_S, TIC_S = 60, 0.2
"""Seconds after which dsda-doom is ended: these, and as many for each tic (a core draws 85 to 200 a second)."""
_CONFIG = """cap_fps 35
cap_wipescreen 0
cap_videocommand "cat >/dev/fd/{pipe}"
cap_soundcommand "cat >/dev/null"
cap_muxcommand "true"
cap_remove_tempfiles 0
hudadd_demoprogressbar 0
screen_resolution "{width}x{height}"
"""


def find_renderer() -> str:
    """The path of dsda-doom; raises `CaptureError` where it is not installed."""
    search = os.pathsep.join((os.environ.get("PATH", ""), "/usr/games"))  # Debian's place for games
    path = shutil.which("dsda-doom", path=search)
    if path is None:
        raise CaptureError(
            "demos are drawn by dsda-doom, which is not installed (apt install dsda-doom)"
        )
    return path


def render(program: str, wad: Path, demo: bytes, tics: int) -> Iterator[Frame]:
    """The picture after each tic, (480, 640, 3); raises `CaptureError` where they are not `tics`."""
    with tempfile.TemporaryDirectory(prefix="iafm-doom-") as name:
        folder = Path(name)
        (folder / "demo.lmp").write_bytes(demo)
        process, reader = _start(program, wad.resolve(), folder)
        timer = threading.Timer(START_S + TIC_S * tics, process.kill)
        timer.start()
        count = 0
        try:
            with closing(os.fdopen(reader, "rb", FRAME_BYTES)) as stream:
                while len(content := stream.read(FRAME_BYTES)) == FRAME_BYTES:
                    count += 1
                    if count <= tics:
                        yield np.frombuffer(content, np.uint8).reshape(HEIGHT, WIDTH, 3)
            process.wait()
        finally:
            timer.cancel()
            process.kill()
            process.wait()
        if content or count != tics:
            lines = (folder / "output.txt").read_text("utf-8", "replace").strip().splitlines()
            why = f" ({lines[-1]:.120})" if lines else ""
            raise CaptureError(f"dsda-doom drew {count:,} pictures of {tics:,} tics{why}")


def _start(program: str, wad: Path, folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """The running program, and the end of the pipe that its pictures come out of."""
    reader, writer = os.pipe()
    config = _CONFIG.format(pipe=writer, width=WIDTH, height=HEIGHT)
    (folder / "dsda.cfg").write_text(config)
    command = [program, "-iwad", str(wad), "-timedemo", "demo.lmp", "-viddump", "out.mkv"]
    command += ["-config", "dsda.cfg", "-nosound", "-nomusic"]
    drivers = {"SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy", "HOME": str(folder)}
    try:
        with (folder / "output.txt").open("wb") as output:
            process = subprocess.Popen(
                command, cwd=folder, env={**os.environ, **drivers}, pass_fds=(writer,),
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
    except OSError as error:
        os.close(reader)
        raise CaptureError(f"dsda-doom cannot be started: {error.strerror}") from None
    finally:
        os.close(writer)
    return process, reader
