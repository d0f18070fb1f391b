"""Inputs for the fuzzer of safetensors headers, indexes and configurations, and what must hold."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import safetensors_builder as b
from checkpoint_cases import LLAMA
from fuzz_gguf import NO_FIGURES
from safetensors_invariants import assert_sound

from whatfits.sizing.errors import MalformedFileError, UnsupportedArchitectureError
from whatfits.sizing.readers.hf_config import COUNTS, read_hf_config
from whatfits.sizing.readers.safetensors import read_safetensors_header
from whatfits.sizing.readers.safetensors_index import read_safetensors_index

if TYPE_CHECKING:
    import random

INTERESTING = (0, 1, 2, 7, 8, 255, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63, 2**64 - 1, 2**64, -1)
TOKENS = (
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"',
    "\\",
    "\\u0061",
    "1e999",
    "NaN",
    "null",
    "-",
    " ",
    "é",
    "\0",
)


def number(rng: random.Random, usual: int) -> Any:  # noqa: ANN401 - JSON
    """The usual number, or now and then one that a guard must catch."""
    chance = rng.random()
    if chance < 0.96:
        return usual
    return rng.choice(INTERESTING) if chance < 0.99 else rng.choice(("1", None, 1.5, [usual], True))


def some_header(rng: random.Random) -> tuple[dict[str, Any], int]:
    header: dict[str, Any] = {}
    end = 0
    if rng.random() < 0.3:
        header["__metadata__"] = {"format": "pt" if rng.random() < 0.9 else number(rng, 1)}
    for index in range(rng.randrange(5)):
        dtype = rng.choice(tuple(b.BITS))
        shape = [number(rng, rng.randrange(5)) for _ in range(rng.randrange(4))]
        n_bytes = b.BITS[dtype] // 8
        for dimension in shape:
            n_bytes *= dimension if type(dimension) is int else 1
        start = end
        end += n_bytes
        row: dict[str, Any] = {
            "dtype": dtype,
            "shape": shape,
            "data_offsets": [number(rng, start), number(rng, end)],
        }
        if rng.random() < 0.05:
            row[rng.choice(("x", "dtype", "shape"))] = number(rng, 3)
        header[f"t{index}"] = row
    return header, end


def damaged(rng: random.Random, text: str) -> str:
    """Put in, take out or replace a piece, a few times or not at all."""
    for _ in range(rng.choice((0, 0, 0, 1, 1, 2))):
        place = rng.randrange(len(text) + 1)
        match rng.randrange(3):
            case 0:
                text = text[:place] + rng.choice(TOKENS) + text[place:]
            case 1:
                text = text[:place] + text[place + rng.randrange(1, 4) :]
            case _:
                text = text[:place] + text[rng.randrange(len(text) + 1) :][:30] + text[place:]
    return text


def scrambled(rng: random.Random) -> bytes:
    """A file put together from sound and unsound parts, then perhaps damaged."""
    header, end = some_header(rng)
    text = json.dumps(header, separators=rng.choice(((",", ":"), (", ", ": "))))
    raw = damaged(rng, text).encode()
    length = number(rng, len(raw))
    length = length if type(length) is int and 0 <= length < 2**64 else 0
    data_bytes = number(rng, end)
    data_bytes = data_bytes % 20_000 if type(data_bytes) is int else 0
    return struct.pack("<Q", length) + raw + bytes(data_bytes)


NAMES = ("m.safetensors", "a-00001-of-00002.safetensors", "../x.safetensors", "x.bin", "", "é" * 9)


def some_index(rng: random.Random) -> bytes:
    """An index with names good and bad, then perhaps damaged."""
    names = NAMES if rng.random() < 0.3 else NAMES[:2]
    values: dict[str, Any] = {
        "metadata": {"total_size": number(rng, 8)},
        "weight_map": {f"t{i}": rng.choice(names) for i in range(1 + rng.randrange(5))},
    }
    return damaged(rng, json.dumps(values)).encode()


def some_config(rng: random.Random) -> bytes:
    """A configuration with a few figures changed, then perhaps damaged."""
    values: dict[str, Any] = dict(LLAMA)
    for _ in range(rng.randrange(3)):
        values[rng.choice((*LLAMA, "auto_map", "text_config"))] = number(rng, 4)
    if rng.random() < 0.2:
        values["text_config"] = dict(LLAMA, num_hidden_layers=number(rng, 2))
    return damaged(rng, json.dumps(values)).encode()


def _said(error: MalformedFileError) -> str:
    assert error.field
    assert error.offset_bytes is not None
    assert error.offset_bytes >= 0
    return (error.field.split(" of ")[0] + ": " + error.reason[:24]).translate(NO_FIGURES)


def check_safetensors(data: bytes, *, allow_missing_data: bool) -> str | None:
    """Return what a refusal says without its figures, None for a file that is accepted.

    Raises:
        AssertionError: the answer breaks a promise; so does any other exception.
    """
    try:
        header = read_safetensors_header(data, allow_missing_data=allow_missing_data)
    except MalformedFileError as error:
        refusal = error
    else:
        assert_sound(header, len(data), complete=not allow_missing_data)
        rows = {
            t.name: b.stored(t.dtype, t.shape, t.offset_bytes, t.n_bytes) for t in header.tensors
        }
        text = json.dumps({"__metadata__": header.metadata, **rows})
        again = read_safetensors_header(b.with_header(text), allow_missing_data=True)
        assert (again.tensors, again.metadata) == (header.tensors, header.metadata)
        return None
    return _said(refusal)


def check_index(data: bytes, *, allow_missing_data: bool) -> str | None:
    """The same for an index."""
    try:
        index = read_safetensors_index(data)
    except MalformedFileError as error:
        refusal = error
    else:
        assert index.total_bytes is None or 0 <= index.total_bytes < 2**64
        assert index.files == tuple(sorted(set(index.file_of.values())))
        for name in index.files:
            assert name.endswith(".safetensors")
            assert "/" not in name
        text = json.dumps(
            {"metadata": {"total_size": index.total_bytes}, "weight_map": index.file_of}
        )
        again = read_safetensors_index(text.encode())
        assert (again.file_of, again.total_bytes) == (index.file_of, index.total_bytes)
        return None
    return _said(refusal)


def check_config(data: bytes, *, allow_missing_data: bool) -> str | None:
    """The same for a configuration."""
    try:
        config = read_hf_config(data)
    except MalformedFileError as error:
        refusal = error
    except UnsupportedArchitectureError as error:
        return error.what
    else:
        for name in COUNTS:
            assert not isinstance(config.values.get(name), (str, bool))
        again = read_hf_config(json.dumps(config.values).encode())
        assert repr(again.values) == repr(config.values)
        return None
    return _said(refusal)
