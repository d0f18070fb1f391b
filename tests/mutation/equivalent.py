"""Mutants that no test can notice, each with the reason."""

from __future__ import annotations

_AGAIN = "what was looked at is looked at once more; the answer is the same"
_WRITTEN = "every place of the list is written before it is returned"
EQUIVALENT: dict[str, str] = {
    "readers.gguf_scan HeaderCursor.skip_strings: Gt to GtE: pos > len(window)": _AGAIN,
    "readers.gguf_scan HeaderCursor.skip_strings: part 2 gone: done and pos > len(window)": _AGAIN,
    "readers.gguf_scan HeaderCursor.take: Gt to GtE: end > len(self._window)": (
        "the window is filled again where it ends with what is taken"
    ),
    "readers.gguf_scan HeaderCursor.skip_strings: bound 2 gone: min(count, _SINGLE_STRINGS)": (
        "only how soon blocks are tried again: time, not answers"
    ),
    "readers.gguf_scan HeaderCursor._skip_short: GtE to Gt: count - skipped >= _BLOCK_STRINGS": (
        "the last block is walked string by string"
    ),
    "readers.gguf_tensors read_tensors: Gt to GtE: len(name) > _LLAMA_CPP_NAME_BYTES": _AGAIN,
    "readers.gguf_tensors check_extents: Lt to LtE: tensor.offset_bytes < before.offset_bytes": (
        "two tensors at one place overlap, and are refused"
    ),
    "readers.safetensors _check_size: Gt to GtE: bits > _MAX_NUMBER": (
        "no type has an odd number of bits, so that no tensor has 2^64 - 1"
    ),
    "readers.safetensors _check_cover: Gt to GtE: tensor.offset_bytes > end": (
        "that they differ has been asked before"
    ),
    "sources.regular_file unreadable: part 2 gone: code or 0": "no reason is kept for None either",
    "quants.file_layout data_offsets: 0 to 1: offsets = [0] * len(names)": _WRITTEN,
    "quants.file_layout data_offsets: 0 to -1: offsets = [0] * len(names)": _WRITTEN,
}
