"""Decoders a step away from Llama: other activations, layers without rotation, scaled queries.

Source: llama.cpp src/models/{apertus,arcee,baichuan,ernie4-5,hunyuan-vl,internlm2,maincoder,
mistral3,openelm,paddleocr,pangu-embed,plamo3,qwen,refact,seed-oss,smollm3,xverse}.cpp.
"""

from __future__ import annotations

from functools import partial

from whatfits.sizing.graph.attention import Heads
from whatfits.sizing.graph.decoder import Decoder, build_decoder
from whatfits.sizing.graph.stack import (
    Step,
    attend,
    attend_norms_after,
    attend_unturned,
    build_stack,
    output_of,
    positions_of,
    rotated,
)
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["GRAPHS", "MARKS"]

_ROTATED_BAICHUAN_LAYERS: Final = 32  # the 7B model; all others have biased scores instead
_SMOLLM3_PERIOD: Final = 4  # llama.cpp fixes it: every fourth layer goes without rotation


def _baichuan(c: GraphContext) -> None:
    has_rotation = c.model.n_layers == _ROTATED_BAICHUAN_LAYERS
    build_stack(c, attention_part=attend if has_rotation else attend_unturned)


def _goes_without(layer: int) -> bool:
    return (layer + 1) % _SMOLLM3_PERIOD == 0


def _smollm3_part(step: Step, x: Tensor) -> Tensor:
    return attend_unturned(step, x) if _goes_without(step.layer) else attend(step, x)


def _mistral3(c: GraphContext) -> None:
    """Queries are scaled by position where the metadata says so."""
    scaled = bool(c.metadata("attention.temperature_scale"))
    scales = c.input("F32", 1, 1, c.n_tokens, name="attn_scale") if scaled else None

    def part(step: Step, x: Tensor) -> Tensor:
        heads = rotated(step, step.attention.project(x, step.part, step.layer))
        if scales is not None:
            heads = Heads(c.like("MUL", heads.q, scales), heads.k, heads.v)
        return output_of(step, heads)

    build_stack(c, attention_part=part)


def _openelm_part(step: Step, x: Tensor) -> Tensor:
    heads = step.attention.project(x, step.part, step.layer, in_heads=True)
    return output_of(step, rotated(step, heads, norms="before"))


def _hunyuan_vl(c: GraphContext) -> None:
    build_stack(c, attention_part=attend_norms_after, positions_per_token=positions_of(c))


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {
    "apertus": partial(build_decoder, style=Decoder(activation="act")),
    "arcee": partial(build_decoder, style=Decoder(activation="relu_sqr")),
    "baichuan": _baichuan,
    "ernie4_5": build_stack,
    "hunyuan-dense": partial(build_stack, attention_part=attend_norms_after),
    "hunyuan_vl": _hunyuan_vl,
    "internlm2": build_stack,
    "refact": partial(build_stack, attention_part=attend_unturned),
    "xverse": build_stack,
    "maincoder": partial(build_stack, attention_part=attend_norms_after),
    "mistral3": _mistral3,
    "openelm": partial(build_stack, attention_part=_openelm_part, residual_first=True),
    "paddleocr": partial(build_stack, positions_per_token=4),
    "pangu-embedded": build_stack,
    "plamo3": partial(build_decoder, style=Decoder(post_norms=True, activation="fused_glu")),
    "qwen": build_stack,
    "seed_oss": partial(build_stack, second_norm="post_attention_norm"),
    "smollm3": partial(build_stack, attention_part=_smollm3_part),
}
MARKS: Final = {"smollm3": lambda _model, layer: _goes_without(layer)}
