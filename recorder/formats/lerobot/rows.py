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
MAX_WIDTH = 4096
"""Most numbers of a row in one column."""
MAX_ROWS = 1 << 25
MAX_TABLE_BYTES = 1 << 30
"""Largest columns of one file that are read at once, uncompressed."""


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
            mask = pc.fill_null(pc.equal(table[EPISODE], number), False)
            self._rows = table.filter(mask)
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
        file = pq.ParquetFile(path, pre_buffer=False)
        batches = file.iter_batches(
            BATCH, row_groups=_groups(file, number), columns=[EPISODE, column]
        )
    while True:
        with damage_of(path):
            batch = next(batches, None)
            if batch is None:
                return
            mask = pc.fill_null(pc.equal(batch[EPISODE], number), False)
            cells = batch.filter(mask).column(column).to_pylist()
        yield from cells


def _groups(file: Any, number: int) -> list[int]:
    """The row groups of a file that may hold an episode."""
    groups = []
    for i in range(file.num_row_groups):
        of_group = _column_chunks(file.metadata.row_group(i), (EPISODE,))
        known = [c.statistics for c in of_group if c.statistics and c.statistics.has_min_max]
        if all(statistics.min <= number <= statistics.max for statistics in known):
            groups.append(i)
    return groups


@lru_cache(maxsize=1)
def _table(path: Path, size: int, changed_ns: int, columns: tuple[str, ...]) -> pa.Table:
    """Those of the columns that a file has."""
    metadata = pq.read_metadata(path)
    if metadata.num_rows > MAX_ROWS:
        raise CaptureError(f"{path} has {metadata.num_rows} rows, more than {MAX_ROWS}")
    names = [name for name in columns if name in metadata.schema.to_arrow_schema().names]
    wanted = 0
    for i in range(metadata.num_row_groups):
        for chunk in _column_chunks(metadata.row_group(i), names):
            wanted += max(chunk.total_uncompressed_size, 8 * chunk.num_values)
    if wanted > MAX_TABLE_BYTES:
        raise CaptureError(f"{path}: columns of {wanted / 1e9:.1f} GB are too large to read")
    return pq.read_table(path, columns=names)


def _column_chunks(group: Any, names: Sequence[str]) -> list[Any]:
    """The chunks of a row group that belong to these columns; a vector's is called `NAME.list.element`."""
    chunks = [group.column(i) for i in range(group.num_columns)]
    starts = tuple(f"{name}." for name in names)
    return [c for c in chunks if c.path_in_schema in names or c.path_in_schema.startswith(starts)]


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
