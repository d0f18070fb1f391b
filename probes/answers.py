"""How an answer, or the lack of one, is written down: in recordings and between processes."""

from __future__ import annotations

from whatfits.probes.system import (
    SourceDeniedError,
    SourceGarbledError,
    SourceHungError,
    SourceMissingError,
)
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.errors import ProbeError

__all__ = ["ERROR_KINDS", "error_from", "error_kind", "error_of"]

ERROR_KINDS: Final[dict[str, type[ProbeError]]] = {
    "missing": SourceMissingError,
    "denied": SourceDeniedError,
    "hung": SourceHungError,
    "garbled": SourceGarbledError,
}
_GONE: Final = (6, 19)  # ENXIO, ENODEV on every system that has these files


def error_kind(error: BaseException) -> str:
    """Return `missing`, `denied`, `hung` or `garbled` (anything else went wrong)."""
    return next((kind for kind, cls in ERROR_KINDS.items() if isinstance(error, cls)), "garbled")


def error_from(kind: object, text: str) -> ProbeError:
    """Return the error of that kind; an unknown kind is a garbled answer."""
    return ERROR_KINDS.get(str(kind), SourceGarbledError)(text)


def error_of(error: OSError, path: str) -> ProbeError:
    """Return what a failed file operation means to a probe."""
    # ENODEV, ENXIO: the driver behind a sysfs file has gone; ESRCH: the process has.
    if isinstance(error, (FileNotFoundError, NotADirectoryError, ProcessLookupError)):
        return SourceMissingError(f"{path} is not there")
    if error.errno in _GONE:
        return SourceMissingError(f"{path} is not there: {error.strerror}")
    if isinstance(error, PermissionError):
        return SourceDeniedError(f"{path} may not be read by this user")
    return SourceGarbledError(f"{path} cannot be read: {error.strerror or error}")
