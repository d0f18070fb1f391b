"""Sound GGUF files drawn by chance: every value type, storage type, alignment and version."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import gguf_builder as b

from whatfits.sizing.quants.ggml_types import GGML_TYPES, tensor_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

_TEXTS = ("", "llama", "größe ✓", "a\nb", "x" * 300, "\U0001f600")
_RANGES = {
    b.UINT8: (0, 2**8 - 1),
    b.INT8: (-(2**7), 2**7 - 1),
    b.UINT16: (0, 2**16 - 1),
    b.INT16: (-(2**15), 2**15 - 1),
    b.UINT32: (0, 2**32 - 1),
    b.INT32: (-(2**31), 2**31 - 1),
    b.UINT64: (0, 2**64 - 1),
    b.INT64: (-(2**63), 2**63 - 1),
}


def valid_files(count: int, *, seed: int) -> Iterator[bytes]:
    """Yield `count` sound files, the same for the same seed."""
    rng = random.Random(seed)  # noqa: S311 - a fixed series of test inputs
    for _ in range(count):
        alignment = rng.choice((None, None, 8, 16, 32, 64, 4096))
        pairs = [_pair(rng, index) for index in range(rng.randrange(12))]
        if alignment is not None:
            pairs.append(b.scalar("general.alignment", b.UINT32, alignment))
        rows, end = _rows(rng, alignment or 32)
        yield b.gguf(
            pairs,
            rows,
            data_bytes=end,
            alignment=alignment or 32,
            version=rng.choice((2, 3, 3, 3)),
        )


def _value(rng: random.Random, kind: int) -> object:
    if kind in _RANGES:
        low, high = _RANGES[kind]
        return rng.choice((low, high, 0, 1, rng.randint(low, high)))
    if kind == b.BOOL:
        return rng.random() < 0.5
    if kind == b.STRING:
        return rng.choice(_TEXTS)
    return rng.choice((0.0, -0.5, 1e-5, 1e6, float("inf")))


def _pair(rng: random.Random, index: int) -> bytes:
    kind = rng.choice((*b.FORMATS, b.STRING))
    key = f"{rng.choice(('llama', 'general', 'tokenizer.ggml'))}.key_{index}"
    if rng.random() < 0.4:
        values = [_value(rng, kind) for _ in range(rng.choice((0, 1, 3, 17, 60)))]
        return b.array(key, kind, values)
    return b.scalar(key, kind, _value(rng, kind))


def _rows(rng: random.Random, alignment: int) -> tuple[list[bytes], int]:
    rows: list[bytes] = []
    offset = 0
    for index in range(rng.randrange(8)):
        kind = GGML_TYPES[rng.choice(sorted(GGML_TYPES))]
        shape = (rng.randrange(1, 4) * kind.block_elements,)
        shape += tuple(rng.randrange(1, 4) for _ in range(rng.randrange(4)))
        rows.append(b.tensor(f"blk.{index}.weight", shape, kind.id, offset))
        size = tensor_bytes(kind.name, shape)
        offset += size + -size % alignment
    return rows, offset
