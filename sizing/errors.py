"""The exception tree.

    WhatfitsError
    ├── BadInputError (ValueError)         what a person typed or gave; exit code 2
    │   ├── InvalidRequestError            a value out of range or of the wrong kind
    │   ├── UnknownModelError              no catalog entry, file or source of that name
    │   ├── UnknownMachineError            no device, machine or file of that name
    │   ├── UnknownFileTypeError           no quantisation of that name
    │   ├── UnknownTermError               nothing to explain under that name
    │   ├── UnreadableFileError            missing, a directory, no permission
    │   ├── MalformedFileError             the bytes contradict the format
    │   ├── UnreachableError               no connection to an address, or none in time
    │   ├── RemoteAnswerError              a server answered, but not with what is needed
    │   └── UnsupportedArchitectureError   understood, but no memory model for it
    ├── CatalogError                       packaged data is broken: our failure, exit code 3
    ├── ProbeError                         a probe failed; caught and reported as a warning
    └── MissingExtraError                  an optional package is needed; exit code 2

Every message is one line: what, what was given, what is allowed, what to do next.
"""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import ClassVar

__all__ = [
    "BadInputError",
    "CatalogError",
    "InvalidRequestError",
    "MalformedFileError",
    "MissingExtraError",
    "ProbeError",
    "RemoteAnswerError",
    "UnknownFileTypeError",
    "UnknownMachineError",
    "UnknownModelError",
    "UnknownTermError",
    "UnreachableError",
    "UnreadableFileError",
    "UnsupportedArchitectureError",
    "WhatfitsError",
    "printable",
]

_MAX_SHOWN = 120
_OFFLINE = "check the network, or name a file on this disk or a model of the catalog"


def printable(text: object) -> str:
    """Return `text` safe for one line of a terminal: no control characters, at most 120 long."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))
    return shown if len(shown) <= _MAX_SHOWN else shown[: _MAX_SHOWN - 1] + "…"


class WhatfitsError(Exception):
    """Base of every error raised on purpose."""

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 3

    def to_dict(self) -> dict[str, object]:
        """Return the error as it appears in JSON answers."""
        return {"code": self.code, "message": str(self)}


class BadInputError(WhatfitsError, ValueError):
    """Something that was typed or given cannot be used.

    Attributes:
        what: what the value is, in words.
        got: the value as given, made printable.
        allowed: what would be accepted, or an empty string.
        next_step: what to do about it, or an empty string.
    """

    code = "bad_input"
    exit_code = 2

    def __init__(
        self, *, what: str, got: object = None, allowed: str = "", next_step: str = ""
    ) -> None:
        self.what = what
        self.got = None if got is None else printable(got)
        self.allowed = allowed
        self.next_step = next_step
        shown = f"{what} {self.got!r}" if self.got is not None else what
        parts = [shown]
        if allowed:
            parts.append(f"allowed: {allowed}")
        if next_step:
            parts.append(next_step)
        super().__init__("; ".join(parts))

    def to_dict(self) -> dict[str, object]:
        """Return the error with its parts, as it appears in JSON answers."""
        return {
            "code": self.code,
            "message": str(self),
            "what": self.what,
            "got": self.got,
            "allowed": self.allowed or None,
            "next_step": self.next_step or None,
        }


class InvalidRequestError(BadInputError):
    """A value of the request is out of range or of the wrong kind."""

    code = "invalid_request"


class UnknownModelError(BadInputError):
    """No catalog entry, file or source answers to this name."""

    code = "unknown_model"


class UnknownMachineError(BadInputError):
    """No catalog device, machine expression or machine file answers to this name."""

    code = "unknown_machine"


class UnknownFileTypeError(BadInputError):
    """No file type (quantisation) has this name."""

    code = "unknown_file_type"


class UnknownTermError(BadInputError):
    """There is nothing to explain under this name."""

    code = "unknown_term"


class UnreadableFileError(BadInputError):
    """The path is missing, a directory, a device, or not permitted."""

    code = "unreadable_file"


class MalformedFileError(BadInputError):
    """The bytes of a file contradict its format.

    Attributes:
        file_format: `gguf`, `safetensors`, ….
        offset_bytes: where in the file the reading stopped, if known.
        field: the field that was being read.
    """

    code = "malformed_file"

    def __init__(
        self,
        *,
        file_format: str,
        field: str,
        reason: str,
        offset_bytes: int | None = None,
        allowed: str = "",
        next_step: str = "",
    ) -> None:
        self.file_format = file_format
        self.field = printable(field)
        self.reason = printable(reason)
        self.offset_bytes = offset_bytes
        at = "" if offset_bytes is None else f" at byte {offset_bytes:,}"
        super().__init__(
            what=f"malformed {file_format}: {self.field}{at}: {self.reason}",
            allowed=allowed,
            next_step=next_step,
        )

    def in_file(self, path: str) -> MalformedFileError:
        """Return the same error with the name of the file, which the reader of its bytes lacks."""
        return MalformedFileError(
            file_format=self.file_format,
            field=self.field,
            reason=self.reason,
            offset_bytes=self.offset_bytes,
            allowed=self.allowed,
            next_step="; ".join(filter(None, (self.next_step, f"file: {printable(path)}"))),
        )

    def to_dict(self) -> dict[str, object]:
        """Return the error with its position, as it appears in JSON answers."""
        return {
            **super().to_dict(),
            "format": self.file_format,
            "field": self.field,
            "offset_bytes": self.offset_bytes,
        }


class UnreachableError(BadInputError):
    """There is no connection to an address, or none within the time allowed.

    An address that may not be reached gets the message of one that does not answer: otherwise a
    page that takes addresses would tell strangers what stands in the network it runs in.
    """

    code = "unreachable"

    def __init__(self, url: str, *, reason: str = "cannot be reached", next_step: str = "") -> None:
        super().__init__(what=f"the address {reason}:", got=url, next_step=next_step or _OFFLINE)


class RemoteAnswerError(BadInputError):
    """A server answered, but not with what is needed.

    Attributes:
        status: the HTTP status of the answer, if that is what is wrong.
        headers: of the answer, with names in lower case.
    """

    code = "remote_answer"

    def __init__(
        self,
        url: str,
        *,
        reason: str,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        next_step: str = "",
    ) -> None:
        self.status = status
        self.headers = {} if headers is None else headers
        super().__init__(what=f"the server {reason}:", got=url, next_step=next_step)


class UnsupportedArchitectureError(BadInputError):
    """The model is readable, but nothing sound can be said about its memory."""

    code = "unsupported_architecture"


class CatalogError(WhatfitsError):
    """Packaged data is missing or broken: our failure."""

    code = "catalog"


class ProbeError(WhatfitsError):
    """One source of hardware facts failed; reported as a warning, never fatal."""

    code = "probe"


class MissingExtraError(WhatfitsError):
    """An optional package is needed for what was asked."""

    code = "missing_extra"
    exit_code = 2

    def __init__(self, *, extra: str, purpose: str) -> None:
        self.extra = extra
        super().__init__(f"{purpose} needs an extra: pip install 'whatfits[{extra}]'")
