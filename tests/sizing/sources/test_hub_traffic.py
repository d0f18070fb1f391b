"""What a Hub on loopback is asked: listings and headers, and nothing more, and of nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fake_hub import COMMIT, TOKEN, Repository, redirect
from header_shapes import Shape, all_shapes
from hub_models import API, FILE, REPO, STEM, refusal_of

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.sources import load
from whatfits.sizing.sources.hub.headers import read_header
from whatfits.sizing.sources.hub.names import parse_hub_name
from whatfits.sizing.sources.hub.repositories import open_repository
from whatfits.sizing.sources.local_file import load_gguf

if TYPE_CHECKING:
    from pathlib import Path

    from hub_models import Serve
    from range_server import Handler, Seen


def test_one_listing_and_one_range_of_64_kib_are_all_that_is_asked(
    serve: Serve, usual: Repository
) -> None:
    hub = serve(usual)
    load(f"hf:{REPO}:Q8_0")
    assert [seen.target for seen in hub.hub.seen] == [
        f"/api/models/{REPO}/revision/main?blobs=true",
        f"/{REPO}/resolve/{COMMIT}/{STEM}-Q8_0.gguf",
    ]
    assert [seen.headers["range"] for seen in hub.cdn.seen] == ["bytes=0-65535"]


@pytest.mark.parametrize("shape", all_shapes()[::6], ids=lambda shape: shape.name)
def test_a_long_header_takes_one_more_range_that_reaches_its_end(
    serve: Serve, tmp_path: Path, shape: Shape
) -> None:
    path = tmp_path / "M-Q4_K_M.gguf"
    with path.open("wb") as file:
        file.write(shape.data)
        file.truncate(len(shape.data) + 2 * 10**9)
    hub = serve(Repository(REPO, {path.name: path}))
    with open_repository(parse_hub_name(f"hf:{REPO}")) as repository:
        assert read_header(repository, [path.name]) == load_gguf(path)[0]
    assert len(hub.cdn.seen) <= 2
    starts, ends = zip(*map(asked, hub.cdn.seen), strict=True)
    assert starts == (0, *(end + 1 for end in ends[:-1]))
    assert ends[-1] <= max(1.15 * len(shape.data), 65_536)


def asked(seen: Seen) -> tuple[int, int]:
    """First and last byte of a request."""
    first, last = seen.headers["range"].removeprefix("bytes=").split("-")
    return int(first), int(last)


def test_the_token_goes_to_the_hub_and_never_to_the_content_network(
    serve: Serve, usual: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = serve(usual)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    spec = load(f"hf:{REPO}")
    assert {seen.headers.get("authorization") for seen in hub.hub.seen} == {f"Bearer {TOKEN}"}
    assert hub.cdn.seen
    for seen in hub.cdn.seen:
        assert "authorization" not in seen.headers
        assert TOKEN not in str(seen)
    assert TOKEN not in repr(spec)


def test_without_a_token_none_is_sent(serve: Serve, usual: Repository) -> None:
    hub = serve(usual)
    load(f"hf:{REPO}")
    assert not any("authorization" in seen.headers for seen in hub.seen)


@pytest.mark.parametrize("page_files", [1, 2, 1_000])
def test_sizes_that_the_listing_lacks_are_read_page_by_page(
    serve: Serve, usual: Repository, page_files: int
) -> None:
    usual.has_sizes, usual.page_files = False, page_files
    hub = serve(usual)
    spec = load(f"hf:{REPO}", file_type="Q2_K")
    assert f"{STEM}-F16.gguf" in spec.source
    pages = [seen for seen in hub.hub.seen if "/tree/" in seen.target]
    assert len(pages) == -(-len(usual.tree()) // page_files)


def test_pages_without_end_are_refused(serve: Serve, usual: Repository) -> None:
    usual.has_sizes = False
    hub = serve(usual)
    tree = f"/api/models/{REPO}/tree/{COMMIT}"
    link = f'<{hub.endpoint}{tree}?recursive=true&cursor=0>; rel="next"'
    hub.hub.files[tree] = lambda handler: handler.answer(200, b"[]", Link=link)
    assert "are too many" in refusal_of(f"hf:{REPO}")


def test_a_page_on_another_host_is_not_asked_for(serve: Serve, usual: Repository) -> None:
    usual.has_sizes = False
    hub = serve(usual)
    tree = f"/api/models/{REPO}/tree/{COMMIT}"
    link = '<http://169.254.169.254/latest>; rel="next"'
    hub.hub.files[tree] = lambda handler: handler.answer(200, b"[]", Link=link)
    assert "address '" in refusal_of(f"hf:{REPO}", InvalidRequestError)


@pytest.mark.parametrize(
    "address",
    [
        *("http://169.254.169.254/latest/meta-data", "http://10.1.2.3/x", "http://[::1]/x"),
        *("https://localhost/x", "file:///etc/passwd", "//169.254.169.254/x", "http://evil.test/"),
    ],
)
def test_a_file_that_is_said_to_lie_in_a_private_place_is_not_asked_for(
    serve: Serve, usual: Repository, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    hub = serve(usual)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.hub.files[FILE] = redirect(address, usual)
    assert "is not allowed" in refusal_of(f"hf:{REPO}")
    assert hub.cdn.seen == []


def test_a_listing_without_end_is_cut_short(serve: Serve, usual: Repository) -> None:
    hub = serve(usual)
    blank = b" " * 65_536

    def stream(handler: Handler) -> None:
        handler.raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for _ in range(1_024):
            handler.wfile.write(blank)

    hub.hub.files[API] = stream
    assert "sends more than" in refusal_of(f"hf:{REPO}")


def test_nothing_is_asked_before_the_name_is_understood(serve: Serve, usual: Repository) -> None:
    hub = serve(usual)
    refusal_of("hf:nonsense", InvalidRequestError)
    assert hub.seen == []
