"""The header of a GGUF file, or of all files of a split one, on another machine.

Headers only, by range requests: usually two a model and one for each further file of a split.
"""

from __future__ import annotations

from whatfits.sizing.errors import MalformedFileError, RemoteAnswerError, UnreadableFileError
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.readers.gguf import GGUF_MAGIC, GgufHeader, read_gguf_header
from whatfits.sizing.sources.file_kinds import HEAD_BYTES, other_kind
from whatfits.sizing.sources.http.addresses import shown_url
from whatfits.sizing.sources.http.header_source import HeaderSource
from whatfits.sizing.sources.split_gguf import (
    check_shard,
    declared_count,
    merge_headers,
    parse_split_name,
)
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.sources.http.client import Client
    from whatfits.sizing.sources.http.remote_file import RemoteFile

__all__ = [
    "RemoteModel",
    "file_name",
    "read_remote_header",
    "read_remote_model",
    "require_gguf",
    "sibling_urls",
]

_NOT_FOUND: Final = 404


class RemoteModel(NamedTuple):
    """A model whose headers were read from another machine.

    Attributes:
        header: of all its files together.
        files: those files, the first one first; what was read of them is still there.
    """

    header: GgufHeader
    files: tuple[RemoteFile, ...]


def read_remote_header(file: RemoteFile) -> GgufHeader:
    """Return the header of one remote file.

    Raises:
        UnreadableFileError: it is not a GGUF file.
        MalformedFileError: it is one, and contradicts the format.
        UnreachableError: the server became too slow.
        RemoteAnswerError: the file changed, or an answer is not the range asked for.
    """
    require_gguf(file)
    try:
        header = read_gguf_header(HeaderSource(file), allow_missing_data=True)
    except MalformedFileError as error:
        raise error.in_file(shown_url(file.url)) from error
    file.keep()
    return header


def require_gguf(file: RemoteFile) -> None:
    """Refuse a file that begins like something else, by its name.

    Raises:
        UnreadableFileError: it is not a GGUF file.
    """
    shown = shown_url(file.url)
    head = file.read(0, HEAD_BYTES)
    if head.startswith(GGUF_MAGIC):
        return
    kind, next_step = other_kind(head, name=shown)
    if "/blob/" in shown:
        next_step = "write /resolve/ in place of /blob/: that is the file, not its page"
    raise UnreadableFileError(
        what=f"the file is {kind}:", got=shown, allowed="a GGUF file", next_step=next_step
    )


def read_remote_model(client: Client, url: str) -> RemoteModel:
    """Return the model at `url`: one file, or any file of a split set.

    Raises:
        InvalidRequestError: the address may not be asked.
        UnreadableFileError: it is not a GGUF file, or files of the set are missing.
        MalformedFileError: the bytes contradict the format, or the files do not belong together.
        UnreachableError: no connection, or too slow.
        RemoteAnswerError: an answer that is of no use.
    """
    url = url.partition("#")[0]  # no part of what is asked for
    file = client.file(url)
    header = read_remote_header(file)
    count = declared_count(header, name=file_name(url))
    if count == 1:
        return RemoteModel(header, (file,))
    urls = sibling_urls(url, count)
    files = [file if other == url else _shard(client, other, count) for other in urls]
    headers: list[GgufHeader] = []
    names = [file_name(other) for other in urls]
    for index, shard in enumerate(files):
        headers.append(header if shard is file else read_remote_header(shard))
        check_shard(headers[-1], index=index, count=count, name=names[index])
    return RemoteModel(merge_headers(headers, names=names), tuple(files))


def file_name(url: str) -> str:
    """Return the last part of an address's path."""
    return shown_url(url).rpartition("/")[2]


def sibling_urls(url: str, count: int) -> tuple[str, ...]:
    """Return the addresses of all `count` files of the set that `url` belongs to.

    Raises:
        MalformedFileError: the name is not that of a set of `count` files.
    """
    name = file_name(url)
    split = parse_split_name(name)
    if split is None or split.n_files != count:
        raise MalformedFileError(
            file_format="gguf",
            field="split.count",
            reason=f"is {count}",
            allowed=f"a file name that ends in -00001-of-{count:05d}.gguf",
            next_step=f"file: {shown_url(url)}",
        )
    path, mark, query = url.partition("?")
    folder = path[: -len(name)]
    return tuple(f"{folder}{split.sibling(n)}{mark}{query}" for n in range(1, count + 1))


def _shard(client: Client, url: str, count: int) -> RemoteFile:
    """Open one more file of a set.

    Raises:
        UnreadableFileError: the server does not have it.
    """
    try:
        return client.file(url)
    except RemoteAnswerError as error:
        if error.status != _NOT_FOUND:
            raise
        raise UnreadableFileError(
            what=f"a file is missing of the model split over {count:,}:", got=shown_url(url)
        ) from error
