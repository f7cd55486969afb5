"""ABI check: the structs of a compiled kernel library against their ctypes mirrors.

A library exports a version and a table with the size of every struct and the offset and size of every field
(`abi.c`, `iafm.h`). A mirror that has another field, order or type is noticed here, before the first call.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from ctypes import POINTER, Structure, c_char_p, c_int64

ABI_VERSION = 2
"""`IAFM_ABI_VERSION` of `iafm.h`."""

Layout = dict[tuple[str, str], tuple[int, int]]
"""(struct, field) -> (offset, size) in bytes; the field of a struct itself is empty."""


class _AbiField(Structure):
    _fields_ = [
        *((name, c_char_p) for name in ("structure", "field")),
        *((name, c_int64) for name in ("offset", "size")),
    ]


def mismatch(library: ctypes.CDLL, mirrors: Iterable[type[Structure]]) -> str | None:
    """The first difference between a library and the mirrors of its structs, in words; None where they agree.

    Raises `AttributeError` where the library exports no table.
    """
    library.iafm_abi_version.restype = c_int64
    version = library.iafm_abi_version()
    if version != ABI_VERSION:
        return f"the library has ABI version {version}, expected {ABI_VERSION}"
    compiled = _compiled_layout(library)
    for mirror in mirrors:
        name, expected = mirror.__name__, _mirror_layout(mirror)
        actual = {key: place for key, place in compiled.items() if key[0] == name}
        if not actual:
            return f"the library has no struct {name}"
        for _, field in sorted(actual.keys() ^ expected.keys()):
            owner = "its mirror" if (name, field) in actual else "the library"
            return f"{owner} has no field {name}.{field}"
        for key, place in expected.items():
            if actual[key] != place:
                where = ".".join(filter(None, key))
                return f"{where} has (offset, size) {actual[key]} in the library, {place} in its mirror"
    return None


def _compiled_layout(library: ctypes.CDLL) -> Layout:
    library.iafm_abi_fields.restype = POINTER(_AbiField)
    table, layout = library.iafm_abi_fields(), {}
    for row in table:
        if row.structure is None:
            break
        layout[row.structure.decode(), (row.field or b"").decode()] = (row.offset, row.size)
    return layout


def _mirror_layout(mirror: type[Structure]) -> Layout:
    name = mirror.__name__
    layout = {(name, ""): (0, ctypes.sizeof(mirror))}
    for field, *_ in mirror._fields_:
        place = getattr(mirror, field)
        layout[name, field] = (place.offset, place.size)
    return layout
