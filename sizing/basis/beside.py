"""Why the figures of what stands beside the model are what they are."""

from __future__ import annotations

from whatfits.sizing.estimate import Basis
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.estimate import MemoryPart
    from whatfits.sizing.growth import Growth
    from whatfits.sizing.share import PartKind

__all__ = ["growth_basis", "part_basis"]

_LLAMA_CPP: Final = "llama.cpp (0c1e57098)"


class _Why(NamedTuple):
    """Formula, source and error of one kind of part."""

    formula: str
    source: str
    error: str


_WHY: Final[dict[PartKind, _Why]] = {
    "draft": _Why(
        "a second model and context: as many cells and sequences as the first, cache types of its "
        "own, one row of logits a sequence",
        "common/speculative.cpp:common_base_params_to_speculative",
        "as for the model itself",
    ),
    "mtp": _Why(
        "tensors of the prediction layers + attention over the whole context for them + a hidden "
        "row for every token of a batch",
        "common/speculative.cpp:common_speculative_init_from_params, src/models (graph_mtp)",
        "weights and cache exact; working memory is the layer's largest stage, of which plans on "
        "the CPU took 0.68 to 1.03, and up to one recurrent state for each token drafted",
    ),
    "projector": _Why(
        "every tensor of the file + the graph of the warm-up image; at most that of the largest "
        "image",
        "tools/mtmd/clip.cpp (load_hparams, warmup)",
        "weights exact; working memory from half the warm-up image's largest stage to 1.5 times "
        "the largest image's",
    ),
    "lora": _Why(
        "both matrices of each adapted tensor, in the memory of that tensor",
        "src/llama-adapter.cpp:llama_adapter_lora_init_impl",
        "weights exact; working memory from nothing to two products of the widest adapted tensor",
    ),
}


def part_basis(part: MemoryPart) -> Basis:
    """Return why a part takes what it takes."""
    why = _WHY[part.kind]
    return Basis(
        key=f"memory.parts.{part.kind}",
        formula=why.formula,
        inputs={"name": part.name, "low_bytes": part.low_bytes, "high_bytes": part.high_bytes},
        source=f"{_LLAMA_CPP} {why.source}",
        error=why.error,
    )


def growth_basis(growth: Growth) -> Basis:
    """Return why the caches on the host may grow to what they may grow to."""
    return Basis(
        key="memory.growth_limit_bytes",
        formula="prompt cache limit + checkpoint x checkpoints a slot x slots",
        inputs=growth._asdict(),
        source=f"{_LLAMA_CPP} common/common.h (cache_ram_mib, n_ctx_checkpoints), "
        "tools/server/server-context.cpp:create_checkpoint",
        error="a limit, not a need: both start at nothing. The command gives checkpoints up to "
        "half of what is left on the host and the prompt cache the rest, at most their defaults",
        substituted=f"{format_bytes(growth.cache_ram_bytes)} + "
        f"{format_bytes(growth.checkpoint_bytes)} x {growth.checkpoints} x {growth.slots} = "
        f"{format_bytes(growth.limit_bytes)}"
        if growth.checkpoints
        else None,
    )
