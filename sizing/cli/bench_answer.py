"""The JSON answers of `whatfits bench`."""

from __future__ import annotations

from whatfits.sizing.calibration import Calibration
from whatfits.sizing.estimate import ModelSummary, RateRange
from whatfits.sizing.servers.timing import ServerTiming
from whatfits.sizing.values import dataclass

__all__ = [
    "BenchAnswer",
    "FileBenchAnswer",
    "FileTiming",
    "KernelRow",
    "ServerBenchAnswer",
    "TimingRow",
]


@dataclass(frozen=True, slots=True)
class KernelRow:
    """A rate of a kernel: bytes a second that are read, or operations of matrices.

    Attributes:
        threads: that worked together.
        per_s: median.
        best_per_s: of the fastest round.
        spread: half of what 80 of 100 rounds cover, as a share of the median.
        cpu_share: processor time over wall time of each thread.
        corrected_per_s: of one thread, by its processor time; null for more.
        is_measured: whether the share is high enough to call it measured.
    """

    threads: int
    per_s: float
    best_per_s: float
    spread: float
    cpu_share: float
    corrected_per_s: float | None
    is_measured: bool


@dataclass(frozen=True, slots=True)
class TimingRow:
    """llama.cpp with a synthetic model.

    Attributes:
        device: that computed.
        model: shape and file type.
        kind: `decode` or `prefill`.
        tokens: in a row, or of the prompt.
        depth_tokens: in the cache before.
        threads: on the processor.
        tokens_per_s: median of the undisturbed repeats.
        spread: half of what 80 of 100 repeats cover, as a share of the median.
        cpu_share: over all repeats; null for an accelerator.
        repeats: that were made.
        clean_repeats: that nobody disturbed.
    """

    device: str
    model: str
    kind: str
    tokens: int
    depth_tokens: int
    threads: int
    tokens_per_s: float
    spread: float
    cpu_share: float | None
    repeats: int
    clean_repeats: int


@dataclass(frozen=True, slots=True)
class BenchAnswer:
    """`whatfits bench`: what was measured of this machine, and where it is kept.

    Attributes:
        quick: whether llama.cpp was left out.
        read_bytes: read in a pass of the first kernel; null when it could not be run.
        reads: bytes a second by count of threads.
        matrix: operations a second of float32 products; null when it could not be run.
        timings: of llama.cpp.
        calibration: what answers use from now on.
        stored_in: the file; null when it was not kept.
        warnings: what may have disturbed it, and what was left out.
        seconds: wall time.
    """

    schema_version: str
    machine: str
    quick: bool
    read_bytes: int | None
    reads: tuple[KernelRow, ...]
    matrix: KernelRow | None
    timings: tuple[TimingRow, ...]
    calibration: Calibration
    stored_in: str | None
    warnings: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class FileTiming:
    """A file as it was measured, beside the prediction.

    Attributes:
        kind: `decode` or `prefill`.
        tokens: in a row, or of the prompt.
        depth_tokens: in the cache before.
        tokens_per_s: median of the undisturbed repeats.
        spread: half of what 80 of 100 repeats cover, as a share of the median.
        cpu_share: null when an accelerator computed.
        predicted_tokens_per_s: null when it could not be predicted.
        ratio: predicted over measured; null likewise, and where no repeat was undisturbed.
        is_inside: whether what was measured lies in the interval; null likewise.
        repeats: that were made.
        clean_repeats: that nobody disturbed.
    """

    kind: str
    tokens: int
    depth_tokens: int
    tokens_per_s: float
    spread: float
    cpu_share: float | None
    predicted_tokens_per_s: RateRange | None
    ratio: float | None
    is_inside: bool | None
    repeats: int
    clean_repeats: int


@dataclass(frozen=True, slots=True)
class FileBenchAnswer:
    """`whatfits bench MODEL.gguf`: its speed on this machine.

    Attributes:
        provenance: of the prediction.
        gpu_layers: layers on accelerators.
        threads: on the processor.
        load_seconds: how long it took to load.
        timings: what was measured.
        warnings: what may have disturbed it, and what was left out.
    """

    schema_version: str
    model: ModelSummary
    provenance: str
    gpu_layers: int
    threads: int
    load_seconds: float
    timings: tuple[FileTiming, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServerBenchAnswer:
    """`whatfits bench --server URL`: the speed of a running server.

    Attributes:
        url: where it is.
        model: as it names it.
        prompt_tokens: of one request by its own count; null when it did not say.
        counted_by: `usage`, the server's own count, or `events` of the stream.
        timings: by requests at once.
        warnings: what went wrong with single requests.
    """

    schema_version: str
    url: str
    model: str
    prompt_tokens: int | None
    counted_by: str
    timings: tuple[ServerTiming, ...]
    warnings: tuple[str, ...]
