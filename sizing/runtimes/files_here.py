"""Files for programs that read nothing but what lies here: a download first where it does not.

Source: huggingface_hub docs, guides/cli (hf download, --local-dir keeps the folders of the
repository); curl's manual (-L, -o), which Windows has as curl.exe since version 1803.
"""

from __future__ import annotations

from whatfits.sizing.hub_source import hub_source
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.runtimes.shells import command_line, is_windows
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.model import ModelSpec

__all__ = ["FilesHere", "files_here", "model_files"]

_WEB: Final = ("https://", "http://")


class FilesHere(NamedTuple):
    """Files on this disk, and how they get there.

    Attributes:
        fetched_by: the lines that download them; none for what lies here already.
        files: their paths, in the order in which they were named.
    """

    fetched_by: tuple[str, ...]
    files: tuple[str, ...]


def model_files(spec: ModelSpec, model_file: str) -> tuple[str, ...]:
    """Return every file of a model, `model_file` first: one, unless it is a split GGUF."""
    return spec.parts if spec.parts and not spec.planned else (model_file,)


def files_here(names: Sequence[str], *, os: str | None) -> FilesHere:
    """Return where the files lie once they are here: the working folder takes what is not."""
    lines: list[str] = []
    files: list[str] = []
    wanted: dict[tuple[str, str], list[str]] = {}  # of a repository and a revision
    for name in names:
        place = hub_source(name)
        if place is not None:
            wanted.setdefault((place.repository, place.revision), []).append(place.file)
            files.append(place.file)
        elif name.startswith(_WEB):
            curl = "curl.exe" if is_windows(os) else "curl"  # curl alone is another command there
            file = name.partition("?")[0].rpartition("/")[2]
            lines.append(command_line([curl, "-L", "-o", file, name], os=os))
            files.append(file)
        else:
            files.append(name)
    for (repository, revision), paths in wanted.items():
        at = ["--revision", revision] if revision else []
        words = ["hf", "download", repository, *paths, *at, "--local-dir", "."]
        lines.append(command_line(words, os=os))
    return FilesHere(tuple(lines), tuple(files))
