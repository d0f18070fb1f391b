"""How presence and versions are read that several runtimes show in the same way."""

from __future__ import annotations

import os
import re

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.probes.runtimes.surroundings import Surroundings

__all__ = ["bundle_version", "environment_version", "parse_plist_version"]

_PLIST_VERSION: Final = re.compile(
    r"<key>CFBundleShortVersionString</key>\s*<string>([0-9][0-9A-Za-z.+-]{0,40})</string>"
)


def bundle_version(here: Surroundings, app: str) -> str | None:
    """Return the version of a macOS application; None where its list is not text."""
    return parse_plist_version(here.read_text(f"{app}/Contents/Info.plist"))


def parse_plist_version(plist: str) -> str | None:
    """Return the short version of an Info.plist."""
    found = _PLIST_VERSION.search(plist)
    return found[1] if found else None


def environment_version(here: Surroundings, program: str, package: str) -> str | None:
    """Return the version of a Python package by the folder its program was installed with.

    `ENV/bin/vllm` belongs to `ENV/lib/python3.12/site-packages/vllm-0.33.0.dist-info`: asking the
    program itself would import its whole framework.
    """
    root = os.path.dirname(os.path.dirname(program))  # noqa: PTH120 - strings throughout
    pattern = re.compile(rf"{re.escape(package)}-([0-9][0-9A-Za-z.+!_-]*)\.dist-info")
    for name in here.names_in(f"{root}/lib"):
        if not name.startswith("python3"):
            continue
        for entry in here.names_in(f"{root}/lib/{name}/site-packages"):
            if found := pattern.fullmatch(entry):
                return found[1]
    return None
