"""The sections over dry runs: the suite on the CPU, and pretend GPUs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tables import Errors, errors_of, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cases import CaseGroup, Compared

_HEAD: Final = (
    *("cases", "weights exact", "cache exact", "compute exact", "in interval"),
    *("median", "p95", "lowest", "highest"),
)


@dataclass(frozen=True)
class Tally:
    """Compared cases of something: how many, how many equal to the byte, how far off.

    A case is exact when every device is; `inside` counts cases whose compute buffers all are
    in their intervals.
    """

    cases: int
    weights: int
    cache: int
    compute: int
    inside: int
    errors: Errors

    @property
    def cells(self) -> list[object]:
        counts = (self.cases, self.weights, self.cache, self.compute, self.inside)
        return [*(f"{count:,}" for count in counts), *self.errors.cells]


def tally(cases: Sequence[Compared]) -> Tally:
    """Return the tally of cases."""
    return Tally(
        cases=len(cases),
        weights=sum(case.weights for case in cases),
        cache=sum(case.cache for case in cases),
        compute=sum(case.compute for case in cases),
        inside=sum(case.inside for case in cases),
        errors=errors_of([case.error for case in cases]),
    )


def suite_section(groups: Sequence[CaseGroup]) -> str:
    """Return the section on the CPU."""
    shapes = {group.shape for group in groups}
    kinds = {shape.file_type for shape in shapes}
    return (
        f"{len(shapes)} models of {len({shape.architecture for shape in shapes})} architectures "
        f"under {len(kinds)} file types: of every architecture the smallest and the largest model "
        "of the catalog, file types taking turns, each under the settings of "
        "`whatfits.bench.suite.settings_grid`: contexts from 512 to 131,072 tokens, 1 to 16 "
        "sequences with a cache each or one for all, micro-batches of 64 to 2,048 tokens, cache "
        "types F16, BF16, Q8_0 and Q4_0, flash attention on and off, rows of logits for one token, "
        "a few or a whole batch, window caches full or not. One device, nothing repacked.\n\n"
        f"{_refusals(groups)}\n\n{_by_architecture(groups)}"
    )


def offload_section(groups: Sequence[CaseGroup]) -> str:
    """Return the section beside pretend GPUs."""
    boxes = table(("devices", *_HEAD), _rows(groups, _box_name))
    models = len({group.shape for group in groups})
    return (
        f"{models} models, the smallest of each architecture, beside one and two GPUs that "
        "llama.cpp takes for real when it plans (`tests/oracle/pretend_gpu.c`): all, some and no "
        "layers on them, experts or the whole feed-forward part on the host, the cache on the "
        "host, large operations kept there, quantised caches, long contexts, several sequences, "
        "splits by share. A case counts as exact when every device is, the host included.\n\n"
        f"{_refusals(groups)}\n\n{boxes}\n{_by_architecture(groups)}"
    )


def _by_architecture(groups: Sequence[CaseGroup]) -> str:
    whole = tally([case for group in groups for case in group.compared])
    rows = _rows(groups, lambda group: group.shape.architecture)
    return table(("architecture", *_HEAD), [*rows, ["**all**", *whole.cells]])


def _rows(groups: Sequence[CaseGroup], name_of: Callable[[CaseGroup], str]) -> list[list[object]]:
    found: dict[str, list[Compared]] = {}
    for group in groups:
        found.setdefault(name_of(group), []).extend(group.compared)
    return [[name, *tally(found[name]).cells] for name in sorted(found) if found[name]]


def _refusals(groups: Sequence[CaseGroup]) -> str:
    refused = Counter(case for group in groups for case in group.cases if isinstance(case, str))
    return (
        f"{sum(len(group.cases) for group in groups):,} settings in all; {refused['both']} are "
        f"refused by llama.cpp and by whatfits alike, {refused['llama.cpp']} by llama.cpp only, "
        f"{refused['whatfits']} by whatfits only."
    )


def _box_name(group: CaseGroup) -> str:
    box = group.box
    name = f"{box.gpus} GPU{'s' * (box.gpus > 1)}"
    if not box.flash:
        return f"{name}, no fused attention"
    return name if box.asynchronous else f"{name}, no asynchronous copies"
