"""Processor capabilities: which precisions this machine computes in, by which backend, and whether that pays.

Everything that chooses or refuses a precision asks here: `require` refuses, `fastest` chooses for `auto`. The answers
follow the variables that make torch compute as an older processor would, so that such a machine can be emulated:
`ATEN_CPU_CAPABILITY` (torch's own vector code) and `ONEDNN_MAX_CPU_ISA` (oneDNN); our own kernels follow both.

| precision | with matrix or vector units for bfloat16 | AVX-512 without them | AVX2 | older |
|---|---|---|---|---|
| float32 | kernels, torch | kernels, torch | kernels, torch | torch |
| bfloat16 | kernels, oneDNN | oneDNN, slower than float32 | refused | refused |
| int8 | kernels, oneDNN | oneDNN with VNNI, else FBGEMM | FBGEMM | refused |
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch

from agent_core.errors import ConfigError

Precision = Literal["float32", "bfloat16", "int8"]
Backend = Literal["kernels", "onednn", "fbgemm", "torch"]
Isa = Literal["amx", "amx_emulated", "avx512", "avx2"]
"""Instruction sets of our kernels. `amx_emulated` is for tests: AMX in plain C, the rest in AVX-512."""

WIDE = 256
"""From this width on, matrices outweigh what bfloat16 costs around them on a processor (measured)."""
_MULTIPLIES_BFLOAT16 = ("BF16", "FP16", "AMX", "AVX10")
"""Parts of the names that oneDNN gives to instruction sets with products of bfloat16."""


@dataclass(frozen=True)
class Support:
    """How a device computes in one precision. `backends`: what can multiply, the preferred first; none: it cannot.

    Our kernels are for models of certain sizes and need a C compiler; the next backend computes what they do not.
    """

    backends: tuple[Backend, ...]
    is_faster: bool = False
    """Than float32, for models wide enough."""
    reason: str = ""
    """Why it cannot, or why it is not faster, in words."""

    def __bool__(self) -> bool:
        return bool(self.backends)


@dataclass(frozen=True)
class Processor:
    """What a processor and this build of torch offer."""

    vectors: str = "DEFAULT"
    """Width of torch's vector code, as torch calls it: AVX512, AVX2, DEFAULT or another machine's name."""
    has_bfloat16: bool = False
    """Vector products of bfloat16 (AVX-512 BF16). Every processor with them has VNNI too."""
    has_amx: bool = False
    """Matrix tiles of bfloat16 and int8, and the permission to use them."""
    has_vnni: bool = False
    """Vector products of int8 in 512 bits, added up in 32 bits."""
    has_onednn: bool = False
    onednn_has_bfloat16: bool = False
    has_fbgemm: bool = False
    is_linux: bool = False

    @property
    def paper_isas(self) -> tuple[Isa, ...]:
        """Instruction sets that our kernels have for the paper's layers here, the best first."""
        if not (self.is_linux and self.has_bfloat16):
            return ()
        return ("amx", "avx512") if self.has_amx else ("avx512",)

    @property
    def compact_isas(self) -> tuple[Isa, ...]:
        """Instruction sets that our kernels have for compact models here, the best first."""
        if not self.is_linux:
            return ()
        if self.vectors == "AVX512":
            return ("avx512", "avx2")
        return ("avx2",) if self.vectors == "AVX2" else ()

    @property
    def can_use_fbgemm(self) -> bool:
        """Whether FBGEMM multiplies int8 here, by whatever vector instructions there are from AVX2 on."""
        return self.has_fbgemm and self.vectors in ("AVX512", "AVX2")

    def support(self, precision: Precision) -> Support:
        """How it computes in one precision."""
        match precision:
            case "float32":
                return Support(("kernels", "torch") if self.compact_isas else ("torch",))
            case "bfloat16":
                return self._bfloat16()
            case _:
                return self._int8()

    def _bfloat16(self) -> Support:
        if not (self.has_onednn and self.onednn_has_bfloat16):
            return Support((), reason="this processor multiplies no bfloat16 (AVX-512 or AMX)")
        if not (self.has_bfloat16 or self.has_amx):
            return Support(("onednn",), reason="this processor has no products of bfloat16")
        return Support(("kernels", "onednn") if self.paper_isas else ("onednn",), is_faster=True)

    def _int8(self) -> Support:
        """Without VNNI oneDNN adds products in 16 bits, which overflow; FBGEMM takes 7-bit inputs there."""
        if self.has_vnni and self.has_onednn and self.onednn_has_bfloat16:
            own: tuple[Backend, ...] = ("kernels",) if self.paper_isas else ()
            return Support((*own, "onednn"), is_faster=True)
        if self.can_use_fbgemm:
            return Support(("fbgemm",), is_faster=True)
        return Support((), reason="int8 needs a processor with AVX2 and a torch with FBGEMM")


def detect(environment: Mapping[str, str] = os.environ) -> Processor:
    """This machine's processor, or the older one that the environment asks for."""
    vectors = torch.backends.cpu.get_cpu_capability()
    limit = environment.get("ONEDNN_MAX_CPU_ISA", environment.get("DNNL_MAX_CPU_ISA", ""))
    return limited(
        Processor(
            vectors=vectors,
            has_bfloat16=torch.cpu._is_avx512_bf16_supported(),
            has_amx=torch.cpu._is_amx_tile_supported() and torch.cpu._init_amx(),
            has_vnni=torch.cpu._is_vnni_supported(),
            has_onednn=torch._C._has_mkldnn,
            onednn_has_bfloat16=torch._C._has_mkldnn
            and torch.ops.mkldnn._is_mkldnn_bf16_supported(),
            has_fbgemm="fbgemm" in torch.backends.quantized.supported_engines,
            is_linux=platform.system() == "Linux",
        ),
        limit,
    )


def limited(processor: Processor, onednn_isa: str) -> Processor:
    """The processor without what its vector width or a limit to an instruction set of oneDNN's excludes."""
    isa = onednn_isa.upper()
    is_wide = processor.vectors == "AVX512"
    unlimited = isa in ("", "ALL", "DEFAULT")
    bfloat16 = unlimited or any(part in isa for part in _MULTIPLIES_BFLOAT16)
    vnni = bfloat16 or isa == "AVX512_CORE_VNNI"
    return Processor(
        vectors=processor.vectors,
        has_bfloat16=processor.has_bfloat16 and is_wide and bfloat16,
        has_amx=processor.has_amx and is_wide and (unlimited or "AMX" in isa),
        has_vnni=processor.has_vnni and is_wide and vnni,
        has_onednn=processor.has_onednn,
        onednn_has_bfloat16=processor.onednn_has_bfloat16,
        has_fbgemm=processor.has_fbgemm,
        is_linux=processor.is_linux,
    )


def support(
    precision: Precision, device: torch.device, processor: Processor | None = None
) -> Support:
    """How a device computes in one precision; `processor` counts where the device is one (default: this one)."""
    if device.type == "cpu":
        return (processor or detect()).support(precision)
    if precision == "int8":
        return Support((), reason=f"int8 is for processors, not for {device.type}")
    return Support(("torch",), is_faster=precision == "bfloat16" and device.type == "cuda")


def require(
    precision: Precision | Literal["auto"], device: torch.device, processor: Processor | None = None
) -> None:
    """Refuse a precision that a device cannot compute in: raises `ConfigError` that names those it can."""
    if precision == "auto" or (answer := support(precision, device, processor)):
        return
    others: tuple[Precision, ...] = ("float32", "bfloat16", "int8")
    able = [other for other in others if support(other, device, processor)]
    raise ConfigError(f"no precision {precision} here: {answer.reason}; take {' or '.join(able)}")


def fastest(device: torch.device, width: int, processor: Processor | None = None) -> Precision:
    """What `auto` means for a model of that width: bfloat16 where it is faster, else float32.

    Never int8: it decides differently once in a while, so it is for those who ask.
    """
    is_faster = support("bfloat16", device, processor).is_faster
    return "bfloat16" if is_faster and (device.type != "cpu" or width >= WIDE) else "float32"
