"""ABI check of the kernels: structures whose Python mirror does not fit are refused."""

from __future__ import annotations

import ctypes

import pytest

from agent_core.cpu.build import Kind, load_library
from agent_core.cpu.capability import Isa
from agent_core.cpu.kernels import compact_structs as compact
from agent_core.cpu.kernels import paper_structs as paper
from agent_core.errors import KernelError
from tests.agent_core.cpu.kernel_calls import COMPACT_ISAS, PAPER_ISAS, needs_compiler

pytestmark = [pytest.mark.processor, needs_compiler]

ISAS: dict[Kind, tuple[Isa, ...]] = {"paper": PAPER_ISAS, "compact": COMPACT_ISAS}
KINDS = [kind for kind, isas in ISAS.items() if isas]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", ["missing", "order", "unknown"])
def test_a_mirror_that_does_not_fit_is_refused(kind: Kind, change: str) -> None:
    declared = {"paper": paper.Matrix, "compact": compact.Matrix}[kind]._fields_
    fields = {
        "missing": [*declared[:1], *declared[2:]],
        "order": [declared[1], declared[0], *declared[2:]],
        "unknown": [*declared, ("colour", ctypes.c_int64)],
    }[change]
    mirror = type("Matrix", (ctypes.Structure,), {"_fields_": fields})
    message = {
        "missing": "its mirror has no field Matrix.",
        "order": r"has \(offset, size\)",
        "unknown": "the library has no field Matrix.colour",
    }[change]
    with pytest.raises(KernelError, match=f"does not fit this version: .*{message}") as refusal:
        load_library(kind, structs=[mirror])
    assert "\n" not in str(refusal.value)
