"""A real load as it is stored."""

from __future__ import annotations

from whatfits.probes.measurements import LoadRecord

RECORD = LoadRecord(
    when="2026-11-20T10:00:00+00:00",
    machine="here",
    reference="llama.cpp",
    model="m",
    architecture="llama",
    file_type="Q4_K_M",
    device="cpu",
    device_kind="cpu",
    predicted_bytes=1000,
    measured_bytes=1010,
)
