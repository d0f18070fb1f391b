"""The accuracy suite: every architecture of the catalog against llama.cpp's own plan, on the CPU.

Shapes come by a rule, not by choice: of each architecture the smallest and the largest catalog
model, under file types that take turns. Nothing is downloaded: a plan reads no weights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from whatfits.bench.plans import Planner
from whatfits.bench.requests import placement_request, workload
from whatfits.bench.run_settings import RunSettings
from whatfits.bench.synthetic import write_catalog_model
from whatfits.bench.temporary import temporary_folder
from whatfits.sizing.errors import BadInputError
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.runtimes.llama_cpp import Bill
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.units import GIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from whatfits.sizing.model import ModelSpec

__all__ = [
    "QUICK_TURNS",
    "Case",
    "CatalogShape",
    "as_run",
    "compared",
    "run_suite",
    "settings_grid",
    "smallest_shapes",
    "suite_shapes",
]

QUICK_TURNS: Final = 2
"""Settings of the grid that each model of the bounded suite takes, where the last one left off."""

_FILE_TYPES: Final = (
    *("Q4_K_M", "Q8_0", "Q6_K", "Q4_0", "F16", "IQ4_XS", "Q5_K_S"),
    *("Q3_K_M", "BF16", "Q5_K_M", "Q2_K", "Q4_K_S", "Q5_0"),
)
_NO_REPACK_BOX: Final = Machine(
    pools=(Pool("ram", "ram", 1024 * GIB),), devices=(Device("cpu", "cpu", "CPU", "ram"),)
)


@dataclass(frozen=True, slots=True)
class CatalogShape:
    """A catalog model under a file type."""

    model: str
    architecture: str
    file_type: str


@dataclass(frozen=True, slots=True)
class Case:
    """One setting of one shape: what llama.cpp plans, and what was predicted.

    Attributes:
        shape: model and file type.
        settings: llama.cpp's own settings.
        planned: weights, cache and compute in llama.cpp's columns; None when it refused.
        predicted: the same as predicted; None when this engine refused.
        compute_low: lower end of the compute buffer's interval.
        compute_high: upper end of it.
        refusals: what llama.cpp and what this engine said, where they refused.
    """

    shape: CatalogShape
    settings: RunSettings
    planned: tuple[int, int, int] | None
    predicted: tuple[int, int, int] | None
    compute_low: int = 0
    compute_high: int = 0
    refusals: tuple[str | None, str | None] = (None, None)

    @property
    def is_compared(self) -> bool:
        """Whether both sides answered."""
        return self.planned is not None and self.predicted is not None

    @property
    def agrees(self) -> bool:
        """Equal to the byte, or refused by both."""
        return self.planned == self.predicted

    @property
    def total_error(self) -> float:
        """Predicted over planned total, less one; 0.0 where nothing was compared."""
        if self.planned is None or self.predicted is None:
            return 0.0
        return sum(self.predicted) / sum(self.planned) - 1


def suite_shapes() -> tuple[CatalogShape, ...]:
    """Return the smallest and the largest catalog model of each architecture with a table."""
    from whatfits.sizing.catalog.lookup import model_entries  # noqa: PLC0415 - reads the catalog
    from whatfits.sizing.sources.catalog_model import load_catalog_model  # noqa: PLC0415 - same

    found: dict[str, list[tuple[int, str]]] = {}
    for entry in model_entries():
        try:
            spec = load_catalog_model(entry.name, file_type="Q4_K_M")
        except BadInputError:
            continue  # its shape has holes
        if spec.tensors and spec.parameters is not None:
            found.setdefault(spec.architecture, []).append((spec.parameters, spec.name))
    shapes: list[CatalogShape] = []
    for architecture in sorted(found):
        models = sorted(found[architecture])
        for _, name in dict.fromkeys((models[0], models[-1])):
            file_type = _FILE_TYPES[len(shapes) % len(_FILE_TYPES)]
            shapes.append(CatalogShape(name, architecture, file_type))
    return tuple(shapes)


def smallest_shapes() -> tuple[CatalogShape, ...]:
    """Return the smallest catalog model of each architecture: the bounded suite."""
    first: dict[str, CatalogShape] = {}
    for shape in suite_shapes():
        first.setdefault(shape.architecture, shape)
    return tuple(first.values())


def settings_grid() -> tuple[RunSettings, ...]:
    """Return the settings every shape is planned under: the server's, and what people change."""
    server = RunSettings(8192, outputs_max=1, swa_full=False, repack=False)
    return (
        server,
        replace(server, context_tokens=65_536),
        replace(server, flash_attention="off"),
        replace(server, kv_type_k="q8_0", kv_type_v="q8_0"),
        replace(server, parallel=4, outputs_max=4),
        replace(server, parallel=4, outputs_max=4, kv_unified=True),
        replace(server, micro_batch=64),
        replace(server, micro_batch=2048),
        RunSettings(4096, repack=False),
        RunSettings(512, flash_attention="off", repack=False),
        replace(server, context_tokens=131_072, kv_type_k="q4_0", kv_type_v="q4_0"),
        replace(server, batch=256, kv_type_k="bf16", kv_type_v="bf16"),
        replace(server, context_tokens=32_768, parallel=16, outputs_max=16),
    )


def as_run(spec: ModelSpec, wanted: RunSettings) -> RunSettings:
    """Return settings as the model can be run: what embeds, for the embeddings of every token."""
    return replace(wanted, embeddings=True, outputs_max=0) if spec.embeds else wanted


def run_suite(
    shapes: Sequence[CatalogShape] | None = None,
    grid: Sequence[RunSettings] | None = None,
    *,
    turns: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Iterator[Case]:
    """Yield every case, as it is compared.

    `turns`: how many of the settings each shape takes, in turns; None: all of them.

    Raises:
        MissingExtraError: llama-cpp-python is not installed.
    """
    from whatfits.bench.loads import require_llama_cpp  # noqa: PLC0415 - before anything starts

    require_llama_cpp()
    with Planner() as planner, temporary_folder() as folder:
        path = folder / "synthetic.gguf"
        chosen = suite_shapes() if shapes is None else shapes
        every = settings_grid() if grid is None else grid
        for index, shape in enumerate(chosen):
            if progress is not None:
                progress(shape.model)
            spec = write_catalog_model(path, shape.model, file_type=shape.file_type)
            bill = Bill(spec)
            for wanted in _taken(every, index, turns):
                settings = as_run(spec, wanted)
                said = planner.ask(path, settings)
                yield compared(
                    shape, spec, bill, settings, planned=_columns(said), refusal=said.get("error")
                )


def _taken(grid: Sequence[RunSettings], index: int, turns: int | None) -> tuple[RunSettings, ...]:
    if turns is None:
        return tuple(grid)
    return tuple(grid[(index * turns + step) % len(grid)] for step in range(turns))


def _columns(said: dict[str, Any]) -> tuple[int, int, int] | None:
    rows = list(said.get("buffers", {}).values())
    if not rows:
        return None
    return (
        sum(row["model"] for row in rows),
        sum(row["context"] for row in rows),
        sum(row["compute"] for row in rows),
    )


def compared(
    shape: CatalogShape,
    spec: ModelSpec,
    bill: Bill,
    settings: RunSettings,
    *,
    planned: tuple[int, int, int] | None,
    refusal: str | None,
) -> Case:
    """Return a case: what llama.cpp has planned or why it refused, beside the prediction."""
    try:
        resolved = resolve_settings(spec, workload(settings))
        placement = resolve_placement(spec, placement_request(settings), _NO_REPACK_BOX)
        memory = bill.memory(resolved, placement, _NO_REPACK_BOX, is_server=False)
    except BadInputError as error:
        return Case(shape, settings, planned, None, refusals=(refusal, str(error)))
    known = memory.weights_bytes + memory.kv_cache_bytes + memory.output_bytes
    return Case(
        shape=shape,
        settings=settings,
        planned=planned,
        predicted=(memory.weights_bytes, memory.kv_cache_bytes, memory.compute_bytes),
        compute_low=memory.low_bytes - known,
        compute_high=memory.high_bytes - known,
        refusals=(refusal, None),
    )
