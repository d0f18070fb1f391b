"""A Hub on loopback: the real API's answers, files behind a redirect to a second server.

with hub_of(Repository("org/repo", {"model-Q4_K_M.gguf": path})) as hub:
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
"""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from range_server import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from range_server import Handler, RangeServer, Seen

    Reply = Callable[[Handler], None]

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_" + "a" * 34
POINTER_BYTES = 134
LARGE_SUFFIXES = (".gguf", ".safetensors", ".bin")


class OnDisk:
    """A file on this disk, read where it is asked for: most of it may be a hole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size_bytes = path.stat().st_size

    def __len__(self) -> int:
        return self.size_bytes

    def __getitem__(self, part: slice) -> bytes:
        first, last, _ = part.indices(self.size_bytes)
        with self.path.open("rb") as file:
            file.seek(first)
            return file.read(last - first)


@dataclass
class Repository:
    """What the Hub tells of a repository; content is bytes, a path, or a length nobody reads."""

    id: str
    content: Mapping[str, bytes | Path | int]
    commit: str = COMMIT
    revision: str = "main"
    gated: str | bool = False
    tags: tuple[str, ...] = ()
    has_sizes: bool = True
    page_files: int = 1_000

    def siblings(self) -> list[dict[str, Any]]:
        """The files as `?blobs=true` lists them."""
        return [self._sibling(path) for path in self.content]

    def _sibling(self, path: str) -> dict[str, Any]:
        if not self.has_sizes:
            return {"rfilename": path}
        row = {"rfilename": path, "size": self.size(path), "blobId": blob_id(path)}
        if path.endswith(LARGE_SUFFIXES):
            large = {"sha256": large_id(path), "size": row["size"], "pointerSize": POINTER_BYTES}
            row["lfs"] = large
        return row

    def size(self, path: str) -> int:
        """Length of a file."""
        content = self.content[path]
        if isinstance(content, int):
            return content
        return len(content) if isinstance(content, bytes) else content.stat().st_size

    def info(self) -> dict[str, Any]:
        """The answer to `/api/models/{repo}/revision/{revision}?blobs=true`."""
        return {
            "_id": "66f1c2d3e4f5a6b7c8d9e0f1",
            "id": self.id,
            "modelId": self.id,
            "author": self.id.partition("/")[0],
            "sha": self.commit,
            "lastModified": "2026-03-01T12:00:00.000Z",
            "private": False,
            "gated": self.gated,
            "disabled": False,
            "tags": ["gguf", "text-generation", "region:us", *self.tags],
            "pipeline_tag": "text-generation",
            "downloads": 12_345,
            "likes": 67,
            "siblings": self.siblings(),
            "usedStorage": sum(self.size(path) for path in self.content),
        }

    def tree(self) -> list[dict[str, Any]]:
        """The rows of `/api/models/{repo}/tree/{commit}?recursive=true`."""
        folders = {path.rpartition("/")[0] for path in self.content} - {""}
        rows: list[dict[str, Any]] = [
            {"type": "directory", "oid": blob_id(f), "size": 0, "path": f} for f in sorted(folders)
        ]
        for path in self.content:
            row = {"type": "file", "oid": blob_id(path), "size": self.size(path), "path": path}
            if path.endswith(LARGE_SUFFIXES):
                row["lfs"] = {
                    "oid": large_id(path),
                    "size": self.size(path),
                    "pointerSize": POINTER_BYTES,
                }
                row["xetHash"] = large_id(f"xet {path}")
            rows.append(row)
        return rows


@dataclass
class Hub:
    """The two servers, and what was asked of them."""

    hub: RangeServer
    cdn: RangeServer
    moved: dict[str, str] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        """Address for HF_ENDPOINT."""
        return f"http://{self.hub.host}"

    @property
    def seen(self) -> list[Seen]:
        """Requests to both."""
        return [*self.hub.seen, *self.cdn.seen]


def blob_id(path: str) -> str:
    return hashlib.sha1(path.encode(), usedforsecurity=False).hexdigest()


def large_id(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()


@contextmanager
def hub_of(*repositories: Repository, extra: Mapping[str, Any] | None = None) -> Iterator[Hub]:
    """Run a Hub with these repositories; `extra` are more paths of it."""
    with serving({}) as cdn, serving({}) as hub:
        for repository in repositories:
            add(hub, cdn, repository)
        hub.files |= extra or {}
        yield Hub(hub, cdn)


def add(hub: RangeServer, cdn: RangeServer, repository: Repository) -> None:
    """Make the servers answer for a repository."""
    api = f"/api/models/{repository.id}"
    for revision in {quote(repository.revision, safe=""), repository.commit}:
        hub.files[f"{api}/revision/{revision}"] = as_json(repository.info())
        add_pages(hub, f"{api}/tree/{revision}", repository)
    for path, content in repository.content.items():
        if isinstance(content, int):
            continue
        held: Any = content if isinstance(content, bytes) else OnDisk(content)
        here = f"/{repository.id}/resolve/{repository.commit}/{quote(path)}"
        if path.endswith(LARGE_SUFFIXES):
            there = f"/repos/{large_id(repository.id + path)}"
            cdn.files[there] = held
            hub.files[here] = redirect(f"http://{cdn.host}{there}?X-Amz-Signature=s", repository)
        else:
            cached = f"/api/resolve-cache/models/{repository.id}/{repository.commit}/{quote(path)}"
            hub.files[cached] = whole(held)
            hub.files[here] = redirect(cached, repository, status=307)


def add_pages(hub: RangeServer, address: str, repository: Repository) -> None:
    """Make the server answer for a tree, page after page."""
    rows, step = repository.tree(), repository.page_files

    def reply(handler: Handler) -> None:
        query = handler.path.partition("?")[2]
        cursor = next((int(p[7:]) for p in query.split("&") if p.startswith("cursor=")), 0)
        after = cursor + step
        more = {}
        if after < len(rows):
            following = f"http://{hub.host}{address}?recursive=true&cursor={after}"
            more["Link"] = f'<{following}>; rel="next"'
        body = json.dumps(rows[cursor:after]).encode()
        handler.answer(200, body, Content_Type="application/json", **more)

    hub.files[address] = reply


def as_json(value: object) -> Reply:
    """Return what answers with JSON."""
    body = json.dumps(value).encode()
    return lambda handler: handler.answer(200, body, Content_Type="application/json; charset=utf-8")


def whole(content: Any) -> Reply:  # noqa: ANN401 - whatever holds the bytes of a file
    """Return what sends a small file whole, whatever range was asked for."""
    body = content[0 : len(content)]
    return lambda handler: handler.answer(200, body, ETag='"small"')


def redirect(address: str, repository: Repository, *, status: int = 302) -> Reply:
    """Return what sends on, as `resolve` does: large files lie in the content network."""
    return lambda handler: handler.answer(
        status, b"Found", Location=address, X_Repo_Commit=repository.commit
    )


def refusal(status: int, code: str | None = None, message: str = "refused") -> Reply:
    """Return what refuses, with the Hub's own headers."""
    named = {} if code is None else {"X_Error_Code": code}
    body = json.dumps({"error": message}).encode()
    return lambda handler: handler.answer(status, body, X_Error_Message=message, **named)
