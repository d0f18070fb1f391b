"""Pure parsers of `/proc/cpuinfo`, whose form is another on every architecture."""

from __future__ import annotations

from whatfits.sizing.errors import printable
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

__all__ = ["CPUINFO_BYTES", "CpuDescription", "parse_cpuinfo"]

CPUINFO_BYTES: Final = 64 * 1024
"""How much of the file is read: some forty processors, each asked for its clock when printed."""


@dataclass(frozen=True, slots=True)
class CpuDescription:
    """What the kernel says of the processor.

    Attributes:
        brand: as printed, or put together from the kinds of ARM cores; None when not told.
        features: instruction sets that matter for inference.
        is_virtual: a hypervisor is announced.
        processors: how many blocks there are; 0 when the text is cut.
    """

    brand: str | None
    features: tuple[str, ...] = ()
    is_virtual: bool = False
    processors: int = 0


# What kernels for matrix products look at. Flags of x86 keep the kernel's names.
_X86: Final = frozenset(
    (
        "sse3",
        "ssse3",
        "sse4_1",
        "sse4_2",
        "avx",
        "avx2",
        "fma",
        "f16c",
        "bmi2",
        "avx_vnni",
        "avx_vnni_int8",
        "avx512f",
        "avx512cd",
        "avx512bw",
        "avx512dq",
        "avx512vl",
        "avx512ifma",
        "avx512vbmi",
        "avx512_vbmi2",
        "avx512_vnni",
        "avx512_bf16",
        "avx512_fp16",
        "amx_tile",
        "amx_int8",
        "amx_bf16",
        "amx_fp16",
    )
)
# Source: Linux kernel documentation, arch/arm64/elf_hwcaps; arm (32 bit) prints `neon`.
_ARM: Final = {
    "asimd": "neon",
    "neon": "neon",
    "asimdhp": "fp16",
    "asimddp": "dotprod",
    "i8mm": "i8mm",
    "bf16": "bf16",
    "sve": "sve",
    "sve2": "sve2",
    "svei8mm": "svei8mm",
    "svebf16": "svebf16",
    "sme": "sme",
    "sme2": "sme2",
}
_S390: Final = ("vx", "vxd", "vxe", "vxe2", "nnpa")
_LOONGARCH: Final = ("lsx", "lasx")


def parse_cpuinfo(text: str, *, architecture: str) -> CpuDescription:
    """Return the description from the first block, and on ARM the kinds of all cores.

    An architecture that is not known has no features; nothing is raised.
    """
    head = _fields(text.partition("\n\n")[0].splitlines())
    lines = text.splitlines()
    # A text that was cut tells nothing of how many blocks there are.
    is_whole = text.endswith("\n") and len(text) < CPUINFO_BYTES
    processors = sum(line.startswith("processor") for line in lines) if is_whole else 0
    if architecture in ("x86_64", "AMD64", "amd64", "i386", "i486", "i586", "i686"):
        flags = head.get("flags", "").split()
        return CpuDescription(
            _clean(head.get("model name")),
            tuple(flag for flag in flags if flag in _X86),
            is_virtual="hypervisor" in flags,
            processors=processors,
        )
    if architecture.startswith(("arm", "aarch64")):
        return _arm(lines, head, processors)
    every = _fields(lines)
    brand, features = _other(every, architecture)
    return CpuDescription(_clean(brand), features, processors=processors)


def _fields(lines: Iterable[str]) -> dict[str, str]:
    """Return the first value of each field, by its name in lower case."""
    fields: dict[str, str] = {}
    for line in lines:
        name, separator, value = line.partition(":")
        if separator:
            fields.setdefault(name.strip().lower(), value.strip())
    return fields


def _clean(brand: str | None) -> str | None:
    """Return a name without trademarks' marks and doubled blanks; None for none."""
    return printable(" ".join(brand.split())) or None if brand else None


def _arm(lines: list[str], head: dict[str, str], processors: int) -> CpuDescription:
    words = head.get("features", "").split()
    features = tuple(dict.fromkeys(_ARM[word] for word in words if word in _ARM))
    every = _fields(lines)
    # `model name` is a marketing name only where the vendor patched it in; 32-bit kernels and
    # emulations print "ARMv7 Processor rev 4 (v7l)" there.
    cores = _arm_cores(lines)
    board = every.get("model") or every.get("hardware")
    one_kind = len(cores) == 1  # then the count is not needed, and the text may be cut
    brand = " + ".join(name if one_kind else f"{n}x {name}" for name, n in cores.items())
    if board and brand:
        brand = f"{board} ({brand})"
    return CpuDescription(
        _clean(brand or board or every.get("model name")), features, processors=processors
    )


def _arm_cores(lines: Iterable[str]) -> dict[str, int]:
    """Return how many cores of each kind there are, by implementer and part number."""
    from whatfits.probes.arm_cores import ARM_CORES  # noqa: PLC0415 - on ARM only

    cores: dict[str, int] = {}
    implementer = None
    for line in lines:
        name, _, value = line.partition(":")
        match name.strip():
            case "CPU implementer":
                implementer = _number(value)
            case "CPU part":
                part = _number(value)
                if implementer is None or part is None:
                    continue
                core = ARM_CORES.get(
                    (implementer, part), f"ARM core {implementer:#04x}:{part:#05x}"
                )
                cores[core] = cores.get(core, 0) + 1
    return cores


def _number(value: str) -> int | None:
    try:
        return int(value.strip(), 0)
    except ValueError:
        return None


def _other(fields: dict[str, str], architecture: str) -> tuple[str | None, tuple[str, ...]]:
    """Return brand and features of the rarer architectures."""
    match architecture:
        case "ppc64le" | "ppc64" | "ppc":
            cpu = fields.get("cpu", "")
            # VSX came with POWER7 and is part of every little-endian system.
            vector = ("altivec", "vsx") if "altivec" in cpu else ()
            return cpu.partition(",")[0], vector
        case "s390x":
            words = fields.get("features", "").split()
            machine = _s390_machine(fields)
            return machine, tuple(word for word in words if word in _S390)
        case "riscv64":
            isa = fields.get("isa", "").lower()
            name = fields.get("uarch") or fields.get("model name") or fields.get("model")
            return name, _riscv(isa)
        case "loongarch64":
            words = fields.get("features", "").lower().split()
            return fields.get("model name"), tuple(word for word in words if word in _LOONGARCH)
        case _:
            return fields.get("model name") or fields.get("cpu model") or fields.get("cpu"), ()


def _s390_machine(fields: dict[str, str]) -> str | None:
    """Return the vendor and machine type: `processor 0: version = FF, … machine = 8561`."""
    processor = next((v for k, v in fields.items() if k.startswith("processor ")), "")
    _, _, machine = processor.partition("machine = ")
    vendor = fields.get("vendor_id")
    return f"{vendor} machine {machine.strip()}" if vendor and machine else vendor


def _riscv(isa: str) -> tuple[str, ...]:
    """Return extensions of an ISA string such as `rv64imafdcv_zicbom_zvfh`."""
    base, _, rest = isa.partition("_")
    extensions = rest.split("_")
    letters = base.removeprefix("rv64").removeprefix("rv32")
    found = ["rvv"] if "v" in letters.partition("z")[0].partition("s")[0] else []
    return (*found, *(name for name in ("zfh", "zvfh", "zvbb") if name in extensions))
