"""The data that comes with the package, damaged: one line that says so, never a smaller catalog."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from failing_disk import FailingDisk

from whatfits.probes import detect
from whatfits.probes.replay import ReplaySystem
from whatfits.sizing.catalog import index_file
from whatfits.sizing.cli import main
from whatfits.sizing.errors import CatalogError, WhatfitsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INDEX = Path(index_file.index_path("models.jsonl")).parent
MACHINES = Path(__file__).parent.parent / "recorded" / "machines"
CHECK = ("check", "llama-3.1-8b")
# Of each file of the index a command that cannot be answered without it.
READ_BY = {
    "bits.json": ("check", "falcon-h1-3b", "--machine", "64gb"),
    "decode_work.jsonl": ("list", "--machine", "64gb"),
    "devices.jsonl": (*CHECK, "--machine", "rtx-4090"),
    "efficiencies.json": (*CHECK, "--machine", "64gb"),
    "memory_systems.json": (*CHECK, "--machine", "64gb ddr5-5600"),
    "models.jsonl": (*CHECK, "--machine", "64gb"),
    "processors.json": (*CHECK, "--machine", "ryzen 9 7950x 64gb"),
    "prices.json": ("cost", "llama-3.1-8b", "--machine", "64gb"),
    "quants.json": ("quants",),
    "rental_prices.json": ("need", "llama-3.1-8b"),
    "routing_results.json": ("cost", "llama-3.1-8b", "--machine", "64gb"),
    "shares.json": ("list", "--machine", "64gb"),
}


def _cut_between_lines(data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    return b"".join(lines[:-1])


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "one byte": lambda data: data[:1],
    "half": lambda data: data[: len(data) // 2],
    "zeros": lambda data: bytes(len(data)),
    "no UTF-8": lambda data: b"\xff\xfe" * (len(data) // 2),
    "no JSON": lambda _: b"<!DOCTYPE html><html></html>\n",
    "null": lambda _: b"null\n",
    "deep": lambda _: b"[" * 100_000,
}


def _forget() -> None:
    """Make this process read the index anew."""
    for name, module in list(sys.modules.items()):
        if name.startswith("whatfits."):
            for value in vars(module).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the index that is read in place of the packaged one."""
    folder = tmp_path / "index"
    shutil.copytree(INDEX, folder)
    monkeypatch.setattr(index_file, "index_path", lambda name: str(folder / name))
    _forget()
    yield folder
    _forget()


def _asked(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    capsys.readouterr()
    _forget()
    code = main(arguments)
    said = capsys.readouterr()
    return code, said.out, said.err


def test_every_file_of_the_index_is_among_those_that_are_damaged() -> None:
    assert {path.name for path in INDEX.glob("*.json*")} == set(READ_BY)


@pytest.mark.parametrize("name", READ_BY)
def test_damaged_packaged_data_is_one_line_that_names_it(
    name: str, index: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = (INDEX / name).read_bytes()
    answered = _asked(READ_BY[name], capsys)
    assert answered[0] in (0, 1)
    for damage, change in DAMAGE.items():
        (index / name).write_bytes(change(sound))
        code, out, err = _asked(READ_BY[name], capsys)
        assert (code, out) == (CatalogError.exit_code, ""), damage
        assert err.startswith("whatfits: error: "), damage
        assert err.count("\n") == 1, damage
        assert name in err, damage
        assert "reinstall" in err, damage
    (index / name).unlink()
    code, out, err = _asked((*READ_BY[name], "--json"), capsys)
    assert code == CatalogError.exit_code
    assert json.loads(out)["error"]["code"] == "catalog"
    assert err == ""
    (index / name).mkdir()
    assert _asked(READ_BY[name], capsys)[0] == CatalogError.exit_code
    (index / name).rmdir()
    (index / name).write_bytes(sound)
    assert _asked(READ_BY[name], capsys) == answered


@pytest.mark.parametrize("fault", ["EIO", "EMFILE"])
@pytest.mark.parametrize("name", READ_BY)
def test_a_disk_that_fails_while_it_is_read_gives_the_answer_or_one_line(
    name: str, fault: str, index: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answered = _asked(READ_BY[name], capsys)

    def over(disk: FailingDisk) -> tuple[int, str, str]:
        opened = disk.wrap(open)

        def chosen(path: Any, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - as open
            return (opened if str(path) == str(index / name) else open)(path, *arguments, **named)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(index_file, "open", chosen, raising=False)
            return _asked(READ_BY[name], capsys)

    counted = FailingDisk()
    assert over(counted) == answered
    assert counted.calls >= 2
    for wrong in range(min(counted.calls, 8)):
        disk = FailingDisk(wrong, fault)
        code, out, err = over(disk)
        assert disk.injected
        assert (code, out) == (CatalogError.exit_code, ""), wrong
        assert err.count("\n") == 1, wrong
        assert "reinstall" in err, wrong


@pytest.mark.parametrize("name", ["models.jsonl", "devices.jsonl"])
def test_a_catalog_that_was_cut_between_two_lines_is_not_taken_for_a_smaller_one(
    name: str, index: Path
) -> None:
    (index / name).write_bytes(_cut_between_lines((INDEX / name).read_bytes()))
    with pytest.raises(CatalogError, match="reinstall"):
        list(index_file.open_index(name).entries())


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("machine", ["gpu-rtx-4090-pair", "gpu-mac-m3-max-64-stock"])
def test_a_machine_is_read_without_the_catalog(machine: str, damage: str, index: Path) -> None:
    recording = json.loads((MACHINES / f"{machine}.json").read_text("utf-8"))
    whole = detect(ReplaySystem(recording)).machine
    for name in READ_BY:
        (index / name).write_bytes(DAMAGE[damage]((INDEX / name).read_bytes()))
    _forget()
    report = detect(ReplaySystem(recording))
    assert [device.id for device in report.machine.devices] == [d.id for d in whole.devices]
    assert report.machine.pools == whole.pools


def test_packaged_data_of_another_form_is_our_own_failure_too(
    index: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = {name: command for name, command in READ_BY.items() if name != "prices.json"}
    for name, command in others.items():  # a price list without offers is one
        sound = (INDEX / name).read_bytes()
        (index / name).write_bytes(b"{}\n")
        code, _, err = _asked(command, capsys)
        assert code == WhatfitsError.exit_code, name
        assert err.count("\n") == 1, name
        (index / name).write_bytes(sound)
