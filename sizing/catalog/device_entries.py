"""A device of the catalog, and how it is found by a typed name or by a driver's name."""

from __future__ import annotations

from whatfits.sizing.catalog.index_file import open_index
from whatfits.sizing.catalog.names import device_tokens, driver_tokens, key_of, memory_gib_of
from whatfits.sizing.errors import UnknownMachineError
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import GIB
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final

    from whatfits.sizing.catalog.index_file import IndexFile

__all__ = [
    "DeviceChoice",
    "DeviceEntry",
    "device_entries",
    "find_device",
    "find_device_and_memory",
    "match_driver_name",
]

_INDEX: Final = "devices.jsonl"
_LONGEST_NAME: Final = 200
# A driver reports up to a sixteenth (ECC) and some hundred MiB less than the marketed size.
_LOWEST_SHARE: Final = 0.85
_HIGHEST_SHARE: Final = 1.03
_FIRST_WITH_MATRIX_UNITS: Final = 7  # compute capability
_TUPLES: Final = ("aliases", "driver_names", "memory_gib", "gpu_cores", "unverified")


class MemoryTotal(NamedTuple):
    """What a driver shows of one memory option: bytes, lower end (None: exact), and why."""

    memory_gib: int
    total_bytes: int
    low_bytes: int | None
    basis: str


@dataclass(frozen=True, slots=True, eq=False, repr=False, kw_only=True)
class DeviceEntry:
    """One device of the catalog; two entries are equal when they are the same one.

    Attributes:
        id: unique name.
        vendor: `NVIDIA`, `AMD`, `Intel` or `Apple`.
        name: as marketed.
        kind: `discrete`, `laptop`, `workstation`, `datacentre`, `embedded`, `unified` (one memory
            for CPU and GPU) or `integrated` (part of a CPU, uses the PC's RAM).
        memory_gib: memory options as marketed; empty for integrated parts.
        totals: what a driver shows of each option.
        bandwidth_bytes_per_s: theoretical peak of the memory; None when it is the RAM's or unknown.
        bandwidth_by_memory: (GiB, bytes/s) where the options differ.
        fp32_flops_per_s: rate of the shader cores.
        fp16_flops_per_s: dense FP16 rate, accumulating in FP32 where there are matrix units.
        fp16_accumulate_fp16_flops_per_s: the same, accumulating in FP16.
        nvlink_bytes_per_s: total of both directions; None without.
        gpu_cores: counts of GPU cores that this entry stands for (Apple).
        dies: devices that one card shows, each with its share of memory and rates.
        unverified: fields that were filled from memory and not re-read at a source.
        source: where the row was read, with its date.
        checked: day of that reading.
    """

    id: str
    vendor: str
    name: str
    kind: str
    driver_names: tuple[str, ...]
    memory_gib: tuple[int, ...]
    unified_memory: bool
    source: str
    checked: str
    totals: tuple[MemoryTotal, ...]
    aliases: tuple[str, ...] = ()
    chip: str | None = None
    memory_type: str | None = None
    memory_bus_bits: int | None = None
    bandwidth_bytes_per_s: int | None = None
    bandwidth_by_memory: tuple[tuple[int, int], ...] = ()
    bandwidth_basis: str | None = None
    fp32_flops_per_s: int | None = None
    fp16_flops_per_s: int | None = None
    fp16_accumulate_fp16_flops_per_s: int | None = None
    bf16_flops_per_s: int | None = None
    fp8_flops_per_s: int | None = None
    fp4_flops_per_s: int | None = None
    int8_ops_per_s: int | None = None
    tensor_basis: str | None = None
    power_watts: int | None = None
    pcie_gen: int | None = None
    pcie_lanes: int | None = None
    nvlink_bytes_per_s: int | None = None
    compute_capability: str | None = None
    gfx_target: str | None = None
    gpu_cores: tuple[int, ...] = ()
    dies: int = 1
    released: str | None = None
    launch_price_usd: int | None = None
    launch_price_basis: str | None = None
    unverified: tuple[str, ...] = ()
    note: str | None = None

    def __eq__(self, other: object) -> bool:
        """Return whether both are the same entry of the catalog."""
        return isinstance(other, DeviceEntry) and self.id == other.id

    def __hash__(self) -> int:
        """Return the hash of the id."""
        return hash(self.id)

    def __repr__(self) -> str:
        """Return the entry as it is looked up."""
        return f"DeviceEntry({self.id!r})"

    @property
    def compute_flops_per_s(self) -> int | None:
        """The rate that prompt processing is measured against; None when unknown.

        The dense FP16 rate with FP16 accumulation where that is told, which is half of what
        quantised weights are multiplied at in INT8 on every card (ggml-cuda/mmq.cuh), or the FP32
        rate of the shader cores where that is higher (Pascal) or the chip has no FP16 units. On
        Apple, whose matrix rates were not read, public prompt speeds follow the FP32 rate too.
        """
        rates = [
            self.fp16_accumulate_fp16_flops_per_s,
            self.fp16_flops_per_s,
            self.fp32_flops_per_s,
        ]
        if self.fp16_flops_per_s is None and self.vendor != "Apple":
            major = int((self.compute_capability or "99").partition(".")[0])
            if major >= _FIRST_WITH_MATRIX_UNITS:
                return None
        return max((rate for rate in rates if rate is not None), default=None)

    def bandwidth_of(self, memory_gib: int | None) -> int | None:
        """Return the bandwidth of one memory option in bytes/s."""
        return dict(self.bandwidth_by_memory).get(memory_gib or 0, self.bandwidth_bytes_per_s)

    def option_of(self, memory_bytes: int | None) -> int | None:
        """Return the memory option in GiB of which a driver may show so many bytes; None if none.

        Of a card with two dies a driver shows each alone.
        """
        if memory_bytes is None:
            return None
        shown = memory_bytes * self.dies
        return next(
            (
                size
                for size in self.memory_gib
                if _LOWEST_SHARE * size * GIB <= shown <= _HIGHEST_SHARE * size * GIB
            ),
            None,
        )

    def total_of(self, memory_gib: int) -> MemoryTotal | None:
        """Return what a driver shows of one memory option; None when there is no such option."""
        return next((total for total in self.totals if total.memory_gib == memory_gib), None)


class DeviceChoice(NamedTuple):
    """A device, and the memory option that was typed (None when none was)."""

    entry: DeviceEntry
    memory_gib: int | None


def _entry(record: dict[str, Any]) -> DeviceEntry:
    for key in _TUPLES:
        if key in record:
            record[key] = tuple(record[key])
    record["totals"] = tuple(MemoryTotal(*total) for total in record["totals"])
    options = record.pop("bandwidth_by_memory", ())
    return DeviceEntry(
        bandwidth_by_memory=tuple(
            (option["memory_gib"], option["bandwidth_bytes_per_s"]) for option in options
        ),
        **record,
    )


def device_entries() -> Iterator[DeviceEntry]:
    """Yield every device of the catalog, vendor by vendor.

    Raises:
        CatalogError: the packaged index is missing or broken.
    """
    for record in open_index(_INDEX).entries():
        yield _entry(record)


def find_device(text: str) -> DeviceEntry:
    """Return the device of that name: `rtx 4090`, `4090`, `7900xtx`, `m4 max 64gb`, ….

    Raises:
        UnknownMachineError: no device, or several, answer to the name.
        CatalogError: the packaged index is missing or broken.
    """
    return find_device_and_memory(text).entry


def find_device_and_memory(text: str) -> DeviceChoice:
    """Return the device of that name and the memory that was typed with it.

    Raises:
        UnknownMachineError: no device, or several, answer to the name, or it does not come with
            that memory.
        CatalogError: the packaged index is missing or broken.
    """
    index = open_index(_INDEX)
    tokens = device_tokens(text) if len(text) <= _LONGEST_NAME else []
    sizes = {size for token in tokens if (size := memory_gib_of(token)) is not None}
    if len(sizes) > 1:
        raise UnknownMachineError(
            what="device", got=text, allowed="one memory size", next_step="write RAM as '+ 64gb'"
        )
    memory_gib = next(iter(sizes), None)
    owners = index.header["keys"].get(
        key_of([token for token in tokens if memory_gib_of(token) is None])
    )
    if owners:
        number = _one_of(text, index, owners, memory_gib)
    else:
        from whatfits.sizing.catalog.near_misses import near_device  # noqa: PLC0415 - cold path

        number = near_device(text, index.table(), memory_gib=memory_gib)
    return DeviceChoice(_entry(index.entry(number)), memory_gib)


def _one_of(text: str, index: IndexFile, owners: list[list[int]], memory_gib: int | None) -> int:
    """Return the owner of a name that has the memory typed, or that needs none to be named."""
    if memory_gib is None:
        fitting = [number for number, named_with_memory in owners if not named_with_memory]
    else:
        table = index.table()
        fitting = [number for number, _ in owners if memory_gib in table[number][1]]
    if len(fitting) == 1:
        return fitting[0]
    names = [row[0] for row in index.table()]
    if memory_gib is not None and not fitting:
        options = sorted({size for number, _ in owners for size in index.table()[number][1]})
        raise UnknownMachineError(
            what=f"memory of {names[owners[0][0]]}",
            got=f"{memory_gib} GiB",
            allowed=", ".join(f"{size} GiB" for size in options) or "the RAM, as '+ 32gb'",
            next_step="RAM of the PC is written apart, as '+ 64gb'",
        )
    from whatfits.sizing.catalog.near_misses import ambiguous_device  # noqa: PLC0415 - cold path

    raise ambiguous_device(text, [names[number] for number, _ in owners])


def match_driver_name(
    name: str,
    *,
    vendor: str | None = None,
    memory_bytes: int | None = None,
    gpu_cores: int | None = None,
) -> DeviceEntry | None:
    """Return the device that a driver calls `name`; None when it is not sure which.

    Memory and GPU cores only tell variants of one name apart; a name that is not in the catalog is
    never answered with a near one. A bare name belongs to the desktop card, `… Laptop GPU` to the
    laptop's.

    Raises:
        CatalogError: the packaged index is missing or broken.
    """
    index = open_index(_INDEX)
    if len(name) > _LONGEST_NAME:
        return None
    numbers = index.header["drivers"].get(key_of(driver_tokens(name)), ())
    found = [_entry(index.entry(number)) for number in numbers]
    if vendor is not None:
        found = [entry for entry in found if entry.vendor.casefold() == vendor.casefold()]
    if gpu_cores is not None:
        found = [entry for entry in found if not entry.gpu_cores or gpu_cores in entry.gpu_cores]
    # The GPU of a machine with one memory may be shown any part of it.
    if memory_bytes is not None and (len(found) > 1 or not all(e.unified_memory for e in found)):
        found = [entry for entry in found if entry.option_of(memory_bytes) is not None]
    if len(found) > 1:
        found = [entry for entry in found if entry.kind != "laptop"]
    return found[0] if len(found) == 1 else None
