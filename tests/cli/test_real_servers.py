"""`whatfits start` and `verify --server` against real servers, where they can be started here."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from loopback_server import recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Said
    from real_servers import Running

pytest.importorskip("numpy", reason="needs numpy, to write a model with values")
from real_servers import SERVERS as KNOWN
from real_servers import answers_of, running
from small_models import CONFIG

MIB = 2**20
# Weights in 16 bits: two tables, and per layer two square matrices, two of a quarter, three of the
# feed-forward; norms are a few KiB more.
WIDTH, INNER = CONFIG["hidden_size"], CONFIG["intermediate_size"]
LAYER = WIDTH * (2 * WIDTH + 2 * WIDTH // 4 + 3 * INNER)
MATRIX_BYTES = 2 * (2 * CONFIG["vocab_size"] * WIDTH + CONFIG["num_hidden_layers"] * LAYER)
pytestmark = [pytest.mark.oracle, pytest.mark.slow]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Running]]:
    """Return a function that starts a server once, or skips with what is lacking for it."""
    known: dict[str, Running] = {}
    with ExitStack() as stack:

        def start(name: str) -> Running:
            if KNOWN[name].missing is not None:
                pytest.skip(f"{name} {KNOWN[name].missing}")
            if name not in known:
                folder = tmp_path_factory.mktemp(name)
                known[name] = stack.enter_context(running(KNOWN[name], folder))
            return known[name]

        yield start


@pytest.mark.parametrize("name", KNOWN)
def test_it_answers_as_it_was_recorded(started: Callable[[str], Running], name: str) -> None:
    now, then = answers_of(started(name)), recorded(name)["answers"]
    assert {path: answer.get("status") for path, answer in now.items()} == {
        path: answer.get("status") for path, answer in then.items()
    }
    (entry,), (was,) = (said["/v1/models"]["json"]["data"] for said in (now, then))
    assert entry.keys() == was.keys()
    assert entry["id"] == was["id"]


@pytest.mark.parametrize("name", KNOWN)
def test_start_finds_it_and_its_model(
    say: Callable[..., Said], started: Callable[[str], Running], name: str
) -> None:
    server = started(name)
    found = {row["port"]: row for row in say("start", "--json").json["servers"]}[server.port]
    assert found["runtime"] == KNOWN[name].runtime
    (loaded,) = found["loaded"]
    assert loaded["path"] == str(server.model)


@pytest.mark.parametrize("name", KNOWN)
def test_the_memory_of_its_process_holds_what_is_predicted(
    say: Callable[..., Said],
    is_valid: Callable[..., None],
    started: Callable[[str], Running],
    name: str,
) -> None:
    said = say("verify", "--server", started(name).url, "--json")
    assert said.code == 0, said
    is_valid("verify", said.json)
    (value,) = said.json["values"]
    assert value["key"] == "resident_bytes"
    assert value["low"] <= value["told"]
    assert value["told"] > MATRIX_BYTES
    assert said.json["model"]["file_type"] in ("F16", "bf16")


def test_mlx_weights_are_the_lower_end(
    say: Callable[..., Said], started: Callable[[str], Running]
) -> None:
    said = say("verify", "--server", started("mlx-lm").url, "--json")
    (value,) = said.json["values"]
    assert 0 <= value["low"] - MATRIX_BYTES < MIB / 16


def test_mlx_without_downloads_lists_no_models_and_is_known_by_its_process(
    say: Callable[..., Said], tmp_path: Path
) -> None:
    server = KNOWN["mlx-lm"]
    if server.missing is not None:
        pytest.skip(f"mlx-lm {server.missing}")
    with running(server, tmp_path, has_downloads=False) as alone:
        assert answers_of(alone)["/v1/models"] == {"text": ""}
        said = say("verify", "--server", alone.url, "--json")
    assert said.code == 0, said
    assert said.json["server"]["model"] == str(alone.model)
