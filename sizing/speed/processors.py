"""What a processor multiplies at over a prompt: its cores, their clock, and the kernels it runs.

Source: which kernels those are, ggml/src/ggml-cpu/repack.cpp (ggml_repack_get_optimal_repack_type)
and ggml/src/ggml-cpu/llamafile/sgemm.cpp; a storage type in neither is multiplied row by row
(ggml-cpu.c, ggml_compute_forward_mul_mat_one_chunk), and unpacked for every token anew.
"""

from __future__ import annotations

import re
from math import exp, log

from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.machine import Device

__all__ = [
    "BY_ROWS",
    "MANY_CORES",
    "WIDE",
    "Arithmetic",
    "AssumedClock",
    "Kernels",
    "arithmetic_of",
]

Kernels = Literal["avx2", "avx512", "arm"]
BY_ROWS: Final = "prompt_rows"
WIDE: Final = "prompt_wide"
MANY_CORES: Final = "prompt_many_cores"
"""Names of costs: of kernels that go row by row, of those with vectors of 512 bits, and of sockets
whose cores are too many for all of them to hold their highest clock."""

# An EPYC 7702 is rated for 2.0 of its 3.35 GHz, a Xeon 8480+ for 2.0 of 3.8; ARM's have one clock.
_MOST_AT_FULL_CLOCK: Final = 32

# Two multiply-adds of eight floats a cycle with AVX2, of eight halves with ARM's NEON.
_FLOPS_PER_CYCLE: Final = 32
_UNITS: Final = 2
# Vector units of ARM's cores that have more. Source: Arm software optimization guides of Neoverse
# V1 and V2, Cortex-X1 to X4 (pipelines V0 to V3); Chips and Cheese on Qualcomm's Oryon.
_FOUR_UNITS: Final = re.compile(r"Neoverse-V\d|Cortex-X\d|Oryon")
_KIND: Final = re.compile(r"(?:(\d+)x )?((?:Cortex|Neoverse)-[A-Z]\d+|Oryon)")
_LITTLE: Final = re.compile(r"Cortex-A(?:35|5\d|5\d\d)$")  # the kernel says what they are worth
# Vectors of 256 bits go through units of 128 in two halves: Intel's Gracemont and its ancestors,
# AMD's Zen and Zen+. Source: Intel 64 and IA-32 Architectures Optimization Reference Manual,
# Gracemont; AMD Software Optimization Guide for Family 17h, models up to 2Fh.
_HALF_AS_WIDE: Final = re.compile(
    r"\bN\d{2,3}\b|\bAtom\b|\bCeleron\b|\bPentium\b|Ryzen (?:\d|Threadripper) [12]\d{3}|EPYC 7\d\d1"
)
_FLOATS: Final = frozenset({"F32", "F16", "BF16"})
_BLOCKS: Final = frozenset({"Q4_0", "Q4_K", "IQ4_NL", "MXFP4"})
_WIDE: Final = _BLOCKS | _FLOATS | {"Q2_K"}
_AT_ONCE: Final[dict[Kernels, frozenset[str]]] = {
    "avx2": _BLOCKS | _FLOATS | {"Q8_0", "Q5_0"},
    "avx512": _WIDE | {"Q8_0", "Q5_0"},
    "arm": _BLOCKS | {"F32", "F16", "Q8_0", "Q5_K", "Q6_K"},
}


class AssumedClock(NamedTuple):
    """A clock that nobody told, and the logarithm of the factor by which it may be off."""

    hz: float
    spread: float

    @property
    def words(self) -> str:
        """What was assumed."""
        clock, factor = self.hz / 1e9, exp(self.spread)
        return (
            f"the processor's clock is not known: {clock / factor:.1f} to {clock * factor:.1f} GHz "
            "were assumed"
        )


# Servers hold 3 GHz, a desktop 5; boards of ARM's small cores 1.8, laptops of its large ones 4.
_X86_CLOCK: Final = AssumedClock(4.0e9, log(1.35))
_ARM_CLOCK: Final = AssumedClock(2.7e9, log(1.5))


class Arithmetic(NamedTuple):
    """What all cores multiply at in a second, by which kernels, and what each product costs more.

    `assumed` stands in for a clock that was not told.
    """

    flops: float
    kernels: Kernels
    slowed_by: tuple[str, ...] = ()
    assumed: AssumedClock | None = None

    def costs(self, type_name: str) -> tuple[str, ...]:
        """Return the names of what a storage type costs besides its kind's cost."""
        if type_name not in _AT_ONCE[self.kernels]:
            return (BY_ROWS, *self.slowed_by)
        is_wide = self.kernels == "avx512" and type_name in _WIDE
        return (WIDE, *self.slowed_by) if is_wide else self.slowed_by


def arithmetic_of(device: Device) -> Arithmetic | None:
    """Return the arithmetic of a processor; None where it does not tell cores and instructions.

    Apple's are left out: nothing was fitted on them, for their GPUs read prompts.
    """
    kernels = _kernels(device)
    if kernels is None or not device.cores or device.name.startswith("Apple"):
        return None
    is_arm = kernels == "arm"
    assumed = None if device.clock_hz else _ARM_CLOCK if is_arm else _X86_CLOCK
    clock = device.clock_hz or (assumed or _X86_CLOCK).hz
    flops = (device.fast_cores or device.cores) * clock * _FLOPS_PER_CYCLE * _width(device, kernels)
    is_crowded = not is_arm and device.cores > _MOST_AT_FULL_CLOCK
    return Arithmetic(flops, kernels, (MANY_CORES,) if is_crowded else (), assumed)


def _kernels(device: Device) -> Kernels | None:
    if device.kind != "cpu":
        return None
    if "avx512f" in device.features:
        return "avx512"
    if "avx2" in device.features:
        return "avx2"
    return "arm" if "dotprod" in device.features else None


def _width(device: Device, kernels: Kernels) -> float:
    """Return the vector units of a core over those of a usual one, on the average of its kinds."""
    if kernels != "arm":
        return 0.5 if _HALF_AS_WIDE.search(device.name) else 1.0
    found = [(int(n or 1), kind) for n, kind in _KIND.findall(device.name)]
    kinds = [one for one in found if not _LITTLE.match(one[1])] or found
    units = sum(n * (4 if _FOUR_UNITS.match(kind) else _UNITS) for n, kind in kinds)
    return units / (_UNITS * sum(n for n, _ in kinds)) if kinds else 1.0
