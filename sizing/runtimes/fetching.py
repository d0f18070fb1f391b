"""How a program that takes files of this disk alone comes to one that was read elsewhere.

Source: huggingface_hub (docs, guides/cli: `hf download REPO FILE --revision R --local-dir DIR`,
which keeps the folders of the repository); curl(1), -L and -o.
"""

from __future__ import annotations

import re

from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.runtimes.shells import command_line, is_windows
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

__all__ = ["OnDisk", "on_disk"]

_HUB: Final = "hf:"
_ADDRESS: Final = ("https://", "http://")
_SHARD: Final = re.compile(r"-\d{5}(-of-\d{5}\.gguf)$")


class OnDisk(NamedTuple):
    """A file of this disk, and the lines that bring it there; none where it is there."""

    file: str
    lines: tuple[str, ...] = ()


def on_disk(file: str, *, os: str | None) -> OnDisk:
    """Return where a file lies once the lines have run: as it is, or in the folder they run in."""
    if file.startswith(_HUB):
        return _of_the_hub(file.removeprefix(_HUB), os)
    if file.startswith(_ADDRESS):
        name = file.partition("?")[0].rpartition("/")[2]
        curl = "curl.exe" if is_windows(os) else "curl"  # another command in older PowerShell
        return _local(name, [curl, "-L", "-o", name, file], os)
    return OnDisk(file)


def _of_the_hub(name: str, os: str | None) -> OnDisk:
    repository, _, file = name.partition(":")
    repository, _, revision = repository.partition("@")
    # every shard of a split file
    wanted = ["--include", _SHARD.sub(r"-*\1", file)] if _SHARD.search(file) else [file]
    at = ["--revision", revision] if revision else []
    return _local(file, ["hf", "download", repository, *wanted, *at, "--local-dir", "."], os)


def _local(file: str, words: Iterable[str], os: str | None) -> OnDisk:
    return OnDisk(f"./{file}", (command_line(words, os=os),))
