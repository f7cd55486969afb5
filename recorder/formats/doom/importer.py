"""Doom import: the demos of a WAD, or of `.lmp` files beside one, as captures with pictures that dsda-doom draws.

A picture shows the world after its tic: between pictures k and k + 1 the view turns as tic k + 1 says. So a step is
picture k with the action of tic k + 1, and a demo of n tics has n - 1 steps. Nothing but the captures is written.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

from games import Camera, GameSpec
from games.doom import SPEC as DOOM
from games.resize import resize_frame
from recorder.capture.writer import DISK_NEEDED
from recorder.format.manifest import CaptureError, CaptureInfo, ImportSource
from recorder.formats.doom.actions import action_of
from recorder.formats.doom.demo import MAX_BYTES, parse_demo
from recorder.formats.doom.render import find_renderer, render
from recorder.formats.doom.wad import Wad, read_wad
from recorder.formats.import_job import ImportJob, ImportReport, content_hash, file_hash

WAD, LUMP = ".wad", ".lmp"


def import_doom(
    path: Path,
    out: Path,
    spec: GameSpec = DOOM,
    *,
    strict: bool = False,
    disk_needed: int = DISK_NEEDED,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Write each demo as a capture: those in a WAD, in a folder's WADs, or in `.lmp` files with one WAD beside them.

    A damaged demo is skipped and named; with `strict` it raises `CaptureError`. That is also raised where there is no
    demo, where dsda-doom is not installed, and where the game lacks Doom's controls.
    """
    camera = spec.by_name.get("camera")
    if not {*DOOM.by_name} <= {*spec.by_name} or not isinstance(camera, Camera):
        raise CaptureError(f"{path} holds play of doom, which {spec.id} lacks controls for")
    if spec.step_hz != DOOM.step_hz:
        raise CaptureError(f"demos have {DOOM.step_hz:g} tics/s, {spec.id} {spec.step_hz:g}")
    job = ImportJob(out, strict=strict, disk_needed=disk_needed)
    demos = _demos(path)
    program = find_renderer()
    for done, (name, wad, demo) in enumerate(demos, start=1):
        with job.reading(name):
            _add(job, spec, camera, program, name, wad, demo)
        if progress:
            progress(done, len(demos))
    return job.report()


def demo_files(path: Path) -> list[Path]:
    """The WADs and `.lmp` files of a folder by name, or that one file."""
    if path.is_file():
        return [path] if path.suffix.lower() in (WAD, LUMP) else []
    if not path.is_dir():
        return []
    return sorted(p for p in path.iterdir() if p.suffix.lower() in (WAD, LUMP) and p.is_file())


def _demos(path: Path) -> list[tuple[str, Wad, bytes]]:
    """Name, WAD and bytes of each demo."""
    files = demo_files(path)
    wads = [read_wad(file) for file in files if file.suffix.lower() == WAD]
    demos = [(f"{w.path.name} {name}", w, data) for w in wads for name, data in w.demos.items()]
    lumps = [file for file in files if file.suffix.lower() == LUMP]
    if lumps:
        beside = wads or [read_wad(f) for f in demo_files(path.parent) if f.suffix.lower() == WAD]
        if len(beside) != 1:
            raise CaptureError(
                f"{path}: .lmp files need one WAD beside them, there are {len(beside)}"
            )
        demos += [(file.name, beside[0], _content(file)) for file in lumps]
    if not demos:
        raise CaptureError(f"{path} has no demo: no DEMO lump of a WAD, no .lmp file")
    return demos


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise CaptureError(f"{file} cannot be read: {error.strerror}") from None


def _add(
    job: ImportJob, spec: GameSpec, camera: Camera, program: str, name: str, wad: Wad, data: bytes
) -> None:
    demo = parse_demo(data)
    digest = content_hash(file_hash(wad.path), data)
    source = ImportSource(name=name, sha256=digest, options=f"game {spec.id}")
    if job.holds(source):
        return
    level = f"map{demo.map:02}" if wad.has_maps else f"e{demo.episode}m{demo.map}"
    info = CaptureInfo(task=level, seed=zlib.crc32(digest.encode()), author=name)
    size = spec.frame
    with job.capture(spec, info, source) as capture:
        for i, picture in enumerate(render(program, wad.path, data, len(demo.tics))):
            if i + 1 < len(demo.tics):
                frame = resize_frame(picture, size.height, size.width)
                capture.step(frame, action_of(demo.tics[i + 1]))
    turns = [abs(tic.turn_deg) for tic in demo.tics]
    beyond = sum(turn > camera.yaw_bins[-1] for turn in turns)
    job.clip(
        beyond,
        f"{name}: {beyond} turns lie beyond {camera.yaw_bins[-1]:g}° (largest {max(turns):g}°). They are clipped",
    )
