"""The whole bill of a model of each architecture against llama.cpp's own plan for its file.

A model is written as a sparse file with its true tensor table, loaded without allocating, and read
back: the three answers (configuration, file, llama.cpp) have to be the same to the byte.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from whatfits.sizing.architectures import find_entry, spec_from_config, spec_from_gguf
from whatfits.sizing.catalog.lookup import find_model, model_entries
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.runtimes.llama_cpp import Bill
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.sources.catalog_model import load_catalog_model
from whatfits.sizing.sources.local_file import load_gguf
from whatfits.sizing.units import GIB, MIB
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from whatfits.bench.reservation import Reservation
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.settings import Settings

    Write = Callable[..., Path]

pytestmark = pytest.mark.oracle

BOX: Final = Machine(
    pools=(Pool("ram", "ram", 4096 * GIB),),
    devices=(Device("cpu", "cpu", "x86-64", "ram", features=("avx2",)),),
)
NO_REPACKING: Final = PlacementRequest(repack="off")
OUTPUT: Final = re.compile(r"output buffer size = +([0-9.]+) MiB")
HALF_A_DIGIT_MIB: Final = 0.00501  # with room for the rounding of the comparison itself


class Setting(NamedTuple):
    """One way to run; together every pair of values occurs."""

    context: int
    parallel: int
    swa_full: bool
    kv_type: str
    flash: str

    @property
    def workload(self) -> Workload:
        return Workload(
            program="api",
            context_tokens=self.context,
            parallel=self.parallel,
            kv_type_k=self.kv_type,
            kv_type_v=self.kv_type,
            flash_attention=self.flash,  # type: ignore[arg-type]
            swa_full=self.swa_full,
            kv_unified=self.is_unified,
        )

    @property
    def is_unified(self) -> bool:
        """Whether sequences share a cache: llama.cpp aborts on block types in four caches.

        Its budget of graph nodes is too small then (phi-4, granite-3.0-1b-a400m and others).
        """
        return self.kv_type != "f16"


SETTINGS: Final = (
    Setting(4096, 1, True, "f16", "on"),
    Setting(32768, 4, False, "f16", "on"),
    Setting(4096, 4, False, "q8_0", "on"),
    Setting(32768, 1, True, "q8_0", "on"),
    Setting(4096, 1, False, "f16", "off"),
    Setting(32768, 4, True, "f16", "off"),
)


def smallest_models() -> list[str]:
    """Return the smallest catalog model of each architecture."""
    smallest: dict[str, tuple[int, str]] = {}
    for entry in model_entries():
        found = find_entry(entry.config)
        if found is not None and entry.params_total is not None:  # None: the shape has holes
            known = (entry.params_total, entry.id)
            smallest[found.architecture] = min(known, smallest.get(found.architecture, known))
    return [model for _, model in sorted(smallest.values())]


def settings_of(spec: ModelSpec) -> Iterator[tuple[Setting, Settings]]:
    """Yield the settings llama.cpp takes for a model: block types need heads they divide."""
    for setting in SETTINGS:
        with suppress(InvalidRequestError):
            yield setting, resolve_settings(spec, setting.workload)


def pooling_of(spec: ModelSpec) -> dict[str, object]:
    """Return how a model pools rows, which is in its file and in no configuration."""
    return {key: value for key, value in spec.metadata.items() if key.endswith(".pooling_type")}


def reserve(path: Path, setting: Setting, spec: ModelSpec) -> Reservation:
    from whatfits.bench.llama_cpp import dry_run

    return dry_run(
        path,
        context_tokens=setting.context,
        parallel=setting.parallel,
        swa_full=setting.swa_full,
        kv_unified=setting.is_unified,
        kv_type_k=setting.kv_type,
        kv_type_v=setting.kv_type,
        flash_attention=setting.flash,
        embeddings=spec.embeds,
        repack=False,  # which weights are rearranged depends on the CPU of this machine
    )


def compare(spec: ModelSpec, path: Path) -> None:
    """Hold every part of the bill that is exact against llama.cpp's plan, in every setting."""
    bill, placement = Bill(spec), resolve_placement(spec, NO_REPACKING, BOX)
    compared = 0
    for setting, settings in settings_of(spec):
        memory = bill.memory(settings, placement, BOX, is_server=False)
        truth = reserve(path, setting, spec)
        assert memory.weights_bytes == truth.model
        assert memory.kv_cache_bytes == truth.context, setting
        output = OUTPUT.search(truth.log)
        assert output is not None
        assert memory.output_bytes / MIB == pytest.approx(float(output[1]), abs=HALF_A_DIGIT_MIB)
        assert settings.context_tokens == truth.n_ctx
        compared += 1
    assert compared >= len(SETTINGS) - 2


@pytest.mark.parametrize("name", smallest_models())
def test_llama_cpp_plans_the_same_bytes_for_a_catalog_model(name: str, whole_file: Write) -> None:
    spec = load_catalog_model(name, file_type="Q4_K_M")
    compare(spec, whole_file(find_model(name).config, pooling_of(spec)))


def test_llama_cpp_plans_the_same_bytes_for_a_small_model(
    small_config: tuple[str, dict[str, object]], whole_file: Write
) -> None:
    architecture, config = small_config
    spec = spec_from_config(config, name=architecture, source="test", file_type="Q4_K_M")
    assert spec.architecture == architecture
    compare(spec, whole_file(config))


@pytest.mark.parametrize("name", smallest_models())
def test_a_file_of_a_catalog_model_reads_as_the_same_model(name: str, whole_file: Write) -> None:
    spec = load_catalog_model(name, file_type="Q4_K_M")
    header, _ = load_gguf(whole_file(find_model(name).config, pooling_of(spec)))
    read = spec_from_gguf(header, name=spec.name, source=spec.source)
    assert read.layers == spec.layers
    assert read.hparams == spec.hparams
    assert set(read.tensors) == set(spec.tensors)
    assert read.parameters == spec.parameters
    placement = resolve_placement(spec, NO_REPACKING, BOX)
    for _, settings in settings_of(spec):
        ours, theirs = (
            Bill(one).memory(settings, placement, BOX, is_server=False) for one in (spec, read)
        )
        assert ours == theirs
