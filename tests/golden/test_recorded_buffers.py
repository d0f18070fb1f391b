"""1,107 reservations of llama.cpp itself, compared byte by byte with this engine.

Only the compute buffers carry an interval; everything else must be equal. Run with `-s` to see
what was compared.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from recorded_rows import GROUPS

from whatfits.sizing.overhead import device_overhead, process_overhead

if TYPE_CHECKING:
    from recorded_rows import Group, Row

    from whatfits.sizing.estimate import DeviceMemory, Memory

PROMISED = 0.95  # share of the truths that an interval holds


def truths(row: Row, memory: Memory) -> list[tuple[int, int, int]]:
    """Return (model, context, compute) of each accelerator that takes part, then of the host."""
    columns = [row.device_columns(index) for index in range(len(row.accelerator_names))]
    taking_part = len(memory.devices) - 1
    assert not any(map(any, columns[taking_part:]))
    return [*columns[:taking_part], row.host_columns()]


def compute_range(memory: DeviceMemory, *, kind: str) -> tuple[int, int]:
    """Return the interval of a compute buffer: what is left without the other terms."""
    outside = process_overhead(is_server=False) if kind == "cpu" else device_overhead(kind)
    known = memory.weights_bytes + memory.kv_cache_bytes + memory.output_bytes
    return (
        memory.low_bytes - outside.low_bytes - known,
        memory.high_bytes - outside.high_bytes - known,
    )


def test_all_that_was_recorded_is_compared() -> None:
    kinds = Counter(row.kind for group in GROUPS for row in group.rows)
    assert kinds == {"cpu": 671, "1 gpu": 204, "2 gpus": 220, "rpc": 12}
    print(f"\n{sum(kinds.values()):,} rows: {dict(kinds)}")


def test_the_model_is_the_one_that_was_recorded(group: Group) -> None:
    assert group.spec.tensor_bytes == group.model_bytes
    assert group.spec.parameters == group.parameters


def test_the_settings_come_out_as_llama_cpp_resolves_them(group: Group) -> None:
    for row, settings, _, _ in group.answers:
        assert settings.context_tokens == row.raw["n_ctx"], row.settings
        assert settings.sequence_tokens == row.raw["n_ctx_seq"], row.settings
        assert settings.batch_tokens == row.raw["n_batch"], row.settings
        assert settings.micro_batch_tokens == row.raw["n_ubatch"], row.settings
        assert settings.flash_attention == row.raw["flash"], row.settings


def test_cache_and_state_are_equal_to_the_byte_on_every_device(group: Group) -> None:
    for row, _, _, memory in group.answers:
        got = [device.kv_cache_bytes for device in memory.devices]
        assert got == [context for _, context, _ in truths(row, memory)], row.settings


def test_the_output_buffer_is_equal_to_the_byte(group: Group) -> None:
    for row, _, _, memory in group.answers:
        assert memory.output_bytes == memory.devices[-1].output_bytes == row.raw["output"]


def test_weights_are_equal_to_the_byte_on_every_device(group: Group) -> None:
    for row, _, placement, memory in group.answers:
        expected = [model for model, _, _ in truths(row, memory)]
        if row.is_mapped:
            # what is mapped is in a column of its own: the accelerators' remain
            assert group.bill.weights(placement).devices == expected[:-1], row.settings
        else:
            assert [device.weights_bytes for device in memory.devices] == expected, row.settings


def test_repacked_weights_are_equal_to_the_byte(group: Group) -> None:
    for row, _, placement, _ in group.answers:
        buffers = group.bill.weights(placement).host.buffers
        assert buffers.get("CPU_REPACK", 0) == row.buffers.get("CPU_REPACK", (0,))[0], row.settings


def test_the_mapped_part_of_the_file_is_equal_to_the_byte() -> None:
    compared = 0
    for group in GROUPS:
        for row, _, _, memory in group.answers:
            if row.is_mapped:
                assert memory.mapped_bytes == row.buffers["CPU_Mapped"][0], row.settings
                compared += 1
            else:
                assert memory.mapped_bytes == 0
    assert compared == 14


def test_the_interval_holds_the_compute_buffers_on_the_cpu() -> None:
    held: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for group in GROUPS:
        for row, _, _, memory in group.answers:
            if row.kind == "cpu":
                low, high = compute_range(memory.devices[0], kind="cpu")
                seen[group.architecture] += 1
                held[group.architecture] += low <= row.host_columns()[2] <= high
    print()
    for architecture, count in seen.items():
        print(f"{architecture:12} {held[architecture]:4} of {count:4} compute buffers held")
    assert held.total() / seen.total() >= PROMISED


def test_the_interval_holds_the_compute_buffers_beside_pretend_gpus() -> None:
    # Not beside RPC servers: what they compute on is not known here.
    held: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for group in GROUPS:
        for row, _, placement, memory in group.answers:
            if not placement.accelerators or row.kind == "rpc":
                continue
            for device, (_, _, truth) in zip(memory.devices, truths(row, memory), strict=True):
                place = "host" if device.device == "cpu" else "gpu"
                low, high = compute_range(device, kind="cpu" if place == "host" else "cuda")
                seen[f"{row.kind}: {place}"] += 1
                held[f"{row.kind}: {place}"] += low <= truth <= high
    print()
    for place, count in seen.items():
        print(f"{place:12} {held[place]:4} of {count:4} compute buffers held")
    assert held.total() / seen.total() >= PROMISED


def test_the_interval_holds_the_total_of_the_c_api_on_the_cpu(group: Group) -> None:
    held = [
        memory.low_bytes <= sum(row.host_columns()) + row.raw["output"] <= memory.high_bytes
        for row, _, _, memory in group.answers
        if row.kind == "cpu" and not row.is_mapped
    ]
    assert sum(held) >= PROMISED * len(held)
