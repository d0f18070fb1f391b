"""Machine expressions."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whatfits.sizing.catalog.lookup import DeviceEntry, device_entries
from whatfits.sizing.catalog.machines import machine_expression
from whatfits.sizing.units import GIB, MIB

ENTRIES = tuple(device_entries())


def test_one_card_without_ram_leaves_the_ram_unknown() -> None:
    machine = machine_expression("rtx-4090")
    card, ram = machine.pools
    assert (card.id, card.kind, card.total_bytes) == ("vram0", "vram", 24_080 * MIB)
    assert card.total_low_bytes == 24_077 * MIB
    assert card.reserve_bytes == 512 * MIB
    assert card.used_bytes == 0
    assert (ram.id, ram.kind, ram.total_bytes) == ("ram", "ram", None)
    assert [(device.id, device.kind, device.pool) for device in machine.devices] == [
        ("cuda0", "cuda", "vram0"),
        ("cpu", "cpu", "ram"),
    ]
    assert "cc8.9" in machine.devices[0].features
    assert machine.name == "GeForce RTX 4090"


def test_two_cards_have_a_pool_each_and_one_drives_the_desktop() -> None:
    machine = machine_expression("2x rtx-3090 + 64gb")
    assert [pool.id for pool in machine.pools] == ["vram0", "vram1", "ram"]
    assert [pool.reserve_bytes for pool in machine.pools] == [512 * MIB, 0, 2 * GIB]
    assert machine.pools[2].total_bytes == 64 * GIB
    assert [device.id for device in machine.devices] == ["cuda0", "cuda1", "cpu"]
    # PCIe 4.0 x16 one way.
    assert [(link.from_, link.to, link.bandwidth_bytes_per_s) for link in machine.links] == [
        ("cpu", "cuda0", 31_507_692_307),
        ("cpu", "cuda1", 31_507_692_307),
    ]
    assert machine.name == "2x GeForce RTX 3090 + 64 GiB RAM"


def test_cards_of_several_vendors_are_counted_apart() -> None:
    machine = machine_expression("rtx 3090 + 2x 7900xtx + arc b580 + 32gb")
    assert [device.id for device in machine.devices] == [
        *("cuda0", "rocm0", "rocm1", "vulkan0", "cpu"),
    ]
    assert [device.pool for device in machine.devices[:4]] == ["vram0", "vram1", "vram2", "vram3"]
    assert "gfx1100" in machine.devices[1].features


def test_datacentre_cards_drive_no_desktop() -> None:
    machine = machine_expression("8x h100-sxm + 1tb")
    assert len(machine.pools) == 9
    assert {pool.reserve_bytes for pool in machine.pools[:8]} == {0}
    assert machine.pools[8].total_bytes == 1024 * GIB
    assert "nvlink900" in machine.devices[0].features


@pytest.mark.parametrize("typed", ["64gb", "64 GB", "64gib", "64 GiB RAM", "2x 32gb", "2x32gb"])
def test_ram_alone_is_a_box_without_a_gpu(typed: str) -> None:
    machine = machine_expression(typed)
    assert [pool.total_bytes for pool in machine.pools] == [64 * GIB]
    assert [device.id for device in machine.devices] == ["cpu"]
    assert machine.devices[0].bandwidth_bytes_per_s is None


def test_a_rate_of_the_ram_gives_the_cpu_two_channels_of_it_and_says_so() -> None:
    machine = machine_expression("rx 7900 xtx + 32gb ddr5-6000")
    cpu = machine.devices[-1]
    assert cpu.bandwidth_bytes_per_s == 96_000_000_000
    assert "two channels of DDR5-6000" in cpu.name


@pytest.mark.parametrize(
    ("typed", "gib", "channels", "said"),
    [
        ("32gb ddr5-6000 1 channel", 32, 1, "one channel"),
        ("768gb ddr5-4800 12 channels", 768, 12, "12 channels"),
        ("12x 64gb DDR5-4800, 12-channel", 768, 12, "12 channels"),
        ("512gb ddr4-3200 8-channels", 512, 8, "8 channels"),
        ("4x 64gb ddr5-5600", 256, 2, "two channels"),
    ],
)
def test_a_server_says_how_many_channels_its_ram_has(
    typed: str, gib: int, channels: int, said: str
) -> None:
    (cpu,) = machine_expression(typed).devices
    rate = int(typed.casefold().partition("-")[2][:4])
    assert machine_expression(typed).pools[0].total_bytes == gib * GIB
    assert cpu.bandwidth_bytes_per_s == channels * rate * 8 * 10**6
    assert said in cpu.name


def test_a_mac_is_one_pool_with_the_older_and_the_newer_limit() -> None:
    for typed in ("mac-m4-max-64gb", "m4 max 64gb", "m4 max + 64gb", "Mac Studio M4 Max 64GB"):
        machine = machine_expression(typed)
        (pool,) = machine.pools
        assert (pool.id, pool.kind, pool.total_bytes) == ("unified", "unified", 64 * GIB)
        assert pool.limit_low_bytes == 49_152 * MIB
        assert pool.limit_bytes == 53_084 * MIB
        assert "iogpu.wired_limit_mb" in (pool.limit_source or "")
        assert [(device.id, device.pool) for device in machine.devices] == [
            ("metal", "unified"),
            ("cpu", "unified"),
        ]
        assert machine.devices[0].bandwidth_bytes_per_s == 546_000_000_000
        assert machine.os == "macos"


def test_a_small_mac_keeps_room_for_its_system() -> None:
    (pool,) = machine_expression("m1 8gb").pools
    # macOS keeps 3 GiB; the limit of 5.33 GiB leaves 2.67.
    assert pool.limit_bytes is not None
    assert pool.limit_bytes > 5 * GIB == pool.free_bytes == pool.whole.free_bytes


def test_strix_halo_names_the_rule_of_its_limit() -> None:
    (pool,) = machine_expression("strix halo 128gb").pools
    assert (pool.limit_low_bytes, pool.limit_bytes) == (64 * GIB, 96 * GIB)
    assert "GTT" in (pool.limit_source or "")
    assert machine_expression("Ryzen AI Max+ 395 128gb").devices[0].id == "rocm0"


def test_a_dgx_spark_has_what_linux_shows_of_its_memory() -> None:
    machine = machine_expression("dgx-spark")
    (pool,) = machine.pools
    assert pool.total_bytes == 124_620 * MIB  # about 121.7 GiB
    assert pool.limit_bytes is None
    assert set(machine.devices[0].features) >= {"unified", "integrated", "cc12.1"}
    assert machine.os == "linux"


def test_a_jetson_loses_its_carve_outs() -> None:
    (pool,) = machine_expression("jetson agx orin 64gb").pools
    assert pool.total_bytes is not None
    assert pool.total_low_bytes is not None
    assert pool.total_low_bytes < pool.total_bytes < 64 * GIB


def test_an_integrated_gpu_adds_no_memory() -> None:
    machine = machine_expression("radeon 780m + 32gb ddr5-5600")
    assert [pool.kind for pool in machine.pools] == ["ram"]
    assert machine.devices[0].pool == "ram"
    assert machine.devices[0].bandwidth_bytes_per_s == 89_600_000_000


def test_a_card_with_two_dies_is_two_devices() -> None:
    machine = machine_expression("mi250x")
    assert [device.id for device in machine.devices] == ["rocm0", "rocm1", "cpu"]
    low, high = machine.pools[0].total_low_bytes, machine.pools[0].total_bytes
    assert low is not None
    assert high is not None
    assert low < high < 64 * GIB


def test_a_card_of_four_gpus_is_four_devices_with_a_quarter_each() -> None:
    # NVIDIA A16 datasheet: 4x 16 GB GDDR6 with 4x 200 GB/s, 250 W for the board
    machine = machine_expression("a16")
    assert [device.id for device in machine.devices] == ["cuda0", "cuda1", "cuda2", "cuda3", "cpu"]
    assert all(0.9 * 16 * GIB < (pool.total_bytes or 0) <= 16 * GIB for pool in machine.pools[:4])
    assert machine.devices[0].bandwidth_bytes_per_s == 200_100_000_000
    assert sum(device.power_watts or 0 for device in machine.devices) == 248


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.sampled_from([e for e in ENTRIES if not e.unified_memory])),
        min_size=1,
        max_size=3,
    ),
    st.one_of(st.none(), st.integers(1, 2048)),
)
def test_the_name_of_a_machine_describes_the_same_machine(
    cards: list[tuple[int, DeviceEntry]], ram_gib: int | None
) -> None:
    parts = [f"{count}x {entry.name} {entry.memory_gib[-1]}gb" for count, entry in cards]
    machine = machine_expression(" + ".join([*parts, *([f"{ram_gib}gb"] if ram_gib else [])]))
    assert machine_expression(machine.name) == machine
    assert sum(pool.kind == "vram" for pool in machine.pools) == sum(
        count * entry.dies for count, entry in cards
    )
    assert sum(pool.reserve_bytes > 0 for pool in machine.pools if pool.kind == "vram") <= 1


@pytest.mark.parametrize(
    "entry", [e for e in ENTRIES if e.unified_memory], ids=lambda entry: entry.id
)
def test_every_machine_with_shared_memory_can_be_named(entry: DeviceEntry) -> None:
    for size in entry.memory_gib:
        machine = machine_expression(f"{entry.name} {size}gb")
        assert machine_expression(machine.name) == machine
        (pool,) = machine.pools
        assert pool.total_bytes is not None
        assert 0.85 * size * GIB < pool.total_bytes <= size * GIB
        assert pool.free_low_bytes is not None
        assert 0 < pool.free_low_bytes <= (pool.free_bytes or 0)


def test_a_gpu_in_an_intel_processor_may_have_half_of_the_memory_for_sure() -> None:
    # Windows: half; Mesa's anv_compute_sys_heap_size: three quarters above 4 GiB.
    (pool,) = machine_expression("arc 140v 32gb").pools
    assert (pool.limit_low_bytes, pool.limit_bytes) == (16 * GIB, 24 * GIB)
    assert pool.limit_scope == "accelerators"


def test_a_value_nobody_re_read_is_marked_on_the_device_and_said_in_the_answer() -> None:
    from whatfits.sizing.api import check

    plan = check("llama-3.1-8b", machine="mi300a 128gb", workload={"context_tokens": 4096})
    assert "unverified-bandwidth" in plan.machine.devices[0].features
    said = [note for note in plan.notes if "not read at a source" in note]
    assert said == ["Unverified of Instinct MI300A, not read at a source: bandwidth, fp16-rate."]


def test_marks_of_unverified_values_are_those_of_the_catalog() -> None:
    from whatfits.sizing.catalog.machine_parts import features_of

    marked = {
        entry.id
        for entry in ENTRIES
        if any(feature.startswith("unverified-") for feature in features_of(entry))
    }
    fields = {"bandwidth_bytes_per_s", "fp16_flops_per_s"}
    assert marked == {entry.id for entry in ENTRIES if fields & set(entry.unverified)}
    assert len(marked) >= 11
