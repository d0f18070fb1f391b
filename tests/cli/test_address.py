"""`whatfits check https://….gguf`: exact by ranges, quick by one request."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.bench.synthetic import write_synthetic_gguf
from whatfits.sizing.architectures.config_spec import config_file
from whatfits.sizing.catalog.lookup import find_model

sys.path.insert(0, str(next(p for p in Path(__file__).parents if p.name == "tests") / "hostile"))

from range_server import Hole, RangeServer, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CARD = ("--machine", "rtx-4090 + 64gb")
TOKENS = 128_256


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RangeServer]:
    """A server with one model of usual size, which the user trusts."""
    path = tmp_path / "m.gguf"
    metadata, tensors = config_file(find_model("llama-3.1-8b").config, file_type="Q4_K_M")
    vocabulary = {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": ["token"] * TOKENS}
    size = write_synthetic_gguf(path, metadata={**metadata, **vocabulary}, tensors=tensors)
    for name in ("WHATFITS_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _name: tmp_path / "cache")
    with path.open("rb") as file:
        content = Hole(file.read(4 * 1024 * 1024), size)
    with serving({"/m.gguf": content}) as running:
        monkeypatch.setenv("WHATFITS_TRUSTED_HOSTS", running.host)
        yield running


def test_an_address_is_answered_as_the_file_is(
    say: Callable[..., Any],
    is_valid: Callable[[str, object], None],
    server: RangeServer,
    tmp_path: Path,
) -> None:
    remote = say("check", server.url("/m.gguf"), *CARD, "--json")
    local = say("check", str(tmp_path / "m.gguf"), *CARD, "--json")
    assert (remote.code, remote.err) == (0, "")
    is_valid("check", remote.json)
    assert remote.json["memory"] == local.json["memory"]
    assert remote.json["model"]["source"] == server.url("/m.gguf")
    assert len(server.seen) == 2
    text = say("check", server.url("/m.gguf"), *CARD, "--plain").out
    assert f"llama-server --model-url {server.url('/m.gguf')} " in text
    assert "Its header is unchanged" not in text  # this server knows no conditions


def test_quick_asks_once_and_holds_the_exact_answer(
    say: Callable[..., Any], is_valid: Callable[[str, object], None], server: RangeServer
) -> None:
    quick = say("check", server.url("/m.gguf"), "--quick", *CARD, "--json")
    assert len(server.seen) == 1
    is_valid("check", quick.json)
    exact = say("check", server.url("/m.gguf"), *CARD, "--json").json["memory"]
    memory = quick.json["memory"]
    assert memory["low_bytes"] < exact["total_bytes"] < memory["high_bytes"]
    assert memory["kv_cache_bytes"] == exact["kv_cache_bytes"]
    assert any("leave --quick out" in note for note in quick.json["notes"])


def test_a_model_of_the_catalog_is_the_same_with_quick(say: Callable[..., Any]) -> None:
    question = ("check", "llama-3.1-8b", *CARD, "--json")
    assert say(*question, "--quick").out == say(*question).out


@pytest.mark.parametrize("quick", [(), ("--quick",)])
def test_an_address_without_a_model_is_one_line(
    say: Callable[..., Any],
    is_valid: Callable[[str, object], None],
    server: RangeServer,
    quick: tuple[str, ...],
) -> None:
    said = say("check", server.url("/none.gguf"), *quick, *CARD)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    answer = say("check", server.url("/none.gguf"), *quick, *CARD, "--json")
    is_valid("error", answer.json)
    assert answer.json["error"]["code"] == "remote_answer"


def test_a_server_that_is_gone_is_unreachable(say: Callable[..., Any], server: RangeServer) -> None:
    server.server_close()
    server.shutdown()
    answer = say("check", server.url("/m.gguf"), *CARD, "--json")
    assert answer.code == 2
    assert answer.json["error"]["code"] == "unreachable"
