"""A machine answered from a recording, so that every machine ever reported can be a test.

tests/recorded/machines/README.md describes the format; `whatfits hardware --doctor` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping

from whatfits.probes.answers import error_from
from whatfits.probes.system import MAX_TEXT_BYTES, SourceMissingError
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = ["RECORDING_FORMAT", "RECORDING_VERSION", "ReplaySystem"]

RECORDING_FORMAT: Final = "whatfits-machine-recording"
RECORDING_VERSION: Final = 1


class ReplaySystem:
    """The `System` of a recording; what was not recorded is not there.

    Args:
        recording: the JSON object, as `json.load` gives it.

    Raises:
        InvalidRequestError: it is not a recording of a version that is understood.
    """

    def __init__(self, recording: Mapping[str, object]) -> None:
        if recording.get("format") != RECORDING_FORMAT:
            raise InvalidRequestError(
                what="machine recording",
                got=recording.get("format"),
                allowed=f"an object whose format is {RECORDING_FORMAT!r}",
                next_step="record one with 'whatfits hardware --doctor'",
            )
        if recording.get("version") != RECORDING_VERSION:
            raise InvalidRequestError(
                what="version of a machine recording",
                got=recording.get("version"),
                allowed=str(RECORDING_VERSION),
            )
        self._platform = str(recording.get("platform", ""))
        self._architecture = str(recording.get("architecture", ""))
        environment = _section(recording, "environment")
        self._environment = {name: str(value) for name, value in environment.items()}
        self._files = _section(recording, "files")
        self._directories = _section(recording, "directories")
        self._links = _section(recording, "links")
        self._commands = _section(recording, "commands")
        self._queries = _section(recording, "queries")

    @property
    def platform(self) -> str:
        """`sys.platform` of the recorded machine."""
        return self._platform

    @property
    def architecture(self) -> str:
        """`platform.machine()` of the recorded machine."""
        return self._architecture

    @property
    def environment(self) -> Mapping[str, str]:
        """The recorded environment variables."""
        return self._environment

    def read_text(self, path: str) -> str:
        """Return a recorded file."""
        return _text(self._files, path)[:MAX_TEXT_BYTES]

    def list_dir(self, path: str) -> tuple[str, ...]:
        """Return a recorded directory; one that only shows in other paths is built from them."""
        listed = self._directories.get(path)
        if isinstance(listed, Mapping):
            raise _failure(listed, path)
        if isinstance(listed, (list, tuple)):
            return tuple(sorted(str(name) for name in listed))
        prefix = path.rstrip("/") + "/"
        known = (*self._files, *self._directories, *self._links)
        names = {
            name.removeprefix(prefix).split("/")[0] for name in known if name.startswith(prefix)
        }
        if not names:
            raise SourceMissingError(f"{path} is not there")
        return tuple(sorted(names))

    def read_link(self, path: str) -> str:
        """Return the recorded target of a symbolic link."""
        return _text(self._links, path)

    def run(self, command: tuple[str, ...]) -> str:
        """Return what a program printed when the recording was made."""
        return _text(self._commands, " ".join(command))[:MAX_TEXT_BYTES]

    def query(self, name: str) -> Mapping[str, object]:
        """Return a recorded snapshot of a driver or OS interface."""
        answer = self._queries.get(name)
        if not isinstance(answer, Mapping):
            raise SourceMissingError(f"{name} is not there")
        if "error" in answer:
            raise _failure(answer, name)
        return answer


def _section(recording: Mapping[str, object], key: str) -> Mapping[str, object]:
    section = recording.get(key, {})
    if not isinstance(section, Mapping):
        raise InvalidRequestError(what=f"{key} of a machine recording", allowed="an object")
    return section


def _text(section: Mapping[str, object], key: str) -> str:
    """Return a recorded text: a string, or a list of lines that reads better in a review."""
    answer = section.get(key)
    if isinstance(answer, str):
        return answer
    if isinstance(answer, (list, tuple)):
        return "\n".join(str(line) for line in answer)
    if isinstance(answer, Mapping):
        raise _failure(answer, key)
    raise SourceMissingError(f"{key} is not there")


def _failure(answer: Mapping[str, object], key: str) -> Exception:
    kind = answer.get("error")
    return error_from(kind, str(answer.get("text", f"{key}: recorded as {kind}")))
