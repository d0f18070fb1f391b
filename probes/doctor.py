"""Record everything the probes asked of a machine, without what tells who it belongs to.

The recording is what `ReplaySystem` takes: pasted into a bug report and saved under
tests/recorded/machines/ it is a test.
"""

from __future__ import annotations

from whatfits.probes import detect
from whatfits.probes.answers import error_kind
from whatfits.probes.once import OnceSystem
from whatfits.probes.redact import redact
from whatfits.probes.replay import RECORDING_FORMAT, RECORDING_VERSION
from whatfits.sizing.errors import ProbeError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.probes.system import System

__all__ = ["record", "recording_of"]

_SECTIONS: Final = ("files", "directories", "links", "commands", "queries")


def record(system: System | None = None) -> dict[str, object]:
    """Return a redacted recording of a machine; of this one when `system` is None."""
    if system is not None:
        return _recorded(system)
    from whatfits.probes.live import LiveSystem  # noqa: PLC0415 - a replay needs none

    live = LiveSystem()
    try:
        return _recorded(live)
    finally:
        live.close()


def _recorded(system: System) -> dict[str, object]:
    asked = OnceSystem(system)
    detect(asked)
    return redact(recording_of(asked))


def recording_of(asked: OnceSystem) -> dict[str, object]:
    """Return what a system answered so far, as it was: not fit to be shown to others yet.

    What was missing is left out, as a replay takes all that it does not hold for missing.
    """
    sections: dict[str, dict[str, object]] = {name: {} for name in _SECTIONS}
    for (section, key), answer in asked.answers.items():
        shown = " ".join(key) if isinstance(key, tuple) else key
        if isinstance(answer, ProbeError):
            if error_kind(answer) != "missing":
                sections[section][shown] = {"error": error_kind(answer), "text": str(answer)}
        elif section in ("files", "commands"):
            text = str(answer)
            sections[section][shown] = text.split("\n") if "\n" in text else text
        elif isinstance(answer, tuple):
            sections[section][shown] = list(answer)
        else:
            sections[section][shown] = answer
    return {
        "format": RECORDING_FORMAT,
        "version": RECORDING_VERSION,
        "provenance": "recorded on a real machine by 'whatfits hardware --doctor'",
        "platform": asked.platform,
        "architecture": asked.architecture,
        "environment": dict(asked.environment),
        **sections,
    }
