"""Decoders a step away from Llama: other activations, layers without rotation, scaled queries.

Source: llama.cpp src/models/{arcee,baichuan,internlm2,mistral3,seed-oss,smollm3}.cpp.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from whatfits.sizing.graph.attention import Heads
from whatfits.sizing.graph.decoder import Decoder, build_decoder
from whatfits.sizing.graph.models import Traits
from whatfits.sizing.graph.stack import Step, attend, build_stack, dense, output_of, rotated

if TYPE_CHECKING:
    from collections.abc import Callable

    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["GRAPHS", "TRAITS"]

_ROTATED_BAICHUAN_LAYERS: Final = 32  # the 7B model; all others have biased scores instead
_SMOLLM3_PERIOD: Final = 4  # llama.cpp fixes it: every fourth layer goes without rotation


def _unrotated(step: Step, x: Tensor) -> Tensor:
    return output_of(step, step.attention.project(x, step.part, step.layer))


def _baichuan(c: GraphContext) -> None:
    has_rotation = c.model.n_layers == _ROTATED_BAICHUAN_LAYERS
    build_stack(c, attention_part=attend if has_rotation else _unrotated)


def _goes_without(layer: int) -> bool:
    return (layer + 1) % _SMOLLM3_PERIOD == 0


def _smollm3_part(step: Step, x: Tensor) -> Tensor:
    return _unrotated(step, x) if _goes_without(step.layer) else attend(step, x)


def _mistral3(c: GraphContext) -> None:
    """Queries are scaled by position where the metadata says so."""
    scaled = bool(c.metadata("attention.temperature_scale"))
    scales = c.input("F32", 1, 1, c.n_tokens, name="attn_scale") if scaled else None

    def part(step: Step, x: Tensor) -> Tensor:
        heads = rotated(step, step.attention.project(x, step.part, step.layer))
        if scales is not None:
            heads = Heads(c.like("MUL", heads.q, scales), heads.k, heads.v)
        return output_of(step, heads)

    build_stack(c, attention_part=part, feed_part=_mistral3_feed)


def _mistral3_feed(step: Step, x: Tensor) -> Tensor:
    c = step.c
    if step.part("ffn_gate_inp.weight") is None:
        return dense(step, x)
    used, scale = c.model.hparams.n_expert_used, c.metadata("expert_weights_scale")
    return c.experts(x, step.part, n_used=used, scale=scale)


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {
    "arcee": partial(build_decoder, style=Decoder(activation="relu_sqr")),
    "baichuan": _baichuan,
    "internlm2": build_stack,
    "mistral3": _mistral3,
    "seed_oss": partial(build_stack, second_norm="post_attention_norm"),
    "smollm3": partial(build_stack, attention_part=_smollm3_part),
}
TRAITS: Final = {"smollm3": Traits(mark=lambda _model, layer: _goes_without(layer))}
