"""What a real load has measured, as records to keep."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from whatfits.probes.measurements import LoadRecord

if TYPE_CHECKING:
    from collections.abc import Mapping

    from whatfits.bench.prepared import Prepared
    from whatfits.sizing.verification import Verification

__all__ = ["records_of"]


def records_of(
    answer: Verification, prepared: Prepared, accelerators: Mapping[str, str], *, machine: str
) -> tuple[LoadRecord, ...]:
    """Return what a real load has measured, a record a device; none without a measurement.

    Of the host only loads without mapping count: mapped pages come and go.
    """
    load = answer.load
    if load is None or load.kind != "measured":
        return ()
    records = []
    for row in prepared.memory.devices:
        name = accelerators.get(row.device)
        if name is not None:
            measured: int | None = load.device_bytes.get(name)
            predicted = row.weights_bytes + row.kv_cache_bytes + row.compute_bytes
        elif prepared.placement.mmap:
            continue
        else:
            measured = load.resident_bytes
            predicted = row.weights_bytes + row.kv_cache_bytes + row.output_bytes
        if measured is None:
            continue
        records.append(
            LoadRecord(
                when=datetime.now(UTC).isoformat(timespec="seconds"),
                machine=machine,
                reference=answer.reference,
                model=answer.model.name,
                architecture=answer.model.architecture,
                file_type=answer.model.file_type,
                device=row.device,
                device_kind="cpu" if name is None else name.rstrip("0123456789").lower(),
                predicted_bytes=predicted,
                measured_bytes=measured,
            )
        )
    return tuple(records)
