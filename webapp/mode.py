"""Whether the pages are for the person at this machine, or for the public."""

from __future__ import annotations

from whatfits.sizing.values import dataclass

__all__ = ["Mode", "is_public", "set_mode"]


@dataclass(slots=True)
class Mode:
    """How the server was started."""

    public: bool = False


_MODE = Mode()


def set_mode(*, public: bool) -> None:
    """Say how the server was started; once, before the first visitor."""
    _MODE.public = public


def is_public() -> bool:
    """Whether strangers use the pages: this machine stays hidden, and no address is read."""
    return _MODE.public
