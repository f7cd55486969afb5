"""Rows of a data file: the columns of one episode as numbers, and a hash of what they hold.

A file may hold many episodes, so its last read columns stay in memory; columns of images are read a batch at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recorder.format.manifest import CaptureError
from recorder.formats.import_job import content_hash
from recorder.formats.lerobot.damage import damage_of

EPISODE = "episode_index"
BATCH = 64
"""Images in memory at a time."""
ROWS = 4096
"""Rows of numbers that are read at a time."""
MAX_WIDTH = 4096
"""Most numbers of a row in one column."""
MAX_ROWS = 1 << 25
MAX_TABLE_BYTES = 1 << 30
"""Largest columns of one file in memory."""


class EpisodeRows:
    """The rows of one episode, in the order of the file; `columns` are those that the file has."""

    def __init__(
        self, path: Path, number: int, length: int, needed: Sequence[str], optional: Sequence[str]
    ) -> None:
        """Read the rows; raises `CaptureError` where a needed column, or a row, is missing."""
        self._name = f"{path.name}, episode {number}"
        names = dict.fromkeys((EPISODE, *needed, *optional))
        with damage_of(path):
            stat = path.stat()
            table = _table(path, stat.st_size, stat.st_mtime_ns, tuple(names))
        if missing := [name for name in needed if name not in table.column_names]:
            raise CaptureError(f"{path} has no column {missing[0]!r}")
        with damage_of(path):
            self._rows = table.filter(_is_of_episode(table, number))
        if len(self._rows) != length:
            raise CaptureError(f"{path.name} has {len(self._rows)} of its {length} rows")

    @property
    def columns(self) -> list[str]:
        return [str(name) for name in self._rows.column_names]

    def matrix(self, column: str) -> NDArray[np.float64]:
        """A column of numbers or of vectors as (T, W); raises `CaptureError` where one is null or not finite."""
        with damage_of(f"{self._name}, {column!r}"):
            values, is_whole = _flat(self._rows[column])
            if not is_whole:
                raise CaptureError(f"column {column!r} has a null, or vectors of several lengths")
            if not (_is_number(values.type) and len(values) % len(self._rows) == 0):
                raise CaptureError(f"column {column!r} holds {values.type}, no vectors of numbers")
            if len(values) // len(self._rows) > MAX_WIDTH:
                raise CaptureError(f"column {column!r}: more than {MAX_WIDTH} numbers a row")
            numbers = np.asarray(values.to_numpy(zero_copy_only=False), np.float64)
        rows = numbers.reshape(len(self._rows), -1)
        if bad := np.flatnonzero(~np.isfinite(rows).all(1)).tolist():
            raise CaptureError(f"column {column!r}: row {bad[0]} has a number that is not finite")
        return rows

    def first(self, column: str) -> Any:
        """The value of the first row."""
        return self._rows[column][0].as_py()

    def any(self, column: str) -> bool:
        """Whether a truth value of the column is true; a null is not."""
        values, _ = _flat(self._rows[column])
        return bool(pc.any(pc.fill_null(pc.cast(values, pa.bool_()), False)).as_py())

    def content_hash(self, leave_out: Sequence[str]) -> str:
        """SHA-256 of all columns of numbers but those."""
        parts: list[bytes | str] = [str(len(self._rows))]
        with damage_of(self._name):
            for column in sorted(set(self.columns) - set(leave_out)):
                values, _ = _flat(self._rows[column])
                if _is_number(values.type):
                    numbers = values.to_numpy(zero_copy_only=False).astype("<f8")
                    parts += [column, numbers.tobytes()]
        return content_hash(*parts)


def image_cells(path: Path, number: int, column: str) -> Iterator[dict[str, Any]]:
    """The cells of an episode in a column of images, `{"bytes", "path"}` each, a batch in memory at a time."""
    with damage_of(path):
        stat = path.stat()
        is_its = _is_of_episode(_table(path, stat.st_size, stat.st_mtime_ns, (EPISODE,)), number)
        file = pq.ParquetFile(path, pre_buffer=False)
        groups = _groups(file, is_its)
        batches = file.iter_batches(BATCH, row_groups=groups, columns=[EPISODE, column])
    while True:
        with damage_of(path):
            batch = next(batches, None)
            if batch is None:
                return
            cells = batch.filter(_is_of_episode(batch, number)).column(column).to_pylist()
        yield from cells


def _groups(file: Any, is_wanted: Any) -> list[int]:
    """The row groups of a file that hold one of the wanted rows."""
    metadata = file.metadata
    ends = np.cumsum([metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)])
    rows = np.flatnonzero(is_wanted.to_numpy())
    return [int(group) for group in np.unique(np.searchsorted(ends, rows, "right"))]


def _is_of_episode(rows: Any, number: int) -> Any:
    return pc.fill_null(pc.equal(rows[EPISODE], number), False)


@lru_cache(maxsize=2)
def _table(path: Path, size: int, changed_ns: int, columns: tuple[str, ...]) -> pa.Table:
    """Those of the columns that a file has, limited by what they need in memory, not by what the file says."""
    file = pq.ParquetFile(path, pre_buffer=False)
    if file.metadata.num_rows > MAX_ROWS:
        raise CaptureError(f"{path} has {file.metadata.num_rows} rows, more than {MAX_ROWS}")
    names = [name for name in columns if name in file.schema_arrow.names]
    batches, needed = [], 0
    for batch in file.iter_batches(ROWS, columns=names):
        batches.append(batch)
        needed += batch.nbytes
        if needed > MAX_TABLE_BYTES:
            raise CaptureError(f"{path}: its columns need more than {MAX_TABLE_BYTES >> 20} MiB")
    if not batches:
        raise CaptureError(f"{path} has no rows")
    return pa.Table.from_batches(batches)


def _flat(column: Any) -> tuple[Any, bool]:
    """The values of a column of numbers or (nested) vectors, and whether none is null and all are of one length."""
    values, is_whole = column.combine_chunks(), True
    while _is_list(values.type):
        lengths = pc.list_value_length(values)
        is_whole = is_whole and values.null_count == 0 and len(pc.unique(lengths)) <= 1
        values = values.flatten()
    return values, is_whole and values.null_count == 0


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    )
