"""What CUDA has no kernel of its own for: pairs of cache types that are computed in a slower way.

Source: llama.cpp (0c1e57098) ggml/CMakeLists.txt (GGML_CUDA_FA_QUANTS, the pairs that are compiled
unless somebody asks for more), ggml/src/ggml-cuda/fattn.cu (ggml_cuda_flash_attn_ext_vec converts
other pairs to f16; ggml_cuda_fattn_kv_type_supported leaves IQ4_NL out).
"""

from __future__ import annotations

from whatfits.sizing.flash_attention import UNFUSED_TYPE
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.trial import Trial

__all__ = ["kernel_note"]

_KIND: Final = "cuda"
_INSTEAD: Final = "Take one type for both: q8_0, q4_0, f16 or bf16."
_COMPILED: Final = frozenset((name, name) for name in ("q4_0", "q8_0", "f16", "bf16"))


def kernel_note(trial: Trial) -> tuple[str, ...]:
    """Return what a pair of cache types costs on CUDA; nothing where it has a kernel for it."""
    settings, placement = trial.settings, trial.placement
    used = {placement.accelerators[at].kind for at in placement.layer_device if at is not None}
    pair = settings.kv_type_k.lower(), settings.kv_type_v.lower()
    if _KIND not in used or not settings.flash_attention or pair in _COMPILED:
        return ()
    if UNFUSED_TYPE not in pair:
        lacks = f"no kernel for keys in {pair[0]} with values in {pair[1]}"
        does = "converts them for every token: slower than told here"
        return (f"CUDA as it is usually built has {lacks} and {does}. {_INSTEAD}",)
    return (f"CUDA does not fuse attention over {UNFUSED_TYPE}: slower than told here. {_INSTEAD}",)
