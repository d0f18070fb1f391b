"""A model from the first 64 KiB of its file: one request, weights as an interval.

The keys that size a model stand before its vocabulary, the cache is exact from them; the tensor
table is behind it. What the weights take is the length of the file less its header:

    high = files - least header + wide rows + an output matrix beside the embedding (tied)
    low  = files - longest header - padding, less the layers that are not loaded

An embedding may be the output matrix too; llama.cpp then holds it twice, once beside the output
layer. Its type is unknown here, so it counts with four bytes an element, at most once more what all
tensors take. Error: none; the exact sum lies inside by construction, as long as a file has no bytes
after its last tensor (then only `high` holds) and its converter wrote the sizing keys before the
vocabulary, as all known ones do.
"""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError, UnsupportedArchitectureError
from whatfits.sizing.model import ByteRange, ModelSpec
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import KIB
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.model import Hparams
    from whatfits.sizing.readers.gguf_start import GgufStart

__all__ = ["load_quick_url", "quick_spec"]

_DEFAULT_ALIGNMENT: Final = 32
_MAX_ALIGNMENT: Final = 2**30
_WIDEST_BYTES: Final = 4  # of one element of an embedding: F32
# Devices pad a tensor to 128 bytes and the rows of a quantised one to 512 elements (2 KiB at F32);
# experts are one tensor a stack. Source: sizing/buffers.py.
_PADDED_BYTES: Final = 4 * KIB
# Layers that predict further tokens: a block as the others are, and a matrix beside it. At most
# this many times the mean block.
_PREDICTING_TIMES: Final = 3
_TOKENS: Final = "tokenizer.ggml.tokens"


def load_quick_url(name: str, *, file_type: str | None = None) -> ModelSpec:
    """Return the model at an address from its first 64 KiB (of each file of a split one).

    Raises:
        InvalidRequestError: the address may not be asked, or another file type is asked for.
        UnsupportedArchitectureError: the first bytes do not say enough.
        BadInputError: it cannot be reached, or is no model.
    """
    from whatfits.sizing.readers.gguf_start import read_gguf_start  # noqa: PLC0415 - on use
    from whatfits.sizing.sources.direct_url import open_url  # noqa: PLC0415 - same
    from whatfits.sizing.sources.gguf_model import with_files  # noqa: PLC0415 - same
    from whatfits.sizing.sources.http.addresses import shown_url  # noqa: PLC0415 - same
    from whatfits.sizing.sources.remote_gguf import (  # noqa: PLC0415 - same
        file_name,
        require_gguf,
        sibling_urls,
    )
    from whatfits.sizing.sources.split_gguf import parse_split_name  # noqa: PLC0415 - same

    if file_type is not None:
        raise InvalidRequestError(
            what="file type",
            got=file_type,
            allowed="none beside --quick",
            next_step="leave --quick out: another type needs the tensor table",
        )
    name = name.partition("#")[0]  # no part of what is asked for
    with open_url(name) as client:
        file = client.file(name)
        require_gguf(file)
        start = read_gguf_start(file.prefix, size_bytes=file.size_bytes)
        file.keep()
        count = start.metadata.get("split.count", 1)
        urls = sibling_urls(name, count) if isinstance(count, int) and count > 1 else (name,)
        starts = [start]
        for url in urls:
            if url != name:
                other = client.file(url)
                require_gguf(other)
                starts.append(read_gguf_start(other.prefix, size_bytes=other.size_bytes))
                other.keep()
    split = parse_split_name(file_name(name)) if len(urls) > 1 else None
    shown = split.prefix if split else file_name(name).removesuffix(".gguf")
    spec = quick_spec(starts, name=shown, source=shown_url(name))
    spec = with_files(spec, [shown_url(url) for url in urls])
    return replace(spec, notes=(*spec.notes, *client.notes)) if client.notes else spec


def quick_spec(starts: Sequence[GgufStart], *, name: str, source: str) -> ModelSpec:
    """Return the model whose files begin like this; the first that has an architecture counts.

    Raises:
        UnsupportedArchitectureError: the keys are not all there, or nothing sound can be said.
        MalformedFileError: a value is of the wrong kind or out of range.
    """
    from whatfits.sizing.architectures.layers import hparams_and_layers  # noqa: PLC0415 - on use
    from whatfits.sizing.architectures.metadata import (  # noqa: PLC0415 - same
        Metadata,
        architecture_of,
    )
    from whatfits.sizing.architectures.spec import file_type_name  # noqa: PLC0415 - same

    start = next((one for one in starts if "general.architecture" in one.metadata), starts[0])
    n_vocab = start.array_lengths.get(_TOKENS)
    architecture = architecture_of(start.metadata)
    if n_vocab is None:
        raise UnsupportedArchitectureError(
            what=f"the first bytes of {name} end before its vocabulary begins",
            next_step="leave --quick out",
        )
    metadata = Metadata(
        start.metadata, architecture=architecture, array_lengths=start.array_lengths
    )
    layout = hparams_and_layers(metadata, n_vocab=n_vocab)
    weights = _weights(starts, layout.hparams, n_layers=len(layout.layers))
    share = (weights.high_bytes - weights.low_bytes) / max(weights.high_bytes, 1)
    note = (
        f"Quick answer from the first 64 KiB: weights are known to {share:.0%}, working memory by "
        "its formula; leave --quick out for the exact figures."
    )
    return ModelSpec(
        name=name,
        source=source,
        architecture=architecture,
        file_type=file_type_name(start.metadata.get("general.file_type")),
        file_bytes=sum(one.file_bytes for one in starts),
        tensors=(),
        layers=layout.layers,
        hparams=layout.hparams,
        parameters=None,
        active_parameters=None,
        metadata=metadata.kept(),
        weights=weights,
        cache_interval=layout.cache_interval,
        notes=(*layout.notes, note),
        origin="header, first 64 KiB",
    )


def _weights(starts: Sequence[GgufStart], hparams: Hparams, *, n_layers: int) -> ByteRange:
    """Return the interval of what the weights take, as the module's formula has it."""
    most = sum(one.file_bytes - one.least_header_bytes for one in starts)
    likely = sum(max(one.file_bytes - one.likely_header_bytes, 0) for one in starts)
    n_tensors = sum(one.n_tensors for one in starts)
    padding = sum(_alignment(one) * (one.n_tensors + 1) for one in starts)
    least = sum(one.file_bytes - one.most_header_bytes for one in starts) - padding
    if hparams.n_layer_nextn:
        n_all = n_layers + hparams.n_layer_nextn
        unloaded = _PREDICTING_TIMES * hparams.n_layer_nextn
        least = least * max(n_all - unloaded, 0) // n_all
        likely = likely * n_layers // n_all
    tied = min(_WIDEST_BYTES * hparams.n_vocab * hparams.n_embd, most)
    high = most + tied + _PADDED_BYTES * n_tensors
    low = max(min(least, likely), 0)
    return ByteRange(
        low_bytes=low,
        mid_bytes=max(likely, low),
        high_bytes=max(high, likely),
        reason="only the first 64 KiB were read: the length of the file less its header, and the "
        "embedding once more in case it is the output matrix too",
    )


def _alignment(start: GgufStart) -> int:
    value = start.metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    return min(value, _MAX_ALIGNMENT) if type(value) is int else _DEFAULT_ALIGNMENT
