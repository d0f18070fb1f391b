"""Models whose norms come first and that keep no cache: encoders, and decoders by diffusion.

Source: llama.cpp src/models/{gemma-embedding,modern-bert,eurobert,neo-bert,dream,llada,
llada-moe,llama-embed,rnd1}.cpp, src/llama-hparams.cpp (set_swa_pattern).
"""

from __future__ import annotations

from functools import partial

from whatfits.sizing.graph.attention import Attention, Heads
from whatfits.sizing.graph.mixture import feed_forward_or_mixture
from whatfits.sizing.graph.stack import Step, rotated
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.tensor import Tensor
    from whatfits.sizing.model import ModelSpec

__all__ = ["GRAPHS", "MARKS"]


@dataclass(frozen=True, slots=True)
class _Style:
    """Switches.

    Attributes:
        rms: norms are root-mean-square ones.
        fused_gate: gate and up are halves of one matrix.
        scaled: embeddings and queries are scaled.
        writes: logits are computed.
        normalised: chosen experts' weights add up to one.
        last_norm: name of the last norm.
    """

    rms: bool = True
    fused_gate: bool = False
    scaled: bool = False
    writes: bool = False
    normalised: bool = False
    last_norm: str = "output_norm"


def _build(c: GraphContext, style: _Style) -> None:
    x = c.input_embedding(c.whole.need("token_embd.weight"))
    x = c.like("SCALE", x) if style.scaled else x
    first_norm = c.whole("token_embd_norm.weight")
    x = x if first_norm is None else c.norm(x, first_norm, rms=style.rms, layer=0)
    positions = c.input_positions()
    attention = Attention(c)
    masks = [_mask(c), _mask(c)]
    out_ids = c.input_out_ids()
    for layer in c.layers:
        step = Step(c, attention, positions, layer, c.layer(layer))
        part, residual = step.part, x
        y = x if part("attn_norm.weight") is None else step.norm(x, "attn_norm", rms=style.rms)
        y = attention.attend_within(
            _heads(step, y, style),
            masks[_is_windowed(c.model, layer)],
            out=part("attn_output.weight"),
            out_bias=part("attn_output.bias"),
            out_scale=part("attn_output.scale"),
        )
        if layer == c.layers[-1]:
            y, residual = c.get_rows(y, out_ids), c.get_rows(residual, out_ids)
        x = c.like("ADD", _after(step, y, "post_attention_norm"), residual)
        y = _feed(step, step.norm(x, "ffn_norm", rms=style.rms), style)
        x = c.like("ADD", _after(step, y, "post_ffw_norm", pinned=False), x)
    if style.writes:
        c.finish(x)
    else:
        c.hand_out(c.norm(x, c.whole.need(f"{style.last_norm}.weight"), rms=style.rms))


def _mask(c: GraphContext) -> Tensor:
    kind = "F16" if c.settings.flash_attention else "F32"
    return c.input(kind, c.n_tokens, c.n_tokens, name="kq_mask")


def _heads(step: Step, x: Tensor, style: _Style) -> Heads:
    heads = step.attention.project(x, step.part, step.layer)
    heads = rotated(step, heads, norms="before")
    return Heads(step.c.like("SCALE", heads.q), heads.k, heads.v) if style.scaled else heads


def _after(step: Step, x: Tensor, name: str, *, pinned: bool = True) -> Tensor:
    """Return x normalised where the layer has that norm."""
    weight = step.part(f"{name}.weight")
    return x if weight is None else step.c.norm(x, weight, layer=step.layer if pinned else None)


def _feed(step: Step, x: Tensor, style: _Style) -> Tensor:
    if style.fused_gate:
        return step.c.feed_forward(x, step.part, activation="fused_glu")
    return feed_forward_or_mixture(
        step.c, x, step.part, gating="softmax", normalised=style.normalised
    )


def _is_windowed(model: ModelSpec, layer: int) -> bool:
    """Whether a layer has the mask of a window: as a list says, else all but one of a period."""
    rule = _WINDOWS.get(model.architecture)
    if rule is None:
        return False
    needs_window, period, full = rule
    prefix = f"{model.architecture}.attention.sliding_window"
    if needs_window and not model.metadata.get(prefix):
        return False
    pattern = model.metadata.get(f"{prefix}_pattern", period)
    if isinstance(pattern, (list, tuple)):
        return bool(pattern[layer])
    period = pattern if isinstance(pattern, int) else period
    return period == 0 or layer % period != full % period


# a window must be given, period, which layer of a period sees everything
_WINDOWS: Final = {"gemma-embedding": (False, 6, -1), "modern-bert": (True, 3, 0)}
_STYLES: Final = {
    "dream": _Style(writes=True),
    "eurobert": _Style(),
    "gemma-embedding": _Style(scaled=True),
    "llama-embed": _Style(normalised=True),
    "llada": _Style(writes=True),
    "llada-moe": _Style(writes=True),
    "modern-bert": _Style(rms=False, fused_gate=True),
    "neo-bert": _Style(fused_gate=True, last_norm="enc.output_norm"),
    "rnd1": _Style(writes=True, normalised=True),
}
GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = {
    name: partial(_build, style=style) for name, style in _STYLES.items()
}
MARKS: Final = dict.fromkeys(_WINDOWS, _is_windowed)
