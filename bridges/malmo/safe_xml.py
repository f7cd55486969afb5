"""XML of strangers: a tree of elements, bounded in size and depth, without document types and entities."""

from __future__ import annotations

from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

MAX_ELEMENTS = 10_000
MAX_DEPTH = 32


class XmlError(ValueError):
    """A text is no XML of the bounded kind; one line says why."""


def read_xml(text: bytes) -> Element:
    """The root element; names have no namespace. Raises `XmlError`.

    Only a document type can declare entities, which could refer to files or grow without bound: it is refused.
    """
    builder = TreeBuilder()
    elements = depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal elements, depth
        elements, depth = elements + 1, depth + 1
        if elements > MAX_ELEMENTS or depth > MAX_DEPTH:
            raise XmlError(f"more than {MAX_ELEMENTS:,} elements, or {MAX_DEPTH} within each other")
        builder.start(_local(name), {_local(key): value for key, value in attributes.items()})

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_local(name))

    def refuse(*_: object) -> None:
        raise XmlError("a document type, which could declare entities")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(text, True)
        return builder.close()
    except expat.ExpatError as error:
        raise XmlError(f"no XML: {error}") from None


def _local(name: str) -> str:
    """`name` without the namespace before its last blank."""
    return name.rpartition(" ")[2]
