"""Formulas with an answer's own numbers put in, as somebody would work them out by hand.

A sum is only written where it comes to the figure that it stands behind; else the formula stays as
it is.
"""

from __future__ import annotations

from collections import Counter

from whatfits.sizing.kv_cache import cache_tensors, widest_value_row
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.quants.ggml_types import GGML_TYPES
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

    from whatfits.sizing.kv_cache import CacheTensor
    from whatfits.sizing.machine import Pool
    from whatfits.sizing.model import LayerSpec, ModelSpec
    from whatfits.sizing.settings import Settings

__all__ = ["cache_sum", "free_sum", "parts_sum", "product", "weights_sum"]

_MOST_TERMS: Final = 12


def product(factors: Mapping[str, int], *, n_bytes: int) -> str | None:
    """Return `4 bytes x 128,256 tokens x 2 sequences = 1 MiB`; None where it is not that.

    The names are those of one.
    """
    found = 1
    for factor in factors.values():
        found *= factor
    if found != n_bytes:
        return None
    text = " x ".join(_counted(factor, name) for name, factor in factors.items())
    return f"{text} = {format_bytes(n_bytes)}"


def parts_sum(parts: Mapping[str, int], *, n_bytes: int) -> str | None:
    """Return the parts, each by its name, and what they come to; None where it is not that."""
    if sum(parts.values()) != n_bytes:
        return None
    return f"{' + '.join(_named(parts))} = {format_bytes(n_bytes)}"


def _named(parts: Mapping[str, int]) -> list[str]:
    return [f"{format_bytes(size)} {name}" for name, size in parts.items()]


def weights_sum(bytes_by_type: Mapping[str, int], *, beside_bytes: int, n_bytes: int) -> str:
    """Return the bytes of each storage type and what they come to when they are loaded.

    `beside_bytes` are weights of what stands beside the model. What is left is padding and tensors
    that are kept twice, or, when it is negative, tensors that are not loaded.
    """
    parts = {f"of {kind}": size for kind, size in bytes_by_type.items()}
    if beside_bytes:
        parts["beside the model"] = beside_bytes
    rest = n_bytes - sum(parts.values())
    if rest > 0:
        parts["of padding and copies"] = rest
    left_out = f" - {format_bytes(-rest)} not loaded" if rest < 0 else ""
    return f"{' + '.join(_named(parts))}{left_out} = {format_bytes(n_bytes)}"


class _Rows(NamedTuple):
    """Tensors of one layer's cache with the same rows and type."""

    type: str
    rows: int
    row_elements: tuple[int, ...]
    heads: int
    is_state: bool


def cache_sum(
    model: ModelSpec, settings: Settings, *, beside_bytes: int, n_bytes: int
) -> str | None:
    """Return layers x tokens x heads x lengths x bytes, a term for each kind of layer.

    `beside_bytes` are the caches of what stands beside the model. None where a padded buffer
    leaves less than these terms, or the layers are of too many kinds to be read.
    """
    widest = widest_value_row(model)
    counts: Counter[_Rows] = Counter()
    total = beside_bytes
    for layer in model.layers:
        tensors = cache_tensors(layer, settings, widest_value=widest)
        counts.update(_rows_of(layer, tensors))
        total += sum(tensor.n_bytes for tensor in tensors)
    rest = n_bytes - total
    if not counts or rest < 0 or len(counts) > _MOST_TERMS:
        return None
    terms = [_layers_text(count, rows) for rows, count in counts.items()]
    extra = {"beside the model": beside_bytes, "of padding": rest}
    terms += _named({name: size for name, size in extra.items() if size})
    return f"{' + '.join(terms)} = {format_bytes(n_bytes)}"


def _rows_of(layer: LayerSpec, tensors: Sequence[CacheTensor]) -> list[_Rows]:
    """Return a layer's tensors by what they have in common: keys beside values, state by state."""
    state = layer.recurrent
    n_states = 0 if state is None else bool(state.shift_elements) + bool(state.state_elements)
    found: dict[tuple[str, int, bool], list[int]] = {}
    for at, tensor in enumerate(tensors):
        key = (tensor.type, tensor.rows, at >= len(tensors) - n_states)
        found.setdefault(key, []).append(tensor.row_elements)
    return [
        _Rows(kind, rows, tuple(row), 0 if is_state else _heads(layer, row), is_state)
        for (kind, rows, is_state), row in found.items()
    ]


def _heads(layer: LayerSpec, row_elements: Sequence[int]) -> int:
    """Return the key/value heads where a row is theirs and nothing else; 0 where it is not."""
    lengths = [layer.key_length, layer.value_length]
    heads = layer.n_head_kv
    return heads if [heads * length for length in lengths] == [*row_elements] else 0


def _layers_text(count: int, rows: _Rows) -> str:
    kind = GGML_TYPES[rows.type]
    size = f"{kind.block_bytes}"
    if kind.block_elements > 1:
        size += f"/{kind.block_elements}"
    what = "state" if rows.is_state else "token"
    lengths = rows.row_elements
    heads = ""
    if rows.heads:
        heads = f"{_counted(rows.heads, 'head')} x "
        lengths = tuple(length // rows.heads for length in lengths)
    row = " + ".join(f"{length:,}" for length in lengths)
    row = f"({row})" if len(lengths) > 1 else row
    layers = _counted(count, "layer")
    return f"{layers} x {_counted(rows.rows, what)} x {heads}{row} x {size} bytes"


def _counted(count: int, name: str) -> str:
    """Return a count with its name, `token of the vocabulary` among them, in the plural."""
    first, _, rest = name.partition(" ")
    return f"{count:,} {first}{'' if count == 1 else 's'}{' ' if rest else ''}{rest}"


def free_sum(pools: Sequence[Pool]) -> str | None:
    """Return, for each pool of known size, what it may hold less what others hold and the reserve.

    None when no size is known.
    """
    lines = (_free_of(pool) for pool in pools)
    return "; ".join(line for line in lines if line is not None) or None


def _free_of(pool: Pool) -> str | None:
    """Return the sum of one pool; None where it is not plain: of unknown size, or overdrawn."""
    whole, used, reserve = pool.whole, pool.used_bytes or 0, pool.reserve_bytes
    allowance, free = whole.allowance_bytes, whole.free_bytes
    if allowance is None or free is None or free != allowance - used - reserve:
        return None
    less = {"held": used, "reserve": reserve}
    taken = _named({name: size for name, size in less.items() if size})
    terms = " - ".join((format_bytes(allowance), *taken))
    line = f"{pool.id}: {terms} = {format_bytes(free)}"
    limit = pool.limit_bytes
    if pool.limit_scope == "pool" or limit is None:
        return line
    return f"{line}, of which the GPU gets at most {format_bytes(limit)}"
