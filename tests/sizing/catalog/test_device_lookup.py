"""What people type finds the device they mean; variants are asked for, not guessed."""

from __future__ import annotations

import pytest

from whatfits.sizing.catalog.lookup import DeviceEntry, device_entries, find_device
from whatfits.sizing.errors import UnknownMachineError
from whatfits.sizing.units import GIB, MIB

ENTRIES = tuple(device_entries())


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("rtx 4090", "GeForce RTX 4090"),
        ("4090", "GeForce RTX 4090"),
        ("RTX4090", "GeForce RTX 4090"),
        ("rtx 4090 24gb", "GeForce RTX 4090"),
        ("rtx 4090 d", "GeForce RTX 4090 D"),
        ("4090 laptop", "GeForce RTX 4090 Laptop GPU"),
        ("rtx 4070 ti super", "GeForce RTX 4070 Ti SUPER"),
        ("rtx 3060 12gb", "GeForce RTX 3060 12 GB"),
        ("rtx 3080", "GeForce RTX 3080"),
        ("rtx 3080 12gb", "GeForce RTX 3080 12 GB"),
        ("1080ti", "GeForce GTX 1080 Ti"),
        ("7900xtx", "Radeon RX 7900 XTX"),
        ("7900 xt", "Radeon RX 7900 XT"),
        ("w7900", "Radeon PRO W7900"),
        ("rx 580", "Radeon RX 580"),
        ("rx 580 4gb", "Radeon RX 580"),
        ("5700xt", "Radeon RX 5700 XT"),
        ("mi50", "Instinct MI50"),
        ("mi50 32gb", "Instinct MI50"),
        ("k80", "Tesla K80"),
        ("titan x", "TITAN X (Pascal)"),
        ("titan xp", "TITAN Xp"),
        ("980 ti", "GeForce GTX 980 Ti"),
        ("rtx a2000 laptop 8gb", "RTX A2000 8 GB Laptop GPU"),
        ("rtx 3050 laptop 6gb", "GeForce RTX 3050 6 GB Laptop GPU"),
        ("rtx 3080 laptop 16gb", "GeForce RTX 3080 Laptop GPU"),
        ("rtx 4000 ada laptop", "RTX 4000 Ada Generation Laptop GPU"),
        ("arc 140v", "Arc 140V"),
        ("lunar lake 32gb", "Arc 140V"),
        ("arc a370m", "Arc A370M"),
        ("framework desktop 128gb", "Framework Desktop (Ryzen AI Max+ 395)"),
        ("framework desktop 64gb", "Framework Desktop (Ryzen AI Max+ 395)"),
        ("framework desktop 32gb", "Framework Desktop (Ryzen AI Max 385)"),
        ("gmktec evo-x2 128gb", "Radeon 8060S (Ryzen AI Max+ 395, Strix Halo)"),
        ("asus ascent gx10", "DGX Spark (GB10)"),
        ("AD102 [GeForce RTX 4090]", "GeForce RTX 4090"),
        ("radeon vii", "Radeon VII"),
        ("pro vii", "Radeon Pro VII"),
        ("mi300x", "Instinct MI300X"),
        ("arc b580", "Arc B580"),
        ("b580", "Arc B580"),
        ("h100-sxm", "H100 SXM5 80 GB"),
        ("a100 sxm 80gb", "A100 SXM4 80 GB"),
        ("a6000", "RTX A6000"),
        ("rtx 6000 ada", "RTX 6000 Ada Generation"),
        ("rtx pro 6000", "RTX PRO 6000 Blackwell"),
        ("t4", "Tesla T4"),
        ("a10g", "A10G"),
        ("rtx 4090 24g", "GeForce RTX 4090"),
        ("l40s", "L40S"),
        ("m1", "Apple M1"),
        ("m3 ultra", "Apple M3 Ultra"),
        ("m4 max 64gb", "Apple M4 Max (40-core GPU)"),
        ("m4 max 36gb", "Apple M4 Max (32-core GPU)"),
        ("MacBook Pro M3 Max 128 GB", "Apple M3 Max (40-core GPU)"),
        ("dgx-spark", "DGX Spark (GB10)"),
        ("gb10", "DGX Spark (GB10)"),
        ("strix halo 128gb", "Radeon 8060S (Ryzen AI Max+ 395, Strix Halo)"),
        ("agx orin 64gb", "Jetson AGX Orin 64 GB"),
    ],
)
def test_what_people_type_finds_the_device(typed: str, name: str) -> None:
    assert find_device(typed).name == name


@pytest.mark.parametrize(
    ("typed", "choices"),
    [
        ("h100", ["'H100 PCIe 80 GB'", "'H100 SXM5 80 GB'", "'H100 NVL 94 GB'"]),
        ("m4 max", ["'Apple M4 Max (32-core GPU)'", "'Apple M4 Max (40-core GPU)'"]),
        ("rtx 3060", ["'GeForce RTX 3060 8 GB'", "'GeForce RTX 3060 12 GB'"]),
        ("a100 80gb", ["'A100 PCIe 80 GB'", "'A100 SXM4 80 GB'"]),
        ("rtx 4000", ["'RTX 4000 Ada Generation'"]),
        ("gtx 1060", ["'GeForce GTX 1060 6 GB'", "'GeForce GTX 1060 3 GB'"]),
        ("iris xe", ["'Iris Xe Graphics 96 EU'", "'Iris Xe Graphics 80 EU'"]),
        ("framework desktop", ["'Framework Desktop (Ryzen AI Max 385)'"]),
    ],
)
def test_variants_are_listed_when_the_name_leaves_them_open(typed: str, choices: list[str]) -> None:
    with pytest.raises(UnknownMachineError, match="ambiguous device") as caught:
        find_device(typed)
    assert all(choice in caught.value.allowed for choice in choices)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("rtx 4090 ti", "GeForce RTX 4090"),
        ("rtx 50900", "GeForce RTX 5090"),
        ("gtx 1060", "'GeForce GTX 1060 6 GB'"),
        ("gh200", "'GH200 96 GB (GPU part)'"),
        ("rtx 4090 48gb", "24 GiB"),
        ("m1 64gb", "8 GiB, 16 GiB"),
        ("rtx 4090 24gb 64gb", "one memory size"),
        ("", "rtx 4090"),
        ("nvidia", "rtx 4090"),
        ("8gb", "rtx 4090"),
        ("x" * 10**6, "rtx 4090"),
    ],
)
def test_a_device_that_is_not_there_is_an_error_with_a_way_out(typed: str, said: str) -> None:
    with pytest.raises(UnknownMachineError) as caught:
        find_device(typed)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_a_device_answers_to_each_of_its_names(entry: DeviceEntry) -> None:
    for name in (entry.id, entry.name, *entry.aliases):
        for size in entry.memory_gib or (None,):
            typed = name if size is None else f"{name} {size}gb"
            assert find_device(typed).id == entry.id, typed


def test_a_name_that_differs_in_one_digit_is_another_device_or_none() -> None:
    for entry in ENTRIES:
        for place, digit in enumerate(entry.name):
            if not digit.isdigit():
                continue
            typed = entry.name[:place] + str((int(digit) + 1) % 10) + entry.name[place + 1 :]
            try:
                found = find_device(typed)
            except UnknownMachineError:
                continue
            assert found.id != entry.id, typed


def test_rates_are_in_base_units() -> None:
    # NVIDIA's figures for the RTX 4090: 1,008 GB/s, 165.2 dense FP16 TFLOPS with FP32 accumulation.
    card = find_device("rtx 4090")
    assert card.bandwidth_bytes_per_s == 1_008_400_000_000
    assert card.fp16_flops_per_s == 165_200_000_000_000
    assert card.fp16_accumulate_fp16_flops_per_s == 330_300_000_000_000
    assert find_device("rtx 3090").nvlink_bytes_per_s == 112_500_000_000


def test_a_matrix_rate_lies_within_reach_of_the_shader_rate() -> None:
    # From a sixty-fourth (Pascal) to 32 times (Blackwell for data centres): a slip of units shows.
    for entry in ENTRIES:
        if entry.fp32_flops_per_s is None:
            continue
        for rate in (entry.fp16_flops_per_s, entry.fp16_accumulate_fp16_flops_per_s):
            if rate is not None:
                assert entry.fp32_flops_per_s / 80 < rate < entry.fp32_flops_per_s * 35, entry.id


def test_figures_of_a_card_of_two_dies_are_those_of_the_card() -> None:
    # NVIDIA's board specification of the Tesla K80: 24 GB, 480 GB/s for both GPUs together.
    card = find_device("k80")
    assert (card.dies, card.memory_gib) == (2, (24,))
    assert card.bandwidth_bytes_per_s == 481_200_000_000


def test_bandwidth_follows_the_memory_option_where_they_differ() -> None:
    card = find_device("arc a770")
    assert card.bandwidth_of(8) == 512_000_000_000
    assert card.bandwidth_of(16) == 560_000_000_000


def test_an_observed_total_is_taken_as_it_is() -> None:
    # 24,080 MiB: llama.cpp's own breakdown on RTX 4090s, ggml-org/llama.cpp pull 15860.
    total = find_device("rtx 4090").total_of(24)
    assert total is not None
    assert total.total_bytes == 24_080 * MIB
    assert "24,080 MiB" in total.basis


@pytest.mark.parametrize(
    ("typed", "size", "shown_mib"),
    [
        # Totals of cards with no row of their own, as their drivers are known to show them.
        ("rtx 3060 12gb", 12, 12_036),
        ("rtx 4070", 12, 11_994),
        ("rx 7900 xtx", 24, 24_560),
        ("a10", 24, 22_731),
        ("h100 sxm", 80, 81_000),
    ],
)
def test_the_interval_of_a_marketed_size_contains_what_drivers_show(
    typed: str, size: int, shown_mib: int
) -> None:
    total = find_device(typed).total_of(size)
    assert total is not None
    assert total.low_bytes is not None
    assert total.low_bytes <= shown_mib * MIB
    assert total.low_bytes < total.total_bytes < size * GIB


def test_shared_memory_is_the_memory_that_is_installed() -> None:
    total = find_device("m4 max 64gb").total_of(64)
    assert total == (64, 64 * GIB, None, "memory as installed")


def test_the_compute_rate_is_the_one_prompts_are_measured_against() -> None:
    assert find_device("rtx 4090").compute_flops_per_s == 330_300_000_000_000
    assert find_device("rtx a6000").compute_flops_per_s == 154_800_000_000_000
    # Pascal: FP16 at a sixty-fourth of FP32; the FP32 rate counts.
    assert find_device("gtx 1080 ti").compute_flops_per_s == 11_340_000_000_000
    assert find_device("m4 max 64gb").compute_flops_per_s == 18_400_000_000_000
    # RDNA 3.5 has RDNA 3's matrix instructions: 512 operations a clock in each of 40 units.
    assert find_device("strix halo").compute_flops_per_s == 59_390_000_000_000
    # NVIDIA's 1 PFLOP of FP4 with sparsity: half without, a quarter of that in FP16.
    assert find_device("gb10").compute_flops_per_s == 125_000_000_000_000
    # Matrix units whose rate nobody read: unknown, not the shader rate.
    assert find_device("arc a310").compute_flops_per_s is None
