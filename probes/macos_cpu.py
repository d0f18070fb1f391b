"""Pure parser of the processor of a Mac from sysctl's figures."""

from __future__ import annotations

from whatfits.probes.cpu_facts import CpuFacts
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.probes.sysctl import Sysctl

__all__ = ["parse_macos_cpu"]

# Source: Apple, Determining Instruction Set Characteristics; leaf names as in Intel's manuals.
_MACOS_ARM: Final = {
    "hw.optional.AdvSIMD": "neon",
    "hw.optional.arm.AdvSIMD": "neon",
    "hw.optional.arm.FEAT_FP16": "fp16",
    "hw.optional.arm.FEAT_DotProd": "dotprod",
    "hw.optional.arm.FEAT_I8MM": "i8mm",
    "hw.optional.arm.FEAT_BF16": "bf16",
    "hw.optional.arm.FEAT_SME": "sme",
    "hw.optional.arm.FEAT_SME2": "sme2",
}
_MAX_LEVELS: Final = 4
_MACOS_X86: Final = {
    "AVX1.0": "avx",
    "AVX2": "avx2",
    "FMA": "fma",
    "F16C": "f16c",
    "SSE4.2": "sse4_2",
    "AVX512F": "avx512f",
    "AVX512BW": "avx512bw",
    "AVX512VL": "avx512vl",
    "AVX512VNNI": "avx512_vnni",
}


def parse_macos_cpu(sysctl: Sysctl) -> CpuFacts:
    """Return the processor of a Mac; under Rosetta the real chip where it could be asked."""
    words = " ".join(
        sysctl.text(name) or "" for name in ("machdep.cpu.features", "machdep.cpu.leaf7_features")
    ).split()
    arm = (feature for name, feature in _MACOS_ARM.items() if sysctl.count(name) == 1)
    x86 = (_MACOS_X86[word] for word in words if word in _MACOS_X86)
    is_translated_figures = sysctl.is_translated and not sysctl.is_native
    physical = sysctl.count("hw.physicalcpu")
    return CpuFacts(
        source="sysctl",
        brand=None if is_translated_figures else sysctl.text("machdep.cpu.brand_string"),
        features=() if is_translated_figures else tuple(dict.fromkeys((*arm, *x86))),
        physical_cores=physical,
        logical_cores=sysctl.count("hw.logicalcpu"),
        performance_cores=_fast_cores(sysctl) or physical,
        sockets=sysctl.count("hw.packages"),
        l3_bytes=sysctl.size("hw.l3cachesize"),
        is_virtual=sysctl.count("kern.hv_vmm_present") == 1,
        is_translated=sysctl.is_translated,
    )


def _fast_cores(sysctl: Sysctl) -> int:
    """Return the cores of all levels but the slowest; levels count from the fastest down."""
    levels = [sysctl.count(f"hw.perflevel{n}.physicalcpu") or 0 for n in range(_MAX_LEVELS)]
    filled = [cores for cores in levels if cores]
    return sum(filled[:-1]) if len(filled) > 1 else sum(filled)
