"""What a load takes of a card, its context included, and what is told of it beside the buffers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from whatfits.bench import child, devices, driver_memory
from whatfits.bench.devices import SeenDevice
from whatfits.bench.driver_memory import normal_address, used_by_address
from whatfits.bench.prepared import prepare
from whatfits.bench.reservation import Buffers, Reservation
from whatfits.bench.verify import _terms
from whatfits.probes import nvml
from whatfits.sizing.catalog.machines import machine_expression
from whatfits.sizing.sources.catalog_model import load_catalog_model
from whatfits.sizing.units import MIB
from whatfits.sizing.verification import verdict_of
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from pathlib import Path

AT = "0000:c1:00.0"


def test_an_address_is_the_same_however_it_is_written() -> None:
    assert normal_address("00000000:C1:00.0") == normal_address(AT) == AT


def snapshot(*told: dict[str, Any]) -> dict[str, Any]:
    return {"library": {}, "init": None, "devices": list(told)}


def test_drivers_tell_what_is_in_use_on_their_cards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards = [
        {"pci_bus_id": "00000000:C1:00.0", "memory": {"used": 5, "total": 9}},
        {"pci_bus_id": "00000000:C2:00.0", "memory": {"error": "NotSupported"}},
        {"handle": {"error": "GpuIsLost"}},
    ]
    monkeypatch.setattr(nvml, "read_nvml", lambda: snapshot(*cards))
    for address, text in (("0000:03:00.0", "1073741824\n"), ("0000:04:00.0", "none\n")):
        (tmp_path / address).mkdir()
        (tmp_path / address / "mem_info_vram_used").write_text(text)
    assert used_by_address(tmp_path) == {AT: 5, "0000:03:00.0": 1 << 30}


def test_without_a_driver_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "read_nvml", lambda: {"init": {"error": "LibraryNotFound"}})
    assert used_by_address(tmp_path / "none") == {}


@pytest.mark.parametrize(
    ("name", "address", "taken"),
    [
        ("CUDA0", AT, 600 * MIB),  # by the driver, from before there was a context
        ("CUDA0", "0000:09:00.0", None),  # a context was there before the first look
        ("ROCm0", None, None),
        ("Vulkan0", None, 70 * MIB),
        ("MTL0", None, 70 * MIB),
    ],
)
def test_a_context_is_part_of_what_is_taken_or_nothing_is_told(
    name: str, address: str | None, taken: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = (SeenDevice(name, free * MIB, address) for free in (1000, 930))
    monkeypatch.setattr(devices, "seen_devices", lambda: (after,))
    monkeypatch.setattr(driver_memory, "used_by_address", lambda: {AT: 700 * MIB})
    found = child._taken((before,), {AT: 100 * MIB})
    assert found == ({} if taken is None else {name: taken})


def test_a_plan_on_a_card_that_is_equal_to_the_byte_is_said_to_be() -> None:
    model = load_catalog_model("llama-3.1-8b", file_type="Q4_K_M")
    workload = Workload(program="api", context_tokens=8192)
    prepared = prepare(
        model, machine_expression("h200 sxm + 64gb"), workload, PlacementRequest(mmap=False)
    )
    card, host = prepared.memory.devices
    assert card.overhead_bytes > 0
    names = {card.device: "CUDA0"}

    def judged(more_bytes: int) -> str:
        rows = {
            name: Buffers(row.weights_bytes, row.kv_cache_bytes, row.compute_bytes + more)
            for name, row, more in (("CUDA0", card, more_bytes), ("CUDA_Host", host, 0))
        }
        planned = Reservation(rows, n_ctx=8192, n_parameters=1, model_bytes=1, log="")
        return verdict_of(_terms(prepared, planned, None, names))

    assert judged(0) == "equal"
    assert judged(1) == judged(-1) == "outside"
