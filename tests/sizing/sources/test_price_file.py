"""A user's own prices: the catalog's form, as TOML or JSON, refused in one line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing.catalog.sources import SOURCE_DIR
from whatfits.sizing.errors import BadInputError
from whatfits.sizing.sources.price_file import read_price_file

if TYPE_CHECKING:
    from pathlib import Path

OFFER: dict[str, Any] = {
    "provider": "My Host",
    "provider_id": "my-host",
    "kind": "open-model host",
    "model": "m-1",
    "usd_per_mtok": {"input": 1, "output": 2.5},
    "as_of": "2026-11-26",
    "source": "my contract",
    "checked": "2026-11-26",
}
TOML = """
[[offers]]
provider = "My Host"
provider_id = "my-host"
kind = "open-model host"
model = "m-1"
usd_per_mtok = { input = 1, output = 2.5 }
as_of = 2026-11-26
source = "my contract"
checked = 2026-11-26
"""


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    as_toml, as_json = tmp_path / "own.toml", tmp_path / "own.json"
    as_toml.write_text(TOML)
    as_json.write_text(json.dumps({"offers": [OFFER]}))
    found = read_price_file(str(as_toml))
    assert read_price_file(str(as_json)) == found
    (offer,) = found.offers
    assert offer.name == "my-host/m-1"
    assert (offer.usd_per_mtok.input, offer.usd_per_mtok.output) == (1, 2.5)
    assert offer.usd_per_mtok.cached_input is None
    assert offer.as_of == "2026-11-26"


@pytest.mark.parametrize("path", sorted((SOURCE_DIR / "prices").glob("*.toml")), ids=str)
def test_every_price_file_of_the_catalog_can_be_given_as_ones_own(path: Path) -> None:
    found = read_price_file(str(path))
    assert found.offers or found.electricity


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"usd_per_mtok": {"input": 1}}, "usd_per_mtok.output"),
        ({"usd_per_mtok": {"input": -1, "output": 1}}, "greater than or equal to 0"),
        ({"usd_per_mtok": {"input": "cheap", "output": 1}}, "usd_per_mtok.input"),
        ({"as_of": "yesterday"}, "as_of"),
        ({"source": ""}, "source"),
        ({"colour": "red"}, "colour"),
        ({"kind": "friend"}, "kind"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    path = tmp_path / "own.json"
    path.write_text(json.dumps({"offers": [OFFER | change]}))
    with pytest.raises(BadInputError) as raised:
        read_price_file(str(path))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_price_without_its_source_is_none(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    for name in ("as_of", "source", "checked"):
        path.write_text(json.dumps({"offers": [{k: v for k, v in OFFER.items() if k != name}]}))
        with pytest.raises(BadInputError, match=name):
            read_price_file(str(path))


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff\xfe", b"[" * 100_000, b"= 3"])
@pytest.mark.parametrize("name", ["own.json", "own.toml"])
def test_what_holds_no_prices_is_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadInputError) as raised:
        read_price_file(str(path))
    assert "\n" not in str(raised.value)


def test_a_folder_and_what_is_not_there_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing.toml"):
        with pytest.raises(BadInputError, match="price file"):
            read_price_file(str(path))
