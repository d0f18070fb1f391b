"""Attention over a cache: what is stored, what is read, and the steps between.

Source: llama.cpp src/llama-graph.cpp (build_attn, build_attn_mha, build_qkv),
src/llama-kv-cache.cpp (cpy_k, cpy_v, get_k, get_v, the rotation of quantised caches).
"""

from __future__ import annotations

from whatfits.sizing.graph.builder import row_stride
from whatfits.sizing.kv_cache import cache_cells
from whatfits.sizing.model import LatentAttention, SlidingWindow
from whatfits.sizing.quants.ggml_types import GGML_TYPES
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext, Part
    from whatfits.sizing.graph.tensor import Tensor
    from whatfits.sizing.model import LayerSpec

__all__ = ["Attention", "CacheInputs", "Heads"]

_ROTATED_HEAD: Final = 64


@dataclass(slots=True)
class Heads:
    """Queries, keys and values of one layer; keys and values None when another layer's are used."""

    q: Tensor
    k: Tensor | None
    v: Tensor | None


@dataclass(slots=True)
class CacheInputs:
    """Inputs that belong to one cache: where to write, what may be seen, rotations."""

    key_ids: Tensor
    value_ids: Tensor | None
    mask: Tensor
    rotate_k: Tensor | None
    rotate_v: Tensor | None
    cells: int


class Attention:
    """The attention of one model: its caches' inputs, made once, and its layers' steps."""

    def __init__(self, context: GraphContext) -> None:
        """Make the inputs of the caches that the model's layers use."""
        self._c = context
        self._settings = context.settings
        layers = [layer for layer in context.model.layers if layer.attention is not None]
        self._latent = any(isinstance(layer.attention, LatentAttention) for layer in layers)
        self._widest_value = max(
            (spec.n_head_kv * spec.value_length for spec in context.model.layers), default=0
        )
        self.full: CacheInputs | None = None
        self.window: CacheInputs | None = None
        windows = [layer for layer in layers if isinstance(layer.attention, SlidingWindow)]
        others = [layer for layer in layers if not isinstance(layer.attention, SlidingWindow)]
        if others:
            self.full = self._inputs(others, self._settings.sequence_tokens)
        if windows:
            if self.full is None:
                self.full = self._inputs(windows, self._settings.sequence_tokens)
            first = windows[0].attention
            assert first is not None
            self.window = self._inputs(windows, cache_cells(first, self._settings))

    def _inputs(self, layers: Sequence[LayerSpec], cells: int) -> CacheInputs:
        c, settings = self._c, self._settings
        streams = settings.streams
        key_ids = c.input("I64", c.n_tokens, name="k_idxs")
        value_ids = None
        if not self._latent:
            n_ids = c.n_tokens * self._widest_value if settings.transposed_values else c.n_tokens
            value_ids = c.input("I64", n_ids, name="v_idxs")
        kind = "F16" if settings.flash_attention else "F32"
        mask = c.input(kind, cells, c.n_tokens // streams, 1, streams, name="kq_mask")
        return CacheInputs(
            key_ids,
            value_ids,
            mask,
            self._rotation(settings.kv_type_k, {spec.key_length for spec in layers}, largest=True),
            None
            if self._latent
            else self._rotation(
                settings.kv_type_v, {spec.value_length for spec in layers}, largest=False
            ),
            cells,
        )

    def _rotation(self, kind: str, lengths: set[int], *, largest: bool) -> Tensor | None:
        """Return the rotation of a quantised cache; only where all heads have one length."""
        if GGML_TYPES[kind].block_elements == 1 or len(lengths) != 1:
            return None
        length = lengths.pop()
        every = self._c.model.layers
        # a state has no heads; llama.cpp asks for those of the model all the same
        first = next((spec for spec in every if spec.key_length), every[0])
        checked = first.key_length if largest else first.value_length
        if checked % _ROTATED_HEAD:
            return None
        size = _ROTATED_HEAD
        while largest and length % (2 * size) == 0:
            size *= 2
        return self._c.input("F32", size, size, name="rot")

    # queries, keys and values

    def project(self, x: Tensor, part: Part, layer: int, *, in_heads: bool = False) -> Heads:
        """Return queries, keys and values of a layer from separate or fused matrices.

        `in_heads`: what a fused matrix makes is seen as heads before it is cut.
        """
        c, spec = self._c, self._c.spec(layer)
        n = x.ne[1]
        d_k, d_v = spec.key_length, spec.value_length
        fused = part("attn_qkv.weight")
        if fused is not None:
            qkv = c.biased(c.linear(fused, x, part("attn_qkv.scale")), part("attn_qkv.bias"))
            if c.metadata("attention.clamp_kqv"):
                qkv = c.like("CLAMP", qkv)
            stride = qkv.nb[1]
            if in_heads:
                qkv = c.reshape(qkv, d_k, spec.n_head + 2 * spec.n_head_kv, n)
            q = c.view(qkv, (d_k, spec.n_head, n), (4 * d_k, stride))
            k = c.view(qkv, (d_k, spec.n_head_kv, n), (4 * d_k, stride))
            v = c.view(qkv, (d_v, spec.n_head_kv, n), (4 * d_v, stride))
            return Heads(q, k, v)
        made = []
        for letter in "qkv":
            weight = part.need(f"attn_{letter}.weight")
            y = c.linear(weight, x, part(f"attn_{letter}.scale"))
            y = c.biased(y, part(f"attn_{letter}.bias"))
            if c.metadata("attention.clamp_kqv"):
                y = c.like("CLAMP", y)
            made.append(y)
        q, k, v = made
        return Heads(
            c.reshape(q, d_k, spec.n_head, n),
            c.reshape(k, d_k, spec.n_head_kv, n),
            c.reshape(v, d_v, spec.n_head_kv, n),
        )

    def attend_within(
        self,
        heads: Heads,
        mask: Tensor,
        *,
        out: Tensor | None,
        out_bias: Tensor | None = None,
        out_scale: Tensor | None = None,
        sinks: Tensor | None = None,
    ) -> Tensor:
        """Return attention among the tokens of the micro-batch, or keys that are given."""
        c = self._c
        assert heads.k is not None
        assert heads.v is not None
        for made in (heads.q, heads.k, heads.v):
            c.expand(made)
        y = self._heads_out(heads.q, heads.k, heads.v, mask, sinks, softcap=False)
        if out is not None:
            y = c.linear(out, y, out_scale)
        return c.biased(y, out_bias)

    # attention proper

    def attend_to(self, heads: Heads, mask: Tensor, *, sinks: Tensor | None) -> Tensor:
        """Return the joined heads of attention to keys that are given."""
        assert heads.k is not None
        assert heads.v is not None
        return self._heads_out(heads.q, heads.k, heads.v, mask, sinks, softcap=False)

    def attend(
        self,
        heads: Heads,
        layer: int,
        *,
        out: Tensor | None,
        out_bias: Tensor | None = None,
        out_scale: Tensor | None = None,
        sinks: Tensor | None = None,
        softcap: bool = False,
        keys_first: bool | None = None,
        cache_layer: int | None = None,
    ) -> Tensor:
        """Return attention through the cache, with its output matrix.

        `cache_layer` is the layer whose cache is read, when this one has none of its own.
        """
        c = self._c
        owner = layer if cache_layer is None else cache_layer
        spec = c.spec(owner)
        windowed = isinstance(spec.attention, SlidingWindow)
        inputs = self.window if windowed else self.full
        assert inputs is not None
        heads = self._rotated(heads, inputs)
        # one cache for all layers takes values before keys, two caches take keys first
        first_keys = (self.window is not None) if keys_first is None else keys_first
        order = (heads.k, heads.v) if first_keys else (heads.v, heads.k)
        for made in (heads.q, *order):
            if made is not None:
                c.expand(made)
        k_cache, v_cache = self._caches(owner, inputs)
        if heads.k is not None:
            c.expand(self._store_keys(heads.k, k_cache, inputs))
        if heads.v is not None and v_cache is not None:
            c.expand(self._store_values(heads.v, v_cache, inputs))
        k = self._read_keys(k_cache, owner, inputs)
        v = self._read_values(v_cache, owner, inputs)
        y = self._heads_out(heads.q, k, v, inputs.mask, sinks, softcap=softcap)
        if inputs.rotate_v is not None:
            y = c.rotate(y, inputs.rotate_v)
        if out is not None:
            y = c.linear(out, y, out_scale)
        return c.biased(y, out_bias)

    def attend_latent(
        self,
        heads: Heads,
        layer: int,
        *,
        spread: Tensor | None,
        out: Tensor | None,
        out_scale: Tensor | None = None,
        narrowed: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Return attention through a cache of latent rows, whose first part is also the value.

        `spread` widens latent results to heads; `narrowed` makes the mask of the cache's own.
        """
        c, inputs, spec = self._c, self.full, self._c.spec(layer)
        assert inputs is not None
        assert heads.k is not None
        assert heads.v is not None
        for made in (heads.q, heads.v, heads.k):
            c.expand(made)
        # an indexer's keys lie in a cache of their own, although the layer's width counts them
        shape = (spec.n_head_kv * spec.key_length, inputs.cells, self._settings.streams)
        cache = c.held(self._settings.kv_type_k, *shape, home=c.cache_home(layer))
        c.expand(self._store_keys(heads.k, cache, inputs))
        mask = inputs.mask if narrowed is None else narrowed(inputs.mask)
        k = self._read_keys(cache, layer, inputs)
        v = c.view(k, (heads.v.ne[0], *k.ne[1:]), k.nb[1:])
        y = self._heads_out(heads.q, k, v, mask, None, softcap=False, spread=spread)
        return y if out is None else c.linear(out, y, out_scale)

    def stored(self, heads: Heads, layer: int) -> tuple[Heads, Tensor, Tensor]:
        """Store keys before values; return heads as they are stored, and all keys and values."""
        c, inputs = self._c, self.full
        assert inputs is not None
        heads = self._rotated(heads, inputs)
        assert heads.k is not None
        assert heads.v is not None
        for made in (heads.q, heads.k, heads.v):
            c.expand(made)
        k_cache, v_cache = self._caches(layer, inputs)
        c.expand(self._store_keys(heads.k, k_cache, inputs))
        c.expand(self._store_values(heads.v, v_cache, inputs))
        k, v = (
            read(cache, layer, inputs)
            for read, cache in ((self._read_keys, k_cache), (self._read_values, v_cache))
        )
        return heads, k, v

    def _rotated(self, heads: Heads, inputs: CacheInputs) -> Heads:
        c = self._c
        q, k, v = heads.q, heads.k, heads.v
        if inputs.rotate_k is not None:
            q = c.rotate(q, inputs.rotate_k)
            k = None if k is None else c.rotate(k, inputs.rotate_k)
        if inputs.rotate_v is not None and v is not None:
            v = c.rotate(v, inputs.rotate_v)
        return Heads(q, k, v)

    def _caches(self, layer: int, inputs: CacheInputs) -> tuple[Tensor, Tensor]:
        c, settings = self._c, self._settings
        cache = c.spec(layer).attention
        assert cache is not None
        home = c.cache_home(layer)
        streams = settings.streams
        spec = c.spec(layer)
        # what an indexer keeps lies in tensors of its own, though the layer's widths count it
        width = spec.n_head_kv * spec.key_length
        keys = c.held(settings.kv_type_k, width, inputs.cells, streams, home=home)
        if isinstance(cache, LatentAttention):
            return keys, keys
        width = spec.n_head_kv * spec.value_length
        width = self._widest_value if settings.transposed_values else width
        return keys, c.held(settings.kv_type_v, width, inputs.cells, streams, home=home)

    def _store_keys(self, k: Tensor, cache: Tensor, inputs: CacheInputs) -> Tensor:
        c = self._c
        rows = c.view(k, (k.ne[0] * k.ne[1], k.ne[2]), (k.nb[2],))
        if cache.ne[2] > 1:
            cache = c.reshape(cache, cache.ne[0], cache.ne[1] * cache.ne[2])
        return c.set_rows(cache, rows, inputs.key_ids)

    def _store_values(self, v: Tensor, cache: Tensor, inputs: CacheInputs) -> Tensor:
        c = self._c
        assert inputs.value_ids is not None
        width, n = v.ne[0] * v.ne[1], v.ne[2]
        if not self._settings.transposed_values:
            rows = c.view(v, (width, n), (v.nb[2],))
            if cache.ne[2] > 1:
                cache = c.reshape(cache, cache.ne[0], cache.ne[1] * cache.ne[2])
            return c.set_rows(cache, rows, inputs.value_ids)
        dense = row_stride(v.type, width) == v.nb[2]
        rows = c.reshape(v, width, n) if dense else c.cont(v, width, n)
        if width < cache.ne[0]:
            rows = c.pad(rows, cache.ne[0] - width)
        cells = c.reshape(cache, 1, cache.n_elements)
        return c.set_rows(cells, c.reshape(rows, 1, rows.n_elements), inputs.value_ids)

    def _read_keys(self, cache: Tensor, layer: int, inputs: CacheInputs) -> Tensor:
        spec, kind = self._c.spec(layer), cache.type
        head = spec.key_length
        n_head = cache.ne[0] // head if spec.attention is not None else spec.n_head_kv
        strides = (
            row_stride(kind, head),
            row_stride(kind, cache.ne[0]),
            row_stride(kind, cache.ne[0] * inputs.cells),
        )
        return self._c.view(cache, (head, n_head, inputs.cells, self._settings.streams), strides)

    def _read_values(self, cache: Tensor, layer: int, inputs: CacheInputs) -> Tensor:
        spec, kind, cells = self._c.spec(layer), cache.type, inputs.cells
        streams, width = self._settings.streams, cache.ne[0]
        head, n_head = spec.value_length, spec.n_head_kv
        if not self._settings.transposed_values:
            strides = (
                row_stride(kind, head),
                row_stride(kind, width),
                row_stride(kind, width * cells),
            )
            return self._c.view(cache, (head, n_head, cells, streams), strides)
        strides = (
            row_stride(kind, cells * head),
            row_stride(kind, cells),
            row_stride(kind, cells * width),
        )
        return self._c.view(cache, (cells, n_head, head, streams), strides)

    def _heads_out(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        mask: Tensor | None,
        sinks: Tensor | None,
        *,
        softcap: bool,
        spread: Tensor | None = None,
    ) -> Tensor:
        """Return the joined heads (build_attn_mha); `spread` widens latent rows to heads."""
        c = self._c
        transposed = v.nb[1] > v.nb[2]
        streams = k.ne[3]
        per = q.ne[2] // streams
        q = c.view(q, (q.ne[0], q.ne[1], per, streams), (q.nb[1], q.nb[2], q.nb[2] * per))
        q, k, v = (c.permute(t, 0, 2, 1, 3) for t in (q, k, v))
        if self._settings.flash_attention:
            if transposed:
                v = c.transpose(v)
            k = c.cast(k, "F16") if k.type == "F32" else k
            v = c.cast(v, "F16") if v.type == "F32" else v
            y = c.flash_attention(q, k, v, mask, sinks)
            if spread is not None:
                y = c.mul_mat(spread, c.permute(y, 0, 2, 1, 3))
                y = c.cont(c.permute(y, 0, 2, 1, 3))
            y = c.reshape(y, y.ne[0] * y.ne[1], y.ne[2] * y.ne[3])
        else:
            scores = c.mul_mat(k, q)
            if softcap:
                scores = c.like("SCALE", c.unary(c.like("SCALE", scores)))
            scores = c.like("SOFT_MAX", scores, mask, sinks)
            if not transposed:
                v = c.cont(c.transpose(v))
            y = c.mul_mat(v, scores)
            if spread is not None:
                y = c.mul_mat(spread, y)
            y = c.permute(y, 0, 2, 1, 3)
            y = c.cont(y, y.ne[0] * y.ne[1], y.ne[2] * y.ne[3])
            if c.cache_on_host:
                y.wants = c.host
        c.expand(y)
        return y
