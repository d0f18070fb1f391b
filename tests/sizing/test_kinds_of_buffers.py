"""What back ends say of their buffers: who keeps host weights pinned, who takes mapped models."""

from __future__ import annotations

import pytest

from whatfits.sizing.buffers import has_pinned_host_memory, supports_mmap


@pytest.mark.parametrize(
    ("kind", "is_pinned"),
    [
        *((kind, True) for kind in ("cuda", "rocm", "sycl", "vulkan")),
        *((kind, False) for kind in ("metal", "opencl", "hexagon", "rpc", "cpu")),
    ],
)
def test_back_ends_with_memory_of_their_own_pin_what_lies_on_the_host(
    kind: str, *, is_pinned: bool
) -> None:
    assert has_pinned_host_memory(kind) is is_pinned


@pytest.mark.parametrize(
    ("kind", "apart", "integrated"),
    [
        *((kind, True, False) for kind in ("cuda", "vulkan")),
        *((kind, True, True) for kind in ("rocm", "metal", "sycl")),
        *((kind, False, False) for kind in ("opencl", "hexagon")),
    ],
)
def test_a_model_stays_mapped_where_every_device_lets_it(
    kind: str, *, apart: bool, integrated: bool
) -> None:
    assert supports_mmap(kind, ()) is apart
    assert supports_mmap(kind, ("no_async",)) is apart
    assert supports_mmap(kind, ("integrated",)) is integrated
