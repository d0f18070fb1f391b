"""Where a GGUF header will end, told from its first bytes: so that few requests fetch all of it.

A header is mostly its vocabulary: strings whose lengths cannot be known without walking them. What
is still to come is estimated from those that are here. An estimate only decides how much is asked
for at once; the header itself is read by `read_gguf_header`, which believes nothing of this.
Error: tests/sizing/readers/test_gguf_extent.py; over eight published vocabularies the end was met
or passed by at most 14 % from the first 64 KiB.
"""

from __future__ import annotations

import math
import struct

from whatfits.sizing.readers.gguf_metadata import FIXED_BYTES
from whatfits.sizing.readers.gguf_scan import MAX_HEADER_BYTES
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import KIB

if TYPE_CHECKING:
    from typing import Final

__all__ = ["header_end_bytes", "least_header_bytes"]

_START_BYTES: Final = 24
_START: Final = struct.Struct("<4sIQQ")
_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")
_STRING: Final = 8
_ARRAY: Final = 9

_TOKENS: Final = "tokenizer.ggml.tokens"
_MERGES: Final = "tokenizer.ggml.merges"
_SCORES: Final = "tokenizer.ggml.scores"
_KINDS: Final = "tokenizer.ggml.token_type"
_MODEL: Final = "tokenizer.ggml.model"
_PRE: Final = "tokenizer.ggml.pre"
_TEMPLATE: Final = "tokenizer.chat_template"
_NUMBER_BYTES: Final = 4  # of a score, of a token's kind

_MERGING: Final = frozenset({"gpt2", "gemma4"})  # tokenizers with merges in the file
# Converted from a list of ranks with every way to put a token together, 2.1 to 2.22 merges a
# token; others have one. Recomputed from the published ranks of Llama 3, Llama 4 and o200k; the
# other names are taken to be alike, and a wrong guess costs a request or some bytes.
_EVERY_SPLIT: Final = frozenset(
    {"llama-bpe", "llama-v3", "llama3", "llama4", "gpt-4o", "tekken", "smaug-bpe"}
    | {"glm4", "chatglm-bpe", "gemma4"}
)
_SPLITS_PER_TOKEN: Final = 2.23
# Tokens come in the order of their rank, and rare ones are longer: the mean length grows with the
# logarithm of their number. Seen: 0.78 (English) to 1.43 (200,000 tokens of many languages).
_GROWTH: Final = {"gpt2": 1.45}
_USUAL_GROWTH: Final = 1.0
# A merge is its token and a space; with every split, longer tokens have more of them.
_MERGE_MORE_BYTES: Final = 1.2
_SPLIT_MORE_BYTES: Final = 2.4

_MARGIN: Final = 0.1  # of the last strings: another request costs more than a tenth of them

_KEY_BYTES: Final = 48  # a key with a number or a truth value
_TEMPLATE_BYTES: Final = 16 * KIB
_TENSOR_BYTES: Final = 72  # two dimensions and a name of about 28 letters
_LEAST_TENSOR_BYTES: Final = 8 + 1 + 4 + 8 + 4 + 8  # a name of one letter, one dimension
_AFTER_TABLE_BYTES: Final = 64  # padding that the reader looks at
_LEAST_STEP: Final = 1.06
_UNKNOWN_STEP_BYTES: Final = 192 * KIB


class _ShortError(Exception):
    """The bytes at hand end here."""


class _Walk:
    """Steps through a header as far as its bytes are there.

    Attributes:
        pos: where the walk is; beyond the bytes after a skip.
        texts: short texts and lengths of arrays by key.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.pos = 0
        self.keys_left = 0
        self.tensors_left = 0
        self.texts: dict[str, str] = {}
        self.lengths: dict[str, int] = {}
        self.means: dict[str, float] = {}
        self.tensor_bytes = float(_TENSOR_BYTES)
        self.inside: tuple[str, int, int] | None = None  # key, strings walked, strings in all
        self.walked_bytes = 0

    def number(self, form: struct.Struct) -> int:
        try:
            (value,) = form.unpack_from(self.data, self.pos)
        except (struct.error, OverflowError):
            raise _ShortError from None
        self.pos += form.size
        return int(value)

    def text(self) -> str:
        length = self.number(_U64)
        start, self.pos = self.pos, self.pos + length
        return self.data[start : self.pos].decode(errors="replace")

    def all_keys(self) -> None:
        while self.keys_left:
            key = self.text()
            kind = self.number(_U32)
            # From here on this key is no longer among those nothing is known of.
            self.keys_left -= 1
            self.value(key, kind)

    def value(self, key: str, kind: int) -> None:
        if kind == _STRING:
            text = self.text()
            self.texts[key] = text[:64]
        elif kind == _ARRAY:
            element, count = self.number(_U32), self.number(_U64)
            self.lengths[key] = count
            if element == _STRING:
                self.strings(key, count)
            else:
                self.pos += count * FIXED_BYTES.get(element, 1)
        else:
            self.pos += FIXED_BYTES.get(kind, 1)

    def strings(self, key: str, count: int) -> None:
        start = pos = self.pos
        done, end, length_at, data = 0, len(self.data), _U64.unpack_from, self.data
        while done < count and pos + _U64.size <= end:
            pos += _U64.size + length_at(data, pos)[0]
            done += 1
        self.pos = pos
        if done:
            self.means[key] = (pos - start) / done - _U64.size
        if done < count:
            self.inside = (key, done, count)
            raise _ShortError

    def all_tensors(self) -> None:
        """Step over the tensors; the walk ends where the first one begins that is cut off."""
        start = whole = self.pos
        done = 0
        try:
            while self.tensors_left:
                name_bytes = self.number(_U64)
                self.pos += name_bytes
                dimensions = self.number(_U32)
                self.pos += _U64.size * dimensions + _U32.size + _U64.size
                if self.pos > len(self.data):
                    raise _ShortError
                whole = self.pos
                self.tensors_left -= 1
                done += 1
                self.tensor_bytes = max((whole - start) / done, 1.0)
        finally:
            self.pos = whole


def least_header_bytes(data: bytes) -> int:
    """Return a number of bytes that the header has at least, given its first ones.

    What is declared but not here counts with the smallest form it can have.
    """
    walk = _Walk(data)
    _walked(walk)
    strings = 0 if walk.inside is None else walk.inside[2] - walk.inside[1]
    return walk.pos + _U64.size * strings + _LEAST_TENSOR_BYTES * walk.tensors_left


def _walked(walk: _Walk) -> bool:
    """Step through all that is here; return whether that is the whole header."""
    try:
        _, _, walk.tensors_left, walk.keys_left = _START.unpack_from(walk.data)
        walk.pos = _START_BYTES
        walk.all_keys()
        walk.all_tensors()
    except (struct.error, _ShortError):
        return False
    return True


def header_end_bytes(data: bytes, *, size_bytes: int) -> int:
    """Return about where the header of a file of `size_bytes` ends, given its first bytes.

    Above `len(data)` when these do not hold all of it, and then by a worthwhile step.
    """
    most = min(size_bytes, MAX_HEADER_BYTES)
    walk = _Walk(data)
    end: float
    if _walked(walk):
        end = walk.pos + _AFTER_TABLE_BYTES
    else:
        rest = _rest_of_keys(walk) + walk.tensors_left * walk.tensor_bytes
        least = len(data) * _LEAST_STEP + _AFTER_TABLE_BYTES
        end = max(walk.pos + rest + _AFTER_TABLE_BYTES, least)
    return min(math.ceil(min(end, most)), most)


def _rest_of_keys(walk: _Walk) -> float:
    """Return about how many bytes of keys come after the walk's place."""
    if not walk.keys_left and walk.inside is None:
        return 0
    rest = float(_KEY_BYTES * walk.keys_left)
    n_tokens = walk.lengths.get(_TOKENS)
    if walk.inside is not None:
        rest += _rest_of_strings(walk, *walk.inside)
    if n_tokens is None:
        return rest + _UNKNOWN_STEP_BYTES if walk.keys_left else rest
    if not walk.keys_left:
        return rest
    merging = walk.texts.get(_MODEL) in _MERGING
    numbers = (_KINDS,) if merging else (_KINDS, _SCORES)
    rest += sum(_NUMBER_BYTES * n_tokens for key in numbers if key not in walk.lengths)
    if merging and _MERGES not in walk.lengths:
        rest += _n_merges(walk, n_tokens) * (_U64.size + _merge_mean(walk, n_tokens))
    return rest + (0 if _TEMPLATE in walk.texts else _TEMPLATE_BYTES)


def _every_split(walk: _Walk) -> bool:
    return walk.texts.get(_PRE) in _EVERY_SPLIT or walk.texts.get(_MODEL) in _EVERY_SPLIT


def _n_merges(walk: _Walk, n_tokens: int) -> float:
    return n_tokens * (_SPLITS_PER_TOKEN if _every_split(walk) else 1)


def _token_mean(walk: _Walk, n_tokens: int) -> float:
    """Return about the mean length of all tokens, from that of those walked."""
    mean = walk.means.get(_TOKENS, 0.0)
    if walk.inside is None or walk.inside[0] != _TOKENS:
        return mean
    return _grown(walk, mean, walk.inside[1], n_tokens)


def _grown(walk: _Walk, mean: float, walked: int, count: int) -> float:
    growth = _GROWTH.get(walk.texts.get(_MODEL, ""), _USUAL_GROWTH)
    return mean + growth * math.log(count / walked) if walked else mean + 2 * _U64.size


def _merge_mean(walk: _Walk, n_tokens: int) -> float:
    more = _SPLIT_MORE_BYTES if _every_split(walk) else _MERGE_MORE_BYTES
    if walk.inside is not None:  # the tokens' own mean is an estimate on the high side already
        more = _MERGE_MORE_BYTES
    return _token_mean(walk, n_tokens) + more


def _rest_of_strings(walk: _Walk, key: str, walked: int, count: int) -> float:
    """Return about how many bytes the strings take that are not here."""
    mean = walk.means.get(key, 0.0)
    whole = _grown(walk, mean, walked, count)
    if key == _MERGES and _TOKENS in walk.means:
        expected = walk.means[_TOKENS] + (
            _SPLIT_MORE_BYTES if _every_split(walk) else _MERGE_MORE_BYTES
        )
        whole = min(whole, expected) if walked < count // 2 else whole
    left = count - walked
    rest = max(count * whole - walked * mean, left * mean)
    is_last = key == _MERGES or left < walked  # nothing long comes after: better once too much
    return _U64.size * left + rest * (1 + _MARGIN if is_last else 1)
