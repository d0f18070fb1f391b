"""Real loads, as recorded on one machine, beside what is predicted for them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from whatfits.bench.prepared import prepare
from whatfits.bench.requests import placement_request, workload
from whatfits.bench.run_settings import RunSettings
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.overhead import process_overhead
from whatfits.sizing.runtimes.llama_cpp import Bill
from whatfits.sizing.sources.catalog_model import load_catalog_model
from whatfits.sizing.units import GIB
from whatfits.sizing.weights import PLAIN_HOST_BUFFER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PATH: Final = Path(__file__).parents[1] / "recorded" / "llama_cpp" / "loads.json"
MODELS: Final = (
    ("smollm2-135m", "F16"),
    ("qwen2.5-0.5b", "Q4_0"),
    ("qwen3-embedding-0.6b", "Q8_0"),
    ("qwen3-1.7b", "Q4_K_M"),
    ("llama-3.2-1b", "Q4_K_M"),
    ("gemma-3-1b", "Q4_0"),
    ("gemma-2-2b", "Q4_K_M"),
    ("ernie-4.5-0.3b", "Q8_0"),
    ("lfm2-350m", "Q8_0"),
    ("granite-4.0-h-350m", "Q8_0"),
    ("granite-3.0-1b-a400m", "Q4_K_M"),
    ("falcon-h1-0.5b", "Q6_K"),
    ("rwkv7-0.4b", "Q8_0"),
    ("stablelm-2-1.6b", "Q4_0"),
    ("smollm3-3b", "IQ4_NL"),
)
_PLAIN: Final = RunSettings(4096, outputs_max=1, swa_full=False, repack=False)
SETTINGS: Final = {
    "read": _PLAIN,
    "read, repacked": replace(_PLAIN, repack=True),
    "mapped, repacked": replace(_PLAIN, repack=True, mmap=True),
}


@dataclass(frozen=True)
class Load:
    """What a process grew by when it loaded a model, and what was predicted.

    `predicted` is what it holds in memory proper; `mapped` the pages of the file beside it.
    """

    model: str
    file_type: str
    way: str
    resident: int
    anonymous: int
    file: int
    decoded: int
    predicted: int
    mapped: int

    @property
    def error(self) -> float:
        """Predicted over measured, less one: of all that is resident, or of what is no file's."""
        return self.predicted / (self.anonymous if self.mapped else self.resident) - 1


def loads() -> tuple[Load, ...]:
    """Return the recorded loads with today's predictions."""
    document = json.loads(PATH.read_text("utf-8"))
    box = machine(document["host_features"])
    return tuple(
        beside(
            row["model"],
            row["file_type"],
            row["way"],
            box=box,
            loaded=row["loaded"],
            decoded=row["decoded"],
        )
        for row in document["rows"]
    )


def machine(features: Iterable[str]) -> Machine:
    """Return a box whose processor has these features."""
    cpu = Device("cpu", "cpu", "CPU", "ram", features=tuple(features))
    return Machine(pools=(Pool("ram", "ram", 64 * GIB),), devices=(cpu,))


def beside(
    model: str,
    file_type: str,
    way: str,
    *,
    box: Machine,
    loaded: Mapping[str, int],
    decoded: Mapping[str, int],
) -> Load:
    """Return a measurement beside the prediction: weights, cache, output and the process's own."""
    settings = SETTINGS[way]
    spec = load_catalog_model(model, file_type=file_type)
    prepared = prepare(spec, box, workload(settings), placement_request(settings))
    memory, host = prepared.memory, Bill(spec).weights(prepared.placement).host
    # what is not rearranged stays in the mapped file
    of_file = host.buffers[PLAIN_HOST_BUFFER] if memory.mapped_bytes else 0
    own = process_overhead(is_server=True).mid_bytes
    return Load(
        model=model,
        file_type=file_type,
        way=way,
        resident=loaded["resident_bytes"],
        anonymous=loaded["anonymous_bytes"],
        file=loaded["file_bytes"],
        decoded=decoded["resident_bytes"],
        predicted=host.total_bytes - of_file + memory.kv_cache_bytes + memory.output_bytes + own,
        mapped=memory.mapped_bytes,
    )
