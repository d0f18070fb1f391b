"""`https://….gguf`: a GGUF file anywhere on the web, read by ranges of its header."""

from __future__ import annotations

import os

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.sources.gguf_model import spec_of_header, with_files
from whatfits.sizing.sources.http import PUBLIC, Client, Rules, check_url
from whatfits.sizing.sources.http.addresses import shown_url
from whatfits.sizing.sources.http.header_cache import default_cache
from whatfits.sizing.sources.local_file import display_name
from whatfits.sizing.sources.remote_gguf import file_name, read_remote_model
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.sources.http import RemoteFile

__all__ = ["TRUSTED_HOSTS", "load_url", "open_url", "rules_for", "said_of"]

# Hosts a person trusts beyond the public ones: `host:port`, separated by commas.
TRUSTED_HOSTS: Final = "WHATFITS_TRUSTED_HOSTS"


def load_url(name: str, *, file_type: str | None = None) -> ModelSpec:
    """Return the model at an address; with `file_type`, as if it were quantised to that.

    Raises:
        InvalidRequestError: the address may not be asked.
        UnreachableError: no connection, or too slow.
        RemoteAnswerError: an answer that is of no use.
        UnreadableFileError: it is not a GGUF file.
        MalformedFileError: the bytes contradict the format.
        UnknownFileTypeError: no such file type.
    """
    with open_url(name) as client:
        model = read_remote_model(client, name)
    size = format_bytes(model.header.file_bytes)
    notes = (*said_of(model.files), f"The download has {size}.", *client.notes)
    spec = spec_of_header(
        model.header,
        name=display_name(file_name(name), model.header),
        source=shown_url(name),
        file_type=file_type,
        notes=notes,
    )
    return with_files(spec, [shown_url(file.url) for file in model.files])


def said_of(files: Sequence[RemoteFile]) -> tuple[str, ...]:
    """Return what it took to read these files, one sentence, or from when they are."""
    requests = sum(file.n_requests for file in files)
    read = format_bytes(sum(file.received_bytes for file in files))
    days = sorted({file.kept_on for file in files if file.kept_on is not None})
    if not days:
        return (f"Read from its header: {requests} request(s), {read}.",)
    if requests:
        return (f"Its header is unchanged since {days[0]}: {requests} request(s), {read}.",)
    return (f"The network is switched off: the header is the one of {days[0]}.",)


def open_url(url: str) -> Client:
    """Return a client that may ask this address."""
    return Client(rules_for(url, os.environ), cache=default_cache())


def rules_for(url: str, environment: Mapping[str, str]) -> Rules:
    """Return the rules for an address: those of public hosts, unless a person trusts its host."""
    listed = environment.get(TRUSTED_HOSTS, "").split(",")
    hosts = frozenset(entry.strip().lower() for entry in listed) - {""}
    trusted = Rules(hosts, allow_plain_http=True, allow_private=True)
    try:
        check_url(url, trusted)
    except InvalidRequestError:
        return PUBLIC
    return trusted
