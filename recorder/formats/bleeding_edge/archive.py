"""Archive of arrays: an `.npz` of strangers, read without pickle and within limits that hold before anything is read.

The directory of the zip and the header of each array are checked first: kind, shape, and that the array is exactly as
large as the directory says. Large arrays are read as a stream, a step at a time.
"""

from __future__ import annotations

import ast
import io
import math
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from recorder.format.manifest import CaptureError

MAX_DIRECTORY = 64 << 10
"""Bytes of the zip's directory."""
MAX_HEADER = 4096
"""Bytes of an array's header."""
MAX_RATIO = 100
"""How many times its size in the file an array may unpack to, beyond `FREE_BYTES`."""
FREE_BYTES = 256 << 20
MAX_AXES = 4
MAX_SIDE = 1 << 60
_MAGIC = b"\x93NUMPY"
_DTYPE = re.compile(r"[<>|=]?[a-zA-Z]\d{0,6}")
_END = b"PK\x05\x06"
_END_BYTES = 22
_LOCATOR_64 = b"PK\x06\x07"
_LOCATOR_64_BYTES = 20


@dataclass(frozen=True)
class ArrayHeader:
    """Type and shape of an array, and where its values begin."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int


class Archive:
    """The arrays of an open `.npz`, by name."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file = file
        names = [info.filename for info in file.infolist()]
        if len(set(names)) != len(names):
            raise CaptureError("an array is in it twice")
        self._infos = {info.filename.removesuffix(".npy"): info for info in file.infolist()}

    @property
    def names(self) -> set[str]:
        """The names of its arrays."""
        return {*self._infos}

    def __contains__(self, name: str) -> bool:
        return name in self._infos

    def header(self, name: str, kinds: str, *, max_item: int = 8) -> ArrayHeader:
        """The header of an array whose type is one of `kinds` (numpy's letters) of at most `max_item` bytes.

        Raises `CaptureError` where it is missing, damaged, of another type, or not as large as the directory says.
        """
        if name not in self:
            raise CaptureError(f"it has no array {name!r}")
        info = self._infos[name]
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise CaptureError(f"{name} is compressed in another way than numpy does")
        if info.file_size > max(FREE_BYTES, MAX_RATIO * info.compress_size):
            raise CaptureError(
                f"{name} would unpack from {info.compress_size:,} bytes to {info.file_size:,}"
            )
        with self._file.open(info) as member:
            header = _parsed(name, member.read(MAX_HEADER))
        if header.dtype.hasobject:
            raise CaptureError(f"{name} holds Python objects, which are never read")
        if header.dtype.kind not in kinds or header.dtype.itemsize > max_item:
            raise CaptureError(f"{name} is of type {header.dtype.name:.40}, which it cannot be")
        size = math.prod(header.shape) * header.dtype.itemsize
        if header.begin + size != info.file_size:
            raise CaptureError(
                f"{name} of shape {header.shape} needs {size:,} bytes and has {info.file_size - header.begin:,}"
            )
        return header

    def read(self, name: str, header: ArrayHeader) -> NDArray[Any]:
        """A whole array; check its shape before."""
        (values,) = self.chunks(name, header, 1, math.prod(header.shape))
        return values.reshape(header.shape)

    def chunks(
        self, name: str, header: ArrayHeader, count: int, items: int
    ) -> Iterator[NDArray[Any]]:
        """`count` runs of `items` values each, in order; the checksum is checked at the last."""
        size = items * header.dtype.itemsize
        with self._file.open(self._infos[name]) as member:
            member.read(header.begin)
            for _ in range(count):
                yield np.frombuffer(_exactly(member, size, name), header.dtype)
            member.read(1)


@contextmanager
def archive(path: Path) -> Iterator[Archive]:
    """An open `.npz`; whatever is damaged in it raises `CaptureError`."""
    try:
        with path.open("rb") as file:
            _check_directory(file)
            with zipfile.ZipFile(file) as opened:
                yield Archive(opened)
    except CaptureError:
        raise
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        RuntimeError,
        ValueError,
        struct.error,
    ) as error:
        lines = str(error).splitlines() or ["it ends too early"]
        raise CaptureError(f"it is damaged: {lines[0]:.120}") from None
    except OSError as error:
        raise CaptureError(f"it cannot be read: {error.strerror or error}") from None


def _check_directory(file: IO[bytes]) -> None:
    """Raise `CaptureError` where the zip has no directory, or one that no such file needs."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(size - _END_BYTES - 0xFFFF, 0))
    tail = file.read()
    end = tail.rfind(_END)
    if end < 0 or len(tail) - end < _END_BYTES:
        raise CaptureError("it is no whole .npz: it has no directory, and may be cut off")
    length = int.from_bytes(tail[end + 12 : end + 16], "little")
    if length > MAX_DIRECTORY:
        raise CaptureError(f"its directory has {length:,} bytes, more than {MAX_DIRECTORY:,}")
    file.seek(max(size - len(tail) + end - _LOCATOR_64_BYTES, 0))
    if file.read(len(_LOCATOR_64)) == _LOCATOR_64:  # zipfile would take the length from there
        raise CaptureError("its directory is of the zip64 form, which no such file needs")
    file.seek(0)


def _parsed(name: str, begin: bytes) -> ArrayHeader:
    """The header at the begin of an array, of version 1 or 2, as `numpy.lib.format` describes it.

    numpy's own reader also takes what Python 2 wrote, and raises whatever its tokenizer does.
    """
    sizes = {b"\x01\x00": 2, b"\x02\x00": 4}
    if begin[:6] != _MAGIC or begin[6:8] not in sizes:
        raise CaptureError(f"{name} is no array that numpy wrote")
    text = 8 + sizes[begin[6:8]]
    end = text + int.from_bytes(begin[8:text], "little")
    try:
        if end > len(begin):
            raise ValueError("the header is longer than it may be")
        with warnings.catch_warnings(action="ignore"):  # of the compiler, about strange literals
            fields = ast.literal_eval(begin[text:end].decode("latin-1").strip())
        dtype, is_fortran, shape = (fields[key] for key in ("descr", "fortran_order", "shape"))
        if not _DTYPE.fullmatch(dtype) or not all(type(side) is int for side in shape):
            raise ValueError("another type or shape than of a plain array")
        header = ArrayHeader(np.dtype(dtype), tuple(shape), end)
    except (ValueError, KeyError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise CaptureError(f"{name} is no array that numpy wrote") from None
    if is_fortran and len(header.shape) > 1:
        raise CaptureError(f"{name} is stored by columns; store it by rows")
    if len(header.shape) > MAX_AXES or any(abs(side) > MAX_SIDE for side in header.shape):
        raise CaptureError(f"{name} has more than {MAX_AXES} axes, or one of over 2^60 values")
    if any(side < 0 for side in header.shape):
        raise CaptureError(f"{name} has the shape {header.shape}")
    return header


def _exactly(member: IO[bytes], size: int, name: str) -> bytes:
    content = member.read(size)
    if len(content) < size:
        raise CaptureError(f"{name} ends too early")
    return content
