"""Files of a dataset that is exported: Parquet rows and compressed frames, an episode after the other."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pyarrow as pa
import pyarrow.parquet as pq

from recorder.format.manifest import disk_errors
from recorder.format.packets import episode_packets
from recorder.format.video import VideoSlice, reading
from recorder.formats.lerobot import schema
from recorder.formats.lerobot.schema import CAMERA


class DataFiles:
    """`data/…/file-000.parquet` and on: one row group per episode."""

    def __init__(self, root: Path, number: int) -> None:
        self._root = root
        self._number = number
        self._writer: Any = None

    def add(self, table: pa.Table) -> dict[str, Any]:
        path = self._root / schema.data_file(self._number)
        if self._writer and path.stat().st_size >= schema.DATA_FILE_MB << 20:
            self.close()
            self._number += 1
            path = self._root / schema.data_file(self._number)
        if self._writer is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(path, table.schema)
        self._writer.write_table(table)
        return {f"data/{key}": value for key, value in schema.place(self._number).items()}

    def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer:
            writer.close()


class VideoFiles:
    """`videos/…/file-000.mp4` and on: the episodes' compressed frames, one after the other.

    A new file is begun when the old one is large, and for an episode with another encoder's header.
    """

    def __init__(self, root: Path, number: int) -> None:
        self._root = root
        self._number = number
        self._container: Any = None
        self._stream: Any = None
        self._header = b""
        self._frames = self._bytes = 0

    def add(self, video: VideoSlice, length: int) -> dict[str, Any]:
        """Copy the first `length` frames; returns where they are."""
        with reading(video.path) as source:
            template = source.streams.video[0]
            header = bytes(template.codec_context.extradata or b"")
            if self._container is not None and (
                header != self._header or self._bytes >= schema.VIDEO_FILE_MB << 20
            ):
                self.close()
                self._number += 1
            if self._container is None:
                self._begin(template, header)
            begin = self._frames
            for packet in episode_packets(source, video, length):
                self._copy(packet, video.rate)
        location = {
            f"videos/{CAMERA}/{key}": value for key, value in schema.place(self._number).items()
        }
        return location | {
            f"videos/{CAMERA}/from_timestamp": begin / video.rate,
            f"videos/{CAMERA}/to_timestamp": self._frames / video.rate,
        }

    def _begin(self, template: Any, header: bytes) -> None:
        path = self._root / schema.video_file(self._number)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._container = av.open(str(path), "w", format="mp4", options={"movflags": "faststart"})
        self._stream = self._container.add_stream_from_template(template)
        self._header = header
        self._frames = self._bytes = 0

    def _copy(self, packet: Any, rate: int) -> None:
        packet.stream = self._stream
        packet.time_base = Fraction(1, rate)
        packet.pts = packet.dts = self._frames
        packet.duration = 1
        with disk_errors(self._root.parent):
            self._container.mux(packet)
        self._frames += 1
        self._bytes += packet.size

    def close(self) -> None:
        container, self._container = self._container, None
        if container is not None:
            with disk_errors(self._root.parent):
                container.close()
