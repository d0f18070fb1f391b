"""What a device has no kernel of its own for, and what llama.cpp does instead.

Source: llama.cpp (0c1e57098) ggml/src/ggml-cuda/fattn.cu (ggml_cuda_flash_attn_ext_vec converts
pairs of cache types that are not compiled to f16); supports_op of its back ends.
"""

from __future__ import annotations

from whatfits.sizing.flash_attention import COMPILED_TYPES, UNFUSED_TYPE, layers_can_fuse
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.search.trial import Trial

__all__ = ["kernel_notes"]

_KIND: Final = "cuda"
_INSTEAD: Final = "Take one type for both: q8_0, q4_0, f16 or bf16."


def kernel_notes(model: ModelSpec, trial: Trial) -> tuple[str, ...]:
    """Return what devices cannot compute as it is; nothing where they have a kernel for it."""
    return (*_attention(model, trial), *_types(model, trial))


def _attention(model: ModelSpec, trial: Trial) -> tuple[str, ...]:
    settings, placement = trial.settings, trial.placement
    used = {placement.accelerators[at].kind for at in placement.layer_device if at is not None}
    pair = settings.kv_type_k.lower(), settings.kv_type_v.lower()
    if not settings.flash_attention or not used:
        return ()
    if not layers_can_fuse(model, placement, kv_types=pair):
        over = f"a cache in {UNFUSED_TYPE}" if UNFUSED_TYPE in pair else "this model's heads"
        return (
            f"The device fuses no attention over {over}: llama.cpp computes it on the processor. "
            + (_INSTEAD if UNFUSED_TYPE in pair else "Leave the cache in f16, and -fa at auto."),
        )
    if _KIND not in used or (pair[0] == pair[1] and pair[0] in COMPILED_TYPES):
        return ()
    lacks = f"no kernel for keys in {pair[0]} with values in {pair[1]}"
    does = "converts them for every token: slower than told here"
    return (f"CUDA as it is usually built has {lacks} and {does}. {_INSTEAD}",)


def _types(model: ModelSpec, trial: Trial) -> tuple[str, ...]:
    names = sorted(trial.placement.host_types)
    if not names:
        return ()
    said = (
        f"The device has no kernel for weights in {' and '.join(names)}: llama.cpp keeps them in "
        "system memory and multiplies with them on the processor. Take another file type of "
        f"{model.name}."
    )
    return (said,)
