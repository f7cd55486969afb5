"""Processor capabilities: each kind of machine handed in as flags, whatever the machine of the test."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from agent_core.cpu.capability import (
    Precision,
    Processor,
    detect,
    fastest,
    limited,
    require,
    support,
)
from agent_core.errors import ConfigError

pytestmark = pytest.mark.processor

CPU, GPU = torch.device("cpu"), torch.device("cuda")
AMX = Processor(
    "AVX512", has_bfloat16=True, has_amx=True, has_vnni=True, has_onednn=True,
    onednn_has_bfloat16=True, has_fbgemm=True, is_linux=True,
)  # fmt: skip
VECTORS = replace(AMX, has_amx=False)
VNNI = replace(VECTORS, has_bfloat16=False)
AVX512 = replace(VNNI, has_vnni=False)
AVX2 = replace(AVX512, vectors="AVX2", onednn_has_bfloat16=False)
OLD = replace(AVX2, vectors="DEFAULT")
ARM = Processor("DEFAULT", has_onednn=True)


@pytest.mark.parametrize(
    ("processor", "float32", "bfloat16", "int8", "auto"),
    [
        (AMX, ("kernels", "torch"), ("kernels", "onednn"), ("kernels", "onednn"), "bfloat16"),
        (VECTORS, ("kernels", "torch"), ("kernels", "onednn"), ("kernels", "onednn"), "bfloat16"),
        (replace(AMX, is_linux=False), ("torch",), ("onednn",), ("onednn",), "bfloat16"),
        (VNNI, ("kernels", "torch"), ("onednn",), ("onednn",), "float32"),
        (AVX512, ("kernels", "torch"), ("onednn",), ("fbgemm",), "float32"),
        (AVX2, ("kernels", "torch"), (), ("fbgemm",), "float32"),
        (replace(AVX2, has_fbgemm=False), ("kernels", "torch"), (), (), "float32"),
        (OLD, ("torch",), (), (), "float32"),
        (ARM, ("torch",), (), (), "float32"),
    ],
)
def test_every_kind_of_processor_has_its_backends(
    processor: Processor, float32: object, bfloat16: object, int8: object, auto: Precision
) -> None:
    assert processor.support("float32").backends == float32
    assert processor.support("bfloat16").backends == bfloat16
    assert processor.support("int8").backends == int8
    assert fastest(CPU, 768, processor) == auto
    assert fastest(CPU, 128, processor) == "float32"


@pytest.mark.parametrize("processor", [AMX, VECTORS, VNNI, AVX512, AVX2, OLD, ARM])
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
def test_what_cannot_be_computed_is_refused_in_one_line_that_names_what_can(
    processor: Processor, precision: Precision
) -> None:
    if answer := processor.support(precision):
        require(precision, CPU, processor)
        assert answer.is_faster or precision != "int8"
        return
    with pytest.raises(ConfigError, match=f"no precision {precision} here: .*; take ") as error:
        require(precision, CPU, processor)
    assert "\n" not in str(error.value)
    for able in str(error.value).rpartition("; take ")[2].split(" or "):
        assert support(able, CPU, processor)  # type: ignore[arg-type]


def test_a_precision_that_does_not_pay_says_why() -> None:
    for processor in (VNNI, AVX2):
        answer = processor.support("bfloat16")
        assert not answer.is_faster
        assert "bfloat16" in answer.reason


@pytest.mark.parametrize(
    ("vectors", "isa", "expected"),
    [
        ("AVX512", "", AMX),
        ("AVX512", "ALL", AMX),
        ("AVX512", "avx512_core_amx", AMX),
        ("AVX512", "AVX512_CORE_BF16", VECTORS),
        ("AVX512", "AVX512_CORE_VNNI", VNNI),
        ("AVX512", "AVX512_CORE", AVX512),
        ("AVX512", "AVX2", AVX512),
        ("AVX2", "", replace(AVX512, vectors="AVX2")),
    ],
)
def test_limits_of_torch_and_onednn_hold_for_all(
    vectors: str, isa: str, expected: Processor
) -> None:
    assert limited(replace(AMX, vectors=vectors), isa) == expected


def test_this_machine_as_an_older_one_has_no_wide_units() -> None:
    older = detect({"ONEDNN_MAX_CPU_ISA": "AVX2"})
    assert older.paper_isas == ()
    assert not older.has_vnni
    assert detect({}) == detect({"ONEDNN_MAX_CPU_ISA": "DEFAULT"})


def test_a_gpu_takes_bfloat16_for_every_width_and_no_int8() -> None:
    assert fastest(GPU, 128, OLD) == "bfloat16"
    require("float32", GPU, OLD)
    with pytest.raises(ConfigError, match="int8 is for processors, not for cuda; take float32 or"):
        require("int8", GPU, AMX)
