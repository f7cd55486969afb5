"""First error of a pydantic validation in one line."""

import pytest
from pydantic import BaseModel, ValidationError, field_validator

from games.validation_error import first_error


class Inner(BaseModel):
    count: int

    @field_validator("count")
    @classmethod
    def _even(cls, value: int) -> int:
        if value % 2:
            raise ValueError(f"{value} is odd")
        return value


class Outer(BaseModel):
    parts: list[Inner]


@pytest.mark.parametrize(
    ("data", "kind", "line"),
    [
        ({"parts": [{"count": 2}, {"count": 3}]}, "value_error", "3 is odd at parts.1.count"),
        ({}, "missing", "Field required at parts"),
        (7, "model_type", "at the whole"),
    ],
)
def test_the_first_error_names_its_place(data: object, kind: str, line: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(data)
    first = first_error(caught.value)
    assert first.kind == kind
    assert str(first).endswith(line)
