"""First error of a pydantic validation: its place in the data and its message, in one line."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import ValidationError

_MAX_PART = 48
"""Characters of a key in a path: the key of an unknown field may be anything."""


class FirstError(NamedTuple):
    """The first of a validation's errors; `kind` is pydantic's type of error, such as `missing`."""

    kind: str
    path: tuple[str, ...]
    """Keys and indices from the root to the value."""
    message: str

    @property
    def place(self) -> str:
        """The path with dots, "the whole" for the root."""
        return ".".join(self.path) or "the whole"

    def __str__(self) -> str:
        return f"{self.message} at {self.place}"


def first_error(error: ValidationError) -> FirstError:
    """The first error, without pydantic's "Value error, " before messages of our own validators."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    message = str(first["msg"]).removeprefix("Value error, ")
    path = tuple(str(part)[:_MAX_PART] for part in first["loc"])
    return FirstError(first["type"], path, message)
