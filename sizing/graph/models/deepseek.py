"""DeepSeek V2, V3 and what shares their graph: GLM 4.7 Flash, Kimi K2, Mistral 4.

Source: llama.cpp src/models/deepseek2.cpp, mistral4.cpp.
"""

from __future__ import annotations

from whatfits.sizing.graph.attention import Attention
from whatfits.sizing.graph.latent import latent_attention
from whatfits.sizing.graph.mixture import GATINGS, feed_forward_or_mixture
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext

__all__ = ["GRAPHS", "gating_of"]

_GLM_FLASH_LAYERS: Final = (47, 48)
_GLM_FLASH_VOCABULARY: Final = 154_880


def gating_of(c: GraphContext) -> str:
    """Return how experts are chosen; files older than the key follow from their shape."""
    named = GATINGS.get(int(c.metadata("expert_gating_func")))
    if named is not None:
        return named
    is_glm_flash = (
        c.model.n_layers in _GLM_FLASH_LAYERS and c.model.hparams.n_vocab == _GLM_FLASH_VOCABULARY
    )
    return "sigmoid" if is_glm_flash else "softmax"


def _build(c: GraphContext) -> None:
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    temperature = None
    if c.metadata("attention.temperature_scale"):
        temperature = c.input("F32", 1, 1, c.n_tokens, name="inp_attn_scale")
    positions = c.input_positions()
    attention = Attention(c)
    out_ids = c.input_out_ids()
    gating, normalised = gating_of(c), bool(c.metadata("expert_weights_norm"))
    for layer in c.layers:
        part = c.layer(layer)
        residual = x
        y = c.norm(x, part("attn_norm.weight"), layer=layer)
        y = latent_attention(
            c,
            attention,
            y,
            layer,
            positions=positions,
            temperature=temperature,
            in_heads=True,
        )
        if layer == c.layers[-1]:
            y, residual = c.get_rows(y, out_ids), c.get_rows(residual, out_ids)
        x = c.like("ADD", y, residual)
        z = c.norm(x, part("ffn_norm.weight"), layer=layer)
        z = feed_forward_or_mixture(c, z, part, gating=gating, normalised=normalised)
        x = c.like("ADD", z, x)
    c.finish(x)


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {
    "deepseek2": _build,
    "mistral4": _build,
}
