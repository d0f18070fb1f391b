"""A model from the first bytes of a file that somebody handed over, whose rest stays with them."""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError, MalformedFileError, UnreadableFileError
from whatfits.sizing.readers.gguf import GGUF_MAGIC, read_gguf_header
from whatfits.sizing.readers.hf_config import read_hf_config
from whatfits.sizing.sources.checkpoint_files import Checkpoint
from whatfits.sizing.sources.file_kinds import other_kind
from whatfits.sizing.sources.folder import checkpoint_spec
from whatfits.sizing.sources.gguf_model import spec_of_header
from whatfits.sizing.sources.split_gguf import declared_count
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import MIB, format_bytes
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.model import ModelSpec

__all__ = ["MAX_HEAD_BYTES", "load_dropped"]

MAX_HEAD_BYTES: Final = 16 * MIB  # the largest header seen in published files is 13 MB
_GGUF: Final = ".gguf"
_JSON: Final = ".json"


class _Head:
    """The first bytes of a file as a byte source: what lies behind them is not to be had."""

    def __init__(self, data: bytes, size_bytes: int) -> None:
        self._data = data
        self.size_bytes = size_bytes

    def read(self, offset: int, n: int) -> bytes:
        """Return bytes of the beginning.

        Raises:
            MalformedFileError: they lie behind it, though the file goes on.
        """
        end = min(offset + n, self.size_bytes)
        if end > len(self._data):
            raise MalformedFileError(
                file_format="gguf",
                field="header",
                reason=f"goes on beyond the first {format_bytes(len(self._data))}",
                next_step="whatfits check FILE.gguf reads it where it is",
            )
        return self._data[offset:end]


def load_dropped(name: str, head: bytes, *, size_bytes: int) -> ModelSpec:
    """Return the model of a GGUF's first bytes, or of a config.json.

    Args:
        name: what the file is called; only shown.
        head: its first bytes, or all of them.
        size_bytes: its length.

    Raises:
        UnreadableFileError: it is neither.
        MalformedFileError: the bytes contradict the format, or the header is longer.
        InvalidRequestError: it is one of several files, or too much was handed over.
        UnsupportedArchitectureError: nothing sound can be said about it.
    """
    if len(head) > MAX_HEAD_BYTES or size_bytes < len(head):
        raise InvalidRequestError(
            what="beginning of a file",
            got=f"{len(head):,} of {size_bytes:,} bytes",
            allowed=f"at most {format_bytes(MAX_HEAD_BYTES)}, and no more than there are",
        )
    source = f"a file named {name}"
    if head.startswith(GGUF_MAGIC):
        header = read_gguf_header(_Head(head, size_bytes), allow_missing_data=True)
        count = declared_count(header, name=name)
        if count > 1:
            raise InvalidRequestError(
                what="file",
                got=name,
                allowed="a model in one file",
                next_step=f"it is one of {count}: whatfits check FILE.gguf finds the others",
            )
        spec = spec_of_header(header, name=_stem(name, _GGUF), source=source)
        return replace(spec, file=name.replace("\\", "/").rpartition("/")[2])
    if not name.lower().endswith(_JSON):
        kind, next_step = other_kind(head, name=name)
        raise UnreadableFileError(
            what=f"the file is {kind}:",
            got=name,
            allowed="a GGUF file or a config.json",
            next_step=next_step,
        )
    config = read_hf_config(head)
    shown = _stem(name, _JSON)
    return checkpoint_spec(
        Checkpoint(folder="", config=config), name=source, shown=shown, file_type=None
    )


def _stem(name: str, suffix: str) -> str:
    return name[: -len(suffix)] if name.lower().endswith(suffix) else name
