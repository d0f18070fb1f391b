"""Bytes of other machines: which addresses may be reached, and reading their files by ranges."""

from __future__ import annotations

from whatfits.sizing.sources.http.addresses import PUBLIC, Address, Rules, check_url, is_public
from whatfits.sizing.sources.http.client import Client, Document
from whatfits.sizing.sources.http.guard import Budget
from whatfits.sizing.sources.http.remote_file import RemoteFile

__all__ = [
    "PUBLIC",
    "Address",
    "Budget",
    "Client",
    "Document",
    "RemoteFile",
    "Rules",
    "check_url",
    "is_public",
]
