"""Every file, sound or hostile, is also shown to the reference; each disagreement has a reason.

The reference is the `safetensors` package: the format's own reader, in Rust.
"""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

import numpy as np
import pytest
import safetensors_builder as b
from fuzz_json import scrambled
from gguf_case import REFUSED
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save
from safetensors_cases import all_cases

from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.readers.safetensors import read_safetensors_header

NUMPY_TYPES = ("float32", "float16", "float64", "int64", "int32", "int16", "int8", "uint8", "bool")
MAX_BYTES = 1_000_000  # larger ones differ by their limits alone: the reference allows 100 MB
# Refused here and not there: what the refusal says → why.
STRICTER = {
    "is given twice": "the last one of two wins there, silently",
    "twice": "the same, for a field nobody knows",
    "starts with": "blanks before the object are skipped there",
    "bytes long": "names are limited here",
    "is too long a value": "what belongs to one tensor is limited here",
    "too many marks": "values nobody knows may have any number of parts there",
    "nested": "a field nobody knows may be 128 deep there",
    "has a number of": "a number in a field nobody knows may have any length there",
    "has 17 numbers": "dimensions are limited here",
    "__metadata__ at": "null stands for no metadata there",
}
# Accepted here with a finding and not there: what the finding says → why.
MORE_TOLERANT = {
    "type that is not known": "sizes are exact without knowing the type",
    "bytes after the last tensor": "sizes are exact all the same",
}


def reference(data: bytes) -> dict[str, tuple[str, tuple[int, ...], int]] | None:
    """Return name → (type, shape, bytes) as the reference reads it; None when it refuses."""
    try:
        read = deserialize(data)
    except SafetensorError:
        return None
    return {name: (row["dtype"], tuple(row["shape"]), len(row["data"])) for name, row in read}


def ours(data: bytes) -> tuple[dict[str, tuple[str, tuple[int, ...], int]] | None, str]:
    """Return the same as this reader reads it, and what it says."""
    try:
        header = read_safetensors_header(data)
    except MalformedFileError as error:
        return None, str(error)
    rows = {t.name: (t.dtype, t.shape, t.n_bytes) for t in header.tensors}
    return rows, "; ".join(header.findings)


def explained(data: bytes, name: str) -> str:
    """Return the entry of a table that explains how the two disagree, empty when they agree.

    A disagreement that no entry explains fails the test.
    """
    theirs, (mine, said) = reference(data), ours(data)
    if mine == theirs:
        return ""
    if mine is None:
        reasons = [part for part in STRICTER if part in said]
    else:
        assert theirs is None, (name, mine, theirs)  # both accept: values must be the same
        reasons = [part for part in MORE_TOLERANT if part in said]
    assert reasons, (name, said, theirs)
    return reasons[0]


def valid_files() -> dict[str, bytes]:
    """Files the reference itself writes, and the hand-made sound ones."""
    files = dict(b.seeds())
    shapes = ((), (1,), (3, 5), (2, 0, 4), (1, 2, 3, 4))
    for kind, shape in itertools.product(NUMPY_TYPES, shapes):
        files[f"{kind} {shape}"] = save({"a": np.zeros(shape, kind), "b/ü": np.ones(2, "uint8")})
    for count in (0, 1, 10, 100, 1_000):
        tensors = {f"layers.{i}.weight": np.zeros((i % 7, 3), "float32") for i in range(count)}
        files[f"{count} tensors"] = save(tensors, {"format": "np", "text": 'a"\\\n'})
    for seed in range(150):
        rng = random.Random(seed)  # noqa: S311 - a fixed series of test inputs
        tensors = {
            f"t{i}": np.zeros(
                [rng.randrange(4) for _ in range(rng.randrange(5))], rng.choice(NUMPY_TYPES)
            )
            for i in range(rng.randrange(1, 30))
        }
        files[f"drawn {seed}"] = save(tensors)
    return files


def test_every_sound_file_is_read_as_the_reference_reads_it() -> None:
    files = valid_files()
    assert len(files) >= 200
    for name, data in files.items():
        assert reference(data) is not None, name
        assert ours(data) == (reference(data), ""), name


def test_the_metadata_is_that_of_the_reference() -> None:
    data = save({"a": np.zeros(1, "uint8")}, {"format": "np", "text": 'a"\\\nü'})
    assert read_safetensors_header(data).metadata == {"format": "np", "text": 'a"\\\nü'}


def test_every_disagreement_over_a_hostile_file_has_a_reason() -> None:
    refused = agreed = 0
    reasons: set[str] = set()
    for label, case in all_cases():
        if len(case.data) > MAX_BYTES:
            continue
        reason = explained(case.data, f"{label}: {case.name}")
        reasons.add(reason)
        agreed += not reason
        refused += case.answer == REFUSED
    assert refused >= 300
    assert agreed >= 350
    assert reasons - {""} == {*STRICTER, *MORE_TOLERANT}  # no reason without a case


def test_every_disagreement_over_a_scrambled_file_has_a_reason() -> None:
    rng = random.Random(8)  # noqa: S311 - a fixed series of test inputs
    for turn in range(5_000):
        explained(scrambled(rng), f"file {turn}")


@pytest.mark.parametrize("name", ["model.embed_tokens.weight", "a.b-c_0", "ü"])
def test_a_header_that_json_writes_is_read(name: str) -> None:
    header: dict[str, Any] = {name: b.entry("BF16", (3, 2))}
    data = b.with_header(json.dumps(header), bytes(12))
    assert ours(data) == ({name: ("BF16", (3, 2), 12)}, "")
