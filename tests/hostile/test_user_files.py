"""Files a user gives or asks for, on a disk that fails: one line, and nothing half-written."""

from __future__ import annotations

import errno
import json
import os
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from failing_disk import FAULTS, MEMORY, FailingDisk, on

from whatfits.sizing.cli.fleet_files import write_plans
from whatfits.sizing.errors import BadInputError
from whatfits.sizing.sources.price_file import read_price_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from whatfits.sizing.fleets.plans import FleetPlan

OFFER = {
    "provider": "My Host",
    "provider_id": "my-host",
    "kind": "open-model host",
    "model": "m-1",
    "usd_per_mtok": {"input": 1, "output": 2.5},
    "as_of": "2026-11-26",
    "source": "my contract",
    "checked": "2026-11-26",
}


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0  # noqa: PTH208


def _on(disk: FailingDisk, act: Callable[[], object]) -> object:
    """Return what comes of it, or the refusal."""
    before = _descriptors()
    try:
        with on(disk):
            return act()
    except BadInputError as error:
        refusal = error
    except MemoryError:  # the command line says so in a line
        assert disk.fault == MEMORY
        return MemoryError
    finally:
        assert _descriptors() == before
    assert disk.injected
    assert str(refusal).isprintable()
    return refusal


@pytest.mark.parametrize("fault", FAULTS)
def test_a_price_file_on_a_disk_that_fails_is_refused_in_one_line(
    fault: str, tmp_path: Path
) -> None:
    path = tmp_path / "own.json"
    path.write_text(json.dumps({"offers": [OFFER]}))
    sound = read_price_file(str(path))
    counted = FailingDisk()
    assert _on(counted, lambda: read_price_file(str(path))) == sound
    assert counted.calls >= 4
    for wrong in range(counted.calls):
        found = _on(FailingDisk(wrong, fault), lambda: read_price_file(str(path)))
        assert isinstance(found, BadInputError) or found in (sound, MemoryError), wrong
    assert read_price_file(str(path)) == sound


def _plans(text: str) -> list[FleetPlan]:
    """Two plans with a file each, as far as `write_plans` looks at them."""
    plans = [
        SimpleNamespace(
            may_run=True,
            strategy=strategy,
            runtime="llama.cpp",
            verdict="fits",
            verdict_reason=text,
            commands=(),
            files=(SimpleNamespace(name="start.yaml", text=text * 400),),
        )
        for strategy in ("copies", "cut")
    ]
    return cast("list[FleetPlan]", plans)


def _read(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_is_asked_for_is_the_old_or_the_new_whatever_fails(
    fault: str, tmp_path: Path
) -> None:
    def written(name: str, text: str) -> dict[str, str]:
        write_plans(_plans(text), tmp_path / name, force=True)
        return _read(tmp_path / name)

    old, new = written("a", "old"), written("b", "new")
    assert len(old) == 4
    assert old.keys() == new.keys()
    counted = FailingDisk()
    _on(counted, lambda: written("a", "new"))
    for wrong in range(counted.calls):
        written("c", "old")
        disk = FailingDisk(wrong, fault)
        found: Any = _on(disk, lambda: write_plans(_plans("new"), tmp_path / "c", force=True))
        for name, text in _read(tmp_path / "c").items():
            if not name.endswith(".half"):  # left where even taking it away fails
                assert text in (old[name], new[name]), (wrong, name)
        if found is None:
            assert {k: v for k, v in _read(tmp_path / "c").items() if k in new} == new
        assert written("c", "new").items() >= new.items()


def test_a_full_disk_is_named_and_takes_nothing_away(tmp_path: Path) -> None:
    write_plans(_plans("old"), tmp_path, force=False)
    old = _read(tmp_path)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(BadInputError, match="No space left"):
            write_plans(_plans("new"), tmp_path, force=True)
    assert _read(tmp_path) == old
