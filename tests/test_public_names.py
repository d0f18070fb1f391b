"""What the packages offer is there, is what it says, and costs nothing until it is used."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from whatfits import bench, probes, sizing, webapp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

# What the library's front door has; what `sizing.api` adds for the command line stays there.
FRONT_DOOR = {
    "check",
    "cost",
    "find_models",
    "fleet",
    "hardware",
    "load_machine",
    "load_model",
    "need",
    "plan",
    "serve",
    "together",
}
_LOADED = """
import json, sys, typing
before = set(sys.modules)
import whatfits.sizing
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def modules() -> Iterator[str]:
    for package in (sizing, probes, bench, webapp):
        yield package.__name__
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith(".__main__"):
                yield found.name


def load(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("whatfits"):
            raise
        pytest.skip(f"{error.name} is not installed")


@pytest.mark.parametrize("name", sorted(modules()))
def test_every_name_in_all_exists_once(name: str) -> None:
    module = load(name)
    offered = list(getattr(module, "__all__", []))
    assert len(set(offered)) == len(offered)
    assert [entry for entry in offered if not hasattr(module, entry)] == []


def test_the_library_offers_its_front_door() -> None:
    api = import_module("whatfits.sizing.api")
    assert set(sizing.__all__) >= FRONT_DOOR
    for name in FRONT_DOOR:
        assert getattr(sizing, name) is getattr(api, name)


def test_public_names_come_from_the_module_that_defines_them() -> None:
    for name in sizing.__all__:
        offered = getattr(sizing, name)
        assert offered.__name__ == name
        assert getattr(sys.modules[offered.__module__], name) is offered


def test_the_names_are_listed_and_others_are_refused() -> None:
    assert set(sizing.__all__) <= set(dir(sizing))
    with pytest.raises(AttributeError, match="no attribute 'chekc'"):
        sizing.chekc  # noqa: B018 - the access is what is tested


def test_importing_the_library_loads_nothing_else() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOADED], capture_output=True, check=True, text=True
    )
    allowed = {"__future__", "whatfits", "whatfits.sizing", "whatfits.sizing.typed"}
    assert set(json.loads(done.stdout)) <= allowed
