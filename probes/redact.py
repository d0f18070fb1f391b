"""Take out of a recording what tells who a machine belongs to, and keep what the probes read.

Home folders, user and host names, serial numbers, UUIDs, container ids, hardware addresses,
process ids and arguments go. The same id becomes the same placeholder everywhere, also in names of
files, so that a replay still fits together. Redacting twice changes nothing.
"""

from __future__ import annotations

import re

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

__all__ = ["redact"]

_HOME: Final = re.compile(r"(?P<root>/(?:home|Users)/)(?!Shared\b)[^/\s\"':;,]+")
_WINDOWS_HOME: Final = re.compile(r"(?P<root>[A-Za-z]:\\Users\\)(?!Public\b)[^\\\s\"':;,]+")
_BUILDER: Final = re.compile(r"\([^()\s]+@[^()\s]+\)")
_MAC: Final = re.compile(r"\b(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}\b")
_SERIAL: Final = re.compile(r"(?i)(serial[\w -]*\"?\s*[:=]\s*\"?)([\w-]{4,})")
_UUID: Final = re.compile(
    r"\b[0-9a-fA-F]{8}([-_])[0-9a-fA-F]{4}[-_][0-9a-fA-F]{4}[-_][0-9a-fA-F]{4}[-_][0-9a-fA-F]{12}\b"
)
_LONG_HEX: Final = re.compile(r"(?<![0-9a-zA-Z])[0-9a-f]{32,128}(?![0-9a-zA-Z])")
_PROC: Final = re.compile(r"/proc/(\d+)\b")
_STATUS_LINE: Final = "Cpus_allowed_list:"
_SERIAL_FILES: Final = ("unique_id", "serial", "product_serial", "board_serial", "product_uuid")
_FIRST_PID: Final = 1001
_MIN_HOME: Final = 7


def redact(recording: Mapping[str, object]) -> dict[str, object]:
    """Return a recording (an object of JSON) fit to be shown to others."""
    placeholders = _Placeholders(_homes(recording))
    files = recording.get("files")
    shown = dict(recording)
    if isinstance(files, dict):
        shown["files"] = {path: _file(path, text) for path, text in files.items()}
    result = placeholders.fill(shown)
    assert isinstance(result, dict)
    environment = result.get("environment")
    if isinstance(environment, dict):
        result["environment"] = _environment(environment)
    return result


def _homes(recording: Mapping[str, object]) -> tuple[str, ...]:
    """Return home folders that lie elsewhere than most; too short a path is no telling one."""
    variables = recording.get("environment")
    if not isinstance(variables, dict):
        return ()
    homes = (str(variables.get(name, "")) for name in ("HOME", "USERPROFILE"))
    return tuple(home for home in homes if len(home) >= _MIN_HOME and home != "/home/user")


def _environment(variables: Mapping[str, object]) -> dict[str, object]:
    plain = {"KUBERNETES_SERVICE_HOST": "192.0.2.1", "SLURM_JOB_ID": "1"}
    shown = {}
    for name, value in variables.items():
        is_path = str(value).startswith("/") or str(value)[1:3] == ":\\"
        shown[name] = "/home/user" if is_path else plain.get(name, value)
    return shown


def _file(path: str, content: object) -> object:
    """Return a file's content cut down to the lines that a probe reads, where it says much more."""
    if isinstance(content, dict):
        return content
    lines = content.split("\n") if isinstance(content, str) else list(map(str, _list(content)))
    if path == "/proc/self/mountinfo":
        lines = [line for line in lines if " - cgroup" in line or "lxcfs" in line]
    elif path == "/proc/self/status":
        lines = [line for line in lines if line.startswith(_STATUS_LINE)]
    elif path.rpartition("/")[2] in _SERIAL_FILES:
        return "0000000000000000"
    else:
        return content
    return [*lines, ""]


def _list(content: object) -> list[object]:
    return content if isinstance(content, list) else []


class _Placeholders:
    """Gives each id a placeholder of its form, the same one each time."""

    def __init__(self, homes: tuple[str, ...]) -> None:
        self._homes = homes
        self._known: dict[str, str] = {}
        self._pids: dict[int, int] = {}

    def fill(self, value: object, *, key: str = "") -> object:
        """Return a value of JSON with every text in it redacted."""
        if isinstance(value, str):
            return self._name(value) if key == "process_name" else self._text(value)
        if isinstance(value, dict):
            is_process = "pid" in value
            return {
                self._text(str(name)): self.fill(
                    part, key="process_name" if is_process and name == "name" else str(name)
                )
                for name, part in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self.fill(part, key=key) for part in value]
        if key == "pid" and isinstance(value, int) and not isinstance(value, bool):
            return self._pid(value)
        return value

    def _name(self, name: str) -> str:
        """Return the name of a program without its folder and arguments."""
        path, _, _ = name.partition(" -")
        return self._text(path.replace("\\", "/").rpartition("/")[2].strip())

    def _text(self, text: str) -> str:
        for home in self._homes:
            text = text.replace(home, "/home/user")
        text = _HOME.sub(r"\g<root>user", text)
        text = _WINDOWS_HOME.sub(r"\g<root>user", text)
        text = _BUILDER.sub("(builder@host)", text)
        text = _MAC.sub("00:00:00:00:00:00", text)
        text = _SERIAL.sub(lambda match: match[1] + "0" * len(match[2]), text)
        text = _UUID.sub(lambda match: self._id(match[0]), text)
        text = _LONG_HEX.sub(lambda match: self._id(match[0]), text)
        return _PROC.sub(lambda match: f"/proc/{self._pid(int(match[1]))}", text)

    def _id(self, found: str) -> str:
        """Return an id of the same form: zeros, and a number at the end."""
        digits = re.sub("[-_]", "", found)
        if digits.startswith("0" * 16):
            return found  # a placeholder already
        if found not in self._known:
            number = f"{len(self._known) + 1:0{len(digits)}d}"
            left = iter(number)
            self._known[found] = "".join(c if c in "-_" else next(left) for c in found)
        return self._known[found]

    def _pid(self, pid: int) -> int:
        return self._pids.setdefault(pid, _FIRST_PID + len(self._pids))
