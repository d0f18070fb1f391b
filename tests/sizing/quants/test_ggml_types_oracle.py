"""The table of storage types against ggml itself."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from whatfits.sizing.quants.ggml_types import GGML_TYPES, RETIRED_TYPE_IDS, GgmlType, row_bytes

pytestmark = pytest.mark.oracle

COUNT = max(kind.id for kind in GGML_TYPES.values()) + 1


@pytest.fixture(scope="module")
def ggml() -> ctypes.CDLL:
    llama_cpp = pytest.importorskip("llama_cpp")
    folder = Path(llama_cpp.__file__).parent / "lib"
    (path,) = (p for p in folder.iterdir() if p.name in {"libggml-base.so", "libggml-base.dylib"})
    library = ctypes.CDLL(str(path))
    library.ggml_type_name.restype = ctypes.c_char_p
    library.ggml_blck_size.restype = ctypes.c_int64
    library.ggml_type_size.restype = ctypes.c_size_t
    library.ggml_row_size.restype = ctypes.c_size_t
    library.ggml_row_size.argtypes = [ctypes.c_int, ctypes.c_int64]
    return library


@pytest.mark.parametrize("kind", GGML_TYPES.values(), ids=lambda kind: kind.name)
def test_a_type_has_the_name_block_and_bytes_ggml_gives_it(
    ggml: ctypes.CDLL, kind: GgmlType
) -> None:
    assert ggml.ggml_type_name(kind.id).decode().upper() == kind.name
    assert ggml.ggml_blck_size(kind.id) == kind.block_elements
    assert ggml.ggml_type_size(kind.id) == kind.block_bytes
    for elements in (256, 4096, 14336):
        assert row_bytes(kind.name, elements) == ggml.ggml_row_size(kind.id, elements)


def test_every_number_below_the_last_is_a_type_or_a_retired_one(ggml: ctypes.CDLL) -> None:
    known = {kind.id for kind in GGML_TYPES.values()}
    assert known | RETIRED_TYPE_IDS == set(range(COUNT))
    for number in RETIRED_TYPE_IDS:
        assert ggml.ggml_blck_size(number) == 0 or b"removed" in ggml.ggml_type_name(number).lower()
