"""Endpoint, token and cache: where Hugging Face's own tools look for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.sources.http import Rules
from whatfits.sizing.sources.hub.remote import rules_of
from whatfits.sizing.sources.hub.settings import read_settings

TOKEN, OTHER, THIRD = ("hf_" + letter * 34 for letter in "bcd")


def test_unset_it_is_the_hub_itself(tmp_path: Path) -> None:
    found = read_settings({"HF_HOME": str(tmp_path)})
    assert (found.endpoint, found.host) == ("https://huggingface.co", "huggingface.co")
    assert (found.is_own_endpoint, found.token, found.is_offline) == (False, None, False)
    assert found.cache_folder == str(tmp_path / "hub")


def test_a_mirror_is_taken_as_it_is_given(tmp_path: Path) -> None:
    found = read_settings({"HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://mirror.lan:8080/hf/ "})
    assert (found.endpoint, found.host) == ("http://mirror.lan:8080/hf", "mirror.lan:8080")
    assert found.is_own_endpoint


@pytest.mark.parametrize("text", ["mirror.lan", "ftp://mirror.lan", "https://", "https://h/?x=1"])
def test_an_endpoint_that_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="HF_ENDPOINT"):
        read_settings({"HF_ENDPOINT": text})


def test_the_token_comes_from_the_environment_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    home = {"HF_HOME": str(tmp_path)}
    assert read_settings(home).token == TOKEN
    assert read_settings({**home, "HUGGING_FACE_HUB_TOKEN": OTHER}).token == OTHER
    both = {**home, "HUGGING_FACE_HUB_TOKEN": OTHER, "HF_TOKEN": f" {THIRD}\n"}
    assert read_settings(both).token == THIRD
    assert read_settings({**both, "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}).token is None


def test_the_file_may_lie_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text(TOKEN)
    assert read_settings({"HF_TOKEN_PATH": str(tmp_path / "mine")}).token == TOKEN
    assert read_settings({"HF_TOKEN_PATH": str(tmp_path / "none")}).token is None
    assert read_settings({"HF_TOKEN_PATH": str(tmp_path)}).token is None


@pytest.mark.parametrize("text", ["", "  ", "hf_\x07", "hf_é"])
def test_what_cannot_stand_in_a_header_is_no_token(text: str, tmp_path: Path) -> None:
    assert read_settings({"HF_HOME": str(tmp_path), "HF_TOKEN": text}).token is None


def test_the_token_is_never_shown(tmp_path: Path) -> None:
    found = read_settings({"HF_HOME": str(tmp_path), "HF_TOKEN": TOKEN})
    assert TOKEN not in repr(found)
    assert "…" in repr(found)


def test_the_cache_lies_where_it_is_said_to(tmp_path: Path) -> None:
    cases = {"HF_HUB_CACHE": "a", "HUGGINGFACE_HUB_CACHE": "b"}
    for name, folder in cases.items():
        found = read_settings({"HF_HOME": "/x", name: str(tmp_path / folder)})
        assert found.cache_folder == str(tmp_path / folder)
    found = read_settings({"XDG_CACHE_HOME": str(tmp_path)})
    assert found.cache_folder == str(tmp_path / "huggingface" / "hub")
    found = read_settings({"HOME": "/nobody"})
    assert found.cache_folder == str(Path("~/.cache/huggingface/hub").expanduser())


def test_only_a_mirror_that_was_named_may_be_private_or_in_the_clear(tmp_path: Path) -> None:
    home = {"HF_HOME": str(tmp_path)}
    rules = rules_of(read_settings(home))
    assert rules == Rules(frozenset({"huggingface.co"}))
    own = rules_of(read_settings({**home, "HF_ENDPOINT": "http://10.0.0.7:8080"}))
    assert own.hosts == {"10.0.0.7:8080", "10.0.0.7:*"}
    assert own.allow_plain_http
    assert own.allow_private


@pytest.mark.parametrize("text", ["1", "true", "YES", "on"])
@pytest.mark.parametrize("name", ["HF_HUB_OFFLINE", "WHATFITS_OFFLINE"])
def test_the_network_can_be_switched_off(name: str, text: str) -> None:
    assert read_settings({name: text}).is_offline
    assert not read_settings({name: "0"}).is_offline
