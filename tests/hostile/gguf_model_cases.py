"""G8: headers that are well-formed and whose figures make no model, or make a strange one.

Each is a small llama with one figure changed, its tensors left as they were. A figure that any
size depends on is refused by its key; what no size depends on is accepted.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import gguf_builder as b
from gguf_case import ACCEPTED, NOTED, REFUSED, Case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WIDTH, LAYERS, VOCABULARY = 64, 2, 96
FIGURES = {
    "block_count": LAYERS,
    "context_length": 512,
    "embedding_length": WIDTH,
    "feed_forward_length": 128,
    "attention.head_count": 4,
    "attention.head_count_kv": 2,
    "vocab_size": VOCABULARY,
}
COUNTS = ("block_count", "embedding_length", "attention.head_count")
ABSURD = (2**24 + 1, 2**31 - 1, 2**31, 2**32, 2**53, 2**63, 2**64 - 1)
KINDS = (*b.FORMATS, b.STRING)
WHOLE_KINDS = (b.UINT8, b.INT8, b.UINT16, b.INT16, b.UINT32, b.INT32, b.UINT64, b.INT64)


def _rows() -> list[bytes]:
    """The tensor table of the small llama, each row where the one before ends."""
    shapes = {"token_embd.weight": (WIDTH, VOCABULARY), "output_norm.weight": (WIDTH,)}
    for layer in range(LAYERS):
        shapes |= {
            f"blk.{layer}.attn_norm.weight": (WIDTH,),
            f"blk.{layer}.attn_q.weight": (WIDTH, WIDTH),
            f"blk.{layer}.attn_k.weight": (WIDTH, WIDTH // 2),
            f"blk.{layer}.attn_v.weight": (WIDTH, WIDTH // 2),
            f"blk.{layer}.attn_output.weight": (WIDTH, WIDTH),
            f"blk.{layer}.ffn_norm.weight": (WIDTH,),
            f"blk.{layer}.ffn_gate.weight": (WIDTH, 128),
            f"blk.{layer}.ffn_up.weight": (WIDTH, 128),
            f"blk.{layer}.ffn_down.weight": (128, WIDTH),
        }
    rows, offset = [], 0
    for name, shape in shapes.items():
        rows.append(b.tensor(name, shape, b.F32, offset))
        elements = 1
        for dimension in shape:
            elements *= dimension
        offset += 4 * elements
    return [*rows, offset.to_bytes(8, "little")]


*ROWS, _END = _rows()
DATA_BYTES = int.from_bytes(_END, "little")


def model(*more: bytes, architecture: str = "llama", **changed: bytes | None) -> bytes:
    """The small llama with figures replaced by the pairs given, or left out by None."""
    pairs = [b.scalar("general.architecture", b.STRING, architecture)]
    for key, value in FIGURES.items():
        name = key.replace(".", "_")
        if name not in changed:
            pairs.append(b.scalar(f"llama.{key}", b.UINT32, value))
        elif (pair := changed[name]) is not None:
            pairs.append(pair)
    return b.gguf([*pairs, *more], ROWS, data_bytes=DATA_BYTES)


def _with(key: str, pair: bytes | None) -> bytes:
    return model(**{key.replace(".", "_"): pair})


def missing() -> Iterator[Case]:
    for key in COUNTS:
        yield Case(f"no {key}", _with(key, None), REFUSED, f"llama.{key}")
    yield Case("no context_length: no largest context", _with("context_length", None), ACCEPTED)
    yield Case("no vocab_size: the rows of the embedding", _with("vocab_size", None), ACCEPTED)
    yield Case("no head_count_kv: as head_count", _with("attention.head_count_kv", None), ACCEPTED)


def zeros_and_absurd() -> Iterator[Case]:
    for key in COUNTS:
        for value in (0, *ABSURD):
            pair = b.scalar(f"llama.{key}", b.UINT64, value)
            yield Case(f"{key} of {value}", _with(key, pair), REFUSED, f"llama.{key}")
    for key in FIGURES:
        for value in (-1, -(2**31), -(2**63)):
            pair = b.scalar(f"llama.{key}", b.INT64, value)
            yield Case(f"{key} of {value}", _with(key, pair), REFUSED, f"llama.{key}")
        for value in (2**32, 2**63, 2**64 - 1):
            pair = b.scalar(f"llama.{key}", b.UINT64, value)
            if key not in COUNTS:
                yield Case(f"{key} of {value}", _with(key, pair), REFUSED, f"llama.{key}")
    yield Case(
        "block_count of 4,097",
        _with("block_count", b.scalar("llama.block_count", b.UINT32, 4_097)),
        REFUSED,
        "llama.block_count",
    )


def types() -> Iterator[Case]:
    for key, value in FIGURES.items():
        for kind in KINDS:
            whole = kind in WHOLE_KINDS
            shown = value % 100 if whole else "2" if kind == b.STRING else 1
            if kind in (b.UINT8, b.INT8) and shown != value:
                continue  # another figure, not another type
            given = value if whole else shown
            pair = b.scalar(f"llama.{key}", kind, given)
            answer, says = (ACCEPTED, "") if whole else (REFUSED, f"llama.{key}")
            yield Case(f"{key} of type {kind}", _with(key, pair), answer, says)
        for kind, values in ((b.STRING, ["2"]), (b.FLOAT32, [2.0, 2.0]), (b.BOOL, [True, True])):
            pair = b.array(f"llama.{key}", kind, values)
            yield Case(f"{key} as an array of type {kind}", _with(key, pair), REFUSED, key)
        nothing = b.array(f"llama.{key}", b.UINT32)
        yield Case(f"{key} as an empty array", _with(key, nothing), REFUSED, key)
    for value in (float("nan"), float("inf"), float("-inf"), 5e-324, 2.0):
        pair = b.scalar("llama.block_count", b.FLOAT64, value)
        yield Case(f"block_count of {value}", _with("block_count", pair), REFUSED, "block_count")


def per_layer() -> Iterator[Case]:
    key = "attention.head_count_kv"
    for values in ([2], [2, 2, 2], [2] * 9_000, [-1, 2], [2, 2**31], [2**16 + 1, 2]):
        pair = b.array(f"llama.{key}", b.INT64, values)
        name = f"{key} of {len(values)} figures, {min(values)} to {max(values)}"
        yield Case(name, _with(key, pair), REFUSED, f"llama.{key}")
    yield Case("kv heads a layer", _with(key, b.array(f"llama.{key}", b.INT32, [2, 4])), ACCEPTED)
    pair = b.scalar(f"llama.{key}", b.UINT32, 0)
    yield Case("no kv heads", _with(key, pair), ACCEPTED)


def heads() -> Iterator[Case]:
    for n_heads in (3, 5, 7, 63, 65, 100):
        pair = b.scalar("llama.attention.head_count", b.UINT32, n_heads)
        answer, says = (NOTED, "rounds down") if n_heads < WIDTH else (REFUSED, "key_length: is 0")
        data = _with("attention.head_count", pair)
        yield Case(f"{n_heads} heads do not divide {WIDTH}", data, answer, says)
    for length in (0, 1, 3, 16, 2**16):
        more = b.scalar("llama.attention.key_length", b.UINT32, length)
        yield Case(f"key length {length}", model(more), ACCEPTED if length else REFUSED)
    for length in (-1, 2**24 + 1, 2**31, 2**63 - 1):
        for which in ("key_length", "value_length"):
            more = b.scalar(f"llama.attention.{which}", b.INT64, length)
            yield Case(f"{which} of {length}", model(more), REFUSED, which)
    for value in (17, 2**20):
        more = b.scalar("llama.rope.dimension_count", b.UINT32, value)
        yield Case(f"rope over {value} of 16", model(more), ACCEPTED)


def experts() -> Iterator[Case]:
    def mixture(count: object, used: object, kind: int = b.UINT32) -> bytes:
        return model(
            b.scalar("llama.expert_count", kind, count),
            b.scalar("llama.expert_used_count", kind, used),
        )

    for count, used in ((4, 5), (4, 2**16), (1, 2)):
        yield Case(f"{used} of {count} experts", mixture(count, used), REFUSED, "expert_used_count")
    for count in (2**16 + 1, 2**31, 2**32 - 1):
        yield Case(f"{count} experts", mixture(count, 2), REFUSED, "expert_count")
    for count, used in ((-1, 2), (4, -1)):
        yield Case(f"{used} of {count} experts", mixture(count, used, b.INT32), REFUSED, "expert")
    yield Case("no experts at all", mixture(0, 0), ACCEPTED)
    for kind in (b.FLOAT32, b.BOOL):
        yield Case(f"experts of type {kind}", mixture(1, 1, kind), REFUSED, "expert_count")


def windows() -> Iterator[Case]:
    for value in (-1, -(2**63)):
        more = b.scalar("llama.attention.sliding_window", b.INT64, value)
        yield Case(f"window of {value}", model(more), REFUSED, "sliding_window")
    for kind, value in ((b.STRING, "9"), (b.FLOAT32, 9.0), (b.BOOL, True)):
        more = b.scalar("llama.attention.sliding_window", kind, value)
        yield Case(f"window of type {kind}", model(more), REFUSED, "sliding_window")
    yield Case("window of 0", model(b.scalar("llama.attention.sliding_window", 4, 0)), ACCEPTED)


def architectures() -> Iterator[Case]:
    for name in ("", " ", "../../etc/passwd", "a" * 65, "a b", "lla\0ma", "ll\x1bma", "größe"):
        case = b.gguf([b.scalar("general.architecture", b.STRING, name)])
        yield Case(f"architecture {name!r}", case, REFUSED, "general.architecture")
    yield Case("no architecture", b.gguf([]), REFUSED, "general.architecture: missing")
    for part in ("clip", "mmproj", "imatrix", "adapter"):
        case = b.gguf([b.scalar("general.architecture", b.STRING, part)])
        yield Case(f"architecture {part}", case, REFUSED, part)
    unheard = b.gguf([b.scalar("general.architecture", b.STRING, "unheard-of")])
    yield Case("unheard of and empty", unheard, REFUSED, "block_count")
    pairs = [b.scalar("general.architecture", b.STRING, "unheard-of")]
    pairs += [b.scalar(f"unheard-of.{key}", b.UINT32, value) for key, value in FIGURES.items()]
    whole = b.gguf(pairs, ROWS, data_bytes=DATA_BYTES)
    yield Case("unheard of with every figure", whole, NOTED, "unknown here")
    other = b.scalar("unheard-of.ssm.state_size", b.UINT32, 16)
    state = b.gguf([*pairs, other], ROWS, data_bytes=DATA_BYTES)
    yield Case("unheard of with another memory", state, REFUSED, "ssm.state_size")


def vocabularies() -> Iterator[Case]:
    tokens = struct.pack("<IQ", b.STRING, 50) + bytes(8 * 50)
    more = b.pair("tokenizer.ggml.tokens", b.ARRAY, tokens)
    yield Case("tokens count before vocab_size", model(more), ACCEPTED)
    empty = b.gguf([b.scalar("general.architecture", b.STRING, "llama")])
    yield Case("nothing but a name", empty, REFUSED, "llama.block_count")
    figures = [b.scalar(f"llama.{k}", b.UINT32, v) for k, v in FIGURES.items() if k != "vocab_size"]
    bare = b.gguf([b.ARCHITECTURE, *figures])
    yield Case("no vocabulary and no tensors", bare, REFUSED, "vocab_size")


CLASSES: dict[str, Callable[[], Iterator[Case]]] = {
    "G8 missing": missing,
    "G8 figures": zeros_and_absurd,
    "G8 types": types,
    "G8 one a layer": per_layer,
    "G8 heads": heads,
    "G8 experts": experts,
    "G8 windows": windows,
    "G8 architectures": architectures,
    "G8 vocabularies": vocabularies,
}
