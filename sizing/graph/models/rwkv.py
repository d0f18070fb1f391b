"""RWKV 6 and 7, and the models that put their time mixing into a decoder of Qwen's shape.

Source: llama.cpp src/models/{rwkv6,rwkv6-base,rwkv6qwen2,rwkv7,rwkv7-base,arwkv7}.cpp;
src/llama-graph.cpp (build_rwkv_token_shift_load, build_rwkv_token_shift_store).
"""

from __future__ import annotations

from functools import partial

from whatfits.sizing.graph.states_mamba import States
from whatfits.sizing.graph.states_rwkv import TimeMix6, TimeMix7
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext, Part
    from whatfits.sizing.graph.tensor import Tensor
    from whatfits.sizing.model import ModelSpec

    _Channels = Callable[[GraphContext, Tensor, Tensor, Part], Tensor]

__all__ = ["GRAPHS", "MARKS"]

_RESCALE: Final = "rescale_every_n_layers"


class _Mixed(NamedTuple):
    """What the channel mixing of a layer starts from, a row a token."""

    residual: Tensor
    normed: Tensor
    previous: Tensor


def _shifted(c: GraphContext, before: Tensor, x: Tensor) -> Tensor:
    """Return each token's forerunner: `before` the first, then all but the last."""
    rest = c.view(x, (x.ne[0], x.ne[1] - 1, x.ne[2]), x.nb[1:])
    return c.concat(before, rest, 1)


def _last(c: GraphContext, x: Tensor) -> Tensor:
    return c.view(x, (x.ne[0], 1, x.ne[2]), x.nb[1:])


def _store(c: GraphContext, states: States, new: Tensor, rows: Tensor) -> None:
    states.store(c.view(new, (rows.n_elements,)), rows)


def _rows(c: GraphContext, x: Tensor, layer: int, out_ids: Tensor) -> Tensor:
    """Return one row a token; after the last layer those that logits are wanted for."""
    flat = c.reshape(x, x.ne[0], c.n_tokens)
    return c.get_rows(flat, out_ids) if layer == c.layers[-1] else flat


def _rwkv(c: GraphContext, *, mixing: type[TimeMix6 | TimeMix7], channels: _Channels) -> None:
    whole = c.whole
    x = c.input_embedding(whole.need("token_embd.weight"))
    norm, bias = whole("token_embd_norm.weight"), whole("token_embd_norm.bias")
    x = c.norm(x, norm, bias, rms=False, layer=0)
    states, out_ids = States(c), c.input_out_ids()
    mixer = mixing(c, states)
    for layer in c.layers:
        part = c.layer(layer)
        mixed = _mixed(states, mixer, x, layer, out_ids)
        change = c.like("SUB", mixed.previous, mixed.normed)
        x = c.like("ADD", channels(c, mixed.normed, change, part), mixed.residual)
        if _is_rescaled(c.model, layer):
            x = c.like("SCALE", x)
    c.finish(x, norm_rms=False)


def _mixed(
    states: States, mixer: TimeMix6 | TimeMix7, x: Tensor, layer: int, out_ids: Tensor
) -> _Mixed:
    """Return what a layer's time mixing leaves, its two shift states written back."""
    c = mixer.context
    part, n_embd, n_seqs = c.layer(layer), x.ne[0], c.n_seqs
    x = c.reshape(x, n_embd, c.n_seq_tokens, n_seqs)
    rows = states.shift(layer)
    shifts = c.reshape(states.load(rows), n_embd, 2, n_seqs)
    first, second = (c.view(shifts, (n_embd, 1, n_seqs), shifts.nb[1:]) for _ in range(2))
    y = c.norm(x, part("attn_norm.weight"), part("attn_norm.bias"), rms=False, layer=layer)
    residual = c.like("ADD", mixer(y, _shifted(c, first, y), layer), x)
    weight, bias = part("attn_norm_2.weight"), part("attn_norm_2.bias")
    z = c.norm(residual, weight, bias, rms=False, layer=layer)
    previous = _shifted(c, second, z)
    _store(c, states, c.concat(_last(c, y), _last(c, z), 1), rows)
    return _Mixed(*(_rows(c, t, layer, out_ids) for t in (residual, z, previous)))


def _channels6(c: GraphContext, x: Tensor, change: Tensor, part: Part) -> Tensor:
    xk = c.like("ADD", c.like("MUL", change, part.need("channel_mix_lerp_k.weight")), x)
    xr = c.like("ADD", c.like("MUL", change, part.need("channel_mix_lerp_r.weight")), x)
    r = c.unary(c.mul_mat(part.need("channel_mix_receptance.weight"), xr))
    return c.like("MUL", r, _squared(c, xk, part))


def _channels7(c: GraphContext, x: Tensor, change: Tensor, part: Part) -> Tensor:
    xk = c.like("ADD", c.like("MUL", change, part.need("channel_mix_lerp_k.weight")), x)
    return _squared(c, xk, part)


def _squared(c: GraphContext, x: Tensor, part: Part) -> Tensor:
    k = c.like("SQR", c.unary(c.mul_mat(part.need("channel_mix_key.weight"), x)))
    return c.mul_mat(part.need("channel_mix_value.weight"), k)


def _qwen_shaped(c: GraphContext, *, mixing: type[TimeMix6 | TimeMix7]) -> None:
    whole = c.whole
    x = c.input_embedding(whole.need("token_embd.weight"))
    states, out_ids = States(c), c.input_out_ids()
    mixer = mixing(c, states)
    for layer in c.layers:
        part = c.layer(layer)
        x = c.reshape(x, x.ne[0], c.n_seq_tokens, c.n_seqs)
        rows = states.shift(layer)
        before = c.reshape(states.load(rows), x.ne[0], 1, c.n_seqs)
        y = c.norm(x, part("attn_norm.weight"), part("attn_norm.bias"), layer=layer)
        mixed = mixer(y, _shifted(c, before, y), layer)
        _store(c, states, _last(c, y), rows)
        x = _rows(c, c.like("ADD", mixed, x), layer, out_ids)
        z = c.norm(x, part("ffn_norm.weight"), layer=layer)
        x = c.like("ADD", c.feed_forward(z, part), x)
    c.finish(x)


def _is_rescaled(model: ModelSpec, layer: int) -> bool:
    """Whether a layer's output is halved: RWKV 6 does so every few layers."""
    every = model.metadata.get(f"{model.architecture}.{_RESCALE}")
    return isinstance(every, int) and every > 0 and (layer + 1) % every == 0


def _mark(model: ModelSpec, layer: int) -> Hashable:
    return _is_rescaled(model, layer)


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {
    "rwkv6": partial(_rwkv, mixing=TimeMix6, channels=_channels6),
    "rwkv7": partial(_rwkv, mixing=TimeMix7, channels=_channels7),
    "rwkv6qwen2": partial(_qwen_shaped, mixing=TimeMix6),
    "arwkv7": partial(_qwen_shaped, mixing=TimeMix7),
}
MARKS: Final = dict.fromkeys(GRAPHS, _mark)
